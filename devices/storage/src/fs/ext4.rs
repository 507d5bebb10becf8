//! Reads ext2, ext3 and ext4 as Linux makes them.
//!
//! # Example
//! ```
//! # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
//!
//! use xenith::block::Block;
//! use xenith::block::memory::Memory;
//! use xenith::fs::ext4::Ext4;
//! use xenith::fs::{Error, Tree};
//! use xenith::task::block_on;
//!
//! /// Returns the size of a configuration on the root file system of some Linux.
//! async fn size<B: Block>(disk: B) -> Result<u64, Error> {
//!     let tree = Ext4::open(disk).await?;
//!     let node = tree.lookup(b"/etc/app.toml").await?;
//!     Ok(tree.metadata(&node).size)
//! }
//!
//! // A disk that holds something else is told from a damaged file system.
//! assert_eq!(block_on(size(Memory::new(512, 8192))), Err(Error::OtherFormat));
//! ```
//!
//! Checksums are verified, and blocks that are newer in the journal are read from there. The
//! blocks of a file are found by its extent tree, so the cost of a read does not depend on its
//! offset. (The crate `ext4-view` is synchronous, and walks a file's blocks from the first one
//! with each read.)
//!
//! Encrypted files and folders are listed, but cannot be read.

mod format;
mod journal;
mod map;

use super::blocks::Blocks;
use super::path::{self, Steps};
use super::sorted::{Sorted, Window};
use super::{Error, Kind, Metadata, Tree, sectors};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use devices::block::Block;
use format::{Inode, SUPERBLOCK, Superblock, checksum, u16_at, u32_at};
use map::Run;

/// The size of a read of metadata in bytes.
const FETCH: u64 = 32 * 1024;

/// The most bytes of metadata that are cached.
const KEPT: u64 = 512 * 1024;

/// The fewest bytes of names in a folder whose inodes are looked up together.
const NAMES: usize = 16 * 1024;

/// A file system on the disk `B`.
#[derive(Debug)]
pub struct Ext4<B> {
    disk: B,
    superblock: Superblock,
    /// Blocks whose current content is in the journal, by their numbers.
    copies: BTreeMap<u64, Moved>,
    blocks: RefCell<Blocks>,
    listings: Sorted,
}

/// Locates the newest content of a block in the journal.
#[derive(Clone, Copy, Debug)]
struct Moved(u64);

impl Moved {
    /// Stands beside the number, so that both are one: trees of 64-bit keys and values are one code,
    /// whatever they hold. Numbers have 48 bits.
    const ESCAPED: u64 = 1 << 63;

    const fn new(number: u64, escaped: bool) -> Self {
        Self(number | if escaped { Self::ESCAPED } else { 0 })
    }

    /// The number of the journal's block on the disk.
    const fn number(self) -> u64 {
        self.0 & !Self::ESCAPED
    }

    /// Whether the block's own first four bytes are the journal's magic number. They are zeroed in the
    /// journal (`JBD2_FLAG_ESCAPE`).
    const fn is_escaped(self) -> bool {
        self.0 & Self::ESCAPED != 0
    }
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Node(Rc<Inode>);

impl Node {
    pub(super) const fn new(inode: Rc<Inode>) -> Self {
        Self(inode)
    }

    pub(super) fn inode(&self) -> &Inode {
        &self.0
    }
}

/// What is read of an inode: what reading its content takes, or [all of it](super::inodes).
pub(super) trait Parse: Sized {
    /// Parses inode `number` from all of its `bytes`, whose checksum begins with `seed`.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn parse(bytes: &[u8], number: u32, seed: Option<u32>) -> Result<Self, Error>;
}

impl Parse for Inode {
    fn parse(bytes: &[u8], number: u32, seed: Option<u32>) -> Result<Self, Error> {
        Self::new(bytes, number, seed)
    }
}

/// The longest target of a symbolic link in bytes, as on Linux (`PATH_MAX`).
const LONGEST: usize = 4096;

/// The inode number of the root.
pub(super) const ROOT: u32 = 2;

impl<B: Block> Ext4<B> {
    /// Opens the file system on `disk`. The index of its journal may take a quarter of the free
    /// memory.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Unsupported`], [`Error::Damaged`],
    /// [`Error::Shrunk`], [`Error::NoMemory`], and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        let mut bytes = [0; SUPERBLOCK];
        if sectors::size(&disk) < 2 * SUPERBLOCK as u64 {
            return Err(Error::OtherFormat);
        }
        sectors::read(&disk, SUPERBLOCK as u64, &mut bytes).await?;
        let superblock = Superblock::new(&bytes)?;
        if superblock.blocks * superblock.block > sectors::size(&disk) {
            return Err(Error::Shrunk);
        }
        let (copies, blocks, listings) = (BTreeMap::new(), RefCell::default(), Sorted::default());
        let mut it = Self { disk, superblock, copies, blocks, listings };
        if superblock.recover {
            if superblock.journal == 0 {
                log::warn!(
                    "ext4: the journal is on another disk: mount the file system once with Linux"
                );
                return Err(Error::Unsupported);
            }
            let journal = it.inode(superblock.journal).await?;
            it.copies = journal::replay(&it, &journal, super::spare_memory()).await?;
            it.blocks = RefCell::default();
            let at = SUPERBLOCK as u64;
            let block = it.block(at / superblock.block).await?;
            let own = block.get((at % superblock.block) as usize..).and_then(<[u8]>::first_chunk);
            it.superblock = Superblock::new(own.ok_or(Error::Damaged)?)?;
        }
        Ok(it)
    }

    /// Returns block `number` of the disk, which holds metadata, from the cache if it is there.
    async fn block(&self, number: u64) -> Result<Rc<[u8]>, Error> {
        if let Some(block) = self.blocks.borrow_mut().find(number) {
            return Ok(block);
        }
        let Superblock { block: size, blocks, .. } = self.superblock;
        if number >= blocks {
            return Err(Error::Damaged);
        }
        let count = FETCH.div_ceil(size);
        let first = number - number % count;
        let count = count.min(blocks - first);
        if let Some(copy) = self.copies.get(&number) {
            let mut bytes = kernel::memory::zeroed(size as usize).ok_or(Error::NoMemory)?;
            self.copy(*copy, 0, &mut bytes).await?;
            let block = Rc::<[u8]>::from(bytes);
            self.blocks.borrow_mut().keep(number, block.clone(), KEPT / size);
            return Ok(block);
        }
        let length = (count * size) as usize;
        let mut bytes = kernel::memory::zeroed(length).ok_or(Error::NoMemory)?;
        sectors::read(&self.disk, first * size, &mut bytes).await?;
        let mut found = None;
        let mut kept = self.blocks.borrow_mut();
        for (other, bytes) in (first..).zip(bytes.chunks_exact(size as usize)) {
            if self.copies.contains_key(&other) {
                continue;
            }
            let block = Rc::<[u8]>::from(bytes);
            if other == number {
                found = Some(block.clone());
            }
            kept.keep(other, block, KEPT / size);
        }
        found.ok_or(Error::Damaged)
    }

    /// Reads from byte `at` on of a block whose content is in the journal.
    async fn copy(&self, copy: Moved, at: usize, to: &mut [u8]) -> Result<(), Error> {
        let offset = copy.number() * self.superblock.block + at as u64;
        sectors::read(&self.disk, offset, to).await?;
        if copy.is_escaped() {
            let escaped = journal::MAGIC.to_be_bytes();
            let escaped = escaped.get(at..).unwrap_or_default();
            to.iter_mut().zip(escaped).for_each(|(to, &from)| *to = from);
        }
        Ok(())
    }

    /// Reads inode `number`, and verifies its checksum and that of its group's descriptor.
    pub(super) async fn inode<I: Parse>(&self, number: u32) -> Result<I, Error> {
        let it = &self.superblock;
        let index = number.checked_sub(1).filter(|_| number <= it.inodes).ok_or(Error::Damaged)?;
        let (group, index) = (index / it.inodes_per_group, index % it.inodes_per_group);
        let (block, at) = it.descriptor_of(group.into());
        let descriptors = self.block(block).await?;
        let end = at + it.descriptor as usize;
        let descriptor = descriptors.get(at..end).ok_or(Error::Damaged)?;
        if let Some(seed) = it.seed {
            let parts =
                [&group.to_le_bytes()[..], &descriptor[..0x1e], &[0; 2], &descriptor[0x20..]];
            if checksum(seed, &parts) & 0xffff != u32::from(u16_at(descriptor, 0x1e)) {
                return Err(Error::Damaged);
            }
        }
        let high = if descriptor.len() >= 64 { u64::from(u32_at(descriptor, 0x28)) } else { 0 };
        let table = u64::from(u32_at(descriptor, 0x8)) | high << 32;
        let at = u64::from(index) * it.inode;
        let block = table.checked_add(at / it.block).ok_or(Error::Damaged)?;
        let at = (at % it.block) as usize;
        let block = self.block(block).await?;
        let bytes = block.get(at..at + it.inode as usize).ok_or(Error::Damaged)?;
        I::parse(bytes, number, it.seed)
    }

    /// Reads the content of an inode from byte `offset` on. Returns the number of bytes: fewer
    /// than `to` has room for only at the end.
    pub(super) async fn content(
        &self,
        inode: &Inode,
        offset: u64,
        to: &mut [u8],
    ) -> Result<usize, Error> {
        if inode.is_encrypted() {
            return Err(Error::Unsupported);
        }
        let left = usize::try_from(inode.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = to.len().min(left);
        let to = to.get_mut(..count).unwrap_or_default();
        if let Some(inside) = &inode.inside {
            let from = usize::try_from(offset).ok().and_then(|offset| inside.get(offset..));
            // Beyond the end there is nothing to read.
            let rest = from.unwrap_or_default().get(..count).ok_or(Error::Damaged)?;
            to.copy_from_slice(rest);
            return Ok(count);
        }
        let size = self.superblock.block;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let Run { block, count: blocks } = self.run(inode, at / size).await?;
            let within = at % size;
            let length = (blocks.saturating_mul(size) - within).min((count - done) as u64) as usize;
            let part = to.get_mut(done..done + length).unwrap_or_default();
            match block {
                None => part.fill(0),
                Some(block) => self.blocks_of_file(block, within, part).await?,
            }
            done += length;
        }
        Ok(count)
    }

    /// Reads consecutive blocks of the disk from byte `within` of `block` on.
    async fn blocks_of_file(&self, block: u64, within: u64, to: &mut [u8]) -> Result<(), Error> {
        let size = self.superblock.block;
        let end = block + (within + to.len() as u64).div_ceil(size);
        sectors::read(&self.disk, block * size + within, to).await?;
        for (&number, &copy) in self.copies.range(block..end) {
            let begin = (number - block) * size;
            let (at, from) =
                (within.saturating_sub(begin) as usize, begin.saturating_sub(within) as usize);
            let rest = to.get_mut(from..).unwrap_or_default();
            let length = rest.len().min(size as usize - at);
            self.copy(copy, at, &mut rest[..length]).await?;
        }
        Ok(())
    }

    /// Returns block `number` of a folder, or `None` beyond its last one.
    async fn folder(&self, folder: &Inode, number: u64) -> Result<Option<Rc<[u8]>>, Error> {
        if folder.kind != Kind::Folder {
            return Err(Error::NotFolder);
        }
        if folder.is_encrypted() {
            return Err(Error::Unsupported);
        }
        if let Some(inside) = &folder.inside {
            // Inline data (`inline_data`): the parent's inode number and the first entries in
            // the inode's block map, more entries in its attribute `system.data`.
            let part = match number {
                0 => inside.get(4..60),
                1 => inside.get(60..).filter(|part| !part.is_empty()),
                _ => None,
            };
            return Ok(part.map(Rc::from));
        }
        let Superblock { block: size, blocks, .. } = self.superblock;
        if number >= folder.size / size {
            return Ok(None);
        }
        // A folder larger than the disk maps the same blocks repeatedly.
        let block = self.run(folder, number).await?.block.filter(|_| number < blocks);
        let content = self.block(block.ok_or(Error::Damaged)?).await?;
        if folder.seed.is_some_and(|seed| !format::is_right(&content, seed)) {
            return Err(Error::Damaged);
        }
        // Other tasks run also while all blocks come from the cache.
        kernel::task::yield_now().await;
        Ok(Some(content))
    }

    /// Completes metadata of which only the inode number is known. Inodes are read in the order
    /// of their numbers, which a large folder does not keep (its hash tree sorts by hash).
    async fn look_up(&self, of: impl Iterator<Item = &mut Metadata>) -> Result<(), Error> {
        let mut all: Vec<&mut Metadata> = of.collect();
        all.sort_unstable_by_key(|it| it.id);
        for it in all {
            let inode = u32::try_from(it.id).map_err(|_| Error::Damaged)?;
            *it = self.inode::<Inode>(inode).await?.metadata();
        }
        Ok(())
    }

    /// Finds the inode of the entry `name` of a folder.
    pub(super) async fn find(&self, folder: &Inode, name: &[u8]) -> Result<Inode, Error> {
        for number in 0.. {
            let Some(block) = self.folder(folder, number).await? else { break };
            let entries = format::entries(&block)?;
            if let Some(entry) = entries.iter().find(|entry| entry.name == name) {
                return self.inode(entry.inode).await;
            }
        }
        Err(Error::NotFound)
    }
}

/// Returns metadata of which only the inode number is known.
const fn unknown(inode: u32) -> Metadata {
    Metadata { kind: Kind::Other, size: 0, modified: 0, id: inode as u64 }
}

impl<B: Block> Tree for Ext4<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let root = Rc::new(self.inode::<Inode>(ROOT).await?);
        let (mut above, mut here) = (Vec::new(), root.clone());
        let mut steps = Steps::new(&path::normal(path)?);
        while let Some(name) = steps.next() {
            if name == b".." {
                here = above.pop().unwrap_or_else(|| root.clone());
                continue;
            }
            if here.kind != Kind::Folder {
                return Err(Error::NotFound);
            }
            let next = self.find(&here, &name).await?;
            if next.kind == Kind::Link {
                let length = usize::try_from(next.size).ok().filter(|&length| length <= LONGEST);
                let mut target = alloc::vec![0; length.ok_or(Error::Damaged)?];
                self.content(&next, 0, &mut target).await?;
                if steps.follow(&target)? {
                    above.clear();
                    here = root.clone();
                }
                continue;
            }
            above.push(core::mem::replace(&mut here, Rc::new(next)));
        }
        Ok(Node(here))
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.0.metadata()
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        if node.0.kind == Kind::File {
            return self.content(&node.0, offset, to).await;
        }
        Err(Error::NotFile)
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        let room = NAMES.max(super::spare_memory() / 8);
        let (mut names, mut used) = (Vec::<(Box<[u8]>, Metadata)>::new(), 0);
        for number in 0.. {
            let block = self.folder(&node.0, number).await?;
            for entry in block.as_deref().map(format::entries).transpose()?.unwrap_or_default() {
                names.push((entry.name.into(), unknown(entry.inode)));
                used += entry.name.len() + size_of_val(&names[0]);
            }
            if block.is_none() || used >= room {
                self.look_up(names.iter_mut().map(|(_, it)| it)).await?;
                names.iter().for_each(|(name, it)| each(name, *it));
                (names, used) = (Vec::new(), 0);
            }
            if block.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn list_after(
        &self,
        node: &Node,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), Error> {
        let (folder, mut after) = ((node.0.number.into(), 0), after.to_vec());
        if node.0.kind != Kind::Folder {
            return Err(Error::NotFolder);
        }
        while self.listings.show(folder, &mut after, each) {
            let mut window = Window::new(folder, &after);
            for number in 0.. {
                let Some(block) = self.folder(&node.0, number).await? else { break };
                for entry in format::entries(&block)? {
                    window.take(entry.name, unknown(entry.inode));
                }
            }
            self.look_up(window.names.values_mut()).await?;
            self.listings.keep(window);
        }
        Ok(())
    }
}
