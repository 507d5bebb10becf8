//! Grants pages to other domains, by the grant table (`public/grant_table.h`, version 1).
//!
//! A grant lets one domain, the peer, map a page or have Xen copy from and to it. The peer names
//! it by its grant reference ([`GrantRef`]), which it reads from xenstore or from a request.
//!
//! Two types own granted pages. The peer of a [`ReadOnlyGrant`] cannot write (`GTF_readonly`),
//! so the bytes are an ordinary slice here. The peer of a [`ReadWriteGrant`] may write at any
//! time, so bytes are only copied in and out. Granting a page costs two stores and no hypercall;
//! drivers grant their pages once per connection and reuse them.
//!
//! Dropping either revokes the grants. A page that the peer still has mapped (`GTF_reading`,
//! `GTF_writing`) goes into quarantine with its reference: revoking is retried at each later
//! grant, and the page is not used for anything else until then (rule G4). A domain that has too
//! many of them mapped is granted no further page (rule G5); others are.
//!
//! Grants end with the domain. Those of a former [generation](crate::generation) have nothing to
//! revoke, and their pages are free at once.

mod copy;
mod handover;
mod shown;

use crate::generation::Generation;
use crate::hypercall::{grant_table_op_query_size, grant_table_op_setup_table, virt_to_mfn};
pub use crate::ids::GrantRef;
use crate::memory::{PAGE_SIZE, Pages, SharedPage, remap_frame, unmap_frame};
use crate::public::grant_table::{
    ENTRIES, ENTRY_SIZE, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_WRITING,
    RESERVED_ENTRIES,
};
use crate::{DomId, Errno};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

pub use copy::copy_from;
pub use handover::{Offer, take};
pub use shown::ShownPages;

/// Most pages in quarantine because of one domain: 8 MiB, as much as two network interfaces with
/// full rings use, and of a smaller guest a sixteenth.
const QUARANTINE: usize = 2048;

/// Returns how many that are in a domain of `pages`; it has 0 where that is not known.
fn most_kept(pages: usize) -> usize {
    if pages == 0 { QUARANTINE } else { QUARANTINE.min(pages / 16) }
}

/// Says why a page cannot be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no memory for the pages or for the table.
    Memory,
    /// The grant table is full and has the most frames that Xen allows.
    Full,
    /// The quarantine is full: the other domain still has too many revoked pages mapped.
    Quarantine,
    /// Xen refused to set up the table.
    Refused(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("out of memory for pages to grant"),
            Self::Full => f.write_str(
                "the grant table is full: give the domain more frames (max_grant_frames)",
            ),
            Self::Quarantine => f.write_str(
                "too many granted pages are still in use by the other domain; \
                 no more are granted to it until some come back",
            ),
            Self::Refused(errno) => write!(f, "Xen refused to set up the grant table: {errno}"),
        }
    }
}

impl core::error::Error for Error {}

/// Counts grant table entries and pages, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries in use.
    pub used: usize,
    /// Free entries. The table grows by a frame of 512 when there are none.
    pub free: usize,
    /// Pages that were revoked while the peer still had them mapped.
    pub quarantine: usize,
}

/// The grant table of this domain.
#[derive(Debug)]
pub(crate) struct Table {
    frames: Vec<SharedPage>,
    free: Vec<GrantRef>,
    quarantine: Vec<Grant>,
    used: usize,
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { frames: Vec::new(), free: Vec::new(), quarantine: Vec::new(), used: 0 }
    }

    /// Extends the table by one frame.
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
        self.free.extend(entries(count - 1..count));
        Ok(())
    }

    /// Unmaps the table, whose frames are Xen's, until [`resume`](Self::resume).
    fn suspend(&self) {
        self.frames.iter().for_each(unmap_frame);
    }

    /// Maps the table again, of which nothing changed, or with `renewed` as many frames of another
    /// domain's.
    ///
    /// # Errors
    /// [`Error::Memory`] and [`Error::Refused`]. The table is then empty.
    fn resume(&mut self, renewed: bool) -> Result<(), Error> {
        let frames = core::mem::take(&mut self.frames);
        if renewed {
            self.free.clear();
            self.used = 0;
        }
        self.frames = remap(frames).inspect_err(|_| self.free.clear())?;
        if renewed {
            // There is room, as each was free once.
            self.free.extend(entries(0..self.frames.len()));
        }
        Ok(())
    }

    /// Returns the frame of the table that holds entry `reference`, and the offset in it.
    fn entry(&self, reference: GrantRef) -> Option<(&SharedPage, usize)> {
        let (frame, entry) = (reference.0 as usize / ENTRIES, reference.0 as usize % ENTRIES);
        Some((self.frames.get(frame)?, entry * ENTRY_SIZE))
    }

    /// Grants the page at address `page` to `peer`.
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

    /// Revokes a grant. Returns false, and changes nothing, while the peer has the page mapped.
    fn revoke(&mut self, reference: GrantRef) -> bool {
        let Some((table, at)) = self.entry(reference) else { return false };
        loop {
            let flags = table.load_u16(at);
            if flags & (GTF_READING | GTF_WRITING) != 0 {
                return false;
            }
            // Xen may have set one of the two since they were loaded.
            if table.compare_exchange_u16(at, flags, 0).is_ok() {
                break;
            }
        }
        self.used -= 1;
        self.free.push(reference);
        true
    }

    /// Retries to revoke what is in quarantine, and returns the pages that became free.
    fn release_quarantine(&mut self) -> Vec<Pages> {
        let mut free = Vec::new();
        // Backwards, because those that remain are pushed to the end.
        for at in (0..self.quarantine.len()).rev() {
            let mut grant = self.quarantine.swap_remove(at);
            grant.references.retain(|&reference| !self.revoke(reference));
            if grant.references.is_empty() {
                free.extend(grant.pages.take());
            } else {
                self.quarantine.push(grant);
            }
        }
        free
    }
}

/// Maps as many frames of the domain's table as `frames` were, where those were.
fn remap(mut frames: Vec<SharedPage>) -> Result<Vec<SharedPage>, Error> {
    if frames.is_empty() {
        return Ok(frames);
    }
    let mut list = Vec::new();
    list.try_reserve(frames.len()).map_err(|_| Error::Memory)?;
    list.resize(frames.len(), 0);
    grant_table_op_setup_table(&mut list).map_err(Error::Refused)?;
    for (frame, mfn) in frames.iter_mut().zip(list) {
        remap_frame(frame, mfn).ok_or(Error::Memory)?;
    }
    Ok(frames)
}

/// Returns the references of these frames of the table, to be popped from the end.
fn entries(frames: Range<usize>) -> impl Iterator<Item = GrantRef> {
    let all = (frames.start * ENTRIES) as u32..(frames.end * ENTRIES) as u32;
    all.rev().filter(|&entry| entry >= RESERVED_ENTRIES).map(GrantRef)
}

/// Unmaps the table before a suspension: the toolstack cannot save a page table that names a frame
/// of Xen's.
pub(crate) fn suspend() {
    crate::domain().grants.lock().suspend();
}

/// Maps the table after a suspension. With `renewed` it is that of another domain, in which
/// nothing is granted, and what was in quarantine is free.
///
/// # Errors
/// [`Error::Memory`] and [`Error::Refused`]. The table is then empty.
pub(crate) fn resume(renewed: bool) -> Result<(), Error> {
    let mut table = crate::domain().grants.lock();
    let result = table.resume(renewed);
    let free = if renewed { core::mem::take(&mut table.quarantine) } else { Vec::new() };
    drop(table);
    // Zeroed and freed without the lock.
    drop(free);
    result
}

/// Returns the counters of this domain's grant table, as of now.
#[must_use]
pub fn stats() -> Stats {
    let table = crate::domain().grants.lock();
    let quarantine = table.quarantine.iter().filter_map(|grant| grant.pages.as_ref());
    Stats {
        used: table.used,
        free: table.free.len(),
        quarantine: quarantine.map(Pages::count).sum(),
    }
}

/// Takes back what came free of the quarantine, and says whether more may be granted to `peer`.
fn make_room(peer: DomId) -> Result<(), Error> {
    let domain = crate::domain();
    let mut table = domain.grants.lock();
    let free = table.release_quarantine();
    let kept = table.quarantine.iter().filter(|grant| grant.peer == peer);
    let kept: usize = kept.map(|grant| grant.references.len()).sum();
    drop(table);
    // Zeroed and freed without the lock.
    drop(free);
    if kept > most_kept(domain.frames.count()) { Err(Error::Quarantine) } else { Ok(()) }
}

/// Granted pages with their references.
#[derive(Debug)]
struct Grant {
    pages: Option<Pages>,
    references: Vec<GrantRef>,
    peer: DomId,
    generation: Generation,
}

impl Grant {
    fn new(peer: DomId, flags: u16, count: usize) -> Result<Self, Error> {
        make_room(peer)?;
        let pages = Pages::new(count).ok_or(Error::Memory)?;
        let mut references = Vec::new();
        references.try_reserve_exact(pages.count()).map_err(|_| Error::Memory)?;
        let mut grant = Self { pages: None, references, peer, generation: Generation::current() };
        let mut table = crate::domain().grants.lock();
        let mut failed = None;
        for page in pages.addresses() {
            match table.permit(peer, flags, page.as_ptr() as usize) {
                Ok(reference) => grant.references.push(reference),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(table);
        // Also after a failure, so that dropping `grant` revokes what was granted before it.
        grant.pages = Some(pages);
        failed.map_or(Ok(grant), Err)
    }
}

impl Grant {
    /// Revokes what it can. Returns whether nothing is granted any more.
    fn end(&mut self) -> bool {
        if !self.generation.is_current() {
            self.references.clear();
        }
        if self.references.is_empty() {
            return true;
        }
        let mut table = crate::domain().grants.lock();
        self.references.retain(|&reference| !table.revoke(reference));
        self.references.is_empty()
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.end() {
            let mut table = crate::domain().grants.lock();
            let grant = Self {
                pages: self.pages.take(),
                references: core::mem::take(&mut self.references),
                peer: self.peer,
                generation: self.generation,
            };
            table.quarantine.push(grant);
        }
    }
}

/// Splits `length` bytes from byte `at` on at page boundaries: index of the page, offset in it,
/// and length of each piece.
fn pieces(mut at: usize, length: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = at + length;
    core::iter::from_fn(move || {
        let (page, start) = (at / PAGE_SIZE, at % PAGE_SIZE);
        let count = (PAGE_SIZE - start).min(end - at);
        at += count;
        (count > 0).then_some((page, start, count))
    })
}

/// Owns pages that are granted to a peer for reading and writing. Bytes are only copied in and
/// out, as the peer may write at any time.
#[derive(Debug)]
pub struct ReadWriteGrant {
    grant: Grant,
    pages: Vec<SharedPage>,
}

impl ReadWriteGrant {
    /// Grants `count` zeroed pages, at least one, to domain `peer`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(peer: DomId, count: usize) -> Result<Self, Error> {
        let mut pages = Vec::new();
        pages.try_reserve_exact(count).map_err(|_| Error::Memory)?;
        let grant = Grant::new(peer, 0, count)?;
        for page in grant.pages.iter().flat_map(Pages::addresses) {
            // SAFETY: the page is mapped as long as `grant` lives, which only this value
            // holds, so no reference points into it.
            pages.push(unsafe { SharedPage::new(page) });
        }
        Ok(Self { grant, pages })
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

    /// Copies `from` into the pages, from byte `at` on, counted over all pages.
    ///
    /// # Panics
    /// If that goes beyond the last page.
    pub fn copy_in(&self, at: usize, mut from: &[u8]) {
        for (page, start, count) in pieces(at, from.len()) {
            let (piece, rest) = from.split_at(count);
            self.pages[page].copy_in(start, piece);
            from = rest;
        }
    }

    /// Copies `to.len()` bytes from byte `at` on, counted over all pages, to `to`.
    ///
    /// # Panics
    /// If that goes beyond the last page.
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
        &self.grant.references
    }

    /// Returns the first page's grant reference.
    #[must_use]
    pub fn reference(&self) -> GrantRef {
        self.grant.references[0]
    }
}

/// Owns pages that are granted to a peer for reading only (rule G3). They are contiguous in
/// virtual memory.
#[derive(Debug)]
pub struct ReadOnlyGrant {
    grant: Grant,
}

impl ReadOnlyGrant {
    /// Grants `count` zeroed pages, at least one, to domain `peer`, read-only.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(peer: DomId, count: usize) -> Result<Self, Error> {
        Grant::new(peer, GTF_READONLY, count).map(|grant| Self { grant })
    }

    /// Returns the bytes of the pages.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.grant.pages.as_ref().map_or(&[], Pages::bytes)
    }

    /// Returns the bytes of the pages for writing. The peer sees changes at once, so send a
    /// request for them only when they are complete.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.grant.pages.as_mut().map_or(&mut [], Pages::bytes_mut)
    }

    /// Returns the grant references of the pages, in order.
    #[must_use]
    pub fn references(&self) -> &[GrantRef] {
        &self.grant.references
    }
}

#[cfg(test)]
mod tests {
    use super::most_kept;

    #[test]
    fn what_may_be_kept_depends_on_memory_g5() {
        // Guests of 4 MiB, 128 MiB and 4 GiB, and one that does not know.
        let all = [1 << 10, 1 << 15, 1 << 20, 0];
        assert_eq!(all.map(most_kept), [64, 2048, 2048, 2048]);
    }
}
