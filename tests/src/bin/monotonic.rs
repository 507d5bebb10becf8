//! Reads the clock 10^8 times: it never goes back, and runs as fast as Xen's.
//!
//! test: timeout 120
//! test: args watchdog=0
//! test: not-in-check

#![no_std]
#![no_main]

use kernel::time::{Instant, wall_clock};
use tests::Verdict;

kernel::unikernel! {
    /// Reads the clock many times.
    name: "monotonic",
    memory: 1 MiB,
    args: {
        /// How often.
        reads: u32 = 100_000_000,
    },
    main: start,
}

/// Into how many stretches the reads are divided.
const STRETCHES: u32 = 4;

/// Dom0's Linux tells Xen its own time every 11 minutes (`next_sync` in its
/// `arch/x86/xen/time.c`), which sets the wall clock of all guests: that may fall into one
/// stretch. A clock that runs too fast or too slow does so in each.
async fn start(reads: u32) -> Verdict {
    let mut last = Instant::now();
    let mut drifted = 0;
    for _ in 0..STRETCHES {
        let (begun, wall) = (Instant::now(), wall_clock());
        for _ in 0..reads / STRETCHES {
            let now = Instant::now();
            if now < last {
                return Verdict::Fail("the monotonic clock went back");
            }
            last = now;
        }
        let took = begun.elapsed();
        let drift = wall_clock().saturating_sub(wall).abs_diff(took);
        let count = reads / STRETCHES;
        kernel::println!("clock: {count} reads in {took:?}, drift {drift:?}");
        drifted += u32::from(drift > took / 1000);
    }
    if drifted > 1 {
        return Verdict::Fail("the wall clock and the monotonic clock differ by over 0.1 %");
    }
    Verdict::Pass
}
