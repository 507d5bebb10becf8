//! The body of a message, however it is framed.

use super::budget::{Budget, Collected};
use super::fields::Framing;
use super::link::Link;
use super::pace::Pace;
use super::syntax::{self, Lines, Refusal, bad};
use super::{Error, Status};
use core::fmt;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use embedded_io_async::{ErrorType, Read};

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

/// Where in a body its reader is.
#[derive(Clone, Copy, Debug)]
struct Position {
    next: Next,
    /// Bytes that extensions of chunks may still have.
    extensions: usize,
    /// How many bytes of content there may be.
    left: u64,
}

impl Position {
    /// Takes up to `most` bytes of content: how many.
    fn take(&mut self, most: usize) -> Result<usize, Refusal> {
        let left = match &mut self.next {
            Next::Content(left) | Next::Chunk(left) => left,
            Next::Rest => &mut { u64::MAX },
            _ => return Ok(0),
        };
        let count = usize::try_from(*left).unwrap_or(usize::MAX).min(most);
        *left -= count as u64;
        let rest = self.left.checked_sub(count as u64);
        self.left = rest.ok_or(Refusal { status: Status::TOO_LARGE, why: "" })?;
        Ok(count)
    }

    /// One step over what is not content, if it is there: how many bytes it has.
    fn step(&mut self, buffered: &[u8]) -> Result<Option<usize>, Refusal> {
        let (length, next) = match self.next {
            Next::Content(0) => (0, Next::Over),
            Next::Chunk(0) => (0, Next::End),
            Next::Content(_) | Next::Rest | Next::Chunk(_) | Next::Over => return Ok(None),
            Next::End => match buffered {
                [b'\r', b'\n', ..] => (2, Next::Size),
                [] | [b'\r'] => return Ok(None),
                _ => return Err(bad("a chunk is longer or shorter than its size says")),
            },
            Next::Size => match line(buffered, LINE)? {
                Some((line, length)) => {
                    let (size, extensions) = syntax::chunk_size(line)?;
                    let left = self.extensions.checked_sub(extensions);
                    self.extensions = left.ok_or(bad("the chunks have too many extensions"))?;
                    if size > self.left {
                        return Err(Refusal { status: Status::TOO_LARGE, why: "" });
                    }
                    (length, if size == 0 { Next::Trailer(0) } else { Next::Chunk(size) })
                }
                None => return Ok(None),
            },
            Next::Trailer(before) => match line(buffered, LINE - before)? {
                Some((b"", length)) => (length, Next::Over),
                Some((line, length)) => {
                    syntax::field(line)?;
                    (length, Next::Trailer(before + length))
                }
                None => return Ok(None),
            },
        };
        self.next = next;
        Ok(Some(length))
    }
}

/// The line that comes next, without its end, and how many bytes it has with it.
fn line(buffered: &[u8], most: usize) -> Result<Option<(&[u8], usize)>, Refusal> {
    // What is behind the longest line is not looked at, as it may have come or not.
    let (mut lines, longest) = (Lines::default(), buffered.get(..most));
    match lines.next(longest.unwrap_or(buffered), false)? {
        Some(line) => Ok(Some((line, lines.start))),
        None if longest.is_none() => Ok(None),
        None => Err(bad("a line before a chunk, or the trailer, is too long")),
    }
}

/// Reads the content of a message, without the framing of chunks; 0 bytes are its end.
///
/// The first read sends `100 Continue` to a client that waits for it (RFC 9110, section
/// 10.1.1). A read fails with [`Status::TIMEOUT`] when the client pauses too long or is too
/// slow, with [`Status::TOO_LARGE`] beyond [`Limits::body`](super::Limits::body), with
/// [`Status::BAD_REQUEST`] for chunks that are wrong (RFC 9112, section 7.1), and with
/// [`ip::Error::Reset`] when the connection ends before the body does.
pub struct Body<'a> {
    pub(super) link: Link<'a>,
    /// The peer waits for `100 Continue`, before the first byte comes.
    expects: bool,
    /// What was read already, and room to read into.
    buffer: &'a mut [u8],
    pub(super) start: usize,
    pub(super) end: usize,
    position: Position,
    /// Some of it was read, or may have been.
    touched: bool,
    /// Why the last error is one, for people.
    pub(super) why: &'static str,
    pace: Pace,
    budget: &'a Budget,
}

impl<'a> Body<'a> {
    pub(super) fn new(
        link: Link<'a>,
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
            link,
            expects,
            buffer,
            start: 0,
            end,
            position: Position { next, extensions: EXTENSIONS, left: most },
            touched: false,
            why: "",
            pace,
            budget,
        }
    }

    /// What came behind the head and was not read, to be changed and read by who takes it.
    pub(super) fn input(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// The connection, and the room behind what was read of it.
    pub(super) fn link_and_room(&mut self) -> (&mut Link<'a>, &mut [u8]) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        (&mut self.link, self.buffer.get_mut(self.end..).unwrap_or_default())
    }

    /// Of whose memory it is collected.
    pub(super) const fn budget(&self) -> &'a Budget {
        self.budget
    }

    /// Whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.position.next == Next::Over
    }

    /// Notes that an answer begins, in which nothing else may be said. Whether the client
    /// still waits for `100 Continue`, so that no byte of it is to be expected.
    pub(super) fn answered(&mut self) -> bool {
        core::mem::take(&mut self.expects) && !self.is_over()
    }

    fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes bytes that came behind the message and belong to another protocol.
    pub(super) fn early(&mut self, to: &mut [u8]) -> usize {
        let count = to.len().min(self.buffered().len());
        to[..count].copy_from_slice(&self.buffered()[..count]);
        self.start += count;
        count
    }

    /// Reads more into the buffer.
    async fn fill(&mut self) -> Result<(), Error> {
        if core::mem::take(&mut self.expects) {
            self.link.put(b"HTTP/1.1 100 Continue\r\n\r\n", &mut self.pace).await?;
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
        match self.pace.wait(pin!(self.link.read(room))).await {
            Ok(Ok(0)) if self.position.next == Next::Rest => {
                self.position.next = Next::Over;
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
        let mut position = self.position;
        match position.step(self.buffered()) {
            Ok(Some(length)) => {
                self.position = position;
                self.start += length;
                Ok(())
            }
            Ok(None) => self.fill().await,
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, Refusal { status, why }: Refusal) -> Result<(), Error> {
        self.why = why;
        Err(Error::Request(status))
    }

    /// Judges the chunks of a body that nobody has begun to read, as far as they have come and the
    /// buffer holds them, so that a wrong one is refused before it is answered. It is read later all
    /// the same. What has not come is not waited for: a client may hold it back until it has the
    /// answer, or see from that that it is not wanted.
    pub(super) async fn check(&mut self) -> Result<(), Error> {
        while !self.touched && !self.expects && self.position.next == Next::Size {
            let (mut position, mut rest) = (self.position, self.buffered());
            loop {
                let step = match position.next {
                    Next::Over => return Ok(()),
                    Next::Chunk(1..) if rest.is_empty() => break,
                    Next::Chunk(1..) => position.take(rest.len()).map(Some),
                    _ => position.step(rest),
                };
                match step {
                    Ok(Some(length)) => rest = rest.get(length..).unwrap_or_default(),
                    Ok(None) => break,
                    Err(refusal) => return self.refuse(refusal),
                }
            }
            if self.start == 0 && self.end == self.buffer.len() {
                break;
            }
            let (link, room) = self.link_and_room();
            match poll_fn(|context| Poll::Ready(link.poll_read(context, room))).await {
                Poll::Ready(Ok(0)) => return Err(Error::Connection(ip::Error::Reset)),
                Poll::Ready(count) => self.end += count?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Reads the rest of the body, at most `limit` bytes, into memory. Prefer to deal with it
    /// as it comes: the memory is bounded by
    /// [`Limits::memory`](super::Limits::memory) for all connections together, and grows
    /// with what has arrived, not with what was announced.
    ///
    /// # Errors
    /// [`Status::TOO_LARGE`] for a longer body, before any of it is read where its length
    /// was announced; [`Status::UNAVAILABLE`] where there is no memory for it now. A handler
    /// that passes these on answers with them.
    pub async fn collect(&mut self, limit: usize) -> Result<Collected<'a>, Error> {
        let mut most = limit;
        if let Next::Content(length) = self.position.next {
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

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("position", &self.position).finish_non_exhaustive()
    }
}

impl ErrorType for Body<'_> {
    type Error = Error;
}

impl Read for Body<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        if to.is_empty() {
            return Ok(0);
        }
        self.touched = true;
        loop {
            if self.position.next == Next::Over {
                return Ok(0);
            }
            let room = to.len().min(self.buffered().len());
            let mut position = self.position;
            let count = match position.take(room) {
                Ok(count) => count,
                Err(refusal) => return self.refuse(refusal).map(|()| 0),
            };
            if count == 0 {
                self.step().await?;
                continue;
            }
            self.position = position;
            to[..count].copy_from_slice(&self.buffered()[..count]);
            self.start += count;
            return Ok(count);
        }
    }
}
