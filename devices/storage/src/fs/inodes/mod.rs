//! Finds files as a Unix does: name by name, without following links, with owners and modes.
//!
//! [`Tree`] is what most programs need. A system that shows a disk as its own root has to walk
//! paths itself, as links may lead to other disks, and to know who may read what.

mod any;
mod erofs;
mod ext4;
mod fat;
mod tar;

pub use any::{AnyInodes, AnyNode};
pub use tar::TarInodes;

use super::{Error, Tree};
use alloc::vec::Vec;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "inode(7) says what they are")]
pub enum Sort {
    File,
    Folder,
    Link,
    Character,
    Block,
    Pipe,
    Socket,
    /// Something unknown.
    Other,
}

impl Sort {
    /// Returns what the bits of `S_IFMT` in a mode mean.
    #[must_use]
    pub const fn of_mode(mode: u32) -> Self {
        match mode >> 12 & 0xf {
            1 => Self::Pipe,
            2 => Self::Character,
            4 => Self::Folder,
            6 => Self::Block,
            8 => Self::File,
            10 => Self::Link,
            12 => Self::Socket,
            _ => Self::Other,
        }
    }
}

/// Describes an inode (inode(7)). Times are in ns since 1970, 0 if unknown or before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub sort: Sort,
    /// The number that identifies it on the disk.
    pub id: u64,
    /// The permissions, with the set-user-ID, set-group-ID and sticky bits: 0 to 0o7777.
    pub mode: u32,
    /// The user that owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// How many names it has; 1 for a folder whose folders the format does not count.
    pub links: u32,
    /// The device that a device file is, as makedev(3) of Linux has it.
    pub special: u64,
    /// The size in bytes of a file, or of the target of a link.
    pub size: u64,
    /// When it was read last.
    pub accessed: u64,
    /// When its content changed last.
    pub modified: u64,
    /// When anything of it changed last.
    pub changed: u64,
    /// When it was made.
    pub born: u64,
}

/// Reads folders and files name by name.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
///
/// use xenith::block::memory::Memory;
/// use xenith::fs::fat::Fat;
/// use xenith::fs::inodes::{Inodes, Sort};
/// use xenith::fs::{Error, Files};
/// use xenith::task::block_on;
///
/// /// Whether everybody may read what has this name in the root.
/// async fn is_public<I: Inodes>(disk: &I, name: &[u8]) -> Result<bool, Error> {
///     let node = disk.child(&disk.root().await?, name).await?;
///     let attributes = disk.attributes(&node).await?;
///     Ok(attributes.sort == Sort::File && attributes.mode & 0o004 != 0)
/// }
///
/// block_on(async {
///     let fat = Fat::format(Memory::new(512, 4096)).await?;
///     fat.write(b"motd", 0, b"Welcome").await?;
///     // FAT knows no modes.
///     assert!(is_public(&fat, b"motd").await?);
///     assert_eq!(is_public(&fat, b"secret").await, Err(Error::NotFound));
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Inodes: Tree {
    /// Returns the root.
    ///
    /// # Errors
    /// [`Error::Damaged`], and the disk's.
    fn root(&self) -> impl Future<Output = Result<Self::Node, Error>>;

    /// Finds `name` in a folder. A link is itself.
    ///
    /// # Errors
    /// [`Error::NotFound`], also where `node` is no folder; [`Error::Damaged`]; the disk's.
    fn child(
        &self,
        node: &Self::Node,
        name: &[u8],
    ) -> impl Future<Output = Result<Self::Node, Error>>;

    /// Returns the target of a link.
    ///
    /// # Errors
    /// [`Error::NotFile`] if it is none, [`Error::Damaged`] for a target of more than 4096
    /// bytes, and the disk's.
    fn read_link(&self, node: &Self::Node) -> impl Future<Output = Result<Vec<u8>, Error>>;

    /// Describes an inode.
    ///
    /// # Errors
    /// [`Error::Damaged`], and the disk's.
    fn attributes(&self, node: &Self::Node) -> impl Future<Output = Result<Attributes, Error>>;
}

/// The longest target of a link in bytes, as on Linux (`PATH_MAX`).
const LONGEST: u64 = 4096;

/// Ns in a second.
const SECOND: u64 = 1_000_000_000;

/// Whether a name can be one of a folder.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.iter().any(|it| matches!(it, b'/' | 0))
}

/// Returns the number of a device, as makedev(3) has it.
const fn device(major: u64, minor: u64) -> u64 {
    (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}
