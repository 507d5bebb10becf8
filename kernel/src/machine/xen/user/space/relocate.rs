//! Moves pages of an address space to other addresses, by whole tables where that is possible.

use super::{Space, key, shift};
use crate::machine::program::{Error, PAGE, check_page};
use core::mem::swap;
use core::ops::Range;

/// What a table of level 1 maps, in bytes.
const SPAN: usize = 1 << shift(1);

impl Space {
    /// Moves the pages that begin within `range` to where `to` begins, which nothing is mapped to
    /// and which does not overlap. Both are multiples of [`PAGE`]. `room` is asked before a table
    /// is made.
    ///
    /// # Errors
    /// [`Error::Memory`] for a table, [`Error::Address`]. All pages are where they were then.
    pub fn relocate(
        &mut self,
        range: Range<usize>,
        to: usize,
        room: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        check_page(range.start)?;
        check_page(to)?;
        let moved = self.shift(&range, to, room).map_err(|(error, at)| {
            // Tables are freed below alone: those are there that this takes.
            let back = to..to + (at - range.start);
            let _ = self.shift(&back, range.start, &|| true);
            error
        });
        self.reap();
        moved
    }

    /// Does that, and frees no table. An error comes with the first page that was not moved.
    fn shift(
        &mut self,
        range: &Range<usize>,
        to: usize,
        room: &dyn Fn() -> bool,
    ) -> Result<(), (Error, usize)> {
        let target = |at: usize| to + (at - range.start);
        let mut at = range.start;
        // The table at its end may have other pages behind that.
        while at < range.end {
            let tables = self.within(&(at..range.end));
            let Some(leaf) = self.leaves[tables].iter().find(|it| it.count > 0) else {
                return Ok(());
            };
            let base = leaf.key << shift(1);
            let (start, end) = (at.max(base), range.end.min(base + SPAN));
            if end - start == SPAN && target(start).is_multiple_of(SPAN) {
                self.swap_tables(start, target(start), room).map_err(|error| (error, start))?;
            } else {
                for page in (start..end).step_by(PAGE) {
                    self.shift_one(page, target(page), room).map_err(|error| (error, page))?;
                }
            }
            at = end;
        }
        Ok(())
    }

    fn shift_one(&mut self, at: usize, to: usize, room: &dyn Fn() -> bool) -> Result<(), Error> {
        let Some((frame, access)) = self.frame(at) else { return Ok(()) };
        let frame = frame.clone();
        if self.find(to).is_err() && !room() {
            return Err(Error::Memory);
        }
        self.map(to, frame, access)?;
        if let Ok(leaf) = self.find(at) {
            // Its frame is at the other place as well, so that it need not be kept for the TLB.
            drop(self.take_from(leaf, super::index(at)));
        }
        Ok(())
    }

    /// Has the table for `at` and that for `to`, which has no page, change places.
    fn swap_tables(&mut self, at: usize, to: usize, room: &dyn Fn() -> bool) -> Result<(), Error> {
        if self.find(to).is_err() && !room() {
            return Err(Error::Memory);
        }
        let other = self.leaf(to)?;
        let Ok(leaf) = self.find(at) else { return Ok(()) };
        let Ok([one, two]) = self.leaves.get_disjoint_mut([leaf, other]) else { return Ok(()) };
        swap(&mut one.table, &mut two.table);
        swap(&mut one.pages, &mut two.pages);
        swap(&mut one.count, &mut two.count);
        // The one with pages first: it is always in a table, so that Xen does not check its entries
        // again.
        for leaf in [two, one] {
            let tables = &self.upper[0];
            if let Ok(upper) = tables.binary_search_by_key(&(leaf.key >> 9), |it| it.key) {
                let place = tables[upper].table.place(leaf.key & 511);
                self.batch.push(place, leaf.table.entry());
            }
        }
        debug_assert!(key(at) != key(to), "the ranges do not overlap");
        self.stale = true;
        Ok(())
    }
}
