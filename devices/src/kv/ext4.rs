//! Ext2 and ext4 as Linux makes them, to be read.
//!
//! The crate `ext4-view` knows the format, checks its checksums, reads what is in the
//! journal, has one `unsafe` and is fuzzed; it is synchronous, and run again until what it reads is in memory.

use super::replay::{Lines, Replay, Stopped};
use super::{Error, Kind, Metadata, Tree, path};
use crate::block::Block;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::error::Error as StdError;
use ext4_view::{Ext4Error, Ext4Read, FileType};

/// Bytes that one step may read: of a journal, all of it.
const BUDGET: u64 = 64 << 20;

/// Where a file cannot be read any more: the crate counts its blocks from the first
/// one on each time, and holes cost no read that would end it.
const FARTHEST: u64 = 1 << 30;

/// A file system on the disk `B`.
#[derive(Debug)]
pub struct Ext4<B> {
    replay: Replay<B>,
    files: ext4_view::Ext4,
}

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Node {
    /// Absolute and plain.
    path: Rc<[u8]>,
    metadata: Metadata,
}

/// The disk, as the crate reads it.
struct Reader(Rc<Lines>);

impl Ext4Read for Reader {
    fn read(&mut self, at: u64, to: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
        self.0.read(at, to).map_err(|Stopped| Box::new(Stopped).into())
    }
}

fn error(error: Ext4Error) -> Error {
    match error {
        Ext4Error::NotFound => Error::NotFound,
        Ext4Error::IsADirectory | Ext4Error::IsASpecialFile => Error::NotFile,
        Ext4Error::NotADirectory => Error::NotFolder,
        Ext4Error::MalformedPath | Ext4Error::PathTooLong | Ext4Error::NotAbsolute => {
            Error::BadPath
        }
        Ext4Error::TooManySymlinks => Error::NotFound,
        Ext4Error::FileTooLarge => Error::TooLong,
        Ext4Error::Encrypted | Ext4Error::Incompatible(_) => Error::Unsupported,
        // What is missing is fetched; what remains is what leads out of the disk.
        _ => Error::Damaged,
    }
}

fn metadata(of: &ext4_view::Metadata, id: u64) -> Metadata {
    let kind = match of.file_type() {
        FileType::Regular => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    };
    let size = if kind == Kind::File { of.len() } else { 0 };
    Metadata { kind, size, modified: of.modified().seconds().max(0).unsigned_abs(), id }
}

impl<B: Block> Ext4<B> {
    /// Opens the file system on `disk`.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Unsupported`], [`Error::Damaged`],
    /// [`Error::NoMemory`] for a journal that is not small, and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        let replay = Replay::new(disk);
        let there = |lines: &Rc<Lines>| {
            let mut magic = [0; 2];
            let read = lines.read(1024 + 0x38, &mut magic);
            Ok(read.is_ok() && magic == 0xef53_u16.to_le_bytes())
        };
        if !replay.run(BUDGET, there).await? {
            return Err(Error::OtherFormat);
        }
        let load = |lines: &Rc<Lines>| {
            ext4_view::Ext4::load(Box::new(Reader(lines.clone()))).map_err(error)
        };
        let files = replay.run(BUDGET, load).await?;
        Ok(Self { replay, files })
    }
}

impl<B: Block> Tree for Ext4<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let path = [b"/", &*path::normal(path)?].concat();
        let look = |_: &Rc<Lines>| {
            self.files.metadata(&*path).map(|it| metadata(&it, path::id(&path))).map_err(error)
        };
        let metadata = self.replay.run(BUDGET, look).await?;
        Ok(Node { path: path.into(), metadata })
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.metadata
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let Metadata { kind, size, .. } = node.metadata;
        if kind == Kind::File && offset >= size {
            return Ok(0);
        }
        if offset.saturating_add(to.len() as u64) > FARTHEST {
            return Err(Error::Unsupported);
        }
        let read = |_: &Rc<Lines>| {
            let mut file = self.files.open(&*node.path).map_err(error)?;
            file.seek_to(offset).map_err(error)?;
            let mut read = 0;
            while let Some(rest) = to.get_mut(read..).filter(|rest| !rest.is_empty()) {
                match file.read_bytes(rest).map_err(error)? {
                    0 => break,
                    count => read += count,
                }
            }
            Ok(read)
        };
        self.replay.run(BUDGET, read).await
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        let list = |_: &Rc<Lines>| {
            let mut names: Vec<(Vec<u8>, Metadata)> = Vec::new();
            for entry in self.files.read_dir(&*node.path).map_err(error)? {
                let entry = entry.map_err(error)?;
                let name = entry.file_name();
                if matches!(name.as_ref(), b"." | b"..") {
                    continue;
                }
                let of = entry.metadata().map_err(error)?;
                let id = path::id(entry.path().as_ref());
                names.push((name.as_ref().to_vec(), metadata(&of, id)));
            }
            Ok(names)
        };
        let names = self.replay.run(BUDGET, list).await?;
        names.iter().for_each(|(name, metadata)| each(name, *metadata));
        Ok(())
    }
}
