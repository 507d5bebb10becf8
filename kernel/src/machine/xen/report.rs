//! What the reports of panics, exceptions and hangs have in common.

use super::console::{Sink, drain, emergency};
use crate::machine::line_to;
use ::xen::hypercall::sched_op_shutdown;
use ::xen::public::{SHUTDOWN_crash, shared_info, vcpu_info};
use ::xen::watchdog;
use core::fmt::{Arguments, Write};
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering};

/// Bytes of the one stack.
pub(super) const STACK: usize = 64 * 1024;

/// Return addresses that a report shows at most.
const DEPTH: usize = 32;

// Where the assembly of the entry puts it.
unsafe extern "C" {
    #[link_name = "stack"]
    static STACK_BOTTOM: u8;
}

/// The addresses of the stack.
fn stack() -> Range<usize> {
    let bottom = (&raw const STACK_BOTTOM) as usize;
    bottom..bottom + STACK
}

/// The address that the last page fault was about (`vcpu_info.arch.cr2`).
pub(super) fn fault_address() -> u64 {
    let cr2 = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, arch);
    ::xen::attached().map_or(0, |domain| domain.shared_info.load_u64(cr2))
}

/// Prints a line of last words, which may wait for room.
pub(super) fn say(text: Arguments<'_>) {
    line_to(Sink::Patient, text);
}

/// A report may fail as well; then this ends the domain with what is left.
pub(super) fn once() {
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

/// Prints the return addresses on the stack. Every function of the image keeps
/// a frame pointer (the target says so), so each frame holds the caller's
/// `rbp` and above it the address to return to.
pub(super) fn backtrace(rbp: u64) {
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
