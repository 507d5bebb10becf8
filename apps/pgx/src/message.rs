//! Writes and reads messages (section "Message Formats").

use crate::error::{Error, Report};
use alloc::collections::TryReserveError;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Messages that are about to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) bytes: Vec<u8>,
    /// Whether something in them cannot be said.
    pub(crate) unsendable: bool,
}

impl Outgoing {
    /// Adds a message of type `kind`, or one without a type, whose content `fill` writes.
    pub(crate) fn message(&mut self, kind: Option<u8>, fill: impl FnOnce(&mut Self)) {
        self.bytes.extend(kind);
        let at = self.bytes.len();
        self.bytes.extend([0; 4]);
        fill(self);
        let length = self.bytes.len() - at;
        match i32::try_from(length) {
            Ok(length) => self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes()),
            Err(_) => self.unsendable = true,
        }
    }

    pub(crate) fn short(&mut self, number: usize) {
        match u16::try_from(number) {
            Ok(number) => self.bytes.extend(number.to_be_bytes()),
            Err(_) => self.unsendable = true,
        }
    }

    pub(crate) fn long(&mut self, number: i32) {
        self.bytes.extend(number.to_be_bytes());
    }

    /// Writes a string with its end.
    pub(crate) fn text(&mut self, text: &str) {
        self.unsendable |= text.as_bytes().contains(&0);
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// Writes bytes after their length; -1 stands for none.
    pub(crate) fn value(&mut self, value: Option<&[u8]>) {
        let length = value.map_or(Ok(-1), |value| i32::try_from(value.len()));
        self.unsendable |= length.is_err();
        self.long(length.unwrap_or(0));
        self.bytes.extend(value.unwrap_or_default());
    }
}

/// What is left to read of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a>(pub(crate) &'a [u8]);

impl<'a> Incoming<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(crate) fn long(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Reads a string up to its end.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.0.iter().position(|&byte| byte == 0)?;
        let text = core::str::from_utf8(self.take(length)?).ok()?;
        self.take(1)?;
        Some(text)
    }
}

/// Why a message is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Malformed,
    /// There is no memory for it.
    Memory,
}

impl Wrong {
    /// The error where it is in that message.
    pub(crate) fn within<E>(self, what: &'static str) -> Error<E> {
        match self {
            Self::Malformed => Error::Malformed(what),
            Self::Memory => Error::Memory,
        }
    }
}

impl From<TryReserveError> for Wrong {
    fn from(_: TryReserveError) -> Self {
        Self::Memory
    }
}

/// Copies text; what is no UTF-8 in it becomes U+FFFD.
pub(crate) fn copied(text: &[u8]) -> Result<String, TryReserveError> {
    let mut copy = String::new();
    for chunk in text.utf8_chunks() {
        let sign = if chunk.invalid().is_empty() { "" } else { "\u{FFFD}" };
        copy.try_reserve(chunk.valid().len() + sign.len())?;
        copy.push_str(chunk.valid());
        copy.push_str(sign);
    }
    Ok(copy)
}

/// Reads an ErrorResponse or a NoticeResponse.
pub(crate) fn report(body: &[u8]) -> Result<Report, Wrong> {
    let (mut rest, mut report) = (Incoming(body), Report::default());
    loop {
        let field = rest.take(1).ok_or(Wrong::Malformed)?[0];
        if field == 0 {
            return Ok(report);
        }
        // An error may come in another encoding than was asked for, before that is settled.
        let length = rest.0.iter().position(|&byte| byte == 0).ok_or(Wrong::Malformed)?;
        let text = rest.take(length).ok_or(Wrong::Malformed)?;
        rest.take(1).ok_or(Wrong::Malformed)?;
        match field {
            // `S` is the translated one, of servers before 9.6 alone.
            b'V' => report.severity = copied(text)?,
            b'S' if report.severity.is_empty() => report.severity = copied(text)?,
            b'C' => report.code = copied(text)?,
            b'M' => report.message = copied(text)?,
            b'D' => report.detail = copied(text)?,
            _ => {}
        }
    }
}

/// Makes room for `count` things, of which each takes so many bytes of the `rest` at least.
fn list<T>(count: u16, rest: Incoming<'_>, least: usize) -> Result<Vec<T>, Wrong> {
    let count = usize::from(count);
    if rest.0.len() / least < count {
        return Err(Wrong::Malformed);
    }
    let mut list = Vec::new();
    list.try_reserve_exact(count)?;
    Ok(list)
}

/// Reads a RowDescription: the names of the columns.
pub(crate) fn columns(body: &[u8]) -> Result<Vec<String>, Wrong> {
    let mut rest = Incoming(body);
    let count = rest.short().ok_or(Wrong::Malformed)?;
    let mut names = list(count, rest, 19)?;
    for _ in 0..count {
        names.push(copied(rest.text().ok_or(Wrong::Malformed)?.as_bytes())?);
        // The table, the column in it, the type, its size and modifier, the format.
        rest.take(18).ok_or(Wrong::Malformed)?;
    }
    if rest.0.is_empty() { Ok(names) } else { Err(Wrong::Malformed) }
}

/// Reads a DataRow: where its values are in `body`, and `None` for those that are null.
pub(crate) fn values(body: &[u8]) -> Result<Vec<Option<Range<usize>>>, Wrong> {
    let mut rest = Incoming(body);
    let count = rest.short().ok_or(Wrong::Malformed)?;
    let mut values = list(count, rest, 4)?;
    for _ in 0..count {
        values.push(match rest.long().ok_or(Wrong::Malformed)? {
            -1 => None,
            length => {
                let begin = body.len() - rest.0.len();
                let length = usize::try_from(length).map_err(|_| Wrong::Malformed)?;
                rest.take(length).ok_or(Wrong::Malformed)?;
                Some(begin..body.len() - rest.0.len())
            }
        });
    }
    if rest.0.is_empty() { Ok(values) } else { Err(Wrong::Malformed) }
}
