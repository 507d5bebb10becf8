//! Changes files and folders.

use super::folder::{ARCHIVE, ENTRY, Entry, FOLDER, Item, set_start};
use super::{Fat, make, name, time};
use crate::fs::{Error, Files, path};
use devices::block::{Block, ErrorKind};

/// The most bytes of a file that are written before the FAT and the folder are.
const PIECE: u64 = 256 * 1024;

/// Sets the time of the last change.
fn stamp(entry: &mut Entry, date: u16, time: u16) {
    entry[18..20].copy_from_slice(&date.to_le_bytes());
    entry[22..24].copy_from_slice(&time.to_le_bytes());
    entry[24..26].copy_from_slice(&date.to_le_bytes());
}

/// Makes the entry of a new file or folder.
fn new_entry(attributes: u8) -> Entry {
    let mut entry = [0; ENTRY];
    let (date, time) = time::now();
    entry[11] = attributes;
    entry[14..16].copy_from_slice(&time.to_le_bytes());
    entry[16..18].copy_from_slice(&date.to_le_bytes());
    stamp(&mut entry, date, time);
    entry
}

impl<B: Block + 'static> Fat<B> {
    /// Writes a piece of a file: content, then the FAT, then the folder.
    async fn write_piece(
        &self,
        folder: u32,
        item: &mut Item,
        offset: u64,
        from: &[u8],
    ) -> Result<(), Error> {
        let (bits, cluster) = (self.layout.bits, self.layout.cluster);
        let size = u64::from(item.size());
        let end = offset + from.len() as u64;
        let (had, need) = (size.div_ceil(cluster) as u32, end.div_ceil(cluster) as u32);
        let (mut start, mut last) = (item.start(bits), None);
        if need > had {
            last = match had.checked_sub(1) {
                None => None,
                Some(index) => Some(self.run(start, index, 1).await?.ok_or(Error::Damaged)?.0),
            };
            let first = self.grow(last, need - had).await?;
            if last.is_none() {
                start = first;
            }
        }
        let mut rest = from;
        self.for_each_run(start, offset, from.len(), async |at, length| {
            let (part, more) = rest.split_at_checked(length).ok_or(Error::Damaged)?;
            rest = more;
            self.write_bytes(at, part).await
        })
        .await?;
        self.write_table(last).await?;
        if end > size {
            self.barrier().await?;
        }
        let (date, time) = time::now();
        self.change_item(folder, item, |entry| {
            set_start(entry, start, bits);
            if end > size {
                entry[28..32].copy_from_slice(&(end as u32).to_le_bytes());
            }
            entry[11] |= ARCHIVE;
            stamp(entry, date, time);
        })
        .await?;
        self.write_folders(|_| true).await
    }
}

impl<B: Block + 'static> Files for Fat<B> {
    async fn write(&self, path: &[u8], offset: u64, from: &[u8]) -> Result<(), Error> {
        let path = path::normal(path)?;
        let end = offset.checked_add(from.len() as u64).ok_or(Error::TooLong)?;
        if end > u32::MAX.into() {
            return Err(Error::TooLong);
        }
        let mut change = self.begin().await?;
        let (folder, name, _) = self.parent(&path).await?;
        if name.is_empty() {
            return Err(Error::NotFile);
        }
        let mut item = match self.find(folder, name).await? {
            Some(item) if item.is_folder() => return Err(Error::NotFile),
            Some(item) => item,
            None if offset > 0 => return Err(Error::Unsupported),
            None => {
                let name = name::judged(name)?;
                let item = self.put_in(folder, &name, &new_entry(ARCHIVE)).await?;
                self.write_last(item.id).await?;
                change.keep();
                item
            }
        };
        if offset > item.size().into() {
            return Err(Error::Unsupported);
        }
        let (mut at, mut rest) = (offset, from);
        while !rest.is_empty() {
            // Pieces end at cluster boundaries.
            let next = (at / PIECE + 1) * PIECE - at;
            let (piece, more) = rest.split_at((rest.len() as u64).min(next) as usize);
            self.write_piece(folder, &mut item, at, piece).await?;
            change.keep();
            at += piece.len() as u64;
            rest = more;
        }
        Ok(())
    }

    async fn truncate(&self, path: &[u8], size: u64) -> Result<(), Error> {
        let path = path::normal(path)?;
        let mut change = self.begin().await?;
        let (folder, name, _) = self.parent(&path).await?;
        if name.is_empty() {
            return Err(Error::NotFile);
        }
        let mut item = self.find(folder, name).await?.ok_or(Error::NotFound)?;
        if item.is_folder() {
            return Err(Error::NotFile);
        }
        if size > item.size().into() {
            return Err(Error::Unsupported);
        }
        let (bits, start) = (self.layout.bits, item.start(self.layout.bits));
        let keep = size.div_ceil(self.layout.cluster) as u32;
        let last = match keep.checked_sub(1) {
            None => None,
            Some(index) => Some(self.run(start, index, 1).await?.ok_or(Error::Damaged)?.0),
        };
        let rest = match last {
            None => Some(start),
            Some(_) if keep >= self.layout.clusters => None,
            Some(_) => self.run(start, keep, 1).await?.map(|(cluster, _)| cluster),
        };
        let (date, time) = time::now();
        self.change_item(folder, &mut item, |entry| {
            entry[28..32].copy_from_slice(&(size as u32).to_le_bytes());
            if last.is_none() {
                set_start(entry, 0, bits);
            }
            entry[11] |= ARCHIVE;
            stamp(entry, date, time);
        })
        .await?;
        self.write_folders(|_| true).await?;
        if rest.is_some() {
            self.barrier().await?;
            self.cut(last, rest).await?;
        }
        change.keep();
        Ok(())
    }

    async fn create_folder(&self, path: &[u8]) -> Result<(), Error> {
        let path = path::normal(path)?;
        let mut change = self.begin().await?;
        let (parent, name, _) = self.parent(&path).await?;
        if name.is_empty() || self.find(parent, name).await?.is_some() {
            return Err(Error::Exists);
        }
        let name = name::judged(name)?;
        let bits = self.layout.bits;
        let start = self.grow(None, 1).await?;
        self.clear(start).await?;
        let mut entry = new_entry(FOLDER);
        set_start(&mut entry, start, bits);
        let mut inside = [[b' '; ENTRY]; 2];
        for (own, (name, to)) in inside.iter_mut().zip([(&b"."[..], start), (b"..", parent)]) {
            own[11..].copy_from_slice(&entry[11..]);
            own[..name.len()].copy_from_slice(name);
            set_start(own, to, bits);
        }
        self.write_bytes(self.layout.location(start), inside.as_flattened()).await?;
        let item = self.put_in(parent, &name, &entry).await?;
        self.write_table(None).await?;
        self.barrier().await?;
        self.write_last(item.id).await?;
        change.keep();
        Ok(())
    }

    async fn remove(&self, path: &[u8]) -> Result<(), Error> {
        let path = path::normal(path)?;
        let mut change = self.begin().await?;
        let (folder, name, _) = self.parent(&path).await?;
        if name.is_empty() {
            return Err(Error::BadPath);
        }
        let item = self.find(folder, name).await?.ok_or(Error::NotFound)?;
        let start = item.start(self.layout.bits);
        if item.is_folder() && !self.is_empty(self.folder_of(&item)?).await? {
            return Err(Error::NotEmpty);
        }
        self.take_out(folder, &item).await?;
        self.write_first(item.id).await?;
        self.cut(None, Some(start)).await?;
        change.keep();
        Ok(())
    }

    async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let (from, to) = (path::normal(from)?, path::normal(to)?);
        let mut change = self.begin().await?;
        let (old, name, _) = self.parent(&from).await?;
        if name.is_empty() {
            return Err(Error::BadPath);
        }
        let item = self.find(old, name).await?.ok_or(Error::NotFound)?;
        let (new, name, way) = self.parent(&to).await?;
        // A folder that was moved into itself could not be reached.
        if way.contains(&item.id) {
            return Err(Error::BadPath);
        }
        if name.is_empty() {
            return Err(Error::Exists);
        }
        let there = self.find(new, name).await?;
        let name = name::judged(name)?;
        match there {
            Some(there) if there.id == item.id => {
                // Only the case of letters changes, or nothing.
                if item.name == name {
                    return Ok(());
                }
                if self.rename_in_place(old, &item, &name).await? {
                    self.write_folders(|_| true).await?;
                    change.keep();
                    return Ok(());
                }
            }
            Some(_) => return Err(Error::Exists),
            None => {}
        }
        let renamed = self.put_in(new, &name, &item.entry).await?;
        self.prepare(renamed.id).await?;
        if self.sector_of(renamed.id) != self.sector_of(item.id) {
            // For a moment it has two names, but never none.
            self.write_last(renamed.id).await?;
            if item.is_folder() && old != new {
                self.set_parent(self.folder_of(&item)?, new).await?;
                self.write_folders(|_| true).await?;
            }
            self.barrier().await?;
        }
        // If both entries are in one sector, one write does both.
        self.take_out(old, &item).await?;
        self.write_first(item.id).await?;
        change.keep();
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        let _guard = self.lock().await;
        self.flush().await?;
        let state = self.state.get();
        if self.failed.get() {
            return Err(Error::Disk(ErrorKind::Failed));
        }
        if !state.marked {
            self.lost.set(None);
            return Ok(());
        }
        if let Some(at) = self.layout.info {
            let info = make::info_of(state.free.unwrap_or(u32::MAX), state.next);
            self.write_bytes(at + 488, &info[488..496]).await?;
        }
        self.mark(false).await?;
        self.flush().await?;
        self.lost.set(None);
        Ok(())
    }
}
