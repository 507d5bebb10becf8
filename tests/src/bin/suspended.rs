//! Is saved and restored, also twice from one file, and dumped: memory, AVX and clock go on, and
//! copies draw different numbers.
//!
//! test: client suspended.sh
//! test: client-then destroy
//! test: no-verdict
//! test: timeout 240
//! test(small): memory 2
//! test(large): memory 24
//! test(large): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use core::time::Duration;
use kernel::suspend::resumed;
use kernel::task::{Either3, select3};
use kernel::time::{Instant, sleep};
use tests::Verdict;

kernel::unikernel! {
    /// Tells what it finds after each suspension.
    name: "suspended",
    memory: 2 MiB,
    main: start,
}

/// Fills all memory but some with numbers, and returns it.
fn fill() -> Option<alloc::vec::Vec<u32>> {
    let free = kernel::memory::stats().total - kernel::memory::stats().allocated;
    // Memory that is handed out later takes page tables first: a 512th, and some for good measure.
    let count = free.saturating_sub((1 << 20) + free / 256).max(64 << 10) / 4;
    let mut all = alloc::vec::Vec::new();
    all.try_reserve_exact(count).ok()?;
    all.extend(0..count as u32);
    Some(all)
}

async fn start() -> Verdict {
    let Some(all) = fill() else { return Verdict::Fail("no memory") };
    let mut resumed = resumed();
    let mut last = Instant::now();
    kernel::println!("ready: {} KiB", all.len() / 256);
    loop {
        let ends = core::pin::pin!(kernel::shutdown_requested());
        let told = core::pin::pin!(resumed.next());
        let tick = sleep(Duration::from_millis(50));
        let result = select3(ends, told, core::pin::pin!(tick)).await;
        let now = Instant::now();
        // A save of so little memory takes no minute, and the clock stands still meanwhile.
        if now < last || now.saturating_duration_since(last) > Duration::from_secs(10) {
            return Verdict::Fail("the clock jumped");
        }
        last = now;
        match result {
            Either3::First(_) => return Verdict::Pass,
            Either3::Second(generation) => {
                let good = tests::avx::works()
                    && all.iter().zip(0..).all(|(&word, number)| word == number);
                let number = kernel::entropy::next_u64().unwrap_or(0);
                kernel::println!("generation {generation}, memory {good}, drew {number:016x}");
            }
            Either3::Third(()) => {}
        }
    }
}
