//! Folders: entries of 32 bytes, and those before them that hold long names.

use super::layout::{Root, u16_at, u32_at};
use super::name::{self, Basis};
use super::{Error, Fat, time};
use crate::fs::{Kind, Metadata, sectors};
use alloc::vec::Vec;
use devices::block::Block;

/// Bytes of an entry.
pub(super) const ENTRY: usize = 32;

/// Entries that a folder may have.
const MOST: u32 = 65_536;

/// Units of a long name in one entry.
const UNITS: usize = 13;

/// Where those stand.
const PLACES: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// Bits of what an entry is.
pub(super) const FOLDER: u8 = 0x10;
pub(super) const ARCHIVE: u8 = 0x20;
const LABEL: u8 = 0x08;
const LONG: u8 = 0x0f;

/// What is said of a file or folder beside its name.
pub(super) type Entry = [u8; ENTRY];

/// A file or folder, and where its entry is.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: Vec<u16>,
    /// The short name, if there is a long one as well.
    alias: Option<Vec<u16>>,
    pub(super) entry: Entry,
    /// The entry's number in the folder, and that of the first one before it of its name.
    pub(super) slot: u32,
    pub(super) first: u32,
    /// Where the entry is on the disk, in entries.
    pub(super) id: u64,
}

impl Item {
    pub(super) const fn is_folder(&self) -> bool {
        self.entry[11] & FOLDER != 0
    }

    /// The first cluster, or 0.
    pub(super) fn start(&self, bits: u32) -> u32 {
        let high = if bits == 32 { u32::from(u16_at(&self.entry, 20)) << 16 } else { 0 };
        u32::from(u16_at(&self.entry, 26)) | high
    }

    /// Bytes of a file.
    pub(super) fn size(&self) -> u32 {
        if self.is_folder() { 0 } else { u32_at(&self.entry, 28) }
    }

    pub(super) fn metadata(&self) -> Metadata {
        let kind = if self.is_folder() { Kind::Folder } else { Kind::File };
        let modified = time::seconds(u16_at(&self.entry, 24), u16_at(&self.entry, 22));
        Metadata { kind, size: self.size().into(), modified, id: self.id }
    }
}

/// Writes where the content begins into an entry.
pub(super) fn set_start(entry: &mut Entry, start: u32, bits: u32) {
    let [a, b, c, d] = start.to_le_bytes();
    entry[26..28].copy_from_slice(&[a, b]);
    if bits == 32 {
        entry[20..22].copy_from_slice(&[c, d]);
    }
}

/// The parts of a long name that were read so far.
#[derive(Debug, Default)]
struct Parts {
    units: Vec<u16>,
    sum: u8,
    /// The number of the part that has to come next.
    next: u8,
    first: u32,
}

impl Parts {
    fn take(&mut self, entry: &[u8], slot: u32) {
        let number = entry[0] & 0x1f;
        if entry[0] & 0x40 != 0 && (1..=20).contains(&number) {
            self.units.clear();
            self.units.resize(usize::from(number) * UNITS, 0xffff);
            (self.sum, self.next, self.first) = (entry[13], number, slot);
        }
        if self.next == 0 || number != self.next || entry[13] != self.sum {
            self.next = 0;
            self.units.clear();
            return;
        }
        self.next -= 1;
        let from = usize::from(self.next) * UNITS;
        let units = self.units.iter_mut().skip(from);
        units.zip(PLACES).for_each(|(to, at)| *to = u16_at(entry, at));
    }

    /// The name, if it is whole, and that of this short one.
    fn name(&mut self, short: &[u8; 11]) -> Option<(Vec<u16>, u32)> {
        let mut units = core::mem::take(&mut self.units);
        let whole = self.next == 0 && !units.is_empty() && self.sum == name::sum(short);
        let length = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
        units.truncate(length);
        let plain = |&unit: &u16| unit != 0xffff && unit != u16::from(b'/');
        (whole && (1..=name::LONGEST).contains(&length) && units.iter().all(plain))
            .then_some((units, self.first))
    }
}

/// The content of a slot of a folder.
enum Slot<'a> {
    Free,
    Item(&'a Item, &'a [u8; 11]),
    Other,
}

impl<B: Block> Fat<B> {
    /// Where the sector `number` of a folder is, in bytes; nothing behind its end. The root
    /// is folder 0.
    async fn sector(&self, folder: u32, number: u32) -> Result<Option<u64>, Error> {
        let it = &self.layout;
        if u64::from(number) * it.sector >= u64::from(MOST) * ENTRY as u64 {
            return Ok(None);
        }
        let start = match (folder, it.root) {
            (0, Root::Fixed(at, length)) => {
                let from = u64::from(number) * it.sector;
                return Ok((from < length).then_some(at + from));
            }
            (0, Root::Chain(start)) => start,
            (start, _) => start,
        };
        let from = u64::from(number) * it.sector;
        let run = self.run(start, (from / it.cluster) as u32, 1).await?;
        Ok(run.map(|(cluster, _)| it.location(cluster) + from % it.cluster))
    }

    /// The last sector in a row with the one at byte `at`, in sectors.
    fn row_end(&self, at: u64) -> u64 {
        let it = &self.layout;
        match it.root {
            Root::Fixed(begin, length) if at < it.data => (begin + length) / it.sector,
            _ => {
                let within = (at - it.data) % it.cluster;
                (at - within + it.cluster) / it.sector
            }
        }
    }

    /// Calls `each` for what is in a folder until it says that it is enough. Returns the
    /// number of entries before the end, and whether all of the folder is used.
    async fn scan(
        &self,
        folder: u32,
        mut each: impl FnMut(u32, Slot<'_>) -> bool,
    ) -> Result<u32, Error> {
        let it = &self.layout;
        let (mut parts, mut slot) = (Parts::default(), 0);
        for number in 0.. {
            let Some(at) = self.sector(folder, number).await? else { break };
            let line = at / it.sector;
            let copy = |bytes: &[u8]| bytes.to_vec();
            let bytes = self.folders.get(&self.disk, 0, line, self.row_end(at), copy).await?;
            for (entry, id) in bytes.chunks_exact(ENTRY).zip(at / ENTRY as u64..) {
                let Some(entry) = entry.first_chunk::<ENTRY>() else { break };
                let what = match (entry[0], entry[11]) {
                    (0, _) => return Ok(slot),
                    (0xe5, _) => {
                        parts = Parts::default();
                        Slot::Free
                    }
                    (_, bits) if bits & 0x3f == LONG => {
                        parts.take(entry, slot);
                        Slot::Other
                    }
                    (_, bits) if bits & LABEL != 0 => {
                        parts = Parts::default();
                        Slot::Other
                    }
                    (b'.', _) if matches!(&entry[1..11], b"          " | b".         ") => {
                        Slot::Other
                    }
                    _ => {
                        let short = entry.first_chunk::<11>().ok_or(Error::Damaged)?;
                        let own = name::of_short(short, entry[12]);
                        let (name, alias, first) = match parts.name(short) {
                            Some((name, first)) => (name, own.ok(), first),
                            None => (own?, None, slot),
                        };
                        let item = Item { name, alias, entry: *entry, slot, first, id };
                        if !each(slot, Slot::Item(&item, short)) {
                            return Ok(slot);
                        }
                        slot += 1;
                        continue;
                    }
                };
                if !each(slot, what) {
                    return Ok(slot);
                }
                slot += 1;
            }
        }
        Ok(slot)
    }

    /// Calls `each` for the files and folders in a folder.
    ///
    /// # Errors
    /// [`Error::Damaged`], and the disk's.
    pub(super) async fn items(
        &self,
        folder: u32,
        mut each: impl FnMut(&Item) -> bool,
    ) -> Result<(), Error> {
        let each = |_, slot: Slot<'_>| match slot {
            Slot::Item(item, _) => each(item),
            _ => true,
        };
        self.scan(folder, each).await.map(|_| ())
    }

    /// What is called so in a folder: exactly, else but for the case of letters, else by
    /// its short name.
    ///
    /// # Errors
    /// [`Error::BadPath`] for what is no name, [`Error::Damaged`], and the disk's.
    pub(super) async fn find(&self, folder: u32, name: &[u8]) -> Result<Option<Item>, Error> {
        let name = name::units(name)?;
        let mut found: Option<(u8, Item)> = None;
        let each = |item: &Item| {
            let alias = || item.alias.as_ref().is_some_and(|alias| name::alike(alias, &name));
            let rank = match () {
                () if item.name == name => 0,
                () if name::alike(&item.name, &name) => 1,
                () if alias() => 2,
                () => return true,
            };
            if found.as_ref().is_none_or(|(best, _)| rank < *best) {
                found = Some((rank, item.clone()));
            }
            rank > 0
        };
        self.items(folder, each).await?;
        Ok(found.map(|(_, item)| item))
    }

    /// Lets `with` change an entry of a folder.
    async fn change(
        &self,
        folder: u32,
        slot: u32,
        with: impl FnOnce(&mut Entry),
    ) -> Result<(), Error> {
        let size = self.layout.sector;
        let byte = u64::from(slot) * ENTRY as u64;
        let at = self.sector(folder, (byte / size) as u32).await?.ok_or(Error::Damaged)?;
        let change = |line: &mut [u8]| {
            let entry = line.get_mut((byte % size) as usize..);
            if let Some(entry) = entry.and_then(|entry| entry.first_chunk_mut()) {
                with(entry);
            }
        };
        self.folders.change(&self.disk, 0, at / size, change).await
    }

    /// Lets `with` change the entry of `item`; it is in memory until the folders are
    /// written.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn change_item(
        &self,
        folder: u32,
        item: &mut Item,
        with: impl FnOnce(&mut Entry),
    ) -> Result<(), Error> {
        with(&mut item.entry);
        let entry = item.entry;
        self.change(folder, item.slot, |to| *to = entry).await
    }

    /// Gives `item` a name that it has already but for the case of letters, or its short
    /// one, where its entries stand, in memory: whatever is written of them, it has a name.
    /// Whether that can be.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn rename_in_place(
        &self,
        folder: u32,
        item: &Item,
        name: &[u16],
    ) -> Result<bool, Error> {
        let parts = item.slot - item.first;
        if parts > 0 && name::alike(&item.name, name) {
            if parts != name.len().div_ceil(UNITS) as u32 {
                return Ok(false);
            }
            for (slot, number) in (item.first..item.slot).zip((0..parts).rev()) {
                let units = name.iter().skip(number as usize * UNITS).zip(PLACES);
                self.change(folder, slot, |entry| {
                    units.for_each(|(unit, at)| {
                        entry[at..at + 2].copy_from_slice(&unit.to_le_bytes());
                    });
                })
                .await?;
            }
            return Ok(true);
        }
        let basis = Basis::new(name);
        let Some(lower) = name::lower(name).filter(|_| item.entry[..11] == basis.plain()) else {
            return Ok(false);
        };
        for slot in item.first..item.slot {
            self.change(folder, slot, |entry| entry[0] = 0xe5).await?;
        }
        self.change(folder, item.slot, |entry| entry[12] = entry[12] & !name::LOWER | lower)
            .await?;
        Ok(true)
    }

    /// Removes the entries of `item`, in memory.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn take_out(&self, folder: u32, item: &Item) -> Result<(), Error> {
        for slot in item.first..=item.slot {
            self.change(folder, slot, |entry| entry[0] = 0xe5).await?;
        }
        Ok(())
    }

    /// Puts something into a folder in which nothing is called so: `entry` says all but the
    /// name. It is in memory until the folders are written.
    ///
    /// # Errors
    /// [`Error::FolderFull`], [`Error::Full`], [`Error::Exists`], and the disk's.
    pub(super) async fn put_in(
        &self,
        folder: u32,
        name: &[u16],
        entry: &Entry,
    ) -> Result<Item, Error> {
        let basis = Basis::new(name);
        let parts = if basis.same { 0 } else { name.len().div_ceil(UNITS) as u32 };
        let count = parts + 1;
        // Numbers of short names that are taken, a bit each; 0 is the name without one.
        let mut taken = alloc::vec![0_u8; MOST as usize / 8];
        let (mut free, mut location) = (0, None);
        let end = self
            .scan(folder, |slot, what| {
                free = if matches!(what, Slot::Free) { free + 1 } else { 0 };
                if free == count && location.is_none() {
                    location = Some(slot + 1 - count);
                }
                if let Slot::Item(_, short) = what {
                    let plain = (*short == basis.plain()).then_some(0);
                    let number = plain.or_else(|| basis.number(short));
                    let byte = number
                        .and_then(|it| taken.get_mut(it as usize / 8).map(|byte| (byte, it % 8)));
                    if let Some((byte, bit)) = byte {
                        *byte |= 1 << bit;
                    }
                }
                true
            })
            .await?;
        let is_free = |number: &u32| {
            taken.get(*number as usize / 8).is_some_and(|byte| byte & 1 << (number % 8) == 0)
        };
        let short = if basis.fits && is_free(&0) {
            basis.plain()
        } else if basis.same {
            return Err(Error::Exists);
        } else {
            let number = (1..MOST).find(is_free).ok_or(Error::FolderFull)?;
            basis.numbered(number)
        };
        let location = location.unwrap_or(end - free);
        if location + count > MOST {
            return Err(Error::FolderFull);
        }
        self.make_room(folder, location + count).await?;
        let sum = name::sum(&short);
        for (slot, number) in (location..).zip((1..=parts).rev()) {
            let mut entry = [0xff; ENTRY];
            entry[0] = number as u8 | if number == parts { 0x40 } else { 0 };
            (entry[11], entry[12], entry[13]) = (LONG, 0, sum);
            entry[26..28].fill(0);
            let from = (number as usize - 1) * UNITS;
            let units = name.iter().copied().chain([0]).skip(from);
            for (unit, at) in units.zip(PLACES) {
                entry[at..at + 2].copy_from_slice(&unit.to_le_bytes());
            }
            self.change(folder, slot, |to| *to = entry).await?;
        }
        let mut own = *entry;
        own[..11].copy_from_slice(&short);
        own[12] = 0;
        let slot = location + parts;
        self.change(folder, slot, |to| *to = own).await?;
        // What stood behind the end is nothing.
        if slot + 1 >= end {
            let next = u64::from(slot + 1) * ENTRY as u64 / self.layout.sector;
            if self.sector(folder, next as u32).await?.is_some() {
                self.change(folder, slot + 1, |to| to[0] = 0).await?;
            }
        }
        let byte = u64::from(slot) * ENTRY as u64;
        let size = self.layout.sector;
        let at = self.sector(folder, (byte / size) as u32).await?.ok_or(Error::Damaged)?;
        let id = (at + byte % size) / ENTRY as u64;
        Ok(Item { name: name.to_vec(), alias: None, entry: own, slot, first: location, id })
    }

    /// Lets a folder have room for `count` entries. What is added to it is zero, and part
    /// of it on the disk.
    async fn make_room(&self, folder: u32, count: u32) -> Result<(), Error> {
        let it = &self.layout;
        let bytes = u64::from(count) * ENTRY as u64;
        let sectors = bytes.div_ceil(it.sector) as u32;
        loop {
            let last = sectors.saturating_sub(1);
            if self.sector(folder, last).await?.is_some() {
                return Ok(());
            }
            let start = match (folder, it.root) {
                (0, Root::Fixed(..)) => return Err(Error::FolderFull),
                (0, Root::Chain(start)) => start,
                (start, _) => start,
            };
            let (mut end, mut index) = (start, 0);
            while let Some((cluster, count)) = self.run(start, index, u32::MAX).await? {
                end = cluster + count - 1;
                index += count;
            }
            let new = self.grow(Some(end), 1).await?;
            self.clear(new).await?;
            self.barrier().await?;
            self.write_table(Some(end)).await?;
        }
    }

    /// Writes zeros into a cluster.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn clear(&self, cluster: u32) -> Result<(), Error> {
        let location = self.layout.location(cluster);
        let zeros = kernel::memory::zeroed(self.layout.cluster as usize).ok_or(Error::NoMemory)?;
        self.folders
            .forget_range(location / self.layout.sector, self.layout.cluster / self.layout.sector);
        sectors::write(&self.disk, location, &zeros).await
    }

    /// Whether nothing is in a folder.
    ///
    /// # Errors
    /// [`Error::Damaged`], and the disk's.
    pub(super) async fn is_empty(&self, folder: u32) -> Result<bool, Error> {
        let mut empty = true;
        self.items(folder, |_| {
            empty = false;
            false
        })
        .await?;
        Ok(empty)
    }

    /// Lets the entry for the parent in a folder name another one, in memory.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn set_parent(&self, folder: u32, parent: u32) -> Result<(), Error> {
        let bits = self.layout.bits;
        self.change(folder, 1, |entry| {
            if entry.starts_with(b"..") {
                set_start(entry, parent, bits);
            }
        })
        .await
    }
}
