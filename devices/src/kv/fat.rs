//! FAT12, FAT16 and FAT32 with long names: what any machine mounts.
//!
//! The crate `axfatfs` is rust-fatfs as it goes on for kernels: without the standard
//! library, without `unsafe`, but synchronous, so it is run again until what it reads
//! is in memory. (`fatfs` needs a dead crate for that, `embedded-fatfs` is a
//! placeholder, `hadris-fat` has much `unsafe`.)
//!
//! FAT has no way to survive a loss of power in the middle of a change: `fsck.fat` can
//! mend it. For what must not be lost there is [`keys`](super::keys).

use super::replay::{Lines, Replay, Stopped};
use super::{Error, Files, Kind, Metadata, Tree, path};
use crate::block::Block;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use axfatfs::{
    Date, DateTime, Dir, FatType, FileSystem, FormatVolumeOptions, FsOptions, IoBase, IoError,
    LossyOemCpConverter, Read, Seek, SeekFrom, Time, TimeProvider, Write,
};

/// Bytes that one step may read and write.
const BUDGET: u64 = 64 << 20;

/// Bytes of a file that one step writes.
const PIECE: usize = 64 * 1024;

/// A file system on the disk `B`.
#[derive(Debug)]
pub struct Fat<B>(Replay<B>);

/// A file or folder.
#[derive(Clone, Debug)]
pub struct Node {
    path: Rc<str>,
    metadata: Metadata,
}

/// The disk, as the crate uses it.
#[derive(Debug)]
struct Device {
    lines: Rc<Lines>,
    at: u64,
}

impl IoError for Stopped {
    fn is_interrupted(&self) -> bool {
        false
    }

    fn new_unexpected_eof_error() -> Self {
        Self
    }

    fn new_write_zero_error() -> Self {
        Self
    }
}

impl IoBase for Device {
    type Error = Stopped;
}

impl Read for Device {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, Stopped> {
        self.lines.read(self.at, to)?;
        self.at += to.len() as u64;
        Ok(to.len())
    }
}

impl Write for Device {
    fn write(&mut self, from: &[u8]) -> Result<usize, Stopped> {
        self.lines.write(self.at, from)?;
        self.at += from.len() as u64;
        Ok(from.len())
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        Ok(())
    }
}

impl Seek for Device {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Stopped> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.lines.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(Stopped)?;
        Ok(self.at)
    }
}

/// The wall clock, as far as FAT knows it: from 1980 to 2107.
#[derive(Clone, Copy, Debug)]
struct Clock;

/// The first second of 1980, and the last of 2107, since 1970.
const YEARS: (u64, u64) = (315_532_800, 4_354_819_199);

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        let now = kernel::time::wall_clock().as_secs().clamp(YEARS.0, YEARS.1);
        let (year, month, day) = crate::http::civil(now / 86400);
        let second = now % 86400;
        let part = |number: u64| number as u16;
        let time = Time::new(part(second / 3600), part(second / 60 % 60), part(second % 60), 0);
        DateTime::new(Date::new(part(year), part(month), part(day)), time)
    }
}

/// The seconds since 1970 that a file's date stands for.
fn seconds(date: DateTime) -> u64 {
    let (year, month) = (u64::from(date.date.year), u64::from(date.date.month.clamp(1, 12)));
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = u64::from(month > 2 && year % 4 == 0 && year != 2100);
    let years = year - 1970;
    // Of the years up to 2107, 2000 is a leap year and 2100 is none.
    let leaps = (year - 1969) / 4 - u64::from(year > 2100);
    let days = years * 365 + leaps + before[month as usize - 1] + leap;
    let days = days + u64::from(date.date.day.max(1)) - 1;
    let time = date.time;
    days * 86400 + u64::from(time.hour) * 3600 + u64::from(time.min) * 60 + u64::from(time.sec)
}

type Volume = FileSystem<Device, Clock, LossyOemCpConverter>;
type Folder<'a> = Dir<'a, Device, Clock, LossyOemCpConverter>;

fn error(error: axfatfs::Error<Stopped>) -> Error {
    use axfatfs::Error as Fat;
    match error {
        Fat::NotFound => Error::NotFound,
        Fat::AlreadyExists => Error::Exists,
        Fat::DirectoryIsNotEmpty => Error::NotEmpty,
        Fat::NotEnoughSpace => Error::Full,
        Fat::InvalidFileNameLength | Fat::UnsupportedFileNameCharacter => Error::BadPath,
        // What it is asked for is of the other kind.
        Fat::InvalidInput => Error::NotFile,
        // What is missing is fetched; what remains is what leads out of the disk.
        _ => Error::Damaged,
    }
}

fn mount(lines: &Rc<Lines>) -> Result<Volume, Error> {
    let options = FsOptions::new().time_provider(Clock);
    FileSystem::new(Device { lines: lines.clone(), at: 0 }, options).map_err(error)
}

/// The path as the crate takes it: plain text.
fn text(path: &[u8]) -> Result<String, Error> {
    String::from_utf8(path::normal(path)?).map_err(|_| Error::BadPath)
}

/// The folder at `path`.
fn folder<'a>(volume: &'a Volume, path: &str) -> Result<Folder<'a>, Error> {
    if path.is_empty() {
        return Ok(volume.root_dir());
    }
    volume.root_dir().open_dir(path).map_err(|wrong| match error(wrong) {
        Error::NotFile => Error::NotFolder,
        error => error,
    })
}

/// What is at `path`, which is not the root.
fn find(volume: &Volume, path: &str) -> Result<Metadata, Error> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = folder(volume, parent).map_err(|error| match error {
        Error::NotFolder => Error::NotFound,
        error => error,
    })?;
    for entry in parent.iter() {
        let entry = entry.map_err(error)?;
        let long = entry.file_name();
        if long.eq_ignore_ascii_case(name) || entry.short_file_name().eq_ignore_ascii_case(name) {
            return Ok(metadata(&entry, path));
        }
    }
    Err(Error::NotFound)
}

fn metadata(
    entry: &axfatfs::DirEntry<'_, Device, Clock, LossyOemCpConverter>,
    path: &str,
) -> Metadata {
    let kind = if entry.is_dir() { Kind::Folder } else { Kind::File };
    let size = if kind == Kind::File { entry.len() } else { 0 };
    Metadata { kind, size, modified: seconds(entry.modified()), id: path::id(path.as_bytes()) }
}

impl<B: Block> Fat<B> {
    /// Opens the file system on `disk`.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Damaged`], and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        let replay = Replay::new(disk);
        let there = |lines: &Rc<Lines>| {
            let (mut jump, mut end) = ([0; 3], [0; 2]);
            let read = lines.read(0, &mut jump).and_then(|()| lines.read(510, &mut end));
            Ok(read.is_ok() && matches!(jump, [0xeb, _, 0x90] | [0xe9, ..]) && end == [0x55, 0xaa])
        };
        if !replay.run(BUDGET, there).await? {
            return Err(Error::OtherFormat);
        }
        replay.run(BUDGET, |lines| mount(lines).map(|_| ())).await?;
        Ok(Self(replay))
    }

    /// Makes an empty file system on `disk`, of up to about 1 GiB: for a larger one,
    /// the tables that are written at once are too long. What it held is lost.
    ///
    /// # Errors
    /// [`Error::Full`] if it is too small, [`Error::NoMemory`] if it is too large,
    /// [`Error::ReadOnly`], and the disk's.
    pub async fn format(disk: B) -> Result<Self, Error> {
        let (info, replay) = (disk.info(), Replay::new(disk));
        if info.read_only {
            return Err(Error::ReadOnly);
        }
        let sectors = u32::try_from(info.sectors).map_err(|_| Error::NoMemory)?;
        if info.sectors * u64::from(info.sector_size) < 64 * 1024 {
            return Err(Error::Full);
        }
        let format = |lines: &Rc<Lines>| {
            let options = FormatVolumeOptions::new()
                .bytes_per_sector(info.sector_size as u16)
                .total_sectors(sectors);
            let mut device = Device { lines: lines.clone(), at: 0 };
            axfatfs::format_volume(&mut device, options).map_err(error)
        };
        replay.run(BUDGET, format).await?;
        Ok(Self(replay))
    }

    /// Whether the file system is FAT12, FAT16 or FAT32: the number.
    ///
    /// # Errors
    /// The disk's.
    pub async fn bits(&self) -> Result<u32, Error> {
        let bits = |lines: &Rc<Lines>| {
            Ok(match mount(lines)?.fat_type() {
                FatType::Fat12 => 12,
                FatType::Fat16 => 16,
                FatType::Fat32 => 32,
            })
        };
        self.0.run(BUDGET, bits).await
    }

    /// Changes something.
    async fn change<T>(
        &self,
        mut change: impl FnMut(&Volume) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.0.disk().info().read_only {
            return Err(Error::ReadOnly);
        }
        self.0
            .run(BUDGET, |lines| {
                let volume = mount(lines)?;
                let done = change(&volume)?;
                volume.unmount().map_err(error)?;
                Ok(done)
            })
            .await
    }
}

impl<B: Block> Tree for Fat<B> {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let path = text(path)?;
        let look = |lines: &Rc<Lines>| {
            let volume = mount(lines)?;
            if path.is_empty() {
                return Ok(Metadata {
                    kind: Kind::Folder,
                    size: 0,
                    modified: 0,
                    id: path::id(b""),
                });
            }
            find(&volume, &path)
        };
        let metadata = self.0.run(BUDGET, look).await?;
        Ok(Node { path: path.into(), metadata })
    }

    fn metadata(&self, node: &Node) -> Metadata {
        node.metadata
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        if node.metadata.kind != Kind::File {
            return Err(Error::NotFile);
        }
        if offset >= node.metadata.size {
            return Ok(0);
        }
        let read = |lines: &Rc<Lines>| {
            let volume = mount(lines)?;
            let mut file = volume.root_dir().open_file(&node.path).map_err(error)?;
            file.seek(SeekFrom::Start(offset)).map_err(error)?;
            let mut read = 0;
            while let Some(rest) = to.get_mut(read..).filter(|rest| !rest.is_empty()) {
                match file.read(rest).map_err(error)? {
                    0 => break,
                    count => read += count,
                }
            }
            Ok(read)
        };
        self.0.run(BUDGET, read).await
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        if node.metadata.kind != Kind::Folder {
            return Err(Error::NotFolder);
        }
        let list = |lines: &Rc<Lines>| {
            let volume = mount(lines)?;
            let mut names: Vec<(String, Metadata)> = Vec::new();
            for entry in folder(&volume, &node.path)?.iter() {
                let entry = entry.map_err(error)?;
                let name = entry.file_name();
                if name == "." || name == ".." {
                    continue;
                }
                let slash = if node.path.is_empty() { "" } else { "/" };
                let metadata = metadata(&entry, &[&*node.path, slash, &name].concat());
                names.push((name, metadata));
            }
            Ok(names)
        };
        let names = self.0.run(BUDGET, list).await?;
        names.iter().for_each(|(name, metadata)| each(name.as_bytes(), *metadata));
        Ok(())
    }
}

impl<B: Block> Files for Fat<B> {
    async fn write(&self, path: &[u8], offset: u64, from: &[u8]) -> Result<(), Error> {
        let path = text(path)?;
        let mut at = offset;
        let mut pieces = from.chunks(PIECE);
        // Nothing to write makes an empty file.
        let mut piece = Some(pieces.next().unwrap_or_default());
        while let Some(bytes) = piece {
            self.change(|volume| {
                let mut file = volume.root_dir().create_file(&path).map_err(error)?;
                let size = file.seek(SeekFrom::End(0)).map_err(error)?;
                if at > size {
                    return Err(Error::Unsupported);
                }
                file.seek(SeekFrom::Start(at)).map_err(error)?;
                file.write_all(bytes).map_err(error)?;
                file.flush().map_err(error)
            })
            .await?;
            at += bytes.len() as u64;
            piece = pieces.next();
        }
        Ok(())
    }

    async fn truncate(&self, path: &[u8], size: u64) -> Result<(), Error> {
        let path = text(path)?;
        self.change(|volume| {
            let mut file = volume.root_dir().open_file(&path).map_err(error)?;
            if size > file.seek(SeekFrom::End(0)).map_err(error)? {
                return Err(Error::Unsupported);
            }
            file.seek(SeekFrom::Start(size)).map_err(error)?;
            file.truncate().map_err(error)?;
            file.flush().map_err(error)
        })
        .await
    }

    async fn create_folder(&self, path: &[u8]) -> Result<(), Error> {
        let path = text(path)?;
        self.change(|volume| match find(volume, &path) {
            Ok(_) => Err(Error::Exists),
            Err(Error::NotFound) => volume.root_dir().create_dir(&path).map(|_| ()).map_err(error),
            Err(error) => Err(error),
        })
        .await
    }

    async fn remove(&self, path: &[u8]) -> Result<(), Error> {
        let path = text(path)?;
        self.change(|volume| volume.root_dir().remove(&path).map_err(error)).await
    }

    async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let (from, to) = (text(from)?, text(to)?);
        // A folder in itself would be lost to all.
        if to.strip_prefix(&from).is_some_and(|rest| rest.starts_with('/')) {
            return Err(Error::BadPath);
        }
        self.change(|volume| {
            let root = volume.root_dir();
            root.rename(&from, &root, &to).map_err(error)
        })
        .await
    }

    async fn sync(&self) -> Result<(), Error> {
        self.0.disk().flush().await.map_err(Error::of_disk)
    }
}
