//! The clocks, of which Xen's system time is made monotonic.

use ::xen::time::{system_time, wall_clock as wall};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// The latest time that was returned. Xen corrects the rate of its clock about once a second, and
/// the new record may begin some ns before the end of the old one (rule S3).
static LATEST: AtomicU64 = AtomicU64::new(0);

/// Returns the system time in ns, never less than before; 0 before the shared info page is mapped.
pub(crate) fn monotonic() -> u64 {
    let Some(domain) = ::xen::attached() else { return 0 };
    // There is one vCPU, and the upcall handler does not call this, so it needs no lock prefix.
    let now = system_time(&domain.shared_info).max(LATEST.load(Ordering::Relaxed));
    LATEST.store(now, Ordering::Relaxed);
    now
}

/// Returns the time since 1970; 0 before the shared info page is mapped.
pub(crate) fn wall_clock() -> Duration {
    ::xen::attached().map_or(Duration::ZERO, |domain| wall(&domain.shared_info))
}
