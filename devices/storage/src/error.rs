//! Defines the error of files and keys.

use core::fmt;
use devices::block;

/// Tells why an operation on files or keys failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No file, folder or key has this name.
    NotFound,
    /// It is not a file.
    NotFile,
    /// It is not a folder.
    NotFolder,
    /// A file or folder of this name exists.
    Exists,
    /// The folder is not empty.
    NotEmpty,
    /// The path leads out of the tree, or is invalid in this format.
    BadPath,
    /// The key, value or batch is longer than the format allows.
    TooLong,
    /// The disk is full.
    Full,
    /// The folder has no room for another name.
    FolderFull,
    /// The operation needs more memory than it may use.
    NoMemory,
    /// The store has more keys than its index may hold in memory.
    TooManyKeys,
    /// The disk is read-only.
    ReadOnly,
    /// The disk holds another format.
    OtherFormat,
    /// The data on the disk are inconsistent, or fail their checksum.
    Damaged,
    /// The disk is smaller than its file system or store.
    Shrunk,
    /// The format uses a feature that is not supported.
    Unsupported,
    /// A request to the disk failed.
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
            Self::BadPath => "the path is invalid",
            Self::TooLong => "it is longer than the format allows",
            Self::Full => "the disk is full: delete something or use a larger one",
            Self::FolderFull => "the folder has no room for another name",
            Self::NoMemory => "the disk needs more memory than is free: give the guest more",
            Self::TooManyKeys => {
                "the store has more keys than its index may hold: delete some or give the index \
                 more memory"
            }
            Self::ReadOnly => "the disk is read-only",
            Self::OtherFormat => "the disk holds another format",
            Self::Damaged => "the data on the disk are damaged",
            Self::Shrunk => "the disk is smaller than what is on it",
            Self::Unsupported => "what is on the disk uses a feature that is not supported",
            Self::Disk(kind) => return kind.fmt(f),
        })
    }
}

impl core::error::Error for Error {}
