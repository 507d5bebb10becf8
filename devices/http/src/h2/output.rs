//! What is to be sent on a connection: frames, one after the other, in a bounded piece of memory.

use super::super::budget::Budget;
use super::super::link::Link;
use super::frame::{Code, Frame, HEADER, LARGEST, flag, kind};
use super::hpack::{Encoder, TABLE};
use alloc::vec::Vec;
use core::task::{Context, Poll, ready};

/// Bytes of it at first, and at most: a whole frame, and what the connection itself has to say.
const LEAST: usize = 2048;
const MOST: usize = HEADER + LARGEST + RESERVE;

/// Bytes that streams leave to the connection's own frames, all of which are small: an answer to
/// each frame of the peer's that is dealt with.
const RESERVE: usize = 256;

/// Where in a frame its flags are.
const FLAGS: usize = 4;

/// Bytes of content that are worth a frame of their own while there is more.
const WORTH: usize = 1024;

/// Frames that were not sent yet.
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Those from here on are to be sent,
    start: usize,
    /// up to here.
    end: usize,
    /// The last frame, if it is of a stream that it may end: which, and where its flags are.
    last: Option<(u32, usize)>,
    /// No field block was written yet.
    first: bool,
    /// Bytes that the connection beneath has taken.
    pub taken: u64,
}

impl Output {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, last: None, first: true, taken: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that are to be sent.
    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Bytes that may still be added, `RESERVE` of which are the connection's.
    const fn room(&self) -> usize {
        MOST - self.len()
    }

    /// Whether there is room for the answers to a frame of the peer's.
    pub(super) const fn answers(&self) -> bool {
        self.room() >= RESERVE / 2
    }

    /// Whether there is room for the ends of some streams, which are small as well.
    pub(super) const fn ends(&self) -> bool {
        self.room() >= RESERVE
    }

    /// Makes room for `count` bytes behind the end. There is none if all that is allowed is in use,
    /// or there is no memory.
    fn reserve(&mut self, count: usize, budget: &Budget) -> Option<&mut [u8]> {
        if count > self.room() {
            return None;
        }
        if self.bytes.len() - self.end < count && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            let by = self.start;
            self.last = self.last.and_then(|(id, at)| Some((id, at.checked_sub(by)?)));
            (self.start, self.end) = (0, self.end - by);
        }
        if self.bytes.len() - self.end < count {
            let size = (self.end + count).next_power_of_two().clamp(LEAST, MOST);
            budget.spend(size)?;
            let Some(mut more) = kernel::memory::zeroed(size) else {
                budget.put(size);
                return None;
            };
            more[..self.end].copy_from_slice(&self.bytes[..self.end]);
            budget.put(self.bytes.len());
            self.bytes = more;
        }
        self.bytes.get_mut(self.end..)
    }

    /// Adds a small frame of the connection's own. `None` if there is no memory for it.
    pub(super) fn add(
        &mut self,
        (kind, flags, stream): (u8, u8, u32),
        payload: &[u8],
        budget: &Budget,
    ) -> Option<()> {
        let frame = Frame { length: payload.len(), kind, flags, stream };
        let room = self.reserve(HEADER + payload.len(), budget)?;
        room[..HEADER].copy_from_slice(&frame.write());
        room[HEADER..HEADER + payload.len()].copy_from_slice(payload);
        self.end += HEADER + payload.len();
        self.last = None;
        Some(())
    }

    /// Adds RST_STREAM (RFC 9113, section 6.4).
    pub(super) fn reset(&mut self, stream: u32, Code(code): Code, budget: &Budget) -> Option<()> {
        self.add((kind::RST_STREAM, 0, stream), &code.to_be_bytes(), budget)
    }

    /// Adds WINDOW_UPDATE (RFC 9113, section 6.9).
    pub(super) fn allow(&mut self, stream: u32, more: u32, budget: &Budget) -> Option<()> {
        self.add((kind::WINDOW_UPDATE, 0, stream), &more.to_be_bytes(), budget)
    }

    /// Adds as much of `content` to a stream as there is room and `window` for: how many bytes.
    /// 0 if it has to wait.
    pub(super) fn data(
        &mut self,
        stream: u32,
        content: &[u8],
        window: usize,
        budget: &Budget,
    ) -> usize {
        let most = content.len().min(window).min(LARGEST);
        let count = most.min(self.room().saturating_sub(RESERVE + HEADER));
        if count == 0 || (count < most && count < WORTH) {
            return 0;
        }
        let Some(piece) = content.get(..count) else { return 0 };
        let Some(room) = self.reserve(HEADER + count, budget) else { return 0 };
        let frame = Frame { length: count, kind: kind::DATA, flags: 0, stream };
        room[..HEADER].copy_from_slice(&frame.write());
        room[HEADER..HEADER + count].copy_from_slice(piece);
        self.added(stream, HEADER + count);
        count
    }

    /// A frame of `length` bytes stands behind the end, which may yet end its stream.
    const fn added(&mut self, stream: u32, length: usize) {
        self.last = Some((stream, self.end + FLAGS));
        self.end += length;
    }

    /// Adds HEADERS with what `write` writes. [`Poll::Pending`] if it has to wait for room; `None`
    /// if there will not be enough.
    pub(super) fn head(
        &mut self,
        stream: u32,
        write: impl Fn(&mut Encoder<'_>),
        budget: &Budget,
    ) -> Poll<Option<()>> {
        let (first, alone) = (self.first, self.is_empty());
        let room = self.room().saturating_sub(RESERVE).min(HEADER + LARGEST);
        // Few are longer than the least.
        for size in [LEAST.min(room), room] {
            let Some(place) = self.reserve(size, budget) else { break };
            let end = place.len().min(room);
            let Some((header, block)) = place[..end].split_first_chunk_mut::<HEADER>() else {
                break;
            };
            let mut encoder = Encoder::new(block);
            if first {
                encoder.byte(TABLE);
            }
            write(&mut encoder);
            if let Some(length) = encoder.finish() {
                let flags = flag::END_HEADERS;
                *header = Frame { length, kind: kind::HEADERS, flags, stream }.write();
                self.first = false;
                self.added(stream, HEADER + length);
                return Poll::Ready(Some(()));
            }
        }
        if alone { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Ends a stream with its last frame, or with one more. `None` if that has to wait for room.
    pub(super) fn finish(&mut self, stream: u32, budget: &Budget) -> Option<()> {
        if let Some((last, at)) = self.last
            && last == stream
            && at >= self.start
            && let Some(flags) = self.bytes.get_mut(at)
        {
            *flags |= flag::END_STREAM;
            self.last = None;
            return Some(());
        }
        self.add((kind::DATA, flag::END_STREAM, stream), &[], budget)
    }

    /// Sends what there is, and waits until it is with the connection beneath.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        link: &mut Link<'_>,
    ) -> Poll<Result<(), ip::Error>> {
        while self.start < self.end {
            let bytes = self.bytes.get(self.start..self.end).unwrap_or_default();
            match ready!(link.poll_write(context, bytes))? {
                0 => return Poll::Ready(Err(ip::Error::Reset)),
                count => {
                    self.start += count;
                    self.taken += count as u64;
                }
            }
        }
        (self.start, self.end, self.last) = (0, 0, None);
        link.poll_flush(context)
    }

    /// Gives its memory back, if nothing is to be sent.
    pub(super) fn rest(&mut self, budget: &Budget) {
        if self.is_empty() {
            self.close(budget);
        }
    }

    /// Gives its memory back.
    pub(super) fn close(&mut self, budget: &Budget) {
        budget.put(core::mem::take(&mut self.bytes).len());
        (self.start, self.end, self.last) = (0, 0, None);
    }
}
