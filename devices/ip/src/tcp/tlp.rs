//! The tail loss probe (RFC 8985, section 7): when the end of what was sent may be lost, so
//! that nothing that arrives later tells, one more segment asks long before the timeout.

use super::rtt::Rtt;
use super::seq::{Range, Seq};
use core::time::Duration;

/// How long the peer may delay its ACK of a single segment (`WCDelAckT`).
const DELAYED_ACK: Duration = Duration::from_millis(200);

/// Room for clocks and schedules, when more than one segment is in flight.
const LEAST: Duration = Duration::from_millis(2);

/// How long to wait for an ACK before a probe (`PTO`) when the round trip is not known.
const INITIAL: Duration = Duration::from_secs(1);

/// Returns how long after the last transmission or ACK a probe is due (section 7.2), with a
/// `single` segment in flight or more. The caller sends it at the retransmission timeout
/// instead, if that is earlier; only when nothing is sacked or lost; and not twice in a row.
pub(crate) fn timeout(rtt: &Rtt, single: bool) -> Duration {
    match rtt.smoothed() {
        Some(smoothed) => 2 * smoothed + if single { DELAYED_ACK } else { LEAST },
        None => INITIAL,
    }
}

/// The probe that is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tlp {
    /// `TLP.end_seq`: SND.NXT after it was sent; and whether it was a retransmission.
    probe: Option<(Seq, bool)>,
}

impl Tlp {
    /// Returns whether a probe is under way: another one may be sent only after it.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.probe.is_some()
    }

    /// Notes that a probe was sent, after which SND.NXT is `next` (section 7.3).
    pub(crate) fn sent(&mut self, next: Seq, resent: bool) {
        self.probe = Some((next, resent));
    }

    /// Forgets the probe: a timeout or an episode of recovery began.
    pub(crate) fn end(&mut self) {
        self.probe = None;
    }

    /// Returns whether a D-SACK of this range is about the probe, and says nothing of RACK's
    /// window then.
    pub(crate) fn is_duplicate(&self, range: Range) -> bool {
        matches!(self.probe, Some((end, true)) if range.end == end)
    }

    /// Judges an ACK that acknowledges up to `una` (section 7.4.2). `duplicate`: it neither
    /// acknowledges nor sacks nor carries data or a window. Returns whether the probe repaired
    /// a loss that nobody noticed otherwise: the window must be reduced once.
    pub(crate) fn acknowledged(&mut self, una: Seq, dsack: Option<Range>, duplicate: bool) -> bool {
        let Some((end, resent)) = self.probe else { return false };
        if una.is_before(end) {
            return false;
        }
        if !resent || dsack.is_some_and(|range| range.end == end) {
            // New data, or both copies arrived.
            self.probe = None;
            return false;
        }
        if una.is_after(end) {
            // What came after it was acknowledged first, and no second copy was reported.
            self.probe = None;
            return true;
        }
        if duplicate {
            // The ACK of the second copy, by a peer that does not report it.
            self.probe = None;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::time::Instant;

    #[test]
    fn a_probe_is_due_after_two_round_trips_and_what_a_delayed_ack_takes() {
        kernel::testing::simulate_time();
        let mut rtt = Rtt::new();
        assert_eq!(timeout(&rtt, true), INITIAL);
        rtt.sample(Duration::from_millis(50), 1, Instant::now());
        assert_eq!(timeout(&rtt, false), Duration::from_millis(102));
        assert_eq!(timeout(&rtt, true), Duration::from_millis(300));
    }

    /// What follows a probe that ended at 1000: ACK, D-SACK, duplicate.
    fn outcome(resent: bool, acks: &[(u32, bool, bool)]) -> (bool, bool) {
        let mut tlp = Tlp::default();
        tlp.sent(Seq(1000), resent);
        let mut lost = false;
        for (una, dsack, duplicate) in acks {
            let dsack = dsack.then(|| Range::new(Seq(900), Seq(1000)));
            lost |= tlp.acknowledged(Seq(*una), dsack, *duplicate);
        }
        (lost, tlp.is_under_way())
    }

    #[test]
    fn a_loss_that_the_probe_repaired_is_noticed() {
        // Acknowledged, then something later without a report of a second copy.
        assert_eq!(outcome(true, &[(1000, false, false)]), (false, true));
        assert_eq!(outcome(true, &[(1000, false, false), (1500, false, false)]), (true, false));
        // Both copies arrived.
        assert_eq!(outcome(true, &[(1000, true, false)]), (false, false));
        assert_eq!(outcome(true, &[(1000, false, false), (1000, false, true)]), (false, false));
        // New data is no retransmission.
        assert_eq!(outcome(false, &[(1000, false, false), (1500, false, false)]), (false, false));
        assert_eq!(outcome(true, &[(900, false, true)]), (false, true));
    }

    #[test]
    fn a_duplicate_of_the_probe_is_told_from_others() {
        let mut tlp = Tlp::default();
        let range = Range::new(Seq(900), Seq(1000));
        assert!(!tlp.is_duplicate(range));
        tlp.sent(Seq(1000), true);
        assert!(tlp.is_duplicate(range));
        assert!(!tlp.is_duplicate(Range::new(Seq(800), Seq(900))));
    }
}
