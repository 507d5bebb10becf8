//! Memory that processes share and no file holds: `MAP_SHARED | MAP_ANONYMOUS`.

use super::ram::Ram;
use crate::errno::Errno;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;
use kernel::user::Frame;

/// Pages that several processes see, each made when one first touches it.
pub(super) struct Shared {
    frames: RefCell<BTreeMap<u64, Frame>>,
    /// Its length in pages. Beyond is nothing, even where mremap(2) made a map larger.
    pub(super) pages: u64,
    /// What `/proc/self/maps` gives as its number.
    pub(super) inode: u64,
}

impl Shared {
    /// Makes `pages` pages of zeros.
    pub(super) fn new(pages: u64, inode: u64) -> Rc<Self> {
        Rc::new(Self { frames: RefCell::default(), pages, inode })
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

    /// Drops the pages from `first` to before `end`: they are zeros again (`MADV_REMOVE`).
    pub(super) fn remove(&self, first: u64, end: u64) {
        self.frames.borrow_mut().extract_if(first..end.max(first), |_, _| true).for_each(drop);
    }
}
