//! Speeds up another allocator by free lists of small blocks, one for each size.
//!
//! Most allocations are small and short-lived, and the next one often has the size of one that was
//! just freed. A free list serves it in about 20 instructions, where a general allocator takes 150
//! to split and merge blocks. Each list keeps a few blocks; all are returned when memory runs out.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::{NonNull, null_mut};

/// Largest size in bytes that is kept in lists.
const SMALL: usize = 33 * UNIT - TAG;

/// Largest alignment that is kept in lists.
const ALIGN: usize = 16;

/// Granularity of block sizes, which are multiples of this less [`TAG`]: as `talc` splits
/// memory, so that lists do not make any block larger.
const UNIT: usize = 32;

/// Bytes that `talc` uses itself in each block.
const TAG: usize = 8;

/// Number of lists.
const SIZES: usize = class_of(SMALL) + 1;

/// Most blocks in each list: 2 KiB of them, and at least four. Full lists hold about 85 KiB.
const CAPACITY: [u8; SIZES] = {
    let (mut capacity, mut class) = ([4; SIZES], 0);
    while class < SIZES {
        let blocks = 2048 / size_of_class(class);
        if blocks > 4 {
            capacity[class] = blocks as u8;
        }
        class += 1;
    }
    capacity
};

/// A block in a list. Its first word points to the next one.
type Block = NonNull<Option<NonNull<u8>>>;

/// Returns the number of the list for blocks of `size` bytes.
const fn class_of(size: usize) -> usize {
    (size + TAG - 1) / UNIT
}

/// Returns the size of the blocks of list `class`.
const fn size_of_class(class: usize) -> usize {
    (class + 1) * UNIT - TAG
}

/// Returns the layout of the blocks of list `class`.
const fn layout_of(class: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and sizes are small.
    unsafe { Layout::from_size_align_unchecked(size_of_class(class), ALIGN) }
}

/// Returns the number of the list for this layout, or `None` if it is not small.
#[inline(always)]
const fn class(layout: Layout) -> Option<usize> {
    // Two comparisons, so that the compiler knows that the list exists.
    if layout.size() > SMALL {
        return None;
    }
    if layout.align() > ALIGN {
        return None;
    }
    Some(class_of(layout.size()))
}

/// Counts blocks in lists, and blocks of the allocator behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes in lists.
    pub bytes: usize,
    /// Blocks in lists.
    pub blocks: usize,
    /// Bytes that are allocated from the allocator behind the lists, with those in lists.
    pub given_bytes: usize,
    /// Blocks that are allocated from it, with those in lists.
    pub given_blocks: usize,
    /// Allocations that failed.
    pub failures: usize,
}

/// The lists.
#[derive(Debug)]
struct Free {
    first: [Option<NonNull<u8>>; SIZES],
    count: [u8; SIZES],
    given_bytes: usize,
    given_blocks: usize,
    failures: usize,
}

impl Free {
    /// Takes a block out of list `class`.
    #[inline(always)]
    fn pop(&mut self, class: usize) -> Option<NonNull<u8>> {
        let first = self.first.get_mut(class)?;
        let block = (*first)?;
        let next: Block = block.cast();
        // SAFETY: a block in a list is ours, and `push` wrote its first word.
        *first = unsafe { next.read() };
        self.count[class] -= 1;
        Some(block)
    }

    /// Puts `block` into list `class`, unless that is full. Returns whether it did.
    ///
    /// # Safety
    /// The block has that list's layout, and the caller gives it up.
    #[inline(always)]
    unsafe fn push(&mut self, class: usize, block: NonNull<u8>) -> bool {
        if self.count[class] >= CAPACITY[class] {
            return false;
        }
        let next: Block = block.cast();
        // SAFETY: it is large enough, aligned, and ours from here on.
        unsafe { next.write(self.first[class]) };
        self.first[class] = Some(block);
        self.count[class] += 1;
        true
    }
}

/// Allocates from free lists in front of allocator `A`.
#[derive(Debug)]
pub struct Lists<A> {
    behind: A,
    free: UnsafeCell<Free>,
}

// SAFETY: by the contract of `new`, one thread at a time uses it.
unsafe impl<A> Sync for Lists<A> {}

impl<A> Lists<A> {
    /// Offsets of the counters of bytes and blocks that the allocator behind has given out, and of
    /// allocations that failed.
    pub const COUNTERS: [usize; 3] = [
        offset_of!(Self, free) + offset_of!(Free, given_bytes),
        offset_of!(Self, free) + offset_of!(Free, given_blocks),
        offset_of!(Self, free) + offset_of!(Free, failures),
    ];

    /// Makes empty lists in front of `behind`.
    ///
    /// # Safety
    /// One thread at a time uses them and `behind`, as there is no lock. `behind` does not use
    /// them.
    pub const unsafe fn new(behind: A) -> Self {
        let free = Free {
            first: [None; SIZES],
            count: [0; SIZES],
            given_bytes: 0,
            given_blocks: 0,
            failures: 0,
        };
        Self { behind, free: UnsafeCell::new(free) }
    }

    /// Returns the allocator behind the lists. To it, blocks in lists are allocated.
    pub const fn behind(&self) -> &A {
        &self.behind
    }

    /// Borrows the lists for one operation.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "no caller keeps it")]
    fn free(&self) -> &mut Free {
        // SAFETY: one thread at a time, and nothing that is called meanwhile comes here.
        unsafe { &mut *self.free.get() }
    }

    /// Returns the bytes that are allocated from the allocator behind the lists.
    pub fn given(&self) -> usize {
        self.free().given_bytes
    }

    /// Returns the counters, as of now.
    pub fn stats(&self) -> Stats {
        let free = self.free();
        let Free { given_bytes, given_blocks, failures, .. } = *free;
        let mut stats = Stats { bytes: 0, blocks: 0, given_bytes, given_blocks, failures };
        for (class, &count) in free.count.iter().enumerate() {
            stats.blocks += usize::from(count);
            stats.bytes += usize::from(count) * size_of_class(class);
        }
        stats
    }
}

impl<A: GlobalAlloc> Lists<A> {
    /// Returns all blocks in lists to the allocator behind them. Returns whether there were any.
    pub fn flush(&self) -> bool {
        let mut any = false;
        for class in 0..SIZES {
            while let Some(block) = self.free().pop(class) {
                // SAFETY: it came from there, with this layout.
                unsafe { self.back(block.as_ptr(), layout_of(class)) };
                any = true;
            }
        }
        any
    }

    /// Allocates from the allocator behind the lists.
    ///
    /// # Safety
    /// As [`GlobalAlloc::alloc`].
    #[inline(never)]
    unsafe fn get(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let mut block = unsafe { self.behind.alloc(layout) };
        if block.is_null() {
            // SAFETY: as above.
            block = unsafe { self.scrape(layout) };
            if block.is_null() {
                return block;
            }
        }
        let free = self.free();
        free.given_bytes += layout.size();
        free.given_blocks += 1;
        block
    }

    /// Allocates after returning all blocks in lists.
    ///
    /// # Safety
    /// As [`GlobalAlloc::alloc`].
    #[cold]
    #[inline(never)]
    unsafe fn scrape(&self, layout: Layout) -> *mut u8 {
        let mut block = null_mut();
        if self.flush() {
            // SAFETY: the caller's promise.
            block = unsafe { self.behind.alloc(layout) };
        }
        self.free().failures += usize::from(block.is_null());
        block
    }

    /// Allocates a small block with a large alignment, which is rare.
    ///
    /// # Safety
    /// As [`GlobalAlloc::alloc`].
    #[cold]
    #[inline(never)]
    unsafe fn get_aligned(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.get(layout) }
    }

    /// Frees such a block.
    ///
    /// # Safety
    /// As [`GlobalAlloc::dealloc`].
    #[cold]
    #[inline(never)]
    unsafe fn back_aligned(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.back(block, layout) };
    }

    /// Frees to the allocator behind the lists.
    ///
    /// # Safety
    /// As [`GlobalAlloc::dealloc`].
    unsafe fn back(&self, block: *mut u8, layout: Layout) {
        let free = self.free();
        free.given_bytes -= layout.size();
        free.given_blocks -= 1;
        // SAFETY: the caller's promise.
        unsafe { self.behind.dealloc(block, layout) };
    }

    /// Reallocates by copying.
    ///
    /// # Safety
    /// As [`GlobalAlloc::realloc`].
    #[inline(never)]
    unsafe fn moved(&self, block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let to = unsafe { self.alloc(new) };
        if !to.is_null() {
            // SAFETY: both are that large, and not the same.
            unsafe { to.copy_from_nonoverlapping(block, old.size().min(new.size())) };
            // SAFETY: the caller's promise.
            unsafe { self.dealloc(block, old) };
        }
        to
    }
}

// SAFETY: each block is in one list, in use, or free in the other allocator. All blocks of a list
// have its layout, with which the other allocator allocates and frees them.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Lists<A> {
    // All calls are tail calls, so the common path saves no registers. Size and alignment are
    // compared one after the other, which takes fewer instructions than both at once.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > SMALL {
            // SAFETY: the caller's promise.
            return unsafe { self.get(layout) };
        }
        if layout.align() > ALIGN {
            // SAFETY: as above.
            return unsafe { self.get_aligned(layout) };
        }
        let class = class_of(layout.size());
        if let Some(block) = self.free().pop(class) {
            return block.as_ptr();
        }
        // SAFETY: no list's layout has size 0.
        unsafe { self.get(layout_of(class)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() > SMALL {
            // SAFETY: the caller's promise.
            return unsafe { self.back(block, layout) };
        }
        if layout.align() > ALIGN {
            // SAFETY: as above.
            return unsafe { self.back_aligned(block, layout) };
        }
        let class = class_of(layout.size());
        // SAFETY: what was allocated is not null.
        let small = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: small blocks are given out with the layout of their list.
        if !unsafe { self.free().push(class, small) } {
            // SAFETY: as above; it came from there, with this layout.
            unsafe { self.back(block, layout_of(class)) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        let new = unsafe { Layout::from_size_align_unchecked(size, old.align()) };
        match (class(old), class(new)) {
            (Some(a), Some(b)) if a == b => return block,
            (None, None) => {
                // SAFETY: the caller's promise; neither is in a list.
                let to = unsafe { self.behind.realloc(block, old, size) };
                if !to.is_null() {
                    let free = self.free();
                    free.given_bytes = free.given_bytes - old.size() + size;
                    return to;
                }
                // It may fit once the lists are empty.
            }
            _ => {}
        }
        // SAFETY: the caller's promise.
        unsafe { self.moved(block, old, new) }
    }
}

#[cfg(test)]
mod tests;
