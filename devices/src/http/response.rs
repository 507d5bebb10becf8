//! The answer to a request.

use super::body::Body;
use super::{Error, Status, date};
use crate::ip;
use alloc::string::String;
use core::fmt::Write as _;
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::time::timeout;

/// A line that is made without the heap. One type for all, as each has its code.
pub(super) type Line = heapless::String<96>;

/// What has been said on the connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// A head was sent.
    pub begun: bool,
    /// The answer is complete.
    pub done: bool,
}

/// The answer to one request, to be given once.
#[derive(Debug)]
pub struct Response<'a> {
    pub(super) progress: &'a mut Progress,
    /// The content is left out, as HEAD asks for.
    pub(super) headless: bool,
    pub(super) keep: &'a mut bool,
    /// The client knows HTTP/1.1's chunks.
    pub(super) head: &'a mut String,
    pub(super) patience: Duration,
}

impl<'a> Response<'a> {
    fn begin(&mut self, status: Status, fields: &[(&str, &str)], length: Option<u64>) {
        let head = &mut *self.head;
        head.clear();
        // Writing to a string does not fail.
        let _ = write!(head, "HTTP/1.1 {} {}\r\nDate: ", status.0, status.phrase());
        let date = date::format(kernel::time::wall_clock().as_secs());
        head.push_str(core::str::from_utf8(&date).unwrap_or_default());
        head.push_str("\r\nServer: Xenith\r\n");
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match length {
            // These have no content by definition (RFC 9110, section 8.6).
            Some(_) if matches!(status.0, 100..200 | 204 | 304) => {}
            Some(length) => {
                let _ = write!(head, "Content-Length: {length}\r\n");
            }
            None => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        if !*self.keep {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        self.progress.begun = true;
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
        self.begin(status, fields, Some(content.len() as u64));
        let writer = body.writer();
        put(writer, self.head.as_bytes(), self.patience).await?;
        if !self.headless {
            put(writer, content, self.patience).await?;
        }
        self.progress.done = true;
        Ok(())
    }

    /// Begins an answer whose content comes piece by piece: `length` bytes, or
    /// as many as there will be. The content is written to what this returns,
    /// and ended by [`Sink::finish`].
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
        self.begin(status, fields, length);
        put(body.writer(), self.head.as_bytes(), self.patience).await?;
        Ok(Sink {
            progress: self.progress,
            silent: self.headless,
            left: length,
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
#[derive(Debug)]
pub struct Sink<'a> {
    progress: &'a mut Progress,
    silent: bool,
    /// Bytes that are announced and not written; nothing when in chunks.
    left: Option<u64>,
    patience: Duration,
}

impl Sink<'_> {
    /// Sends a piece.
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
        let writer = body.writer();
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(piece.len() as u64);
            *left = rest.ok_or(Error::Request(Status::INTERNAL))?;
            return put(writer, piece, self.patience).await;
        }
        let mut size = Line::new();
        // Sixteen digits and the line's end fit.
        let _ = write!(size, "{:x}\r\n", piece.len());
        put(writer, size.as_bytes(), self.patience).await?;
        put(writer, piece, self.patience).await?;
        put(writer, b"\r\n", self.patience).await
    }

    /// Ends the content.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for less than was announced.
    pub async fn finish<R, W>(self, body: &mut Body<'_, R, W>) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        match self.left {
            Some(1..) if !self.silent => return Err(Error::Request(Status::INTERNAL)),
            None if !self.silent => put(body.writer(), b"0\r\n\r\n", self.patience).await?,
            _ => {}
        }
        self.progress.done = true;
        Ok(())
    }
}

impl ErrorType for Sink<'_> {
    type Error = Error;
}
