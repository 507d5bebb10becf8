//! Parses the headers of an archive.

use super::BLOCK;
use crate::Error;
use alloc::vec::Vec;
use core::ops::Range;

/// The longest path in bytes, also of a link's target, as on Linux (`PATH_MAX`): with it, the time
/// that an entry takes is bounded.
pub(super) const LONGEST: usize = 4096;

/// The memory that a number of a sparse map takes at most while it is read, in bytes: its list may
/// have twice the room that it needs.
pub(super) const NUMBER: usize = 16;

/// Holds what extended headers say of the next entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<u64>,
    pub(super) sparse: Sparse,
}

/// Holds the records `GNU.sparse.*`: a pair for each piece in format 0.0, one list in 0.1; in
/// 1.0 the list is before the content.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) major: Option<u64>,
    /// Offsets and lengths, alternating.
    pub(super) numbers: Option<Vec<u64>>,
}

/// A run of stored bytes of a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its offset in the file.
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Its offset on the disk.
    pub(super) at: u64,
}

/// Makes pieces of alternating offsets and lengths, whose content starts at byte `at` of the
/// disk.
///
/// # Errors
/// [`Error::Damaged`] if they overlap, are not sorted, exceed the file's `size`, or do not add
/// up to `stored` bytes.
pub(super) fn pieces(
    numbers: &[u64],
    mut at: u64,
    stored: u64,
    size: u64,
) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    pieces.try_reserve_exact(numbers.len() / 2).map_err(|_| Error::NoMemory)?;
    let (mut end, mut sum) = (0_u64, 0_u64);
    for pair in numbers.chunks(2) {
        let &[offset, length] = pair else { return Err(Error::Damaged) };
        let next = offset.checked_add(length).filter(|&next| offset >= end && next <= size);
        end = next.ok_or(Error::Damaged)?;
        if length > 0 {
            pieces.push(Piece { offset, length, at });
        }
        // Pieces beyond the disk do not pass the comparison with `stored`.
        at = at.saturating_add(length);
        sum = sum.saturating_add(length);
    }
    if sum == stored { Ok(pieces) } else { Err(Error::Damaged) }
}

/// Returns the bytes before the first null byte.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Parses a number: octal digits or, with the first bit set, GNU's base-256.
pub(in crate::fs) fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((&0x80, rest)) => rest
            .iter()
            .try_fold(0_u64, |number, &byte| Some(number.checked_mul(256)? | u64::from(byte))),
        Some((0x81.., _)) | None => None,
        Some(_) => {
            let digits = text(field).trim_ascii();
            digits.iter().try_fold(0_u64, |number, &byte| match byte {
                b'0'..=b'7' => Some(number.checked_mul(8)? | u64::from(byte - b'0')),
                _ => None,
            })
        }
    }
}

/// Parses a decimal number of digits only.
pub(in crate::fs) fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Parses a time as seconds since 1970, without its fraction; 0 for times before.
fn seconds(value: &[u8]) -> Option<u64> {
    if value.starts_with(b"-") {
        return Some(0);
    }
    decimal(value.split(|&byte| byte == b'.').next()?)
}

impl Extended {
    /// Parses the records of a pax header, `length key=value\n`, and calls `each` for each of
    /// them. An empty value removes an earlier one. What is kept is taken from the `left` bytes of
    /// memory.
    ///
    /// # Errors
    /// [`Error::TooLong`] for a path, [`Error::NoMemory`], and [`Error::Damaged`] for anything
    /// else.
    pub(super) fn take(
        &mut self,
        mut records: &[u8],
        left: &mut usize,
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Error> {
        // Some programs pad the records with null bytes.
        while records.iter().any(|&byte| byte != 0) {
            let (key, value, rest) = next(records).ok_or(Error::Damaged)?;
            self.record(key, value, left)?;
            each(key, value);
            records = rest;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8], left: &mut usize) -> Result<(), Error> {
        let said = !value.is_empty();
        let number = |value| decimal(value).ok_or(Error::Damaged);
        match key {
            b"path" => self.path = if said { Some(path(value)?) } else { None },
            b"linkpath" => self.link = if said { Some(path(value)?) } else { None },
            b"size" if said => self.size = Some(number(value)?),
            b"size" => self.size = None,
            b"mtime" if said => self.modified = Some(seconds(value).ok_or(Error::Damaged)?),
            b"mtime" => self.modified = None,
            b"GNU.sparse.name" => self.sparse.name = Some(path(value)?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                self.sparse.size = Some(number(value)?);
            }
            b"GNU.sparse.major" => self.sparse.major = Some(number(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let numbers = self.sparse.numbers.get_or_insert_default();
                // They alternate, an offset first.
                if numbers.len() % 2 != usize::from(key.ends_with(b"numbytes")) {
                    return Err(Error::Damaged);
                }
                push(numbers, number(value)?, left)?;
            }
            b"GNU.sparse.map" => {
                let mut numbers = Vec::new();
                for value in value.split(|&byte| byte == b',').filter(|_| said) {
                    push(&mut numbers, number(value)?, left)?;
                }
                // One that stands there twice counts the second time.
                let old = self.sparse.numbers.replace(numbers);
                *left += old.map_or(0, |it| it.len() * NUMBER);
            }
            // The number of pieces, the minor version of the sparse format, and records of
            // owners, times and attributes, which are not used.
            _ => {}
        }
        Ok(())
    }
}

/// Parses a record of a pax header. Returns its key and value, and what follows.
fn next(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&records[..space])?).ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

/// Returns a path, which may be as long as on Linux.
///
/// # Errors
/// [`Error::TooLong`].
pub(super) fn path(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    if bytes.len() > LONGEST { Err(Error::TooLong) } else { Ok(bytes.to_vec()) }
}

/// Adds a number to a sparse map, for [`NUMBER`] of the `left` bytes of memory.
///
/// # Errors
/// [`Error::NoMemory`].
pub(super) fn push(numbers: &mut Vec<u64>, number: u64, left: &mut usize) -> Result<(), Error> {
    *left = left.checked_sub(NUMBER).ok_or(Error::NoMemory)?;
    numbers.try_reserve(1).map_err(|_| Error::NoMemory)?;
    numbers.push(number);
    Ok(())
}

/// A header with a valid checksum.
pub(in crate::fs) struct Header<'a>(&'a [u8; BLOCK as usize]);

impl<'a> Header<'a> {
    /// Returns the header in `block`, or `None` if its checksum is wrong. Some old programs
    /// summed signed bytes.
    pub(super) fn new(block: &'a [u8; BLOCK as usize]) -> Option<Self> {
        let field = 148..156;
        let said = number(&block[field.clone()])?;
        let others = || {
            let bytes = block.iter().enumerate();
            bytes.map(|(at, &byte)| if field.contains(&at) { b' ' } else { byte })
        };
        let unsigned: u64 = others().map(u64::from).sum();
        let signed: i64 = others().map(|byte| i64::from(byte.cast_signed())).sum();
        (unsigned == said || i64::try_from(said) == Ok(signed)).then_some(Self(block))
    }

    pub(in crate::fs) fn field(&self, range: Range<usize>) -> &'a [u8] {
        self.0.get(range).unwrap_or_default()
    }

    /// Returns the type flag of the entry.
    pub(in crate::fs) fn kind(&self) -> u8 {
        self.field(156..157).first().copied().unwrap_or_default()
    }

    /// Returns whether it is in GNU's old format (magic `ustar  `).
    pub(super) fn is_gnu(&self) -> bool {
        self.field(257..265) == b"ustar  \0"
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        // GNU's old format has other fields in place of POSIX's prefix, and the program star has
        // some behind a shorter prefix.
        if self.field(257..263) == b"ustar\0" {
            let end = if self.field(508..512) == b"tar\0" { 476 } else { 500 };
            path.extend_from_slice(text(self.field(345..end)));
            if !path.is_empty() {
                path.push(b'/');
            }
        }
        path.extend_from_slice(text(self.field(0..100)));
        path
    }

    /// Parses the sparse map from byte `from` of a header or of an extension block. Returns the
    /// alternating offsets and lengths, and whether an extension block follows.
    ///
    /// # Errors
    /// [`Error::Damaged`] for invalid numbers, and [`Error::NoMemory`].
    pub(super) fn sparse(
        block: &[u8],
        from: usize,
        count: usize,
        numbers: &mut Vec<u64>,
        left: &mut usize,
    ) -> Result<bool, Error> {
        let pairs = block.get(from..).unwrap_or_default().chunks_exact(24).take(count);
        for pair in pairs.take_while(|pair| pair[12] != 0) {
            for field in pair.chunks_exact(12) {
                push(numbers, number(field).ok_or(Error::Damaged)?, left)?;
            }
        }
        Ok(block.get(from + count * 24).is_some_and(|&more| more != 0))
    }
}
