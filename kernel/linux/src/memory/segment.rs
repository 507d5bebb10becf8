//! Maps and unmaps segments of System V: shmat(2), shmdt(2).

use super::area;
use super::shared::{Segment, Shared};
use super::{Backing, Memory, Place, Request};
use crate::errno::Errno;
use alloc::rc::Rc;
use kernel::user::{Access, PAGE, TOP};

impl Memory {
    /// Maps a segment: anywhere, or at an address, there with [`Place::Fixed`] instead of what is
    /// there.
    ///
    /// # Errors
    /// `EINVAL` if the address is taken, beyond all addresses or within a page, `ENOMEM`.
    pub fn attach(
        &self,
        segment: &Segment,
        at: usize,
        place: Place,
        access: Access,
    ) -> Result<usize, Errno> {
        let length = usize::try_from(segment.0.pages).ok().and_then(|it| it.checked_mul(PAGE));
        let request = Request {
            at,
            length: length.ok_or(Errno::ENOMEM)?,
            access,
            place,
            backing: Backing::Segment(segment.clone()),
            grows_down: false,
            // How much there may be was asked when it was made.
            no_reserve: true,
        };
        self.map(&request)
            .map_err(|errno| if errno == Errno::EEXIST { Errno::EINVAL } else { errno })
    }

    /// Unmaps the segment that was mapped at `at`, and returns its number.
    ///
    /// # Errors
    /// `EINVAL` if there is none.
    pub fn detach(&self, at: usize) -> Result<i32, Errno> {
        if !at.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let (segment, end) = self.segment_at(at, TOP, None).ok_or(Errno::EINVAL)?;
        let length = (segment.pages as usize).saturating_mul(PAGE);
        let last = at.saturating_add(length).min(TOP);
        let mut next = Some(end);
        // A part that was unmapped or got other access since is an area of its own.
        while let Some((start, end)) = next {
            self.unmap(start, end - start)?;
            next = self.segment_at(at, last, Some(&segment)).map(|it| it.1);
        }
        i32::try_from(segment.inode).map_err(|_| Errno::EINVAL)
    }

    /// The first area before `last` that shows a segment (this one, if it is given) as a map that
    /// begins at `at` does: the segment, and the addresses of the area.
    fn segment_at(
        &self,
        at: usize,
        last: usize,
        wanted: Option<&Rc<Shared>>,
    ) -> Option<(Rc<Shared>, (usize, usize))> {
        let areas = self.areas.borrow();
        areas.within(at..last).find_map(|(start, area)| {
            let area::Backing::Shared(shared, first) = &area.backing else { return None };
            let offset = (start.checked_sub(at)? / PAGE) as u64;
            let is = shared.is_segment && offset == *first;
            (is && wanted.is_none_or(|it| Rc::ptr_eq(it, shared)))
                .then(|| (Rc::clone(shared), (start, area.end)))
        })
    }
}
