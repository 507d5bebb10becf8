//! The body of a message, whichever way it is delimited.

use super::budget::{Budget, Collected};
use super::fields::Framing;
use super::pace::Pace;
use super::syntax::{self, Lines, Refusal, bad};
use super::{Error, Status};
use crate::ip;
use embedded_io_async::{ErrorType, Read, Write};

/// Bytes that the line before a chunk may have, and the trailer after the last.
pub(super) const LINE: usize = 512;

/// Bytes that the extensions of all chunks of a body may have (RFC 9112, section 7.1.1).
const EXTENSIONS: usize = 16 * 1024;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// This many bytes of content, then the end.
    Content(u64),
    /// Content until the connection ends.
    Rest,
    /// The line with a chunk's size.
    Size,
    /// This many bytes of a chunk, then its line end.
    Chunk(u64),
    /// The line end after a chunk.
    End,
    /// What may follow the last chunk: fields, which nobody reads, of this many
    /// bytes so far.
    Trailer(usize),
    /// Nothing.
    Over,
}

/// The body of a message: bytes, until 0 of them are read.
#[derive(Debug)]
pub struct Body<'a, R, W> {
    reader: &'a mut R,
    /// To send `100 Continue` on, before the first byte is waited for.
    writer: &'a mut W,
    expects: bool,
    /// What was read already, and room to read into.
    buffer: &'a mut [u8],
    pub(super) start: usize,
    pub(super) end: usize,
    next: Next,
    /// Bytes that extensions of chunks may still have.
    extensions: usize,
    /// Why the last error is one, for people.
    pub(super) why: &'static str,
    /// How many bytes there may be.
    left: u64,
    pace: Pace,
    budget: &'a Budget,
}

impl<'a, R, W> Body<'a, R, W>
where
    R: Read<Error = ip::Error>,
    W: Write<Error = ip::Error>,
{
    pub(super) fn new(
        (reader, writer): (&'a mut R, &'a mut W),
        buffer: &'a mut [u8],
        end: usize,
        framing: Framing,
        expects: bool,
        (most, pace, budget): (u64, Pace, &'a Budget),
    ) -> Self {
        let next = match framing {
            Framing::Length(0) => Next::Over,
            Framing::Length(length) => Next::Content(length),
            Framing::Chunked => Next::Size,
            Framing::Close => Next::Rest,
        };
        Self {
            reader,
            writer,
            expects,
            buffer,
            start: 0,
            end,
            next,
            extensions: EXTENSIONS,
            why: "",
            left: most,
            pace,
            budget,
        }
    }

    /// The connection, to answer on while the body is not needed.
    pub(super) fn writer(&mut self) -> &mut W {
        self.writer
    }

    /// Whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.next == Next::Over
    }

    /// Notes that an answer begins, in which nothing else may be said. Whether the client
    /// still waits for `100 Continue`, so that no byte of it is to be expected.
    pub(super) fn answered(&mut self) -> bool {
        core::mem::take(&mut self.expects) && !self.is_over()
    }

    fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads more into the buffer.
    async fn fill(&mut self) -> Result<(), Error> {
        if core::mem::take(&mut self.expects) {
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        if room.is_empty() {
            return Err(Error::Request(Status::BAD_REQUEST));
        }
        match self.pace.wait(self.reader.read(room)).await {
            Ok(Ok(0)) if self.next == Next::Rest => {
                self.next = Next::Over;
                Ok(())
            }
            // It ends in the middle of the body.
            Ok(Ok(0)) => Err(Error::Connection(ip::Error::Reset)),
            Ok(count) => {
                self.end += count?;
                Ok(())
            }
            Err(_) => Err(Error::Request(Status::TIMEOUT)),
        }
    }

    /// One step over what is not content; content is left to the caller.
    async fn step(&mut self) -> Result<(), Error> {
        let next = match self.next {
            Next::Content(0) => Ok(Some((0, Next::Over))),
            Next::Chunk(0) => Ok(Some((0, Next::End))),
            Next::Content(_) | Next::Rest | Next::Chunk(_) | Next::Over => Ok(None),
            Next::Size | Next::End | Next::Trailer(_) => self.line(),
        };
        match next {
            Ok(Some((length, next))) => {
                self.start += length;
                self.next = next;
                Ok(())
            }
            Ok(None) => self.fill().await,
            Err(Refusal { status, why }) => {
                self.why = why;
                Err(Error::Request(status))
            }
        }
    }

    /// Reads the line around a chunk that comes next, if it is there: how many bytes it
    /// has, and what follows it.
    fn line(&mut self) -> Result<Option<(usize, Next)>, Refusal> {
        if self.next == Next::End {
            return match self.buffered() {
                [b'\r', b'\n', ..] => Ok(Some((2, Next::Size))),
                [] | [b'\r'] => Ok(None),
                _ => Err(bad("a chunk is longer or shorter than its size says")),
            };
        }
        let before = if let Next::Trailer(before) = self.next { before } else { 0 };
        let (mut lines, buffered) = (Lines::default(), self.buffered());
        // What is behind the longest line is not looked at, as it may have come or not.
        let longest = buffered.get(..LINE - before);
        let Some(line) = lines.next(longest.unwrap_or(buffered), false)? else {
            return match (longest, self.next) {
                (None, _) => Ok(None),
                (_, Next::Size) => Err(bad("the line before a chunk is too long")),
                _ => {
                    Err(Refusal { status: Status::HEAD_TOO_LARGE, why: "the trailer is too long" })
                }
            };
        };
        let next = match self.next {
            Next::Size => {
                let (size, extensions) = syntax::chunk_size(line)?;
                let left = self.extensions.checked_sub(extensions);
                self.extensions = left.ok_or(bad("the chunks have too many extensions"))?;
                if size > self.left {
                    return Err(Refusal { status: Status::TOO_LARGE, why: "" });
                }
                if size == 0 { Next::Trailer(0) } else { Next::Chunk(size) }
            }
            _ if line.is_empty() => Next::Over,
            _ => {
                syntax::field(line)?;
                Next::Trailer(before + lines.start)
            }
        };
        Ok(Some((lines.start, next)))
    }

    /// Reads what is left of it, at most `limit` bytes, as a whole. Prefer to deal with it
    /// as it comes: this holds it in memory, which is counted and bounded by
    /// [`Limits::memory`](super::Limits::memory) for all connections together, and grows
    /// with what has arrived, not with what was announced.
    ///
    /// # Errors
    /// [`Status::TOO_LARGE`] for a longer body, before any of it is read where its length
    /// was announced; [`Status::UNAVAILABLE`] where there is no memory for it now. A handler
    /// that passes these on answers with them.
    pub async fn collect(&mut self, limit: usize) -> Result<Collected<'a>, Error> {
        let mut most = limit;
        if let Next::Content(length) = self.next {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > limit {
                return Err(Error::Request(Status::TOO_LARGE));
            }
            if length > self.budget.left() {
                return Err(Error::Request(Status::UNAVAILABLE));
            }
            most = length;
        }
        let (mut all, mut piece) = (Collected::new(self.budget), [0; 512]);
        loop {
            let room = if all.len() == most { 1 } else { all.room(most)? };
            let room = room.min(piece.len());
            match self.read(&mut piece[..room]).await? {
                0 => return Ok(all),
                _ if all.len() == most => return Err(Error::Request(Status::TOO_LARGE)),
                count => all.add(&piece[..count]),
            }
        }
    }

    /// Reads what is left of it and throws it away, if that is at most `most`
    /// bytes; whether it was.
    pub(super) async fn skip(&mut self, most: usize) -> Result<bool, Error> {
        let (mut scratch, mut skipped) = ([0; 256], 0);
        while skipped <= most {
            match self.read(&mut scratch).await? {
                0 => return Ok(true),
                count => skipped += count,
            }
        }
        Ok(false)
    }
}

impl<R, W> ErrorType for Body<'_, R, W> {
    type Error = Error;
}

impl<R, W> Read for Body<'_, R, W>
where
    R: Read<Error = ip::Error>,
    W: Write<Error = ip::Error>,
{
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            let left = match self.next {
                Next::Over => return Ok(0),
                Next::Content(left) | Next::Chunk(left) => left,
                Next::Rest => u64::MAX,
                _ => 0,
            };
            let buffered = self.buffered();
            let room = to.len().min(buffered.len());
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(room);
            if count == 0 {
                self.step().await?;
                continue;
            }
            self.left =
                self.left.checked_sub(count as u64).ok_or(Error::Request(Status::TOO_LARGE))?;
            to[..count].copy_from_slice(&self.buffered()[..count]);
            self.start += count;
            match &mut self.next {
                Next::Content(left) | Next::Chunk(left) => *left -= count as u64,
                _ => {}
            }
            return Ok(count);
        }
    }
}
