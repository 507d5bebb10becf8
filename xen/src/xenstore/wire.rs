//! Messages of xenstored, as bytes: pure functions of what came.

use super::{Error, HEADER, PAYLOAD_MAX};
use crate::Errno;
use alloc::vec::Vec;

/// The number that `text` is: decimal digits and nothing else.
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
        let (places, _) = bytes.as_chunks_mut::<4>();
        for (place, word) in places.iter_mut().zip(words) {
            *place = word.to_le_bytes();
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

/// Puts messages together from pieces that may end anywhere (rule X4).
#[derive(Debug)]
pub(crate) struct Assembler {
    header: heapless::Vec<u8, HEADER>,
    payload: Vec<u8>,
}

impl Assembler {
    pub(crate) const fn new() -> Self {
        Self { header: heapless::Vec::new(), payload: Vec::new() }
    }

    /// Takes the next bytes, and gives each message that they complete to `message`.
    ///
    /// # Errors
    /// [`Error::Broken`] for a payload that may not be as long (rule X1).
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut message: impl FnMut(Header, Vec<u8>),
    ) -> Result<(), Error> {
        loop {
            let missing = HEADER - self.header.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            // It is as much as there is room for.
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

/// The path and the token of a watch's event: two strings, each with its zero byte.
pub(crate) fn watch_event(payload: &[u8]) -> Option<(&[u8], u32)> {
    let payload = payload.strip_suffix(b"\0")?;
    let mut parts = payload.split(|&byte| byte == 0);
    let (path, token) = (parts.next()?, parts.next()?);
    let token = u32::try_from(number(token)?).ok()?;
    parts.next().is_none().then_some((path, token))
}

/// The number of a transaction that was begun; 0 is none.
pub(crate) fn transaction(payload: &[u8]) -> Option<u32> {
    let number = number(payload.strip_suffix(b"\0").unwrap_or(payload))?;
    u32::try_from(number).ok().filter(|&id| id != 0)
}

/// Whether `path` is `root` or below it.
pub(crate) fn is_below(path: &[u8], root: &[u8]) -> bool {
    match path.strip_prefix(root) {
        // Special paths, such as @releaseDomain, stand for themselves.
        Some(rest) => rest.is_empty() || rest.starts_with(b"/") || root == b"/",
        None => false,
    }
}

/// The error that a payload names.
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

/// A number in decimal.
pub(crate) fn decimal(mut number: u32) -> heapless::Vec<u8, 10> {
    let mut digits = heapless::Vec::new();
    loop {
        // Ten digits fit any number.
        let _ = digits.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            digits.reverse();
            return digits;
        }
    }
}
