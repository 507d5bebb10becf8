//! Memory that requests decide over, counted before it is used.

use core::cell::Cell;
use core::fmt;
use core::ops::Deref;

use super::{Error, Status};
use alloc::vec::Vec;

/// Bytes that the connections of a server may hold together.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) const fn new(bytes: usize) -> Self {
        Self(Cell::new(bytes))
    }

    /// Takes `bytes` out of it, if it has them and the machine is not short of memory.
    pub(super) fn take(&self, bytes: usize) -> Option<()> {
        let left = self.0.get().checked_sub(bytes)?;
        if kernel::memory::is_low() {
            return None;
        }
        self.0.set(left);
        Some(())
    }

    /// Takes `bytes` for what has begun, which goes on while memory is low; not where it is nearly
    /// gone.
    pub(super) fn spend(&self, bytes: usize) -> Option<()> {
        let left = self.0.get().checked_sub(bytes)?;
        if kernel::memory::is_nearly_gone() {
            return None;
        }
        self.0.set(left);
        Some(())
    }

    /// Puts them back.
    pub(super) fn put(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(bytes));
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.0.get()
    }
}

/// Bytes that were taken out of a budget, until it is dropped.
#[derive(Debug)]
pub(super) struct Charge<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl<'a> Charge<'a> {
    pub(super) const fn new(budget: &'a Budget) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Takes more out of the budget.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Error> {
        self.budget.take(bytes).ok_or(Error::Request(Status::UNAVAILABLE))?;
        self.bytes += bytes;
        Ok(())
    }

    /// Makes it as much as is held by now, by what has begun. `None`, and as much as before, if the
    /// budget has not enough.
    pub(super) fn follow(&mut self, bytes: usize) -> Option<()> {
        match bytes.checked_sub(self.bytes) {
            // What does not grow asks for nothing.
            Some(0) => {}
            Some(more) => self.budget.spend(more)?,
            None => self.budget.put(self.bytes - bytes),
        }
        self.bytes = bytes;
        Some(())
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.budget.put(self.bytes);
    }
}

/// Bytes that are read at least before more memory is taken for a body.
const LEAST: usize = 4096;

/// Holds a body that [`Body::collect`](super::Body::collect) has read. Its memory counts
/// against [`Limits::memory`](super::Limits::memory) until it is dropped.
pub struct Collected<'a> {
    bytes: Vec<u8>,
    budget: &'a Budget,
}

impl<'a> Collected<'a> {
    pub(super) const fn new(budget: &'a Budget) -> Self {
        Self { bytes: Vec::new(), budget }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Room for more bytes, up to `most` in all, which is not reached yet.
    ///
    /// # Errors
    /// [`Status::UNAVAILABLE`]: there is none.
    pub(super) fn room(&mut self, most: usize) -> Result<usize, Error> {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        if length == capacity {
            let none = Error::Request(Status::UNAVAILABLE);
            let more = length.max(LEAST).min(most - length);
            self.budget.take(more).ok_or(none)?;
            if self.bytes.try_reserve_exact(more).is_err() {
                self.budget.put(more);
                return Err(none);
            }
        }
        Ok((self.bytes.capacity() - length).min(most - length))
    }

    /// Forgets what it holds. Whether its memory is little enough to be kept for more.
    pub(super) fn clear(&mut self) -> bool {
        self.bytes.clear();
        self.bytes.capacity() <= LEAST
    }

    /// Adds bytes that there is room for.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

impl Deref for Collected<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Collected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collected({})", self.bytes.len())
    }
}

impl Drop for Collected<'_> {
    fn drop(&mut self) {
        self.budget.put(self.bytes.capacity());
    }
}
