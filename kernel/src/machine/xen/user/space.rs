//! An address space: which page is where, and the tables that say so to the processor.

mod relocate;

use super::entry;
use super::frame::Frame;
use super::processor::leave;
use super::table::{Batch, Table, page_entry, refused};
use crate::machine::program::{Access, Error, PAGE, Stats, check_page};
use ::xen::hypercall::{mmuext_op_pin_l4_table, mmuext_op_tlb_flush_local, mmuext_op_unpin_table};
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::mem::{forget, replace, take};
use core::ops::Range;

/// Most level-1 tables without a page that are kept, beside one for so many that have some: what
/// looks for them looks at all.
const EMPTY: usize = 8;
const FULL: usize = 16;

/// Holds a program's address space: which page is where, and what may be done with it.
#[derive(Debug)]
pub struct Space {
    root: Option<Table>,
    /// The tables of level 3 and of level 2, by address.
    upper: [Vec<Upper>; 2],
    /// The tables of level 1, by address.
    leaves: Vec<Leaf>,
    /// How many of them have no page.
    empty: usize,
    pub(super) batch: Batch,
    /// Whether the TLB may have what is not so any more.
    stale: bool,
    /// Pages that were removed, while the TLB may have them.
    removed: heapless::Vec<Frame, 64>,
    pages: usize,
    /// The address of the last fault that should not have been one.
    retried: usize,
    /// Which of `leaves` a page was last looked for in: calls of a program mostly touch the same.
    recent: Cell<usize>,
}

/// A table of tables.
#[derive(Debug)]
struct Upper {
    /// The address, in units of what the table maps.
    key: usize,
    table: Table,
    /// Number of tables that it leads to.
    children: usize,
}

/// A table of pages.
#[derive(Debug)]
struct Leaf {
    /// The address, in units of 2 MiB.
    key: usize,
    table: Table,
    pages: Box<Pages>,
    /// Number of pages.
    count: usize,
}

/// The pages of a table. Zeros are none.
#[derive(Debug)]
struct Pages {
    frames: [Option<Frame>; 512],
    access: [Access; 512],
}

/// Returns log2 of what a table of `level` 1 to 3 maps in bytes.
const fn shift(level: usize) -> usize {
    12 + 9 * level
}

/// Returns the index of the page at `at` in its table.
const fn index(at: usize) -> usize {
    at >> 12 & 511
}

/// Returns the key of the table of level 1 for `at`.
const fn key(at: usize) -> usize {
    at >> shift(1)
}

/// Finds the tables for `range`.
fn within(leaves: &[Leaf], range: &Range<usize>) -> Range<usize> {
    let first = leaves.partition_point(|leaf| leaf.key < key(range.start));
    let end = leaves.partition_point(|leaf| leaf.key << shift(1) < range.end);
    first..end.max(first)
}

fn new_pages() -> Option<Box<Pages>> {
    // SAFETY: the size is not 0.
    let pages = unsafe { alloc_zeroed(Layout::new::<Pages>()) }.cast::<Pages>();
    // SAFETY: allocated with this layout, and zeros are a value: `None`, and no access.
    (!pages.is_null()).then(|| unsafe { Box::from_raw(pages) })
}

impl Leaf {
    /// Returns the indices of the table that `range` covers.
    fn indices(&self, range: &Range<usize>) -> Range<usize> {
        let base = self.key << shift(1);
        // A page is in the range if it begins there.
        let of = |at: usize| at.saturating_sub(base).div_ceil(PAGE).min(512);
        of(range.start)..of(range.end)
    }
}

impl Space {
    /// Makes an empty space.
    ///
    /// # Errors
    /// [`Error::Memory`], or Xen's reason.
    pub fn new() -> Result<Self, Error> {
        entry::open().map_err(refused)?;
        let root = Table::new()?;
        // SAFETY: nobody writes a `Table`.
        if let Err(errno) = unsafe { mmuext_op_pin_l4_table(root.mfn()) } {
            root.free();
            return Err(refused(errno));
        }
        Ok(Self {
            root: Some(root),
            upper: [Vec::new(), Vec::new()],
            leaves: Vec::new(),
            empty: 0,
            batch: Batch::default(),
            stale: false,
            removed: heapless::Vec::new(),
            pages: 0,
            retried: 0,
            recent: Cell::new(0),
        })
    }

    /// Returns the table of level 4.
    pub(super) const fn root(&self) -> Option<&Table> {
        self.root.as_ref()
    }

    /// Whether the tables and the TLB are as they should be.
    pub(super) fn is_settled(&self) -> bool {
        !self.stale && self.batch.is_settled()
    }

    /// Finds the table of level 1 for `at`.
    fn find(&self, at: usize) -> Result<usize, usize> {
        self.leaves.binary_search_by_key(&key(at), |leaf| leaf.key)
    }

    /// Finds the table of level 1 for `at`, and remembers it.
    #[inline(never)]
    fn search(&self, at: usize) -> Option<&Leaf> {
        let found = self.find(at).ok()?;
        self.recent.set(found);
        self.leaves.get(found)
    }

    /// Finds the tables of level 1 for `range`.
    fn within(&self, range: &Range<usize>) -> Range<usize> {
        within(&self.leaves, range)
    }

    /// Returns the place of the entry for the table of `level` for `at`, in a table of the next
    /// level, which is made if it is missing. Counts one more table there.
    fn parent(&mut self, at: usize, level: usize) -> Result<u64, Error> {
        let index = at >> shift(level) & 511;
        let Some(tables) = self.upper.get_mut(level - 1) else {
            return self.root.as_ref().map(|root| root.place(index)).ok_or(Error::Memory);
        };
        let key = at >> shift(level + 1);
        let found = match tables.binary_search_by_key(&key, |upper| upper.key) {
            Ok(found) => found,
            Err(to) => {
                tables.try_reserve(1).map_err(|_| Error::Memory)?;
                let table = self.link(at, level + 1)?;
                self.upper[level - 1].insert(to, Upper { key, table, children: 0 });
                to
            }
        };
        let upper = &mut self.upper[level - 1][found];
        upper.children += 1;
        Ok(upper.table.place(index))
    }

    /// Makes a table of `level` for `at`.
    fn link(&mut self, at: usize, level: usize) -> Result<Table, Error> {
        let table = Table::new()?;
        match self.parent(at, level) {
            Ok(place) => {
                self.batch.push(place, table.entry());
                Ok(table)
            }
            Err(error) => {
                table.free();
                Err(error)
            }
        }
    }

    /// Returns the table of level 1 for `at`, which is made if it is missing.
    fn leaf(&mut self, at: usize) -> Result<usize, Error> {
        let to = match self.find(at) {
            Ok(found) => return Ok(found),
            Err(to) => to,
        };
        self.leaves.try_reserve(1).map_err(|_| Error::Memory)?;
        let pages = new_pages().ok_or(Error::Memory)?;
        let table = self.link(at, 1)?;
        self.leaves.insert(to, Leaf { key: key(at), table, pages, count: 0 });
        self.empty += 1;
        Ok(to)
    }

    /// Puts `frame` at the page `at`, instead of what was there.
    ///
    /// # Errors
    /// [`Error::Memory`] for a table, [`Error::Address`], or Xen's reason. Nothing is changed.
    pub fn map(&mut self, at: usize, frame: Frame, access: Access) -> Result<(), Error> {
        check_page(at)?;
        let leaf = self.leaf(at)?;
        let leaf = &mut self.leaves[leaf];
        let entry = page_entry(&frame, access);
        let old = leaf.pages.frames[index(at)].replace(frame);
        let accessible = !replace(&mut leaf.pages.access[index(at)], access).is_empty();
        if accessible || entry != 0 {
            self.batch.push(leaf.table.place(index(at)), entry);
        }
        match old {
            Some(old) => self.remove(old, accessible),
            None => {
                self.empty -= usize::from(leaf.count == 0);
                leaf.count += 1;
                self.pages += 1;
            }
        }
        Ok(())
    }

    /// Keeps a page that was removed until the TLB is flushed, if the TLB may have it.
    fn remove(&mut self, frame: Frame, accessible: bool) {
        if accessible {
            if self.removed.is_full() {
                self.settle();
            }
            // There is room.
            let _ = self.removed.push(frame);
            self.stale = true;
        }
    }

    /// Returns the page at `at`, a multiple of [`PAGE`].
    #[must_use]
    pub fn frame(&self, at: usize) -> Option<(&Frame, Access)> {
        let recent = self.leaves.get(self.recent.get()).filter(|leaf| leaf.key == key(at));
        let leaf = match recent {
            Some(leaf) => leaf,
            None => self.search(at)?,
        };
        let frame = leaf.pages.frames[index(at)].as_ref().filter(|_| at.is_multiple_of(PAGE))?;
        Some((frame, leaf.pages.access[index(at)]))
    }

    /// Returns the pages that begin within `range`, by ascending address.
    pub fn pages(&self, range: Range<usize>) -> impl Iterator<Item = (usize, &Frame, Access)> {
        self.leaves[self.within(&range)].iter().flat_map(move |leaf| {
            leaf.indices(&range).filter_map(|index| {
                let frame = leaf.pages.frames[index].as_ref()?;
                Some(((leaf.key << shift(1)) + index * PAGE, frame, leaf.pages.access[index]))
            })
        })
    }

    /// Changes what may be done with the pages that begin within `range`.
    ///
    /// # Errors
    /// Xen's reason.
    pub fn protect(&mut self, range: Range<usize>, access: Access) -> Result<(), Error> {
        let leaves = self.within(&range);
        for leaf in &mut self.leaves[leaves] {
            for index in leaf.indices(&range) {
                let Some(frame) = &leaf.pages.frames[index] else { continue };
                let old = replace(&mut leaf.pages.access[index], access);
                if old != access {
                    self.stale |= !access.contains(old);
                    self.batch.push(leaf.table.place(index), page_entry(frame, access));
                }
            }
        }
        self.batch.check()
    }

    /// Changes what may be done with the page at `at`, if there is one.
    ///
    /// # Errors
    /// Xen's reason.
    pub fn set_access(&mut self, at: usize, access: Access) -> Result<(), Error> {
        self.protect(at..at.saturating_add(1), access)
    }

    /// Removes the pages that begin within `range`. No program reaches them any more.
    pub fn unmap(&mut self, range: Range<usize>) {
        for at in self.within(&range) {
            for index in self.leaves[at].indices(&range) {
                if let Some((frame, access)) = self.take_from(at, index) {
                    self.remove(frame, !access.is_empty());
                }
            }
        }
        self.reap();
    }

    /// Removes the page at `at` and returns it, to put it elsewhere.
    #[must_use]
    pub fn take(&mut self, at: usize) -> Option<(Frame, Access)> {
        let leaf = self.find(at).ok().filter(|_| at.is_multiple_of(PAGE))?;
        let taken = self.take_from(leaf, index(at));
        self.reap();
        taken
    }

    /// Removes page `index` of a table.
    fn take_from(&mut self, leaf: usize, index: usize) -> Option<(Frame, Access)> {
        let leaf = &mut self.leaves[leaf];
        let frame = leaf.pages.frames[index].take()?;
        let access = take(&mut leaf.pages.access[index]);
        leaf.count -= 1;
        self.empty += usize::from(leaf.count == 0);
        self.pages -= 1;
        if !access.is_empty() {
            self.batch.push(leaf.table.place(index), 0);
            self.stale = true;
        }
        Some((frame, access))
    }

    /// Makes the changes that wait, flushes the TLB if it has to be, and lets go of pages that were
    /// removed, which they keep their share of until then. So does [`run`](Self::run).
    pub fn settle(&mut self) {
        self.batch.flush();
        if take(&mut self.stale) && mmuext_op_tlb_flush_local().is_err() {
            // Never seen. The program may reach them, so nobody else may have them.
            take(&mut self.removed).into_iter().for_each(forget);
        }
        self.removed.clear();
    }

    /// Returns whether the last fault that should not have been one was not at `address`.
    pub(super) fn is_first_fault(&mut self, address: usize) -> bool {
        replace(&mut self.retried, address) != address
    }

    /// Says that the TLB may have what is not so any more.
    pub(super) const fn set_stale(&mut self) {
        self.stale = true;
    }

    /// Frees tables without pages, if there are more than a few: a program that maps a page here
    /// and there has no more tables than pages.
    fn reap(&mut self) {
        if self.empty <= EMPTY + (self.leaves.len() - self.empty) / FULL {
            return;
        }
        let [level2, level3] = &mut self.upper;
        for leaf in self.leaves.iter().filter(|leaf| leaf.count == 0) {
            unlink(level2, leaf.key, &mut self.batch);
        }
        for table in level2.iter().filter(|it| it.children == 0) {
            unlink(level3, table.key, &mut self.batch);
        }
        for table in level3.iter().filter(|it| it.children == 0) {
            if let Some(root) = &self.root {
                self.batch.push(root.place(table.key & 511), 0);
            }
        }
        self.stale = true;
        self.settle();
        self.leaves.extract_if(.., |it| it.count == 0).for_each(|it| it.table.free());
        self.empty = 0;
        for tables in &mut self.upper {
            tables.extract_if(.., |it| it.children == 0).for_each(|it| it.table.free());
        }
    }

    /// Counts the pages and tables.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let tables = 1 + self.leaves.len() + self.upper.iter().map(Vec::len).sum::<usize>();
        Stats { pages: self.pages, tables }
    }

    /// Calls `each` with the address and the entry of every page that the tables of the processor
    /// have, after the changes that wait: for tests.
    pub fn entries(&mut self, mut each: impl FnMut(usize, u64)) {
        self.settle();
        for leaf in &self.leaves {
            for index in 0..512 {
                match leaf.table.read(index) {
                    0 => (),
                    entry => each((leaf.key << shift(1)) + index * PAGE, entry),
                }
            }
        }
    }
}

/// Clears the entry for table `key` in that of `tables` which leads to it.
fn unlink(tables: &mut [Upper], key: usize, batch: &mut Batch) {
    if let Ok(found) = tables.binary_search_by_key(&(key >> 9), |it| it.key) {
        tables[found].children -= 1;
        batch.push(tables[found].table.place(key & 511), 0);
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let Some(root) = self.root.take() else { return };
        let left = leave(&root).and_then(|()| mmuext_op_unpin_table(root.mfn()));
        let leaves = take(&mut self.leaves);
        if left.and_then(|()| mmuext_op_tlb_flush_local()).is_err() {
            // Never seen. The processor may go on using them.
            take(&mut self.removed).into_iter().for_each(forget);
            forget((root, leaves, take(&mut self.upper)));
            return;
        }
        leaves.into_iter().for_each(|leaf| leaf.table.free());
        take(&mut self.upper).into_iter().flatten().for_each(|upper| upper.table.free());
        root.free();
    }
}
