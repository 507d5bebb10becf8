//! Page faults: brings the page that was touched, or says why there is none.

use super::Memory;
use super::area::{Area, Backing, Flags, permits, unwritten};
use super::areas::GUARD;
use super::layout::LOWEST;
use super::ram::is_tight;
use crate::errno::Errno;
use crate::stop::{Load, Stop};
use alloc::rc::Rc;
use kernel::user::{Access, Error, Frame, PAGE, Space, TOP};
use linux_raw_sys::general::{BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGSEGV};

/// Pages of a file that are mapped together, if they are in memory.
const AROUND: usize = 16;

/// Why an access cannot be made.
#[derive(Debug)]
pub enum Fault {
    /// The program gets a signal (sigaction(2)).
    Signal {
        /// `SIGSEGV` or `SIGBUS`.
        signal: i32,
        /// `SEGV_MAPERR`: nothing is there. `SEGV_ACCERR`: it may not do that. `BUS_ADRERR`: the
        /// file ends before, or there is no room in its file system.
        code: i32,
    },
    /// A page of a file has to be read first.
    Load(Load),
    /// There is no memory for the page: the program ends.
    OutOfMemory,
}

impl Fault {
    const NOTHING: Self = Self::Signal { signal: SIGSEGV as i32, code: SEGV_MAPERR as i32 };
    const FORBIDDEN: Self = Self::Signal { signal: SIGSEGV as i32, code: SEGV_ACCERR as i32 };
    const BEYOND: Self = Self::Signal { signal: SIGBUS as i32, code: BUS_ADRERR as i32 };
}

impl From<Error> for Fault {
    fn from(_: Error) -> Self {
        Self::OutOfMemory
    }
}

impl Memory {
    /// Makes `access` (`READ`, `WRITE` or `EXECUTE`: what was tried) to the byte at `address`
    /// possible. That it succeeds does not mean that anything was missing: another thread may have
    /// been first.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn fault(&self, address: usize, access: Access) -> Result<(), Fault> {
        let page = address / PAGE * PAGE;
        // A cache gives up what nobody else has: it would give up the page that was read for this very
        // fault, which would be read again, for ever.
        let _wanted = if is_tight() { self.cached(page) } else { None };
        // Pages of its own can be given up as long as nobody looks at them.
        let room = self.ram.prepare();
        {
            let areas = self.areas.borrow();
            if let Some((start, area)) = areas.at(page) {
                return self.bring(page, start, area, access, room);
            }
        }
        self.grow(page)?;
        let areas = self.areas.borrow();
        let (start, area) = areas.at(page).ok_or(Fault::NOTHING)?;
        self.bring(page, start, area, access, room)
    }

    /// Returns what the cache of a file has of the page at `page`.
    fn cached(&self, page: usize) -> Option<Frame> {
        let areas = self.areas.borrow();
        let (start, area) = areas.at(page)?;
        match &area.backing {
            Backing::File(file, first) => file.pages.frame(index(*first, start, page)),
            _ => None,
        }
    }

    /// Brings the page at `page`, of `area`, which begins at `start`. `room`: whether there is memory.
    fn bring(
        &self,
        page: usize,
        start: usize,
        area: &Area,
        wanted: Access,
        room: bool,
    ) -> Result<(), Fault> {
        if !area.allows(wanted) {
            return Err(Fault::FORBIDDEN);
        }
        let write = wanted == Access::WRITE;
        let mut space = self.space.borrow_mut();
        if let Some((frame, now)) = space.frame(page) {
            if permits(now, wanted) {
                return Ok(());
            }
            if !write {
                let kept = unwritten(area.access) | (now & Access::WRITE);
                return Ok(space.set_access(page, kept)?);
            }
            if !area.is_shared() {
                area.own.set(true);
                if frame.is_shared() {
                    let own = self.ram.copy(frame).ok_or(Fault::OutOfMemory)?;
                    return Ok(space.map(page, own, area.access)?);
                }
            } else if let Backing::File(file, first) = &area.backing {
                file.pages.dirty(index(*first, start, page)).map_err(unwritable)?;
            }
            return Ok(space.set_access(page, area.access)?);
        }
        let read_only = unwritten(area.access);
        let (frame, access) = match &area.backing {
            Backing::Anonymous if write => {
                let frame = if room { Frame::new() } else { None };
                (frame.ok_or(Fault::OutOfMemory)?, area.access)
            }
            Backing::Anonymous => (self.ram.zeros().ok_or(Fault::OutOfMemory)?, read_only),
            Backing::Shared(shared, first) => {
                let frame = shared.frame(&self.ram, index(*first, start, page));
                (frame.map_err(|_| Fault::OutOfMemory)?.ok_or(Fault::BEYOND)?, area.access)
            }
            Backing::Special(special, first) => {
                let frame = special.frames.get(index(*first, start, page) as usize);
                (frame.ok_or(Fault::BEYOND)?.clone(), read_only)
            }
            Backing::File(file, first) => {
                let index = index(*first, start, page);
                if index >= file.pages.size().div_ceil(PAGE as u64) {
                    return Err(Fault::BEYOND);
                }
                let Some(frame) = file.pages.frame(index) else {
                    return Err(Fault::Load(Load { pages: Rc::clone(&file.pages), index }));
                };
                if !write {
                    self.bring_around(&mut space, page, start, area)?;
                    (frame, read_only)
                } else if area.is_shared() {
                    file.pages.dirty(index).map_err(unwritable)?;
                    (frame, area.access)
                } else {
                    area.own.set(true);
                    (self.ram.copy(&frame).ok_or(Fault::OutOfMemory)?, area.access)
                }
            }
        };
        // A table takes memory as well.
        if !room {
            return Err(Fault::OutOfMemory);
        }
        Ok(space.map(page, frame, access)?)
    }

    /// Maps the pages around `page` of a file that are in memory and not mapped: 16 that stand
    /// together, of which `page` is one.
    fn bring_around(
        &self,
        space: &mut Space,
        page: usize,
        start: usize,
        area: &Area,
    ) -> Result<(), Fault> {
        let Backing::File(file, first) = &area.backing else { return Ok(()) };
        let from = page / (AROUND * PAGE) * (AROUND * PAGE);
        let end = (from + AROUND * PAGE).min(area.end);
        let pages = file.pages.size().div_ceil(PAGE as u64);
        for at in (from.max(start)..end).step_by(PAGE).filter(|&it| it != page) {
            let index = index(*first, start, at);
            if index >= pages {
                break;
            }
            if space.frame(at).is_none()
                && let Some(frame) = file.pages.frame(index)
            {
                space.map(at, frame, unwritten(area.access))?;
            }
        }
        Ok(())
    }

    /// Lets the area above `page` grow down to it, if it is one that grows.
    fn grow(&self, page: usize) -> Result<(), Fault> {
        if !(LOWEST..TOP).contains(&page) {
            return Err(Fault::NOTHING);
        }
        let mut areas = self.areas.borrow_mut();
        let (start, area) = areas.above(page).ok_or(Fault::NOTHING)?;
        let grows =
            area.flags.contains(Flags::GROWS_DOWN) && matches!(area.backing, Backing::Anonymous);
        let limits = self.limits.get();
        let fits =
            area.end - page <= limits.stack && areas.total + (start - page) <= limits.address_space;
        // Nothing may be close below, but what grows as well or is a guard.
        let free = areas.below(page).is_none_or(|(_, below)| {
            let guard = below.access.is_empty() || below.flags.contains(Flags::GROWS_DOWN);
            guard || page - below.end >= GUARD
        });
        if !(grows && fits && free) {
            return Err(Fault::NOTHING);
        }
        areas.grow_down(start, page);
        Ok(())
    }
}

/// What a program hears of a page of a file that it cannot make its own: that the file is sealed, or
/// that there is no place for it.
const fn unwritable(errno: Errno) -> Fault {
    match errno {
        Errno::ENOMEM => Fault::OutOfMemory,
        Errno::EACCES | Errno::EPERM => Fault::FORBIDDEN,
        _ => Fault::BEYOND,
    }
}

/// Returns which page of its object is at `page` in an area that begins at `start`.
const fn index(first: u64, start: usize, page: usize) -> u64 {
    first + ((page - start) / PAGE) as u64
}

impl From<Fault> for Stop {
    /// What a call does about it, which may not end in a signal.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Load(load) => Self::Load(load),
            Fault::Signal { .. } => Errno::EFAULT.into(),
            Fault::OutOfMemory => Errno::ENOMEM.into(),
        }
    }
}
