//! The scoreboard: what was sent and not acknowledged, what of it the peer has (SACK, RFC
//! 2018), what is taken for lost (RACK, RFC 8985), and what is therefore in flight (RFC 6675).

use super::rack::{DUPLICATES, Rack};
use super::rtt::Rtt;
use super::seq::{Range, Seq};
use super::undo::{is_earlier, stamp};
use alloc::collections::VecDeque;
use core::time::Duration;
use kernel::time::Instant;

/// Blocks of an ACK that are read. No more fit into its options (RFC 2018, section 3).
const BLOCKS: usize = 4;

/// Records for which memory is kept while nothing is in flight.
const KEPT: usize = 8;

/// Records beyond two a segment in flight. A block that would split one more is ignored.
const SPARE: usize = 64;

/// Records at most, whatever is in flight: each ACK may look at all of them, and the peer
/// decides how small segments are. Beyond it, what is sent later is of one record.
const MOST: usize = 4096;

/// What is known of some data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may still arrive.
    Flying,
    /// The peer has it, and may yet drop it.
    Sacked,
    /// It is to be sent again.
    Lost,
}

/// Data of one fate that was sent at once.
#[derive(Clone, Copy, Debug)]
struct Record {
    range: Range,
    sent: Instant,
    fate: Fate,
    /// It was sent more than once.
    resent: bool,
}

/// What was sent and not acknowledged: records in order and without gaps, neighbors that are
/// sacked being one.
#[derive(Debug)]
pub(crate) struct Sent {
    records: VecDeque<Record>,
    una: Seq,
    next: Seq,
    /// Bytes of each fate.
    flying: u32,
    sacked: u32,
    lost: u32,
    /// The peer sends SACKs.
    selective: bool,
    /// Bytes that duplicate ACKs say have left the network, when it does not.
    left: u32,
    /// Nothing before it is lost.
    hint: Seq,
    /// Nothing behind it was sent twice.
    twice: Seq,
    /// `RACK.fack`: the highest that arrived.
    highest: Seq,
    rack: Rack,
}

/// An ACK.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    /// Its acknowledgment number, at most SND.NXT; it may be before SND.UNA.
    pub(crate) una: Seq,
    /// Its SACK blocks as they came.
    pub(crate) sack: &'a [Range],
    /// The timestamp that it echoes, less the connection's offset (see [`stamp`]).
    pub(crate) echo: Option<u32>,
    pub(crate) now: Instant,
    pub(crate) mss: u32,
}

/// What an ACK told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acked {
    /// Bytes by which SND.UNA advanced.
    pub(crate) acked: u32,
    /// Bytes that are newly known to have arrived (`DeliveredData` of RFC 6937).
    pub(crate) delivered: u32,
    /// How long that took which was sent last, of what was sent once and arrived now.
    pub(crate) rtt: Option<Duration>,
    /// What the peer got twice (RFC 2883).
    pub(crate) dsack: Option<Range>,
    /// Something arrived after what had been sent after it.
    pub(crate) reordered: bool,
    /// The end of the first thing that arrived and was sent once. When that had been sent
    /// before a timeout, the timeout was needless (RFC 5682, section 3.1, step 3b).
    pub(crate) original: Option<Seq>,
    /// The peer acknowledges what is before something that it had sacked, and not that: it
    /// dropped it (RFC 2018, section 8). The next timeout puts that right.
    pub(crate) reneged: bool,
}

/// What [`Sent::detect`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detected {
    /// Bytes that are newly lost.
    pub(crate) lost: u32,
    /// When to ask again, if no ACK comes before.
    pub(crate) timer: Option<Instant>,
}

impl Sent {
    /// Has sent nothing; the next number is `una`. `selective`: SACK was negotiated.
    pub(crate) const fn new(una: Seq, selective: bool) -> Self {
        Self {
            records: VecDeque::new(),
            una,
            next: una,
            flying: 0,
            sacked: 0,
            lost: 0,
            selective,
            left: 0,
            hint: una,
            twice: una,
            highest: una,
            rack: Rack::new(),
        }
    }

    /// Learns whether SACK was negotiated.
    pub(crate) const fn set_selective(&mut self, selective: bool) {
        self.selective = selective;
    }

    /// Returns SND.UNA.
    pub(crate) const fn una(&self) -> Seq {
        self.una
    }

    /// Returns SND.NXT.
    pub(crate) const fn next(&self) -> Seq {
        self.next
    }

    /// Returns whether all that was sent is acknowledged. While it is not, the retransmission
    /// timer runs, even when nothing is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.una == self.next
    }

    /// Returns SND.NXT - SND.UNA (`FlightSize` of RFC 5681).
    pub(crate) const fn outstanding(&self) -> u32 {
        self.next.since(self.una)
    }

    #[cfg(test)]
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    /// Returns how many bytes are in the network (`pipe` of RFC 6675, section 4).
    pub(crate) fn in_flight(&self) -> u32 {
        self.flying.saturating_sub(self.left)
    }

    /// Returns how many bytes the peer has out of order.
    pub(crate) const fn sacked(&self) -> u32 {
        self.sacked.saturating_add(self.left)
    }

    /// Returns how many bytes are to be sent again.
    pub(crate) const fn lost(&self) -> u32 {
        self.lost
    }

    /// Returns whether packets are reordered on this path.
    pub(crate) const fn is_reordered(&self) -> bool {
        self.rack.is_reordered()
    }

    /// Records that `length` new numbers were sent, a FIN counting as one. Returns whether
    /// there is memory for that: it is asked before the segment leaves.
    pub(crate) fn sent(&mut self, length: u32, now: Instant) -> bool {
        if length == 0 {
            return true;
        }
        let range = Range::new(self.next, self.next + length);
        let full = self.records.len() >= MOST;
        match self.records.back_mut() {
            Some(last)
                if last.fate == Fate::Flying && !last.resent && (last.sent == now || full) =>
            {
                last.range.end = range.end;
                last.sent = now;
            }
            _ => {
                if self.records.len() >= 2 * MOST || self.records.try_reserve(1).is_err() {
                    return false;
                }
                let record = Record { range, sent: now, fate: Fate::Flying, resent: false };
                self.records.push_back(record);
            }
        }
        self.next = range.end;
        self.flying += length;
        true
    }

    /// Records that `range` was sent again, as [`next_lost`](Self::next_lost) or
    /// [`tail`](Self::tail) gave it.
    pub(crate) fn resent(&mut self, range: Range, now: Instant, mss: u32) {
        let mut at = self.find(range.start);
        let Some(record) = self.records.get(at).copied() else { return };
        if record.fate == Fate::Sacked || range.is_empty() {
            return;
        }
        self.rack.resent();
        if record.fate == Fate::Lost
            && record.range.start == range.start
            && self.extend(at, range, now)
        {
            return;
        }
        if record.range.start.is_before(range.start) && self.split(at, range.start, mss) {
            at += 1;
        }
        if record.range.end.is_after(range.end) {
            // Without room for one more, all of it counts as sent again: what was not is lost
            // by its time.
            self.split(at, range.end, mss);
        }
        let Some(record) = self.records.get_mut(at) else { return };
        if record.fate == Fate::Lost {
            self.lost -= record.range.len();
            self.flying += record.range.len();
            self.hint = record.range.end;
        }
        record.fate = Fate::Flying;
        record.sent = now;
        record.resent = true;
        self.twice = self.twice.max(record.range.end);
    }

    /// Moves the start of the lost record at `at` to what was sent again just now before it.
    /// Returns whether there is such a thing.
    fn extend(&mut self, at: usize, range: Range, now: Instant) -> bool {
        let Some(before) = at.checked_sub(1).and_then(|at| self.records.get_mut(at)) else {
            return false;
        };
        if before.fate != Fate::Flying || !before.resent || before.sent != now {
            return false;
        }
        let start = before.range.end;
        let Some(record) = self.records.get_mut(at) else { return false };
        let end = range.end.min(record.range.end);
        record.range.start = end;
        if record.range.is_empty() {
            self.records.remove(at);
        }
        if let Some(before) = self.records.get_mut(at - 1) {
            before.range.end = end;
        }
        let length = end.since(start);
        self.lost -= length;
        self.flying += length;
        self.hint = end;
        self.twice = self.twice.max(end);
        true
    }

    /// Returns the first piece that is to be sent again, of at most `most` bytes.
    pub(crate) fn next_lost(&self, most: u32) -> Option<Range> {
        if self.lost == 0 {
            return None;
        }
        let mut at = self.find(self.hint);
        loop {
            let record = self.records.get(at)?;
            if record.fate == Fate::Lost {
                let Range { start, end } = record.range;
                return Some(Range::new(start, end.min(start + most)));
            }
            at += 1;
        }
    }

    /// Returns the last of what is in flight, at most `most` bytes, for a tail loss probe when
    /// there is nothing new to send (RFC 8985, section 7.3). `None` when nothing is.
    pub(crate) fn tail(&self, most: u32) -> Option<Range> {
        let last = self.records.iter().rev().find(|last| last.fate == Fate::Flying)?;
        Some(Range::new(last.range.start.max(last.range.end - most), last.range.end))
    }

    /// Returns where the record is that holds `seq`.
    fn find(&self, seq: Seq) -> usize {
        self.records.partition_point(|record| !record.range.end.is_after(seq))
    }

    /// Makes two of the record at `at`, the second from `seq` on. Returns whether there is
    /// room.
    fn split(&mut self, at: usize, seq: Seq, mss: u32) -> bool {
        let most = (self.outstanding() / mss.max(1)) as usize * 2 + SPARE;
        if self.records.len() >= most.min(MOST) || self.records.try_reserve(1).is_err() {
            return false;
        }
        let Some(record) = self.records.get_mut(at) else { return false };
        let second = Record { range: Range::new(seq, record.range.end), ..*record };
        record.range.end = seq;
        self.records.insert(at + 1, second);
        true
    }

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

/// What an ACK told so far.
struct News {
    acked: Acked,
    /// When that was sent of what was sent once and arrived which was sent last.
    newest: Option<Instant>,
    /// `highest` after it: what was sent first may be reported last, and was not late then.
    highest: Seq,
}

#[cfg(test)]
mod tests;
