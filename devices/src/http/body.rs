//! The body of a message, whichever way it is delimited.

use super::head::Framing;
use super::{Error, Status};
use crate::ip;
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::time::timeout;

/// Bytes that the line before a chunk may have, and the trailer after the last.
pub(super) const LINE: usize = 512;

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
    /// How many bytes there may be.
    left: u64,
    patience: Duration,
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
        (most, patience): (u64, Duration),
    ) -> Self {
        let next = match framing {
            Framing::Length(0) => Next::Over,
            Framing::Length(length) => Next::Content(length),
            Framing::Chunked => Next::Size,
            Framing::Close => Next::Rest,
        };
        Self { reader, writer, expects, buffer, start: 0, end, next, left: most, patience }
    }

    /// The connection, to answer on while the body is not needed.
    pub(super) fn writer(&mut self) -> &mut W {
        self.writer
    }

    /// Whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.next == Next::Over
    }

    /// Whether the client may still wait for `100 Continue`, so that no byte of
    /// it is to be expected.
    pub(super) const fn is_unasked(&self) -> bool {
        self.expects
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
        match timeout(self.patience, self.reader.read(room)).await {
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
        let buffered = self.buffered();
        match self.next {
            Next::Size => match httparse::parse_chunk_size(buffered) {
                Ok(httparse::Status::Complete((length, size))) if length <= LINE => {
                    self.start += length;
                    self.next = if size == 0 { Next::Trailer(0) } else { Next::Chunk(size) };
                    return Ok(());
                }
                Ok(httparse::Status::Partial) if buffered.len() < LINE => {}
                _ => return Err(Error::Request(Status::BAD_REQUEST)),
            },
            Next::End => match buffered {
                [b'\r', b'\n', ..] => {
                    self.start += 2;
                    self.next = Next::Size;
                    return Ok(());
                }
                [] | [b'\r'] => {}
                _ => return Err(Error::Request(Status::BAD_REQUEST)),
            },
            Next::Trailer(length) => {
                let end = buffered.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
                match end {
                    Some(end) => {
                        let blank = matches!(buffered.get(..end), Some(b"\r\n" | b"\n"));
                        self.start += end;
                        self.next = if blank { Next::Over } else { Next::Trailer(length + end) };
                        if length + end > LINE {
                            return Err(Error::Request(Status::HEAD_TOO_LARGE));
                        }
                        return Ok(());
                    }
                    None if length + buffered.len() < LINE => {}
                    None => return Err(Error::Request(Status::HEAD_TOO_LARGE)),
                }
            }
            Next::Content(0) => {
                self.next = Next::Over;
                return Ok(());
            }
            Next::Chunk(0) => {
                self.next = Next::End;
                return Ok(());
            }
            Next::Content(_) | Next::Rest | Next::Chunk(_) | Next::Over => {}
        }
        self.fill().await
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
