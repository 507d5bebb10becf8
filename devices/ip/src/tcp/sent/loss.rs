//! What is taken for lost: by time (RACK, RFC 8985), by duplicate ACKs where the peer sends no
//! SACKs (RFC 6582), by a timeout.

use super::{Detected, Fate, Record, Sent};
use crate::tcp::rack::DUPLICATES;
use crate::tcp::rtt::Rtt;
use kernel::time::Instant;

impl Sent {
    /// Marks what is lost by RACK (RFC 8985, section 6.2, step 5); when the peer sends no SACKs,
    /// by three duplicate ACKs and by partial ones (RFC 6582, section 3.2). Asked after each ACK
    /// and when its timer is due. `recovering`: an episode of recovery is under way, by SACK or
    /// by timeout.
    pub(crate) fn detect(
        &mut self,
        rtt: &Rtt,
        recovering: bool,
        mss: u32,
        now: Instant,
    ) -> Detected {
        let Some(front) = self.records.front() else { return Detected::default() };
        if !self.selective {
            return self.detect_by_count(recovering, mss);
        }
        let quiet = self.sacked == 0 && self.lost == 0 && !recovering;
        if quiet && !self.rack.is_before_latest(front.sent, front.range.end) {
            return Detected::default();
        }
        let eager = recovering || self.sacked > (DUPLICATES - 1) * mss;
        let patience = self.rack.patience(rtt, eager);
        let mut found = Detected::default();
        for record in &mut self.records {
            if record.fate != Fate::Flying {
                continue;
            }
            if !self.rack.is_before_latest(record.sent, record.range.end) {
                if record.range.start.is_before(self.twice) {
                    continue;
                }
                // From here on they were sent in order.
                break;
            }
            let due = record.sent.saturating_add(patience);
            if due <= now {
                record.fate = Fate::Lost;
                found.lost += record.range.len();
                self.hint = self.hint.min(record.range.start);
            } else {
                found.timer = Some(found.timer.map_or(due, |timer| timer.min(due)));
            }
        }
        self.flying -= found.lost;
        self.lost += found.lost;
        found
    }

    fn detect_by_count(&mut self, recovering: bool, mss: u32) -> Detected {
        let mut found = Detected::default();
        let enough = recovering || self.left >= DUPLICATES * mss;
        let Some(front) = self.records.front().copied() else { return found };
        if !enough || front.fate != Fate::Flying || front.resent {
            return found;
        }
        if front.range.len() > mss {
            self.split(0, front.range.start + mss, mss);
        }
        if let Some(front) = self.records.front_mut() {
            front.fate = Fate::Lost;
            found.lost = front.range.len();
            self.hint = front.range.start;
        }
        self.flying -= found.lost;
        self.lost += found.lost;
        self.left = self.left.min(self.flying);
        found
    }

    /// Takes for lost, at a retransmission timeout, the first segment and what has been under
    /// way for long (RFC 8985, section 6.3). When the first was sacked, the peer dropped what
    /// it had out of order: all is lost (RFC 2018, section 8).
    pub(crate) fn timeout(&mut self, rtt: &Rtt, now: Instant) {
        let patience = self.rack.patience(rtt, true);
        let reneged = self.records.front().is_some_and(|front| front.fate == Fate::Sacked);
        let first = self.una;
        self.lose(|record| {
            reneged
                || record.fate == Fate::Flying
                    && (record.range.start == first || record.sent.saturating_add(patience) <= now)
        });
    }

    /// Takes all for lost that the peer does not have, for another reason than congestion:
    /// packets were too long for the path (RFC 1191, section 6.4).
    pub(crate) fn lose_all(&mut self) {
        self.lose(|record| record.fate == Fate::Flying);
    }

    fn lose(&mut self, which: impl Fn(&Record) -> bool) {
        for record in &mut self.records {
            if which(record) {
                let length = record.range.len();
                match record.fate {
                    Fate::Flying => self.flying -= length,
                    Fate::Sacked => self.sacked -= length,
                    Fate::Lost => self.lost -= length,
                }
                self.lost += length;
                record.fate = Fate::Lost;
            }
        }
        self.left = 0;
        self.hint = self.una;
    }

    /// Takes nothing for lost any more, since the episode was needless, and packets for
    /// reordered. What is lost in truth is found again, by a wider window.
    pub(crate) fn undo(&mut self) {
        for record in &mut self.records {
            if record.fate == Fate::Lost {
                record.fate = Fate::Flying;
            }
        }
        self.flying += self.lost;
        self.lost = 0;
        self.rack.reordered();
    }

    /// Tolerates more reordering, since the peer got twice what was sent again (RFC 8985,
    /// section 6.2, step 4). Once for each D-SACK that is not a probe's.
    pub(crate) fn widen(&mut self) {
        self.rack.widen(self.una, self.next);
    }

    /// Notes that an episode of recovery ended.
    pub(crate) fn recovered(&mut self) {
        self.rack.recovered();
    }
}
