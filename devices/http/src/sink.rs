//! The content of a response, piece by piece.

use super::body::Body;
use super::exchange::Exchange;
use super::response::{BEFORE, BEHIND, Content, Line, ROOM, format};
use super::{Error, Status};
use core::fmt::{self, Write as _};
use core::ops::Range;
use embedded_io_async::{ErrorType, Write};
use ip::Shared;

/// Sends the content of a response piece by piece.
///
/// ```
/// # use xenith_http::{Error, Exchange, Status};
/// async fn list(exchange: &mut Exchange<'_>) -> Result<(), Error> {
///     let mut sink = exchange.stream(Status::OK, &[], None).await?;
///     for (number, name) in ["one", "two"].iter().enumerate() {
///         sink.print(format_args!("{number}: {name}\n")).await?;
///     }
///     sink.finish().await
/// }
/// ```
///
/// A sink that is dropped without [`finish`](Self::finish) leaves the response incomplete:
/// the connection is reset, so that the client does not take a part for the whole. It is also where
/// the future of a write is dropped before its end, as by a time limit: nobody knows how much of it
/// was sent, so that whatever is written then is [`ip::Error::Reset`].
#[derive(Debug)]
pub struct Sink<'e, 'a> {
    exchange: &'e mut Exchange<'a>,
    content: Content,
    /// What was printed and not sent is from [`BEFORE`] up to here.
    end: usize,
}

impl<'a> Exchange<'a> {
    /// Begins a response whose content is then written or printed to the [`Sink`] that this
    /// returns, and ended by [`Sink::finish`]: `length` bytes or, with `None`, any number, in
    /// chunks. For a client of HTTP/1.0, which knows no chunks, the end of the connection ends
    /// the content.
    ///
    /// # Errors
    /// As of [`respond`](Self::respond).
    pub async fn stream(
        &mut self,
        status: Status,
        fields: &[(&str, &str)],
        length: Option<u64>,
    ) -> Result<Sink<'_, 'a>, Error> {
        let content = self.begin(status, fields, length, false).await?;
        Ok(Sink::new(self, content))
    }

    /// The same, for content that is written at once, so that its beginning goes with the head.
    pub(super) async fn stream_at_once(
        &mut self,
        status: Status,
        fields: &[(&str, &str)],
        length: u64,
    ) -> Result<Sink<'_, 'a>, Error> {
        let content = self.begin(status, fields, Some(length), true).await?;
        Ok(Sink::new(self, content))
    }
}

impl<'e, 'a> Sink<'e, 'a> {
    pub(super) const fn new(exchange: &'e mut Exchange<'a>, content: Content) -> Self {
        Self { exchange, content, end: BEFORE }
    }

    /// Returns the body of the request, for a response that begins while it arrives.
    pub const fn body(&mut self) -> &mut Body<'a> {
        self.exchange.body()
    }

    /// What it is the content of.
    pub(super) const fn exchange(&self) -> &Exchange<'a> {
        self.exchange
    }

    /// Sends `piece` as a whole, after what was printed.
    async fn send(&mut self, piece: &[u8]) -> Result<(), Error> {
        if piece.is_empty() || self.content == Content::Silent {
            return Ok(());
        }
        self.flush().await?;
        self.count(piece.len())?;
        let Exchange { body, pace, .. } = &mut *self.exchange;
        if self.content != Content::Chunks {
            return body.link.put(piece, pace).await;
        }
        let mut size = Line::new();
        // Sixteen digits and the line's end fit.
        let _ = write!(size, "{:x}\r\n", piece.len());
        body.link.put_more(size.as_bytes(), pace).await?;
        body.link.put_more(piece, pace).await?;
        body.link.put(b"\r\n", pace).await
    }

    /// Sends the bytes of `shared` in `range`, which it has, as [`Write::write_all`] does, but
    /// leaves them where they are where the network allows that: see
    /// [`Stream::poll_share`](ip::Stream::poll_share).
    ///
    /// # Errors
    /// As of `write`.
    pub async fn share(&mut self, shared: &Shared, range: Range<usize>) -> Result<(), Error> {
        let bytes = shared.bytes().get(range.clone()).unwrap_or_default();
        if bytes.is_empty() || !matches!(self.content, Content::Length(_) | Content::Close) {
            return self.send(bytes).await;
        }
        self.flush().await?;
        self.count(bytes.len())?;
        let Exchange { body, pace, .. } = &mut *self.exchange;
        body.link.share(shared, range, pace).await
    }

    /// Prints `text`, as in `sink.print(format_args!("{name}\n"))`. It is sent when about a
    /// kilobyte has come together, or by `flush`, by `write` and by [`finish`](Self::finish);
    /// no memory is allocated, however long it is.
    ///
    /// A text that does not fit is formatted again for each further kilobyte, so it has
    /// to come out the same each time, and long ones are better printed in parts.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for more than was announced, and when
    /// formatting fails.
    pub async fn print(&mut self, text: fmt::Arguments<'_>) -> Result<(), Error> {
        let mut done = 0;
        while self.content != Content::Silent {
            let room = self.exchange.memory.get_mut(self.end..ROOM - BEHIND).unwrap_or_default();
            let (count, last) = format(room, text, done)?;
            self.count(count)?;
            self.end += count;
            done += count;
            if last {
                break;
            }
            self.flush().await?;
        }
        Ok(())
    }

    /// `count` bytes more are content.
    fn count(&mut self, count: usize) -> Result<(), Error> {
        if let Content::Length(left) = &mut self.content {
            let rest = left.checked_sub(count as u64);
            *left = rest.ok_or(Error::Request(Status::INTERNAL))?;
        }
        self.exchange.progress.sent += count as u64;
        Ok(())
    }

    /// Sends what was printed, and `last` after it when in chunks.
    async fn push(&mut self, last: &[u8]) -> Result<(), Error> {
        let Exchange { body, memory, pace, .. } = &mut *self.exchange;
        let (mut start, mut end) = (BEFORE, self.end);
        if self.content == Content::Chunks {
            let mut size = end - start;
            if size > 0 {
                memory[start - 2..start].copy_from_slice(b"\r\n");
                start -= 2;
                while size > 0 {
                    start -= 1;
                    memory[start] = b"0123456789abcdef"[size % 16];
                    size /= 16;
                }
                memory[end..end + 2].copy_from_slice(b"\r\n");
                end += 2;
            }
            memory[end..end + last.len()].copy_from_slice(last);
            end += last.len();
        }
        self.end = BEFORE;
        body.link.put(&memory[start..end], pace).await
    }

    /// Ends the content. For HEAD, nothing is sent of it.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for less than was announced.
    pub async fn finish(mut self) -> Result<(), Error> {
        match self.content {
            Content::Silent => {}
            Content::Length(1..) => return Err(Error::Request(Status::INTERNAL)),
            _ => self.push(b"0\r\n\r\n").await?,
        }
        self.exchange.progress.done = true;
        Ok(())
    }
}

impl ErrorType for Sink<'_, '_> {
    type Error = Error;
}

/// Each piece that is written is sent at once, as a whole, as one chunk where the content is
/// in chunks, after what was [printed](Sink::print) before. An error is one of the
/// connection, or [`Status::INTERNAL`] for more than was announced.
impl Write for Sink<'_, '_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        self.send(buf).await.map(|()| buf.len())
    }

    /// Sends what was printed so far, for who waits for it.
    async fn flush(&mut self) -> Result<(), Error> {
        if self.end == BEFORE { Ok(()) } else { self.push(b"").await }
    }
}
