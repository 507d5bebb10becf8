//! Moves memory and changes its length: mremap(2).

use super::Memory;
use super::area::{Area, Backing, Flags};
use super::map::rounded;
use crate::errno::Errno;
use kernel::user::{PAGE, TOP};

/// What a page table maps, in bytes.
const TABLE: usize = 2 << 20;

/// Whether memory may be moved, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It stays.
    Never,
    /// Anywhere, if it cannot stay (`MREMAP_MAYMOVE`).
    May,
    /// There, instead of what is there (`MREMAP_FIXED`).
    To(usize),
    /// Its pages alone; zeros stay in their place (`MREMAP_DONTUNMAP`). There, or anywhere near.
    Pages {
        /// The place.
        to: usize,
        /// Whether it has to be that one.
        fixed: bool,
    },
}

/// What is left of a call that changes where memory is.
pub(super) enum Remap {
    /// Nothing: it is there now.
    Done(usize),
    /// Its pages.
    Moving(Moving),
}

/// Memory that is being moved. After each step, the first part of it is at the new place alone, and
/// the rest at the old one.
pub(super) struct Moving {
    /// As which area it begins.
    area: Area,
    at: usize,
    /// Where it goes.
    pub(super) to: usize,
    old: usize,
    new: usize,
    pages_only: bool,
    /// Bytes that have moved.
    done: usize,
}

impl Moving {
    /// Moves up to `most` pages that are there, or as many tables of them where whole ones move.
    /// Returns whether that was the rest.
    ///
    /// Only the first step is refused while memory is low: each frees about as many tables as it
    /// takes, and a program that lost its memory half way would be worse off.
    ///
    /// # Errors
    /// `ENOMEM`: all is where it was, but for what found no table there any more, which stays at
    /// the new place.
    pub(super) fn step(&mut self, memory: &Memory, most: usize) -> Result<bool, Errno> {
        let Self { ref area, at, to, old, new, pages_only, done } = *self;
        let end = self.end(memory, most);
        let is_last = end == at + old;
        let (from, target) = (at + done, to + done);
        let target_end = if is_last { to + new } else { to + (end - at) };
        let piece =
            |begin: usize, end| Area { end, backing: area.backing.at(begin), ..area.clone() };
        memory.areas.borrow_mut().insert(target, piece(done, target_end));
        let room = || done > 0 || memory.ram.has_room();
        let relocated = memory.space.borrow_mut().relocate(from..end, target, &room);
        let mut areas = memory.areas.borrow_mut();
        if relocated.is_err() {
            areas.remove(target..target_end);
            // What has moved goes back, table by table from its end on: that one may still be there.
            let mut left = done;
            while left > 0 {
                let begin = ((at + left - 1) / TABLE * TABLE).max(at) - at;
                let back = to + begin..to + left;
                if memory.space.borrow_mut().relocate(back.clone(), at + begin, &|| true).is_err() {
                    break;
                }
                areas.remove(back);
                if !pages_only {
                    areas.insert(at + begin, piece(begin, at + left));
                }
                left = begin;
            }
            return Err(Errno::ENOMEM);
        }
        match pages_only {
            true => areas.change(from..end, |area| area.flags -= Flags::LOCKED),
            // Of none nothing goes, and the area is not cut there.
            false if old == 0 => {}
            false => areas.remove(from..end),
        }
        self.done = end - at;
        Ok(is_last)
    }

    /// Whether it takes several steps.
    pub(super) fn is_long(&self, memory: &Memory, most: usize) -> bool {
        self.end(memory, most) < self.at + self.old
    }

    /// Where the next `most` pages or tables of pages end.
    fn end(&self, memory: &Memory, most: usize) -> usize {
        let (rest, end) = (self.at + self.done, self.at + self.old);
        let whole = self.at % TABLE == self.to % TABLE;
        let most = if whole { most.saturating_mul(TABLE / PAGE) } else { most };
        let space = memory.space.borrow();
        let next = space.pages(rest..end).nth(most).map_or(end, |it| it.0);
        // A table that is cut would be moved page by page.
        if whole && next < end { (next / TABLE * TABLE).max(rest + PAGE) } else { next }
    }
}

impl Memory {
    /// Gives the memory at `at`, of `old` bytes, the length `new`, and returns where it is then.
    ///
    /// # Errors
    /// `EINVAL` for an address within a page, no new length, an impossible or overlapping place, or
    /// no old length of private memory; `EFAULT` if it is not all in one area; `ENOMEM` if it
    /// cannot grow where it is and may not move, beyond a limit, or without memory.
    pub fn remap(&self, at: usize, old: usize, new: usize, how: Move) -> Result<usize, Errno> {
        match self.begin_remap(at, old, new, how)? {
            Remap::Done(at) => Ok(at),
            Remap::Moving(mut moving) => {
                moving.step(self, usize::MAX)?;
                Ok(moving.to)
            }
        }
    }

    /// Does that as far as no pages have to be moved.
    ///
    /// # Errors
    /// As of [`remap`](Self::remap).
    pub(super) fn begin_remap(
        &self,
        at: usize,
        old: usize,
        new: usize,
        how: Move,
    ) -> Result<Remap, Errno> {
        if !at.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let (mut old, new) = (old.checked_next_multiple_of(PAGE).unwrap_or(0), rounded(new)?);
        if self.areas.borrow().at(at).is_none() {
            return Err(Errno::EFAULT);
        }
        let place = match how {
            Move::Never | Move::May => None,
            Move::To(to) => Some((to, true)),
            Move::Pages { to, fixed } => Some((to, fixed)),
        };
        if let Some((to, fixed)) = place {
            let apart = to.checked_add(new).is_some_and(|end| end <= at)
                || at.checked_add(old).is_some_and(|end| end <= to);
            if !to.is_multiple_of(PAGE) || to > TOP - new || !apart {
                return Err(Errno::EINVAL);
            }
            if self.areas.borrow().len() + 5 > super::areas::MOST {
                return Err(Errno::ENOMEM);
            }
            if fixed {
                self.unmap(to, new)?;
            }
            if old > new {
                self.unmap(at + new, old - new)?;
                old = new;
            }
        } else if old >= new {
            if old > new {
                self.unmap(at + new, old - new)?;
            }
            return Ok(Remap::Done(at));
        }
        self.move_or_grow(at, old, new, how)
    }

    /// Does that if `old` is not more than `new`, and the place is free.
    fn move_or_grow(&self, at: usize, old: usize, new: usize, how: Move) -> Result<Remap, Errno> {
        let (area, rest) = {
            let areas = self.areas.borrow();
            let (start, area) = areas.at(at).ok_or(Errno::EFAULT)?;
            let mut piece = area.clone();
            piece.backing = area.backing.at(at - start);
            (piece, area.end - at)
        };
        if old == 0 && !area.is_shared() {
            return Err(Errno::EINVAL);
        }
        if old > rest {
            return Err(Errno::EFAULT);
        }
        let special = matches!(area.backing, Backing::Special(..));
        let pages_only = matches!(how, Move::Pages { .. });
        if special && (pages_only || new != old) {
            return Err(if pages_only { Errno::EINVAL } else { Errno::EFAULT });
        }
        self.ram.check()?;
        let more = if pages_only { new } else { new - old };
        if area.is_reserved() {
            self.ram.could_give(more)?;
        }
        self.check_limits(&(at..at), more, if area.is_data() { more } else { 0 })?;
        if old == rest && place_of(how).is_none() && self.grow_in_place(at, &area, old, new) {
            return Ok(Remap::Done(at));
        }
        let to = match how {
            Move::Never => return Err(Errno::ENOMEM),
            Move::May => self.alike(at, new)?,
            Move::To(to) | Move::Pages { to, fixed: true } => to,
            Move::Pages { to, .. } => {
                let free = to >= super::layout::LOWEST && self.areas.borrow().is_free(to..to + new);
                if free { to } else { self.alike(at, new)? }
            }
        };
        Ok(Remap::Moving(Moving { area, at, to, old, new, pages_only, done: 0 }))
    }

    /// Finds a place of `new` bytes for what is at `at`: for much, one to which whole page tables
    /// can be moved.
    fn alike(&self, at: usize, new: usize) -> Result<usize, Errno> {
        if new >= 2 * TABLE
            && let Ok(free) = self.anywhere(new + TABLE)
        {
            return Ok(free + at.wrapping_sub(free) % TABLE);
        }
        self.anywhere(new)
    }

    fn grow_in_place(&self, at: usize, area: &Area, old: usize, new: usize) -> bool {
        let mut areas = self.areas.borrow_mut();
        let (end, limit) = (at + old, TOP - new);
        if at > limit || !areas.is_free(end..at + new) {
            return false;
        }
        let more = Area { end: at + new, backing: area.backing.at(old), ..area.clone() };
        areas.insert(end, more);
        true
    }
}

const fn place_of(how: Move) -> Option<usize> {
    match how {
        Move::Never | Move::May => None,
        Move::To(to) | Move::Pages { to, .. } => Some(to),
    }
}
