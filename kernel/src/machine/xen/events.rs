//! Events of devices.

use super::{clock, watchdog};
use ::xen::evtchn;

/// Wakes the tasks for which there are events, without waiting.
pub(crate) fn poll_events() {
    watchdog::count_turn();
    evtchn::scan();
}

/// Waits until an event comes or until `deadline`, in ns, and wakes the tasks that wait for it.
pub(crate) fn idle(deadline: Option<u64>) {
    watchdog::count_turn();
    evtchn::wait_until(deadline.map_or(0, |deadline| clock::system(deadline).max(1)));
}
