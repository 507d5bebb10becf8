//! Caches sectors of the FAT, or of folders.

use crate::{Error, sectors};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::RangeInclusive;
use devices::block::Block;

/// The size of a read or a write, in bytes.
const AT_ONCE: usize = 32 * 1024;

/// The most bytes of unchanged sectors that are cached.
const KEPT: usize = 128 * 1024;

/// Caches sectors by number, with changes that are not written yet.
#[derive(Debug)]
pub(super) struct SectorCache {
    /// The size of a sector in bytes.
    size: usize,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Each with the number of its last use.
    sectors: BTreeMap<u64, (u64, Box<[u8]>)>,
    changed: BTreeSet<u64>,
    uses: u64,
}

impl SectorCache {
    pub(super) fn new(size: u64) -> Self {
        Self { size: size as usize, inner: RefCell::default() }
    }

    /// Drops all sectors, including changed ones.
    pub(super) fn forget(&self) {
        *self.inner.borrow_mut() = Inner::default();
    }

    /// Drops `count` sectors, which were overwritten on the disk.
    pub(super) fn forget_range(&self, first: u64, count: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.sectors.retain(|number, _| !(first..first + count).contains(number));
        inner.changed.retain(|number| !(first..first + count).contains(number));
    }

    /// Returns the number of changed sectors.
    pub(super) fn changed(&self) -> usize {
        self.inner.borrow().changed.len()
    }

    /// Calls `with` with sector `number`, counted from byte `base` of the disk. If it is not
    /// cached, it is read together with some that follow it, before sector `end`.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn get<B: Block, T>(
        &self,
        disk: &B,
        base: u64,
        number: u64,
        end: u64,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Error> {
        self.load(disk, base, number, end).await?;
        let mut inner = self.inner.borrow_mut();
        inner.uses += 1;
        let uses = inner.uses;
        let (used, sector) = inner.sectors.get_mut(&number).ok_or(Error::Damaged)?;
        *used = uses;
        Ok(with(sector))
    }

    /// Calls `with` to change a sector, which [`SectorCache::write`] writes later.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn change<B: Block, T>(
        &self,
        disk: &B,
        base: u64,
        number: u64,
        with: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T, Error> {
        self.load(disk, base, number, number + 1).await?;
        let mut inner = self.inner.borrow_mut();
        inner.changed.insert(number);
        let (_, sector) = inner.sectors.get_mut(&number).ok_or(Error::Damaged)?;
        Ok(with(sector))
    }

    async fn load<B: Block>(
        &self,
        disk: &B,
        base: u64,
        number: u64,
        end: u64,
    ) -> Result<(), Error> {
        if self.inner.borrow().sectors.contains_key(&number) {
            return Ok(());
        }
        let count = (end.saturating_sub(number) as usize).clamp(1, AT_ONCE / self.size);
        let mut bytes = kernel::memory::zeroed(count * self.size).ok_or(Error::NoMemory)?;
        sectors::read(disk, base + number * self.size as u64, &mut bytes).await?;
        let mut inner = self.inner.borrow_mut();
        inner.trim(KEPT / self.size);
        for (number, sector) in (number..).zip(bytes.chunks_exact(self.size)) {
            inner.uses += 1;
            let uses = inner.uses;
            inner.sectors.entry(number).or_insert_with(|| (uses, sector.into()));
        }
        Ok(())
    }

    /// Returns whether sectors outside of `range` are changed.
    pub(super) fn changed_but(&self, range: &RangeInclusive<u64>) -> bool {
        self.inner.borrow().changed.iter().any(|number| !range.contains(number))
    }

    /// Has `write` write the changed sectors that `which` selects, once relative to each of the
    /// offsets `bases`.
    ///
    /// # Errors
    /// The disk's; which sectors were written is then unknown.
    pub(super) async fn write(
        &self,
        write: impl AsyncFn(u64, &[u8]) -> Result<(), Error>,
        bases: impl Iterator<Item = u64> + Clone,
        which: impl Fn(&u64) -> bool,
    ) -> Result<(), Error> {
        let all: Vec<u64> = self.inner.borrow().changed.iter().copied().collect();
        let changed: Vec<u64> = all.into_iter().filter(&which).collect();
        let most = AT_ONCE / self.size;
        for base in bases {
            let mut rest = &changed[..];
            while let Some(&first) = rest.first() {
                let in_row = (first..).zip(rest).take(most).take_while(|(a, b)| a == *b).count();
                let mut bytes = Vec::with_capacity(in_row * self.size);
                for number in &rest[..in_row] {
                    let inner = self.inner.borrow();
                    let (_, sector) = inner.sectors.get(number).ok_or(Error::Damaged)?;
                    bytes.extend_from_slice(sector);
                }
                write(base + first * self.size as u64, &bytes).await?;
                rest = &rest[in_row..];
            }
        }
        self.inner.borrow_mut().changed.retain(|number| !which(number));
        Ok(())
    }
}

impl Inner {
    /// Evicts the less recently used half of the unchanged sectors, if there are more than
    /// `most`.
    fn trim(&mut self, most: usize) {
        if self.sectors.len() < most {
            return;
        }
        let mut uses: Vec<u64> = self.sectors.values().map(|(used, _)| *used).collect();
        uses.sort_unstable();
        let least = uses.get(uses.len() / 2).copied().unwrap_or(0);
        let changed = &self.changed;
        self.sectors.retain(|number, (used, _)| *used >= least || changed.contains(number));
    }
}
