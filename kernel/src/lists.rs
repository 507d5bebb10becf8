//! An allocator that keeps small blocks that were given back, by size, in front of
//! another one.
//!
//! Most allocations are small and short-lived, and the next one mostly has the size of
//! one that was given back a moment ago. A list for each size serves these in some 20
//! instructions; a general allocator takes 150 to split and join memory. A list keeps a
//! few blocks, and none when there is no other memory left.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};

/// Sizes up to this one, in bytes, are kept in lists.
const SMALL: usize = 33 * UNIT - TAG;

/// Alignments up to this one are.
const ALIGN: usize = 16;

/// Sizes of blocks are multiples of this, less [`TAG`]: those are the pieces that `talc`
/// cuts memory into, so that no block is larger than it would be without lists.
const UNIT: usize = 32;

/// What `talc` keeps for itself in each piece.
const TAG: usize = 8;

/// How many sizes there are.
const SIZES: usize = class_of(SMALL) + 1;

/// How many blocks each list keeps: 2 KiB, but four of the largest. That is some 85 KiB
/// if all lists are full.
const MOST: [u8; SIZES] = {
    let (mut most, mut class) = ([4; SIZES], 0);
    while class < SIZES {
        let blocks = 2048 / size_of_class(class);
        if blocks > 4 {
            most[class] = blocks as u8;
        }
        class += 1;
    }
    most
};

/// A block in a list. Its first word names the next one.
type Block = NonNull<Option<NonNull<u8>>>;

/// Which list blocks of `size` bytes are in.
const fn class_of(size: usize) -> usize {
    (size + TAG - 1) / UNIT
}

/// The size of all blocks of list `class`.
const fn size_of_class(class: usize) -> usize {
    (class + 1) * UNIT - TAG
}

/// The size and alignment of all blocks of list `class`.
const fn layout_of(class: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and sizes are small.
    unsafe { Layout::from_size_align_unchecked(size_of_class(class), ALIGN) }
}

/// Which list a block of this layout is in, if it is small.
#[inline(always)]
const fn class(layout: Layout) -> Option<usize> {
    // One after the other, so that the compiler knows that there is such a list.
    if layout.size() > SMALL {
        return None;
    }
    if layout.align() > ALIGN {
        return None;
    }
    Some(class_of(layout.size()))
}

/// What lists hold, and what the allocator behind them gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of all blocks in lists.
    pub bytes: usize,
    /// Blocks in lists.
    pub blocks: usize,
    /// Bytes that the allocator behind them gave, those in lists included.
    pub given_bytes: usize,
    /// Blocks that it gave.
    pub given_blocks: usize,
    /// Allocations that could not be served.
    pub failures: usize,
}

/// The blocks that were given back.
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

    /// Puts `block` into list `class`, unless that holds enough.
    ///
    /// # Safety
    /// The block has that list's layout, and is given away.
    #[inline(always)]
    unsafe fn push(&mut self, class: usize, block: NonNull<u8>) -> bool {
        if self.count[class] >= MOST[class] {
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

/// The lists in front of `A`.
#[derive(Debug)]
pub struct Lists<A> {
    behind: A,
    free: UnsafeCell<Free>,
}

// SAFETY: who makes one promises that one thread at a time uses it, and what is behind it.
unsafe impl<A> Sync for Lists<A> {}

impl<A> Lists<A> {
    /// Empty lists in front of `behind`.
    ///
    /// # Safety
    /// One thread at a time uses them and `behind`; there is no lock. Nor does `behind` use
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

    /// The allocator behind them. What the lists hold is allocated to it.
    pub const fn behind(&self) -> &A {
        &self.behind
    }

    /// The lists, for one operation.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "no caller keeps it")]
    fn free(&self) -> &mut Free {
        // SAFETY: one thread at a time, and nothing that is called meanwhile comes here.
        unsafe { &mut *self.free.get() }
    }

    /// Bytes that the allocator behind them gave.
    pub fn given(&self) -> usize {
        self.free().given_bytes
    }

    /// What they hold.
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
    /// Gives all that the lists hold back to the allocator behind them. Returns whether
    /// that was anything.
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

    /// Allocates from behind.
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

    /// Allocates when there was no room.
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

    /// Allocates a small block of a large alignment, which is rare.
    ///
    /// # Safety
    /// As [`GlobalAlloc::alloc`].
    #[cold]
    #[inline(never)]
    unsafe fn get_aligned(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.get(layout) }
    }

    /// Gives such a block back.
    ///
    /// # Safety
    /// As [`GlobalAlloc::dealloc`].
    #[cold]
    #[inline(never)]
    unsafe fn back_aligned(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.back(block, layout) };
    }

    /// Gives back to what is behind.
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

    /// As [`GlobalAlloc::realloc`], by copying.
    ///
    /// # Safety
    /// As there.
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

// SAFETY: a block is in a list, or given out, or the other allocator's, and all of a
// list are of its layout, by which the other allocator gave them and gets them back.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Lists<A> {
    // No call is followed by anything, so that the short way saves no registers; and sizes
    // and alignments that are not small take calls of their own, so that they are compared
    // one after the other, which takes fewer instructions than both at once.
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
