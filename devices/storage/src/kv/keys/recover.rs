//! Formats and opens a store: reads the superblocks, then each commit once.

use super::format::{FIRST, Header, PAGE, Record, Superblock, pages};
use super::{ENTRY, Inner, LEAST, LONGEST, Location, State, flush, write_page, write_superblock};
use crate::kv::{Error, sectors};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use devices::block::Block;
use devices::block::content::{self, Content};

/// Returns whether `disk` is blank, or holds only what an interrupted format left.
pub(super) async fn is_blank<B: Block>(disk: &B) -> Result<bool, Error> {
    let begun = |at, page: &[u8]| {
        at == PAGE as u64 && Superblock::is_begun(page) && Superblock::decode(page).is_none()
    };
    let found = content::find(disk, begun).await.map_err(Error::of_disk)?;
    Ok(found == Content::Blank)
}

/// Makes an empty store.
pub(super) async fn format<B: Block>(disk: &B) -> Result<(), Error> {
    let info = disk.info();
    if info.read_only {
        return Err(Error::ReadOnly);
    }
    let pages = (sectors::size(disk) / PAGE as u64).saturating_sub(FIRST);
    if pages < LEAST {
        return Err(Error::Full);
    }
    // Without random numbers, the time serves unless someone forges commits.
    let id = kernel::entropy::next_u64();
    let id = id.unwrap_or_else(|_| kernel::time::wall_clock().as_nanos() as u64);
    let empty = Superblock { id, pages, generation: 1, tail: 0, chain: id as u32, reached: 0 };
    // An earlier store is invalidated first, not when half of it is overwritten. The page by
    // which a blank disk is recognized comes last.
    let lost = info.lost;
    write_page(disk, 0, &[0; PAGE]).await?;
    flush(disk, lost).await?;
    for slot in [1, 0] {
        write_superblock(disk, &empty, slot).await?;
    }
    Ok(())
}

/// Reads the superblocks. Returns the newest valid one, the order in which to write them, and
/// whether both are alike.
async fn superblock<B: Block>(disk: &B) -> Result<(Superblock, [u64; 2], bool), Error> {
    let mut both = vec![0; 2 * PAGE];
    if sectors::size(disk) < both.len() as u64 {
        return Err(Error::OtherFormat);
    }
    sectors::read(disk, 0, &mut both).await?;
    let (first, second) = both.split_at(PAGE);
    let found = match (Superblock::decode(first), Superblock::decode(second)) {
        (Some(first), Some(second)) if first.generation >= second.generation => {
            (first, [1, 0], first == second)
        }
        (_, Some(second)) => (second, [0, 1], false),
        (Some(first), None) => (first, [1, 0], false),
        (None, None) if Superblock::is_alike(first) || Superblock::is_alike(second) => {
            return Err(Error::Damaged);
        }
        (None, None) => return Err(Error::OtherFormat),
    };
    let most = u64::MAX / PAGE as u64 / 2;
    let Superblock { pages, tail, reached, generation, .. } = found.0;
    let sound = (LEAST..most).contains(&pages)
        && tail < most
        && generation < most
        && reached.checked_sub(tail).is_some_and(|length| length <= pages);
    if !sound {
        return Err(Error::Damaged);
    }
    if (FIRST + pages) * PAGE as u64 > sectors::size(disk) {
        return Err(Error::Shrunk);
    }
    Ok(found)
}

pub(super) async fn open<B: Block>(disk: B, memory: usize) -> Result<Inner<B>, Error> {
    let lost = disk.info().lost;
    let (superblock, order, alike) = superblock(&disk).await?;
    let Superblock { id, pages, generation, tail, chain, reached } = superblock;
    let state = State {
        index: BTreeMap::new(),
        live: 0,
        memory,
        tail,
        head: tail,
        tail_chain: chain,
        cleaned: None,
        suspect: 0,
        chain,
        generation,
        queue: VecDeque::new(),
        running: false,
    };
    let longest = (pages / 8).clamp(1, LONGEST);
    let store = Inner { disk, id, pages, longest, state: RefCell::new(state) };
    while let Some((header, bytes)) = store.next().await? {
        let mut state = store.state.borrow_mut();
        let position = state.head;
        for (record, at) in Records::new(&bytes, &header) {
            state.take(record.ok_or(Error::Damaged)?, position * PAGE as u64 + at as u64)?;
        }
        state.head += super::format::pages(header.length);
        state.chain = header.sum;
    }
    let head = store.state.borrow().head;
    if head < reached || store.follows(head).await? {
        return Err(Error::Damaged);
    }
    let info = store.disk.info();
    if !info.read_only && info.flush && (head > reached || !alike) {
        // What callers can read from now on must survive the next loss of power.
        flush(&store.disk, lost).await?;
        let next = Superblock { generation: generation + 1, reached: head, ..superblock };
        for slot in order {
            write_superblock(&store.disk, &next, slot).await?;
        }
        store.state.borrow_mut().generation = next.generation;
    }
    Ok(store)
}

/// Iterates over the records of a commit, with their offsets in it.
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8], header: &Header) -> Self {
        let bytes = bytes.get(..header.length).unwrap_or_default();
        Self { bytes, at: super::format::HEADER }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (Option<Record<'a>>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        match Record::decode(rest) {
            Some((record, size)) => {
                self.at += size;
                Some((Some(record), at))
            }
            None => {
                self.bytes = &[];
                Some((None, at))
            }
        }
    }
}

impl State {
    /// Applies the record at byte `at` of the log to the index.
    pub(super) fn take(&mut self, record: Record<'_>, at: u64) -> Result<(), Error> {
        match record.value {
            Some(value) => {
                let location = Location { at, length: value.len() as u32 };
                self.insert(record.key, location)
            }
            None => {
                self.remove(record.key);
                Ok(())
            }
        }
    }

    pub(super) fn insert(&mut self, key: &[u8], location: Location) -> Result<(), Error> {
        let size =
            |location: Location| super::format::size(key.len(), location.length as usize) as u64;
        if let Some(old) = self.index.get_mut(key) {
            self.live -= size(core::mem::replace(old, location));
        } else {
            self.memory = self.memory.checked_sub(key.len() + ENTRY).ok_or(Error::TooManyKeys)?;
            self.index.insert(key.into(), location);
        }
        self.live += size(location);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        if let Some(old) = self.index.remove(key) {
            self.live -= super::format::size(key.len(), old.length as usize) as u64;
            self.memory += key.len() + ENTRY;
        }
    }
}

impl<B: Block> Inner<B> {
    /// Reads the commit at the head, if there is a valid one.
    async fn next(&self) -> Result<Option<(Header, Vec<u8>)>, Error> {
        let (tail, head, chain) = {
            let state = self.state.borrow();
            (state.tail, state.head, state.chain)
        };
        let free = self.pages - (head - tail);
        let commit = self.commit(head, free).await?;
        Ok(commit.filter(|(header, _)| header.previous == chain))
    }

    /// Reads the commit at `position`, of at most `room` pages, if it is valid.
    pub(super) async fn commit(
        &self,
        position: u64,
        room: u64,
    ) -> Result<Option<(Header, Vec<u8>)>, Error> {
        if room == 0 {
            return Ok(None);
        }
        let mut bytes = self.read(position, 1).await?;
        let Some(header) = Header::decode(&bytes) else { return Ok(None) };
        let count = pages(header.length);
        if header.id != self.id || header.position != position || count > self.longest.min(room) {
            return Ok(None);
        }
        if count > 1 {
            bytes.extend(self.read(position + 1, count - 1).await?);
        }
        Ok(header.fits(&bytes).then_some((header, bytes)))
    }

    /// Returns whether there is a valid commit behind `head`, where there is none. A commit is
    /// written only when those before it are on the disk, so the one at `head` is then damaged.
    async fn follows(&self, head: u64) -> Result<bool, Error> {
        let end = self.state.borrow().tail + self.pages;
        for position in (head + 1..=head + self.longest).take_while(|&it| it < end) {
            if self.commit(position, end - position).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
