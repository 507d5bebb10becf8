//! Advice and questions about memory: madvise(2), mincore(2), mlock(2), msync(2).

use super::Memory;
use super::area::{Area, Backing, Flags};
use super::areas::Areas;
use crate::errno::Errno;
use core::ops::Range;
use kernel::user::{Access, PAGE};

/// What a program says about memory (madvise(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Something that changes nothing here.
    Nothing,
    /// As that, but not for locked memory (`MADV_COLD`, `MADV_PAGEOUT`).
    Cold,
    /// Its pages are not needed: private memory is zeros again, files are as they are.
    DontNeed,
    /// As `DontNeed`, for locked memory as well.
    DontNeedLocked,
    /// As `DontNeed`, for private memory without a file.
    Free,
    /// What is behind it is zeros again.
    Remove,
    /// Whether a child has it.
    Fork(bool),
    /// Whether a child finds zeros.
    WipeOnFork(bool),
}

impl Memory {
    /// Follows `advice` about `range`, wherever something is mapped there.
    ///
    /// # Errors
    /// `ENOMEM` if something is not, after the advice was followed; at once, for what cannot be
    /// done: `EINVAL` for the wrong sort of memory, or locked one; for `Remove` `EACCES` where
    /// it is not shared and writable, `EOPNOTSUPP` for files.
    pub fn advise(&self, range: Range<usize>, advice: Advice) -> Result<(), Errno> {
        let mut areas = self.areas.borrow_mut();
        let changes = matches!(advice, Advice::Fork(_) | Advice::WipeOnFork(_));
        if changes {
            self.ram.check()?;
        }
        let mut at = range.start;
        let mut hole = false;
        loop {
            let Some((start, area)) = areas.within(at..range.end).next() else { break };
            let part = start.max(at)..area.end.min(range.end);
            hole |= part.start > at;
            check(area, advice)?;
            at = part.end;
            match advice {
                Advice::Nothing | Advice::Cold => {}
                Advice::DontNeed | Advice::DontNeedLocked | Advice::Free => {
                    self.space.borrow_mut().unmap(part);
                }
                Advice::Remove => {
                    self.space.borrow_mut().unmap(part.clone());
                    if let Backing::Shared(shared, first) = &area.backing {
                        let index = |at: usize| first + ((at - start) / PAGE) as u64;
                        shared.remove(index(part.start), index(part.end));
                    }
                }
                Advice::Fork(yes) => {
                    change(&mut areas, part, |it| it.flags.set(Flags::NO_FORK, !yes))?;
                }
                Advice::WipeOnFork(yes) => {
                    change(&mut areas, part, |it| it.flags.set(Flags::WIPE_ON_FORK, yes))?;
                }
            }
            if at >= range.end {
                break;
            }
        }
        if hole || at < range.end { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Notes whether `range` is locked, as far as something is mapped from its start on.
    ///
    /// # Errors
    /// `ENOMEM` if not all is mapped.
    pub fn lock(&self, range: Range<usize>, lock: bool) -> Result<(), Errno> {
        let mut areas = self.areas.borrow_mut();
        let end = areas.covered(range.clone());
        if end > range.start {
            self.ram.check()?;
            let part = range.start..end;
            change(&mut areas, part, |it| it.flags.set(Flags::LOCKED, lock))?;
        }
        if end < range.end { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Returns how many bytes of a range are locked.
    pub(super) fn locked(&self, range: Range<usize>) -> usize {
        let areas = self.areas.borrow();
        let own = areas.within(range.clone()).filter(|it| it.1.flags.contains(Flags::LOCKED));
        own.map(|(start, it)| it.end.min(range.end) - start.max(range.start)).sum()
    }

    /// Notes whether all is locked that is there, and what will be (mlockall(2)).
    pub fn lock_all(&self, current: Option<bool>, next: bool) {
        self.lock_next.set(next);
        if let Some(lock) = current {
            let mut areas = self.areas.borrow_mut();
            areas.change(0..kernel::user::TOP, |it| it.flags.set(Flags::LOCKED, lock));
        }
    }

    /// Checks a range for msync(2), which has nothing to do: what is written to a shared map is in
    /// the file at once.
    ///
    /// # Errors
    /// `EBUSY` for locked memory, if `invalidate`; `ENOMEM` if not all is mapped.
    pub fn sync(&self, range: Range<usize>, invalidate: bool) -> Result<(), Errno> {
        let areas = self.areas.borrow();
        if invalidate && areas.within(range.clone()).any(|it| it.1.flags.contains(Flags::LOCKED)) {
            return Err(Errno::EBUSY);
        }
        if areas.covered(range.clone()) < range.end { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Returns whether the page at `page` is in memory, so that no disk is read for it.
    ///
    /// # Errors
    /// `ENOMEM` if nothing is mapped there.
    pub fn in_core(&self, page: usize) -> Result<bool, Errno> {
        let areas = self.areas.borrow();
        let (start, area) = areas.at(page).ok_or(Errno::ENOMEM)?;
        let index = |first: u64| first + ((page - start) / PAGE) as u64;
        let cached = match &area.backing {
            Backing::File(file, first) => file.pages.frame(index(*first)).is_some(),
            Backing::Shared(shared, first) => shared.has(index(*first)),
            Backing::Anonymous | Backing::Special(..) => false,
        };
        Ok(cached || self.space.borrow().frame(page).is_some())
    }

    /// Returns what a program may do with the memory at `at`, and whether it is shared.
    pub(super) fn kind(&self, at: usize) -> Option<(Access, bool)> {
        let areas = self.areas.borrow();
        areas.at(at).map(|(_, area)| (area.access, area.is_shared()))
    }

    /// Returns where the area at `at` begins, which has to be one that grows down.
    pub(super) fn growing(&self, at: usize) -> Result<usize, Errno> {
        let areas = self.areas.borrow();
        let (start, area) = areas.at(at).ok_or(Errno::ENOMEM)?;
        match area.flags.contains(Flags::GROWS_DOWN) {
            true => Ok(start),
            false => Err(Errno::EINVAL),
        }
    }
}

fn change(
    areas: &mut Areas,
    range: Range<usize>,
    change: impl FnMut(&mut Area),
) -> Result<(), Errno> {
    if !areas.can_grow() {
        return Err(Errno::ENOMEM);
    }
    areas.change(range, change);
    Ok(())
}

/// Returns whether `advice` can be followed for `area`.
fn check(area: &Area, advice: Advice) -> Result<(), Errno> {
    let private = matches!(area.backing, Backing::Anonymous) && !area.is_shared();
    let locked = area.flags.contains(Flags::LOCKED);
    let fine = match advice {
        Advice::Nothing | Advice::DontNeedLocked | Advice::Fork(_) | Advice::WipeOnFork(false) => {
            true
        }
        Advice::DontNeed | Advice::Cold => !locked,
        Advice::Free => !locked && private,
        Advice::WipeOnFork(true) => private,
        Advice::Remove => {
            if locked || matches!(area.backing, Backing::Anonymous | Backing::Special(..)) {
                return Err(Errno::EINVAL);
            }
            if !area.is_shared() || !area.access.contains(Access::WRITE) {
                return Err(Errno::EACCES);
            }
            if matches!(area.backing, Backing::File(..)) {
                return Err(Errno::EOPNOTSUPP);
            }
            true
        }
    };
    if fine { Ok(()) } else { Err(Errno::EINVAL) }
}
