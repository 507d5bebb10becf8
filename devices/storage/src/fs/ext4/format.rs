//! Parses the superblock, inodes, extended attributes and directory entries, and verifies their
//! checksums (Linux's Documentation/filesystems/ext4).

use crate::fs::{Error, Kind, Metadata};
use alloc::rc::Rc;
use alloc::vec::Vec;
use crc::{CRC_32_ISCSI, Crc, Table};

const CASTAGNOLI: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// Returns the CRC-32C of the concatenated `parts`, continued from `seed`. Unlike the usual one,
/// ext4's is not inverted at its end.
pub(super) fn checksum(seed: u32, parts: &[&[u8]]) -> u32 {
    let mut digest = CASTAGNOLI.digest_with_initial(seed.reverse_bits());
    parts.iter().for_each(|part| digest.update(part));
    !digest.finalize()
}

/// Returns the bytes from `at` on, or zeros if they are not all there.
fn bytes<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    from.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

pub(super) fn u16_at(from: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes(from, at))
}

pub(super) fn u32_at(from: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(from, at))
}

/// Returns a number of the journal, which is big-endian.
pub(super) fn be32_at(from: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes(from, at))
}

/// The incompatible features: a reader that does not know one of them must not mount.
mod incompatible {
    pub(super) const RECOVER: u32 = 0x4;
    pub(super) const META_BG: u32 = 0x10;
    pub(super) const BITS_64: u32 = 0x80;
    pub(super) const SEED: u32 = 0x2000;
    /// FILETYPE, EXTENTS, MMP, FLEX_BG, EA_INODE, LARGEDIR, INLINE_DATA, ENCRYPT (which is
    /// checked for each file) and CASEFOLD.
    pub(super) const HARMLESS: u32 =
        0x2 | 0x40 | 0x100 | 0x200 | 0x400 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000;
    pub(super) const KNOWN: u32 = RECOVER | META_BG | BITS_64 | SEED | HARMLESS;
}

/// The size of the superblock, and its offset on the disk, in bytes.
pub(super) const SUPERBLOCK: usize = 1024;

/// Holds the fields of the superblock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Superblock {
    /// The size of a block in bytes: a power of two from 1 KiB to 64 KiB.
    pub(super) block: u64,
    /// The number of blocks.
    pub(super) blocks: u64,
    /// The number of the first group's first block (`s_first_data_block`).
    first: u64,
    pub(super) inodes: u32,
    blocks_per_group: u64,
    pub(super) inodes_per_group: u32,
    pub(super) inode: u64,
    pub(super) descriptor: u64,
    /// The seed of checksums; `None` without `metadata_csum`.
    pub(super) seed: Option<u32>,
    pub(super) journal: u32,
    /// Whether the journal must be replayed (RECOVER).
    pub(super) recover: bool,
    /// With META_BG, the first block of group descriptors that is stored in the groups it
    /// describes.
    meta: Option<u64>,
    sparse: bool,
    backups: Option<[u64; 2]>,
}

impl Superblock {
    /// Returns whether these bytes have the magic number of a superblock.
    pub(super) fn is_there(bytes: &[u8]) -> bool {
        u16_at(bytes, 0x38) == 0xef53
    }

    /// Parses a superblock.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Unsupported`], [`Error::Damaged`].
    pub(super) fn new(bytes: &[u8; SUPERBLOCK]) -> Result<Self, Error> {
        let number = |at| u32_at(bytes, at);
        if !Self::is_there(bytes) {
            return Err(Error::OtherFormat);
        }
        let dynamic = number(0x4c) > 0;
        let feature = |at| if dynamic { number(at) } else { 0 };
        let (compatible, incompatible, read_only) = (feature(0x5c), feature(0x60), feature(0x64));
        let has = |bit| incompatible & bit != 0;
        if incompatible & !incompatible::KNOWN != 0 {
            log::warn!("ext4: unknown features {:#x}", incompatible & !incompatible::KNOWN);
            return Err(Error::Unsupported);
        }
        let summed = read_only & 0x400 != 0;
        if summed && checksum(!0, &[&bytes[..0x3fc]]) != number(0x3fc) {
            return Err(Error::Damaged);
        }
        let uuid = bytes.get(0x68..0x78).unwrap_or_default();
        let seed = if has(incompatible::SEED) { number(0x270) } else { checksum(!0, &[uuid]) };
        let large = has(incompatible::BITS_64);
        let high = if large { u64::from(number(0x150)) << 32 } else { 0 };
        let it = Self {
            block: 1024_u64.checked_shl(number(0x18)).unwrap_or(0),
            blocks: u64::from(number(0x4)) | high,
            first: number(0x14).into(),
            inodes: number(0),
            blocks_per_group: number(0x20).into(),
            inodes_per_group: number(0x28),
            inode: if dynamic { u16_at(bytes, 0x58).into() } else { 128 },
            descriptor: if large { u16_at(bytes, 0xfe).into() } else { 32 },
            seed: summed.then_some(seed),
            journal: number(0xe0),
            recover: has(incompatible::RECOVER),
            meta: has(incompatible::META_BG).then(|| number(0x104).into()),
            sparse: read_only & 1 != 0,
            backups: (compatible & 0x200 != 0)
                .then(|| [number(0x24c).into(), number(0x250).into()]),
        };
        let power =
            |number: u64, least, most| number.is_power_of_two() && (least..=most).contains(&number);
        let sound = power(it.block, 1 << 10, 1 << 16)
            && power(it.inode, 128, it.block)
            && power(it.descriptor, 32, 1024)
            && it.first < it.blocks
            && it.blocks_per_group > 0
            && it.inodes_per_group > 0
            && it.blocks.checked_mul(it.block).is_some();
        if sound { Ok(it) } else { Err(Error::Damaged) }
    }

    /// Returns the block that holds the descriptor of `group`, and its offset there in bytes.
    pub(super) fn descriptor_of(&self, group: u64) -> (u64, usize) {
        let each = self.block / self.descriptor;
        let (table, within) = (group / each, group % each);
        let at = (within * self.descriptor) as usize;
        if self.meta.is_none_or(|meta| table < meta) {
            // Behind the superblock, which with `bigalloc` and blocks of 1 KiB is in block 1 as
            // well, though the first block is 0.
            return (SUPERBLOCK as u64 / self.block + 1 + table, at);
        }
        let group = table * each;
        let begin = self.blocks_per_group.saturating_mul(group).saturating_add(self.first);
        (begin.saturating_add(u64::from(self.has_backup(group))), at)
    }

    /// Returns whether a group begins with a backup of the superblock.
    fn has_backup(&self, group: u64) -> bool {
        if let Some(backups) = self.backups {
            return group == 0 || backups.contains(&group);
        }
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        !self.sparse || group <= 1 || [3, 5, 7].into_iter().any(power_of)
    }
}

/// Holds the fields of an inode.
#[derive(Clone, Debug)]
pub(in crate::fs) struct Inode {
    pub(in crate::fs) number: u32,
    pub(in crate::fs) kind: Kind,
    pub(in crate::fs) size: u64,
    modified: u64,
    flags: u32,
    /// The block map (`i_block`): the root of the extent tree, or block numbers.
    pub(super) map: [u8; 60],
    /// The seed of its blocks' checksums; `None` without `metadata_csum`.
    pub(super) seed: Option<u32>,
    /// The content, if it is in the inode itself (inline data, or a short symbolic link).
    pub(super) inside: Option<Rc<[u8]>>,
}

impl Inode {
    /// Parses inode `number` from all of its `bytes`.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(super) fn new(bytes: &[u8], number: u32, seed: Option<u32>) -> Result<Self, Error> {
        let mode = u16_at(bytes, 0);
        let own = number.to_le_bytes();
        let generation = bytes.get(0x64..0x68).ok_or(Error::Damaged)?;
        let seed = seed.map(|seed| checksum(seed, &[&own, generation]));
        let extra = if bytes.len() > 128 { usize::from(u16_at(bytes, 0x80)) } else { 0 };
        if extra > bytes.len() - 128 {
            return Err(Error::Damaged);
        }
        if let Some(seed) = seed {
            let mut copy = bytes.to_vec();
            copy[0x7c..0x7e].fill(0);
            let (mut said, mut mask) = (u32::from(u16_at(bytes, 0x7c)), 0xffff);
            if extra >= 4 {
                copy[0x82..0x84].fill(0);
                said |= u32::from(u16_at(bytes, 0x82)) << 16;
                mask = u32::MAX;
            }
            if checksum(seed, &[&copy]) & mask != said {
                return Err(Error::Damaged);
            }
        }
        let kind = match mode >> 12 {
            8 => Kind::File,
            4 => Kind::Folder,
            10 => Kind::Link,
            _ => Kind::Other,
        };
        let epoch = if extra >= 12 { i64::from(u32_at(bytes, 0x88) & 3) << 32 } else { 0 };
        let modified = i64::from(u32_at(bytes, 0x10).cast_signed()) + epoch;
        let mut it = Self {
            number,
            kind,
            size: u64::from(u32_at(bytes, 0x4)) | u64::from(u32_at(bytes, 0x6c)) << 32,
            modified: modified.max(0).unsigned_abs(),
            flags: u32_at(bytes, 0x20),
            map: self::bytes(bytes, 0x28),
            seed,
            inside: None,
        };
        if kind == Kind::Link && !it.has_extents() && it.size < 60 && !it.is_inside() {
            it.inside = Some(it.map.get(..it.size as usize).unwrap_or_default().into());
        }
        if it.is_inside() {
            let mut content = it.map.to_vec();
            content.extend_from_slice(attribute(bytes, 128 + extra));
            it.inside = Some(content.into());
        }
        Ok(it)
    }

    pub(super) const fn has_extents(&self) -> bool {
        self.flags & 0x8_0000 != 0
    }

    pub(super) const fn is_encrypted(&self) -> bool {
        self.flags & 0x800 != 0
    }

    const fn is_inside(&self) -> bool {
        self.flags & 0x1000_0000 != 0
    }

    pub(super) fn metadata(&self) -> Metadata {
        let size = if self.kind == Kind::File { self.size } else { 0 };
        Metadata { kind: self.kind, size, modified: self.modified, id: self.number.into() }
    }
}

/// Returns the value of the attribute `system.data` of an inode whose extended attributes begin
/// at byte `at`; empty if there is none.
fn attribute(inode: &[u8], at: usize) -> &[u8] {
    let all = inode.get(at + 4..).unwrap_or_default();
    if u32_at(inode, at) != 0xea02_0000 {
        return &[];
    }
    let mut entry = all;
    // The length of the name, the index of its prefix (7 for `system.`), the offset of the
    // value.
    while let Some((&[length, system], rest)) =
        entry.split_first_chunk().filter(|_| u32_at(entry, 0) != 0)
    {
        let name = rest.get(14..14 + usize::from(length)).unwrap_or_default();
        if system == 7 && name == b"data" {
            let (from, size) = (usize::from(u16_at(entry, 2)), u32_at(entry, 8) as usize);
            return all.get(from..).and_then(|value| value.get(..size)).unwrap_or_default();
        }
        let next = (16 + usize::from(length)).next_multiple_of(4);
        entry = entry.get(next..).unwrap_or_default();
    }
    &[]
}

/// A directory entry (`ext4_dir_entry_2`).
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
}

/// Parses the entries in a block of a folder, without `.` and `..`.
///
/// # Errors
/// [`Error::Damaged`].
pub(super) fn entries(block: &[u8]) -> Result<Vec<Entry<'_>>, Error> {
    let (mut entries, mut rest) = (Vec::new(), block);
    while !rest.is_empty() {
        let (inode, length) = (u32_at(rest, 0), usize::from(u16_at(rest, 4)));
        // A length of 64 KiB does not fit the field: 0 and 0xffff stand for it.
        let length = if block.len() == 1 << 16 && (length == 0 || length == 0xffff) {
            1 << 16
        } else {
            length
        };
        let entry = rest.get(..length).filter(|entry| entry.len() >= 8).ok_or(Error::Damaged)?;
        let name = entry.get(8..8 + usize::from(entry[6])).ok_or(Error::Damaged)?;
        if inode != 0 && !matches!(name, b"." | b"..") {
            if name.is_empty() || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
                return Err(Error::Damaged);
            }
            entries.push(Entry { name, inode });
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(entries)
}

/// Returns whether the checksum of a folder's block is right. Blocks of the hash tree are not
/// verified, as the tree is not used.
pub(super) fn is_right(block: &[u8], seed: u32) -> bool {
    let Some((content, tail)) = block.split_last_chunk::<12>() else { return true };
    let is_tail = tail[..8] == [0, 0, 0, 0, 12, 0, 0, 0xde];
    !is_tail || checksum(seed, &[content]) == u32_at(tail, 8)
}
