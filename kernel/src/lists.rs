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
            unsafe { self.back(block, layout_of(class)) }
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
mod tests {
    use super::*;
    use std::alloc::System;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    /// The system's allocator, which has so much to give and knows what it gave.
    struct Behind {
        left: Cell<usize>,
        given: RefCell<BTreeMap<usize, Layout>>,
    }

    impl Behind {
        fn new(left: usize) -> Self {
            Self { left: Cell::new(left), given: RefCell::default() }
        }
    }

    // SAFETY: what is given out is the system's, and what comes back is compared.
    unsafe impl GlobalAlloc for Behind {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let Some(left) = self.left.get().checked_sub(layout.size()) else { return null_mut() };
            self.left.set(left);
            // SAFETY: passed on.
            let block = unsafe { System.alloc(layout) };
            assert!(self.given.borrow_mut().insert(block as usize, layout).is_none());
            block
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            let known = self.given.borrow_mut().remove(&(block as usize));
            assert_eq!(known, Some(layout), "not as it was given");
            self.left.set(self.left.get() + layout.size());
            // SAFETY: passed on.
            unsafe { System.dealloc(block, layout) };
        }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Lists in front of so many bytes.
    fn lists(left: usize) -> Lists<Behind> {
        // SAFETY: it stays in its test's thread.
        unsafe { Lists::new(Behind::new(left)) }
    }

    fn alloc(lists: &Lists<Behind>, layout: Layout) -> *mut u8 {
        // SAFETY: no test asks for nothing.
        unsafe { lists.alloc(layout) }
    }

    fn dealloc(lists: &Lists<Behind>, block: *mut u8, layout: Layout) {
        // SAFETY: the tests give back what they got.
        unsafe { lists.dealloc(block, layout) };
    }

    fn realloc(lists: &Lists<Behind>, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { lists.realloc(block, layout, size) }
    }

    /// Bytes and blocks in the lists. What was given is as the system's allocator says.
    fn held(lists: &Lists<Behind>) -> (usize, usize) {
        let stats = lists.stats();
        let given = lists.behind().given.borrow();
        let bytes: usize = given.values().map(Layout::size).sum();
        assert_eq!((stats.given_bytes, stats.given_blocks), (bytes, given.len()));
        assert_eq!(lists.given(), bytes);
        (stats.bytes, stats.blocks)
    }

    #[test]
    fn sizes_are_those_that_the_allocator_behind_cuts() {
        let mut last = 0;
        for size in 1..=SMALL {
            let class = class_of(size);
            let given = layout_of(class).size();
            assert!(size <= given && given < size + UNIT && given % UNIT == UNIT - TAG);
            assert!(class == last || class == last + 1);
            last = class;
        }
        assert_eq!((class(layout(1049, 1)), class(layout(8, 32)), last + 1), (None, None, SIZES));
        assert_eq!(class(layout(24, 16)), Some(0));
    }

    #[test]
    fn a_block_that_was_given_back_is_the_next_of_its_size() {
        let lists = lists(1 << 20);
        let first = alloc(&lists, layout(64, 8));
        dealloc(&lists, first, layout(64, 8));
        assert_eq!(held(&lists), (88, 1));
        let other = alloc(&lists, layout(200, 8));
        let second = alloc(&lists, layout(57, 16));
        assert_eq!(first, second);
        assert_eq!(held(&lists), (0, 0));
        assert_eq!(realloc(&lists, second, layout(57, 16), 88), second, "it is that large");
        dealloc(&lists, second, layout(88, 16));
        dealloc(&lists, other, layout(200, 8));
        assert!(lists.flush() && !lists.flush());
        assert!(lists.behind().given.borrow().is_empty());
    }

    #[test]
    fn a_list_holds_so_much_and_no_more() {
        let lists = lists(1 << 20);
        for (class, most) in MOST.into_iter().map(usize::from).enumerate() {
            let of = layout_of(class);
            assert!(most >= 4 && most * of.size() <= 4 * 1048);
            let blocks: Vec<_> = (0..most + 3).map(|_| alloc(&lists, of)).collect();
            blocks.into_iter().for_each(|block| dealloc(&lists, block, of));
            assert_eq!(usize::from(lists.free().count[class]), most);
        }
        assert!(lists.stats().bytes < 90_000);
        assert_eq!(lists.behind().given.borrow().len(), lists.stats().blocks);
        lists.flush();
    }

    /// Without the flush this would be out of memory with most of it in lists.
    #[test]
    fn what_the_lists_hold_is_given_back_before_memory_is_short() {
        let lists = lists(20_000);
        let small = layout(24, 8);
        for size in [24, 56, 88, 120, 152, 184] {
            let of = layout(size, 8);
            let blocks: Vec<_> = (0..13).map(|_| alloc(&lists, of)).collect();
            blocks.into_iter().for_each(|block| dealloc(&lists, block, of));
        }
        assert!(lists.stats().blocks >= 70 && lists.stats().bytes > 7000);
        let large = alloc(&lists, layout(13_000, 4096));
        assert!(!large.is_null() && held(&lists) == (0, 0));
        dealloc(&lists, large, layout(13_000, 4096));
        let blocks: Vec<_> = (0..70).map(|_| alloc(&lists, small)).collect();
        blocks.into_iter().for_each(|block| dealloc(&lists, block, small));
        // A small one of another size, a larger one that grows.
        let grows = alloc(&lists, layout(8_000, 8));
        let grown = realloc(&lists, grows, layout(8_000, 8), 11_900);
        assert!(!grown.is_null() && held(&lists) == (0, 0));
        assert!(alloc(&lists, layout(9_000, 8)).is_null());
        assert_eq!(lists.stats().failures, 1);
        dealloc(&lists, grown, layout(11_900, 8));
        assert!(lists.behind().given.borrow().is_empty());
    }

    /// Anything in any order: blocks do not overlap, keep what is written, and all of it
    /// comes back.
    #[test]
    fn the_lists_agree_with_a_model() {
        let lists = lists(60_000);
        let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let check = |&(block, of, byte): &(*mut u8, Layout, u8)| {
            assert_eq!(block as usize % of.align(), 0);
            // SAFETY: it is held, and was filled.
            let bytes = unsafe { std::slice::from_raw_parts(block, of.size()) };
            assert!(bytes == vec![byte; of.size()]);
        };
        let fill = |block: *mut u8, of: Layout, byte| {
            // SAFETY: it was allocated so large.
            unsafe { block.write_bytes(byte, of.size()) };
        };
        for round in 0..4000 {
            let size = 1 + [random(90), random(1100), random(5000)][random(3)];
            let byte = round as u8;
            match random(6) {
                0..=2 => {
                    let of = layout(size, 1 << random(7));
                    let block = alloc(&lists, of);
                    if !block.is_null() {
                        fill(block, of, byte);
                        held.push((block, of, byte));
                    }
                }
                3 | 4 if !held.is_empty() => {
                    let it = held.swap_remove(random(held.len()));
                    check(&it);
                    dealloc(&lists, it.0, it.1);
                }
                5 if !held.is_empty() => {
                    let at = random(held.len());
                    let (block, old, was) = held[at];
                    let to = realloc(&lists, block, old, size);
                    if !to.is_null() {
                        check(&(to, layout(size.min(old.size()), old.align()), was));
                        let of = layout(size, old.align());
                        fill(to, of, byte);
                        held[at] = (to, of, byte);
                    }
                }
                _ => {}
            }
        }
        assert!(lists.stats().failures > 0, "memory was short at times");
        for it in held {
            check(&it);
            dealloc(&lists, it.0, it.1);
        }
        lists.flush();
        assert!(lists.behind().given.borrow().is_empty());
    }
}
