//! The format of xenstored's messages: pure functions of bytes.

use super::error::Error;
use crate::Errno;
use crate::public::io::xs_wire::{HEADER, PAYLOAD_MAX};
use alloc::vec::Vec;

/// Parses a decimal number: 1 to 20 digits and nothing else, not even a sign (rule X8). Returns
/// `None` for other text, or beyond 64 bits.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `struct xsd_sockmsg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: u32,
    pub id: u32,
    pub transaction: u32,
    pub length: u32,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let words = [self.kind, self.id, self.transaction, self.length];
        let (fields, _) = bytes.as_chunks_mut::<4>();
        for (field, word) in fields.iter_mut().zip(words) {
            *field = word.to_le_bytes();
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<4>() else { return None };
        let &[kind, id, transaction, length] = words else { return None };
        let [kind, id, transaction, length] =
            [kind, id, transaction, length].map(u32::from_le_bytes);
        Some(Self { kind, id, transaction, length })
    }
}

/// Assembles messages from the stream of the ring, whose reads may end anywhere (rule X4).
#[derive(Debug)]
pub(crate) struct Assembler {
    header: heapless::Vec<u8, HEADER>,
    payload: Vec<u8>,
}

impl Assembler {
    pub(crate) const fn new() -> Self {
        Self { header: heapless::Vec::new(), payload: Vec::new() }
    }

    /// Returns whether a message has begun and not ended.
    pub(crate) fn is_within(&self) -> bool {
        !self.header.is_empty()
    }

    /// Takes the next bytes of the stream, and calls `message` for each message that they
    /// complete.
    ///
    /// # Errors
    /// [`Error::Broken`] for a payload of more than 4096 bytes (rule X1).
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut message: impl FnMut(Header, Vec<u8>),
    ) -> Result<(), Error> {
        loop {
            let missing = HEADER - self.header.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            // It fits: it is not longer than what is missing.
            let _ = self.header.extend_from_slice(head);
            let Some(header) = Header::from_bytes(&self.header) else { return Ok(()) };
            let length = header.length as usize;
            if length > PAYLOAD_MAX {
                return Err(Error::Broken);
            }
            let missing = length - self.payload.len();
            let (piece, rest) = rest.split_at(missing.min(rest.len()));
            self.payload.extend_from_slice(piece);
            if self.payload.len() < length {
                return Ok(());
            }
            self.header.clear();
            message(header, core::mem::take(&mut self.payload));
            bytes = rest;
        }
    }
}

/// Returns path and token of a watch event: two strings, each with a final zero byte.
pub(crate) fn watch_event(payload: &[u8]) -> Option<(&[u8], u32)> {
    let payload = payload.strip_suffix(b"\0")?;
    let mut strings = payload.split(|&byte| byte == 0);
    let (path, token) = (strings.next()?, strings.next()?);
    let token = u32::try_from(number(token)?).ok()?;
    strings.next().is_none().then_some((path, token))
}

/// Returns the id of a transaction from the reply that started it. 0 is not an id.
pub(crate) fn transaction(payload: &[u8]) -> Option<u32> {
    let number = number(payload.strip_suffix(b"\0").unwrap_or(payload))?;
    u32::try_from(number).ok().filter(|&id| id != 0)
}

/// Returns whether `path` is `root` or below it.
pub(crate) fn is_below(path: &[u8], root: &[u8]) -> bool {
    match path.strip_prefix(root) {
        // Special paths, such as @releaseDomain, stand for themselves.
        Some(rest) => rest.is_empty() || rest.starts_with(b"/") || root == b"/",
        None => false,
    }
}

/// Returns the errno that the payload of `XS_ERROR` names; `EINVAL` for unknown names.
pub(crate) fn errno(payload: &[u8]) -> Errno {
    match payload.strip_suffix(b"\0").unwrap_or(payload) {
        b"EPERM" => Errno::EPERM,
        b"ENOENT" => Errno::ENOENT,
        b"E2BIG" => Errno::E2BIG,
        b"EAGAIN" => Errno::EAGAIN,
        b"ENOMEM" => Errno::ENOMEM,
        b"EACCES" => Errno::EACCES,
        b"EBUSY" => Errno::EBUSY,
        b"EEXIST" => Errno::EEXIST,
        b"ENOSPC" => Errno::ENOSPC,
        b"ENOSYS" => Errno::ENOSYS,
        _ => Errno::EINVAL,
    }
}

/// Formats a number in decimal.
pub(crate) fn decimal(mut number: u32) -> heapless::Vec<u8, 10> {
    let mut digits = heapless::Vec::new();
    loop {
        // Ten digits are enough for 32 bits.
        let _ = digits.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            digits.reverse();
            return digits;
        }
    }
}
