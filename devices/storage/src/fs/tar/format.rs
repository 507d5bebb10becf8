//! What stands in the headers of an archive.

use super::BLOCK;
use crate::Error;
use alloc::vec::Vec;
use core::ops::Range;

/// What extended headers say of the entry that follows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<u64>,
    pub(super) sparse: Sparse,
}

/// What `GNU.sparse.*` says: in format 0.0 a pair of records for each piece, in 0.1 one
/// list, and in 1.0 that the list stands before the content.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) major: Option<u64>,
    /// Offsets and lengths in turns.
    pub(super) numbers: Option<Vec<u64>>,
}

/// A run of bytes of a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it is in the file.
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Where it is on the disk.
    pub(super) at: u64,
}

/// Makes pieces of offsets and lengths, whose content stands from `at` on.
///
/// # Errors
/// [`Error::Damaged`] if they overlap, are in disorder, leave the file of `size` bytes or
/// do not add up to the `stored` bytes.
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
        // What is beyond the disk is found when these are compared with what is stored.
        at = at.saturating_add(length);
        sum = sum.saturating_add(length);
    }
    if sum == stored { Ok(pieces) } else { Err(Error::Damaged) }
}

/// The bytes before the first zero.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number: octal digits, or, with the first bit set, binary as GNU has it.
pub(super) fn number(field: &[u8]) -> Option<u64> {
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

/// A decimal number, of digits only.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Seconds since 1970, of which a fraction is cut off; 0 for what was before.
fn seconds(value: &[u8]) -> Option<u64> {
    if value.starts_with(b"-") {
        return Some(0);
    }
    decimal(value.split(|&byte| byte == b'.').next()?)
}

impl Extended {
    /// Reads the records of a pax header: `length key=value\n`. A value of nothing takes
    /// back what was said before.
    ///
    /// # Errors
    /// [`Error::Damaged`] for other things.
    pub(super) fn take(&mut self, records: &[u8]) -> Result<(), Error> {
        self.take_all(records).ok_or(Error::Damaged)
    }

    fn take_all(&mut self, mut records: &[u8]) -> Option<()> {
        // Some pad them.
        while records.iter().any(|&byte| byte != 0) {
            let space = records.iter().position(|&byte| byte == b' ')?;
            let length = usize::try_from(decimal(&records[..space])?).ok()?;
            let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&byte| byte == b'=')?;
            self.record(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Some(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let said = !value.is_empty();
        match key {
            b"path" => self.path = said.then(|| value.to_vec()),
            b"linkpath" => self.link = said.then(|| value.to_vec()),
            b"size" if said => self.size = Some(decimal(value)?),
            b"size" => self.size = None,
            b"mtime" if said => self.modified = Some(seconds(value)?),
            b"mtime" => self.modified = None,
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                self.sparse.size = Some(decimal(value)?);
            }
            b"GNU.sparse.major" => self.sparse.major = Some(decimal(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let numbers = self.sparse.numbers.get_or_insert_default();
                // They come in turns, an offset first.
                if numbers.len() % 2 != usize::from(key.ends_with(b"numbytes")) {
                    return None;
                }
                numbers.push(decimal(value)?);
            }
            b"GNU.sparse.map" => {
                let list = value.split(|&byte| byte == b',').filter(|_| said);
                self.sparse.numbers = Some(list.map(decimal).collect::<Option<_>>()?);
            }
            // The number of pieces, the minor number of the format, and what other
            // programs say of owners, times and attributes.
            _ => {}
        }
        Some(())
    }
}

/// A header whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK as usize]);

impl<'a> Header<'a> {
    /// The header in `block`; nothing if its checksum is another. Some old programs added
    /// up signed bytes.
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

    pub(super) fn field(&self, range: Range<usize>) -> &'a [u8] {
        self.0.get(range).unwrap_or_default()
    }

    /// What kind of entry it is.
    pub(super) fn kind(&self) -> u8 {
        self.field(156..157).first().copied().unwrap_or_default()
    }

    /// Whether it is in GNU's own format.
    pub(super) fn is_gnu(&self) -> bool {
        self.field(257..265) == b"ustar  \0"
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        // GNU's own format has other things where POSIX has the prefix, and the program
        // star has some behind a shorter one.
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

    /// The offsets and lengths that begin at byte `from` of a header or of what goes on
    /// with it, and whether more follow in a block of their own.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what are none.
    pub(super) fn sparse(
        block: &[u8],
        from: usize,
        count: usize,
        numbers: &mut Vec<u64>,
    ) -> Result<bool, Error> {
        let pairs = block.get(from..).unwrap_or_default().chunks_exact(24).take(count);
        for pair in pairs.take_while(|pair| pair[12] != 0) {
            for field in pair.chunks_exact(12) {
                numbers.push(number(field).ok_or(Error::Damaged)?);
            }
        }
        Ok(block.get(from + count * 24).is_some_and(|&more| more != 0))
    }
}
