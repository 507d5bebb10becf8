//! The monotonic clock and sleeping.

use crate::machine;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Poll;
use core::time::Duration;

/// A moment of the monotonic clock, which never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// ns since the machine's own beginning.
    ns: u64,
}

/// The latest moment that anyone saw.
static LATEST: AtomicU64 = AtomicU64::new(0);

/// The earliest moment that a sleeping future waits for; `u64::MAX` is none.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let read = machine::monotonic();
        Self { ns: LATEST.fetch_max(read, Ordering::Relaxed).max(read) }
    }

    /// The time since this moment; zero when it is still to come.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }

    /// The time from `earlier` to this moment; zero when it is the other way round.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.ns.saturating_sub(earlier.ns))
    }

    /// The moment `duration` after this one, or the end of time, 584 years on.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self { ns: self.ns.saturating_add(ns) }
    }

    /// ns since the machine's own beginning.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.ns
    }
}

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    sleep_until(Instant::now().saturating_add(duration)).await;
}

/// Waits until `moment` has come.
pub async fn sleep_until(moment: Instant) {
    core::future::poll_fn(|_| {
        if Instant::now() >= moment {
            return Poll::Ready(());
        }
        DEADLINE.fetch_min(moment.ns, Ordering::Relaxed);
        Poll::Pending
    })
    .await;
}

/// Forgets what sleeping futures said; they say it again when they are polled.
pub(crate) fn forget_deadline() {
    DEADLINE.store(u64::MAX, Ordering::Relaxed);
}

/// The earliest moment that a sleeping future waits for.
pub(crate) fn deadline() -> Option<Instant> {
    let ns = DEADLINE.load(Ordering::Relaxed);
    (ns != u64::MAX).then_some(Instant { ns })
}
