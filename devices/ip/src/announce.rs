//! When to say who is here, unasked: to neighbours that remember another Ethernet address
//! of this machine's, and to bridges that do not know where it is (RFC 5227, section 2.3;
//! RFC 4861, section 7.2.6). And when to ask whether another has an address of ours (RFC 5227,
//! section 2.1; RFC 4862, section 5.4).
//!
//! An address is used at once, as RFC 4429 lets those do that are hardly ever another's: a guest
//! answers some hundredths of a second after it was started, and would wait for three seconds
//! otherwise. It is asked about later than it is announced, since what is sent at once over a
//! bridge's port that is new is lost most often, and costs the first answer.

use core::time::Duration;
use kernel::time::Instant;

/// How often, as some of it is lost while a bridge's port is new, and how long apart.
const TIMES: u8 = 3;
const APART: Duration = Duration::from_secs(2);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// To say who is here.
    First,
    /// To ask whether anybody else has an address of ours, and to say it again.
    Again,
}

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
    pub(super) fn turn(&mut self, now: Instant) -> Option<Turn> {
        self.next.filter(|at| *at <= now)?;
        let turn = if self.left == TIMES { Turn::First } else { Turn::Again };
        self.left = self.left.saturating_sub(1);
        self.next = (self.left > 0).then(|| now.saturating_add(APART));
        Some(turn)
    }

    /// When the next turn is.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }
}
