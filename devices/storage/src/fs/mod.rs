//! Reads and writes folders and files.
//!
//! A [`Tree`] can be read, [`Files`] can be changed as well. Each format is a module:
//!
//! | module | implements | written by |
//! |---|---|---|
//! | [`built`](mod@built) | [`Tree`] | the build: files in the image |
//! | [`tar`] | [`Tree`] | `tar`, `cargo mk run --disk NAME=FOLDER` |
//! | [`erofs`] | [`Tree`] | `mkfs.erofs`, compressed |
//! | [`ext4`] | [`Tree`] | Linux |
//! | [`fat`] | [`Files`] | any machine |
//!
//! [`Any`] is a tree of whichever format a disk has.
//!
//! Names and paths are bytes, as on the disk. The components of a path are separated by `/`;
//! empty ones and `.` are skipped, and `..` and null bytes are refused, so that no path leads
//! out of a tree.

mod any;
mod blocks;
pub mod built;
pub(crate) mod cache;
pub mod erofs;
pub mod ext4;
pub mod fat;
pub mod inodes;
mod mutex;
mod path;
mod sorted;
pub mod tar;

pub use crate::built;
pub use crate::error::Error;
pub use cache::{CHUNK, Cache};
pub use path::Steps;

use crate::sectors;
use alloc::rc::Rc;
use core::fmt;
use devices::block::Block;

// The first sector of an archive is a header with a checksum. What the others look for further on
// may be the content of its first file.
any::formats! {
    tar::Tar = "tar",
    erofs::Erofs = "EROFS",
    ext4::Ext4 = "ext4",
    fat::Fat = "FAT",
}

/// The kind of an entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link. Only [`Tree::list`] reports it, as [`Tree::lookup`] follows it.
    Link,
    /// Anything else, such as a device node or a pipe. It has no content.
    Other,
}

/// Describes a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind.
    pub kind: Kind,
    /// Its size in bytes; 0 unless it is a file.
    pub size: u64,
    /// When its content last changed, in seconds since 1970; 0 if that is not known.
    pub modified: u64,
    /// The number that identifies a file within the tree, such as its inode's.
    pub id: u64,
}

/// Reads folders and files.
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
    /// A file or folder that was looked up.
    type Node: Clone;

    /// Looks up the file or folder at `path`. Symbolic links are followed within the tree: an
    /// absolute target starts at its root, which is its own parent.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a path or link to nothing and for links in a circle;
    /// [`Error::BadPath`]; [`Error::Damaged`]; and the disk's.
    fn lookup(&self, path: &[u8]) -> impl Future<Output = Result<Self::Node, Error>>;

    /// Returns the kind, size and times of `node`.
    fn metadata(&self, node: &Self::Node) -> Metadata;

    /// Reads bytes from `offset` on, and returns how many. These are fewer than `to` has room
    /// for only at the end of the file, and 0 beyond it.
    ///
    /// # Errors
    /// [`Error::NotFile`] unless `node` is a file, [`Error::Damaged`], and the disk's.
    fn read(
        &self,
        node: &Self::Node,
        offset: u64,
        to: &mut [u8],
    ) -> impl Future<Output = Result<usize, Error>>;

    /// Calls `each` for every entry of the folder `node`, in the order of the format.
    ///
    /// # Errors
    /// [`Error::NotFolder`] unless `node` is a folder, [`Error::Damaged`], and the disk's.
    fn list(
        &self,
        node: &Self::Node,
        each: &mut dyn FnMut(&[u8], Metadata),
    ) -> impl Future<Output = Result<(), Error>>;

    /// Calls `each` for the entries of the folder `node` whose names follow `after`, each once
    /// and sorted by bytes, until it returns `false`. So folders of any size can be listed page
    /// by page.
    ///
    /// If the format does not sort its folders, the folder is scanned and as many of the next
    /// names are remembered as fit into a share of the free memory.
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

/// Changes folders and files. Whether a change is atomic when the power fails depends on the
/// format.
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
    /// Writes `from` to the file at `path`, from `offset` on, which must not exceed its size.
    /// The file is created if it does not exist; its folder is not.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::FolderFull`], [`Error::ReadOnly`], [`Error::NotFile`],
    /// [`Error::NotFound`] without the folder, [`Error::BadPath`] for a name that is invalid in
    /// the format, [`Error::TooLong`] for a file larger than it allows, [`Error::Unsupported`]
    /// for an offset beyond the end, and the disk's.
    fn write(
        &self,
        path: &[u8],
        offset: u64,
        from: &[u8],
    ) -> impl Future<Output = Result<(), Error>>;

    /// Truncates a file to `size` bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unsupported`] if it is shorter, and those of a write.
    fn truncate(&self, path: &[u8], size: u64) -> impl Future<Output = Result<(), Error>>;

    /// Creates a folder in an existing one.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotFound`] without that, and those of a write.
    fn create_folder(&self, path: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Removes a file or an empty folder.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotEmpty`], and those of a write.
    fn remove(&self, path: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Renames or moves a file or folder.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`] if `to` exists, and those of a write.
    fn rename(&self, from: &[u8], to: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Makes all changes so far durable: they survive a loss of power.
    ///
    /// # Errors
    /// The disk's; [`ErrorKind::Failed`](devices::block::ErrorKind::Failed) also if an earlier
    /// change may have been lost, until the files are opened again.
    fn sync(&self) -> impl Future<Output = Result<(), Error>>;
}

/// Returns the bytes of memory that an index of a disk may take by default: a quarter of the
/// free memory, and 64 MiB on Linux.
pub(crate) fn spare_memory() -> usize {
    let stats = kernel::memory::stats();
    let unmapped = stats.total.saturating_sub(stats.mapped);
    let free = unmapped + stats.heap.saturating_sub(stats.allocated);
    if stats.total == 0 { 64 << 20 } else { free / 4 }
}
