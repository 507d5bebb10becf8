//! Files and keys on a block device.
//!
//! [`Tree`] is what can be read: folders and files. [`Files`] is a tree that can be
//! changed. [`Store`] holds values by key, and what it acknowledges survives a loss of
//! power at any moment. Each format is a file:
//!
//! | module | is a | made by |
//! |---|---|---|
//! | [`built`](mod@built) | [`Tree`] | the build: files in the image |
//! | [`tar`] | [`Tree`] | `tar`, `cargo mk run --disk NAME=FOLDER` |
//! | [`ext4`] | [`Tree`] | Linux |
//! | [`fat`] | [`Files`] | any machine |
//! | [`keys`] | [`Store`] | itself |
//!
//! Names and paths are bytes, as they are on disk. A path's parts are separated by
//! `/`; empty ones and `.` mean nothing, `..` and a zero byte are refused everywhere,
//! so that no path leads out of a tree.

pub mod built;
mod cache;
pub mod ext4;
pub mod fat;
pub mod keys;
mod path;
mod sectors;
mod sorted;
pub mod tar;
mod turn;

pub use crate::built;
pub use cache::{CHUNK, Cache};

use crate::block;
use alloc::vec::Vec;
use core::fmt;

/// What something in a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names.
    Folder,
    /// A symbolic link. Only [`Tree::list`] tells of one: [`Tree::lookup`] follows it.
    Link,
    /// Anything else that a format knows, such as devices. It has no content.
    Other,
}

/// What is known of a file or folder beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// How many bytes it holds; 0 for what is no file.
    pub size: u64,
    /// When it was changed, in seconds since 1970, or 0.
    pub modified: u64,
    /// Tells a file from all others in the tree.
    pub id: u64,
}

/// Folders and files that can be read.
pub trait Tree {
    /// A file or folder that was found.
    type Node: Clone;

    /// Finds what is at `path`. Symbolic links are followed within the tree, whose root
    /// is also that of absolute ones, and the parent of itself.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is nothing, or links lead to nothing or in a circle,
    /// and others.
    fn lookup(&self, path: &[u8]) -> impl Future<Output = Result<Self::Node, Error>>;

    /// What is known of `node`.
    fn metadata(&self, node: &Self::Node) -> Metadata;

    /// Reads bytes from `offset` on. Fewer than `to` has room for are read at the
    /// file's end only, 0 behind it.
    ///
    /// # Errors
    /// [`Error::NotFile`] for what is none, and others.
    fn read(
        &self,
        node: &Self::Node,
        offset: u64,
        to: &mut [u8],
    ) -> impl Future<Output = Result<usize, Error>>;

    /// Calls `each` for what is in the folder `node`, in an order of the format's.
    ///
    /// # Errors
    /// [`Error::NotFolder`] for what is none, and others.
    fn list(
        &self,
        node: &Self::Node,
        each: &mut dyn FnMut(&[u8], Metadata),
    ) -> impl Future<Output = Result<(), Error>>;

    /// Calls `each` for what is in the folder `node` under names that follow `after`, in the
    /// order of their bytes and each once, until it returns `false`. So a folder with any
    /// number of names can be shown piece by piece.
    ///
    /// A format whose folders are not in this order goes through the folder and remembers
    /// the names that come next, as many as a part of the memory that is free has room for.
    ///
    /// # Errors
    /// As of [`Tree::list`].
    fn list_after(
        &self,
        node: &Self::Node,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> impl Future<Output = Result<(), Error>> {
        sorted::list_after(self, node, after, each)
    }
}

/// Folders and files that can be changed. Whether a change is whole after a loss of
/// power in its middle is the format's affair.
pub trait Files: Tree {
    /// Writes `from` into the file at `path`, from `offset` on, which is at most its
    /// size. A file that is not there is made, its folder is not.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::FolderFull`], [`Error::ReadOnly`], [`Error::NotFile`],
    /// [`Error::BadPath`] for a name that the format does not have, [`Error::TooLong`] for a
    /// file that it cannot have, [`Error::Unsupported`] for an offset behind the end, and
    /// others.
    fn write(
        &self,
        path: &[u8],
        offset: u64,
        from: &[u8],
    ) -> impl Future<Output = Result<(), Error>>;

    /// Cuts a file off, so that it has `size` bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unsupported`] for more than it has, and others.
    fn truncate(&self, path: &[u8], size: u64) -> impl Future<Output = Result<(), Error>>;

    /// Makes a folder in one that is there.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotFound`], and others.
    fn create_folder(&self, path: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Removes a file or an empty folder.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotEmpty`], and others.
    fn remove(&self, path: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Gives a file or folder another path, at which there is nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`], and others.
    fn rename(&self, from: &[u8], to: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Makes all changes last through a loss of power from now on.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&self) -> impl Future<Output = Result<(), Error>>;
}

/// Values by key. What a call did is on the disk when its future is ready.
pub trait Store {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not what it was, and the disk's.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Vec<u8>>, Error>>;

    /// Lets `key` have this value.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Full`], [`Error::NoMemory`], [`Error::ReadOnly`], and
    /// the disk's: then it may be done after the next start.
    fn set(&self, key: &[u8], value: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Removes `key`, if there is such a key.
    ///
    /// # Errors
    /// As of [`Store::set`].
    fn delete(&self, key: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Gives the value of `from` to `to` and removes `from`, both or neither.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such key, and as of [`Store::set`].
    fn rename(&self, from: &[u8], to: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Calls `each` for the keys that begin with `prefix`, in their order, with the
    /// lengths of their values. It must not use the store.
    ///
    /// # Errors
    /// The disk's.
    fn list(
        &self,
        prefix: &[u8],
        each: &mut dyn FnMut(&[u8], u64),
    ) -> impl Future<Output = Result<(), Error>>;
}

/// Why something could not be read or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is nothing of that name.
    NotFound,
    /// It is no file.
    NotFile,
    /// It is no folder.
    NotFolder,
    /// There is something of that name already.
    Exists,
    /// The folder holds something.
    NotEmpty,
    /// The path leads out of the tree, or cannot be a path in this format.
    BadPath,
    /// The key, value or batch is longer than the format allows.
    TooLong,
    /// No room is left on the disk.
    Full,
    /// No room for another name is left in a folder.
    FolderFull,
    /// It needs more memory than it may have.
    NoMemory,
    /// The disk can only be read.
    ReadOnly,
    /// The disk holds something else than what was looked for.
    OtherFormat,
    /// What is on the disk contradicts itself, or its checksum.
    Damaged,
    /// The disk is smaller than what is on it says.
    Shrunk,
    /// It is made in a way that is not supported.
    Unsupported,
    /// The disk failed.
    Disk(block::ErrorKind),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is nothing of that name",
            Self::NotFile => "it is not a file",
            Self::NotFolder => "it is not a folder",
            Self::Exists => "there is something of that name already",
            Self::NotEmpty => "the folder is not empty",
            Self::BadPath => "the path is not one that can be used here",
            Self::TooLong => "it is too long to be stored",
            Self::Full => "no room is left on the disk: delete something or use a larger one",
            Self::FolderFull => "no room for another name is left in the folder",
            Self::NoMemory => "what is on the disk needs more memory: give the guest more",
            Self::ReadOnly => "the disk can only be read",
            Self::OtherFormat => "the disk does not hold what was looked for on it",
            Self::Damaged => "what is on the disk is damaged",
            Self::Shrunk => "the disk is smaller than what is on it",
            Self::Unsupported => "what is on the disk is made in a way that is not supported",
            Self::Disk(kind) => return kind.fmt(f),
        })
    }
}

impl core::error::Error for Error {}

/// Bytes that what is remembered of a disk may take, unless it is said: a quarter of the
/// memory that is free, and as if 256 MiB were on Linux.
fn spare_memory() -> usize {
    let stats = kernel::memory::stats();
    let unmapped = stats.total.saturating_sub(stats.mapped);
    let free = unmapped + stats.heap.saturating_sub(stats.allocated);
    if stats.total == 0 { 64 << 20 } else { free / 4 }
}

#[cfg(test)]
mod tests;
