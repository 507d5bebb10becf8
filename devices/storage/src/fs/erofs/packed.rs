//! Finds and unpacks what is compressed: extents of a file, each of which is some blocks of the
//! disk. An index has an entry for each cluster of the file, which is a block as a rule.

use super::format::{Inode, Layout, u16_at, u32_at};
use super::{Erofs, Error};
use crate::sectors;
use alloc::rc::Rc;
use alloc::vec::Vec;
use devices::block::Block;
use kernel::memory::zeroed;

/// The most bytes of an extent, packed and unpacked, as on Linux (`Z_EROFS_PCLUSTER_MAX_SIZE`,
/// `Z_EROFS_PCLUSTER_MAX_DSIZE`).
const MOST_PACKED: u64 = 1 << 20;
const MOST: u64 = 12 << 20;

/// Bits of `h_advise`.
mod advice {
    pub(super) const TWO_BYTES: u16 = 1;
    pub(super) const LARGE_FIRST: u16 = 2;
    pub(super) const LARGE_SECOND: u16 = 4;
    pub(super) const KNOWN: u16 = TWO_BYTES | LARGE_FIRST | LARGE_SECOND;
}

/// Marks the entry that says how many blocks an extent has.
const IS_COUNT: u16 = 1 << 11;

/// How a file is compressed (`z_erofs_map_header`).
#[derive(Clone, Copy, Debug)]
struct Map {
    advice: u16,
    /// The algorithms of the file, four bits each.
    algorithms: u8,
    /// The power of two that is the size of a cluster.
    bits: u32,
    /// The byte at which the index begins.
    index: u64,
}

/// What a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// An extent that is not compressed begins here.
    Plain,
    /// An extent begins here that is compressed with the first or the second algorithm.
    Head(u8),
    /// It continues an extent.
    Rest,
}

/// An entry of the index.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    sort: Sort,
    /// Where in the cluster the extent begins.
    from: u64,
    /// The first block of the extent on the disk.
    block: u64,
    /// How many clusters before this one the extent begins.
    back: u64,
    /// How many blocks the extent has, where this entry says so.
    blocks: Option<u64>,
}

/// A part of a file that is unpacked as a whole.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    /// The byte of the file at which it begins.
    pub(super) start: u64,
    pub(super) bytes: Rc<Vec<u8>>,
}

impl<B: Block> Erofs<B> {
    /// Unpacks the extent of a file that byte `offset` is in.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unsupported`], [`Error::NoMemory`], and the disk's.
    pub(super) async fn extent(&self, inode: &Inode, offset: u64) -> Result<Extent, Error> {
        let map = self.map(inode).await?;
        let (mut at, cluster) = (offset >> map.bits, 1 << map.bits);
        let mut here = self.cluster(inode, &map, at).await?;
        if here.sort != Sort::Rest && offset % cluster < here.from {
            at = at.checked_sub(1).ok_or(Error::Damaged)?;
            here = self.cluster(inode, &map, at).await?;
        }
        let mut steps = MOST >> map.bits;
        while here.sort == Sort::Rest {
            steps = steps.checked_sub(here.back).filter(|_| here.back > 0).ok_or(Error::Damaged)?;
            at = at.checked_sub(here.back).ok_or(Error::Damaged)?;
            here = self.cluster(inode, &map, at).await?;
        }
        let start = (at << map.bits) + here.from;
        let (end, blocks) = self.end(inode, &map, at, &here).await?;
        let length = end.checked_sub(start).filter(|&it| it > 0 && it <= MOST);
        let length = length.ok_or(Error::Damaged)? as usize;
        if !(start..end).contains(&offset) || blocks << self.superblock.bits > MOST_PACKED {
            return Err(Error::Damaged);
        }
        let mut packed = zeroed((blocks << self.superblock.bits) as usize);
        let packed = packed.as_mut().ok_or(Error::NoMemory)?;
        sectors::read(&self.disk, here.block << self.superblock.bits, packed).await?;
        // Other tasks run also while the disk answers at once.
        kernel::task::yield_now().await;
        let bytes = self.unpack(&map, here.sort, packed, length)?;
        Ok(Extent { start, bytes: Rc::new(bytes) })
    }

    /// Finds where the extent ends that begins in cluster `at`, and how many blocks it has.
    async fn end(
        &self,
        inode: &Inode,
        map: &Map,
        at: u64,
        head: &Cluster,
    ) -> Result<(u64, u64), Error> {
        let large = match head.sort {
            Sort::Head(0) => map.advice & advice::LARGE_FIRST != 0,
            Sort::Head(_) => map.advice & advice::LARGE_SECOND != 0,
            _ => false,
        };
        let mut blocks = 1;
        for more in 1..=(MOST >> map.bits) + 1 {
            let next = at + more;
            if next << map.bits >= inode.size {
                return Ok((inode.size, blocks));
            }
            let it = self.cluster(inode, map, next).await?;
            if it.sort != Sort::Rest {
                return Ok((((next << map.bits) + it.from).min(inode.size), blocks));
            }
            if let (1, true, Some(count)) = (more, large, it.blocks) {
                blocks = count;
            }
        }
        Err(Error::Damaged)
    }

    /// Unpacks an extent of `length` bytes.
    fn unpack(
        &self,
        map: &Map,
        sort: Sort,
        packed: &[u8],
        length: usize,
    ) -> Result<Vec<u8>, Error> {
        let Sort::Head(which) = sort else {
            return packed.get(..length).map(<[u8]>::to_vec).ok_or(Error::Damaged);
        };
        if map.algorithms >> (4 * which) & 15 != 0 || !self.superblock.padded {
            log::warn!("erofs: a file is compressed with another algorithm than LZ4");
            return Err(Error::Unsupported);
        }
        let begin = packed.iter().position(|&byte| byte != 0).ok_or(Error::Damaged)?;
        let mut bytes = zeroed(length).ok_or(Error::NoMemory)?;
        match lz4_flex::block::decompress_into(&packed[begin..], &mut bytes) {
            Ok(count) if count == length => Ok(bytes),
            _ => Err(Error::Damaged),
        }
    }

    /// Reads how a file is compressed.
    async fn map(&self, inode: &Inode) -> Result<Map, Error> {
        let at = inode.end.next_multiple_of(8);
        let mut header = [0; 8];
        self.metadata(at, &mut header).await?;
        let (advice, bits) = (u16_at(&header, 4), header[7]);
        if advice & !advice::KNOWN != 0 || bits & !7 != 0 {
            log::warn!("erofs: a file has fragments or a packed tail: not supported");
            return Err(Error::Unsupported);
        }
        let bits = self.superblock.bits + u32::from(bits);
        if inode.layout == Layout::Compact && bits > 12 {
            return Err(Error::Unsupported);
        }
        let index = at + if inode.layout == Layout::Full { 16 } else { 8 };
        Ok(Map { advice, algorithms: header[6], bits, index })
    }

    /// Reads an entry of the index.
    async fn cluster(&self, inode: &Inode, map: &Map, number: u64) -> Result<Cluster, Error> {
        let it = if inode.layout == Layout::Full {
            let at = number.checked_mul(8).and_then(|it| it.checked_add(map.index));
            let mut entry = [0; 8];
            self.metadata(at.ok_or(Error::Damaged)?, &mut entry).await?;
            full(&entry)
        } else {
            self.compact(inode, map, number).await?
        };
        if it.sort != Sort::Rest && it.from >= 1 << map.bits {
            return Err(Error::Damaged);
        }
        Ok(it)
    }

    /// Reads an entry of a compact index: packs of two with four bytes each up to a multiple of
    /// 32 bytes, packs of 16 with two bytes each, and again packs of two.
    async fn compact(&self, inode: &Inode, map: &Map, number: u64) -> Result<Cluster, Error> {
        let all = inode.size.div_ceil(1 << map.bits);
        let first = (32 - map.index % 32) / 4 % 8;
        let has_small = map.advice & advice::TWO_BYTES != 0 && first < all;
        let small = if has_small { (all - first) / 16 * 16 } else { 0 };
        let (begin, within, count, size) = if number < first {
            (map.index, number, 2, 8)
        } else if number - first < small {
            (map.index + first * 4, number - first, 16, 32)
        } else {
            (map.index + first * 4 + small * 2, number - first - small, 2, 8)
        };
        let mut bytes = [0; 32];
        let bytes = &mut bytes[..size];
        let at = begin.checked_add(within / count * size as u64).ok_or(Error::Damaged)?;
        self.metadata(at, bytes).await?;
        let large = map.advice & advice::LARGE_FIRST != 0;
        Pack { bytes, count: count as u32 }.cluster((within % count) as u32, large)
    }
}

/// Parses an entry of a full index.
fn full(entry: &[u8; 8]) -> Cluster {
    let back = u16_at(entry, 4);
    let count = back & IS_COUNT != 0;
    Cluster {
        sort: sort(entry[0] & 3),
        from: u16_at(entry, 2).into(),
        block: u32_at(entry, 4).into(),
        back: if count { 1 } else { back.into() },
        blocks: count.then_some((back & !IS_COUNT).into()),
    }
}

const fn sort(bits: u8) -> Sort {
    match bits {
        0 => Sort::Plain,
        1 => Sort::Head(0),
        2 => Sort::Rest,
        _ => Sort::Head(1),
    }
}

/// Entries of a compact index that share the number of a block, which stands at their end.
#[derive(Clone, Copy, Debug)]
struct Pack<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl Pack<'_> {
    /// Returns what entry `index` is, and its number of 12 bits.
    fn entry(&self, index: u32) -> (Sort, u16) {
        let bits = (self.bytes.len() as u32 - 4) * 8 / self.count;
        let at = bits * index;
        let value = u32_at(self.bytes, (at / 8) as usize) >> (at % 8);
        (sort((value >> 12 & 3) as u8), (value & 0xfff) as u16)
    }

    /// Returns entry `index`. A head's block is counted from those before it in the pack.
    fn cluster(&self, index: u32, large: bool) -> Result<Cluster, Error> {
        let (sort, value) = self.entry(index);
        if sort != Sort::Rest {
            let base = u64::from(u32_at(self.bytes, self.bytes.len() - 4));
            let before = self.blocks_before(index, large)?;
            let block = base + before + u64::from(!large);
            return Ok(Cluster { sort, from: value.into(), block, back: 0, blocks: None });
        }
        let count = value & IS_COUNT != 0;
        let back = if count {
            1
        } else if index + 1 < self.count {
            value.into()
        } else {
            // The last one of a pack says how far the next extent is.
            match index.checked_sub(1).map(|before| self.entry(before)) {
                Some((Sort::Rest, before)) if before & IS_COUNT != 0 => 2,
                Some((Sort::Rest, before)) => u64::from(before) + 1,
                _ => 1,
            }
        };
        let blocks = count.then_some((value & !IS_COUNT).into());
        Ok(Cluster { sort, from: 0, block: 0, back, blocks })
    }

    /// Counts the blocks of extents that begin before entry `index`, from the last one that began
    /// before the pack.
    fn blocks_before(&self, index: u32, large: bool) -> Result<u64, Error> {
        let (mut at, mut blocks) = (index, 0_u64);
        while let Some(before) = at.checked_sub(1) {
            at = before;
            match self.entry(at) {
                (Sort::Rest, value) if large && value & IS_COUNT != 0 => {
                    blocks += u64::from(value & !IS_COUNT);
                    at = at.saturating_sub(1);
                }
                (Sort::Rest, value) if large => {
                    // An extent of one block has one cluster, or says so.
                    let back = u32::from(value).checked_sub(2).ok_or(Error::Damaged)?;
                    at = at.saturating_sub(back);
                }
                (Sort::Rest, value) => {
                    let Some(head) = at.checked_sub(value.into()) else { break };
                    at = head;
                    blocks += 1;
                }
                _ => blocks += 1,
            }
        }
        Ok(blocks)
    }
}
