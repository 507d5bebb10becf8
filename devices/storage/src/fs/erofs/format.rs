//! Parses the superblock, inodes and folders of EROFS (Linux's Documentation/filesystems/erofs.rst
//! and fs/erofs/erofs_fs.h).

use crate::fs::{Error, Kind, Metadata};
use crc::{CRC_32_ISCSI, Crc, Table};

const CASTAGNOLI: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// The offset of the superblock, and its size, in bytes.
pub(super) const SUPER_AT: u64 = 1024;
pub(super) const SUPER_SIZE: usize = 128;

/// The size of an inode's number in bytes: the number of an inode is its place.
pub(super) const SLOT: u64 = 32;

/// The size of an entry of a folder in bytes.
const ENTRY: usize = 12;

pub(super) fn u16_at(from: &[u8], at: usize) -> u16 {
    from.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&it| u16::from_le_bytes(it))
}

pub(super) fn u32_at(from: &[u8], at: usize) -> u32 {
    u32::from(u16_at(from, at)) | u32::from(u16_at(from, at + 2)) << 16
}

pub(super) fn u64_at(from: &[u8], at: usize) -> u64 {
    u64::from(u32_at(from, at)) | u64::from(u32_at(from, at + 4)) << 32
}

/// The incompatible features. Some bits stand for two, which other fields tell apart.
mod incompatible {
    /// Compressed data are at the end of their blocks (Linux 5.4).
    pub(super) const PADDED: u32 = 0x1;
    /// Clusters of several blocks, and the settings of compressors.
    pub(super) const LARGE: u32 = 0x2;
    /// A second algorithm of a file; devices are told by their number.
    pub(super) const SECOND: u32 = 0x8;
    /// Prefixes of extended attributes, which are not read here.
    pub(super) const PREFIXES: u32 = 0x40;
    pub(super) const KNOWN: u32 = PADDED | LARGE | SECOND | PREFIXES;
}

/// What the superblock says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Superblock {
    /// The power of two that is the size of a block: 9 to 16.
    pub(super) bits: u32,
    /// The number of the root's inode.
    pub(super) root: u64,
    /// The byte from which inodes are counted.
    pub(super) inodes: u64,
    /// The bytes of the file system.
    pub(super) size: u64,
    /// Whether compressed data begin with the first byte of their blocks that is not zero.
    pub(super) padded: bool,
    /// The checksum, of all of the block but the first 1024 bytes.
    pub(super) sum: Option<u32>,
    /// When it was made, in ns since 1970.
    built: u64,
}

impl Superblock {
    /// Parses a superblock.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Unsupported`], [`Error::Damaged`].
    pub(super) fn new(bytes: &[u8; SUPER_SIZE]) -> Result<Self, Error> {
        if u32_at(bytes, 0) != 0xe0f5_e1e2 {
            return Err(Error::OtherFormat);
        }
        let features = u32_at(bytes, 80);
        let (devices, packed) = (u16_at(bytes, 86), u64_at(bytes, 96));
        if features & !incompatible::KNOWN != 0 || devices != 0 || packed != 0 || bytes[90] != 0 {
            log::warn!("erofs: features {features:#x}, {devices} more devices: not supported");
            return Err(Error::Unsupported);
        }
        let bits = u32::from(bytes[12]);
        if !(9..=16).contains(&bits) {
            return Err(Error::Damaged);
        }
        Ok(Self {
            bits,
            root: u16_at(bytes, 14).into(),
            inodes: u64::from(u32_at(bytes, 40)) << bits,
            size: u64::from(u32_at(bytes, 36)) << bits,
            padded: features & incompatible::PADDED != 0,
            sum: (u32_at(bytes, 8) & 1 != 0).then(|| u32_at(bytes, 4)),
            built: nanoseconds(u64_at(bytes, 24), u32_at(bytes, 32)),
        })
    }

    /// Returns the bytes of a block.
    pub(super) const fn block(&self) -> u64 {
        1 << self.bits
    }

    /// Returns the bytes that the checksum is of, which begin with the superblock.
    pub(super) const fn summed(&self) -> usize {
        let block = 1 << self.bits;
        if block > SUPER_AT as usize { block - SUPER_AT as usize } else { block }
    }
}

/// Returns the checksum of a superblock and what follows it: CRC-32C that is not inverted at its
/// end, with zeros where it stands itself.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut digest = CASTAGNOLI.digest();
    digest.update(bytes.get(..4).unwrap_or_default());
    digest.update(&[0; 4]);
    digest.update(bytes.get(8..).unwrap_or_default());
    !digest.finalize()
}

/// Ns in a second.
const SECOND: u64 = 1_000_000_000;

fn nanoseconds(seconds: u64, more: u32) -> u64 {
    // Times before 1970 are negative.
    let seconds = if seconds >> 63 == 0 { seconds } else { 0 };
    seconds.saturating_mul(SECOND).saturating_add(u64::from(more) % SECOND)
}

/// How the content of a file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// In consecutive blocks.
    Plain,
    /// Likewise, but the last block, or part of one, follows the inode.
    Inline,
    /// In clusters that are compressed, with eight bytes for each block in the index.
    Full,
    /// Likewise, with two or four bytes for each block.
    Compact,
    /// In a way that is not supported.
    Unknown,
}

/// An inode.
#[derive(Clone, Debug)]
pub(in crate::fs) struct Inode {
    pub(in crate::fs) number: u64,
    pub(super) layout: Layout,
    pub(in crate::fs) size: u64,
    /// The first block, or the device that it is.
    pub(in crate::fs) first: u32,
    /// The byte that follows the inode and its extended attributes.
    pub(super) end: u64,
    pub(in crate::fs) mode: u16,
    pub(in crate::fs) uid: u32,
    pub(in crate::fs) gid: u32,
    pub(in crate::fs) links: u32,
    /// When it changed, in ns since 1970.
    pub(in crate::fs) time: u64,
}

impl Inode {
    /// Parses inode `number`, which is at byte `at`, from the 64 bytes there. A short inode has
    /// 32 of them.
    pub(super) fn new(bytes: &[u8; 64], number: u64, at: u64, of: &Superblock) -> Self {
        let (format, attributes) = (u16_at(bytes, 0), u64::from(u16_at(bytes, 2)));
        let long = format & 1 != 0;
        let attributes = if attributes == 0 { 0 } else { 12 + (attributes - 1) * 4 };
        let half = |at| u32::from(u16_at(bytes, at));
        let layout = match format >> 1 & 7 {
            0 => Layout::Plain,
            1 => Layout::Full,
            2 => Layout::Inline,
            3 => Layout::Compact,
            _ => Layout::Unknown,
        };
        Self {
            number,
            layout,
            size: if long { u64_at(bytes, 8) } else { u32_at(bytes, 8).into() },
            first: u32_at(bytes, 16),
            end: at + if long { 64 } else { 32 } + attributes,
            mode: u16_at(bytes, 4),
            uid: if long { u32_at(bytes, 24) } else { half(24) },
            gid: if long { u32_at(bytes, 28) } else { half(26) },
            links: if long { u32_at(bytes, 44) } else { half(6) },
            time: if long { nanoseconds(u64_at(bytes, 32), u32_at(bytes, 40)) } else { of.built },
        }
    }

    pub(in crate::fs) const fn kind(&self) -> Kind {
        match self.mode >> 12 {
            4 => Kind::Folder,
            8 => Kind::File,
            10 => Kind::Link,
            _ => Kind::Other,
        }
    }

    pub(super) fn metadata(&self) -> Metadata {
        let kind = self.kind();
        let size = if kind == Kind::File { self.size } else { 0 };
        Metadata { kind, size, modified: self.time / SECOND, id: self.number }
    }
}

/// An entry of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u64,
}

/// Returns how many entries a block of a folder has.
///
/// # Errors
/// [`Error::Damaged`].
pub(super) fn count(block: &[u8]) -> Result<usize, Error> {
    let first = usize::from(u16_at(block, 8));
    if first < ENTRY || first % ENTRY != 0 || first > block.len() {
        return Err(Error::Damaged);
    }
    Ok(first / ENTRY)
}

/// Returns entry `index` of the `count` ones that a block of a folder has.
///
/// # Errors
/// [`Error::Damaged`].
pub(super) fn entry(block: &[u8], index: usize, count: usize) -> Result<Entry<'_>, Error> {
    let at = index * ENTRY;
    let begin = usize::from(u16_at(block, at + 8));
    let last = index + 1 == count;
    let end = if last { block.len() } else { usize::from(u16_at(block, at + ENTRY + 8)) };
    let name = block.get(begin..end).ok_or(Error::Damaged)?;
    // Zeros fill what is left of a block.
    let name = if last { name.split(|&byte| byte == 0).next().unwrap_or(name) } else { name };
    if name.is_empty() || name.contains(&0) || name.contains(&b'/') {
        return Err(Error::Damaged);
    }
    Ok(Entry { name, inode: u64_at(block, at) })
}
