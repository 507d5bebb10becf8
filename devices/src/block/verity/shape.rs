//! Where the hashes of a disk are, by its superblock.

use super::Flaw;
use alloc::vec::Vec;

/// Bytes of a hash: SHA-256.
pub(super) const HASH: usize = 32;

/// Bytes of the superblock.
pub(super) const SUPERBLOCK: usize = 512;

/// The sizes of blocks that are accepted, in bytes: those of Linux, and 64 KiB.
const SIZES: core::ops::RangeInclusive<u32> = 512..=65_536;

/// The most levels of a tree: even with 16 hashes a block they are enough for any disk.
const DEEPEST: usize = 16;

/// What the superblock says, checked.
#[derive(Debug)]
pub(super) struct Shape {
    salt: Vec<u8>,
    sector: u64,
    offset: u64,
    data_block: u32,
    hash_block: u32,
    data_blocks: u64,
    /// For each level, from the hashes of data up, its first block on the disk, counted in blocks
    /// of hashes.
    levels: Vec<u64>,
}

impl Shape {
    /// Parses the superblock, which is at byte `offset` of a disk with sectors of that size.
    ///
    /// # Errors
    /// [`Flaw::Signature`] and [`Flaw::Superblock`].
    pub(super) fn new(bytes: &[u8], offset: u64, sector: u64) -> Result<Self, Flaw> {
        let bytes = bytes.first_chunk::<SUPERBLOCK>().ok_or(Flaw::Signature)?;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|more| bytes[at + more]));
        let zeros = |from: usize, to: usize| bytes[from..to].iter().all(|&byte| byte == 0);
        if bytes[..8] != *b"verity\0\0" {
            return Err(Flaw::Signature);
        }
        let salt = usize::from(u16::from_le_bytes([bytes[80], bytes[81]]));
        let known = word(8) == 1 && word(12) == 1 && bytes[32..39] == *b"sha256\0";
        if !known || salt > 256 || !zeros(39, 64) || !zeros(82, 88) || !zeros(88 + salt, 512) {
            return Err(Flaw::Superblock);
        }
        let (data_block, hash_block) = (word(64), word(68));
        let valid = |size: u32| {
            size.is_power_of_two() && SIZES.contains(&size) && u64::from(size) >= sector
        };
        let data_blocks = u64::from(word(72)) | u64::from(word(76)) << 32;
        let data = data_blocks.checked_mul(u64::from(data_block));
        // No hash tells a block of hashes from one of data. That the data end at the offset, which
        // is trusted, and that blocks of both have one size, which the root's preimage has, fixes
        // how many levels there are.
        let fixed = data_block == hash_block && data == Some(offset) && offset > 0;
        if !valid(data_block) || !fixed {
            return Err(Flaw::Superblock);
        }
        let salt = bytes[88..88 + salt].to_vec();
        let levels = Vec::new();
        let mut it = Self { salt, sector, offset, data_block, hash_block, data_blocks, levels };
        it.place_levels()?;
        Ok(it)
    }

    /// Places the levels: the root stands first.
    fn place_levels(&mut self) -> Result<(), Flaw> {
        let mut counts = Vec::new();
        let mut count = self.data_blocks;
        while count > 1 {
            count = count.div_ceil(1 << self.bits());
            counts.push(count);
            if counts.len() > DEEPEST {
                return Err(Flaw::Superblock);
            }
        }
        let (after, block) = self.after_superblock();
        let mut next = (after + block) / u64::from(self.hash_block);
        let mut levels: Vec<u64> = Vec::with_capacity(counts.len());
        for count in counts.iter().rev() {
            levels.push(next);
            next += count;
        }
        levels.reverse();
        self.levels = levels;
        Ok(())
    }

    /// The power of two that says how many hashes a block has.
    const fn bits(&self) -> u32 {
        (self.hash_block / HASH as u32).ilog2()
    }

    /// Returns the block of hashes that the superblock is in, by its first byte and its size.
    pub(super) fn after_superblock(&self) -> (u64, u64) {
        let size = u64::from(self.hash_block);
        (self.offset / size * size, size)
    }

    /// Returns the end of the superblock within that block.
    pub(super) fn superblock_within(&self) -> usize {
        (self.offset % u64::from(self.hash_block)) as usize + SUPERBLOCK
    }

    pub(super) fn levels(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Bytes of a sector of the disk.
    pub(super) const fn sector(&self) -> u64 {
        self.sector
    }

    /// Bytes of all data.
    pub(super) fn data(&self) -> u64 {
        self.data_blocks * u64::from(self.data_block)
    }

    pub(super) const fn data_block(&self) -> usize {
        self.data_block as usize
    }

    pub(super) const fn hash_block(&self) -> usize {
        self.hash_block as usize
    }

    /// Returns the number of the block that is `levels` above block `number` and leads to it.
    pub(super) fn above(&self, number: u64, levels: usize) -> u64 {
        number.checked_shr(self.bits() * levels as u32).unwrap_or(0)
    }

    /// Returns where block `number` of a level is on the disk, in blocks of hashes.
    pub(super) fn place(&self, level: usize, number: u64) -> u64 {
        self.levels.get(level).map_or(0, |first| first + number)
    }

    /// Returns the hash of block `number` of the level below `block`.
    pub(super) fn entry(&self, block: &[u8], number: u64) -> [u8; HASH] {
        let at = (number % (1 << self.bits())) as usize * HASH;
        block.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
    }

    /// Returns the last block of a level, and how many bytes of it are hashes.
    pub(super) fn last(&self, level: usize) -> (u64, usize) {
        let below = self.above(self.data_blocks - 1, level);
        (self.above(below, 1), ((below % (1 << self.bits())) as usize + 1) * HASH)
    }

    /// Returns the byte at which the tree ends.
    pub(super) fn end(&self) -> u64 {
        let (after, block) = self.after_superblock();
        let last = self.levels.first().map(|first| first + self.last(0).0 + 1);
        last.map_or(after + block, |end| end.saturating_mul(block))
    }
}
