//! Synchronous code on an asynchronous disk.
//!
//! The code runs on lines of the disk in memory. Where it needs one that is not there,
//! its read fails, the line is fetched, and the code runs again from its beginning: it
//! must have no effect but its writes, and these are kept apart until it has come to
//! its end. Each run reads a bounded number of bytes, so that a disk on which chains
//! lead in circles makes it fail, and not hang.

use super::{Error, sectors};
use crate::block::Block;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// Bytes of a line.
const LINE: usize = 4096;
/// Lines that are fetched at once.
const FETCH: u64 = 8;
/// Lines that are kept between runs.
const KEPT: usize = 128;
/// Lines that one run may need.
const MOST: usize = 512;

/// What a read in a run failed with; [`Replay::run`] knows more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped;

impl core::fmt::Display for Stopped {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the disk has to be read first")
    }
}

impl core::error::Error for Stopped {}

/// A disk of which parts are in memory.
#[derive(Debug)]
pub(super) struct Replay<B> {
    disk: B,
    lines: Rc<Lines>,
    /// Something is being written, and runs have to wait.
    busy: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// The parts that are in memory. Clones are the same.
#[derive(Debug, Default)]
pub(super) struct Lines(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By number, with the moment of the last use.
    lines: BTreeMap<u64, (u64, Vec<u8>)>,
    uses: u64,
    /// What a run has written, before it is over.
    written: BTreeMap<u64, Vec<u8>>,
    missing: Option<u64>,
    /// Bytes that a run may still read and write.
    budget: u64,
    /// Bytes of the disk.
    size: u64,
}

impl Lines {
    /// Bytes of the disk.
    pub(super) fn size(&self) -> u64 {
        self.0.borrow().size
    }

    /// Reads all of `to` from byte `at` on.
    ///
    /// # Errors
    /// [`Stopped`] when something is not in memory, not on the disk, or too much.
    pub(super) fn read(&self, at: u64, to: &mut [u8]) -> Result<(), Stopped> {
        self.each(at, to.len(), |inner, number, within, done| {
            inner.uses += 1;
            let uses = inner.uses;
            let line = match (inner.written.get(&number), inner.lines.get_mut(&number)) {
                (Some(line), _) => line,
                (None, Some((used, line))) => {
                    *used = uses;
                    line
                }
                (None, None) => {
                    inner.missing.get_or_insert(number);
                    return Err(Stopped);
                }
            };
            let from = line.get(within.clone()).ok_or(Stopped)?;
            to.get_mut(done..done + within.len()).ok_or(Stopped)?.copy_from_slice(from);
            Ok(())
        })
    }

    /// Writes `from` from byte `at` on, once the run is over.
    ///
    /// # Errors
    /// As of [`Lines::read`].
    pub(super) fn write(&self, at: u64, from: &[u8]) -> Result<(), Stopped> {
        self.each(at, from.len(), |inner, number, within, done| {
            if !inner.written.contains_key(&number) {
                let Some((_, line)) = inner.lines.get(&number) else {
                    inner.missing.get_or_insert(number);
                    return Err(Stopped);
                };
                inner.written.insert(number, line.clone());
            }
            let line = inner.written.get_mut(&number).ok_or(Stopped)?;
            let to = line.get_mut(within.clone()).ok_or(Stopped)?;
            to.copy_from_slice(from.get(done..done + within.len()).ok_or(Stopped)?);
            Ok(())
        })
    }

    /// Calls `part` for each line: with the range in it, and what was done before.
    fn each(
        &self,
        at: u64,
        length: usize,
        mut part: impl FnMut(&mut Inner, u64, core::ops::Range<usize>, usize) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let mut inner = self.0.borrow_mut();
        // Each call counts, so that those for nothing are bounded as well.
        inner.budget = inner.budget.checked_sub(length as u64 + 16).ok_or(Stopped)?;
        if at.checked_add(length as u64).is_none_or(|end| end > inner.size) {
            return Err(Stopped);
        }
        let mut done = 0;
        while done < length {
            let at = at + done as u64;
            let start = (at % LINE as u64) as usize;
            let end = LINE.min(start + length - done);
            part(&mut inner, at / LINE as u64, start..end, done)?;
            done += end - start;
        }
        Ok(())
    }
}

/// Lets others run again.
struct Turn<'a, B>(&'a Replay<B>);

impl<B> Drop for Turn<'_, B> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        let waiting = self.0.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl<B: Block> Replay<B> {
    pub(super) fn new(disk: B) -> Self {
        let lines = Rc::new(Lines::default());
        lines.0.borrow_mut().size = sectors::size(&disk);
        Self { disk, lines, busy: Cell::new(false), waiting: RefCell::default() }
    }

    pub(super) const fn disk(&self) -> &B {
        &self.disk
    }

    /// Runs `code`, as often as it takes, until no read of it fails for want of a
    /// line, and then writes what it wrote. It may read and write `budget` bytes.
    ///
    /// # Errors
    /// What `code` returns; [`Error::NoMemory`] if it needs too much of the disk at
    /// once; and the disk's.
    pub(super) async fn run<T>(
        &self,
        budget: u64,
        mut code: impl FnMut(&Rc<Lines>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _turn = self.turn().await;
        let mut fetched = BTreeSet::new();
        loop {
            {
                let mut inner = self.lines.0.borrow_mut();
                inner.written.clear();
                (inner.missing, inner.budget) = (None, budget);
            }
            let result = code(&self.lines);
            let (missing, spent, written) = {
                let mut inner = self.lines.0.borrow_mut();
                let written = core::mem::take(&mut inner.written);
                (inner.missing, inner.budget == 0, written)
            };
            match missing {
                Some(line) if fetched.len() < MOST => self.fetch(line, &mut fetched).await?,
                Some(_) => return Err(Error::NoMemory),
                None if spent => return Err(Error::Damaged),
                None => {
                    let value = result?;
                    self.put(written).await?;
                    self.trim();
                    return Ok(value);
                }
            }
        }
    }

    async fn turn(&self) -> Turn<'_, B> {
        poll_fn(|context| {
            if self.busy.replace(true) {
                self.waiting.borrow_mut().push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Turn(self))
        })
        .await
    }

    /// Fetches `line` and its neighbours.
    async fn fetch(&self, line: u64, fetched: &mut BTreeSet<u64>) -> Result<(), Error> {
        let first = line - line % FETCH;
        let start = first * LINE as u64;
        let length = (self.lines.size() - start).min(FETCH * LINE as u64) as usize;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| Error::NoMemory)?;
        bytes.resize(length, 0);
        sectors::read(&self.disk, start, &mut bytes).await?;
        let mut inner = self.lines.0.borrow_mut();
        for (number, bytes) in (first..).zip(bytes.chunks(LINE)) {
            inner.uses += 1;
            let uses = inner.uses;
            inner.lines.entry(number).or_insert_with(|| (uses, bytes.to_vec()));
            fetched.insert(number);
        }
        Ok(())
    }

    /// Writes what a run has written, whole lines in their order on the disk. A run
    /// that was given up while it wrote leaves nothing in memory that is not there.
    async fn put(&self, written: BTreeMap<u64, Vec<u8>>) -> Result<(), Error> {
        if written.is_empty() {
            return Ok(());
        }
        let size = u64::from(self.disk.info().sector_size);
        let kept = core::mem::take(&mut self.lines.0.borrow_mut().lines);
        for (number, bytes) in &written {
            let sector = number * LINE as u64 / size;
            self.disk.write(sector, bytes).await.map_err(Error::of_disk)?;
        }
        let mut inner = self.lines.0.borrow_mut();
        inner.lines = kept;
        for (number, bytes) in written {
            inner.uses += 1;
            let uses = inner.uses;
            inner.lines.insert(number, (uses, bytes));
        }
        Ok(())
    }

    /// Lets go of the lines that were used least.
    fn trim(&self) {
        let mut inner = self.lines.0.borrow_mut();
        if inner.lines.len() > KEPT {
            let mut uses: Vec<_> = inner.lines.values().map(|(used, _)| *used).collect();
            uses.sort_unstable();
            let least = uses.get(uses.len() - KEPT).copied().unwrap_or(0);
            inner.lines.retain(|_, (used, _)| *used >= least);
        }
    }
}
