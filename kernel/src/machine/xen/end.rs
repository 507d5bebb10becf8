//! How a domain ends.

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

/// Ends the domain: with a crash code and a line that says so unless all is well.
pub(super) fn end_after(sink: Sink, status: u8) -> ! {
    last_line(sink, status);
    end_for(if status == 0 { REASON.load(Ordering::Relaxed) } else { SHUTDOWN_crash })
}

/// Ends the domain for a `SHUTDOWN_*` reason.
pub(crate) fn end_for(reason: u32) -> ! {
    watchdog::stop();
    console::drain();
    sched_op_shutdown(reason)
}

/// What the domain ends for when all is well.
static REASON: AtomicU32 = AtomicU32::new(SHUTDOWN_poweroff);

/// Says what the domain ends for when all is well.
pub(crate) fn set_reason(reason: u32) {
    REASON.store(reason, Ordering::Relaxed);
}
