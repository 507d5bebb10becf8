//! Detects what a disk holds, before it is overwritten.
//!
//! An app that overwrites a disk as a whole asks [`may_write`] first: it may if the disk is
//! blank, holds only what the app wrote earlier, or the user says so.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::block::content::{Content, Refused, may_write};
//! use xenith::block::memory::Memory;
//! use xenith::task::block_on;
//!
//! /// Only what begins like this is the app's own.
//! fn is_own(_: u64, piece: &[u8]) -> bool {
//!     piece.starts_with(b"MY APP")
//! }
//!
//! let blank = Memory::new(512, 2048);
//! assert_eq!(block_on(may_write(&blank, false, is_own)), Ok(()));
//!
//! let mut archive = vec![0; 1 << 20];
//! archive[257..262].copy_from_slice(b"ustar");
//! let archive = Memory::from_bytes(512, archive);
//! let refused = block_on(may_write(&archive, false, is_own));
//! assert_eq!(refused, Err(Refused::Holds(Content::Known("a tar archive"))));
//! assert_eq!(block_on(may_write(&archive, true, is_own)), Ok(()), "the user said so");
//! ```

use super::signs::{RAID, SIGNS, Sign};
use super::{Block, Error, ErrorKind};
use alloc::vec::Vec;
use core::fmt;

/// Bytes that are examined at either end: formats have their signatures there.
const END: u64 = 1 << 20;

/// The size in bytes of a piece that the caller is asked about.
pub const PIECE: usize = 4096;

/// The size of a read in bytes: all signatures at a disk's start are within the first.
const READ: usize = 128 * 1024;

/// Names the content of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Both ends are zeroed.
    Blank,
    /// A known format, such as `a FAT file system`.
    Known(&'static str),
    /// Data in no known format.
    Unknown,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "nothing",
            Self::Known(name) => name,
            Self::Unknown => "data in an unknown format",
        })
    }
}

/// Reports why a disk is not overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The disk holds data.
    Holds(Content),
    /// The disk cannot be read.
    Disk(ErrorKind),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds(content) => write!(
                f,
                "the disk holds {content}, which would be lost: give an empty disk, or say \
                 overwrite=yes"
            ),
            Self::Disk(kind) => kind.fmt(f),
        }
    }
}

impl core::error::Error for Refused {}

/// Checks that `disk` may be overwritten: `overwrite` is set, or both of its ends, 1 MiB
/// each, hold only zeros and data that `is_own` accepts. It is called for each piece of
/// [`PIECE`] bytes (fewer at the end) that is not all zero, with its offset in bytes.
///
/// # Errors
/// [`Refused`].
pub async fn may_write<B: Block>(
    disk: &B,
    overwrite: bool,
    is_own: impl Fn(u64, &[u8]) -> bool,
) -> Result<(), Refused> {
    if overwrite {
        return Ok(());
    }
    match find(disk, is_own).await {
        Ok(Content::Blank) => Ok(()),
        Ok(content) => Err(Refused::Holds(content)),
        Err(error) => Err(Refused::Disk(error.kind())),
    }
}

/// Detects what `disk` holds besides data that `is_own` accepts, as [`may_write`] does.
///
/// # Errors
/// Those of [`Block::read`].
pub async fn find<B: Block>(
    disk: &B,
    is_own: impl Fn(u64, &[u8]) -> bool,
) -> Result<Content, B::Error> {
    let info = disk.info();
    let size = u64::from(info.sector_size);
    let bytes = info.sectors.saturating_mul(size);
    let most = END.min(bytes);
    // Where both ends overlap, nothing is examined twice.
    let tail = (bytes - most).max(most) / PIECE as u64 * PIECE as u64;
    let mut unknown = false;
    for (mut at, end) in [(0, most), (tail.max(most), bytes)] {
        while at < end {
            let length = (end - at).min(READ as u64) / size * size;
            if length == 0 {
                break;
            }
            let mut read: Vec<u8> = alloc::vec![0; length as usize];
            disk.read(at / size, &mut read).await?;
            let mut dirty = false;
            for (offset, piece) in (at..).step_by(PIECE).zip(read.chunks_mut(PIECE)) {
                if piece.iter().all(|&byte| byte == 0) {
                } else if is_own(offset, piece) {
                    piece.fill(0);
                } else {
                    dirty = true;
                }
            }
            if dirty {
                let name = if at == 0 { at_beginning(&read) } else { at_end(&read) };
                if let Some(name) = name {
                    return Ok(Content::Known(name));
                }
                unknown = true;
            }
            at += length;
        }
    }
    Ok(if unknown { Content::Unknown } else { Content::Blank })
}

/// Finds the signature of a format at the disk's beginning.
fn at_beginning(bytes: &[u8]) -> Option<&'static str> {
    let has = |&&(at, sign, _): &&Sign| bytes.get(at..).is_some_and(|it| it.starts_with(sign));
    SIGNS.iter().find(has).map(|&(_, _, name)| name)
}

/// Finds a signature in the last sectors: a backup GPT, or a RAID's superblock.
fn at_end(bytes: &[u8]) -> Option<&'static str> {
    let mut sectors = bytes.chunks(512);
    sectors.find_map(|sector| match sector {
        [b'E', b'F', b'I', b' ', b'P', b'A', b'R', b'T', ..] => Some("a partition table (GPT)"),
        _ if sector.starts_with(RAID) => Some("a member of a RAID"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;
    use alloc::vec;
    use kernel::task::block_on;

    fn of(size: u32, bytes: Vec<u8>) -> Content {
        block_on(find(&Memory::from_bytes(size, bytes), |_, _| false)).unwrap()
    }

    #[test]
    fn both_ends_are_looked_at() {
        for size in [512, 4096] {
            for length in [0, 4096, 1 << 20, (1 << 20) + 4096, (2 << 20) - 4096, 5 << 20] {
                assert_eq!(of(size, vec![0; length]), Content::Blank, "{length}");
                for at in [0, 4095, END as usize - 1, length.saturating_sub(END as usize)] {
                    for at in [at, length.saturating_sub(at + 1)] {
                        let mut bytes = vec![0; length];
                        let Some(byte) = bytes.get_mut(at) else { continue };
                        *byte = 1;
                        assert_eq!(of(size, bytes), Content::Unknown, "{at} of {length}");
                    }
                }
            }
        }
        let mut middle = vec![0; 5 << 20];
        middle[5 << 19] = 1;
        assert_eq!(of(512, middle), Content::Blank);
    }

    #[test]
    fn formats_have_their_names() {
        for &(at, sign, name) in SIGNS {
            let mut bytes = vec![0; 3 << 20];
            bytes[at..at + sign.len()].copy_from_slice(sign);
            assert_eq!(of(512, bytes), Content::Known(name));
        }
        let mut bytes = vec![0; 3 << 20];
        bytes[(3 << 20) - 512..][..8].copy_from_slice(b"EFI PART");
        assert_eq!(of(512, bytes), Content::Known("a partition table (GPT)"));
    }

    #[test]
    fn what_is_the_apps_is_no_matter() {
        let mut bytes = vec![0; 3 << 20];
        bytes[8192..8200].fill(7);
        let disk = Memory::from_bytes(512, bytes);
        let own = |at, piece: &[u8]| at == 8192 && piece[..8] == [7; 8] && piece.len() == PIECE;
        assert_eq!(block_on(may_write(&disk, false, own)), Ok(()));
        let refused = block_on(may_write(&disk, false, |_, _| false));
        assert_eq!(refused, Err(Refused::Holds(Content::Unknown)));
        assert_eq!(block_on(may_write(&disk, true, |_, _| false)), Ok(()));
    }
}
