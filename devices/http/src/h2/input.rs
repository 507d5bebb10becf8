//! What came on a connection and was not dealt with: at most a frame.

use super::super::budget::Budget;
use super::super::link::Link;
use super::frame::{Code, Frame, HEADER, LARGEST};
use alloc::vec::Vec;
use core::task::{Context, Poll, ready};

/// Bytes of it, unless a frame needs more.
const LEAST: usize = 1024;

/// Bytes that are read where no memory is held, before some is taken. Each connection has a place for
/// them, as there may be none at the time.
const FIRST: usize = 32;

/// Memory that is left for who is given some for what came: for the answer to it.
const ANSWER: usize = 4096;

/// Frames, or the begin of one.
#[derive(Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What was read while it had no memory, and how many bytes of it.
    first: [u8; FIRST],
    early: usize,
}

impl Input {
    /// Makes it of what was read already. `None` if there is no memory.
    pub(super) fn new(bytes: &[u8], budget: &Budget) -> Option<Self> {
        let mut input = Self::default();
        input.resize(bytes.len().max(LEAST), budget)?;
        input.bytes[..bytes.len()].copy_from_slice(bytes);
        input.end = bytes.len();
        Some(input)
    }

    fn resize(&mut self, size: usize, budget: &Budget) -> Option<()> {
        budget.spend(size)?;
        let Some(mut bytes) = kernel::memory::zeroed(size) else {
            budget.put(size);
            return None;
        };
        let held = self.bytes.get(self.start..self.end).unwrap_or_default();
        bytes[..held.len()].copy_from_slice(held);
        (self.start, self.end) = (0, held.len());
        budget.put(core::mem::replace(&mut self.bytes, bytes).len());
        Some(())
    }

    fn held(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The header of the next frame, if it is there.
    fn header(&self) -> Option<Frame> {
        self.held().first_chunk().copied().map(Frame::read)
    }

    /// The next frame and its payload, if it is there as a whole.
    ///
    /// # Errors
    /// It is longer than frames may be (RFC 9113, section 4.2).
    pub(super) fn frame(&self) -> Result<Option<(Frame, &[u8])>, Code> {
        let Some(frame) = self.header() else { return Ok(None) };
        if frame.length > LARGEST {
            return Err(Code::FRAME_SIZE);
        }
        let payload = self.held().get(HEADER..HEADER + frame.length);
        Ok(payload.map(|payload| (frame, payload)))
    }

    /// Goes on to the next frame.
    pub(super) fn next(&mut self, frame: Frame) {
        self.start = (self.start + HEADER + frame.length).min(self.end);
    }

    /// Reads more: how many bytes, 0 at the end; `None` if there is no memory for them, which may be
    /// asked for again.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        link: &mut Link<'_>,
        budget: &Budget,
    ) -> Poll<Result<Option<usize>, ip::Error>> {
        if self.bytes.is_empty() {
            if self.early == 0 {
                self.early = ready!(link.poll_read(context, &mut self.first))?;
            }
            let count = self.early;
            if count > 0 {
                if budget.left() < LEAST + ANSWER || self.resize(LEAST, budget).is_none() {
                    return Poll::Ready(Ok(None));
                }
                self.bytes[..count].copy_from_slice(&self.first[..count]);
                (self.end, self.early) = (count, 0);
            }
            return Poll::Ready(Ok(Some(count)));
        }
        let needed = self.header().map_or(HEADER, |frame| HEADER + frame.length.min(LARGEST));
        if needed > self.bytes.len() {
            // Frames of content follow each other: room for the largest saves copies.
            let size = if needed > LEAST { HEADER + LARGEST } else { LEAST };
            if self.resize(size, budget).is_none() {
                return Poll::Ready(Ok(None));
            }
        } else if self.start + needed > self.bytes.len() || self.start == self.end {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = ready!(link.poll_read(context, room))?;
        self.end += count;
        Poll::Ready(Ok(Some(count)))
    }

    /// Gives back what a connection needs only at work: all of it where there are `many`, as far as
    /// nothing is in it.
    pub(super) fn rest(&mut self, many: bool, budget: &Budget) {
        if many && self.start == self.end {
            self.end(budget);
        } else if self.bytes.len() > LEAST && self.held().len() <= LEAST {
            // Where there is no memory for less, more is kept.
            let _ = self.resize(LEAST, budget);
        }
    }

    /// Gives all of it back.
    pub(super) fn end(&mut self, budget: &Budget) {
        budget.put(core::mem::take(&mut self.bytes).len());
        (self.start, self.end) = (0, 0);
    }
}
