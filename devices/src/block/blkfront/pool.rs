//! Manages pages for data, which are granted once a connection and reused.
//!
//! A back end with `feature-persistent` keeps them mapped, so that a request costs neither end
//! a grant operation; it maps all of them writable. With any other back end, data that it only
//! reads are in pages that are granted read-only (rule G3).

use alloc::vec::Vec;
use xen::DomId;
use xen::gnttab::{Error, GrantRef, Shared, Shown};
use xen::memory::PAGE_SIZE;

/// Pages that are allocated at once.
const CHUNK: usize = 16;

/// Consecutive pages.
#[derive(Debug)]
enum Chunk {
    Shared(Shared),
    Shown(Shown),
}

/// Pages of one kind: writable by the back end, or read-only.
#[derive(Debug)]
pub(super) struct Pool {
    peer: DomId,
    read_only: bool,
    chunks: Vec<Chunk>,
    free: Vec<u16>,
    /// The most pages.
    most: usize,
    /// Bytes copied in and out.
    copied: u64,
}

impl Pool {
    /// Makes a pool without pages yet, for at most `most` that are granted to domain `peer`.
    pub(super) const fn new(peer: DomId, read_only: bool, most: usize) -> Self {
        Self { peer, read_only, chunks: Vec::new(), free: Vec::new(), most, copied: 0 }
    }

    /// Returns the number of pages that can be taken now, memory permitting.
    pub(super) fn available(&self) -> usize {
        self.free.len() + self.most.saturating_sub(self.chunks.len() * CHUNK)
    }

    /// Returns the number of bytes that were copied into its pages and out of them.
    pub(super) const fn copied(&self) -> u64 {
        self.copied
    }

    /// Returns whether there are no pages at all, free or in use.
    pub(super) const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn grow(&mut self) -> Result<(), Error> {
        let count = self.chunks.len() * CHUNK;
        self.chunks.try_reserve(1).map_err(|_| Error::Memory)?;
        self.free.try_reserve(count + CHUNK - self.free.len()).map_err(|_| Error::Memory)?;
        self.chunks.push(if self.read_only {
            Chunk::Shown(Shown::new(self.peer, CHUNK)?)
        } else {
            Chunk::Shared(Shared::new(self.peer, CHUNK)?)
        });
        let first = count as u16;
        self.free.extend((first..first + CHUNK as u16).rev());
        Ok(())
    }

    /// Takes `count` pages and appends their numbers to `to`; fewer, but at least one, if
    /// memory or grants do not suffice.
    pub(super) fn take(&mut self, count: usize, to: &mut Vec<u16>) -> Result<(), Error> {
        to.try_reserve(count).map_err(|_| Error::Memory)?;
        while self.free.len() < count && self.chunks.len() * CHUNK < self.most {
            match self.grow() {
                Ok(()) => {}
                Err(error) if self.free.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        let rest = self.free.len() - count.min(self.free.len());
        to.extend(self.free.drain(rest..).rev());
        if to.is_empty() { Err(Error::Full) } else { Ok(()) }
    }

    /// Returns pages to the pool.
    pub(super) fn give(&mut self, pages: &mut Vec<u16>) {
        // There is room for all pages.
        self.free.extend(pages.drain(..).rev());
    }

    fn index(page: u16) -> (usize, usize) {
        (usize::from(page) / CHUNK, usize::from(page) % CHUNK)
    }

    /// Returns the grant reference of a page.
    pub(super) fn reference(&self, page: u16) -> GrantRef {
        let (chunk, at) = Self::index(page);
        match &self.chunks[chunk] {
            Chunk::Shared(shared) => shared.references()[at],
            Chunk::Shown(shown) => shown.references()[at],
        }
    }

    /// Copies `from` into `pages`, and zeros into the rest of the last one (rule B7).
    pub(super) fn copy_in(&mut self, pages: &[u16], from: &[u8]) {
        self.copied += from.len() as u64;
        for (&page, piece) in pages.iter().zip(from.chunks(PAGE_SIZE)) {
            let (chunk, at) = Self::index(page);
            match &mut self.chunks[chunk] {
                Chunk::Shared(shared) => {
                    let page = &shared.pages()[at];
                    page.copy_in(0, piece);
                    for start in (piece.len()..PAGE_SIZE).step_by(ZEROS.len()) {
                        page.copy_in(start, &ZEROS);
                    }
                }
                Chunk::Shown(shown) => {
                    let page = &mut shown.bytes_mut()[at * PAGE_SIZE..][..PAGE_SIZE];
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
            let (chunk, at) = Self::index(page);
            match &self.chunks[chunk] {
                Chunk::Shared(shared) => shared.pages()[at].copy_out(0, piece),
                Chunk::Shown(shown) => {
                    piece.copy_from_slice(&shown.bytes()[at * PAGE_SIZE..][..piece.len()]);
                }
            }
        }
    }
}

/// Fills the rest of a page behind its data, a sector at a time.
static ZEROS: [u8; 512] = [0; 512];
