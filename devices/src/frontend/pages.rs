//! Lends pages to a back end, a chunk of them at a time.
//!
//! A front end grants pages once a connection and uses them again for each request. It
//! allocates them in chunks, as few as it needs, and names them by number.

use alloc::vec::Vec;
use core::num::NonZero;
use core::ops::Range;
use xen::DomId;
use xen::gnttab::{Error, GrantRef, ReadOnlyGrant, ReadWriteGrant};
use xen::memory::{PAGE_SIZE, SharedPage};

/// Consecutive pages that are granted together.
pub(crate) trait Chunk: Sized {
    /// Grants `count` zeroed pages to `peer`.
    fn grant(peer: DomId, count: usize) -> Result<Self, Error>;

    /// Returns the grant reference of each page.
    fn references(&self) -> &[GrantRef];
}

impl Chunk for ReadWriteGrant {
    fn grant(peer: DomId, count: usize) -> Result<Self, Error> {
        Self::new(peer, count)
    }

    fn references(&self) -> &[GrantRef] {
        self.references()
    }
}

impl Chunk for ReadOnlyGrant {
    fn grant(peer: DomId, count: usize) -> Result<Self, Error> {
        Self::new(peer, count)
    }

    fn references(&self) -> &[GrantRef] {
        self.references()
    }
}

/// Pages that are granted to one domain: [`ReadWriteGrant`] ones, which it may write, or
/// [`ReadOnlyGrant`] ones, which it can only read (rule G3).
#[derive(Debug)]
pub(crate) struct Pages<T> {
    peer: DomId,
    /// The pages of a chunk.
    chunk: NonZero<usize>,
    chunks: Vec<T>,
}

impl<T: Chunk> Pages<T> {
    /// Makes a set without pages yet, which grows by `chunk` of them, but at least one, and
    /// grants them to `peer`.
    pub(crate) fn new(peer: DomId, chunk: usize) -> Self {
        Self {
            peer,
            chunk: NonZero::new(chunk).unwrap_or(NonZero::<usize>::MIN),
            chunks: Vec::new(),
        }
    }

    /// Returns the number of pages.
    pub(crate) const fn len(&self) -> usize {
        self.chunks.len() * self.chunk.get()
    }

    /// Allocates and grants one more chunk. Returns the numbers of its pages.
    ///
    /// # Errors
    /// Memory or grant references are exhausted.
    pub(crate) fn grow(&mut self) -> Result<Range<u16>, Error> {
        let first = self.len();
        self.chunks.try_reserve(1).map_err(|_| Error::Memory)?;
        self.chunks.push(T::grant(self.peer, self.chunk.get())?);
        Ok(first as u16..self.len() as u16)
    }

    /// Returns the grant reference of page `page`, if there is such a page.
    pub(crate) fn reference(&self, page: usize) -> Option<GrantRef> {
        let chunk = self.chunks.get(page / self.chunk)?;
        chunk.references().get(page % self.chunk).copied()
    }
}

impl Pages<ReadWriteGrant> {
    /// Returns page `page`, if there is such a page.
    pub(crate) fn page(&self, page: usize) -> Option<&SharedPage> {
        self.chunks.get(page / self.chunk)?.pages().get(page % self.chunk)
    }
}

impl Pages<ReadOnlyGrant> {
    /// Returns `length` bytes from the start of page `page`, if its chunk has as many.
    pub(crate) fn bytes(&self, page: usize, length: usize) -> Option<&[u8]> {
        let start = page % self.chunk * PAGE_SIZE;
        self.chunks.get(page / self.chunk)?.bytes().get(start..)?.get(..length)
    }

    /// Returns the same bytes to be written.
    pub(crate) fn bytes_mut(&mut self, page: usize, length: usize) -> Option<&mut [u8]> {
        let start = page % self.chunk * PAGE_SIZE;
        self.chunks.get_mut(page / self.chunk)?.bytes_mut().get_mut(start..)?.get_mut(..length)
    }
}
