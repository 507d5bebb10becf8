//! Why something could not be read or done.

use core::fmt;
use devices::block;

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
