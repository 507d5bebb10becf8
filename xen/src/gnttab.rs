//! The grant table (`public/grant_table.h`, version 1): which pages of ours
//! another domain may use.
//!
//! Two types own granted pages. [`Shown`] holds read-only grants: the peer cannot write, so
//! the bytes are an ordinary slice here. [`Shared`] holds read-write grants: the peer may
//! write at any time, so bytes are only copied in and out. Granting a page costs two stores
//! and no hypercall; drivers grant their pages once per connection and reuse them.
//!
//! Dropping the value revokes the grants. A page that the peer still has mapped goes into
//! quarantine together with its reference: revoking is retried later, and the page is not used
//! for anything else meanwhile (rule G4). While the quarantine is full, no further page
//! is granted (rule G5).

use crate::hypercall::{grant_table_op_query_size, grant_table_op_setup_table, virt_to_mfn};
pub use crate::ids::GrantRef;
use crate::memory::{PAGE_SIZE, Pages, SharedPage};
use crate::public::grant_table::{
    ENTRIES, ENTRY_SIZE, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_WRITING,
    RESERVED_ENTRIES,
};
use crate::{DomId, Errno};
use alloc::vec::Vec;
use core::fmt;

/// Pages that may be in quarantine: 8 MiB, as much as two network interfaces
/// with full rings.
const QUARANTINE: usize = 2048;

/// Says why a page cannot be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no memory for the pages or for the table.
    Memory,
    /// The grant table is full and has the most frames that Xen allows.
    Full,
    /// The quarantine is full: other domains still use too many pages that were revoked.
    Quarantine,
    /// Xen refused to set up the table.
    Refused(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("out of memory for pages to grant"),
            Self::Full => f.write_str(
                "the grant table is full: Xen allows no more frames (see gnttab_max_frames)",
            ),
            Self::Quarantine => f.write_str(
                "too many granted pages are still in use by other domains; \
                 no more are granted until some come back",
            ),
            Self::Refused(errno) => write!(f, "Xen refused to set up the grant table: {errno}"),
        }
    }
}

impl core::error::Error for Error {}

/// Counts grants, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries in use.
    pub used: usize,
    /// Entries that are free without making the table longer.
    pub free: usize,
    /// Pages that were revoked while the peer still had them mapped.
    pub quarantine: usize,
}

/// The table of this domain.
#[derive(Debug)]
pub(crate) struct Table {
    frames: Vec<SharedPage>,
    free: Vec<GrantRef>,
    quarantine: Vec<Lent>,
    used: usize,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { frames: Vec::new(), free: Vec::new(), quarantine: Vec::new(), used: 0 }
    }

    /// Makes the table one frame longer.
    fn grow(&mut self) -> Result<(), Error> {
        let (_, most) = grant_table_op_query_size().map_err(Error::Refused)?;
        let count = self.frames.len() + 1;
        if count > most as usize {
            return Err(Error::Full);
        }
        let mut list = Vec::new();
        list.try_reserve(count).map_err(|_| Error::Memory)?;
        list.resize(count, 0);
        self.free.try_reserve(ENTRIES * count).map_err(|_| Error::Memory)?;
        self.frames.try_reserve(1).map_err(|_| Error::Memory)?;
        grant_table_op_setup_table(&mut list).map_err(Error::Refused)?;
        let mfn = list.last().copied().unwrap_or(0);
        self.frames.push(crate::memory::map_frame(mfn).ok_or(Error::Memory)?);
        let first = ((count - 1) * ENTRIES) as u32;
        // The lowest is taken first.
        let new = (first..first + ENTRIES as u32).rev();
        self.free.extend(new.filter(|&entry| entry >= RESERVED_ENTRIES).map(GrantRef));
        Ok(())
    }

    /// The frame that holds entry `reference`, and where in it.
    fn entry(&self, reference: GrantRef) -> Option<(&SharedPage, usize)> {
        let (frame, entry) = (reference.0 as usize / ENTRIES, reference.0 as usize % ENTRIES);
        Some((self.frames.get(frame)?, entry * ENTRY_SIZE))
    }

    fn permit(&mut self, peer: DomId, flags: u16, page: usize) -> Result<GrantRef, Error> {
        if self.free.is_empty() {
            self.grow()?;
        }
        let reference = self.free.pop().ok_or(Error::Full)?;
        let frame = virt_to_mfn(page);
        if let Some((table, at)) = self.entry(reference) {
            // `frame` first: the word with the flags makes the entry valid.
            table.store_u32(at + 4, frame as u32);
            table.store_u32(at, u32::from(GTF_PERMIT_ACCESS | flags) | u32::from(peer.0) << 16);
        }
        self.used += 1;
        Ok(reference)
    }

    /// Ends the peer's access; whether it did not use the page any more.
    fn revoke(&mut self, reference: GrantRef) -> bool {
        let Some((table, at)) = self.entry(reference) else { return false };
        loop {
            let flags = table.load_u16(at);
            if flags & (GTF_READING | GTF_WRITING) != 0 {
                return false;
            }
            // Xen may set one of the two between the look and the exchange.
            if table.compare_exchange_u16(at, flags, 0).is_ok() {
                break;
            }
        }
        self.used -= 1;
        self.free.push(reference);
        true
    }

    /// Tries to get pages back; those that came leave the quarantine.
    fn try_quarantine(&mut self) -> Vec<Pages> {
        let mut back = Vec::new();
        // Backwards, as those that stay go to the end.
        for at in (0..self.quarantine.len()).rev() {
            let mut lent = self.quarantine.swap_remove(at);
            lent.references.retain(|&reference| !self.revoke(reference));
            if lent.references.is_empty() {
                back.extend(lent.pages.take());
            } else {
                self.quarantine.push(lent);
            }
        }
        back
    }
}

/// Returns how many grants there are now.
#[must_use]
pub fn stats() -> Stats {
    let table = crate::domain().grants.lock();
    let quarantine = table.quarantine.iter().filter_map(|lent| lent.pages.as_ref());
    Stats {
        used: table.used,
        free: table.free.len(),
        quarantine: quarantine.map(Pages::count).sum(),
    }
}

/// Pages and the references by which a peer uses them.
#[derive(Debug)]
struct Lent {
    pages: Option<Pages>,
    references: Vec<GrantRef>,
}

impl Lent {
    fn new(peer: DomId, flags: u16, count: usize) -> Result<Self, Error> {
        let mut table = crate::domain().grants.lock();
        let back = table.try_quarantine();
        let quarantine: usize = table.quarantine.iter().map(|lent| lent.references.len()).sum();
        drop(table);
        drop(back);
        if quarantine > QUARANTINE {
            return Err(Error::Quarantine);
        }
        let pages = Pages::new(count).ok_or(Error::Memory)?;
        let mut references = Vec::new();
        references.try_reserve_exact(pages.count()).map_err(|_| Error::Memory)?;
        let mut lent = Self { pages: None, references };
        let mut table = crate::domain().grants.lock();
        let mut failed = None;
        for page in pages.addresses() {
            match table.permit(peer, flags, page.as_ptr() as usize) {
                Ok(reference) => lent.references.push(reference),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(table);
        // Only now, so that what was lent before a failure goes back with it.
        lent.pages = Some(pages);
        failed.map_or(Ok(lent), Err)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.pages.is_none() {
            return;
        }
        let mut table = crate::domain().grants.lock();
        self.references.retain(|&reference| !table.revoke(reference));
        if !self.references.is_empty() {
            let lent = Self {
                pages: self.pages.take(),
                references: core::mem::take(&mut self.references),
            };
            table.quarantine.push(lent);
        }
    }
}

/// The parts in single pages of `length` bytes from byte `at` on: the page, where in
/// it, and how many bytes.
fn pieces(mut at: usize, length: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = at + length;
    core::iter::from_fn(move || {
        let (page, start) = (at / PAGE_SIZE, at % PAGE_SIZE);
        let count = (PAGE_SIZE - start).min(end - at);
        at += count;
        (count > 0).then_some((page, start, count))
    })
}

/// Owns pages granted to a peer for reading and writing. Bytes are only copied in and out, as
/// the peer may write at any time.
#[derive(Debug)]
pub struct Shared {
    lent: Lent,
    pages: Vec<SharedPage>,
}

impl Shared {
    /// Grants `count` zeroed pages to domain `peer`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(peer: DomId, count: usize) -> Result<Self, Error> {
        let mut pages = Vec::new();
        pages.try_reserve_exact(count).map_err(|_| Error::Memory)?;
        let lent = Lent::new(peer, 0, count)?;
        for page in lent.pages.iter().flat_map(Pages::addresses) {
            // SAFETY: the page is mapped as long as `lent` lives, which nothing
            // but this type has, so no reference points into it.
            pages.push(unsafe { SharedPage::new(page) });
        }
        Ok(Self { lent, pages })
    }

    /// Returns the first page.
    #[must_use]
    pub fn page(&self) -> &SharedPage {
        &self.pages[0]
    }

    /// Returns all pages.
    #[must_use]
    pub fn pages(&self) -> &[SharedPage] {
        &self.pages
    }

    /// Copies `from` into the pages, from byte `at` of all of them on.
    pub fn copy_in(&self, at: usize, mut from: &[u8]) {
        for (page, start, count) in pieces(at, from.len()) {
            let (piece, rest) = from.split_at(count);
            self.pages[page].copy_in(start, piece);
            from = rest;
        }
    }

    /// Copies bytes of the pages into `to`, from byte `at` of all of them on.
    pub fn copy_out(&self, at: usize, mut to: &mut [u8]) {
        for (page, start, count) in pieces(at, to.len()) {
            let (piece, rest) = to.split_at_mut(count);
            self.pages[page].copy_out(start, piece);
            to = rest;
        }
    }

    /// Returns the grant references of the pages, in order.
    #[must_use]
    pub fn references(&self) -> &[GrantRef] {
        &self.lent.references
    }

    /// Returns the first page's grant reference.
    #[must_use]
    pub fn reference(&self) -> GrantRef {
        self.lent.references[0]
    }
}

/// Owns pages granted to a peer read-only (rule G3). They are contiguous in virtual memory.
#[derive(Debug)]
pub struct Shown {
    lent: Lent,
}

impl Shown {
    /// Grants `count` zeroed pages to domain `peer`, read-only.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(peer: DomId, count: usize) -> Result<Self, Error> {
        Lent::new(peer, GTF_READONLY, count).map(|lent| Self { lent })
    }

    /// Returns the bytes of the pages.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.lent.pages.as_ref().map_or(&[], Pages::bytes)
    }

    /// Returns the bytes of the pages for writing. The peer sees changes at once; do not ask it
    /// to read before they are complete.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.lent.pages.as_mut().map_or(&mut [], Pages::bytes_mut)
    }

    /// Returns the grant references of the pages, in order.
    #[must_use]
    pub fn references(&self) -> &[GrantRef] {
        &self.lent.references
    }
}
