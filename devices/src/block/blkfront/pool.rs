//! Manages pages for data, which are granted once a connection and reused.
//!
//! A back end with `feature-persistent` keeps them mapped, so that a request costs neither end
//! a grant operation; it maps all of them writable. With any other back end, data that it only
//! reads are in pages that are granted read-only (rule G3).

use super::Op;
use crate::frontend::pages::Pages;
use alloc::vec::Vec;
use xen::DomId;
use xen::gnttab::{Error, GrantRef, ReadOnlyGrant, ReadWriteGrant};
use xen::memory::PAGE_SIZE;

/// Pages that are allocated at once.
const CHUNK: usize = 16;

/// Where the pages of a pool are.
#[derive(Debug)]
enum Kind {
    /// Writable by the back end.
    ReadWrite(Pages<ReadWriteGrant>),
    /// Read-only for it.
    ReadOnly(Pages<ReadOnlyGrant>),
}

/// Pages of one kind: writable by the back end, or read-only.
#[derive(Debug)]
pub(super) struct Pool {
    pages: Kind,
    /// The pages without data in flight.
    free: Vec<u16>,
    /// The most pages.
    most: usize,
    /// Bytes copied in and out.
    copied: u64,
}

impl Pool {
    /// Makes a pool without pages yet, for at most `most` that are granted to domain `peer`.
    pub(super) fn new(peer: DomId, read_only: bool, most: usize) -> Self {
        let pages = if read_only {
            Kind::ReadOnly(Pages::new(peer, CHUNK))
        } else {
            Kind::ReadWrite(Pages::new(peer, CHUNK))
        };
        Self { pages, free: Vec::new(), most, copied: 0 }
    }

    /// Returns the number of pages, free or in use.
    const fn len(&self) -> usize {
        match &self.pages {
            Kind::ReadWrite(pages) => pages.len(),
            Kind::ReadOnly(pages) => pages.len(),
        }
    }

    /// Returns the number of pages that can be taken now, memory permitting.
    pub(super) const fn available(&self) -> usize {
        self.free.len() + self.most.saturating_sub(self.len())
    }

    /// Returns the number of bytes that were copied into its pages and out of them.
    pub(super) const fn copied(&self) -> u64 {
        self.copied
    }

    /// Returns whether there are no pages at all, free or in use.
    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn grow(&mut self) -> Result<(), Error> {
        let count = self.len() + CHUNK;
        self.free.try_reserve(count - self.free.len()).map_err(|_| Error::Memory)?;
        self.free.extend(
            match &mut self.pages {
                Kind::ReadWrite(pages) => pages.grow()?,
                Kind::ReadOnly(pages) => pages.grow()?,
            }
            .rev(),
        );
        Ok(())
    }

    /// Returns the number of pages with data in flight.
    pub(super) const fn used(&self) -> usize {
        self.len() - self.free.len()
    }

    /// Takes `count` pages and appends their numbers to `to`; fewer, but at least one, if
    /// memory is low or grants do not suffice.
    pub(super) fn take(&mut self, count: usize, to: &mut Vec<u16>) -> Result<(), Error> {
        let before = to.len();
        to.try_reserve(count).map_err(|_| Error::Memory)?;
        while self.free.len() < count && self.len() < self.most {
            if !self.free.is_empty() && kernel::memory::is_low() {
                break;
            }
            match self.grow() {
                Ok(()) => {}
                Err(error) if self.free.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        let rest = self.free.len() - count.min(self.free.len());
        to.extend(self.free.drain(rest..).rev());
        // What was there before is no answer: who asks until there are enough must come to an end.
        if to.len() == before { Err(Error::Full) } else { Ok(()) }
    }

    /// Returns pages to the pool.
    pub(super) fn give(&mut self, pages: &mut Vec<u16>) {
        // There is room for all pages.
        self.free.extend(pages.drain(..).rev());
    }

    /// Returns the grant reference of a page of the pool.
    pub(super) fn reference(&self, page: u16) -> Option<GrantRef> {
        match &self.pages {
            Kind::ReadWrite(pages) => pages.reference(page.into()),
            Kind::ReadOnly(pages) => pages.reference(page.into()),
        }
    }

    /// Copies `from` into `pages`, and zeros into the rest of the last one (rule B7).
    pub(super) fn copy_in(&mut self, pages: &[u16], from: &[u8]) {
        self.copied += from.len() as u64;
        for (&page, piece) in pages.iter().zip(from.chunks(PAGE_SIZE)) {
            match &mut self.pages {
                Kind::ReadWrite(pages) => {
                    let Some(page) = pages.page(page.into()) else { continue };
                    page.copy_in(0, piece);
                    for start in (piece.len()..PAGE_SIZE).step_by(ZEROS.len()) {
                        page.copy_in(start, &ZEROS);
                    }
                }
                Kind::ReadOnly(pages) => {
                    let Some(page) = pages.bytes_mut(page.into(), PAGE_SIZE) else { continue };
                    let (used, rest) = page.split_at_mut(piece.len());
                    used.copy_from_slice(piece);
                    rest.fill(0);
                }
            }
        }
    }

    /// Copies the content of `pages` into `to`.
    pub(super) fn copy_out(&mut self, pages: &[u16], to: &mut [u8]) {
        self.copied += to.len() as u64;
        for (&page, piece) in pages.iter().zip(to.chunks_mut(PAGE_SIZE)) {
            match &self.pages {
                Kind::ReadWrite(pages) => {
                    let Some(page) = pages.page(page.into()) else { continue };
                    page.copy_out(0, piece);
                }
                Kind::ReadOnly(pages) => {
                    let Some(page) = pages.bytes(page.into(), piece.len()) else { continue };
                    piece.copy_from_slice(page);
                }
            }
        }
    }
}

/// The granted pages of a connection.
#[derive(Debug)]
pub(super) struct Pools {
    /// Writable for the back end: for reads, and for all requests if grants are persistent.
    shared: Pool,
    /// Read-only for the back end: for writes.
    shown: Option<Pool>,
}

impl Pools {
    /// Makes pools of at most `most` pages each for domain `peer`.
    pub(super) fn new(peer: DomId, persistent: bool, most: usize) -> Self {
        if persistent {
            return Self { shared: Pool::new(peer, false, most), shown: None };
        }
        Self { shared: Pool::new(peer, false, most), shown: Some(Pool::new(peer, true, most)) }
    }

    /// Returns the number of bytes that were copied into these pages and out of them.
    pub(super) fn copied(&self) -> u64 {
        self.shared.copied() + self.shown.as_ref().map_or(0, Pool::copied)
    }

    /// Returns the pool for requests of this operation.
    pub(super) const fn of(&mut self, op: Op) -> &mut Pool {
        match (&mut self.shown, op) {
            (Some(shown), Op::Write) => shown,
            _ => &mut self.shared,
        }
    }
}

/// Fills the rest of a page behind its data, a sector at a time.
static ZEROS: [u8; 512] = [0; 512];
