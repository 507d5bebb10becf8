//! The watchdog, which ends a domain whose tasks never await: with a report of where it hangs, and
//! with the reason `SHUTDOWN_watchdog`.
//!
//! Its event is the only one that interrupts code (`xen::watchdog` says how it measures time). The
//! interrupted code may hold any lock, so code here that returns to it accesses only the count of
//! turns, the watchdog itself, and words of the shared info page.

use super::end::shut_down;
use super::report::{backtrace, begin, print};
use super::traps::{Registers, pop_registers, push_registers};
use ::xen::public::SHUTDOWN_watchdog;
use ::xen::watchdog::{self, Hang, Watchdog};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;
use spin::Mutex;

static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

/// Whether events may interrupt this image. `cargo mk build` writes a 0 here if some of its code
/// keeps data below the stack pointer (a red zone), where Xen would push its frame.
#[used]
static INTERRUPTIBLE: AtomicU8 = AtomicU8::new(1);

/// Number of turns of the executor.
static TURNS: AtomicU64 = AtomicU64::new(0);

// Xen pushes the same frame as for an exception without an error code, and masks
// events. `fxsave64` saves all of the processor's state that the image uses: the
// target has SSE2 and nothing beyond.
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
/// Called only by the entry above, with the address of the registers that it pushed.
unsafe extern "C" fn upcall(registers: *const Registers) {
    // Upcalls are unmasked only after the watchdog is in place.
    let Some(mut watchdog) = WATCHDOG.try_lock() else { return };
    let hang = watchdog.as_mut().and_then(|it| it.check(TURNS.load(Ordering::Relaxed)));
    if let Some(hang) = hang {
        // SAFETY: pushed by the entry; the stack above does not change while this runs.
        let registers = unsafe { &*registers };
        report(hang, registers.rip, registers.rbp)
    }
}

/// Checks when the timer fired in user mode, where the entry above is not that of events. Returns
/// whether there is a watchdog, which has set its timer again.
pub(super) fn check_in_user_mode() -> bool {
    let mut watchdog = WATCHDOG.lock();
    let Some(watchdog) = watchdog.as_mut() else { return false };
    if let Some(hang) = watchdog.check(TURNS.load(Ordering::Relaxed)) {
        let (here, rbp): (u64, u64);
        // SAFETY: it reads two registers.
        unsafe {
            core::arch::asm!("lea {}, [rip]", "mov {}, rbp", out(reg) here, out(reg) rbp);
        }
        report(hang, here, rbp)
    }
    true
}

/// Prints that a task does not await, and where it is; then ends the domain.
fn report(Hang(time): Hang, rip: u64, rbp: u64) -> ! {
    begin();
    print(format_args!(
        "xenith: watchdog: a task ran for {} s without awaiting, at {:#x}",
        time.as_secs(),
        rip
    ));
    backtrace(rbp);
    shut_down(SHUTDOWN_watchdog)
}

/// Starts the watchdog, unless `seconds` is 0. If Xen provides no timer, or if events may not
/// interrupt this image, the domain runs without a watchdog.
pub(crate) fn start_watchdog(seconds: u32) {
    if INTERRUPTIBLE.load(Ordering::Relaxed) == 0 {
        crate::machine::line(format_args!(
            "the watchdog is off: this image keeps data below the stack pointer"
        ));
    } else if seconds > 0 {
        let limit = Duration::from_secs(seconds.into());
        // SAFETY: the entry saves all registers and returns by `hypercall_iret`; started once.
        let watchdog = unsafe { Watchdog::start(limit, entry as *const () as u64) };
        if let Ok(watchdog) = watchdog {
            *WATCHDOG.lock() = Some(watchdog);
            watchdog::unmask();
        }
    }
}

/// Goes on in a new domain, with upcalls masked. If Xen provides no timer there, the domain runs
/// without a watchdog.
pub(super) fn resume() {
    if let Some(watchdog) = WATCHDOG.lock().as_mut() {
        let _ = watchdog.resume();
    }
}

/// Counts a turn of the executor: every task that was ready has awaited.
pub(super) fn count_turn() {
    // Only this writes it, so it needs no atomic addition.
    TURNS.store(TURNS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
