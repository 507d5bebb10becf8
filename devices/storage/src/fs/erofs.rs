//! Reads EROFS as `mkfs.erofs` makes it: folders and files that are compressed by LZ4, or are not.
//!
//! # Example
//! ```
//! # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
//!
//! use xenith::block::Block;
//! use xenith::block::memory::Memory;
//! use xenith::fs::erofs::Erofs;
//! use xenith::fs::{Error, Tree};
//! use xenith::task::block_on;
//!
//! /// Returns the size of a page in an image that `mkfs.erofs -zlz4hc site.img site/` made.
//! async fn size<B: Block>(disk: B) -> Result<u64, Error> {
//!     let tree = Erofs::open(disk).await?;
//!     let node = tree.lookup(b"/index.html").await?;
//!     Ok(tree.metadata(&node).size)
//! }
//!
//! // A disk that holds something else is told from a damaged file system.
//! assert_eq!(block_on(size(Memory::new(512, 8192))), Err(Error::OtherFormat));
//! ```
//!
//! A file system has one checksum, of its superblock: [`Verity`](devices::block::verity) below it
//! verifies all that is read. What is read costs as much memory as the extent that it is in, some
//! hundred KiB as a rule, of which the last one is kept. (The crate `lamfold-erofs` unpacks whole
//! files, keeps them for ever, and knows no owners.) Names are found by bisection.
//!
//! Not read are other algorithms than LZ4, fragments, packed tails, chunks, images of several
//! devices, and extended attributes.

mod format;
mod packed;

use super::blocks::Blocks;
use super::path::{self, Steps};
use super::{Error, Kind, Metadata, Tree, sectors};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use devices::block::Block;
use format::{Inode, Layout, SLOT, SUPER_AT, SUPER_SIZE, Superblock};
use packed::Extent;

/// The size of a read of metadata in bytes.
const FETCH: u64 = 16 * 1024;

/// The most reads of metadata that are cached.
const KEPT: u64 = 32;

/// The longest target of a symbolic link in bytes, as on Linux (`PATH_MAX`).
const LONGEST: u64 = 4096;

/// A file system on the disk `B`.
#[derive(Debug)]
pub struct Erofs<B> {
    disk: B,
    superblock: Superblock,
    blocks: RefCell<Blocks>,
    /// What was unpacked last, and of which inode.
    last: RefCell<Option<(u64, Extent)>>,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Node(Rc<Inode>);

impl Node {
    pub(super) fn inode(&self) -> &Inode {
        &self.0
    }
}

impl<B: Block> Erofs<B> {
    /// Opens the file system on `disk`.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Unsupported`], [`Error::Damaged`], [`Error::Shrunk`],
    /// [`Error::NoMemory`], and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        if sectors::size(&disk) < SUPER_AT + SUPER_SIZE as u64 {
            return Err(Error::OtherFormat);
        }
        let mut bytes = [0; SUPER_SIZE];
        sectors::read(&disk, SUPER_AT, &mut bytes).await?;
        let superblock = Superblock::new(&bytes)?;
        if superblock.size > sectors::size(&disk) {
            return Err(Error::Shrunk);
        }
        if let Some(sum) = superblock.sum {
            let bytes = kernel::memory::zeroed(superblock.summed());
            let mut bytes = bytes.ok_or(Error::NoMemory)?;
            sectors::read(&disk, SUPER_AT, &mut bytes).await?;
            if format::checksum(&bytes) != sum {
                return Err(Error::Damaged);
            }
        }
        Ok(Self { disk, superblock, blocks: RefCell::default(), last: RefCell::default() })
    }

    /// Reads the root.
    pub(super) async fn root_node(&self) -> Result<Node, Error> {
        Ok(Node(Rc::new(self.inode(self.superblock.root).await?)))
    }

    /// Reads inode `number`.
    async fn inode(&self, number: u64) -> Result<Inode, Error> {
        let at = number.checked_mul(SLOT).and_then(|it| it.checked_add(self.superblock.inodes));
        let at = at.filter(|it| it.checked_add(2 * SLOT).is_some()).ok_or(Error::Damaged)?;
        let mut bytes = [0; 64];
        let (short, more) = bytes.split_at_mut(SLOT as usize);
        self.metadata(at, short).await?;
        if short.first().is_some_and(|format| format & 1 != 0) {
            self.metadata(at + SLOT, more).await?;
        }
        Ok(Inode::new(&bytes, number, at, &self.superblock))
    }

    /// Reads metadata from byte `at` on, through the cache.
    async fn metadata(&self, at: u64, to: &mut [u8]) -> Result<(), Error> {
        let size = sectors::size(&self.disk);
        let end = at.checked_add(to.len() as u64).filter(|&it| it <= size).ok_or(Error::Damaged)?;
        let mut done = 0;
        while at + (done as u64) < end {
            let (number, within) = ((at + done as u64) / FETCH, (at + done as u64) % FETCH);
            let piece = self.piece(number, size).await?;
            let from = piece.get(within as usize..).filter(|it| !it.is_empty());
            let from = from.ok_or(Error::Damaged)?;
            let rest = to.get_mut(done..).unwrap_or_default();
            let count = rest.len().min(from.len());
            rest[..count].copy_from_slice(&from[..count]);
            done += count;
        }
        Ok(())
    }

    /// Returns piece `number` of a disk of `size` bytes.
    async fn piece(&self, number: u64, size: u64) -> Result<Rc<[u8]>, Error> {
        if let Some(piece) = self.blocks.borrow_mut().find(number) {
            return Ok(piece);
        }
        let at = number * FETCH;
        let mut bytes = kernel::memory::zeroed(FETCH.min(size.saturating_sub(at)) as usize);
        let bytes = bytes.as_mut().ok_or(Error::NoMemory)?;
        sectors::read(&self.disk, at, bytes).await?;
        let piece = Rc::<[u8]>::from(&bytes[..]);
        self.blocks.borrow_mut().keep(number, piece.clone(), KEPT);
        Ok(piece)
    }

    /// Reads the content of an inode from byte `offset` on. Returns the number of bytes: fewer
    /// than `to` has room for only at the end.
    pub(super) async fn content(
        &self,
        inode: &Inode,
        offset: u64,
        to: &mut [u8],
    ) -> Result<usize, Error> {
        let left = usize::try_from(inode.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = to.len().min(left);
        let to = to.get_mut(..count).unwrap_or_default();
        if count == 0 {
            return Ok(0);
        }
        let block = self.superblock.block();
        let first = u64::from(inode.first) << self.superblock.bits;
        match inode.layout {
            Layout::Plain => sectors::read(&self.disk, first.saturating_add(offset), to).await?,
            Layout::Inline => {
                let tail = (inode.size - 1) / block * block;
                let before = tail.saturating_sub(offset).min(count as u64) as usize;
                let (whole, rest) = to.split_at_mut(before);
                if !whole.is_empty() {
                    sectors::read(&self.disk, first.saturating_add(offset), whole).await?;
                }
                let at = (offset + before as u64).saturating_sub(tail);
                self.metadata(inode.end.saturating_add(at), rest).await?;
            }
            Layout::Full | Layout::Compact => self.unpacked(inode, offset, to).await?,
            Layout::Unknown => {
                log::warn!("erofs: a file is stored in chunks: not supported");
                return Err(Error::Unsupported);
            }
        }
        Ok(count)
    }

    /// Reads what is compressed, all of which is there.
    async fn unpacked(&self, inode: &Inode, offset: u64, to: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < to.len() {
            let at = offset + done as u64;
            let kept = self.last.borrow().clone().filter(|(number, extent)| {
                let end = extent.start + extent.bytes.len() as u64;
                *number == inode.number && (extent.start..end).contains(&at)
            });
            let extent = match kept {
                Some((_, extent)) => extent,
                None => {
                    // Only one of them is in memory.
                    self.last.replace(None);
                    let extent = self.extent(inode, at).await?;
                    self.last.replace(Some((inode.number, extent.clone())));
                    extent
                }
            };
            let from = extent.bytes.get((at - extent.start) as usize..).unwrap_or_default();
            let rest = to.get_mut(done..).unwrap_or_default();
            let count = rest.len().min(from.len());
            if count == 0 {
                return Err(Error::Damaged);
            }
            rest[..count].copy_from_slice(&from[..count]);
            done += count;
        }
        Ok(())
    }

    /// Returns how many blocks a folder has.
    fn blocks_of(&self, folder: &Inode) -> Result<u64, Error> {
        match folder.kind() {
            // A folder that is larger than the disk has blocks that are not there.
            Kind::Folder if folder.size <= self.superblock.size => {
                Ok(folder.size.div_ceil(self.superblock.block()))
            }
            Kind::Folder => Err(Error::Damaged),
            _ => Err(Error::NotFolder),
        }
    }

    /// Returns block `number` of a folder.
    async fn folder(&self, folder: &Inode, number: u64) -> Result<Vec<u8>, Error> {
        let (block, at) = (self.superblock.block(), number << self.superblock.bits);
        let mut bytes = kernel::memory::zeroed(block as usize).ok_or(Error::NoMemory)?;
        let first = u64::from(folder.first) << self.superblock.bits;
        let length = match folder.layout {
            // Through the cache.
            Layout::Plain | Layout::Inline if at + block < folder.size => {
                self.metadata(first.saturating_add(at), &mut bytes).await?;
                bytes.len()
            }
            _ => self.content(folder, at, &mut bytes).await?,
        };
        bytes.truncate(length);
        kernel::task::yield_now().await;
        Ok(bytes)
    }

    /// Finds the entry `name` of a folder, whose names are sorted.
    pub(super) async fn find(&self, folder: &Inode, name: &[u8]) -> Result<Node, Error> {
        let (mut low, mut high) = (0, self.blocks_of(folder)?);
        while low < high {
            let middle = u64::midpoint(low, high);
            let block = self.folder(folder, middle).await?;
            let count = format::count(&block)?;
            if name < format::entry(&block, 0, count)?.name {
                high = middle;
                continue;
            }
            let (mut first, mut end) = (0, count);
            while first < end {
                let index = usize::midpoint(first, end);
                let entry = format::entry(&block, index, count)?;
                match entry.name.cmp(name) {
                    core::cmp::Ordering::Equal => {
                        return Ok(Node(Rc::new(self.inode(entry.inode).await?)));
                    }
                    core::cmp::Ordering::Less => first = index + 1,
                    core::cmp::Ordering::Greater => end = index,
                }
            }
            if first < count {
                break;
            }
            low = middle + 1;
        }
        Err(Error::NotFound)
    }

    /// Calls `each` for entries that follow `after`, until it returns `false`.
    async fn entries(
        &self,
        folder: &Inode,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), Error> {
        // The block before the first that begins behind `after`.
        let (mut low, mut high) = (0, self.blocks_of(folder)?);
        let all = high;
        while low < high {
            let middle = u64::midpoint(low, high);
            let block = self.folder(folder, middle).await?;
            let first = format::entry(&block, 0, format::count(&block)?)?;
            if first.name <= after { low = middle + 1 } else { high = middle }
        }
        // Names are sorted: of those that `after` precedes, each is behind the last one.
        let (mut last, mut shown) = (after.to_vec(), false);
        for number in low.saturating_sub(1)..all {
            let block = self.folder(folder, number).await?;
            let count = format::count(&block)?;
            for index in 0..count {
                let entry = format::entry(&block, index, count)?;
                if matches!(entry.name, b"." | b"..") {
                    continue;
                }
                if entry.name <= &last[..] {
                    match shown {
                        true => return Err(Error::Damaged),
                        false => continue,
                    }
                }
                shown = true;
                let metadata = self.inode(entry.inode).await?.metadata();
                if !each(entry.name, metadata) {
                    return Ok(());
                }
                last = entry.name.to_vec();
            }
        }
        Ok(())
    }

    /// Returns the target of a link.
    pub(super) async fn target(&self, inode: &Inode) -> Result<Vec<u8>, Error> {
        let length = Some(inode.size).filter(|&it| it <= LONGEST).ok_or(Error::Damaged)?;
        let mut target = alloc::vec![0; length as usize];
        self.content(inode, 0, &mut target).await?;
        Ok(target)
    }
}

impl<B: Block> Tree for Erofs<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let root = self.root_node().await?;
        let (mut above, mut here) = (Vec::new(), root.clone());
        let mut steps = Steps::new(&path::normal(path)?);
        while let Some(name) = steps.next() {
            if name == b".." {
                here = above.pop().unwrap_or_else(|| root.clone());
                continue;
            }
            if here.0.kind() != Kind::Folder {
                return Err(Error::NotFound);
            }
            let next = self.find(&here.0, &name).await?;
            if next.0.kind() == Kind::Link {
                if steps.follow(&self.target(&next.0).await?)? {
                    above.clear();
                    here = root.clone();
                }
                continue;
            }
            above.push(core::mem::replace(&mut here, next));
        }
        Ok(here)
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.0.metadata()
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        if node.0.kind() == Kind::File {
            return self.content(&node.0, offset, to).await;
        }
        Err(Error::NotFile)
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        let mut all = |name: &[u8], metadata| {
            each(name, metadata);
            true
        };
        self.entries(&node.0, b"", &mut all).await
    }

    async fn list_after(
        &self,
        node: &Node,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), Error> {
        self.entries(&node.0, after, each).await
    }
}
