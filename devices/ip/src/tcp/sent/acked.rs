//! What an ACK tells: what arrived, and what of that out of order (RFC 2018).

use super::{Ack, Acked, Fate, KEPT, Record, Sent};
use crate::tcp::rtt::Rtt;
use crate::tcp::seq::{Range, Seq};
use crate::tcp::undo::{is_earlier, stamp};
use alloc::collections::VecDeque;
use kernel::time::Instant;

/// Blocks of an ACK that are read. No more fit into its options (RFC 2018, section 3).
const BLOCKS: usize = 4;

/// What an ACK told so far.
struct News {
    acked: Acked,
    /// When that was sent of what was sent once and arrived which was sent last.
    newest: Option<Instant>,
    /// `highest` after it: what was sent first may be reported last, and was not late then.
    highest: Seq,
}

impl Sent {
    /// Takes an ACK in: removes what it acknowledges and marks what it sacks.
    ///
    /// Blocks are taken within SND.UNA to SND.NXT; others are ignored. At most four are read.
    pub(crate) fn acknowledge(&mut self, ack: &Ack<'_>, rtt: &Rtt) -> Acked {
        let mut news = News { acked: Acked::default(), newest: None, highest: self.highest };
        let una = ack.una.min(self.next);
        if una.is_after(self.una) {
            self.advance(una, ack, rtt, &mut news);
        }
        if self.selective && !ack.sack.is_empty() {
            self.read(ack, rtt, &mut news);
        }
        self.highest = news.highest;
        news.acked.rtt = news.newest.map(|sent| ack.now.saturating_duration_since(sent));
        news.acked
    }

    fn advance(&mut self, una: Seq, ack: &Ack<'_>, rtt: &Rtt, news: &mut News) {
        let acked = una.since(self.una);
        self.una = una;
        self.rack.passed(una);
        let mut resent = false;
        while let Some(front) = self.records.front_mut() {
            let mut part = *front;
            if una.is_before(part.range.end) {
                if !part.range.start.is_before(una) {
                    news.acked.reneged = part.fate == Fate::Sacked;
                    break;
                }
                front.range.start = una;
                part.range.end = una;
            } else {
                self.records.pop_front();
            }
            resent |= part.resent && part.fate != Fate::Sacked;
            self.arrived(part, ack, ack.echo, rtt, news);
        }
        if resent {
            // What filled the gap arrived now. What is behind it may have long ago, and says
            // nothing of the round trip (RFC 6298, section 3).
            news.newest = None;
            if !self.selective {
                // Nor that the timeout was needless: nobody told that it had arrived.
                news.acked.original = None;
            }
        }
        news.acked.acked = acked;
        if self.left > 0 {
            // Duplicates have told of some of it, but not of the segment that was missing.
            let known = self.left.min(acked.saturating_sub(ack.mss));
            self.left = (self.left - known).min(self.flying);
            news.acked.delivered = news.acked.delivered.saturating_sub(known);
        }
        self.hint = self.hint.max(una);
        self.twice = self.twice.max(una);
        news.highest = news.highest.max(una);
        if self.records.is_empty() && self.records.capacity() > KEPT {
            self.records = VecDeque::new();
        }
    }

    /// Reads the SACK blocks (RFC 2018, section 5). The first may be a D-SACK: it is before
    /// the acknowledgment, or within the second (RFC 2883, section 4).
    fn read(&mut self, ack: &Ack<'_>, rtt: &Rtt, news: &mut News) {
        for (at, block) in ack.sack.iter().take(BLOCKS).enumerate() {
            if !block.start.is_before(block.end) || block.end.is_after(self.next) {
                continue;
            }
            let within = ack.sack.get(1).is_some_and(|second| second.contains(*block));
            if at == 0 && (!block.end.is_after(ack.una) || within) {
                news.acked.dsack = Some(*block);
                continue;
            }
            let start = block.start.max(self.una);
            if start.is_before(block.end) {
                self.sack(Range::new(start, block.end), ack, rtt, news);
            }
        }
    }

    fn sack(&mut self, block: Range, ack: &Ack<'_>, rtt: &Rtt, news: &mut News) {
        let mut at = self.find(block.start);
        while let Some(record) = self.records.get(at).copied() {
            let range = record.range;
            if !range.start.is_before(block.end) {
                break;
            }
            if record.fate != Fate::Sacked {
                if range.start.is_before(block.start) {
                    self.split(at, block.start, ack.mss);
                    at += 1;
                    continue;
                }
                if range.end.is_after(block.end) && !self.split(at, block.end, ack.mss) {
                    break;
                }
                let Some(record) = self.records.get_mut(at) else { break };
                let part = *record;
                record.fate = Fate::Sacked;
                self.sacked += part.range.len();
                self.arrived(part, ack, None, rtt, news);
            }
            if !self.join(at) {
                at += 1;
            }
        }
        self.join(at);
    }

    /// Makes one of the record at `at` and the one before it, if both are sacked.
    fn join(&mut self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let (Some(first), Some(second)) = (self.records.get(before), self.records.get(at)) else {
            return false;
        };
        if first.fate != Fate::Sacked || second.fate != Fate::Sacked {
            return false;
        }
        let end = second.range.end;
        self.records.remove(at);
        if let Some(first) = self.records.get_mut(before) {
            first.range.end = end;
        }
        true
    }

    /// Counts a part of a record that is acknowledged or sacked now. `echo` is the stamp of what
    /// filled the gap before SND.UNA, if it is that.
    fn arrived(
        &mut self,
        part: Record,
        ack: &Ack<'_>,
        echo: Option<u32>,
        rtt: &Rtt,
        news: &mut News,
    ) {
        let length = part.range.len();
        match part.fate {
            Fate::Sacked => {
                self.sacked -= length;
                return;
            }
            Fate::Flying => self.flying -= length,
            Fate::Lost => self.lost -= length,
        }
        news.acked.delivered += length;
        let end = part.range.end;
        if part.resent {
            // The original may be what arrived (RFC 8985, section 6.2, step 2).
            let took = ack.now.saturating_duration_since(part.sent);
            let too_soon = rtt.least().is_some_and(|least| took < least);
            if too_soon || echo.is_some_and(|echo| is_earlier(echo, stamp(part.sent))) {
                return;
            }
        } else {
            news.newest = news.newest.max(Some(part.sent));
            news.acked.original = news.acked.original.or(Some(end));
            if end.is_before(self.highest) {
                news.acked.reordered = true;
                self.rack.reordered();
            }
        }
        news.highest = news.highest.max(end);
        self.rack.arrived(part.sent, end, ack.now);
    }

    /// Counts a duplicate ACK (RFC 5681, section 2) of a peer that sends no SACKs: one more
    /// segment has left the network. Returns how many bytes that is.
    pub(crate) fn duplicate(&mut self, mss: u32) -> u32 {
        // The gap itself has not.
        let most = self.flying.saturating_sub(self.left).saturating_sub(mss);
        let count = if self.selective { 0 } else { mss.min(most) };
        self.left += count;
        count
    }
}
