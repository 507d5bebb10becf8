//! Parses the boot sector: the layout of the file system.

use crate::Error;

/// Locates the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// A fixed region (FAT12, FAT16): its offset on the disk and its length, in bytes.
    Fixed(u64, u64),
    /// A chain of clusters, as any other folder (FAT32).
    Chain(u32),
}

/// The layout of a file system. Offsets are in bytes from the disk's beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The size in bytes of a sector of this file system, which may differ from the disk's.
    pub(super) sector: u64,
    pub(super) cluster: u64,
    /// The width of a FAT entry in bits: 12, 16 or 32.
    pub(super) bits: u32,
    /// The number of data clusters, of which the first one has number 2.
    pub(super) clusters: u32,
    /// The offset of the first FAT, and the length of each copy.
    pub(super) table: u64,
    pub(super) table_length: u64,
    /// The number of the copy that is read, and the end of those that are written
    /// (`BPB_ExtFlags`).
    pub(super) active: u64,
    pub(super) tables: u64,
    pub(super) root: Root,
    pub(super) data: u64,
    /// The offset of the number of free clusters (`FSI_Free_Count`), if there is one.
    pub(super) info: Option<u64>,
    /// The offset of the byte with the dirty bit.
    pub(super) state: u64,
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|it| it.first_chunk()).map_or(0, |it| u16::from_le_bytes(*it))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|it| it.first_chunk()).map_or(0, |it| u32::from_le_bytes(*it))
}

impl Layout {
    /// Parses the boot sector that begins with `boot`, on a disk of `size` bytes. The width of
    /// FAT entries is determined as Linux does: FAT32 has `BPB_FATSz16` = 0, FAT12 fewer than
    /// 4085 clusters.
    ///
    /// # Errors
    /// [`Error::OtherFormat`], [`Error::Damaged`], [`Error::Unsupported`],
    /// [`Error::Shrunk`].
    pub(super) fn new(boot: &[u8; 512], size: u64) -> Result<Self, Error> {
        let (short, long) = (|at| u64::from(u16_at(boot, at)), |at| u64::from(u32_at(boot, at)));
        let (sector, per_cluster) = (short(11), u64::from(boot[13]));
        let (reserved, tables) = (short(14), u64::from(boot[16]));
        let plausible = sector.is_power_of_two()
            && (512..=4096).contains(&sector)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=4).contains(&tables)
            && matches!(boot[21], 0xf0 | 0xf8..=0xff);
        if !plausible {
            return Err(Error::OtherFormat);
        }
        let is_32 = short(22) == 0;
        let table_sectors = if is_32 { long(36) } else { short(22) };
        let total = if short(19) == 0 { long(32) } else { short(19) };
        let root_bytes = (short(17) * 32).next_multiple_of(sector);
        let table = reserved * sector;
        let table_length = table_sectors * sector;
        let root = table + tables * table_length;
        let data = root + root_bytes;
        let cluster = sector * per_cluster;
        let end = total * sector;
        if table_sectors == 0 || data >= end || (is_32 && root_bytes != 0) {
            return Err(Error::Damaged);
        }
        if end > size {
            return Err(Error::Shrunk);
        }
        if is_32 && short(42) != 0 {
            return Err(Error::Unsupported);
        }
        let clusters = (end - data) / cluster;
        let bits = match clusters {
            _ if is_32 => 32,
            ..4085 => 12,
            _ => 16,
        };
        let fit = (table_length * 8 / bits).saturating_sub(2);
        let most = if is_32 { 0x0fff_fff4 } else { 0xfff4 };
        let clusters = clusters.min(fit);
        if clusters == 0 || clusters > most {
            return Err(Error::Damaged);
        }
        let clusters = clusters as u32;
        // Without mirroring, one copy of the FAT is the only one in use.
        let flags = short(40);
        let (active, tables) = match flags & 0x80 != 0 && is_32 {
            true if flags & 0xf < tables => (flags & 0xf, (flags & 0xf) + 1),
            true => return Err(Error::Damaged),
            false => (0, tables),
        };
        let root =
            if is_32 { Root::Chain(u32_at(boot, 44)) } else { Root::Fixed(root, root_bytes) };
        let info = Some(short(48)).filter(|&at| is_32 && at > 0 && at < reserved);
        let it = Self {
            sector,
            cluster,
            bits: bits as u32,
            clusters,
            table,
            table_length,
            active,
            tables,
            root,
            data,
            info: info.map(|at| at * sector),
            state: if is_32 { 65 } else { 37 },
        };
        match root {
            Root::Chain(cluster) if !it.is_cluster(cluster) => Err(Error::Damaged),
            _ => Ok(it),
        }
    }

    /// Returns whether there is a data cluster of this number.
    pub(super) const fn is_cluster(&self, number: u32) -> bool {
        number >= 2 && number - 2 < self.clusters
    }

    /// Returns the offset of a cluster.
    pub(super) const fn location(&self, cluster: u32) -> u64 {
        self.data + (cluster as u64).saturating_sub(2) * self.cluster
    }

    /// Returns the end-of-chain mark, which is the entry of a chain's last cluster.
    pub(super) const fn end(&self) -> u32 {
        match self.bits {
            12 => 0xfff,
            16 => 0xffff,
            _ => 0x0fff_ffff,
        }
    }
}
