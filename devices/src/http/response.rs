//! The answer to a request.
//!
//! Nothing here allocates: heads, and what is [printed](Sink::print), are formatted into
//! the one piece of memory that a connection has for it, and sent each time that it is
//! full. So no request decides how much memory its answer takes.

use super::body::Body;
use super::{Error, Status, date};
use crate::ip;
use core::fmt::{self, Write as _};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::time::timeout;

/// A line that is made without the heap. One type for all, as each has its code.
pub(super) type Line = heapless::String<96>;

/// Bytes of memory in which an answer's head is made, and after it what is printed.
pub(super) const ROOM: usize = 1024;

/// Bytes that are kept free before what is printed, for a chunk's size and its line end.
const BEFORE: usize = 5;

/// And behind it, for the chunk's line end and the last chunk.
const BEHIND: usize = 7;

// Three digits are enough.
const _: () = assert!(ROOM - BEFORE - BEHIND < 1 << 12);

/// What has been said on the connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// A head was sent.
    pub begun: bool,
    /// The answer is complete.
    pub done: bool,
}

/// The part of a text that begins at its byte `skip` and fits into `room`.
struct Window<'a> {
    room: &'a mut [u8],
    filled: usize,
    skip: usize,
    full: bool,
}

impl fmt::Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let skipped = self.skip.min(text.len());
        self.skip -= skipped;
        let rest = text.as_bytes().get(skipped..).unwrap_or_default();
        let room = self.room.get_mut(self.filled..).unwrap_or_default();
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.filled += count;
        self.full |= count < rest.len();
        // What follows would not fit either.
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Formats `text` from its byte `skip` on into `room`: how many bytes that were, and
/// whether they were the last.
fn format(room: &mut [u8], text: fmt::Arguments<'_>, skip: usize) -> Result<(usize, bool), Error> {
    let mut window = Window { room, filled: 0, skip, full: false };
    match fmt::write(&mut window, text) {
        Ok(()) => Ok((window.filled, true)),
        Err(fmt::Error) if window.full => Ok((window.filled, false)),
        Err(fmt::Error) => Err(Error::Request(Status::INTERNAL)),
    }
}

/// An answer's head.
struct Head<'a> {
    status: Status,
    date: &'a str,
    fields: &'a [(&'a str, &'a str)],
    length: Option<u64>,
    keep: bool,
}

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, date, .. } = self;
        write!(f, "HTTP/1.1 {} {}\r\nDate: {date}\r\n", status.0, status.phrase())?;
        f.write_str("Server: Xenith\r\n")?;
        for (name, value) in self.fields {
            write!(f, "{name}: {value}\r\n")?;
        }
        match self.length {
            // These have no content by definition (RFC 9110, section 8.6).
            Some(_) if matches!(status.0, 100..200 | 204 | 304) => {}
            Some(length) => write!(f, "Content-Length: {length}\r\n")?,
            None => f.write_str("Transfer-Encoding: chunked\r\n")?,
        }
        f.write_str(if self.keep { "\r\n" } else { "Connection: close\r\n\r\n" })
    }
}

/// The answer to one request, to be given once.
///
/// [`send`](Self::send) is for content that there is as a whole. What is made for the
/// request is best [streamed](Self::stream) and [printed](Sink::print): that takes no
/// memory, however much it is and however many ask for it.
#[derive(Debug)]
pub struct Response<'a> {
    pub(super) progress: &'a mut Progress,
    /// The content is left out, as HEAD asks for.
    pub(super) headless: bool,
    pub(super) keep: &'a mut bool,
    /// What the head is made in, [`ROOM`] bytes.
    pub(super) memory: &'a mut [u8],
    pub(super) patience: Duration,
}

impl<'a> Response<'a> {
    async fn begin<W: Write<Error = ip::Error>>(
        &mut self,
        writer: &mut W,
        status: Status,
        fields: &[(&str, &str)],
        length: Option<u64>,
    ) -> Result<(), Error> {
        let date = date::format(kernel::time::wall_clock().as_secs());
        let date = core::str::from_utf8(&date).unwrap_or_default();
        let head = Head { status, date, fields, length, keep: *self.keep };
        self.progress.begun = true;
        let mut sent = 0;
        loop {
            let (count, last) = format(self.memory, format_args!("{head}"), sent)?;
            put(writer, self.memory.get(..count).unwrap_or_default(), self.patience).await?;
            sent += count;
            if last {
                return Ok(());
            }
        }
    }

    /// Answers with `content` as a whole.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send<R, W>(
        mut self,
        body: &mut Body<'_, R, W>,
        status: Status,
        fields: &[(&str, &str)],
        content: &[u8],
    ) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let writer = body.writer();
        self.begin(writer, status, fields, Some(content.len() as u64)).await?;
        if !self.headless {
            put(writer, content, self.patience).await?;
        }
        self.progress.done = true;
        Ok(())
    }

    /// Begins an answer whose content comes piece by piece: `length` bytes, or
    /// as many as there will be. The content is written and printed to what this
    /// returns, and ended by [`Sink::finish`].
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn stream<R, W>(
        mut self,
        body: &mut Body<'_, R, W>,
        status: Status,
        fields: &[(&str, &str)],
        length: Option<u64>,
    ) -> Result<Sink<'a>, Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        self.begin(body.writer(), status, fields, length).await?;
        Ok(Sink {
            progress: self.progress,
            silent: self.headless,
            left: length,
            memory: self.memory,
            end: BEFORE,
            patience: self.patience,
        })
    }
}

/// Writes all of `bytes`, each part of it in time.
pub(super) async fn put<W: Write<Error = ip::Error>>(
    writer: &mut W,
    mut bytes: &[u8],
    patience: Duration,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        match timeout(patience, writer.write(bytes)).await {
            Ok(Ok(0)) | Err(_) => return Err(Error::Connection(ip::Error::TimedOut)),
            Ok(count) => bytes = bytes.get(count?..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// The content of an answer, piece by piece.
///
/// ```no_run
/// # use xenith_devices as devices;
/// # use devices::http::{Body, Error, Response, Status};
/// # use devices::ip;
/// # use embedded_io_async::{Read, Write};
/// # async fn list<R, W>(
/// #     names: &[&str], body: &mut Body<'_, R, W>, response: Response<'_>,
/// # ) -> Result<(), Error>
/// # where R: Read<Error = ip::Error>, W: Write<Error = ip::Error> {
/// let mut sink = response.stream(body, Status::OK, &[], None).await?;
/// for (number, name) in names.iter().enumerate() {
///     sink.print(body, format_args!("{number}: {name}\n")).await?;
/// }
/// sink.finish(body).await
/// # }
/// ```
#[derive(Debug)]
pub struct Sink<'a> {
    progress: &'a mut Progress,
    silent: bool,
    /// Bytes that are announced and not written; nothing when in chunks.
    left: Option<u64>,
    /// What was printed and not sent, from [`BEFORE`] on.
    memory: &'a mut [u8],
    /// And up to here.
    end: usize,
    patience: Duration,
}

impl Sink<'_> {
    /// Sends a piece, after what was printed.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for more than was announced.
    pub async fn write<R, W>(
        &mut self,
        body: &mut Body<'_, R, W>,
        piece: &[u8],
    ) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        if piece.is_empty() || self.silent {
            return Ok(());
        }
        self.flush(body).await?;
        self.count(piece.len())?;
        let writer = body.writer();
        if self.left.is_some() {
            return put(writer, piece, self.patience).await;
        }
        let mut size = Line::new();
        // Sixteen digits and the line's end fit.
        let _ = write!(size, "{:x}\r\n", piece.len());
        put(writer, size.as_bytes(), self.patience).await?;
        put(writer, piece, self.patience).await?;
        put(writer, b"\r\n", self.patience).await
    }

    /// Adds `text`, as in `sink.print(body, format_args!("{name}\n"))`. It is sent when
    /// about a kilobyte has come together, or by [`flush`](Self::flush), by
    /// [`write`](Self::write) and by [`finish`](Self::finish); no memory is allocated,
    /// however long it is.
    ///
    /// A text that does not fit is formatted again for each further kilobyte, so it has
    /// to come out the same each time, and long ones are better printed in parts.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for more than was announced, and when
    /// formatting fails.
    pub async fn print<R, W>(
        &mut self,
        body: &mut Body<'_, R, W>,
        text: fmt::Arguments<'_>,
    ) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let mut done = 0;
        while !self.silent {
            let room = self.memory.get_mut(self.end..ROOM - BEHIND).unwrap_or_default();
            let (count, last) = format(room, text, done)?;
            self.count(count)?;
            self.end += count;
            done += count;
            if last {
                break;
            }
            self.flush(body).await?;
        }
        Ok(())
    }

    /// Sends what was printed so far, for who waits for it.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn flush<R, W>(&mut self, body: &mut Body<'_, R, W>) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        if self.end == BEFORE { Ok(()) } else { self.push(body, b"").await }
    }

    /// `count` bytes more are content.
    fn count(&mut self, count: usize) -> Result<(), Error> {
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(count as u64);
            *left = rest.ok_or(Error::Request(Status::INTERNAL))?;
        }
        Ok(())
    }

    /// Sends what was printed, and `last` after it when in chunks.
    async fn push<R, W>(&mut self, body: &mut Body<'_, R, W>, last: &[u8]) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let (mut start, mut end) = (BEFORE, self.end);
        if self.left.is_none() {
            let mut size = end - start;
            if size > 0 {
                self.memory[start - 2..start].copy_from_slice(b"\r\n");
                start -= 2;
                while size > 0 {
                    start -= 1;
                    self.memory[start] = b"0123456789abcdef"[size % 16];
                    size /= 16;
                }
                self.memory[end..end + 2].copy_from_slice(b"\r\n");
                end += 2;
            }
            self.memory[end..end + last.len()].copy_from_slice(last);
            end += last.len();
        }
        self.end = BEFORE;
        put(body.writer(), &self.memory[start..end], self.patience).await
    }

    /// Ends the content.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for less than was announced.
    pub async fn finish<R, W>(mut self, body: &mut Body<'_, R, W>) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        if !self.silent {
            if matches!(self.left, Some(1..)) {
                return Err(Error::Request(Status::INTERNAL));
            }
            self.push(body, b"0\r\n\r\n").await?;
        }
        self.progress.done = true;
        Ok(())
    }
}

impl ErrorType for Sink<'_> {
    type Error = Error;
}
