//! Opens a partition of a disk as a disk.
//!
//! # Example
//! ```
//! # mod xenith { pub use kernel::*; pub use xenith_devices::*; }
//!
//! use xenith::block::memory::Memory;
//! use xenith::block::partition::{Error, Partition};
//! use xenith::block::{Block, ErrorKind};
//! use xenith::task::block_on;
//!
//! // An MBR whose first partition has 64 sectors from sector 32 on.
//! let mut bytes = vec![0; 128 * 512];
//! bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
//! bytes[446 + 4] = 0x83;
//! bytes[446 + 8] = 32;
//! bytes[446 + 12] = 64;
//! let disk = Memory::from_bytes(512, bytes);
//!
//! let partition = block_on(Partition::open(disk.clone(), 1))?;
//! assert_eq!(partition.info().sectors, 64);
//! let beyond = block_on(partition.read(64, &mut [0; 512]));
//! assert_eq!(beyond, Err(ErrorKind::OutOfRange));
//! assert_eq!(block_on(Partition::open(disk, 2)).err(), Some(Error::Missing(2)));
//! # Ok::<(), Error>(())
//! ```
//!
//! Partition tables are GPT, with the backup header at the disk's end if the primary one is
//! damaged or cannot be read, and the four primary partitions of MBR. The crate `gpt_disk_types` has their
//! layouts; all that they say is checked here.

use super::{Block, Discard, Error as _, ErrorKind, Info};
use alloc::vec::Vec;
use bytemuck::pod_read_unaligned;
use core::fmt;
use gpt_disk_types::{
    BlockSize, Crc32, GptHeader, GptPartitionEntryArray, MasterBootRecord, MbrPartitionRecord,
};

/// The most entries of a GPT that are accepted: eight times the usual number.
const MOST: u32 = 1024;

/// The largest entry of a GPT that is accepted, in bytes; the usual size is 128.
const LARGEST: u32 = 4096;

/// The types of the protective MBR's partition, which covers a GPT, and of extended
/// partitions.
const PROTECTIVE: u8 = 0xEE;
const EXTENDED: [u8; 3] = [0x05, 0x0F, 0x85];

/// Reports why a partition cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The disk has no partition table.
    NoTable,
    /// The table has no partition of this number.
    Missing(u32),
    /// Both copies of the table are damaged, or an entry reaches beyond the disk.
    Damaged,
    /// The disk cannot be read.
    Disk(ErrorKind),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => f.write_str("the disk has no partition table"),
            Self::Missing(number) => write!(f, "the disk has no partition {number}"),
            Self::Damaged => f.write_str("the partition table is damaged"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

/// A range of sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u64,
    count: u64,
}

impl Range {
    /// Returns the sectors from `first` to `last`, if they are within the disk.
    fn new(first: u64, last: u64, sectors: u64) -> Result<Self, Error> {
        let fits = first > 0 && first <= last && last < sectors;
        if fits { Ok(Self { first, count: last - first + 1 }) } else { Err(Error::Damaged) }
    }
}

/// A partition of the disk `B`.
#[derive(Clone, Debug)]
pub struct Partition<B> {
    disk: B,
    range: Range,
    sector_size: u32,
}

impl<B: Block> Partition<B> {
    /// Opens partition `number` of `disk`, counted from 1.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(disk: B, number: u32) -> Result<Self, Error> {
        let Info { sector_size, sectors, .. } = disk.info();
        let sector = read(&disk, 0, 1).await?;
        // The table is in the first 512 bytes of sectors of any size.
        let mbr: MasterBootRecord = pod_read_unaligned(&sector[..size_of::<MasterBootRecord>()]);
        if mbr.signature != [0x55, 0xAA] {
            return Err(Error::NoTable);
        }
        let range = if mbr.partitions.iter().any(|it| it.os_indicator == PROTECTIVE) {
            match gpt(&disk, 1, number).await {
                Err(error @ (Error::Damaged | Error::NoTable | Error::Disk(_))) => {
                    match (gpt(&disk, sectors.saturating_sub(1), number).await, error) {
                        // The first one may be whole.
                        (Err(Error::Damaged | Error::NoTable), Error::Disk(_)) => {
                            return Err(error);
                        }
                        (range, _) => range?,
                    }
                }
                range => range?,
            }
        } else {
            primary(&mbr.partitions, number, sectors)?
        };
        Ok(Self { disk, range, sector_size })
    }
}

/// Finds the sectors of a primary partition of an MBR.
fn primary(all: &[MbrPartitionRecord; 4], number: u32, sectors: u64) -> Result<Range, Error> {
    // The boot sector of a file system has the same signature.
    if all.iter().any(|it| it.boot_indicator & 0x7F != 0) {
        return Err(Error::NoTable);
    }
    let missing = Error::Missing(number);
    let index = (number as usize).checked_sub(1).ok_or(missing)?;
    let entry = all.get(index).ok_or(missing)?;
    let (first, count) = (entry.starting_lba.to_u32(), entry.size_in_lba.to_u32());
    if entry.os_indicator == 0 || count == 0 || EXTENDED.contains(&entry.os_indicator) {
        return Err(missing);
    }
    Range::new(first.into(), u64::from(first) + u64::from(count) - 1, sectors)
}

/// Finds the sectors of a partition of the GPT whose header is at sector `at`.
async fn gpt(disk: &impl Block, at: u64, number: u32) -> Result<Range, Error> {
    let Info { sector_size, sectors, .. } = disk.info();
    let sector = read(disk, at, 1).await?;
    let header: GptHeader = pod_read_unaligned(&sector[..size_of::<GptHeader>()]);
    if !header.is_signature_valid() {
        return Err(Error::NoTable);
    }
    let length = header.header_size.to_u32();
    let is_right = length <= sector_size
        && checksum(&sector, length) == Some(header.header_crc32)
        && header.my_lba.to_u64() == at;
    let layout = header.get_partition_entry_array_layout().map_err(|_| Error::Damaged)?;
    if !is_right || layout.num_entries > MOST || layout.entry_size.to_u32() > LARGEST {
        return Err(Error::Damaged);
    }
    let size = BlockSize::new(sector_size).ok_or(Error::Damaged)?;
    let count = layout.num_blocks(size).filter(|count| *count > 0).ok_or(Error::Damaged)?;
    let mut bytes = read(disk, layout.start_lba.to_u64(), count).await?;
    let array =
        GptPartitionEntryArray::new(layout, size, &mut bytes).map_err(|_| Error::Damaged)?;
    if array.calculate_crc32() != header.partition_entry_array_crc32 {
        return Err(Error::Damaged);
    }
    let entry = number.checked_sub(1).and_then(|index| array.get_partition_entry(index));
    let entry = entry.filter(|entry| entry.is_used()).ok_or(Error::Missing(number))?;
    Range::new(entry.starting_lba.to_u64(), entry.ending_lba.to_u64(), sectors)
}

/// Returns the checksum of a header, with the checksum field itself taken as zero.
fn checksum(sector: &[u8], length: u32) -> Option<Crc32> {
    let header = sector.get(..length as usize)?;
    let (before, after) = (header.get(..16)?, header.get(20..)?);
    let crc = crc::Crc::<u32>::new(&Crc32::ALGORITHM);
    let mut digest = crc.digest();
    [before, &[0; 4], after].into_iter().for_each(|part| digest.update(part));
    Some(Crc32(gpt_disk_types::U32Le(digest.finalize().to_le_bytes())))
}

/// Reads `count` sectors, the number of which was checked.
async fn read<B: Block>(disk: &B, sector: u64, count: u64) -> Result<Vec<u8>, Error> {
    let Info { sector_size, sectors, .. } = disk.info();
    // A disk that is too short has no table, or a damaged one.
    if sector.checked_add(count).is_none_or(|end| end > sectors) {
        return Err(if sector <= 1 { Error::NoTable } else { Error::Damaged });
    }
    let length = count as usize * sector_size as usize;
    let Some(mut bytes) = kernel::memory::zeroed(length) else {
        return Err(Error::Disk(ErrorKind::Exhausted));
    };
    match disk.read(sector, &mut bytes).await {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Error::Disk(error.kind())),
    }
}

impl<B: Block> Block for Partition<B> {
    type Error = B::Error;

    fn info(&self) -> Info {
        let info = self.disk.info();
        let Range { first, count } = self.range;
        // A disk that shrank, or whose sector size changed, takes the partition with it.
        let there = if info.sector_size == self.sector_size { info.sectors } else { 0 };
        let discard = info.discard.and_then(|Discard { granularity, alignment }| {
            let offset = first.checked_rem(granularity)?;
            let alignment = (alignment % granularity + granularity - offset) % granularity;
            Some(Discard { granularity, alignment })
        });
        Info { sectors: there.saturating_sub(first).min(count), discard, ..info }
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), B::Error> {
        self.disk.read(self.translate(sector, to.len()), to).await
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), B::Error> {
        self.disk.write(self.translate(sector, from.len()), from).await
    }

    async fn flush(&self) -> Result<(), B::Error> {
        self.disk.flush().await
    }

    async fn discard(&self, sector: u64, count: u64) -> Result<(), B::Error> {
        let within = self.info().check_range(sector, count).is_ok();
        let start = if within { self.range.first + sector } else { u64::MAX };
        self.disk.discard(start, count).await
    }
}

impl<B: Block> Partition<B> {
    /// Translates `sector` to a sector of the disk. A request beyond the end of the partition
    /// is moved beyond that of the disk, so that the disk refuses it.
    fn translate(&self, sector: u64, length: usize) -> u64 {
        match self.info().check(sector, length) {
            Err(ErrorKind::OutOfRange) => u64::MAX,
            _ => self.range.first.saturating_add(sector),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::conformance::check;
    use crate::block::memory::Memory;
    use core::sync::atomic::{AtomicU32, Ordering};
    use kernel::task::block_on;
    use std::process::Command;
    use std::vec;

    /// A disk that Linux's `sfdisk` has parted as `script` says.
    fn parted(script: &str) -> Memory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = std::format!("xenith-parted-{}-{number}", std::process::id());
        let image = std::env::temp_dir().join(name);
        std::fs::write(&image, vec![0; 8 << 20]).unwrap();
        let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
        let mut sfdisk = Command::new("sh");
        sfdisk.env("PATH", path).env("SCRIPT", script).env("IMAGE", &image);
        let output = sfdisk.args(["-c", "printf \"$SCRIPT\" | sfdisk -q \"$IMAGE\""]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "apt install fdisk: {output:?}");
        let bytes = std::fs::read(&image).unwrap();
        std::fs::remove_file(image).unwrap();
        Memory::from_bytes(512, bytes)
    }

    fn open(disk: &Memory, number: u32) -> Result<Partition<Memory>, Error> {
        block_on(Partition::open(disk.clone(), number))
    }

    /// The same with bytes changed.
    fn with(disk: &Memory, change: impl FnOnce(&mut [u8])) -> Memory {
        let mut bytes = disk.bytes();
        change(&mut bytes);
        Memory::from_bytes(512, bytes)
    }

    const GPT: &str = "label: gpt\\nstart=2048,size=100\\nstart=4096,size=8192\\n";
    const MBR: &str = "label: dos\\nstart=2048,size=100,type=c\\nstart=4096,size=8192\\n";

    #[test]
    fn partitions_of_linux_are_disks_and_keep_to_themselves() {
        for script in [GPT, MBR] {
            let disk = parted(script);
            let whole = disk.bytes();
            let partition = open(&disk, 2).unwrap();
            assert_eq!(partition.info().sectors, 8192);
            assert_eq!(block_on(check(&partition)), Ok(()));
            let after = disk.bytes();
            let range = 4096 * 512..12288 * 512;
            assert!(whole[..range.start] == after[..range.start], "{script}");
            assert!(whole[range.end..] == after[range.end..], "{script}");
            assert!(whole[range.clone()] != after[range], "{script}");
            let first = open(&disk, 1).unwrap();
            assert_eq!(first.info().sectors, 100);
            let beyond = block_on(first.read(99, &mut [0; 1024]));
            assert_eq!(beyond, Err(ErrorKind::OutOfRange));
            assert_eq!(block_on(first.discard(96, 8)), Err(ErrorKind::OutOfRange));
            for missing in [0, 3, 129, u32::MAX] {
                assert_eq!(open(&disk, missing).map(drop), Err(Error::Missing(missing)));
            }
        }
    }

    #[test]
    fn the_second_table_is_used_when_the_first_is_damaged() {
        let disk = parted(GPT);
        for damaged in [512, 512 + 16, 512 + 24, 1024 + 40] {
            let disk = with(&disk, |bytes| bytes[damaged] ^= 1);
            assert_eq!(open(&disk, 2).map(|it| it.range), Ok(Range { first: 4096, count: 8192 }));
            let both = with(&disk, |bytes| bytes[(16383 * 512) + 90] ^= 1);
            assert_eq!(open(&both, 2).map(drop), Err(Error::Damaged));
        }
    }

    /// A disk of which the first sectors behind the MBR, and perhaps the last one, cannot be read.
    struct Worn(Memory, bool);

    impl Block for Worn {
        type Error = ErrorKind;

        fn info(&self) -> Info {
            self.0.info()
        }

        async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), ErrorKind> {
            let is_last = self.1 && sector == self.info().sectors - 1;
            if is_last || (1..34).contains(&sector) {
                return Err(ErrorKind::Failed);
            }
            self.0.read(sector, to).await
        }

        async fn write(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
            self.0.write(sector, from).await
        }

        async fn flush(&self) -> Result<(), ErrorKind> {
            self.0.flush().await
        }

        async fn discard(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
            self.0.discard(sector, count).await
        }
    }

    #[test]
    fn the_second_table_is_used_when_the_first_cannot_be_read() {
        let disk = parted(GPT);
        let opened = |disk, last| block_on(Partition::open(Worn(disk, last), 2));
        let range = Range { first: 4096, count: 8192 };
        assert_eq!(opened(disk.clone(), false).map(|it| it.range), Ok(range));
        let failed = Some(Error::Disk(ErrorKind::Failed));
        assert_eq!(opened(disk.clone(), true).err(), failed);
        let damaged = with(&disk, |bytes| bytes[(16383 * 512) + 90] ^= 1);
        assert_eq!(opened(damaged, false).err(), failed, "the first one may be whole");
    }

    #[test]
    fn what_is_no_table_or_leads_out_of_the_disk_is_told() {
        assert_eq!(open(&Memory::new(512, 64), 1).map(drop), Err(Error::NoTable));
        assert_eq!(open(&Memory::new(512, 0), 1).map(drop), Err(Error::NoTable));
        let disk = parted(MBR);
        let far = with(&disk, |bytes| bytes[446 + 12..446 + 16].fill(0xFF));
        assert_eq!(open(&far, 1).map(drop), Err(Error::Damaged));
        let file_system = with(&disk, |bytes| bytes[446] = 0x12);
        assert_eq!(open(&file_system, 1).map(drop), Err(Error::NoTable));
        // The disk became shorter than its table says.
        let short = Memory::from_bytes(512, disk.bytes()[..8192 * 512].to_vec());
        assert_eq!(open(&short, 2).map(drop), Err(Error::Damaged));
    }
}
