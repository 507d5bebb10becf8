//! Xen's watchdog: a domain whose tasks never await is ended with a reason of
//! its own instead of using a processor for ever.

use crate::time::Instant;
use ::xen::hypercall::sched_op_watchdog;
use core::time::Duration;
use spin::Mutex;

struct Watchdog {
    id: u32,
    seconds: u32,
    renewed: Instant,
}

static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

/// Starts it; with 0 seconds, there is none. Where Xen has none to give, the
/// domain runs without.
pub(crate) fn start_watchdog(seconds: u32) {
    if seconds > 0
        && let Ok(id) = sched_op_watchdog(0, seconds)
    {
        *WATCHDOG.lock() = Some(Watchdog { id, seconds, renewed: Instant::now() });
    }
}

/// Stops it: the end may take its time.
pub(super) fn stop() {
    if let Some(watchdog) = WATCHDOG.lock().take() {
        let _ = sched_op_watchdog(watchdog.id, 0);
    }
}

/// Renews it, when a quarter of its time is over; returns by when it must be
/// renewed again.
pub(super) fn renew() -> Option<Instant> {
    let mut watchdog = WATCHDOG.lock();
    let watchdog = watchdog.as_mut()?;
    let quarter = Duration::from_secs(watchdog.seconds.into()) / 4;
    if watchdog.renewed.elapsed() >= quarter
        && sched_op_watchdog(watchdog.id, watchdog.seconds).is_ok()
    {
        watchdog.renewed = Instant::now();
    }
    Some(watchdog.renewed.saturating_add(quarter * 2))
}
