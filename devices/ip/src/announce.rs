//! When to say who is here, unasked: to neighbours that remember another Ethernet address
//! of this machine's, and to bridges that do not know where it is (RFC 5227, section 2.3;
//! RFC 4861, section 7.2.6).

use core::time::Duration;
use kernel::time::Instant;

/// How often, as some of it is lost while a bridge's port is new, and how long apart.
const TIMES: u8 = 3;
const APART: Duration = Duration::from_secs(2);

/// What is left to say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Announcer {
    next: Option<Instant>,
    left: u8,
}

impl Announcer {
    /// There is news.
    pub(super) const fn new(now: Instant) -> Self {
        Self { next: Some(now), left: TIMES }
    }

    /// Whether to say it now.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.left = self.left.saturating_sub(1);
            self.next = (self.left > 0).then(|| now.saturating_add(APART));
        }
        due
    }

    /// When the next turn is.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }
}
