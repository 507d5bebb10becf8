//! Copies the memory of a process: fork(2).

use super::Memory;
use super::area::{Area, Backing, Flags, unwritten};
use super::areas::Areas;
use super::pages::set_access;
use crate::errno::Errno;
use core::cell::{Cell, RefCell};
use kernel::user::Space;

impl Memory {
    /// Makes a copy. Its private pages are shared until one side writes them.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn copy(&self) -> Result<Self, Errno> {
        let mut space = Space::new().map_err(|_| Errno::ENOMEM)?;
        let mut copied = Areas::default();
        {
            let areas = self.areas.borrow();
            let mut own = self.space.borrow_mut();
            for (start, area) in areas.iter().filter(|it| !it.1.flags.contains(Flags::NO_FORK)) {
                // Each is memory for the kernel.
                self.ram.check()?;
                let mut child = area.clone();
                // Locks are not inherited (mlock(2)).
                child.flags -= Flags::LOCKED;
                if has_pages(area) {
                    self.share(&mut own, &mut space, start, area)?;
                } else {
                    child.own.set(false);
                }
                copied.insert(start, child);
            }
        }
        Ok(Self {
            space: RefCell::new(space),
            areas: RefCell::new(copied),
            ram: self.ram.clone(),
            limits: self.limits.clone(),
            layout: self.layout.clone(),
            lock_next: Cell::new(false),
            hand: Cell::new(0),
        })
    }

    /// Puts the pages of a private area into `to` as well. Neither can write them then without a
    /// fault.
    fn share(
        &self,
        from: &mut Space,
        to: &mut Space,
        start: usize,
        area: &Area,
    ) -> Result<(), Errno> {
        let range = start..area.end;
        set_access(from, range.clone(), |_, access| unwritten(access))
            .map_err(|_| Errno::ENOMEM)?;
        for (at, frame, access) in from.pages(range) {
            // A table takes memory.
            self.ram.check()?;
            to.map(at, frame.clone(), access).map_err(|_| Errno::ENOMEM)?;
        }
        Ok(())
    }
}

/// Whether a child needs the pages that are there. It finds those of files and of shared memory
/// where they are.
fn has_pages(area: &Area) -> bool {
    let private = match area.backing {
        Backing::Anonymous => true,
        Backing::File(..) | Backing::Special(..) => area.own.get(),
        Backing::Shared(..) => false,
    };
    private && !area.is_shared() && !area.flags.contains(Flags::WIPE_ON_FORK)
}
