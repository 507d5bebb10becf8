//! Sectors in memory: those of the table, or of folders.

use crate::{Error, sectors};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::RangeInclusive;
use devices::block::Block;

/// Bytes that are read, or written, at once.
const AT_ONCE: usize = 32 * 1024;

/// Bytes that are kept beside those that have to be written.
const KEPT: usize = 128 * 1024;

/// Sectors by number, as they are or shall be on the disk.
#[derive(Debug)]
pub(super) struct Lines {
    /// Bytes of each.
    size: usize,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// With the moment of the last use.
    lines: BTreeMap<u64, (u64, Box<[u8]>)>,
    changed: BTreeSet<u64>,
    uses: u64,
}

impl Lines {
    pub(super) fn new(size: u64) -> Self {
        Self { size: size as usize, inner: RefCell::default() }
    }

    /// Lets go of all of them, also of what was changed.
    pub(super) fn forget(&self) {
        *self.inner.borrow_mut() = Inner::default();
    }

    /// Lets go of `count` of them: something else was written there.
    pub(super) fn forget_range(&self, first: u64, count: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.lines.retain(|number, _| !(first..first + count).contains(number));
        inner.changed.retain(|number| !(first..first + count).contains(number));
    }

    /// How many have to be written.
    pub(super) fn changed(&self) -> usize {
        self.inner.borrow().changed.len()
    }

    /// Gives `with` the sector `number`, of those that begin at byte `base`. If it has to
    /// be read, so are some that follow it, up to sector `end`.
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
        let (used, line) = inner.lines.get_mut(&number).ok_or(Error::Damaged)?;
        *used = uses;
        Ok(with(line))
    }

    /// Lets `with` change a sector, which is written by [`Lines::write`].
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
        let (_, line) = inner.lines.get_mut(&number).ok_or(Error::Damaged)?;
        Ok(with(line))
    }

    async fn load<B: Block>(
        &self,
        disk: &B,
        base: u64,
        number: u64,
        end: u64,
    ) -> Result<(), Error> {
        if self.inner.borrow().lines.contains_key(&number) {
            return Ok(());
        }
        let count = (end.saturating_sub(number) as usize).clamp(1, AT_ONCE / self.size);
        let mut bytes = kernel::memory::zeroed(count * self.size).ok_or(Error::NoMemory)?;
        sectors::read(disk, base + number * self.size as u64, &mut bytes).await?;
        let mut inner = self.inner.borrow_mut();
        inner.trim(KEPT / self.size);
        for (number, line) in (number..).zip(bytes.chunks_exact(self.size)) {
            inner.uses += 1;
            let uses = inner.uses;
            inner.lines.entry(number).or_insert_with(|| (uses, line.into()));
        }
        Ok(())
    }

    /// Whether sectors but those of `range` have to be written.
    pub(super) fn changed_but(&self, range: &RangeInclusive<u64>) -> bool {
        self.inner.borrow().changed.iter().any(|number| !range.contains(number))
    }

    /// Writes what was changed of the sectors that `which` names, once from each of the
    /// places `bases` on.
    ///
    /// # Errors
    /// The disk's: then nobody knows what was written.
    pub(super) async fn write<B: Block>(
        &self,
        disk: &B,
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
                    let (_, line) = inner.lines.get(number).ok_or(Error::Damaged)?;
                    bytes.extend_from_slice(line);
                }
                sectors::write(disk, base + first * self.size as u64, &bytes).await?;
                rest = &rest[in_row..];
            }
        }
        self.inner.borrow_mut().changed.retain(|number| !which(number));
        Ok(())
    }
}

impl Inner {
    /// Keeps the half that was used last, if there are more than `most`.
    fn trim(&mut self, most: usize) {
        if self.lines.len() < most {
            return;
        }
        let mut uses: Vec<u64> = self.lines.values().map(|(used, _)| *used).collect();
        uses.sort_unstable();
        let least = uses.get(uses.len() / 2).copied().unwrap_or(0);
        let changed = &self.changed;
        self.lines.retain(|number, (used, _)| *used >= least || changed.contains(number));
    }
}
