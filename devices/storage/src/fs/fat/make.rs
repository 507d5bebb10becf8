//! Makes an empty file system.

use super::layout::{Layout, Root};
use crate::{Error, sectors};
use devices::block::{Block, ErrorKind, Info};

/// The size of a write in bytes.
const AT_ONCE: u64 = 64 * 1024;

/// Returns the size of a cluster in bytes for a disk of `size` bytes, as Windows chooses it. Up
/// to 4 MiB that makes FAT12, below 512 MiB FAT16, else FAT32.
fn cluster_of(size: u64) -> u64 {
    match size >> 20 {
        0..2 => 512,
        2..16 => 1 << 10,
        16..128 => 2 << 10,
        128..256 => 4 << 10,
        256..512 => 8 << 10,
        512..8192 => 4 << 10,
        8192..16384 => 8 << 10,
        16384..32768 => 16 << 10,
        _ => 32 << 10,
    }
}

/// Makes an empty file system on `disk`. The boot sector is wiped first and written last.
///
/// # Errors
/// [`Error::Full`] for a disk that is too small, [`Error::Unsupported`] for one of over
/// 2^32 sectors, [`Error::ReadOnly`], and the disk's.
pub(super) async fn make<B: Block>(disk: &B) -> Result<(), Error> {
    let info = disk.info();
    if info.read_only {
        return Err(Error::ReadOnly);
    }
    let sector = u64::from(info.sector_size);
    let size = info.sectors.saturating_mul(sector);
    if size < 64 * 1024 {
        return Err(Error::Full);
    }
    let total = u32::try_from(info.sectors).map_err(|_| Error::Unsupported)?;
    let cluster = cluster_of(size).max(sector);
    let is_32 = size / cluster >= 65_525 + 16;
    let reserved: u64 = if is_32 { 32 } else { 1 };
    let root_entries: u64 = match (is_32, size >> 20) {
        (true, _) => 0,
        (_, 0) => 128,
        _ => 512,
    };
    let bits: u64 = match size / cluster {
        _ if is_32 => 32,
        ..4085 => 12,
        _ => 16,
    };
    // The FATs are as long as if all that remains were clusters.
    let root = (root_entries * 32).next_multiple_of(sector);
    let rest = size - reserved * sector - root;
    let table = ((rest / cluster + 2) * bits).div_ceil(8).div_ceil(sector);

    let mut boot = [0; 512];
    boot[..3].copy_from_slice(&[0xeb, if is_32 { 0x58 } else { 0x3c }, 0x90]);
    boot[3..11].copy_from_slice(b"XENITH  ");
    boot[11..13].copy_from_slice(&(sector as u16).to_le_bytes());
    boot[13] = (cluster / sector) as u8;
    boot[14..16].copy_from_slice(&(reserved as u16).to_le_bytes());
    boot[16] = 2;
    boot[17..19].copy_from_slice(&(root_entries as u16).to_le_bytes());
    match u16::try_from(total) {
        Ok(total) if !is_32 => boot[19..21].copy_from_slice(&total.to_le_bytes()),
        _ => boot[32..36].copy_from_slice(&total.to_le_bytes()),
    }
    boot[21] = 0xf8;
    // Sectors per track and heads, for BIOSes that still use them.
    boot[24..28].copy_from_slice(&[63, 0, 255, 0]);
    let own = if is_32 {
        boot[36..40].copy_from_slice(&(table as u32).to_le_bytes());
        boot[44..48].copy_from_slice(&2_u32.to_le_bytes());
        boot[48..52].copy_from_slice(&[1, 0, 6, 0]);
        64
    } else {
        boot[22..24].copy_from_slice(&(table as u16).to_le_bytes());
        36
    };
    // The volume's serial number is random or, without random numbers, the time.
    let id = kernel::entropy::next_u64();
    let id = id.unwrap_or_else(|_| kernel::time::wall_clock().as_nanos() as u64) as u32;
    boot[own] = 0x80;
    boot[own + 2] = 0x29;
    boot[own + 3..own + 7].copy_from_slice(&id.to_le_bytes());
    boot[own + 7..own + 18].copy_from_slice(b"NO NAME    ");
    let name: &[u8; 8] = match bits {
        12 => b"FAT12   ",
        16 => b"FAT16   ",
        _ => b"FAT32   ",
    };
    boot[own + 18..own + 26].copy_from_slice(name);
    boot[510..].copy_from_slice(&[0x55, 0xaa]);

    let layout = Layout::new(&boot, size).map_err(|_| Error::Full)?;
    let first = match layout.root {
        Root::Fixed(..) => layout.data,
        Root::Chain(cluster) => layout.location(cluster) + layout.cluster,
    };
    let zeros = kernel::memory::zeroed(AT_ONCE as usize).ok_or(Error::NoMemory)?;
    let mut at = 0;
    while at < first {
        let length = (first - at).min(AT_ONCE);
        sectors::write(disk, at, zeros.get(..length as usize).unwrap_or_default()).await?;
        at += length;
    }
    let mut head = [0; 12];
    let used = match layout.bits {
        12 => &[0xf8, 0xff, 0xff][..],
        16 => &[0xf8, 0xff, 0xff, 0xff],
        _ => {
            head[..8].copy_from_slice(&[0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f]);
            // The root.
            head[8..].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f]);
            &head
        }
    };
    for number in 0..layout.tables {
        sectors::write(disk, layout.table + number * layout.table_length, used).await?;
    }
    if is_32 {
        let info = info_of(layout.clusters - 1, 3);
        for at in [1, 7] {
            sectors::write(disk, at * sector, &info).await?;
        }
        sectors::write(disk, 6 * sector, &boot).await?;
    }
    flush(disk, &info).await?;
    sectors::write(disk, 0, &boot).await?;
    flush(disk, &info).await
}

/// Makes what was written durable, if the disk can do that. `before` all that, it was as told: a
/// flush of another user of the disk may have been told that something was lost.
async fn flush<B: Block>(disk: &B, before: &Info) -> Result<(), Error> {
    if disk.info().flush {
        disk.flush().await.map_err(Error::of_disk)?;
        if disk.info().lost != before.lost {
            return Err(Error::Disk(ErrorKind::Failed));
        }
    }
    Ok(())
}

/// Makes the FS information sector: the number of free clusters, and where to search for one.
pub(super) fn info_of(free: u32, next: u32) -> [u8; 512] {
    let mut bytes = [0; 512];
    bytes[..4].copy_from_slice(b"RRaA");
    bytes[484..488].copy_from_slice(b"rrAa");
    bytes[488..492].copy_from_slice(&free.to_le_bytes());
    bytes[492..496].copy_from_slice(&next.to_le_bytes());
    bytes[510..].copy_from_slice(&[0x55, 0xaa]);
    bytes
}
