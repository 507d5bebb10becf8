//! Last words.

use super::console::Sink;
use super::start::{emergency, end, stack_bounds};
use crate::exit::Exit;
use crate::machine::line_to;
use ::xen::hypercall::sched_op_shutdown;
use ::xen::public::SHUTDOWN_crash;
use core::fmt::Arguments;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

/// Return addresses that a report shows at most.
const DEPTH: usize = 32;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    if PANICKING.swap(true, Ordering::Relaxed) {
        emergency(b"xenith: panic during the report of a panic\n");
        sched_op_shutdown(SHUTDOWN_crash);
    }
    match info.location() {
        Some(at) => say(format_args!("xenith: panic at {at}: {}", info.message())),
        None => say(format_args!("xenith: panic: {}", info.message())),
    }
    backtrace();
    end(Sink::Patient, Exit::PANIC)
}

fn say(text: Arguments<'_>) {
    line_to(Sink::Patient, text);
}

/// Prints the stack's registers and the return addresses on it. Every function
/// of the image keeps a frame pointer (the target says so), so each frame
/// holds the caller's `rbp` and above it the address to return to.
fn backtrace() {
    let (rbp, rsp): (usize, usize);
    // SAFETY: copies two registers.
    unsafe {
        core::arch::asm!("mov {}, rbp", "mov {}, rsp", out(reg) rbp, out(reg) rsp,
            options(nomem, nostack, preserves_flags));
    }
    say(format_args!("xenith: rsp {rsp:#x} rbp {rbp:#x}"));
    let stack = stack_bounds();
    let mut frame = rbp;
    for _ in 0..DEPTH {
        if !stack.contains(&frame) || !stack.contains(&(frame + 15)) || !frame.is_multiple_of(8) {
            return;
        }
        let words = frame as *const usize;
        // SAFETY: two aligned words inside the stack.
        let caller = unsafe { words.read() };
        // SAFETY: as above.
        let words = unsafe { words.add(1) };
        // SAFETY: as above.
        let address = unsafe { words.read() };
        if address == 0 {
            return;
        }
        say(format_args!("xenith:   called from {address:#x}"));
        // Frames go up; anything else is not a frame.
        if caller <= frame {
            return;
        }
        frame = caller;
    }
}
