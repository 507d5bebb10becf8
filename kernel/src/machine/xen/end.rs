//! Ends the domain.

use super::console::{self, Sink};
use crate::machine::last_line;
use ::xen::hypercall::sched_op_shutdown;
use ::xen::public::{SHUTDOWN_crash, SHUTDOWN_poweroff};
use ::xen::watchdog;
use core::sync::atomic::{AtomicU32, Ordering};

/// Ends the domain with this exit status.
pub(crate) fn end(status: u8) -> ! {
    end_after(Sink::Lossy, status)
}

/// Ends the domain; with a status other than 0, as crashed and after a line that names it.
pub(super) fn end_after(sink: Sink, status: u8) -> ! {
    last_line(sink, status);
    shut_down(if status == 0 { REASON.load(Ordering::Relaxed) } else { SHUTDOWN_crash })
}

/// Ends the domain for one of the `SHUTDOWN_*` reasons, after the console daemon has read all
/// output.
pub(crate) fn shut_down(reason: u32) -> ! {
    watchdog::stop();
    console::drain();
    sched_op_shutdown(reason)
}

/// The reason for which the domain ends with status 0.
static REASON: AtomicU32 = AtomicU32::new(SHUTDOWN_poweroff);

/// Sets the reason for which the domain ends with status 0.
pub(crate) fn set_shutdown_reason(reason: u32) {
    REASON.store(reason, Ordering::Relaxed);
}
