//! Reads and writes bytes of a block device at any offset.

use super::Error;
use alloc::vec;
use devices::block::Block;

impl Error {
    /// Wraps an error of the disk.
    pub(super) fn of_disk<E: devices::block::Error>(error: E) -> Self {
        Self::Disk(error.kind())
    }
}

/// Returns the size of `disk` in bytes.
pub(super) fn size<B: Block>(disk: &B) -> u64 {
    let info = disk.info();
    info.sectors.saturating_mul(u64::from(info.sector_size))
}

/// Reads all of `to` from byte `offset` on.
///
/// # Errors
/// [`Error::Damaged`] beyond the end of the disk, as the offset comes from the disk.
pub(super) async fn read<B: Block>(disk: &B, offset: u64, to: &mut [u8]) -> Result<(), Error> {
    let end = offset.checked_add(to.len() as u64);
    if end.is_none_or(|end| end > size(disk)) {
        return Err(Error::Damaged);
    }
    let size = disk.info().sector_size as usize;
    let (mut sector, before) = (offset / size as u64, (offset % size as u64) as usize);
    let (head, to) = to.split_at_mut(to.len().min((size - before) % size));
    if !head.is_empty() {
        read_within(disk, sector, before, head).await?;
        sector += 1;
    }
    let (whole, tail) = to.split_at_mut(to.len() / size * size);
    if !whole.is_empty() {
        disk.read(sector, whole).await.map_err(Error::of_disk)?;
        sector += (whole.len() / size) as u64;
    }
    if tail.is_empty() { Ok(()) } else { read_within(disk, sector, 0, tail).await }
}

/// Writes all of `from` from byte `offset` on. The first and the last sector are read first,
/// where they are written in part.
///
/// # Errors
/// [`Error::Damaged`] beyond the end of the disk, and the disk's.
pub(super) async fn write<B: Block>(disk: &B, offset: u64, from: &[u8]) -> Result<(), Error> {
    let end = offset.checked_add(from.len() as u64);
    if end.is_none_or(|end| end > size(disk)) {
        return Err(Error::Damaged);
    }
    let size = disk.info().sector_size as usize;
    let (mut sector, before) = (offset / size as u64, (offset % size as u64) as usize);
    let (head, from) = from.split_at(from.len().min((size - before) % size));
    if !head.is_empty() {
        write_within(disk, sector, before, head).await?;
        sector += 1;
    }
    let (whole, tail) = from.split_at(from.len() / size * size);
    if !whole.is_empty() {
        disk.write(sector, whole).await.map_err(Error::of_disk)?;
        sector += (whole.len() / size) as u64;
    }
    if tail.is_empty() { Ok(()) } else { write_within(disk, sector, 0, tail).await }
}

/// Writes a part of one sector.
async fn write_within<B: Block>(
    disk: &B,
    sector: u64,
    at: usize,
    from: &[u8],
) -> Result<(), Error> {
    let mut whole = vec![0; disk.info().sector_size as usize];
    disk.read(sector, &mut whole).await.map_err(Error::of_disk)?;
    whole.get_mut(at..at + from.len()).ok_or(Error::Damaged)?.copy_from_slice(from);
    disk.write(sector, &whole).await.map_err(Error::of_disk)
}

/// Reads a part of one sector.
async fn read_within<B: Block>(
    disk: &B,
    sector: u64,
    from: usize,
    to: &mut [u8],
) -> Result<(), Error> {
    let mut whole = vec![0; disk.info().sector_size as usize];
    disk.read(sector, &mut whole).await.map_err(Error::of_disk)?;
    let part = whole.get(from..from + to.len()).ok_or(Error::Damaged)?;
    to.copy_from_slice(part);
    // It may be a key, which is not to be found in what the heap gives out next.
    whole.fill(0);
    core::hint::black_box(&whole);
    Ok(())
}
