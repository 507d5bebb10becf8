//! Checks a disk at both ends: what is written there is what is read, also by whoever
//! looks at the image from outside, and beyond the end there is nothing.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use xenith::block::content::{self, Refused};
use xenith::block::{Block, Error, ErrorKind};
use xenith::println;

/// What is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The disk fails.
    Disk(ErrorKind),
    /// The disk holds something.
    Refused(Refused),
    /// The size to write does not fit onto the disk, or is not one of whole sectors.
    Size,
    /// Something else is read than was written, at this byte.
    Content(u64),
    /// What should have failed did not, or in another way.
    Accepted(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Refused(refused) => refused.fmt(f),
            Self::Size => f.write_str("so many bytes are no whole sectors, or not on the disk"),
            Self::Content(at) => write!(f, "byte {at} is not what was written there"),
            Self::Accepted(what) => write!(f, "the disk does not refuse {what}"),
        }
    }
}

fn failed(error: impl Error) -> Failure {
    Failure::Disk(error.kind())
}

/// The `size` bytes from `at` on: a line for every 16 of them, which is its place in
/// decimal digits.
#[must_use]
pub fn content(at: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![b'0'; size];
    for (line, at) in bytes.chunks_mut(16).zip((at..).step_by(16)) {
        let mut rest = at;
        let (digits, end) = line.split_at_mut(line.len().saturating_sub(1));
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        end.fill(b'\n');
    }
    bytes
}

/// Expects that a call fails in this way.
fn refused<E: Error>(
    what: &'static str,
    result: Result<(), E>,
    expected: ErrorKind,
) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == expected => Ok(()),
        _ => Err(Failure::Accepted(what)),
    }
}

/// Whether `piece`, which stands at byte `at`, was written by this app.
fn is_own(at: u64, piece: &[u8]) -> bool {
    let mut sectors = (at..).step_by(512).zip(piece.chunks(512));
    sectors.all(|(at, it)| it.iter().all(|&byte| byte == 0) || it == content(at, it.len()))
}

/// Writes `size` bytes at both ends of the disk, unless it is read-only, reads them
/// back, and tries what must fail. On a disk that holds something else nothing is written
/// without `overwrite`.
///
/// # Errors
/// See [`Failure`].
pub async fn start<B: Block>(disk: B, size: u32, overwrite: bool) -> Result<(), Failure> {
    let info = disk.info();
    let sector = info.sector_size as usize;
    println!(
        "block: {} sectors of {sector} bytes, {}",
        info.sectors,
        if info.read_only { "read-only" } else { "writable" }
    );
    let size = size as usize;
    let count = (size / sector) as u64;
    if size == 0 || !size.is_multiple_of(sector) || count > info.sectors {
        return Err(Failure::Size);
    }
    if !info.read_only {
        content::may_write(&disk, overwrite, is_own).await.map_err(Failure::Refused)?;
    }
    let mut back = vec![0; size];
    let ends = [0, info.sectors - count];
    let mut known = true;
    for first in ends {
        let at = first * sector as u64;
        let written = content(at, size);
        if info.read_only {
            let result = disk.write(first, &written).await;
            refused("to write to what can only be read", result, ErrorKind::ReadOnly)?;
            disk.read(first, &mut back).await.map_err(failed)?;
            known &= back == written;
            continue;
        }
        disk.write(first, &written).await.map_err(failed)?;
        disk.read(first, &mut back).await.map_err(failed)?;
        if let Some(wrong) = back.iter().zip(&written).position(|(a, b)| a != b) {
            return Err(Failure::Content(at + wrong as u64));
        }
    }
    if info.read_only && known {
        println!("block: both ends are as this app writes them");
    }
    if info.flush && !info.read_only {
        disk.flush().await.map_err(failed)?;
    }
    let beyond = disk.read(info.sectors, &mut back[..sector]).await;
    refused("to read beyond its end", beyond, ErrorKind::OutOfRange)?;
    let across = disk.read(info.sectors - count + 1, &mut back).await;
    refused("to read across its end", across, ErrorKind::OutOfRange)?;
    let far = disk.read(u64::MAX, &mut back).await;
    refused("a sector that cannot be", far, ErrorKind::OutOfRange)?;
    let part = disk.read(0, &mut back[..sector - 1]).await;
    refused("a part of a sector", part, ErrorKind::Misaligned)?;
    let none = disk.read(0, &mut []).await;
    refused("to read nothing", none, ErrorKind::Misaligned)?;
    if !info.read_only {
        let beyond = disk.write(info.sectors, &back[..sector]).await;
        refused("to write beyond its end", beyond, ErrorKind::OutOfRange)?;
    }
    println!("block: the disk keeps what it is given");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays() {
        use xenith::block::content::Content;
        use xenith::block::memory::Memory;
        use xenith::fs::fat::Fat;
        use xenith::task::block_on;
        let disk = Memory::new(512, 8192);
        for size in [65536, 512, 4096] {
            assert_eq!(block_on(start(disk.clone(), size, false)), Ok(()), "it is its own");
        }
        let disk = Memory::new(512, 8192);
        block_on(Fat::format(disk.clone())).unwrap();
        let before = disk.bytes();
        let refused = Err(Failure::Refused(Refused::Holds(Content::Known("a FAT file system"))));
        assert_eq!(block_on(start(disk.clone(), 512, false)), refused);
        assert_eq!(disk.bytes(), before);
        assert_eq!(block_on(start(disk.clone(), 512, true)), Ok(()));
    }

    #[test]
    fn content_says_where_it_is() {
        assert_eq!(content(1_234_560, 32), b"000000001234560\n000000001234576\n");
        assert_eq!(content(0, 20).len(), 20);
    }
}
