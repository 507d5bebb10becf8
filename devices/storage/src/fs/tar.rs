//! Reads tar archives: POSIX.1-1988 (ustar), POSIX.1-2001 (pax), GNU's and older ones.
//!
//! # Example
//! ```
//! # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
//!
//! use xenith::block::memory::Memory;
//! use xenith::fs::tar::Tar;
//! use xenith::fs::{Error, Tree};
//! use xenith::task::block_on;
//!
//! /// An archive of one file, as `tar` makes it.
//! fn archive(name: &str, content: &[u8]) -> Memory {
//!     let mut bytes = vec![0; 4 * 512];
//!     bytes[..name.len()].copy_from_slice(name.as_bytes());
//!     bytes[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
//!     bytes[257..265].copy_from_slice(b"ustar\x0000");
//!     bytes[148..156].fill(b' ');
//!     let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
//!     bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
//!     bytes[512..512 + content.len()].copy_from_slice(content);
//!     Memory::from_bytes(512, bytes)
//! }
//!
//! block_on(async {
//!     let tree = Tar::open(archive("motd", b"Welcome")).await?;
//!     let node = tree.lookup(b"/motd").await?;
//!     let mut content = [0; 16];
//!     let length = tree.read(&node, 0, &mut content).await?;
//!     assert_eq!(&content[..length], b"Welcome");
//!     Ok::<(), Error>(())
//! })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! The archive is read once, header by header, into an index of names and offsets;
//! contents stay where they are. Crates for this (`tar-no-std`, `tar`) want the whole
//! archive as a slice, or a synchronous reader.
//!
//! Of entries with the same name the last one counts, as when unpacking. Hard links are the
//! file that they name, symbolic links are [`Kind::Link`] and followed by [`Tree::lookup`],
//! sparse files are expanded, devices and pipes are [`Kind::Other`]. An archive is opened as a
//! whole or not at all: an entry that is not supported (a part of a multi-volume archive, an
//! unknown type, a name that leads out of the archive) is logged with its name and is an
//! error, and so is a truncated archive. Bytes after the end are ignored.

mod build;
pub(super) mod format;

pub(super) use build::Notes;
pub(super) use format::Header;

use super::path::{self, Steps};
use super::{Error, Kind, Metadata, Tree, sectors};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Bound;
use devices::block::Block;
use format::Piece;

/// The size in bytes of a header, and of the blocks that contents are padded to.
const BLOCK: u64 = 512;

/// An archive on the disk `B`.
#[derive(Debug)]
pub struct Tar<B> {
    disk: B,
    index: Index,
}

/// Indexes the entries of an archive.
#[derive(Debug, Default)]
struct Index {
    /// The key is the folder, a null byte, and the name there, so that the entries of a folder
    /// are adjacent.
    records: BTreeMap<Box<[u8]>, Record>,
    sparse: Vec<Vec<Piece>>,
    links: Vec<Box<[u8]>>,
}

/// The kind of an entry, and where its content is.
#[derive(Clone, Copy, Debug)]
enum RecordKind {
    /// A file, whose content starts at this byte of the disk.
    File(u64),
    /// A sparse file: its range of [`Index::sparse`].
    Sparse(usize),
    Folder,
    /// A symbolic link, with its target in [`Index::links`].
    Link(usize),
    Other,
}

/// An entry of the index.
#[derive(Clone, Copy, Debug)]
struct Record {
    kind: RecordKind,
    size: u64,
    modified: u64,
    id: u64,
}

impl Record {
    fn metadata(&self) -> Metadata {
        let kind = match self.kind {
            RecordKind::File(_) | RecordKind::Sparse(_) => Kind::File,
            RecordKind::Folder => Kind::Folder,
            RecordKind::Link(_) => Kind::Link,
            RecordKind::Other => Kind::Other,
        };
        Metadata { kind, size: self.size, modified: self.modified, id: self.id }
    }
}

/// A folder that has no entry of its own, but entries in it.
const FOLDER: Record = Record { kind: RecordKind::Folder, size: 0, modified: 0, id: 0 };

/// A file or folder of an archive.
#[derive(Clone, Debug)]
pub struct Node {
    record: Record,
    /// The prefix of the keys of the folder's entries.
    prefix: Rc<[u8]>,
}

/// Returns the key of `name` in `folder`.
fn key(folder: &[u8], name: &[u8]) -> Box<[u8]> {
    [folder, b"\0", name].concat().into()
}

impl Index {
    /// Finds the entry at `path`, and its path once symbolic links are followed: those within
    /// it, and with `last` also the one at its end.
    ///
    /// # Errors
    /// [`Error::BadPath`], and [`Error::NotFound`], also for links in a circle.
    fn find(&self, path: &[u8], last: bool) -> Result<(Vec<u8>, Record), Error> {
        let (mut at, mut record) = (Vec::new(), FOLDER);
        let mut steps = Steps::new(path);
        while let Some(name) = steps.next() {
            if name == b".." {
                at.truncate(path::split(&at).0.len());
                record = FOLDER;
                continue;
            }
            if !matches!(record.kind, RecordKind::Folder) {
                return Err(Error::NotFound);
            }
            record = *self.records.get(&key(&at, &name)).ok_or(Error::NotFound)?;
            if let RecordKind::Link(number) = record.kind
                && (last || !steps.is_over())
            {
                let target = self.links.get(number).ok_or(Error::NotFound)?;
                if steps.follow(target)? {
                    at.clear();
                }
                record = FOLDER;
                continue;
            }
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend_from_slice(&name);
        }
        Ok((at, record))
    }

    /// Returns whether the folder at `path` has entries.
    fn has_inside(&self, path: &[u8]) -> bool {
        let prefix = key(path, b"");
        self.records.range(prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(&prefix))
    }
}

impl<B: Block> Tar<B> {
    /// Opens the archive that `disk` begins with. Its index may take a quarter of the
    /// memory that is free.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Damaged`] also for an archive that was cut,
    /// [`Error::Unsupported`] and [`Error::BadPath`] for an entry that cannot be shown,
    /// [`Error::NoMemory`], and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        Self::with_memory(disk, super::spare_memory()).await
    }

    /// Opens an archive whose index may take about `memory` bytes.
    ///
    /// # Errors
    /// As of [`Tar::open`].
    pub async fn with_memory(disk: B, memory: usize) -> Result<Self, Error> {
        let (index, ()) = build::index(&disk, memory).await?;
        Ok(Self { disk, index })
    }

    /// Opens an archive, and takes notes of what the index leaves out.
    ///
    /// # Errors
    /// As of [`Tar::open`].
    pub(super) async fn with_notes<N: Notes>(disk: B) -> Result<(Self, N), Error> {
        let (index, notes) = build::index(&disk, super::spare_memory()).await?;
        Ok((Self { disk, index }, notes))
    }

    /// Finds an entry of a folder; a link is itself.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(super) fn child(&self, node: &Node, name: &[u8]) -> Result<Node, Error> {
        if !matches!(node.record.kind, RecordKind::Folder) {
            return Err(Error::NotFound);
        }
        let key = [&node.prefix, name].concat();
        let record = *self.index.records.get(&*key).ok_or(Error::NotFound)?;
        let folder = node.prefix.strip_suffix(b"\0").unwrap_or_default();
        let path = if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() };
        Ok(Node { record, prefix: self::key(&path, b"").into() })
    }

    /// Returns the target of a symbolic link.
    pub(super) fn target(&self, node: &Node) -> Option<&[u8]> {
        match node.record.kind {
            RecordKind::Link(number) => self.index.links.get(number).map(|it| &**it),
            _ => None,
        }
    }
}

impl<B: Block> Tree for Tar<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let path = path::normal(path)?;
        let (at, record) = match path::split(&path) {
            // Without links, the path itself is the key.
            (folder, name) if self.index.links.is_empty() && !name.is_empty() => {
                let record = self.index.records.get(&key(folder, name)).ok_or(Error::NotFound)?;
                (path, *record)
            }
            _ => self.index.find(&path, true)?,
        };
        Ok(Node { record, prefix: key(&at, b"").into() })
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.record.metadata()
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let left = usize::try_from(node.record.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = to.len().min(left);
        let to = to.get_mut(..count).unwrap_or_default();
        match node.record.kind {
            RecordKind::File(at) if count > 0 => {
                sectors::read(&self.disk, at.saturating_add(offset), to).await?;
            }
            RecordKind::File(_) => {}
            RecordKind::Sparse(number) => {
                to.fill(0);
                let pieces = self.index.sparse.get(number).ok_or(Error::Damaged)?;
                let first = pieces.partition_point(|it| it.offset + it.length <= offset);
                for piece in pieces.iter().skip(first) {
                    let skip = offset.saturating_sub(piece.offset);
                    let from = (piece.offset + skip - offset) as usize;
                    let Some(part) = to.get_mut(from..).filter(|part| !part.is_empty()) else {
                        break;
                    };
                    let length = (part.len() as u64).min(piece.length - skip) as usize;
                    sectors::read(&self.disk, piece.at + skip, &mut part[..length]).await?;
                }
            }
            _ => return Err(Error::NotFile),
        }
        Ok(count)
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        if !matches!(node.record.kind, RecordKind::Folder) {
            return Err(Error::NotFolder);
        }
        let inside = self.index.records.range(Box::<[u8]>::from(&*node.prefix)..);
        for (key, record) in inside.take_while(|(key, _)| key.starts_with(&node.prefix)) {
            each(key.get(node.prefix.len()..).unwrap_or_default(), record.metadata());
        }
        Ok(())
    }

    async fn list_after(
        &self,
        node: &Node,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), Error> {
        if !matches!(node.record.kind, RecordKind::Folder) {
            return Err(Error::NotFolder);
        }
        let start = Box::<[u8]>::from([&node.prefix, after].concat());
        let behind = self.index.records.range((Bound::Excluded(start), Bound::Unbounded));
        for (key, record) in behind.take_while(|(key, _)| key.starts_with(&node.prefix)) {
            if !each(key.get(node.prefix.len()..).unwrap_or_default(), record.metadata()) {
                break;
            }
        }
        Ok(())
    }
}
