//! Maps memory and files, unmaps, and changes protection: mmap(2), munmap(2), mprotect(2), brk(2).

use super::Memory;
use super::area::{self, Area, Flags, Mapped};
use super::layout::{BOTTOM, LOWEST};
use super::pages::set_access;
use super::shared::{Segment, Shared};
use crate::errno::Errno;
use crate::stop::Pages;
use alloc::rc::Rc;
use core::ops::Range;
use core::ptr::addr_eq;
use kernel::user::{Access, Frame, PAGE, TOP};

/// Addresses above are not given to a map with `MAP_32BIT`.
const LOW: usize = 1 << 31;

/// Where memory is to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// There if it is free, else anywhere.
    Hint,
    /// There, instead of what is there (`MAP_FIXED`).
    Fixed,
    /// There, if it is free (`MAP_FIXED_NOREPLACE`).
    FixedNoReplace,
    /// Anywhere below 2 GiB (`MAP_32BIT`).
    Low,
}

/// What is to be mapped.
#[derive(Clone)]
pub enum Backing {
    /// Zeros of the process's own.
    Anonymous,
    /// Zeros that it shares with its children.
    Shared,
    /// A segment of System V.
    Segment(Segment),
    /// A file, from a multiple of 4096 on.
    File {
        /// The file.
        file: Rc<Mapped>,
        /// From where on, in bytes.
        offset: u64,
        /// Whether others see what is written.
        shared: bool,
    },
}

/// A call of mmap(2).
#[derive(Clone)]
pub struct Request {
    /// Where.
    pub at: usize,
    /// How many bytes, which are rounded up to pages.
    pub length: usize,
    /// What the program may do there.
    pub access: Access,
    /// How [`at`](Self::at) is meant.
    pub place: Place,
    /// What it shows.
    pub backing: Backing,
    /// Whether it grows down to where it is touched (`MAP_GROWSDOWN`).
    pub grows_down: bool,
    /// Whether it may be more than could ever be given (`MAP_NORESERVE`).
    pub no_reserve: bool,
}

impl Request {
    /// Asks for anonymous memory anywhere.
    #[must_use]
    pub const fn anonymous(length: usize, access: Access) -> Self {
        let (place, backing) = (Place::Hint, Backing::Anonymous);
        Self { at: 0, length, access, place, backing, grows_down: false, no_reserve: false }
    }
}

impl Memory {
    /// Maps something, and returns where.
    ///
    /// # Errors
    /// `EINVAL` for no length, or an address or offset within a page; `ENOMEM` if there is no
    /// place, or beyond a limit; `EOVERFLOW` for an offset beyond all files; `EEXIST` if the place
    /// is taken; `EACCES` for a writable shared map of a file that is not open for writing.
    pub fn map(&self, request: &Request) -> Result<usize, Errno> {
        let length = rounded(request.length)?;
        let flags = self.flags(request);
        let offset = match &request.backing {
            Backing::File { offset, .. } => *offset,
            _ => 0,
        };
        if !offset.is_multiple_of(PAGE as u64) {
            return Err(Errno::EINVAL);
        }
        if i64::try_from(offset)
            .ok()
            .and_then(|it| it.checked_add_unsigned(length as u64))
            .is_none()
        {
            return Err(Errno::EOVERFLOW);
        }
        self.ram.check()?;
        let start = self.choose(request, length)?;
        let range = start..start + length;
        if let Backing::File { file, shared: true, .. } = &request.backing
            && request.access.contains(Access::WRITE)
            && !file.write
        {
            return Err(Errno::EACCES);
        }
        let backing = match &request.backing {
            Backing::Anonymous => area::Backing::Anonymous,
            Backing::Shared => {
                let inode = self.ram.next_inode();
                area::Backing::Shared(Shared::new((length / PAGE) as u64, inode), 0)
            }
            Backing::Segment(segment) => area::Backing::Shared(Rc::clone(&segment.0), 0),
            Backing::File { file, .. } => {
                area::Backing::File(Rc::clone(file), offset / PAGE as u64)
            }
        };
        let area = Area::new(range.end, request.access, flags, backing);
        if area.is_reserved() || matches!(request.backing, Backing::Shared) && !request.no_reserve {
            self.ram.could_give(length)?;
        }
        self.check_limits(&range, length, if area.is_data() { length } else { 0 })?;
        self.replace(&range, area);
        Ok(start)
    }

    /// Unmaps all of `range`, which may have holes.
    ///
    /// # Errors
    /// `EINVAL` for no length, an address within a page, or beyond all addresses; `ENOMEM` if it
    /// cuts an area in two and there are too many, or memory is nearly gone and no page comes back.
    pub fn unmap(&self, at: usize, length: usize) -> Result<(), Errno> {
        let range = range(at, length).map_err(|_| Errno::EINVAL)?;
        if range.is_empty() {
            return Err(Errno::EINVAL);
        }
        let mut areas = self.areas.borrow_mut();
        let inside = areas.at(range.start);
        let cut = inside.is_some_and(|(start, it)| start < range.start && range.end < it.end);
        if cut {
            if !areas.can_grow() {
                return Err(Errno::ENOMEM);
            }
            // Each is memory for the kernel, of which a program can make many that way. One that
            // gives a page back for it is let pass: who frees memory looks at no error.
            let gives = || self.space.borrow().pages(range.clone()).next().is_some();
            self.ram.check_under_way().or_else(|errno| gives().then_some(()).ok_or(errno))?;
        }
        self.space.borrow_mut().unmap(range.clone());
        areas.remove(range);
        Ok(())
    }

    /// Changes what the program may do within `range`, from its start on as far as something is
    /// mapped.
    ///
    /// # Errors
    /// `EINVAL` for an address within a page; `ENOMEM` where nothing is mapped, beyond a limit, or
    /// without memory; `EACCES` for a shared map of a file that is not open for writing, or
    /// of a segment that was attached to be read. What stands before that is changed.
    pub fn protect(&self, at: usize, length: usize, access: Access) -> Result<(), Errno> {
        let range = range(at, length)?;
        if range.is_empty() {
            return Ok(());
        }
        let mut areas = self.areas.borrow_mut();
        if !areas.can_grow() {
            return Err(Errno::ENOMEM);
        }
        self.ram.check()?;
        let mut end = areas.covered(range.clone());
        let mut result = if end < range.end { Err(Errno::ENOMEM) } else { Ok(()) };
        if access.contains(Access::WRITE) {
            let sealed = |it: &&(usize, &Area)| match &it.1.backing {
                area::Backing::File(file, _) => it.1.is_shared() && !file.write,
                _ => it.1.flags.contains(Flags::READ_ONLY),
            };
            if let Some((start, _)) = areas.within(range.start..end).find(|it| sealed(&it)) {
                (end, result) = (start.max(range.start), Err(Errno::EACCES));
            }
            let is_more = |it: &Area| {
                !it.is_data() && !it.is_shared() && !it.flags.contains(Flags::GROWS_DOWN)
            };
            let (mut more, mut reserved) = (0, 0);
            for (start, it) in areas.within(range.start..end).filter(|(_, it)| is_more(it)) {
                let length = it.end.min(end) - start.max(range.start);
                more += length;
                reserved += if it.flags.contains(Flags::NO_RESERVE) { 0 } else { length };
            }
            self.ram.could_give(reserved)?;
            if more > 0 && areas.data + more > self.limits.get().data {
                return Err(Errno::ENOMEM);
            }
        }
        let range = range.start..end;
        if range.is_empty() {
            return result;
        }
        let mut space = self.space.borrow_mut();
        for (start, area) in areas.within(range.clone()) {
            let part = start.max(range.start)..area.end.min(range.end);
            let (shared, file) =
                (area.is_shared(), matches!(area.backing, area::Backing::File(..)));
            set_access(&mut space, part, |frame, now| {
                // Who has to hear of the first write still does.
                let silent = if file && shared {
                    now.contains(Access::WRITE)
                } else {
                    shared || !frame.is_shared()
                };
                if silent { access } else { area::unwritten(access) }
            })
            .map_err(|_| Errno::ENOMEM)?;
        }
        areas.change(range, |area| area.access = access);
        result
    }

    /// Moves the end of the heap to `to` if that is possible, and returns where it is (brk(2)).
    #[must_use]
    pub fn brk(&self, to: usize) -> usize {
        let layout = self.layout.get();
        if layout.heap == 0 || to < layout.heap || to > TOP {
            return layout.brk;
        }
        let (old, new) = (layout.brk.next_multiple_of(PAGE), to.next_multiple_of(PAGE));
        let changed = if new < old {
            self.unmap(new, old - new)
        } else if new > old {
            self.grow_heap(old..new, to - layout.heap)
        } else {
            Ok(())
        };
        if changed.is_ok() {
            self.layout.set(layout.with_brk(to));
        }
        self.layout.get().brk
    }

    fn grow_heap(&self, range: Range<usize>, size: usize) -> Result<(), Errno> {
        // What begins behind it keeps its distance, should it grow down.
        let guarded = range.start..range.end + PAGE;
        let blocked = {
            let areas = self.areas.borrow();
            !areas.is_free(guarded.clone())
                || areas.above(range.start).is_some_and(|(start, it)| {
                    it.flags.contains(Flags::GROWS_DOWN)
                        && start.saturating_sub(super::areas::GUARD) < range.end
                })
        };
        if blocked || size > self.limits.get().data {
            return Err(Errno::ENOMEM);
        }
        self.ram.check()?;
        self.ram.could_give(range.len())?;
        self.check_limits(&range, range.len(), range.len())?;
        let access = Access::READ | Access::WRITE;
        let area = Area::new(range.end, access, self.lock_flag(), area::Backing::Anonymous);
        self.replace(&range, area);
        Ok(())
    }

    /// Unmaps what shows pages of a file from page `from` on: the file was cut there. Who touches
    /// it gets `SIGBUS`.
    pub fn forget(&self, pages: &Rc<dyn Pages>, from: u64) {
        let areas = self.areas.borrow();
        let mut space = self.space.borrow_mut();
        for (start, area) in areas.iter() {
            if let area::Backing::File(file, first) = &area.backing
                && addr_eq(Rc::as_ptr(&file.pages), Rc::as_ptr(pages))
            {
                let skip = (from.saturating_sub(*first) as usize).saturating_mul(PAGE);
                let at = start.saturating_add(skip).min(area.end);
                space.unmap(at..area.end);
            }
        }
    }

    /// Takes pages of a file within `range` away where they are mapped, as they are about to be a hole:
    /// who touches one finds what the file has then. A page that is a program's own already stays.
    pub fn punch(&self, pages: &Rc<dyn Pages>, range: Range<u64>) {
        /// Pages at a time.
        const BATCH: usize = 64;
        let areas = self.areas.borrow();
        let mut space = self.space.borrow_mut();
        for (start, area) in areas.iter() {
            let area::Backing::File(file, first) = &area.backing else { continue };
            if !addr_eq(Rc::as_ptr(&file.pages), Rc::as_ptr(pages)) {
                continue;
            }
            let place = |index: u64| {
                let skip = usize::try_from(index.saturating_sub(*first)).unwrap_or(usize::MAX);
                start.saturating_add(skip.saturating_mul(PAGE)).min(area.end)
            };
            let (mut at, end) = (place(range.start), place(range.end));
            while at < end {
                let is_files = |it: &(usize, &Frame, Access)| {
                    let own = file.pages.frame(first + ((it.0 - start) / PAGE) as u64);
                    own.is_some_and(|own| own.same(it.1))
                };
                let found = space.pages(at..end).filter(is_files).map(|it| it.0);
                let found: heapless::Vec<usize, BATCH> = found.take(BATCH).collect();
                let Some(&last) = found.last() else { break };
                found.iter().for_each(|&page| space.unmap(page..page + PAGE));
                at = last + PAGE;
            }
        }
        space.settle();
    }

    /// Returns whether a file is mapped so that what is written there is in it, or may be once
    /// mprotect(2) allows it.
    pub fn may_write(&self, pages: &Rc<dyn Pages>) -> bool {
        self.areas.borrow().iter().any(|(_, area)| match &area.backing {
            area::Backing::File(file, _) => {
                let same = addr_eq(Rc::as_ptr(&file.pages), Rc::as_ptr(pages));
                same && area.is_shared() && file.write
            }
            _ => false,
        })
    }

    /// Finds a free place of `length` bytes, as mmap(2) without an address does.
    ///
    /// # Errors
    /// `EINVAL` for 0, `ENOMEM`.
    pub fn find(&self, length: usize) -> Result<usize, Errno> {
        self.anywhere(rounded(length)?)
    }

    /// Puts `area` at `range`, instead of what is there.
    pub(super) fn replace(&self, range: &Range<usize>, area: Area) {
        let mut areas = self.areas.borrow_mut();
        if !areas.is_free(range.clone()) {
            self.space.borrow_mut().unmap(range.clone());
            areas.remove(range.clone());
        }
        areas.insert(range.start, area);
    }

    /// Fails if `total` bytes more, of which `data` are private and writable, are too much. What is
    /// at `range` will be gone then.
    pub(super) fn check_limits(
        &self,
        range: &Range<usize>,
        total: usize,
        data: usize,
    ) -> Result<(), Errno> {
        let areas = self.areas.borrow();
        let limits = self.limits.get();
        let after = (areas.total - areas.bytes(range.clone())).saturating_add(total);
        let too_much = after > limits.address_space
            || data > 0 && areas.data.saturating_add(data) > limits.data;
        if too_much || !areas.can_grow() { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// The flag of an area after mlockall(2) of what is to come.
    pub(super) fn lock_flag(&self) -> Flags {
        if self.lock_next.get() { Flags::LOCKED } else { Flags::empty() }
    }

    /// A free place for `length` bytes, a multiple of a page: from above, else from below.
    pub(super) fn anywhere(&self, length: usize) -> Result<usize, Errno> {
        let areas = self.areas.borrow();
        let maps = self.layout.get().maps;
        let above = areas.gap(length, LOWEST..maps, true);
        above.or_else(|| areas.gap(length, BOTTOM..TOP, false)).ok_or(Errno::ENOMEM)
    }

    fn flags(&self, request: &Request) -> Flags {
        let mut flags = self.lock_flag();
        let shared = match request.backing {
            Backing::Anonymous => false,
            Backing::Shared | Backing::Segment(_) => true,
            Backing::File { shared, .. } => shared,
        };
        flags.set(Flags::SHARED, shared);
        flags.set(Flags::GROWS_DOWN, request.grows_down);
        flags.set(Flags::NO_RESERVE, request.no_reserve);
        let is_segment = matches!(request.backing, Backing::Segment(_));
        flags.set(Flags::READ_ONLY, is_segment && !request.access.contains(Access::WRITE));
        flags
    }

    fn choose(&self, request: &Request, length: usize) -> Result<usize, Errno> {
        let areas = self.areas.borrow();
        let taken = |at: usize| !areas.is_free(at..at + length);
        if let Place::Fixed | Place::FixedNoReplace = request.place {
            if !request.at.is_multiple_of(PAGE) {
                return Err(Errno::EINVAL);
            }
            if request.at > TOP - length {
                return Err(Errno::ENOMEM);
            }
            if request.place == Place::FixedNoReplace && taken(request.at) {
                return Err(Errno::EEXIST);
            }
            return Ok(request.at);
        }
        // Within a page it is that page, as on Linux.
        let hint = request.at / PAGE * PAGE;
        if request.at != 0 && hint <= TOP - length && hint >= LOWEST && !taken(hint) {
            let near = areas.above(hint).is_some_and(|(start, area)| {
                area.flags.contains(Flags::GROWS_DOWN)
                    && start - (hint + length) < super::areas::GUARD
            });
            if !near {
                return Ok(hint);
            }
        }
        if request.place == Place::Low {
            let low = areas.gap(length, LOW / 2..LOW, false);
            return low.ok_or(Errno::ENOMEM);
        }
        self.anywhere(length)
    }
}

/// Rounds a length up to pages.
pub(super) fn rounded(length: usize) -> Result<usize, Errno> {
    match length.checked_next_multiple_of(PAGE) {
        Some(0) => Err(Errno::EINVAL),
        Some(length) if length <= TOP => Ok(length),
        _ => Err(Errno::ENOMEM),
    }
}

/// Returns the pages of a range of a call: `EINVAL` if it begins within one, `ENOMEM` beyond all
/// addresses.
pub(super) fn range(at: usize, length: usize) -> Result<Range<usize>, Errno> {
    if !at.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let length = length.checked_next_multiple_of(PAGE).ok_or(Errno::ENOMEM)?;
    let end = at.checked_add(length).filter(|&end| end <= TOP).ok_or(Errno::ENOMEM)?;
    Ok(at..end)
}
