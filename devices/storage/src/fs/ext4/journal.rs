//! Finds the blocks that are newer in the journal than in the file system (Linux's `fs/jbd2`).
//!
//! Linux replays a journal when it mounts. Here nothing is written: committed blocks are read
//! from the journal instead.

use super::format::{Inode, be32_at, checksum};
use super::{Error, Ext4, Moved};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use devices::block::Block;

/// The magic number (`JBD2_MAGIC_NUMBER`) that each block of the journal's own begins with.
pub(super) const MAGIC: u32 = 0xc03b_3998;

/// The approximate size of an entry of the index in memory, in bytes.
const ENTRY: usize = 64;

/// The fields of a journal's superblock.
struct Journal<'a, B> {
    ext4: &'a Ext4<B>,
    inode: &'a Inode,
    block: usize,
    first: u32,
    end: u32,
    features: u32,
    seed: u32,
}

/// A tag of a descriptor block: which block of the file system the journal's next one holds.
struct Tag {
    block: u64,
    escaped: bool,
    sum: Option<(u32, u32)>,
}

impl<B: Block> Journal<'_, B> {
    const fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }

    const fn is_large(&self) -> bool {
        self.has(0x2)
    }

    const fn is_summed(&self) -> bool {
        self.has(0x18)
    }

    /// Reads block `number` of the journal; returns its number on the disk as well.
    async fn read(&self, number: u32) -> Result<(u64, Rc<[u8]>), Error> {
        let run = self.ext4.run(self.inode, number.into()).await?;
        let block = run.block.ok_or(Error::Damaged)?;
        Ok((block, self.ext4.block(block).await?))
    }

    const fn after(&self, number: u32) -> u32 {
        if number + 1 >= self.end { self.first } else { number + 1 }
    }

    /// Returns whether the checksum of a block, which is at byte `at` of it, is right.
    fn is_right(&self, block: &[u8], at: usize) -> bool {
        let (before, after) = (block.get(..at), block.get(at + 4..));
        let (Some(before), Some(after)) = (before, after) else { return false };
        !self.is_summed() || checksum(self.seed, &[before, &[0; 4], after]) == be32_at(block, at)
    }

    /// Parses the tags of a descriptor block; `None` if they are invalid.
    fn tags(&self, block: &[u8]) -> Option<Vec<Tag>> {
        let end = self.block - if self.is_summed() { 4 } else { 0 };
        let (mut tags, mut at) = (Vec::new(), 12);
        loop {
            let tag = block.get(at..end)?;
            let low = be32_at(tag, 0);
            let (flags, high, sum, size) = if self.has(0x10) {
                (be32_at(tag, 4), be32_at(tag, 8), Some((be32_at(tag, 12), u32::MAX)), 16)
            } else {
                let word = be32_at(tag, 4);
                let sum = self.has(0x8).then_some((word >> 16, 0xffff));
                let size = if self.is_large() { 12 } else { 8 } + if self.has(0x8) { 2 } else { 0 };
                (word & 0xffff, be32_at(tag, 8), sum, size)
            };
            tag.get(..size)?;
            let high = if self.is_large() { u64::from(high) << 32 } else { 0 };
            tags.push(Tag { block: u64::from(low) | high, escaped: flags & 1 != 0, sum });
            if flags & 8 != 0 {
                return Some(tags);
            }
            at += size + if flags & 2 == 0 { 16 } else { 0 };
        }
    }

    /// Parses the block numbers of a revocation block; `None` if they are invalid.
    fn revoked(&self, block: &[u8]) -> Option<Vec<u64>> {
        let numbers = block.get(16..be32_at(block, 12) as usize)?;
        let large = self.is_large();
        let number = |bytes: &[u8]| match large {
            true => u64::from(be32_at(bytes, 0)) << 32 | u64::from(be32_at(bytes, 4)),
            false => be32_at(bytes, 0).into(),
        };
        Some(numbers.chunks_exact(if large { 8 } else { 4 }).map(number).collect())
    }
}

/// Scans the journal, and returns where the newest committed content of each block is. The index
/// may take `memory` bytes.
///
/// # Errors
/// [`Error::Unsupported`], [`Error::Damaged`], [`Error::NoMemory`], and the disk's.
pub(super) async fn replay<B: Block>(
    ext4: &Ext4<B>,
    inode: &Inode,
    memory: usize,
) -> Result<BTreeMap<u64, Moved>, Error> {
    let block = ext4.superblock.block as usize;
    let mut journal = Journal { ext4, inode, block, first: 0, end: u32::MAX, features: 0, seed: 0 };
    let (_, head) = journal.read(0).await?;
    let number = |at| be32_at(&head, at);
    if number(0) != MAGIC || !matches!(number(4), 3 | 4) || number(12) as usize != block {
        return Err(Error::Damaged);
    }
    (journal.end, journal.first) = (number(16), number(20));
    if number(4) == 4 {
        journal.features = number(0x28);
        journal.seed = checksum(!0, &[head.get(0x30..0x40).unwrap_or_default()]);
    }
    // REVOKE, 64BIT, ASYNC_COMMIT, CSUM_V2 and CSUM_V3.
    if journal.features & !0x1f != 0 {
        log::warn!(
            "ext4: unknown journal features {:#x}: mount it once with Linux",
            journal.features
        );
        return Err(Error::Unsupported);
    }
    let (mut sequence, mut at) = (number(24), number(28));
    let mut copies: BTreeMap<u64, Moved> = BTreeMap::new();
    let longest = inode.size / block as u64;
    if u64::from(journal.end) > longest
        || journal.first == 0
        || journal.first >= journal.end
        || at >= journal.end
    {
        return Err(Error::Damaged);
    }
    let (mut pending, mut revoked) = (Vec::new(), Vec::new());
    let mut left = u64::from(journal.end);
    while at != 0 && left > 0 {
        let (_, bytes) = journal.read(at).await?;
        if be32_at(&bytes, 0) != MAGIC || be32_at(&bytes, 8) != sequence {
            break;
        }
        (at, left) = (journal.after(at), left - 1);
        let tail = block - 4;
        match be32_at(&bytes, 4) {
            1 if journal.is_right(&bytes, tail) => {
                for tag in journal.tags(&bytes).ok_or(Error::Damaged)? {
                    left = left.checked_sub(1).ok_or(Error::Damaged)?;
                    pending.push((tag, at));
                    at = journal.after(at);
                }
            }
            5 if journal.is_right(&bytes, tail) => {
                revoked.extend(journal.revoked(&bytes).ok_or(Error::Damaged)?);
            }
            2 if journal.is_right(&bytes, 16) => {
                for (Tag { block, escaped, sum }, number) in pending.drain(..) {
                    let (number, bytes) = journal.read(number).await?;
                    let own = checksum(journal.seed, &[&sequence.to_be_bytes(), &bytes]);
                    if sum.is_some_and(|(said, mask)| own & mask != said) {
                        return Err(Error::Damaged);
                    }
                    copies.insert(block, Moved::new(number, escaped));
                }
                for block in revoked.drain(..) {
                    copies.remove(&block);
                }
                sequence = sequence.wrapping_add(1);
            }
            // An incomplete transaction ends the log.
            1 | 2 | 5 => break,
            _ => return Err(Error::Damaged),
        }
        if (copies.len() + pending.len() + revoked.len()) * ENTRY > memory {
            return Err(Error::NoMemory);
        }
    }
    Ok(copies)
}
