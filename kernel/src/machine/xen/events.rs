//! News from devices, and the wait for them.

use super::watchdog;
use crate::time::Instant;
use ::xen::evtchn;

/// Looks for events without waiting.
pub(crate) fn look() {
    watchdog::turn();
    evtchn::scan();
}

/// Waits until an event comes or `deadline` has come.
pub(crate) fn idle(deadline: Option<Instant>) {
    watchdog::turn();
    evtchn::wait_until(deadline.map_or(0, |deadline| deadline.as_nanos().max(1)));
}
