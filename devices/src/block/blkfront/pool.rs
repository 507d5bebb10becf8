//! Pages for data, lent to the back end once a connection and used again and again.
//!
//! A back end that says `feature-persistent` keeps them mapped, so that a request
//! costs neither end a grant operation; it maps all of them for writing. For any
//! other back end, what it only reads lies in pages that it may only read (rule G3).

use alloc::vec::Vec;
use xen::DomId;
use xen::gnttab::{Error, GrantRef, Shared, Shown};
use xen::memory::PAGE_SIZE;

/// Pages that are taken from the heap at once.
const CHUNK: usize = 16;

/// Pages next to each other.
#[derive(Debug)]
enum Chunk {
    Shared(Shared),
    Shown(Shown),
}

/// Pages of one sort.
#[derive(Debug)]
pub(super) struct Pool {
    peer: DomId,
    read_only: bool,
    chunks: Vec<Chunk>,
    free: Vec<u16>,
    /// How many pages there may be.
    most: usize,
    /// Bytes copied in and out.
    copied: u64,
}

impl Pool {
    /// No pages yet, and at most `most` for domain `peer`, which may write to them or not.
    pub(super) const fn new(peer: DomId, read_only: bool, most: usize) -> Self {
        Self { peer, read_only, chunks: Vec::new(), free: Vec::new(), most, copied: 0 }
    }

    /// How many pages could be taken now, memory permitting.
    pub(super) fn available(&self) -> usize {
        self.free.len() + self.most.saturating_sub(self.chunks.len() * CHUNK)
    }

    /// Bytes that were copied into its pages and out of them.
    pub(super) const fn copied(&self) -> u64 {
        self.copied
    }

    /// Whether there are no pages at all, free or not.
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

    /// Takes `count` pages and puts their numbers into `to`, or fewer when memory or
    /// grants do not suffice, but one.
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

    /// Gives pages back.
    pub(super) fn give(&mut self, pages: &mut Vec<u16>) {
        // There is room for all that there are.
        self.free.extend(pages.drain(..).rev());
    }

    fn place(page: u16) -> (usize, usize) {
        (usize::from(page) / CHUNK, usize::from(page) % CHUNK)
    }

    /// The grant of a page.
    pub(super) fn reference(&self, page: u16) -> GrantRef {
        let (chunk, at) = Self::place(page);
        match &self.chunks[chunk] {
            Chunk::Shared(shared) => shared.references()[at],
            Chunk::Shown(shown) => shown.references()[at],
        }
    }

    /// Copies `from` into `pages`, and zeros into the rest of the last one (rule B7).
    pub(super) fn copy_in(&mut self, pages: &[u16], from: &[u8]) {
        self.copied += from.len() as u64;
        for (&page, piece) in pages.iter().zip(from.chunks(PAGE_SIZE)) {
            let (chunk, at) = Self::place(page);
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

    /// Copies what `pages` hold into `to`.
    pub(super) fn copy_out(&mut self, pages: &[u16], to: &mut [u8]) {
        self.copied += to.len() as u64;
        for (&page, piece) in pages.iter().zip(to.chunks_mut(PAGE_SIZE)) {
            let (chunk, at) = Self::place(page);
            match &self.chunks[chunk] {
                Chunk::Shared(shared) => shared.pages()[at].copy_out(0, piece),
                Chunk::Shown(shown) => {
                    piece.copy_from_slice(&shown.bytes()[at * PAGE_SIZE..][..piece.len()]);
                }
            }
        }
    }
}

/// What the unused part of a page is filled with: as much as a sector.
static ZEROS: [u8; 512] = [0; 512];
