//! Time: the forms in which Linux tells it, clocks, sleeps and timers.

pub mod calls;
mod clock;
mod expire;
mod page;
#[cfg(test)]
mod tests;
pub mod timer_calls;
mod timers;

pub use clock::Clock;
pub use expire::expire;
pub use page::Page;
pub use timers::{Intervals, Setting, Timer, Timers};

use crate::errno::Errno;
use core::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Returns a duration in ns, of at most 584 years.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const SECOND: i64 = 1_000_000_000;

/// `struct timespec`: seconds and ns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Timespec {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, below a second.
    pub nanoseconds: i64,
}

impl Timespec {
    /// Returns it as a duration.
    ///
    /// # Errors
    /// `EINVAL` if it is negative or has a second or more in ns.
    pub fn duration(self) -> Result<Duration, Errno> {
        match (u64::try_from(self.seconds), self.nanoseconds) {
            (Ok(seconds), ns @ 0..SECOND) => Ok(Duration::new(seconds, ns as u32)),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl From<Duration> for Timespec {
    fn from(it: Duration) -> Self {
        let seconds = i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
        Self { seconds, nanoseconds: it.subsec_nanos().into() }
    }
}

/// `struct timeval`: seconds and us.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Timeval {
    /// Seconds.
    pub seconds: i64,
    /// Microseconds, below a second where they are told, any where select(2) takes them.
    pub microseconds: i64,
}

impl Timeval {
    /// Returns it as a duration.
    ///
    /// # Errors
    /// `EINVAL` if one of both is negative.
    pub fn duration(self) -> Result<Duration, Errno> {
        match (u64::try_from(self.seconds), u64::try_from(self.microseconds)) {
            (Ok(seconds), Ok(us)) => {
                Ok(Duration::from_secs(seconds).saturating_add(Duration::from_micros(us)))
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl From<Duration> for Timeval {
    fn from(it: Duration) -> Self {
        let seconds = i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
        Self { seconds, microseconds: it.subsec_micros().into() }
    }
}

/// `struct itimerspec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub struct Itimerspec {
    /// From one expiration to the next; zero: once.
    pub interval: Timespec,
    /// To the next expiration; zero: it is not armed.
    pub value: Timespec,
}
