//! Reads and changes folders: entries of 32 bytes, each preceded by those of its long name.

use super::layout::{Root, u16_at, u32_at};
use super::name::{self, Basis};
use super::{Error, Fat, time};
use crate::fs::{Kind, Metadata};
use alloc::vec::Vec;
use devices::block::Block;

/// The size of an entry in bytes.
pub(super) const ENTRY: usize = 32;

/// The most entries of a folder.
const MOST: u32 = 65_536;

/// The UTF-16 units of a long name that an entry holds.
const UNITS: usize = 13;

/// The offsets of those units in the entry.
const PLACES: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// Attributes of an entry (`DIR_Attr`).
pub(super) const FOLDER: u8 = 0x10;
pub(super) const ARCHIVE: u8 = 0x20;
const LABEL: u8 = 0x08;
const LONG: u8 = 0x0f;

/// The 32 bytes of a file's or folder's entry.
pub(super) type Entry = [u8; ENTRY];

/// A file or folder, and the location of its entry.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: Vec<u16>,
    /// The short name, if it has a long one as well.
    alias: Option<Vec<u16>>,
    pub(super) entry: Entry,
    /// The number of the entry in its folder, and that of the first entry of its long name.
    pub(super) slot: u32,
    pub(super) first: u32,
    /// The location of the entry on the disk, counted in entries.
    pub(super) id: u64,
}

impl Item {
    pub(super) const fn is_folder(&self) -> bool {
        self.entry[11] & FOLDER != 0
    }

    /// Returns the first cluster, or 0 if there is none.
    pub(super) fn start(&self, bits: u32) -> u32 {
        let high = if bits == 32 { u32::from(u16_at(&self.entry, 20)) << 16 } else { 0 };
        u32::from(u16_at(&self.entry, 26)) | high
    }

    /// Returns the size of a file in bytes.
    pub(super) fn size(&self) -> u32 {
        if self.is_folder() { 0 } else { u32_at(&self.entry, 28) }
    }

    pub(super) fn metadata(&self) -> Metadata {
        let kind = if self.is_folder() { Kind::Folder } else { Kind::File };
        let modified = time::seconds(u16_at(&self.entry, 24), u16_at(&self.entry, 22));
        Metadata { kind, size: self.size().into(), modified, id: self.id }
    }
}

/// Sets the first cluster of an entry.
pub(super) fn set_start(entry: &mut Entry, start: u32, bits: u32) {
    let [a, b, c, d] = start.to_le_bytes();
    entry[26..28].copy_from_slice(&[a, b]);
    if bits == 32 {
        entry[20..22].copy_from_slice(&[c, d]);
    }
}

/// Assembles a long name from its entries.
#[derive(Debug, Default)]
struct LongName {
    units: Vec<u16>,
    sum: u8,
    /// The ordinal of the entry that must come next (`LDIR_Ord`).
    next: u8,
    first: u32,
}

impl LongName {
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

    /// Returns the name and the number of its first entry, if the name is complete and its
    /// checksum is that of the short name.
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

/// The content of a slot in a folder.
enum Slot<'a> {
    Free,
    Item(&'a Item, &'a [u8; 11]),
    Other,
}

impl<B: Block> Fat<B> {
    /// Returns the offset on the disk of sector `number` of a folder, or `None` beyond its end.
    /// Folder 0 is the root.
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

    /// Returns the number of the last sector that is consecutive with the one at byte `at`: the
    /// end of its cluster, or of a fixed root.
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

    /// Calls `each` for the slots of a folder until it returns `false`. Returns the number of
    /// entries before the end mark, or of all if there is none.
    async fn scan(
        &self,
        folder: u32,
        mut each: impl FnMut(u32, Slot<'_>) -> bool,
    ) -> Result<u32, Error> {
        let it = &self.layout;
        let (mut parts, mut slot) = (LongName::default(), 0);
        for number in 0.. {
            let Some(at) = self.sector(folder, number).await? else { break };
            let line = at / it.sector;
            let copy = |bytes: &[u8]| bytes.to_vec();
            let bytes = self.folders.get(&*self.disk, 0, line, self.row_end(at), copy).await?;
            for (entry, id) in bytes.chunks_exact(ENTRY).zip(at / ENTRY as u64..) {
                let Some(entry) = entry.first_chunk::<ENTRY>() else { break };
                let what = match (entry[0], entry[11]) {
                    (0, _) => return Ok(slot),
                    (0xe5, _) => {
                        parts = LongName::default();
                        Slot::Free
                    }
                    (_, bits) if bits & 0x3f == LONG => {
                        parts.take(entry, slot);
                        Slot::Other
                    }
                    (_, bits) if bits & LABEL != 0 => {
                        parts = LongName::default();
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

    /// Finds the entry of a name in a folder: one that equals it, else one that differs in the
    /// case of letters, else one with this short name.
    ///
    /// # Errors
    /// [`Error::BadPath`] for an invalid name, [`Error::Damaged`], and the disk's.
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
}

impl<B: Block + 'static> Fat<B> {
    /// Calls `with` to change an entry of a folder, in memory.
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
        self.folders.change(&*self.disk, 0, at / size, change).await
    }

    /// Calls `with` to change the entry of `item`. The change is in memory until the folders are
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

    /// Renames `item` within its own entries, in memory, if the name differs only in the case of
    /// letters or is its short one: whichever of the sectors are written, it has a name. Returns
    /// whether that was possible.
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

    /// Adds `entry` to a folder under a name that is not there yet. The change is in memory
    /// until the folders are written.
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
        // The numeric tails of short names that are taken, a bit each; 0 is the name without
        // one.
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
        // Whatever followed the end mark is not valid.
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

    /// Extends a folder to have room for `count` entries. New clusters are zeroed and linked on
    /// the disk.
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

    /// Zeroes a cluster.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn clear(&self, cluster: u32) -> Result<(), Error> {
        let location = self.layout.location(cluster);
        let zeros = kernel::memory::zeroed(self.layout.cluster as usize).ok_or(Error::NoMemory)?;
        self.folders
            .forget_range(location / self.layout.sector, self.layout.cluster / self.layout.sector);
        self.write_bytes(location, &zeros).await
    }

    /// Returns whether a folder is empty.
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

    /// Changes the parent in a folder's entry `..`, in memory.
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
