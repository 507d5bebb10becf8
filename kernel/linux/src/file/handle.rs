//! What is open without content: folders, and whatever was opened with `O_PATH`.

use super::{At, File, Inode, Listing, Open, Stat};
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::{Sink, Source};
use crate::stop::Stop;
use alloc::rc::Rc;
use core::any::Any;
use core::cell::RefCell;
use linux_raw_sys::general::{SEEK_CUR, SEEK_SET};

/// An open folder, or what is open by its name alone.
pub struct Handle {
    node: Rc<dyn Inode>,
    /// What reads and writes are told.
    refusal: Errno,
    /// The folder as it was when its listing began.
    listing: RefCell<Option<Rc<Listing>>>,
}

impl Handle {
    /// Opens `node` so that reads end with `refusal`.
    pub fn new(node: Rc<dyn Inode>, refusal: Errno) -> Rc<Self> {
        Rc::new(Self { node, refusal, listing: RefCell::new(None) })
    }

    /// Returns what is open.
    pub const fn node(&self) -> &Rc<dyn Inode> {
        &self.node
    }

    /// Returns the entries of this folder as they were at the first call; from then on they do
    /// not change until [`rewind`](Self::rewind).
    ///
    /// # Errors
    /// `ENOTDIR`, `EBADF` with `O_PATH`, `ENOENT` in a folder that was removed, and the disk's.
    pub fn listing(&self, caller: &dyn Caller) -> Result<Rc<Listing>, Stop> {
        if self.refusal == Errno::EBADF {
            return Err(Errno::EBADF.into());
        }
        if self.node.is_gone() {
            return Err(Errno::ENOENT.into());
        }
        if let Some(listing) = &*self.listing.borrow() {
            return Ok(Rc::clone(listing));
        }
        let (_, own) = self.node.id();
        let above = self.node.up().map_or(own, |(it, _)| it.id().1);
        let mut all = self.node.list(caller)?;
        for (name, number) in [(&b".."[..], above), (b".", own)] {
            all.insert(0, name, number, Some(super::Type::Folder))?;
        }
        let all = Rc::new(all);
        *self.listing.borrow_mut() = Some(Rc::clone(&all));
        Ok(all)
    }

    /// Looks at the folder anew with the next listing.
    pub fn rewind(&self) {
        self.listing.take();
    }
}

impl File for Handle {
    fn read(&self, _: &Open, _: At, _: &mut Sink<'_>) -> Result<usize, Stop> {
        Err(self.refusal.into())
    }

    fn write(&self, _: &Open, _: At, _: &mut Source<'_>) -> Result<usize, Stop> {
        Err(Errno::EBADF.into())
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(self.node.stat())
    }

    fn seek(&self, open: &Open, offset: i64, whence: u32) -> Result<u64, Stop> {
        if self.refusal == Errno::EBADF {
            return Err(Errno::EBADF.into());
        }
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => open.position.get(),
            _ => return Err(Errno::EINVAL.into()),
        };
        let to = base.checked_add_signed(offset).ok_or(Errno::EINVAL)?;
        if to == 0 {
            self.rewind();
        }
        open.position.set(to);
        Ok(to)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
