//! The scoreboard: what was sent and not acknowledged, what of it the peer has (SACK, RFC
//! 2018), what is taken for lost (RACK, RFC 8985), and what is therefore in flight (RFC 6675).

mod acked;
mod loss;
#[cfg(test)]
mod tests;

use super::rack::Rack;
use super::seq::{Range, Seq};
use alloc::collections::VecDeque;
use core::time::Duration;
use kernel::time::Instant;

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
}
