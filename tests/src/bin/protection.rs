//! Walks the live page tables of an image whose data begin with a table of their own:
//! nothing is writable and executable, what is executable is only code, and page 0 is
//! not mapped. `memory` does so where code and data share a table.

#![no_std]
#![no_main]

extern crate alloc;

use tests::Verdict;
use tests::protection::walk;

kernel::unikernel! {
    /// Walks the live page tables.
    name: "protection",
    memory: 16 MiB,
    main: start,
}

async fn start() -> Verdict {
    // Some of the heap's own mappings shall be among them.
    let held = alloc::vec![1_u8; 8 << 20];
    walk(start as *const () as usize, held.len())
}
