//! Last words: the reports of panics and of exceptions.

use super::console::{Sink, drain};
use super::start::{emergency, end, end_for, fault_address, stack};
use super::traps::Registers;
use super::watchdog;
use crate::exit::Exit;
use crate::machine::line_to;
use ::xen::hypercall::sched_op_shutdown;
use ::xen::public::{SHUTDOWN_crash, SHUTDOWN_watchdog};
use ::xen::watchdog::Hang;
use core::fmt::{Arguments, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU8, Ordering};

/// Return addresses that a report shows at most.
const DEPTH: usize = 32;

/// The vector of page faults.
const PAGE_FAULT: u64 = 14;

/// An exception: its name and the registers.
pub(super) struct Frame<'a> {
    pub(super) name: &'static str,
    pub(super) registers: &'a Registers,
}

fn say(text: Arguments<'_>) {
    line_to(Sink::Patient, text);
}

/// A report may fail as well; then this ends the domain with what is left.
fn once() {
    static REPORTS: AtomicU8 = AtomicU8::new(0);
    watchdog::stop();
    match REPORTS.fetch_add(1, Ordering::Relaxed) {
        0 => return,
        // Text that needs no formatting.
        1 => {
            let _ = Sink::Patient.write_str(
                "xenith: a second panic while reporting the first\nxenith: exit status 101\n",
            );
            drain();
        }
        _ => emergency(b"xenith: panics while reporting panics\n"),
    }
    sched_op_shutdown(SHUTDOWN_crash)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    once();
    match info.location() {
        Some(at) => say(format_args!("xenith: panic at {at}: {}", info.message())),
        None => say(format_args!("xenith: panic: {}", info.message())),
    }
    let (rbp, rsp): (u64, u64);
    // SAFETY: copies two registers.
    unsafe {
        core::arch::asm!("mov {}, rbp", "mov {}, rsp", out(reg) rbp, out(reg) rsp,
            options(nomem, nostack, preserves_flags));
    }
    say(format_args!("xenith: rsp {rsp:#x} rbp {rbp:#x}"));
    backtrace(rbp);
    end(Sink::Patient, Exit::PANIC)
}

/// Says what an exception was, where, and how it came there.
pub(super) fn report_trap(frame: &Frame<'_>) -> ! {
    once();
    let Frame { name, registers: r } = frame;
    if r.vector == PAGE_FAULT {
        let address = fault_address();
        let what = match r.error & 0b1_0011 {
            e if e & 0b1_0000 != 0 => "executing",
            e if e & 0b10 != 0 => "writing",
            _ => "reading",
        };
        let why = match r.error & 1 {
            0 if address < 0x1000 => "a null pointer",
            0 => "nothing is mapped there",
            _ => "protected against it",
        };
        say(format_args!("xenith: {name} {what} {address:#x} ({why}) at {:#x}", r.rip));
    } else {
        say(format_args!("xenith: {name} (error code {:#x}) at {:#x}", r.error, r.rip));
    }
    for (names, values) in [
        (["rax", "rbx", "rcx", "rdx"], [r.rax, r.rbx, r.rcx, r.rdx]),
        (["rsi", "rdi", "rbp", "rsp"], [r.rsi, r.rdi, r.rbp, r.rsp]),
        (["r8 ", "r9 ", "r10", "r11"], [r.r8, r.r9, r.r10, r.r11]),
        (["r12", "r13", "r14", "r15"], [r.r12, r.r13, r.r14, r.r15]),
    ] {
        let [a, b, c, d] = names;
        let [v, w, x, y] = values;
        say(format_args!("xenith: {a} {v:016x} {b} {w:016x} {c} {x:016x} {d} {y:016x}"));
    }
    backtrace(r.rbp);
    end(Sink::Patient, Exit::FAULT)
}

/// Says that a task never awaits, and where it is.
pub(super) fn report_hang(Hang(time): Hang, registers: &Registers) -> ! {
    once();
    say(format_args!(
        "xenith: watchdog: a task ran for {} s without awaiting, at {:#x}",
        time.as_secs(),
        registers.rip
    ));
    backtrace(registers.rbp);
    end_for(SHUTDOWN_watchdog)
}

/// Prints the return addresses on the stack. Every function of the image keeps
/// a frame pointer (the target says so), so each frame holds the caller's
/// `rbp` and above it the address to return to.
fn backtrace(rbp: u64) {
    let stack = stack();
    let mut frame = rbp as usize;
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
