//! Tests of the lists, in front of an allocator that knows what it gave.

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
    for (class, most) in CAPACITY.into_iter().map(usize::from).enumerate() {
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
