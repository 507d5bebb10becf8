//! Constants that need more than 2 MiB, in which no other guest has its code: each page is as it should
//! be, the heap grows and time passes.

#![no_std]
#![no_main]

extern crate alloc;

use core::time::Duration;
use kernel::time::{Instant, sleep};
use tests::Verdict;
use tests::protection::walk;

kernel::unikernel! {
    /// Has many constants.
    name: "large-code",
    memory: 16 MiB,
    main: start,
}

/// No two pages of it are alike.
static CONSTANTS: [u32; 600_000] = {
    let mut all = [0; 600_000];
    let mut at = 0;
    while at < all.len() {
        all[at] = at as u32 ^ 0x5a5a;
        at += 1;
    }
    all
};

async fn start() -> Verdict {
    if !CONSTANTS.iter().zip(0..).all(|(&constant, at)| constant == at ^ 0x5a5a) {
        return Verdict::Fail("a constant is another");
    }
    let (begun, held) = (Instant::now(), alloc::vec![1_u8; 8 << 20]);
    sleep(Duration::from_millis(20)).await;
    if begun.elapsed() < Duration::from_millis(20) {
        return Verdict::Fail("no time passed");
    }
    walk(start as *const () as usize, held.len())
}
