//! When to acknowledge (RFC 9293, section 3.8.6.3; RFC 5681, section 4.2).

use super::receive::Arrival;
use core::time::Duration;
use kernel::time::Instant;

/// How long an acknowledgement waits for company. Half a second is the most (RFC 9293, section
/// 3.8.6.3); the least that others wait before they send again is 200 ms.
const DELAY: Duration = Duration::from_millis(40);

/// How long one waits that is to be quick, and answers less than a full segment: for a program
/// that answers at once, whose answer then carries it.
const SHORT: Duration = Duration::from_millis(1);

/// Segments that are acknowledged quickly at the start and after a gap: a sender in slow start
/// grows with each acknowledgement (RFC 5681, section 3.1).
const QUICK: u8 = 16;

/// A sender that was silent for so long starts anew (RFC 5681, section 4.1).
const SILENCE: Duration = Duration::from_secs(1);

/// A full segment is at least so long (RFC 9293, section 3.7.1: the default MSS of IPv4).
const FULL: u32 = 536;

/// When the next acknowledgement is due.
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    due: Due,
    /// Segments that are still to be acknowledged quickly.
    quick: u8,
    /// Bytes that came in order since the last acknowledgement.
    bytes: u32,
    /// The longest segment of the peer so far, and what it was told to send at most: a longer
    /// frame is several.
    full: u32,
    mss: u32,
    /// When data came last.
    last: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Never,
    Now,
    At(Instant),
}

impl Acknowledgement {
    /// None is due. `mss` is what the peer was told that it may send in a segment.
    pub(crate) const fn new(mss: u32, now: Instant) -> Self {
        Self { due: Due::Never, quick: QUICK, bytes: 0, full: FULL, mss, last: now }
    }

    /// Takes note of a segment, or of several in one frame: `length` bytes of data, and what
    /// became of them. One without data or FIN is none to acknowledge.
    pub(crate) fn arrived(&mut self, length: usize, arrival: Arrival, now: Instant) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if now.saturating_duration_since(self.last) >= SILENCE {
            self.quick = QUICK;
        }
        self.last = now;
        if length <= self.mss {
            self.full = self.full.max(length);
        }
        self.bytes = self.bytes.saturating_add(length);
        if arrival.needs_ack() {
            // Each one says something new, until the gap is filled.
            self.quick = QUICK;
            self.due = Due::Now;
        } else if length == 0 || self.due == Due::Now {
        } else if self.bytes >= self.full.saturating_mul(2) {
            self.quick = self.quick.saturating_sub((self.bytes / self.full).min(255) as u8);
            self.due = Due::Now;
        } else if self.quick > 0 && length >= self.full {
            self.quick -= 1;
            self.due = Due::Now;
        } else if self.due == Due::Never {
            let quick = self.quick > 0;
            self.quick = self.quick.saturating_sub(1);
            self.due = Due::At(now.saturating_add(if quick { SHORT } else { DELAY }));
        }
    }

    /// Asks for one at once.
    pub(crate) const fn hurry(&mut self) {
        self.due = Due::Now;
    }

    /// Takes note that one was sent, by a segment with data or alone. Each segment carries one.
    pub(crate) fn sent(&mut self, with_data: bool) {
        if let Due::At(_) = self.due {
            // To wait was right when there was company, and of no use when there was none.
            self.quick = if with_data { 0 } else { self.quick.max(1) };
        }
        self.due = Due::Never;
        self.bytes = 0;
    }

    /// Returns whether one is to be sent, though there is nothing else to send.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        match self.due {
            Due::Never => false,
            Due::Now => true,
            Due::At(moment) => moment <= now,
        }
    }

    /// Returns when one will be due that is not yet.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.due {
            Due::At(moment) => Some(moment),
            Due::Never | Due::Now => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1460;

    fn start() -> (Acknowledgement, Instant) {
        kernel::testing::simulate_time();
        let now = Instant::now();
        (Acknowledgement::new(MSS as u32, now), now)
    }

    fn in_order(length: usize) -> Arrival {
        Arrival { in_order: length, ..Arrival::default() }
    }

    /// Ends the quick ones.
    fn bulk() -> (Acknowledgement, Instant) {
        let (mut acknowledgement, now) = start();
        for _ in 0..QUICK {
            acknowledgement.arrived(MSS, in_order(MSS), now);
            assert!(acknowledgement.is_due(now));
            acknowledgement.sent(false);
        }
        (acknowledgement, now)
    }

    fn after(now: Instant, milliseconds: u64) -> Instant {
        now.saturating_add(Duration::from_millis(milliseconds))
    }

    #[test]
    fn full_segments_are_acknowledged_one_by_one_at_first_then_two_by_two() {
        let (mut acknowledgement, now) = bulk();
        for _ in 0..10 {
            acknowledgement.arrived(MSS, in_order(MSS), now);
            assert!(!acknowledgement.is_due(now));
            assert_eq!(acknowledgement.deadline(), Some(after(now, 40)));
            acknowledgement.arrived(MSS, in_order(MSS), after(now, 1));
            assert!(acknowledgement.is_due(now) && acknowledgement.deadline().is_none());
            acknowledgement.sent(false);
            assert!(!acknowledgement.is_due(after(now, 1000)));
        }
        // Those of a peer with a smaller MSS as well, and several in one frame.
        let (mut acknowledgement, now) = start();
        for count in 0..100 {
            acknowledgement.arrived(1200, in_order(1200), now);
            if count >= QUICK && count % 2 == 0 {
                assert!(!acknowledgement.is_due(now));
                continue;
            }
            assert!(acknowledgement.is_due(now));
            acknowledgement.sent(false);
        }
        acknowledgement.arrived(2400, in_order(2400), now);
        assert!(acknowledgement.is_due(now));
    }

    #[test]
    fn one_segment_waits_40_ms_at_most() {
        let (mut acknowledgement, now) = bulk();
        acknowledgement.arrived(100, in_order(100), now);
        acknowledgement.arrived(100, in_order(100), after(now, 30));
        assert!(!acknowledgement.is_due(after(now, 39)) && acknowledgement.is_due(after(now, 40)));
        acknowledgement.sent(false);
        // Waiting was of no use: the next one is quicker, once.
        acknowledgement.arrived(100, in_order(100), after(now, 50));
        assert!(acknowledgement.is_due(after(now, 51)));
    }

    #[test]
    fn what_is_out_of_order_or_fills_a_gap_or_ends_is_acknowledged_at_once() {
        for arrival in [
            Arrival { out_of_order: true, ..Arrival::default() },
            Arrival { duplicate: true, ..Arrival::default() },
            Arrival { filled: true, ..in_order(10) },
            Arrival { cut: true, ..in_order(10) },
            Arrival { fin: true, ..Arrival::default() },
        ] {
            let (mut acknowledgement, now) = bulk();
            acknowledgement.arrived(10, arrival, now);
            assert!(acknowledgement.is_due(now), "{arrival:?}");
            acknowledgement.sent(false);
            for _ in 0..QUICK {
                acknowledgement.arrived(MSS, in_order(MSS), now);
                assert!(acknowledgement.is_due(now));
                acknowledgement.sent(false);
            }
            acknowledgement.arrived(MSS, in_order(MSS), now);
            assert!(!acknowledgement.is_due(now));
        }
    }

    #[test]
    fn an_answer_carries_it_and_requests_to_come_wait_for_theirs() {
        let (mut acknowledgement, now) = start();
        acknowledgement.arrived(100, in_order(100), now);
        assert!(!acknowledgement.is_due(now) && acknowledgement.is_due(after(now, 1)));
        acknowledgement.sent(true);
        for at in [10, 20, 30] {
            acknowledgement.arrived(100, in_order(100), after(now, at));
            assert_eq!(acknowledgement.deadline(), Some(after(now, at + 40)));
            acknowledgement.sent(true);
        }
        // After a silence all is as at the start.
        acknowledgement.arrived(MSS, in_order(MSS), after(now, 1030));
        assert!(acknowledgement.is_due(after(now, 1030)));
    }

    #[test]
    fn a_segment_without_data_is_not_acknowledged_unless_asked() {
        let (mut acknowledgement, now) = start();
        acknowledgement.arrived(0, Arrival::default(), now);
        assert!(!acknowledgement.is_due(after(now, 100_000)));
        acknowledgement.hurry();
        assert!(acknowledgement.is_due(now));
        acknowledgement.arrived(1, in_order(1), now);
        assert!(acknowledgement.is_due(now) && acknowledgement.deadline().is_none());
    }
}
