//! The watchdog: a domain whose tasks never await is ended, with a report of where
//! it hangs and a reason of its own, instead of using a processor for ever.
//!
//! Its event is the only one that interrupts code (`xen::watchdog` says how it
//! counts). What it interrupts may hold any lock and be in the middle of
//! anything, so what runs here and returns touches nothing else: a counter, the
//! watchdog itself, and words of the shared info page.

use super::end::end_for;
use super::report::{backtrace, once, say};
use super::traps::{Registers, pop_registers, push_registers};
use ::xen::public::SHUTDOWN_watchdog;
use ::xen::watchdog::{self, Hang, Watchdog};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;
use spin::Mutex;

static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

/// Whether events may interrupt this image. `cargo mk build` writes a 0 here where some of
/// its code keeps data below the stack pointer, which is where Xen would push.
#[used]
static INTERRUPTIBLE: AtomicU8 = AtomicU8::new(1);

/// How often the loop of the tasks came round.
static TURNS: AtomicU64 = AtomicU64::new(0);

// Xen pushes the same as for an exception without an error code, and masks
// events meanwhile. Nothing of ours uses more of the processor's state than
// `fxsave64` saves: the target has SSE2 and no more.
core::arch::global_asm!(
    ".pushsection .text.traps, \"ax\", @progbits",
    ".global watchdog_upcall",
    "watchdog_upcall:",
    "pop rcx",
    "pop r11",
    "push 0",
    "push 0",
    push_registers!(),
    "cld",
    "mov rdi, rsp",
    "mov rbx, rsp",
    "sub rsp, 512",
    "and rsp, -16",
    "fxsave64 [rsp]",
    "call {upcall}",
    "fxrstor64 [rsp]",
    "mov rsp, rbx",
    pop_registers!(),
    "add rsp, 16",
    "jmp hypercall_iret",
    ".popsection",
    upcall = sym upcall,
);

unsafe extern "C" {
    #[link_name = "watchdog_upcall"]
    fn entry();
}

/// # Safety
/// Called by the entry above alone, with the address of what it left on the stack.
unsafe extern "C" fn upcall(registers: *const Registers) {
    // Whoever starts the watchdog lets events in when there is one.
    let Some(mut watchdog) = WATCHDOG.try_lock() else { return };
    let hang = watchdog.as_mut().and_then(|it| it.check(TURNS.load(Ordering::Relaxed)));
    if let Some(hang) = hang {
        // SAFETY: the entry filled it, and it stays: it waits for our return.
        report(hang, unsafe { &*registers })
    }
}

/// Says that a task never awaits, and where it is.
fn report(Hang(time): Hang, registers: &Registers) -> ! {
    once();
    say(format_args!(
        "xenith: watchdog: a task ran for {} s without awaiting, at {:#x}",
        time.as_secs(),
        registers.rip
    ));
    backtrace(registers.rbp);
    end_for(SHUTDOWN_watchdog)
}

/// Starts it; with 0 seconds, there is none. Where Xen has no timer to give, and where
/// nothing may be pushed onto the stack in use, the domain runs without.
pub(crate) fn start_watchdog(seconds: u32) {
    if INTERRUPTIBLE.load(Ordering::Relaxed) == 0 {
        crate::machine::line(format_args!(
            "there is no watchdog: this image keeps data below the stack pointer"
        ));
    } else if seconds > 0 {
        let limit = Duration::from_secs(seconds.into());
        // SAFETY: the entry saves all and returns as it should; it is started once.
        let watchdog = unsafe { Watchdog::start(limit, entry as *const () as u64) };
        if let Ok(watchdog) = watchdog {
            *WATCHDOG.lock() = Some(watchdog);
            watchdog::unmask();
        }
    }
}

/// Says that the tasks came to an end for now.
pub(super) fn turn() {
    // Only this writes it, and whatever the watchdog sees of it is a change.
    TURNS.store(TURNS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
