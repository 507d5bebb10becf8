//! News from devices, and the wait for them.

use super::watchdog;
use ::xen::evtchn;

/// Looks for events without waiting.
pub(crate) fn look() {
    watchdog::turn();
    evtchn::scan();
}

/// Waits until an event comes or the clock shows `deadline`.
pub(crate) fn idle(deadline: Option<u64>) {
    watchdog::turn();
    evtchn::wait_until(deadline.map_or(0, |deadline| deadline.max(1)));
}
