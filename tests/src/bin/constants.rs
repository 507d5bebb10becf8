//! Has so many constants before its data that the entries of their pages do not fit into
//! one hypercall, in an image that is linked at the beginning of 2 MiB: it boots, reads
//! each of them where it was linked, and its page tables are as they should be.

#![no_std]
#![no_main]

extern crate alloc;

use core::hint::black_box;
use tests::Verdict;
use tests::protection::walk;

kernel::unikernel! {
    /// Reads many constants.
    name: "constants",
    memory: 2 MiB,
    main: start,
}

/// 100 pages, each of which begins with its number.
static CONSTANTS: [[u16; 2048]; 100] = {
    let mut pages = [[7; 2048]; 100];
    let mut number = 0;
    while number < pages.len() {
        pages[number][0] = number as u16;
        number += 1;
    }
    pages
};

async fn start() -> Verdict {
    let constants = black_box(&CONSTANTS);
    let right = |(number, page): (usize, &[u16; 2048])| {
        usize::from(page[0]) == number && page[1..].iter().all(|&it| it == 7)
    };
    if !constants.iter().enumerate().all(right) {
        return Verdict::Fail("a constant is not what it was");
    }
    let held = alloc::vec![1_u8; 256 << 10];
    walk(start as *const () as usize, held.len())
}
