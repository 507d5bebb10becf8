//! The common functions of reports of panics, exceptions and hangs.

use super::console::{Sink, drain, write_to_hypervisor};
use crate::machine::line_to;
use ::xen::hypercall::sched_op_shutdown;
use ::xen::public::{SHUTDOWN_crash, shared_info, vcpu_info};
use ::xen::watchdog;
use core::fmt::{Arguments, Write};
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering};

/// Most return addresses in a report.
const DEPTH: usize = 32;

// Defined by the linker script.
unsafe extern "C" {
    #[link_name = "stack_start"]
    static STACK_START: u8;
    #[link_name = "stack_end"]
    static STACK_END: u8;
}

/// Returns the addresses of the stack.
fn stack() -> Range<usize> {
    (&raw const STACK_START) as usize..(&raw const STACK_END) as usize
}

/// Returns the address of the last page fault (`vcpu_info.arch.cr2`).
pub(super) fn fault_address() -> u64 {
    let cr2 = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, arch);
    ::xen::attached().map_or(0, |domain| domain.shared_info.load_u64(cr2))
}

/// Prints a line of a report, which may wait for room.
pub(super) fn print(text: Arguments<'_>) {
    line_to(Sink::Patient, text);
}

/// Begins a report. If a report is in progress, it has failed itself: then this prints what still
/// can be printed, and ends the domain.
pub(super) fn begin() {
    static REPORTS: AtomicU8 = AtomicU8::new(0);
    match REPORTS.fetch_add(1, Ordering::Relaxed) {
        // Counted first: what it writes to may be what is missing, the shared info page.
        0 => return watchdog::stop(),
        // Without formatting, which may be what failed.
        1 => {
            let _ = Sink::Patient.write_str(
                "xenith: a second panic while reporting the first\nxenith: exit status 101\n",
            );
            drain();
        }
        _ => write_to_hypervisor(b"xenith: panics while reporting panics\n"),
    }
    sched_op_shutdown(SHUTDOWN_crash)
}

/// Prints the return addresses on the stack, from the frame at `rbp` on. Every function of the
/// image has a frame pointer (the target says so), so each frame holds the caller's `rbp` and
/// above it the return address.
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
        print(format_args!("xenith:   called from {address:#x}"));
        // Callers' frames are at higher addresses; anything else is not a frame.
        if caller <= frame {
            return;
        }
        frame = caller;
    }
}
