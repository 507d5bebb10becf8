//! How many errors may be told (RFC 4443, section 2.4(f); RFC 1812, section 4.3.2.8).

use core::time::Duration;
use kernel::time::Instant;

/// Errors that may be told at once, and how long it takes until one more may be.
const BURST: u32 = 50;
const EACH: Duration = Duration::from_millis(10);

/// A bucket of tokens, one for each error about a packet that nobody here wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    left: u32,
    /// Until when tokens were put in.
    filled: Instant,
}

impl Limit {
    /// A full one.
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    /// Takes a token out, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        while self.left < BURST && self.filled.saturating_add(EACH) <= now {
            self.filled = self.filled.saturating_add(EACH);
            self.left += 1;
        }
        if self.left == BURST {
            self.filled = now;
        }
        let some = self.left > 0;
        self.left -= u32::from(some);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let after = |milliseconds| now.saturating_add(Duration::from_millis(milliseconds));
        let mut limit = Limit::new(now);
        assert_eq!((0..200).filter(|_| limit.take(now)).count(), 50);
        assert!(!limit.take(after(9)) && limit.take(after(10)) && !limit.take(after(10)));
        assert_eq!((0..1000).filter(|it| limit.take(after(10 + it))).count(), 99);
        assert_eq!((0..200).filter(|_| limit.take(after(1 << 40))).count(), 50);
    }
}
