//! Asks for more than there is, fills the heap until it is full, finds everything that was written, gives
//! it back, and takes it once more: all memory of the domain is usable.
//!
//! test(4): memory 4
//! test(64): memory 64
//! test(1500): memory 1500
//! test(1500): timeout 120
//! test(4): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use kernel::memory::stats;
use tests::Verdict;

kernel::unikernel! {
    /// Fills the heap.
    name: "heap",
    memory: 4 MiB,
    main: start,
}

const CHUNK: usize = 64 * 1024;

/// Takes chunks until there are no more, each marked with its number.
fn fill() -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    loop {
        let mut chunk = Vec::new();
        if chunks.try_reserve(1).is_err() || chunk.try_reserve_exact(CHUNK).is_err() {
            return chunks;
        }
        chunk.resize(CHUNK, chunks.len() as u8);
        chunks.push(chunk);
    }
}

async fn start() -> Verdict {
    let before = stats();
    // What no memory could hold is refused before any is mapped for it.
    let mut large = Vec::<u8>::new();
    if large.try_reserve_exact(before.total).is_ok() || stats().mapped != before.mapped {
        return Verdict::Fail("memory was mapped for more than there is");
    }
    let first = fill();
    let full = stats();
    if full.mapped + full.tables < before.total {
        return Verdict::Fail("some memory was never mapped");
    }
    // Page tables, the image and what is too small for a chunk remain.
    if first.len() * CHUNK < before.total - before.total / 64 - (1 << 20) {
        return Verdict::Fail("too little of the memory came through the allocator");
    }
    for (number, chunk) in first.iter().enumerate() {
        if chunk.iter().any(|&byte| byte != number as u8) {
            return Verdict::Fail("a chunk does not hold what was written");
        }
    }
    let count = first.len();
    drop(first);
    if fill().len() < count {
        return Verdict::Fail("memory that was given back is gone");
    }
    kernel::println!("heap: {full:?}, {count} chunks");
    Verdict::Pass
}
