//! Maps the blocks of a file to those of the disk: by extents, or by indirect blocks.

use super::format::{Inode, checksum, u16_at, u32_at};
use super::{Error, Ext4};
use devices::block::Block;

/// A run of consecutive blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first one on the disk; `None` for a hole, which reads as zeros.
    pub(super) block: Option<u64>,
    pub(super) count: u64,
}

/// The depth of the deepest extent tree (`EXT4_MAX_EXTENT_DEPTH`).
const DEEPEST: u16 = 5;

/// The size of the header, and of each entry, of an extent tree's node, in bytes.
const ENTRY: usize = 12;

impl<B: Block> Ext4<B> {
    /// Finds block `number` of a file, and how many blocks from there on are consecutive both in
    /// the file and on the disk.
    ///
    /// # Errors
    /// [`Error::Damaged`], and the disk's.
    pub(super) async fn run(&self, inode: &Inode, number: u64) -> Result<Run, Error> {
        let number = u32::try_from(number).map_err(|_| Error::Damaged)?;
        let run = if inode.has_extents() {
            self.extent(inode, number).await?
        } else {
            self.indirect(inode, number).await?
        };
        let end = run.block.map_or(Some(0), |block| block.checked_add(run.count));
        if end.is_none_or(|end| end > self.superblock.blocks) || run.count == 0 {
            return Err(Error::Damaged);
        }
        Ok(run)
    }

    async fn extent(&self, inode: &Inode, number: u32) -> Result<Run, Error> {
        let mut node = alloc::rc::Rc::<[u8]>::from(&inode.map[..]);
        let (mut end, mut depth) = (u64::from(u32::MAX) + 1, None);
        loop {
            let (count, most) = (usize::from(u16_at(&node, 2)), usize::from(u16_at(&node, 4)));
            let own = u16_at(&node, 6);
            let fits = (most + 1) * ENTRY <= node.len() && count <= most;
            if u16_at(&node, 0) != 0xf30a
                || !fits
                || depth.is_some_and(|above| above != own + 1)
                || own > DEEPEST
            {
                return Err(Error::Damaged);
            }
            let entries = &node[ENTRY..(count + 1) * ENTRY];
            let first = |at: usize| u32_at(entries, at * ENTRY);
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = usize::midpoint(low, high);
                if first(middle) <= number { low = middle + 1 } else { high = middle }
            }
            if low < count {
                end = end.min(first(low).into());
            }
            let hole = Run { block: None, count: end.saturating_sub(number.into()) };
            let Some(entry) = low.checked_sub(1).and_then(|at| entries.get(at * ENTRY..)) else {
                return Ok(hole);
            };
            if own == 0 {
                let within = u64::from(number - u32_at(entry, 0));
                let length = u64::from(u16_at(entry, 4));
                // A greater length marks an unwritten extent, which reads as zeros.
                let (length, written) =
                    if length > 0x8000 { (length - 0x8000, false) } else { (length, true) };
                if within >= length {
                    return Ok(hole);
                }
                let block = u64::from(u16_at(entry, 6)) << 32 | u64::from(u32_at(entry, 8));
                let count = (length - within).min(end - u64::from(number));
                let block = block.checked_add(within).ok_or(Error::Damaged)?;
                return Ok(Run { block: written.then_some(block), count });
            }
            let block = u64::from(u16_at(entry, 8)) << 32 | u64::from(u32_at(entry, 4));
            node = self.block(block).await?;
            if let Some(seed) = inode.seed {
                let tail = (usize::from(u16_at(&node, 4)) + 1) * ENTRY;
                let content = node.get(..tail).ok_or(Error::Damaged)?;
                if checksum(seed, &[content]) != u32_at(&node, tail) {
                    return Err(Error::Damaged);
                }
            }
            depth = Some(own);
        }
    }

    /// Finds a block in ext2's map: twelve direct blocks, then a single, a double and a triple
    /// indirect one.
    async fn indirect(&self, inode: &Inode, number: u32) -> Result<Run, Error> {
        let each = self.superblock.block / 4;
        let mut number = u64::from(number);
        if number < 12 {
            return Ok(in_row(&inode.map[..48], number as usize));
        }
        number -= 12;
        let (mut level, mut span) = (0_usize, each);
        while number >= span {
            number -= span;
            level += 1;
            span = span.checked_mul(each).filter(|_| level < 3).ok_or(Error::Damaged)?;
        }
        let mut block = u64::from(u32_at(&inode.map, 48 + 4 * level));
        loop {
            if block == 0 {
                return Ok(Run { block: None, count: span - number });
            }
            let numbers = self.block(block).await?;
            span /= each;
            if span <= 1 {
                return Ok(in_row(&numbers, number as usize));
            }
            block = u32_at(&numbers, (number / span * 4) as usize).into();
            number %= span;
        }
    }
}

/// Returns the run that begins with entry `at` of an indirect block's `numbers`.
fn in_row(numbers: &[u8], at: usize) -> Run {
    let (first, last) = (u32_at(numbers, at * 4), numbers.len() / 4);
    let follows = |next: &usize| match first {
        0 => u32_at(numbers, next * 4) == 0,
        _ => first.checked_add((next - at) as u32) == Some(u32_at(numbers, next * 4)),
    };
    let count = (at..last).take_while(follows).count() as u64;
    Run { block: (first != 0).then_some(first.into()), count }
}
