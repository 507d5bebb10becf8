//! Memory that processes share and no file holds: `MAP_SHARED | MAP_ANONYMOUS`, and segments of
//! System V.

use super::ram::Ram;
use crate::errno::Errno;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use core::cell::RefCell;
use kernel::user::{Frame, PAGE};

/// Pages that several processes see, each made when one first touches it.
pub(super) struct Shared {
    frames: RefCell<BTreeMap<u64, Frame>>,
    /// Its length in pages. Beyond is nothing, even where mremap(2) made a map larger.
    pub(super) pages: u64,
    /// What `/proc/self/maps` gives as its number.
    pub(super) inode: u64,
    /// And as its name.
    pub(super) name: Box<[u8]>,
    /// Whether it is a segment of System V.
    pub(super) is_segment: bool,
}

impl Shared {
    /// Makes `pages` pages of zeros.
    pub(super) fn new(pages: u64, inode: u64) -> Rc<Self> {
        let name = Box::from(b"/dev/zero (deleted)".as_slice());
        Rc::new(Self { frames: RefCell::default(), pages, inode, name, is_segment: false })
    }

    /// Makes a segment of `pages` pages of zeros.
    pub(super) fn segment(pages: u64, inode: u64, name: Box<[u8]>) -> Rc<Self> {
        Rc::new(Self { frames: RefCell::default(), pages, inode, name, is_segment: true })
    }

    /// Returns page `index`, which is made if it is not there. `None` beyond the end.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn frame(&self, ram: &Ram, index: u64) -> Result<Option<Frame>, Errno> {
        if index >= self.pages {
            return Ok(None);
        }
        let mut frames = self.frames.borrow_mut();
        if let Some(frame) = frames.get(&index) {
            return Ok(Some(frame.clone()));
        }
        // What holds it in the map is allocated out of what `Ram` keeps free.
        let frame = ram.frame().ok_or(Errno::ENOMEM)?;
        frames.insert(index, frame.clone());
        Ok(Some(frame))
    }

    /// Returns whether page `index` is there.
    pub(super) fn has(&self, index: u64) -> bool {
        self.frames.borrow().contains_key(&index)
    }

    /// The pages from `first` to before `end` are zeros again (`MADV_REMOVE`). Those are dropped
    /// that nobody has mapped.
    pub(super) fn remove(&self, first: u64, end: u64) {
        let mut frames = self.frames.borrow_mut();
        let unmapped = frames.extract_if(first..end.max(first), |_, frame| {
            let mapped = frame.is_shared();
            if mapped {
                frame.fill(0, PAGE, 0);
            }
            !mapped
        });
        unmapped.for_each(drop);
    }
}

/// A segment. It has no pages before they are touched, and ends with the last who holds it.
#[derive(Clone)]
pub struct Segment(pub(super) Rc<Shared>);

/// A segment that only those hold who have it mapped.
#[derive(Clone)]
pub struct Unheld(Weak<Shared>);

impl Segment {
    /// Makes one of `length` bytes, rounded up to pages, which `/proc/self/maps` shows with the
    /// number `id` and the name `key`.
    #[must_use]
    pub fn new(length: u64, id: i32, key: i32) -> Self {
        let name = alloc::format!("/SYSV{key:08x} (deleted)").into_bytes();
        let pages = length.div_ceil(PAGE as u64);
        Self(Shared::segment(pages, id.cast_unsigned().into(), name.into()))
    }

    /// Returns it without holding it.
    #[must_use]
    pub fn unheld(&self) -> Unheld {
        Unheld(Rc::downgrade(&self.0))
    }
}

impl Unheld {
    /// Returns it, if somebody still holds it.
    #[must_use]
    pub fn get(&self) -> Option<Segment> {
        self.0.upgrade().map(Segment)
    }

    /// Returns how many hold it: areas of processes, and who keeps a [`Segment`].
    #[must_use]
    pub fn holders(&self) -> usize {
        self.0.strong_count()
    }
}
