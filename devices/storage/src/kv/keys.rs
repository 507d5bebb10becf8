//! Keeps values by key in a log that survives a loss of power at any moment.
//!
//! # Example
//! ```
//! # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
//!
//! use xenith::block::memory::Memory;
//! use xenith::kv::keys::{Batch, Keys};
//! use xenith::kv::{Error, Store};
//! use xenith::task::block_on;
//!
//! let disk = Memory::new(512, 2048);
//! block_on(async {
//!     let keys = Keys::open_or_format(disk.clone()).await?;
//!     keys.set(b"alice", b"100").await?;
//!
//!     // Both or neither, whenever the power fails.
//!     let mut transfer = Batch::new();
//!     transfer.set(b"alice", b"70").set(b"bob", b"30");
//!     keys.apply(transfer).await?;
//!     keys.close().await?;
//!
//!     let keys = Keys::open(disk).await?;
//!     assert_eq!(keys.get(b"bob").await?.as_deref(), Some(&b"30"[..]));
//!     let (used, capacity) = keys.usage();
//!     assert!(used < capacity);
//!     Ok::<(), Error>(())
//! })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! Crates for this were judged by their documentation and source, and not by crash
//! tests: `ekv` and `sequential-storage` are for NOR flash, where what was written stays
//! when its neighbours are written; on a disk they share a sector with what is written
//! next, and a torn one takes both. `littlefs-rust` writes whole sectors, but is
//! synchronous, keeps its state in memory across calls, and is full of `unsafe`. `redb`
//! is made for the standard library's files.
//!
//! Changes become commits at the head of a circular log: one write and one flush for all that
//! were requested meanwhile. A commit is valid as a whole or not at all, by its checksum, its
//! position, which is never reused, and the checksum of its predecessor. The index of keys is
//! kept in memory. When room is short, live records at the tail are rewritten at the head, the
//! superblocks are moved to the new tail, and only then is the old space free.
//!
//! Opening reads the log once. The first invalid commit is its end, provided that no valid one
//! follows and no superblock says that the log was longer. Otherwise the log is damaged, and
//! opening fails rather than lose data.

mod clean;
mod commit;
mod format;
mod recover;

use super::{Error, Store, sectors};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use commit::{Change, Pending, Slot};
use core::cell::RefCell;
use core::future::poll_fn;
use devices::block::{Block, ErrorKind};
use format::{FIRST, PAGE, RECORD, Record, Superblock};

/// The length of the longest key in bytes.
pub const KEY: usize = 255;

/// The least that the index may take of memory by default, in bytes.
pub const MEMORY: usize = 1 << 20;

/// The approximate overhead of a key in the index, in bytes.
const ENTRY: usize = 80;

/// The size of the longest commit in pages, on a disk that is large enough.
const LONGEST: u64 = 32;

/// The size of the smallest log in pages.
const LEAST: u64 = 16;

/// A store on the disk `B`. Clones are the same store.
#[derive(Debug)]
pub struct Keys<B>(Rc<Inner<B>>);

impl<B> Clone for Keys<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Inner<B> {
    disk: B,
    id: u64,
    /// The size of the log in pages.
    pages: u64,
    /// The size of the longest commit in pages.
    longest: u64,
    state: RefCell<State>,
}

/// Locates a key's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Location {
    /// Its offset in the log, in bytes from position 0.
    at: u64,
    /// The length of the value in bytes.
    length: u32,
}

#[derive(Debug)]
struct State {
    index: BTreeMap<Box<[u8]>, Location>,
    /// The size of all live records in bytes.
    live: u64,
    /// The memory that is left for the index, in bytes.
    memory: usize,
    /// The positions of the first commit, and of the next one.
    tail: u64,
    head: u64,
    /// The checksums of the commits before these.
    tail_chain: u32,
    chain: u32,
    /// The tail, and the checksum before it, that the superblocks could not be moved to: what was
    /// before it has been rewritten at the head.
    cleaned: Option<(u64, u32)>,
    /// The page of the superblock that was written last: if that failed, the only one that may be
    /// damaged, and the first to be written again.
    suspect: u64,
    generation: u64,
    queue: VecDeque<Pending>,
    /// Whether a task is emptying the queue.
    running: bool,
}

/// Changes that are made as a whole or not at all, by [`Keys::apply`].
#[derive(Clone, Debug, Default)]
pub struct Batch(Vec<Change>);

impl Batch {
    /// Makes an empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets the value of `key`.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> &mut Self {
        self.0.push(Change::Set(key.into(), value.into()));
        self
    }

    /// Removes `key`, if there is such a key.
    pub fn delete(&mut self, key: &[u8]) -> &mut Self {
        self.0.push(Change::Delete(key.into()));
        self
    }

    /// Moves the value of `from`, which must exist, to `to` and removes `from`.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> &mut Self {
        self.0.push(Change::Rename(from.into(), to.into()));
        self
    }
}

impl<B: Block + 'static> Keys<B> {
    /// Opens the store on `disk`. Its index may take a quarter of the memory that is free, but at
    /// least [`MEMORY`].
    ///
    /// # Errors
    /// [`Error::OtherFormat`] if the disk holds none, [`Error::Damaged`], [`Error::Shrunk`],
    /// [`Error::TooManyKeys`], [`Error::NoMemory`], and the disk's.
    pub async fn open(disk: B) -> Result<Self, Error> {
        Self::with_memory(disk, crate::fs::spare_memory().max(MEMORY)).await
    }

    /// Opens a store whose index may take about `memory` bytes.
    ///
    /// # Errors
    /// As of [`Keys::open`].
    pub async fn with_memory(disk: B, memory: usize) -> Result<Self, Error> {
        Ok(Self(Rc::new(recover::open(disk, memory).await?)))
    }

    /// Formats `disk` as an empty store. Its content is lost.
    ///
    /// # Errors
    /// [`Error::Full`] if the disk is too small, [`Error::ReadOnly`], and the disk's.
    pub async fn format(disk: B) -> Result<Self, Error> {
        recover::format(&disk).await?;
        Self::open(disk).await
    }

    /// Opens the store on `disk`, and formats the disk first if it is blank. A disk that holds
    /// anything else is left alone.
    ///
    /// # Errors
    /// As of [`Keys::open`].
    pub async fn open_or_format(disk: B) -> Result<Self, Error> {
        if recover::is_blank(&disk).await? {
            Self::format(disk).await
        } else {
            Self::open(disk).await
        }
    }

    /// Makes all changes of `batch`, or none of them. Dropping the future does not cancel them.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a rename of a missing key, and as of [`Store::set`].
    pub async fn apply(&self, batch: Batch) -> Result<(), Error> {
        let slot = Rc::<Slot>::default();
        {
            let mut state = self.0.state.borrow_mut();
            state.queue.push_back(Pending { changes: batch.0, slot: slot.clone() });
            if !state.running {
                state.running = true;
                // A write whose future is dropped may still reach the disk, over something
                // newer. So a task of its own writes.
                kernel::task::spawn(commit::run(self.0.clone())).detach();
            }
        }
        poll_fn(|context| slot.poll(context)).await
    }

    /// Records the end of the log in the superblocks, so that damage to the last commit is
    /// detected when the store is opened again.
    ///
    /// # Errors
    /// The disk's.
    pub async fn close(self) -> Result<(), Error> {
        self.apply(Batch(vec![Change::Close])).await
    }

    /// Returns the bytes of live records, and how many fit.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        (self.0.state.borrow().live, self.0.capacity())
    }
}

impl<B> Inner<B> {
    /// Returns the bytes of live records that there is room for. The pages of two commits stay
    /// free: one for cleaning, one for deletes.
    fn capacity(&self) -> u64 {
        (self.pages - 3 * self.longest) * PAGE as u64
    }
}

impl<B: Block> Inner<B> {
    /// Reads `count` pages of the log from position `from` on, which may wrap around its end.
    async fn read(&self, from: u64, count: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let length = count as usize * PAGE;
        bytes.try_reserve_exact(length).map_err(|_| Error::NoMemory)?;
        bytes.resize(length, 0);
        let first = from % self.pages;
        let before = (self.pages - first).min(count) as usize * PAGE;
        let (low, high) = bytes.split_at_mut(before);
        sectors::read(&self.disk, (FIRST + first) * PAGE as u64, low).await?;
        if !high.is_empty() {
            sectors::read(&self.disk, FIRST * PAGE as u64, high).await?;
        }
        Ok(bytes)
    }

    /// Writes whole pages of the log from position `at` on, and flushes.
    async fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let lost = self.disk.info().lost;
        let first = at % self.pages;
        let before = ((self.pages - first) as usize * PAGE).min(bytes.len());
        let (low, high) = bytes.split_at(before);
        write_page(&self.disk, FIRST + first, low).await?;
        if !high.is_empty() {
            write_page(&self.disk, FIRST, high).await?;
        }
        flush(&self.disk, lost).await
    }

    /// Reads the record of `key` at `location`.
    async fn record(&self, key: &[u8], location: Location) -> Result<Vec<u8>, Error> {
        let page = PAGE as u64;
        let size = format::size(key.len(), location.length as usize) as u64;
        let (first, end) = (location.at / page, (location.at + size).div_ceil(page));
        let mut bytes = self.read(first, end - first).await?;
        bytes.drain(..(location.at % page) as usize);
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    /// Returns the value of `key`.
    async fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let location = |key: &[u8]| self.state.borrow().index.get(key).copied();
        loop {
            let Some(from) = location(key) else { return Ok(None) };
            let mut bytes = self.record(key, from).await?;
            let right = matches!(
                Record::decode(&bytes),
                Some((record, _)) if record.key == key && record.value.is_some()
            );
            if right {
                bytes.drain(..RECORD + key.len());
                return Ok(Some(bytes));
            }
            // The record may have been moved meanwhile, and its space reused.
            if location(key) == Some(from) {
                return Err(Error::Damaged);
            }
        }
    }
}

/// Writes `bytes`, which are whole pages, from page `page` of the disk on.
async fn write_page<B: Block>(disk: &B, page: u64, bytes: &[u8]) -> Result<(), Error> {
    let sectors = PAGE as u64 / u64::from(disk.info().sector_size);
    disk.write(page * sectors, bytes).await.map_err(Error::of_disk)
}

/// Writes the superblock at page `slot`. Both are written, the older or damaged one first, so that
/// one of them is valid at any moment.
async fn write_superblock<B: Block>(
    disk: &B,
    superblock: &Superblock,
    slot: u64,
) -> Result<(), Error> {
    let lost = disk.info().lost;
    write_page(disk, slot, &superblock.encode()).await?;
    flush(disk, lost).await
}

/// Makes what was written durable. Before that, writes had been lost `lost` times: of a loss since
/// then, a flush of another user of the disk may have been told.
async fn flush<B: Block>(disk: &B, lost: u32) -> Result<(), Error> {
    disk.flush().await.map_err(Error::of_disk)?;
    if disk.info().lost == lost { Ok(()) } else { Err(Error::Disk(ErrorKind::Failed)) }
}

impl<B: Block + 'static> Store for Keys<B> {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.0.value(key).await
    }

    async fn set(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.set(key, value);
        self.apply(batch).await
    }

    async fn delete(&self, key: &[u8]) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete(key);
        self.apply(batch).await
    }

    async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.rename(from, to);
        self.apply(batch).await
    }

    async fn list(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], u64)) -> Result<(), Error> {
        let state = self.0.state.borrow();
        let from = state.index.range(Box::<[u8]>::from(prefix)..);
        for (key, location) in from.take_while(|(key, _)| key.starts_with(prefix)) {
            each(key, location.length.into());
        }
        Ok(())
    }
}

/// Makes the checksums right of what a test did to a disk.
#[cfg(test)]
pub(crate) fn reseal(disk: &mut [u8]) {
    format::reseal(disk);
}
