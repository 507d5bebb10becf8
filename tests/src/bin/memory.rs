//! Boots with little and with much memory, where code and data share a page table, and
//! walks the live page tables.
//!
//! test(1): memory 1
//! test(2): memory 2
//! test(64): memory 64
//! test(1024): memory 1024
//! test(2,64): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use kernel::memory::{is_low, stats};
use tests::Verdict;
use tests::protection::walk;

kernel::unikernel! {
    /// Boots with little and with much memory.
    name: "memory",
    memory: 1 MiB,
    main: start,
}

async fn start() -> Verdict {
    let mut held = alloc::vec::Vec::new();
    // As much as there is, up to some: the heap grows and has to be there.
    while !is_low() && stats().allocated < 12 << 20 {
        held.push(alloc::vec![1_u8; 20_000]);
    }
    walk(start as *const () as usize, held.len() * 20_000)
}
