//! What the journal holds and its place on the disk does not yet.
//!
//! Linux writes it into its place when it mounts. Here nothing is written: what was
//! committed is read from the journal instead.

use super::format::{Inode, be32_at, checksum};
use super::{Copy, Error, Ext4};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use devices::block::Block;

/// What each of its blocks begins with.
pub(super) const MAGIC: u32 = 0xc03b_3998;

/// What an entry takes in memory, about.
const ENTRY: usize = 64;

/// A journal's superblock.
struct Journal<'a, B> {
    ext4: &'a Ext4<B>,
    inode: &'a Inode,
    block: usize,
    first: u32,
    end: u32,
    features: u32,
    seed: u32,
}

/// What a descriptor says of a block that follows it.
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

    /// Where a block of the journal is on the disk, and its content.
    async fn read(&self, number: u32) -> Result<(u64, Rc<[u8]>), Error> {
        let run = self.ext4.run(self.inode, number.into()).await?;
        let block = run.block.ok_or(Error::Damaged)?;
        Ok((block, self.ext4.block(block).await?))
    }

    const fn after(&self, number: u32) -> u32 {
        if number + 1 >= self.end { self.first } else { number + 1 }
    }

    /// Whether a block whose checksum stands at `at` is as that says.
    fn is_right(&self, block: &[u8], at: usize) -> bool {
        let (before, after) = (block.get(..at), block.get(at + 4..));
        let (Some(before), Some(after)) = (before, after) else { return false };
        !self.is_summed() || checksum(self.seed, &[before, &[0; 4], after]) == be32_at(block, at)
    }

    /// The tags of a descriptor.
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

    /// The blocks that a block of revocations names.
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

/// The blocks that are to be read from the journal, up to `memory` bytes of them.
///
/// # Errors
/// [`Error::Unsupported`], [`Error::Damaged`], [`Error::NoMemory`], and the disk's.
pub(super) async fn replay<B: Block>(
    ext4: &Ext4<B>,
    inode: &Inode,
    memory: usize,
) -> Result<BTreeMap<u64, Copy>, Error> {
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
    // Revocations, large numbers, commits without waiting, checksums of two sorts.
    if journal.features & !0x1f != 0 {
        log::warn!(
            "ext4: unknown journal features {:#x}: mount it once with Linux",
            journal.features
        );
        return Err(Error::Unsupported);
    }
    let (mut sequence, mut at) = (number(24), number(28));
    let mut copies: BTreeMap<u64, Copy> = BTreeMap::new();
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
                for (Tag { block, escaped, sum }, place) in pending.drain(..) {
                    let (place, bytes) = journal.read(place).await?;
                    let own = checksum(journal.seed, &[&sequence.to_be_bytes(), &bytes]);
                    if sum.is_some_and(|(said, mask)| own & mask != said) {
                        return Err(Error::Damaged);
                    }
                    copies.insert(block, Copy { place, escaped });
                }
                for block in revoked.drain(..) {
                    copies.remove(&block);
                }
                sequence = sequence.wrapping_add(1);
            }
            // A commit that is not whole ends the log.
            1 | 2 | 5 => break,
            _ => return Err(Error::Damaged),
        }
        if (copies.len() + pending.len() + revoked.len()) * ENTRY > memory {
            return Err(Error::NoMemory);
        }
    }
    Ok(copies)
}
