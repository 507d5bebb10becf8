//! The memory of a process: what is mapped where, and bytes that it points to.
//!
//! * An area (`Area`) is a range of addresses with equal protection: anonymous memory, memory
//!   that processes share, or a piece of a file. `Areas` holds them by address.
//! * Pages come when they are first touched: by the program, whose page faults
//!   [`Memory::fault`] answers, or by the kernel, whose copies ([`Memory::read`],
//!   [`Memory::write`]) do the same. The pages themselves are held by the
//!   [`Space`], and by those who share them: the cache of a file, the memory
//!   of a child.
//! * A private page that somebody else has a share of is mapped read-only, and copied when it is
//!   written. A page of a shared map of a file is mapped read-only until it is written, so that
//!   the file knows that it changed.
//!
//! mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2) and brk(2) change areas. What they cost
//! is bound by what is mapped; what they hold, by the number of areas (65 530), the limits of the
//! process ([`Limits`]), and the machine's memory ([`Ram`]).

mod access;
mod advise;
mod area;
mod areas;
mod away;
pub(crate) mod calls;
mod exec;
mod fault;
mod fork;
mod layout;
mod map;
mod pages;
mod ram;
mod remap;
mod segment;
mod shared;
mod smaps;
mod transfer;
mod view;
mod word;
mod zeros;

#[cfg(test)]
mod tests;

pub use advise::Advice;
pub use area::Mapped;
pub use fault::Fault;
pub use layout::Limits;
pub use map::{Backing, Place, Request};
pub use ram::{Ram, Reclaim, Text};
pub(crate) use ram::{is_refused, is_tight, may_take, widen};
pub use remap::Move;
pub use shared::{Segment, Unheld};
pub use smaps::Resident;
pub use transfer::{Part, Sink, Source};
pub use view::{Usage, View};
pub use word::Key;
pub(crate) use zeros::zeros;

use crate::errno::Errno;
use alloc::rc::Rc;
use areas::Areas;
use core::cell::{Cell, RefCell};
use kernel::user::Space;
use layout::Layout;

/// The memory of one process.
pub struct Memory {
    space: RefCell<Space>,
    areas: RefCell<Areas>,
    ram: Rc<Ram>,
    limits: Cell<Limits>,
    layout: Cell<Layout>,
    /// What mlockall(2) asked for, for areas to come.
    lock_next: Cell<bool>,
    /// Where pages of files are taken next.
    hand: Cell<usize>,
}

impl Memory {
    /// Makes an empty one, whose layout is random, with the limits that a process begins with.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(ram: &Rc<Ram>) -> Result<Self, Errno> {
        ram.check()?;
        let space = Space::new().map_err(|_| Errno::ENOMEM)?;
        let limits = Limits::default();
        Ok(Self {
            space: RefCell::new(space),
            areas: RefCell::default(),
            ram: Rc::clone(ram),
            limits: Cell::new(limits),
            layout: Cell::new(Layout::random(limits.stack)),
            lock_next: Cell::new(false),
            hand: Cell::new(0),
        })
    }

    /// Returns the address space, to run in it.
    pub(crate) const fn space(&self) -> &RefCell<Space> {
        &self.space
    }

    /// Returns what gives it pages.
    #[must_use]
    pub const fn ram(&self) -> &Rc<Ram> {
        &self.ram
    }

    /// Returns the limits of the process.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits.get()
    }

    /// Changes them (setrlimit(2)).
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
        if self.areas.borrow().len() == 0 {
            self.layout.update(|it| it.with_stack(limits.stack));
        }
    }
}
