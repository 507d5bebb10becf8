//! The table of descriptors of a process.

use super::Open;
use super::extras::Owner;
use crate::errno::Errno;
use crate::memory::{Ram, widen};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// Descriptors that a process may have at most, whatever its limit says (fs.nr_open is larger on
/// Linux; a table of so many takes 16 MiB).
const MOST: usize = 1 << 20;

#[derive(Clone)]
struct Entry {
    open: Rc<Open>,
    close_on_exec: bool,
}

/// The descriptors of a process: the lowest free number is given first.
pub struct Files {
    entries: RefCell<Vec<Option<Entry>>>,
    /// No number below is free.
    lowest: Cell<usize>,
    /// `RLIMIT_NOFILE`.
    limit: Cell<usize>,
    ram: Rc<Ram>,
}

impl Files {
    /// Makes an empty table for `limit` descriptors, which grows in `ram`.
    #[must_use]
    pub const fn new(limit: usize, ram: Rc<Ram>) -> Self {
        let entries = RefCell::new(Vec::new());
        Self { entries, lowest: Cell::new(0), limit: Cell::new(limit), ram }
    }

    /// Returns what it grows in.
    pub(crate) const fn ram(&self) -> &Rc<Ram> {
        &self.ram
    }

    /// Copies it up to the last one that is open, for fork(2).
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn copy(&self) -> Result<Self, Errno> {
        let old = self.entries.borrow();
        let used = old.iter().rposition(Option::is_some).map_or(0, |it| it + 1);
        let mut entries = self.ram.sized(used)?;
        entries.extend(old.iter().take(used).cloned());
        Ok(Self {
            entries: RefCell::new(entries),
            lowest: self.lowest.clone(),
            limit: self.limit.clone(),
            ram: Rc::clone(&self.ram),
        })
    }

    /// Returns how many it may hold.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.get().min(MOST)
    }

    /// Returns how many a table of Linux's would have room for, where that grows as far as this one
    /// has (`alloc_fdtable` of fs/file.c).
    #[must_use]
    pub fn room(&self) -> usize {
        match self.entries.borrow().len() {
            0..=64 => 64,
            used => used.div_ceil(128).next_power_of_two() * 128,
        }
    }

    /// Changes the limit.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// Makes room for another one, so that the next [`add`](Self::add) cannot fail.
    ///
    /// # Errors
    /// `EMFILE` at the limit, `ENOMEM`.
    pub fn reserve(&self) -> Result<(), Errno> {
        let mut entries = self.entries.borrow_mut();
        let fd = self.free(&entries, 0)?;
        self.widen(&mut entries, fd + 1)
    }

    /// Returns whether one more takes no memory.
    #[cfg(test)]
    pub(crate) fn has_spare(&self) -> bool {
        let entries = self.entries.borrow();
        self.free(&entries, 0).is_ok_and(|it| it < entries.capacity())
    }

    /// Returns the lowest free number from `least` on.
    fn free(&self, entries: &[Option<Entry>], least: usize) -> Result<usize, Errno> {
        let start = least.max(self.lowest.get());
        let free = (start..entries.len()).find(|&it| entries[it].is_none());
        let fd = free.unwrap_or_else(|| start.max(entries.len()));
        if fd < self.limit() { Ok(fd) } else { Err(Errno::EMFILE) }
    }

    /// Has room for so many, for which caches give up pages if need be.
    fn widen(&self, entries: &mut Vec<Option<Entry>>, length: usize) -> Result<(), Errno> {
        if length > entries.capacity() {
            let bytes = length * size_of::<Option<Entry>>();
            self.ram.check_size(bytes)?;
            widen(entries, length - entries.len())?;
        }
        Ok(())
    }

    /// Makes the table as long as that.
    fn grow(&self, entries: &mut Vec<Option<Entry>>, length: usize) -> Result<(), Errno> {
        self.widen(entries, length)?;
        entries.resize(length, None);
        Ok(())
    }

    /// Returns what is open as `fd`.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn get(&self, fd: u64) -> Result<Rc<Open>, Errno> {
        let entries = self.entries.borrow();
        let entry = usize::try_from(fd as u32).ok().and_then(|it| entries.get(it));
        entry.and_then(Option::as_ref).map(|it| Rc::clone(&it.open)).ok_or(Errno::EBADF)
    }

    /// Gives `open` the lowest free number from `least` on.
    ///
    /// # Errors
    /// `EMFILE` at the limit, `ENOMEM`.
    pub fn add(&self, open: Rc<Open>, close_on_exec: bool, least: usize) -> Result<usize, Errno> {
        let mut entries = self.entries.borrow_mut();
        let fd = self.free(&entries, least)?;
        if fd >= entries.len() {
            self.grow(&mut entries, fd + 1)?;
        }
        entries[fd] = Some(Entry { open, close_on_exec });
        if least <= self.lowest.get() {
            self.lowest.set(fd + 1);
        }
        Ok(fd)
    }

    /// Puts `open` at `fd`, in the place of what was there, which it returns (dup2(2)).
    ///
    /// # Errors
    /// `EBADF` beyond the limit, `ENOMEM`.
    pub fn put(
        &self,
        fd: usize,
        open: Rc<Open>,
        close_on_exec: bool,
    ) -> Result<Option<Rc<Open>>, Errno> {
        if fd >= self.limit.get().min(MOST) {
            return Err(Errno::EBADF);
        }
        let mut entries = self.entries.borrow_mut();
        if fd >= entries.len() {
            self.grow(&mut entries, fd + 1)?;
        }
        let old = entries[fd].replace(Entry { open, close_on_exec });
        Ok(old.map(|it| it.open))
    }

    /// Removes `fd`, and returns what was open as it.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn remove(&self, fd: u64) -> Result<Rc<Open>, Errno> {
        let at = fd as u32 as usize;
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(at).and_then(Option::take).ok_or(Errno::EBADF)?;
        self.lowest.set(self.lowest.get().min(at));
        Ok(entry.open)
    }

    /// Returns whether `fd` is closed by execve(2).
    ///
    /// # Errors
    /// `EBADF`.
    pub fn closes_on_exec(&self, fd: u64) -> Result<bool, Errno> {
        let entries = self.entries.borrow();
        let entry = entries.get(fd as u32 as usize).and_then(Option::as_ref);
        entry.map(|it| it.close_on_exec).ok_or(Errno::EBADF)
    }

    /// Changes that.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn set_close_on_exec(&self, fd: u64, close: bool) -> Result<(), Errno> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(fd as u32 as usize).and_then(Option::as_mut);
        entry.ok_or(Errno::EBADF)?.close_on_exec = close;
        Ok(())
    }

    /// Returns whom locks belong to that are taken by its descriptors.
    pub(super) fn owner(&self) -> Owner {
        Owner::Table(core::ptr::from_ref(self).addr())
    }

    /// Returns whether `open` has a number in it.
    pub(super) fn has(&self, open: &Rc<Open>) -> bool {
        self.entries.borrow().iter().flatten().any(|it| Rc::ptr_eq(&it.open, open))
    }

    /// Closes those that `keep` says no to, by number and whether execve(2) closes them.
    pub fn retain(&self, keep: impl Fn(usize, bool) -> bool) {
        let mut next = 0;
        while let Some((fd, open)) = self.take_from(next, &keep) {
            // Nothing is borrowed: that may wake others.
            open.closed_by(self);
            drop(open);
            next = fd + 1;
        }
    }

    /// Takes the first from `least` on that is not kept.
    fn take_from(
        &self,
        least: usize,
        keep: impl Fn(usize, bool) -> bool,
    ) -> Option<(usize, Rc<Open>)> {
        let mut entries = self.entries.borrow_mut();
        let (fd, entry) = entries.iter_mut().enumerate().skip(least).find_map(|(fd, entry)| {
            let gone = entry.take_if(|it| !keep(fd, it.close_on_exec));
            gone.map(|it| (fd, it))
        })?;
        self.lowest.set(self.lowest.get().min(fd));
        Some((fd, entry.open))
    }

    /// Closes those that execve(2) closes.
    pub fn exec(&self) {
        self.retain(|_, close_on_exec| !close_on_exec);
    }

    /// Closes all, and gives up the table's memory: what has ended may be there for long.
    pub fn clear(&self) {
        let entries = self.entries.take();
        self.lowest.set(0);
        entries.iter().flatten().for_each(|it| it.open.closed_by(self));
    }

    /// Returns the numbers that are open, in order (`/proc/self/fd`). Others may be opened and
    /// closed meanwhile.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        let mut next = 0;
        core::iter::from_fn(move || {
            let entries = self.entries.borrow();
            let found = entries.iter().skip(next).position(Option::is_some)? + next;
            next = found + 1;
            Some(found)
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.clear();
    }
}
