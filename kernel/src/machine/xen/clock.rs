//! Xen's clocks, made monotonic.

use ::xen::time::{system_time, wall_clock as wall};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// The latest moment that anyone saw. Xen corrects the slope of its clock about
/// once a second, and the new record may begin some ns below the old one's end
/// (rule S3).
static LATEST: AtomicU64 = AtomicU64::new(0);

/// System time in ns, never less than before; 0 before the clock is there.
pub(crate) fn monotonic() -> u64 {
    let Some(domain) = ::xen::attached() else { return 0 };
    // There is one vCPU, and what may interrupt it does not come here, so this
    // needs no lock prefix.
    let now = system_time(&domain.shared_info).max(LATEST.load(Ordering::Relaxed));
    LATEST.store(now, Ordering::Relaxed);
    now
}

/// The time since 1970, or 0 before the clock is there.
pub(crate) fn wall_clock() -> Duration {
    ::xen::attached().map_or(Duration::ZERO, |domain| wall(&domain.shared_info))
}
