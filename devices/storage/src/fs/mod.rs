//! Folders and files on a block device.
//!
//! [`Tree`] is what can be read: folders and files. [`Files`] is a tree that can be
//! changed. Each format is a module:
//!
//! | module | is a | made by |
//! |---|---|---|
//! | [`built`](mod@built) | [`Tree`] | the build: files in the image |
//! | [`tar`] | [`Tree`] | `tar`, `cargo mk run --disk NAME=FOLDER` |
//! | [`ext4`] | [`Tree`] | Linux |
//! | [`fat`] | [`Files`] | any machine |
//!
//! [`Any`] is a tree of whichever format a disk has.
//!
//! Names and paths are bytes, as they are on disk. A path's parts are separated by
//! `/`; empty ones and `.` mean nothing, `..` and a zero byte are refused everywhere,
//! so that no path leads out of a tree.

mod any;
pub mod built;
pub(crate) mod cache;
pub mod ext4;
pub mod fat;
mod path;
mod sorted;
pub mod tar;
mod turn;

pub use crate::built;
pub use crate::error::Error;
pub use cache::{CHUNK, Cache};

use crate::sectors;
use alloc::rc::Rc;
use core::fmt;
use devices::block::Block;

any::formats! {
    ext4::Ext4 = "ext4",
    fat::Fat = "FAT",
    tar::Tar = "tar",
}

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
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
///
/// use xenith::fs::built::Built;
/// use xenith::fs::{Error, Kind, Tree};
/// use xenith::task::block_on;
///
/// /// Reads a file of up to 64 KiB as a whole.
/// async fn read_all<T: Tree>(tree: &T, path: &str) -> Result<Vec<u8>, Error> {
///     let node = tree.lookup(path.as_bytes()).await?;
///     let size = tree.metadata(&node).size.min(64 * 1024) as usize;
///     let mut content = vec![0; size];
///     let mut read = 0;
///     while read < size {
///         match tree.read(&node, read as u64, &mut content[read..]).await? {
///             0 => break,
///             count => read += count,
///         }
///     }
///     content.truncate(read);
///     Ok(content)
/// }
///
/// /// Names the folders in the root.
/// async fn folders<T: Tree>(tree: &T) -> Result<Vec<Vec<u8>>, Error> {
///     let root = tree.lookup(b"/").await?;
///     let mut names = Vec::new();
///     tree.list(&root, &mut |name, metadata| {
///         if metadata.kind == Kind::Folder {
///             names.push(name.to_vec());
///         }
///     })
///     .await?;
///     Ok(names)
/// }
///
/// let tree = Built::new(&[("index.html", b"<h1>Hi</h1>"), ("pictures/a.png", b"")]);
/// assert_eq!(block_on(read_all(&tree, "/index.html"))?, b"<h1>Hi</h1>");
/// assert_eq!(block_on(folders(&tree))?, [b"pictures"]);
/// assert_eq!(block_on(read_all(&tree, "../secret")), Err(Error::BadPath));
/// # Ok::<(), Error>(())
/// ```
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
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
///
/// use xenith::block::memory::Memory;
/// use xenith::fs::fat::Fat;
/// use xenith::fs::{Error, Files, Tree};
/// use xenith::task::block_on;
///
/// /// Appends a line to a file, which begins with the first one.
/// async fn log<F: Files>(files: &F, path: &[u8], line: &str) -> Result<(), Error> {
///     let end = match files.lookup(path).await {
///         Ok(node) => files.metadata(&node).size,
///         Err(Error::NotFound) => 0,
///         Err(error) => return Err(error),
///     };
///     files.write(path, end, line.as_bytes()).await?;
///     // Now it survives a loss of power.
///     files.sync().await
/// }
///
/// block_on(async {
///     let files = Fat::format(Memory::new(512, 4096)).await?;
///     files.create_folder(b"logs").await?;
///     log(&files, b"logs/today", "one\n").await?;
///     log(&files, b"logs/today", "two\n").await?;
///     files.rename(b"logs/today", b"logs/yesterday").await?;
///     let node = files.lookup(b"logs/yesterday").await?;
///     let mut content = [0; 16];
///     let length = files.read(&node, 0, &mut content).await?;
///     assert_eq!(&content[..length], b"one\ntwo\n");
///     assert_eq!(files.remove(b"logs").await, Err(Error::NotEmpty));
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
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

/// Bytes that what is remembered of a disk may take, unless it is said: a quarter of the
/// memory that is free, and as if 256 MiB were on Linux.
fn spare_memory() -> usize {
    let stats = kernel::memory::stats();
    let unmapped = stats.total.saturating_sub(stats.mapped);
    let free = unmapped + stats.heap.saturating_sub(stats.allocated);
    if stats.total == 0 { 64 << 20 } else { free / 4 }
}
