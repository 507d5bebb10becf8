//! Encodes and parses superblocks, commits and records.
//!
//! ```text
//! page 0         superblock
//! page 1         superblock, alike but while it is written
//! page 2 ...     the log: commits, each of whole pages, round and round
//! ```

use crc::{CRC_32_ISCSI, Crc, Table};

/// The size of a page in bytes: the unit of writes. Disks have physical sectors of up to 4096
/// bytes, whatever they report, and a torn write may damage one: acknowledged data never share
/// one with a write.
pub(super) const PAGE: usize = 4096;
/// The number of pages before the log.
pub(super) const FIRST: u64 = 2;

const MAGIC: [u8; 8] = *b"XENITHKV";
const VERSION: u32 = 1;
const COMMIT: [u8; 4] = *b"XKVc";

/// The size of a commit's header in bytes.
pub(super) const HEADER: usize = 36;
/// The size of a record's header in bytes.
pub(super) const RECORD: usize = 12;

const CASTAGNOLI: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = CASTAGNOLI.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// The superblock: where the log begins, and a lower bound of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Distinguishes this store from earlier ones on the same disk.
    pub(super) id: u64,
    /// The size of the log in pages.
    pub(super) pages: u64,
    /// Grows with each superblock that is written.
    pub(super) generation: u64,
    /// The position of the first commit. Positions count the pages written since the store was
    /// formatted, so that none is ever reused.
    pub(super) tail: u64,
    /// The checksum of the commit before the first one.
    pub(super) chain: u32,
    /// A position before which all commits are known to be on the disk.
    pub(super) reached: u64,
}

/// The offset of a superblock's checksum.
const SUM: usize = 60;

impl Superblock {
    pub(super) fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &self.id.to_le_bytes());
        put(24, &self.pages.to_le_bytes());
        put(32, &self.generation.to_le_bytes());
        put(40, &self.tail.to_le_bytes());
        put(48, &self.reached.to_le_bytes());
        put(56, &self.chain.to_le_bytes());
        put(PAGE - MAGIC.len(), &MAGIC);
        let sum = checksum(&[&page[..SUM], &page[SUM + 4..]]);
        page[SUM..SUM + 4].copy_from_slice(&sum.to_le_bytes());
        page
    }

    pub(super) fn decode(page: &[u8]) -> Option<Self> {
        let sum = checksum(&[page.get(..SUM)?, page.get(SUM + 4..PAGE)?]);
        let right = page.starts_with(&MAGIC)
            && u32_at(page, 8) == Some(VERSION)
            && u32_at(page, SUM) == Some(sum);
        if !right {
            return None;
        }
        Some(Self {
            id: u64_at(page, 16)?,
            pages: u64_at(page, 24)?,
            generation: u64_at(page, 32)?,
            tail: u64_at(page, 40)?,
            reached: u64_at(page, 48)?,
            chain: u32_at(page, 56)?,
        })
    }

    /// Returns whether the page may be a damaged superblock.
    pub(super) fn is_alike(page: &[u8]) -> bool {
        page.starts_with(&MAGIC) || page.ends_with(&MAGIC)
    }

    /// Returns whether the page may be a superblock that was written over zeros in part.
    pub(super) fn is_begun(page: &[u8]) -> bool {
        let Some((head, rest)) = page.split_at_checked(SUM + 4) else { return false };
        let Some((rest, end)) = rest.split_last_chunk::<8>() else { return false };
        let part = |bytes: &[u8]| bytes.iter().zip(MAGIC).all(|(&it, all)| it == 0 || it == all);
        part(head) && part(end) && rest.iter().all(|&byte| byte == 0)
    }
}

/// The header of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The length of the whole commit in bytes.
    pub(super) length: usize,
    pub(super) position: u64,
    pub(super) id: u64,
    /// The checksum of the previous commit.
    pub(super) previous: u32,
    /// Its own checksum.
    pub(super) sum: u32,
}

impl Header {
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let length = u32_at(bytes, 4)? as usize;
        (bytes.starts_with(&COMMIT) && length >= HEADER).then_some(())?;
        Some(Self {
            length,
            position: u64_at(bytes, 8)?,
            id: u64_at(bytes, 16)?,
            previous: u32_at(bytes, 24)?,
            sum: u32_at(bytes, 32)?,
        })
    }

    /// Returns whether its checksum is that of `bytes`, which begin with the header.
    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        let parts = (bytes.get(..32), bytes.get(HEADER..self.length));
        matches!(parts, (Some(head), Some(body)) if checksum(&[head, body]) == self.sum)
    }
}

/// Returns the number of pages that `length` bytes take.
pub(super) const fn pages(length: usize) -> u64 {
    length.div_ceil(PAGE) as u64
}

/// Completes a commit, whose records follow room for its header. Returns its checksum.
pub(super) fn seal(bytes: &mut alloc::vec::Vec<u8>, position: u64, id: u64, previous: u32) -> u32 {
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&COMMIT);
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..16].copy_from_slice(&position.to_le_bytes());
    bytes[16..24].copy_from_slice(&id.to_le_bytes());
    bytes[24..28].copy_from_slice(&previous.to_le_bytes());
    let sum = checksum(&[&bytes[..32], &bytes[HEADER..]]);
    bytes[32..HEADER].copy_from_slice(&sum.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    sum
}

/// A change of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    /// The value; `None` if the key is deleted.
    pub(super) value: Option<&'a [u8]>,
}

/// Returns the size of a record in bytes.
pub(super) const fn size(key: usize, value: usize) -> usize {
    RECORD + key + value
}

impl<'a> Record<'a> {
    /// Appends it to `to`. Its key has at most 255 bytes.
    pub(super) fn encode(&self, to: &mut alloc::vec::Vec<u8>) {
        let value = self.value.unwrap_or_default();
        let mut head = [0; 8];
        head[0] = if self.value.is_some() { 1 } else { 2 };
        head[1] = self.key.len() as u8;
        head[4..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        let sum = checksum(&[&head, self.key, value]);
        for part in [&head, &sum.to_le_bytes()[..], self.key, value] {
            to.extend_from_slice(part);
        }
    }

    /// Parses the record at the beginning of `bytes`, if its checksum is right; returns its size
    /// as well.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (sort, key) = (*bytes.first()?, usize::from(*bytes.get(1)?));
        let value = u32_at(bytes, 4)? as usize;
        let size = RECORD.checked_add(key)?.checked_add(value)?;
        let (key, value) = bytes.get(RECORD..size)?.split_at_checked(key)?;
        if u32_at(bytes, 8)? != checksum(&[&bytes[..8], key, value]) {
            return None;
        }
        let value = match sort {
            1 => Some(value),
            2 if value.is_empty() => None,
            _ => return None,
        };
        (!key.is_empty()).then_some((Self { key, value }, size))
    }
}

/// Makes the checksums of superblocks, commits and records right.
#[cfg(test)]
pub(super) fn reseal(disk: &mut [u8]) {
    for page in disk.chunks_exact_mut(PAGE).take(FIRST as usize) {
        let sum = checksum(&[&page[..SUM], &page[SUM + 4..]]);
        page[SUM..SUM + 4].copy_from_slice(&sum.to_le_bytes());
    }
    for start in (FIRST as usize * PAGE..disk.len()).step_by(PAGE) {
        let Some(header) = Header::decode(&disk[start..]) else { continue };
        let end = start.saturating_add(header.length).min(disk.len());
        let mut at = start + HEADER;
        while at + RECORD < end {
            let sizes = (usize::from(disk[at + 1]), u32_at(disk, at + 4).unwrap_or(0) as usize);
            let stop = (at + RECORD).saturating_add(sizes.0).saturating_add(sizes.1).min(end);
            let sum = checksum(&[&disk[at..at + 8], &disk[at + RECORD..stop]]);
            disk[at + 8..at + RECORD].copy_from_slice(&sum.to_le_bytes());
            at = stop;
        }
        let sum = checksum(&[&disk[start..start + 32], &disk[(start + HEADER).min(end)..end]]);
        disk[start + 32..start + HEADER].copy_from_slice(&sum.to_le_bytes());
    }
}
