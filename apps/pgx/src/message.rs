//! Writes and reads messages (section "Message Formats").

use crate::error::Report;
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

/// Reads an ErrorResponse or a NoticeResponse.
pub(crate) fn report(body: &[u8]) -> Option<Report> {
    let (mut rest, mut report) = (Incoming(body), Report::default());
    loop {
        let field = rest.take(1)?[0];
        if field == 0 {
            return Some(report);
        }
        // An error may come in another encoding than was asked for, before that is settled.
        let length = rest.0.iter().position(|&byte| byte == 0)?;
        let text = String::from_utf8_lossy(rest.take(length)?).into_owned();
        rest.take(1)?;
        match field {
            // `S` is the translated one, of servers before 9.6 alone.
            b'V' => report.severity = text,
            b'S' if report.severity.is_empty() => report.severity = text,
            b'C' => report.code = text,
            b'M' => report.message = text,
            b'D' => report.detail = text,
            _ => {}
        }
    }
}

/// Reads a RowDescription: the names of the columns.
pub(crate) fn columns(body: &[u8]) -> Option<Vec<String>> {
    let mut rest = Incoming(body);
    let count = rest.short()?;
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(rest.text()?.into());
        // The table, the column in it, the type, its size and modifier, the format.
        rest.take(18)?;
    }
    rest.0.is_empty().then_some(names)
}

/// Reads a DataRow: where its values are in `body`, and `None` for those that are null.
pub(crate) fn values(body: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
    let mut rest = Incoming(body);
    let count = rest.short()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(match rest.long()? {
            -1 => None,
            length => {
                let begin = body.len() - rest.0.len();
                rest.take(usize::try_from(length).ok()?)?;
                Some(begin..body.len() - rest.0.len())
            }
        });
    }
    rest.0.is_empty().then_some(values)
}
