//! The receiving half of a connection (RFC 9293, section 3.10.7.4): what is taken of each
//! segment, what arrived behind a gap, and the window.

use super::islands::{Islands, Place};
use super::pool::Pool;
use super::seq::{Range, Seq};
use super::stream::Stream;
use super::tuning::Tuning;
use alloc::rc::Rc;
use core::time::Duration;
use kernel::time::Instant;

#[cfg(test)]
mod tests;

/// The most that a window says before it is scaled (RFC 7323, section 2.2).
const MOST: u32 = 0xffff;

/// The largest shift of a window (RFC 7323, section 2.3).
const SHIFT: u8 = 14;

/// Bytes of a window while the memory of all is scarce: ten segments.
const SCARCE: u32 = 14_600;

/// What came of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Bytes that can be read since then, those behind a gap that it filled among them.
    pub(crate) in_order: usize,
    /// The peer's end was reached.
    pub(crate) fin: bool,
    /// It is behind a gap.
    pub(crate) out_of_order: bool,
    /// Some of it was there already.
    pub(crate) duplicate: bool,
    /// There was a gap, all or a part of which it filled.
    pub(crate) filled: bool,
    /// Not all of it was taken: it is beyond the window, or there was no memory.
    pub(crate) cut: bool,
}

impl Arrival {
    /// Returns whether the peer has to know at once (RFC 5681, section 4.2; RFC 9293, section
    /// 3.10.7.4).
    pub(crate) const fn needs_ack(self) -> bool {
        self.fin | self.out_of_order | self.duplicate | self.filled | self.cut
    }
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: Stream,
    /// RCV.NXT: behind the FIN when that was reached.
    next: Seq,
    /// The right edge of the widest window that was announced.
    right: Seq,
    /// The number of the peer's FIN, once it is known.
    fin: Option<Seq>,
    /// What arrived behind a gap. The FIN is of it, with its number.
    islands: Islands,
    /// What arrived a second time and was not told yet.
    duplicate: Option<Range>,
    tuning: Tuning,
    /// Bytes that may be held now, whatever the connection could use.
    share: u32,
    /// The longest segment that the peer may send.
    mss: u32,
    scale: u8,
}

impl Receiver {
    /// Nothing was received, and no window announced. `next` is the number behind the SYN,
    /// `mss` what the peer was told to send at most in a segment, `scale` by how many bits
    /// windows of ours are shifted (0 when the peer does not scale), and `limit` the bytes that
    /// it may ever hold.
    pub(crate) fn new(
        next: Seq,
        pool: Rc<Pool>,
        mss: u32,
        scale: u8,
        limit: usize,
        now: Instant,
    ) -> Self {
        let scale = scale.min(SHIFT);
        let most = MOST << scale;
        let limit = u32::try_from(limit).unwrap_or(most).max(least(mss, scale)).min(most);
        Self {
            stream: Stream::new(pool),
            next,
            right: next,
            fin: None,
            islands: Islands::default(),
            duplicate: None,
            tuning: Tuning::new(limit, now),
            share: most,
            mss,
            scale,
        }
    }

    /// Returns RCV.NXT, which is behind the FIN when that was reached.
    pub(crate) const fn next(&self) -> Seq {
        self.next
    }

    /// Returns what is acceptable: from RCV.NXT to the right edge that was announced.
    pub(crate) const fn window(&self) -> Range {
        Range::new(self.next, self.right)
    }

    /// Returns how many bytes can be read.
    pub(crate) const fn len(&self) -> usize {
        self.stream.len()
    }

    /// Returns whether the peer's end was reached: nothing more will arrive.
    pub(crate) fn has_ended(&self) -> bool {
        self.fin.is_some_and(|fin| self.next.is_after(fin))
    }

    /// Returns whether the peer's end was reached and all before it was read.
    pub(crate) fn is_finished(&self) -> bool {
        self.stream.is_empty() && self.has_ended()
    }

    /// Returns whether something arrived behind a gap.
    pub(crate) const fn has_islands(&self) -> bool {
        !self.islands.is_empty()
    }

    /// Takes what is in the window and not there yet (RFC 9293, section 3.10.7.4, "seventh,
    /// process the segment text" and "eighth"). `start` is the number of the first byte.
    pub(crate) fn accept(&mut self, start: Seq, payload: &[u8], fin: bool) -> Arrival {
        if !fin && self.expects(start, payload.len()) {
            let in_order = self.stream.append(payload, usize::MAX);
            self.next += in_order as u32;
            return Arrival { in_order, cut: in_order < payload.len(), ..Arrival::default() };
        }
        self.judge(start, payload, fin)
    }

    /// Returns whether `length` bytes that begin with the number `start` are simply the next in
    /// order.
    pub(crate) const fn expects(&self, start: Seq, length: usize) -> bool {
        start.0 == self.next.0
            && self.fin.is_none()
            && self.islands.is_empty()
            && length <= self.window().len() as usize
    }

    /// Has `fill` write `count` bytes, piece by piece, to where those belong that it
    /// [expects](Self::expects).
    pub(crate) fn stage(&mut self, count: usize, fill: &mut dyn FnMut(&mut [u8])) {
        self.stream.stage(count, fill);
    }

    /// Takes `count` bytes that were [staged](Self::stage).
    pub(crate) fn accept_staged(&mut self, count: usize) -> Arrival {
        let in_order = self.stream.extend(count);
        self.next += in_order as u32;
        Arrival { in_order, cut: in_order < count, ..Arrival::default() }
    }

    /// Forgets what was staged and not taken, before anything else may arrive.
    pub(crate) fn unstage(&mut self) {
        if self.stream.is_staged() && self.islands.is_empty() {
            self.stream.truncate();
        }
    }

    /// Takes what is not simply the next in order.
    #[inline(never)]
    fn judge(&mut self, start: Seq, payload: &[u8], fin: bool) -> Arrival {
        let mut arrival = Arrival::default();
        // It is in one packet, so less than 2^31.
        let Ok(length) = u32::try_from(payload.len()) else { return arrival };
        let end = start + length;

        // What was received before (RFC 2883, section 4).
        let old = self.next.since(start).min(length);
        if old > 0 {
            self.duplicate = Some(Range::new(start, start + old));
            arrival.duplicate = true;
        }
        arrival.duplicate |= fin && self.has_ended() && end.is_before(self.next);

        // What is beyond the window, or beyond the end that the peer has told.
        let mut edge = self.right.max(self.next);
        if let Some(fin) = self.fin {
            edge = edge.min(fin.max(self.next));
        }
        let from = start + old;
        let count = (length - old).min(edge.since(from));
        arrival.cut = end.is_after(edge);
        // One end is the peer's, which it may tell again; another one is not taken.
        arrival.cut |= fin && self.fin.is_some_and(|it| it != end);
        // A FIN that does not fit into the window takes no memory.
        let fin = fin && !arrival.cut && !end.is_before(self.next);

        let piece = payload.get(old as usize..(old + count) as usize).unwrap_or_default();
        if piece.is_empty() && !fin {
            return arrival;
        }
        if from == self.next {
            self.advance(piece, fin, &mut arrival);
        } else {
            self.keep(from, piece, fin, &mut arrival);
        }
        arrival
    }

    /// Takes what comes next, and what is behind it already.
    fn advance(&mut self, piece: &[u8], fin: bool, arrival: &mut Arrival) {
        arrival.filled = !self.islands.is_empty();
        let before = self.stream.len();
        let mut put = self.stream.append(piece, usize::MAX);
        if put < piece.len() && arrival.filled {
            // What comes next needs the memory more. The peer still has the rest (RFC 2018,
            // section 8).
            self.forget();
            put += self.stream.append(piece.get(put..).unwrap_or_default(), usize::MAX);
        }
        arrival.cut |= put < piece.len();
        let start = self.next;
        self.next += put as u32;
        if fin && put == piece.len() {
            self.fin = Some(self.next);
        }
        if arrival.filled && put > 0 {
            let range = Range::new(start, self.next);
            if let (_, Some(duplicate)) = self.islands.place(range, 0) {
                // What is below comes first.
                if !arrival.duplicate {
                    self.duplicate = Some(duplicate);
                }
                arrival.duplicate = true;
            }
            // The FIN is the last number of an island, and no byte.
            let end = self.islands.join(self.next);
            let end = self.fin.map_or(end, |fin| end.min(fin));
            self.stream.extend(end.since(self.next) as usize);
            self.next = self.next.max(end);
        }
        arrival.in_order = self.stream.len() - before;
        if self.fin == Some(self.next) {
            self.next += 1;
            self.right = self.right.max(self.next);
            arrival.fin = true;
            self.forget();
        }
    }

    /// Keeps what is behind a gap.
    fn keep(&mut self, from: Seq, piece: &[u8], fin: bool, arrival: &mut Arrival) {
        arrival.out_of_order = true;
        let end = from + piece.len() as u32;
        let range = Range::new(from, end + u32::from(fin));
        let (place, duplicate) = self.islands.place(range, self.window().len());
        if let Some(duplicate) = duplicate {
            self.duplicate = Some(duplicate);
            arrival.duplicate = true;
        }
        match place {
            Place::Within => {
                self.islands.touch(from);
                if fin {
                    self.fin = Some(end);
                }
            }
            Place::Beyond => arrival.cut = true,
            Place::Beside | Place::Apart => {
                let offset = self.stream.len() + from.since(self.next) as usize;
                let put = self.stream.write_at(offset, piece);
                arrival.cut |= put < piece.len();
                let fin = fin && put == piece.len();
                let kept = Range::new(from, from + put as u32 + u32::from(fin));
                if !kept.is_empty() {
                    self.islands.insert(kept);
                }
                if fin {
                    self.fin = Some(end);
                }
            }
        }
    }

    /// Forgets all that is behind a gap, its FIN too.
    fn forget(&mut self) {
        self.islands.clear();
        self.stream.truncate();
        self.fin = self.fin.filter(|fin| !fin.is_after(self.next));
    }

    /// Returns what an acknowledgement tells of, at most `most` ranges: once what arrived a
    /// second time (RFC 2883, section 4), then what is behind gaps, the newest first (RFC 2018,
    /// section 4). With timestamps there is room for 3, without for 4.
    pub(crate) fn sack(&mut self, out: &mut heapless::Vec<Range, 4>, most: usize) {
        out.clear();
        if let Some(duplicate) = self.duplicate.take()
            && most > 0
        {
            // There is room.
            let _ = out.push(duplicate);
        }
        self.islands.newest(out, most);
    }

    /// Returns whether [`sack`](Self::sack) would tell of something.
    pub(crate) const fn has_sack(&self) -> bool {
        self.duplicate.is_some() || self.has_islands()
    }

    /// Copies bytes that can be read, from `offset` on, and leaves them there. Returns how many.
    pub(crate) fn peek(&self, offset: usize, to: &mut [u8]) -> usize {
        self.stream.copy(offset, to)
    }

    /// Copies bytes and removes them. Returns how many.
    pub(crate) fn read(&mut self, to: &mut [u8], now: Instant) -> usize {
        let count = self.stream.copy(0, to);
        self.consume(count, now);
        count
    }

    /// Removes bytes that were read, all at most.
    pub(crate) fn consume(&mut self, count: usize, now: Instant) {
        let count = count.min(self.stream.len());
        self.stream.consume(count);
        self.tuning.read(count as u32, now);
    }

    /// Puts bytes that were read last back to the front. Returns false, and changes nothing, if there
    /// is no memory. What is behind a gap is forgotten: the peer still has it.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) -> bool {
        let put = self.stream.put_back(bytes);
        if put {
            self.forget();
        }
        put
    }

    /// Holds `unread`, which was received before. `ended`: the number before the next one was the
    /// peer's FIN. Returns whether there is memory for the bytes.
    pub(crate) fn restore(&mut self, unread: &[u8], ended: bool) -> bool {
        self.fin = ended.then_some(self.next - 1);
        self.stream.append(unread, usize::MAX) == unread.len()
    }

    /// Sets how many bytes it may hold from now on: two segments at least. It takes effect as
    /// data arrives, since what was announced is not taken back.
    pub(crate) fn set_share(&mut self, share: usize) {
        self.share = u32::try_from(share).unwrap_or(u32::MAX);
    }

    /// Takes a round trip into account that was measured by timestamps of data received (RFC
    /// 7323, section 4), or by what was sent.
    pub(crate) fn note_rtt(&mut self, rtt: Duration) {
        self.tuning.note_rtt(rtt);
    }

    /// Returns the window that the next segment is to announce, in bytes of which the last
    /// `scale` bits are 0; a SYN says [at most 65 535](Self::window_of_syn). The right edge
    /// moves when that gains a segment or half the buffer (RFC 9293, section 3.8.6.2.2), and
    /// not to the left but by what scaling cuts off, which [stays](Self::window) acceptable
    /// (RFC 7323, section 2.4).
    pub(crate) fn window_to_announce(&self) -> u32 {
        let now = self.window().len();
        let size = self.size();
        let wanted = size.saturating_sub(u32::try_from(self.stream.len()).unwrap_or(u32::MAX));
        let gain = wanted.saturating_sub(now);
        let window = if gain >= self.mss.min(size / 2) { now.max(wanted) } else { now };
        window.min(MOST << self.scale) >> self.scale << self.scale
    }

    /// Returns the window that a SYN is to announce, which is never scaled (RFC 7323, section
    /// 2.2).
    pub(crate) fn window_of_syn(&self) -> u16 {
        u16::try_from(self.size()).unwrap_or(u16::MAX)
    }

    /// Takes note that a window of so many bytes was announced.
    pub(crate) fn announced(&mut self, window: u32) {
        self.right = self.right.max(self.next + window.min(MOST << self.scale));
    }

    /// Returns whether the peer has to be told of the window at once: it may not go on, or soon
    /// not, and would find twice as much.
    pub(crate) fn is_update_due(&self) -> bool {
        let now = self.window().len();
        now <= self.size() / 2 && {
            let window = self.window_to_announce();
            window > now && window / 2 >= now && !self.has_ended()
        }
    }

    /// Returns how many bytes may be held now.
    fn size(&self) -> u32 {
        let mut share = self.share;
        if self.stream.pool().is_scarce() {
            share = share.min(SCARCE);
        }
        self.tuning.size().min(share.max(least(self.mss, self.scale)))
    }
}

/// Returns how many bytes any connection may hold: two segments, and what is not lost to the
/// scale. With less, a window could stay closed for ever.
fn least(mss: u32, scale: u8) -> u32 {
    mss.saturating_mul(2).max(4 << scale)
}
