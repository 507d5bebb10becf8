//! The clocks, of which Xen's system time is made monotonic.

use ::xen::time::{system_time, wall_clock as wall};
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;

/// The latest time that was returned. Xen corrects the rate of its clock about once a second, and
/// the new record may begin some ns before the end of the old one (rule S3).
static LATEST: AtomicU64 = AtomicU64::new(0);

/// What the clock is ahead of Xen's system time, in ns: that counts from the start of the host, the
/// clock from that of the domain, which goes on from where it was when it is moved.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// Goes on with the clock of a new domain; at boot from 0, however long the host has been up.
pub(super) fn go_on() {
    if let Some(domain) = ::xen::attached() {
        let ahead = LATEST.load(Ordering::Relaxed).wrapping_sub(system_time(&domain.shared_info));
        AHEAD.store(ahead.cast_signed(), Ordering::Relaxed);
    }
}

/// Returns what the clock is ahead of Xen's system time, in ns.
pub(super) fn ahead() -> i64 {
    AHEAD.load(Ordering::Relaxed)
}

/// Returns Xen's system time for a time of the clock, both in ns.
pub(super) fn system(time: u64) -> u64 {
    time.saturating_add_signed(ahead().wrapping_neg())
}

/// Returns the time since boot in ns; never less than before, and 0 before the shared info page is
/// mapped.
pub(crate) fn monotonic() -> u64 {
    let Some(domain) = ::xen::attached() else { return 0 };
    // There is one vCPU, and the upcall handler does not call this, so it needs no lock prefix.
    let now = system_time(&domain.shared_info).wrapping_add_signed(ahead());
    let now = now.max(LATEST.load(Ordering::Relaxed));
    LATEST.store(now, Ordering::Relaxed);
    now
}

/// Returns the time since 1970; 0 before the shared info page is mapped.
pub(crate) fn wall_clock() -> Duration {
    ::xen::attached().map_or(Duration::ZERO, |domain| wall(&domain.shared_info))
}
