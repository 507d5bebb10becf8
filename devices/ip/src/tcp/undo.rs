//! Notices that what was sent again had not been lost, so that the sender need not have
//! slowed down: the Eifel algorithm by timestamps (RFC 3522; the response is RFC 4015's) and
//! by D-SACK (RFC 3708).

use super::seq::{Range, Seq};
use kernel::time::Instant;

/// ns in a tick of the timestamp clock (RFC 7323, section 5.4).
const TICK: u64 = 1_000_000;

/// Returns the timestamp of a segment that is sent at `now`, before the connection's own
/// offset: ms, which wrap around (RFC 7323, section 5.4).
pub(crate) const fn stamp(now: Instant) -> u32 {
    // It wraps on purpose.
    (now.as_nanos() / TICK) as u32
}

/// Returns whether the stamp `a` is earlier than `b`.
pub(crate) const fn is_earlier(a: u32, b: u32) -> bool {
    Seq(a).is_before(Seq(b))
}

/// What the last episode of slowing down rested on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Undo {
    /// SND.UNA and SND.NXT when it began; `None` when there is nothing to undo.
    span: Option<Range>,
    /// Bytes sent again of which nobody said yet that they arrived twice.
    unproven: u32,
    /// The stamp of the first retransmission.
    first: Option<u32>,
}

impl Undo {
    /// Begins an episode with `in_flight` from SND.UNA to SND.NXT. What was before can no
    /// longer be undone.
    pub(crate) fn begin(&mut self, in_flight: Range) {
        *self = Self { span: Some(in_flight), unproven: 0, first: None };
    }

    /// Forgets the episode: it was undone, or its cause is known to be real.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }

    /// Returns whether there is an episode that can still be undone.
    pub(crate) fn is_open(&self) -> bool {
        self.span.is_some()
    }

    /// Counts what is sent again at `now`.
    pub(crate) fn resent(&mut self, range: Range, now: Instant) {
        if self.span.is_some() {
            self.unproven = self.unproven.saturating_add(range.len());
            self.first = self.first.or(Some(stamp(now)));
        }
    }

    /// Judges an ACK that advanced SND.UNA from `before`, echoing the stamp `echo` (without the
    /// offset). Returns whether what it acknowledges was sent before the first retransmission,
    /// which was therefore needless (RFC 3522, section 3.2). The episode is then over.
    pub(crate) fn acknowledged(&mut self, before: Seq, echo: Option<u32>) -> bool {
        // Numbers come round again. D-SACKs of the episode have come long before that.
        self.span = self
            .span
            .filter(|span| before.is_before(span.end) || before.since(span.end) <= 1 << 30);
        let (Some(span), Some(first), Some(echo)) = (self.span, self.first, echo) else {
            return false;
        };
        // What was sent later than the episode's own data proves nothing.
        let spurious = before.is_before(span.end) && is_earlier(echo, first);
        if spurious {
            self.end();
        }
        spurious
    }

    /// Judges a D-SACK. Returns whether all that was sent again has now arrived twice (RFC
    /// 3708, section 3). The episode is then over.
    pub(crate) fn duplicate(&mut self, range: Range) -> bool {
        let Some(span) = self.span else { return false };
        if self.unproven == 0 || !span.contains(range) {
            return false;
        }
        self.unproven = self.unproven.saturating_sub(range.len());
        let spurious = self.unproven == 0;
        if spurious {
            self.end();
        }
        spurious
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(ms: u64) -> Instant {
        kernel::testing::simulate_time();
        Instant::now().saturating_add(Duration::from_millis(ms))
    }

    fn range(start: u32, end: u32) -> Range {
        Range::new(Seq(start), Seq(end))
    }

    #[test]
    fn an_episode_ends_before_numbers_come_round_again() {
        let mut undo = begun();
        undo.resent(range(1000, 2000), at(10));
        assert!(!undo.acknowledged(Seq(9000 + (1 << 30)), None) && undo.is_open());
        assert!(!undo.acknowledged(Seq(9001 + (1 << 30)), None) && !undo.is_open());
        assert!(!undo.acknowledged(Seq(1000), Some(stamp(at(9)))));
    }

    fn begun() -> Undo {
        let mut undo = Undo::default();
        undo.begin(range(1000, 9000));
        undo
    }

    #[test]
    fn an_echo_from_before_the_first_retransmission_undoes_once() {
        let mut undo = begun();
        undo.resent(range(1000, 2000), at(10));
        undo.resent(range(3000, 4000), at(12));
        assert!(!undo.acknowledged(Seq(1000), None));
        for echo in [10, 11, 12, 13] {
            assert!(!undo.acknowledged(Seq(1000), Some(stamp(at(echo)))), "{echo}");
        }
        assert!(undo.is_open());
        assert!(undo.acknowledged(Seq(1000), Some(stamp(at(9)))));
        assert!(!undo.is_open() && !undo.acknowledged(Seq(1000), Some(stamp(at(9)))));
    }

    #[test]
    fn an_echo_that_says_nothing_of_the_episode_undoes_nothing() {
        let mut undo = begun();
        assert!(!undo.acknowledged(Seq(1000), Some(stamp(at(5)))), "nothing was sent again");
        undo.resent(range(1000, 2000), at(10));
        assert!(!undo.acknowledged(Seq(9000), Some(stamp(at(5)))), "all of it is acknowledged");
        assert!(!Undo::default().acknowledged(Seq(1000), Some(0)));
    }

    #[test]
    fn stamps_wrap_around() {
        assert!(is_earlier(u32::MAX, 0) && !is_earlier(0, u32::MAX) && !is_earlier(7, 7));
    }

    #[test]
    fn a_duplicate_of_each_retransmission_undoes() {
        let mut undo = begun();
        assert!(!undo.duplicate(range(1000, 2000)), "nothing was sent again");
        undo.resent(range(1000, 2000), at(10));
        undo.resent(range(3000, 4500), at(12));
        assert!(!undo.duplicate(range(1000, 2000)));
        assert!(!undo.duplicate(range(0, 1000)), "from before the episode");
        assert!(!undo.duplicate(range(3000, 4000)));
        assert!(undo.duplicate(range(4000, 4500)));
        assert!(!undo.duplicate(range(4000, 4500)));
    }

    #[test]
    fn an_episode_ends_the_one_before_it() {
        let mut undo = begun();
        undo.resent(range(1000, 2000), at(10));
        undo.begin(range(5000, 9000));
        assert!(!undo.acknowledged(Seq(5000), Some(stamp(at(9)))));
        assert!(!undo.duplicate(range(1000, 2000)));
    }
}
