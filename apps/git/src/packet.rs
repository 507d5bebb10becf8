//! Lines with their length before them (pkt-line), in which everything is said.

use crate::error::{Error, beginning};
use alloc::vec::Vec;
use embedded_io_async::{Read, ReadExactError};
use xenith::memory;

/// The longest line, without its length: 65 520 bytes with it.
const LONGEST: usize = 65_516;

/// Bytes that what a server offers may have, and its list of refs.
pub(crate) const LISTS: u64 = 256 << 10;

/// The longest beginning of what a server says to people that is kept, in bytes.
pub(crate) const SAID: usize = 1000;

/// The end of a message.
pub(crate) const FLUSH: &[u8; 4] = b"0000";

/// The end of a section.
pub(crate) const DELIMITER: &[u8; 4] = b"0001";

/// Adds a line, which is shorter than the longest.
pub(crate) fn put(to: &mut Vec<u8>, text: &[u8]) {
    let length = text.len() + 4;
    for shift in [12, 8, 4, 0] {
        let digit = (length >> shift & 15) as u8;
        to.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    to.extend_from_slice(text);
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A line, which is [`Packets::body`].
    Line,
    Flush,
    Delimiter,
    End,
}

/// Reads lines of a server.
#[derive(Debug)]
pub(crate) struct Packets<R> {
    pub(crate) stream: R,
    /// The last line.
    body: Vec<u8>,
    /// How many bytes may come.
    left: u64,
    /// Whether that is for a pack.
    is_pack: bool,
}

impl<R: Read> Packets<R> {
    /// Reads lists from `stream`.
    pub(crate) const fn new(stream: R) -> Self {
        Self { stream, body: Vec::new(), left: LISTS, is_pack: false }
    }

    /// Reads a pack from now on, and not more than so many bytes.
    #[must_use]
    pub(crate) fn of_pack(self, left: u64) -> Self {
        Self { left, is_pack: true, ..self }
    }

    /// The last line.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The last line as text, without the line end that it may have.
    pub(crate) fn line(&self) -> &[u8] {
        self.body.strip_suffix(b"\n").unwrap_or(&self.body)
    }

    pub(crate) async fn next(&mut self) -> Result<Packet, Error<R::Error>> {
        let mut head = [0; 4];
        self.body.clear();
        self.stream.read_exact(&mut head).await.map_err(ended)?;
        let digits = core::str::from_utf8(&head).ok();
        let length = digits.and_then(|digits| {
            let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            usize::from_str_radix(digits, 16).ok().filter(|_| all)
        });
        let length = match length.ok_or(Error::Malformed("length of a line"))? {
            0 => return Ok(Packet::Flush),
            1 => return Ok(Packet::Delimiter),
            2 => return Ok(Packet::End),
            length => length.checked_sub(4).filter(|&length| length <= LONGEST),
        };
        let length = length.ok_or(Error::Malformed("length of a line"))?;
        let long = || if self.is_pack { Error::TooLong } else { Error::List };
        self.left = self.left.checked_sub(length as u64 + 4).ok_or_else(long)?;
        let more = length.saturating_sub(self.body.len());
        memory::extend_zeroed(&mut self.body, more).ok_or(crate::Flaw::Memory)?;
        self.body.truncate(length);
        self.stream.read_exact(&mut self.body).await.map_err(ended)?;
        if let Some(text) = self.line().strip_prefix(b"ERR ") {
            return Err(Error::Server(beginning(text, SAID)));
        }
        Ok(Packet::Line)
    }

    /// Reads the next line of a message; whether there is one before its end.
    pub(crate) async fn next_line(&mut self) -> Result<bool, Error<R::Error>> {
        match self.next().await? {
            Packet::Line => Ok(true),
            Packet::Flush => Ok(false),
            Packet::Delimiter | Packet::End => Err(Error::Malformed("end of a message")),
        }
    }
}

fn ended<E>(error: ReadExactError<E>) -> Error<E> {
    match error {
        ReadExactError::UnexpectedEof => Error::Ended,
        ReadExactError::Other(error) => Error::Stream(error),
    }
}
