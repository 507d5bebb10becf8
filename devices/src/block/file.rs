//! Uses a file or a block device of Linux as the disk of a process.
//!
//! `XENITH_DISK_xvda=FILE` in the environment makes the file the disk `xvda`; `cargo mk
//! run --on linux --disk NAME=FILE` sets it. Requests are blocking system calls, as most end
//! in the page cache, and a process is for development.

use super::{Block, ErrorKind, Info};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use kernel::Device;
use kernel::args::{self, Args};
use kernel::device::Class;
use kernel::metrics::{Metric, Source};
use kernel::task::yield_now;
use std::fs;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The size of a sector in bytes.
const SECTOR: u32 = 512;

/// Reports why a file cannot be used as a disk.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The environment names no file for the disk.
    Unnamed(String),
    /// The file cannot be opened.
    Unusable(String, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed(variable) => write!(
                f,
                "no file is named for the disk: give --disk NAME=FILE to `cargo mk run`, or set \
                 {variable}=FILE in the environment"
            ),
            Self::Unusable(path, error) => write!(f, "the disk {path} cannot be opened: {error}"),
        }
    }
}

impl core::error::Error for Error {}

/// A file as a disk.
#[derive(Debug)]
pub struct File {
    file: fs::File,
    /// In bytes, when it was opened.
    length: u64,
    read_only: bool,
}

impl File {
    /// Opens the file at `path`. A last sector that is not whole reads as if zeros followed, as QEMU has
    /// it, and writing it makes it whole. While it is open, no other
    /// process writes to it by this, nor reads from it what this one writes.
    ///
    /// # Errors
    /// Those of the operating system, and [`io::ErrorKind::ResourceBusy`].
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let mut file = fs::File::options().read(true).write(!read_only).open(path)?;
        let locked = if read_only { file.try_lock_shared() } else { file.try_lock() };
        // A file system without locks has none to heed.
        if let Err(fs::TryLockError::WouldBlock) = locked {
            let why = "another process uses it, and one of the two may write to it: end that one, or \
                       give each a disk of its own";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        // Block devices have no length of their own, but an end.
        let length = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, length, read_only })
    }
}

/// Returns the offset of a sector in bytes.
const fn offset(sector: u64) -> u64 {
    sector * SECTOR as u64
}

/// Translates an error of the system.
fn failed(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::OutOfMemory => ErrorKind::Exhausted,
        _ => ErrorKind::Failed,
    }
}

impl Block for File {
    type Error = ErrorKind;

    fn info(&self) -> Info {
        Info {
            sector_size: SECTOR,
            sectors: self.length.div_ceil(SECTOR.into()),
            read_only: self.read_only,
            flush: true,
            discard: None,
            generation: 1,
            lost: 0,
        }
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), ErrorKind> {
        yield_now().await;
        self.info().check(sector, to.len())?;
        let (start, mut done) = (offset(sector), 0);
        while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = start + done as u64;
            match self.file.read_at(rest, at) {
                Ok(0) if at >= self.length => {
                    rest.fill(0);
                    break;
                }
                // The file was truncated.
                Ok(0) => return Err(ErrorKind::OutOfRange),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
        yield_now().await;
        if self.read_only {
            return Err(ErrorKind::ReadOnly);
        }
        self.info().check(sector, from.len())?;
        self.file.write_all_at(from, offset(sector)).map_err(|error| failed(&error))
    }

    async fn flush(&self) -> Result<(), ErrorKind> {
        yield_now().await;
        self.file.sync_data().map_err(|error| failed(&error))
    }

    async fn discard(&self, _: u64, _: u64) -> Result<(), ErrorKind> {
        Err(if self.read_only { ErrorKind::ReadOnly } else { ErrorKind::Unsupported })
    }
}

impl Device for File {
    const CLASS: Class = super::CLASS;

    const NEEDS: &'static str = "a file that XENITH_DISK_xvda, or another name, leads to";

    type Settings = ();

    type Error = Error;

    fn configure(_: &mut Args) -> Result<(), args::Error> {
        Ok(())
    }

    async fn open(id: &'static str, (): ()) -> Result<Self, Error> {
        let variable = format!("XENITH_DISK_{}", if id.is_empty() { "xvda" } else { id });
        let path = std::env::var_os(&variable).ok_or_else(|| Error::Unnamed(variable.clone()))?;
        let read_only = std::env::var_os(format!("{variable}_READ_ONLY")).is_some();
        Self::open(Path::new(&path), read_only)
            .map_err(|error| Error::Unusable(path.display().to_string(), error))
    }
}

/// Linux counts for itself.
impl Source for File {
    fn metrics(&self, _: &mut dyn FnMut(Metric)) {}
}

#[cfg(test)]
mod tests {
    use super::super::conformance::check;
    use super::*;
    use kernel::task::block_on;

    #[test]
    fn it_is_a_block_device() {
        let path = std::env::temp_dir().join(format!("xenith-file-{}", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        // Not a whole sector at the end.
        file.set_len((4 << 20) + 100).unwrap();
        let disk = File::open(&path, false).unwrap();
        assert_eq!(disk.info().sectors, 8193);
        // What is there of its last sector is read, and zeros behind it.
        file.write_all_at(&[7; 100], 4 << 20).unwrap();
        let mut last = [9; 1024];
        block_on(disk.read(8191, &mut last)).unwrap();
        assert_eq!((&last[..512], &last[512..612]), (&[0; 512][..], &[7; 100][..]));
        assert_eq!(last[612..], [0; 412]);
        assert_eq!(block_on(disk.read(8193, &mut last)), Err(ErrorKind::OutOfRange));
        assert_eq!(block_on(check(&disk)), Ok(()));
        block_on(disk.write(8192, &[5; 512])).unwrap();
        block_on(disk.read(8191, &mut last)).unwrap();
        assert_eq!(last[512..], [5; 512]);
        for read_only in [false, true] {
            let error = File::open(&path, read_only).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        }
        drop(disk);
        let disk = File::open(&path, true).unwrap();
        assert_eq!(block_on(check(&disk)), Ok(()));
        assert!(File::open(&path, false).is_err());
        let late = File::open(&path, true).unwrap();
        // One that becomes shorter.
        file.set_len(1 << 20).unwrap();
        let late = block_on(late.read(8000, &mut [0; 512]));
        assert_eq!(late, Err(ErrorKind::OutOfRange));
        fs::remove_file(&path).unwrap();
        assert!(File::open(&path, false).is_err());
    }
}
