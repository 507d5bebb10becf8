//! An area: a range of addresses with equal protection, and where its pages come from.

use super::shared::Shared;
use crate::errno::Errno;
use crate::stop::Pages;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use bitflags::bitflags;
use core::cell::Cell;
use core::ptr::addr_eq;
use kernel::user::{Access, Frame, PAGE};

bitflags! {
    /// What is particular about an area.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Flags: u8 {
        /// What one process writes, all see (`MAP_SHARED`).
        const SHARED = 1;
        /// It grows down to where it is touched (`MAP_GROWSDOWN`).
        const GROWS_DOWN = 1 << 1;
        /// It is locked (mlock(2)). Nothing is ever swapped here, so this is only noted.
        const LOCKED = 1 << 2;
        /// A child does not get it (`MADV_DONTFORK`).
        const NO_FORK = 1 << 3;
        /// A child finds zeros there (`MADV_WIPEONFORK`).
        const WIPE_ON_FORK = 1 << 4;
        /// It may be larger than what could be given (`MAP_NORESERVE`).
        const NO_RESERVE = 1 << 5;
        /// It never becomes writable (`SHM_RDONLY` of shmat(2)).
        const READ_ONLY = 1 << 6;
    }
}

/// A file whose pages are mapped, and what `/proc/self/maps` says of it.
pub struct Mapped {
    /// Its pages. One `Rc` for a file: shared maps and futexes know it by its address.
    pub pages: Rc<dyn Pages>,
    /// Its path.
    pub name: Box<[u8]>,
    /// The device that holds it, as stat(2) has it.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Whether a shared map may be writable.
    pub write: bool,
}

impl Mapped {
    /// Makes one. `write`: whether it was opened `O_RDWR`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(
        pages: Rc<dyn Pages>,
        name: &[u8],
        device: u64,
        inode: u64,
        write: bool,
    ) -> Result<Rc<Self>, Errno> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(name.len()).map_err(|_| Errno::ENOMEM)?;
        copy.extend_from_slice(name);
        Ok(Rc::new(Self { pages, name: copy.into(), device, inode, write }))
    }

    /// Returns whether both are maps of one file under one name.
    fn is(&self, other: &Self) -> bool {
        addr_eq(Rc::as_ptr(&self.pages), Rc::as_ptr(&other.pages))
            && self.write == other.write
            && self.name == other.name
    }
}

/// Pages of the kernel's own that a program sees, such as the vDSO.
pub(super) struct Special {
    pub(super) name: &'static str,
    pub(super) frames: Vec<Frame>,
}

/// Where the pages of an area come from. Numbers of pages are those of the area's start.
#[derive(Clone)]
pub(super) enum Backing {
    /// Zeros of its own.
    Anonymous,
    /// Memory that processes share.
    Shared(Rc<Shared>, u64),
    /// A file.
    File(Rc<Mapped>, u64),
    /// The kernel's own.
    Special(Rc<Special>, u64),
}

impl Backing {
    /// Returns it as it is `bytes` further.
    pub(super) fn at(&self, bytes: usize) -> Self {
        let mut it = self.clone();
        match &mut it {
            Self::Anonymous => {}
            Self::Shared(_, first) | Self::File(_, first) | Self::Special(_, first) => {
                *first += (bytes / PAGE) as u64;
            }
        }
        it
    }

    /// Returns whether `next` is what it is `bytes` further.
    fn continues(&self, bytes: usize, next: &Self) -> bool {
        let pages = (bytes / PAGE) as u64;
        match (self, next) {
            (Self::Anonymous, Self::Anonymous) => true,
            (Self::Shared(one, first), Self::Shared(other, then)) => {
                Rc::ptr_eq(one, other) && first + pages == *then
            }
            (Self::File(one, first), Self::File(other, then)) => {
                (Rc::ptr_eq(one, other) || one.is(other)) && first + pages == *then
            }
            _ => false,
        }
    }
}

/// A range of addresses. Where it begins is its key among [`Areas`](super::areas::Areas).
#[derive(Clone)]
pub(super) struct Area {
    /// The first address behind it.
    pub(super) end: usize,
    /// What the program may do there.
    pub(super) access: Access,
    pub(super) flags: Flags,
    pub(super) backing: Backing,
    /// Whether it may hold pages of its own that differ from the file's.
    pub(super) own: Cell<bool>,
}

impl Area {
    /// Makes one that has no pages yet.
    pub(super) const fn new(end: usize, access: Access, flags: Flags, backing: Backing) -> Self {
        Self { end, access, flags, backing, own: Cell::new(false) }
    }

    /// Returns whether what one process writes there is seen by others.
    pub(super) const fn is_shared(&self) -> bool {
        self.flags.contains(Flags::SHARED)
    }

    /// Returns whether it counts for `RLIMIT_DATA`: private, writable, and not a stack.
    pub(super) const fn is_data(&self) -> bool {
        self.access.contains(Access::WRITE)
            && !self.flags.contains(Flags::SHARED)
            && !self.flags.contains(Flags::GROWS_DOWN)
    }

    /// Returns whether it may be no larger than what could be given.
    pub(super) const fn is_reserved(&self) -> bool {
        self.is_data() && !self.flags.contains(Flags::NO_RESERVE)
    }

    /// Returns whether the processor would let a program do `wanted` (one of the three) here: what
    /// may be written or executed may be read.
    pub(super) fn allows(&self, wanted: Access) -> bool {
        permits(self.access, wanted)
    }

    /// Returns whether `next`, which begins where this ends, can be one with it. `start` is where
    /// this begins.
    pub(super) fn continues(&self, start: usize, next: &Self) -> bool {
        self.access == next.access
            && self.flags == next.flags
            && self.backing.continues(self.end - start, &next.backing)
    }
}

/// Returns what is left of `access` for a page whose first write is to be seen: the processor lets
/// a program read what it may write, so that this is left.
pub(super) fn unwritten(access: Access) -> Access {
    match access.contains(Access::WRITE) {
        true => (access - Access::WRITE) | Access::READ,
        false => access,
    }
}

/// Returns whether a page with `access` lets a program do `wanted`, one of the three.
pub(super) fn permits(access: Access, wanted: Access) -> bool {
    access.contains(wanted) || (wanted == Access::READ && !access.is_empty())
}
