//! Code and constants that end with the first 2 MiB, and data that go on beyond, with what Xen maps and
//! the guard of the stack behind them: each page is as it should be, the heap grows and time passes.
//!
//! test: memory 4

#![no_std]
#![no_main]

extern crate alloc;

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use kernel::time::{Instant, sleep};
use tests::Verdict;
use tests::protection::walk;

kernel::unikernel! {
    /// Has many data.
    name: "large-data",
    memory: 4 MiB,
    main: start,
}

/// With the code some 2 MiB.
static CONSTANTS: [u32; 470_000] = {
    let mut all = [0; 470_000];
    let mut at = 0;
    while at < all.len() {
        all[at] = at as u32 ^ 0x5a5a;
        at += 1;
    }
    all
};

/// 256 KiB.
static DATA: [AtomicU32; 65536] = [const { AtomicU32::new(7) }; 65536];

async fn start() -> Verdict {
    if !CONSTANTS.iter().zip(0..).all(|(&constant, at)| constant == at ^ 0x5a5a) {
        return Verdict::Fail("a constant is another");
    }
    if DATA.iter().map(|it| it.fetch_add(1, Ordering::Relaxed)).any(|it| it != 7) {
        return Verdict::Fail("data are others");
    }
    let (begun, held) = (Instant::now(), alloc::vec![1_u8; 512 << 10]);
    sleep(Duration::from_millis(20)).await;
    if begun.elapsed() < Duration::from_millis(20) {
        return Verdict::Fail("no time passed");
    }
    if DATA.iter().any(|it| it.load(Ordering::Relaxed) != 8) {
        return Verdict::Fail("data changed");
    }
    walk(start as *const () as usize, held.len())
}
