//! Pages for programs, shared by counting.
//!
//! A page of the heap of its own would waste the rest of another, so they come from the heap by
//! 32, or by fewer where there is no room for these. Such a chunk goes back when all of its pages
//! are free, but for one, which is kept for the next.

use crate::machine::program::PAGE;
use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{NonNull, copy_nonoverlapping, write_bytes};

/// Most pages of a chunk.
const PAGES: usize = 32;

/// Holds pages that lie one after the other, and counts the shares of each.
#[repr(align(64))]
#[derive(Debug)]
struct Chunk {
    base: NonNull<u8>,
    pages: usize,
    /// A bit for each page that is free.
    free: Cell<u32>,
    shares: [Cell<u32>; PAGES],
    /// The neighbours among the chunks that have free pages.
    next: Cell<Option<NonNull<Chunk>>>,
    last: Cell<Option<NonNull<Chunk>>>,
}

/// The first of the chunks that have free pages.
struct Open(Cell<Option<NonNull<Chunk>>>);

// SAFETY: there is one thread, and what interrupts it does not use this.
unsafe impl Sync for Open {}

static OPEN: Open = Open(Cell::new(None));

/// Counts the free pages of all chunks.
struct Spare(Cell<usize>);

// SAFETY: as above.
unsafe impl Sync for Spare {}

static SPARE: Spare = Spare(Cell::new(0));

/// Returns a bit for each of so many pages.
const fn all(pages: usize) -> u32 {
    u32::MAX >> (PAGES - pages)
}

fn layout(pages: usize) -> Option<Layout> {
    Layout::from_size_align(pages * PAGE, PAGE).ok()
}

impl Chunk {
    /// Allocates a chunk, all of which is free.
    fn new() -> Option<NonNull<Self>> {
        let (base, pages) = [PAGES, 4, 1].into_iter().find_map(|pages| {
            // SAFETY: the size is not 0.
            let base = unsafe { alloc(layout(pages)?) };
            Some((NonNull::new(base)?, pages))
        })?;
        // SAFETY: the size is not 0.
        let place = unsafe { alloc(Layout::new::<Self>()) }.cast::<Self>();
        let Some(chunk) = NonNull::new(place) else {
            // SAFETY: allocated above, with this layout.
            unsafe { dealloc(base.as_ptr(), layout(pages)?) };
            return None;
        };
        let new = Self {
            base,
            pages,
            free: Cell::new(all(pages)),
            shares: [const { Cell::new(0) }; PAGES],
            next: Cell::new(None),
            last: Cell::new(None),
        };
        // SAFETY: allocated above for one.
        unsafe { chunk.write(new) };
        SPARE.0.update(|it| it + pages);
        Some(chunk)
    }

    /// Gives the chunk back to the heap.
    fn free(chunk: NonNull<Self>) {
        let (base, pages) = (of(chunk).base, of(chunk).pages);
        SPARE.0.update(|it| it - pages);
        if let Some(layout) = layout(pages) {
            // SAFETY: allocated with this layout, and none of the pages has a share.
            unsafe { dealloc(base.as_ptr(), layout) };
        }
        // SAFETY: allocated by `new`, and in no list any more.
        unsafe { dealloc(chunk.as_ptr().cast(), Layout::new::<Self>()) };
    }

    /// Puts it in front of the chunks with free pages.
    fn open(&self) {
        let next = OPEN.0.replace(Some(NonNull::from(self)));
        self.next.set(next);
        self.last.set(None);
        if let Some(next) = next {
            of(next).last.set(Some(NonNull::from(self)));
        }
    }

    /// Takes it from there.
    fn close(&self) {
        let (next, last) = (self.next.take(), self.last.take());
        if let Some(next) = next {
            of(next).last.set(last);
        }
        match last {
            Some(last) => of(last).next.set(next),
            None => OPEN.0.set(next),
        }
    }
}

/// Returns a chunk that has pages with shares, or is in the list.
const fn of<'a>(chunk: NonNull<Chunk>) -> &'a Chunk {
    // SAFETY: such a chunk is not freed, and nobody has a mutable reference to it.
    unsafe { chunk.as_ref() }
}

/// Owns a share of a page of memory, which is free when the last share is dropped.
///
/// # Panics
/// All accesses panic if they are not within the page, or not aligned.
#[derive(Debug)]
#[repr(transparent)]
pub struct Frame {
    /// The chunk, and in the bits of its alignment the number of the page.
    tagged: NonNull<Chunk>,
}

// A chunk is aligned to more than it has pages.
const _: () = assert!(align_of::<Chunk>() >= PAGES);

impl Frame {
    /// Returns how many pages there are that are taken next, and that count as allocated already.
    #[must_use]
    pub fn spare() -> usize {
        SPARE.0.get()
    }

    /// Takes a page with any content.
    fn take() -> Option<Self> {
        let chunk = match OPEN.0.get() {
            Some(chunk) => of(chunk),
            None => {
                let chunk = of(Chunk::new()?);
                chunk.open();
                chunk
            }
        };
        let free = chunk.free.get();
        let index = free.trailing_zeros() as usize;
        chunk.free.set(free & (free - 1));
        SPARE.0.update(|it| it - 1);
        if free & (free - 1) == 0 {
            chunk.close();
        }
        chunk.shares.get(index)?.set(1);
        let tagged = NonNull::from(chunk).map_addr(|address| address | index);
        Some(Self { tagged })
    }

    /// Allocates a page of zeros, or returns `None` if there is no memory.
    #[must_use]
    pub fn new() -> Option<Self> {
        let frame = Self::take()?;
        // SAFETY: the page is all ours.
        unsafe { write_bytes(frame.page().as_ptr(), 0, PAGE) };
        Some(frame)
    }

    /// Allocates a page with the same bytes, or returns `None` if there is no memory.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        let frame = Self::take()?;
        // SAFETY: two pages, and no program runs now.
        unsafe { copy_nonoverlapping(self.page().as_ptr(), frame.page().as_ptr(), PAGE) };
        Some(frame)
    }

    /// Returns a number that shares of one page have in common, and no others.
    pub(super) fn key(&self) -> usize {
        self.tagged.addr().get()
    }

    fn index(&self) -> usize {
        self.tagged.addr().get() % align_of::<Chunk>()
    }

    fn chunk(&self) -> &Chunk {
        let index = self.index();
        // SAFETY: a chunk is not at 0, and this share keeps it.
        of(unsafe { self.tagged.byte_sub(index) })
    }

    fn shares(&self) -> &Cell<u32> {
        &self.chunk().shares[self.index()]
    }

    /// Returns the address at which this kernel has the page.
    pub(super) fn page(&self) -> NonNull<u8> {
        // SAFETY: inside the chunk.
        unsafe { self.chunk().base.add(self.index() * PAGE) }
    }

    /// Returns whether there is another share of this page.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shares().get() > 1
    }

    /// Returns whether both are shares of one page.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.tagged == other.tagged
    }

    /// Returns the address of `length` bytes at offset `at`.
    #[inline(always)]
    fn place(&self, at: usize, length: usize) -> NonNull<u8> {
        assert!(at <= PAGE && length <= PAGE - at, "outside the page");
        // SAFETY: inside the page.
        unsafe { self.page().add(at) }
    }

    /// Copies `to.len()` bytes from offset `at` on to `to`.
    pub fn read(&self, at: usize, to: &mut [u8]) {
        let from = self.place(at, to.len());
        // SAFETY: inside the page, no program runs now, and no slice of ours is in there.
        unsafe { copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), to.len()) };
    }

    /// Copies `from` to the page, from offset `at` on.
    pub fn write(&self, at: usize, from: &[u8]) {
        let to = self.place(at, from.len());
        // SAFETY: as in `read`.
        unsafe { copy_nonoverlapping(from.as_ptr(), to.as_ptr(), from.len()) };
    }

    /// Sets `n` bytes from offset `at` on to `byte`.
    pub fn fill(&self, at: usize, n: usize, byte: u8) {
        let to = self.place(at, n);
        // SAFETY: as in `read`.
        unsafe { write_bytes(to.as_ptr(), byte, n) };
    }

    fn word(&self, at: usize) -> NonNull<u32> {
        assert!(at.is_multiple_of(4), "not aligned");
        self.place(at, 4).cast()
    }

    /// Loads the `u32` at offset `at`, a multiple of 4.
    #[must_use]
    pub fn load_u32(&self, at: usize) -> u32 {
        // SAFETY: aligned, inside the page, and initialised.
        unsafe { self.word(at).read() }
    }

    /// Stores `value` at offset `at`, a multiple of 4.
    pub fn store_u32(&self, at: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.word(at).write(value) };
    }

    /// Replaces the `u32` at offset `at`, a multiple of 4, by `new` if it is `old`. Returns what
    /// it was. It need not be atomic: no program runs now.
    ///
    /// # Errors
    /// The value, if it is not `old`. The page is then unchanged.
    pub fn compare_exchange_u32(&self, at: usize, old: u32, new: u32) -> Result<u32, u32> {
        match self.load_u32(at) {
            value if value == old => {
                self.store_u32(at, new);
                Ok(value)
            }
            value => Err(value),
        }
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        // Each share takes memory: there cannot be so many that this overflows.
        self.shares().set(self.shares().get() + 1);
        Self { tagged: self.tagged }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let shares = self.shares().get() - 1;
        self.shares().set(shares);
        if shares > 0 {
            return;
        }
        let chunk = self.chunk();
        let free = chunk.free.get();
        chunk.free.set(free | 1 << self.index());
        SPARE.0.update(|it| it + 1);
        if free == 0 {
            chunk.open();
        }
        let alone = chunk.next.get().is_none() && chunk.last.get().is_none();
        if chunk.free.get() == all(chunk.pages) && !alone {
            chunk.close();
            Chunk::free(NonNull::from(chunk));
        }
    }
}
