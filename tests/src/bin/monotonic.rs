//! Reads the clock 10^8 times: it never goes back, and runs as fast as Xen's.
//!
//! test: timeout 120
//! test: args watchdog=0

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

async fn start(reads: u32) -> Verdict {
    let (begun, wall) = (Instant::now(), wall_clock());
    let mut last = begun;
    for _ in 0..reads {
        let now = Instant::now();
        if now < last {
            return Verdict::Fail("the monotonic clock went back");
        }
        last = now;
    }
    let took = begun.elapsed();
    let drift = (wall_clock() - wall).abs_diff(took);
    kernel::machine::line(format_args!("clock: {reads} reads in {took:?}, drift {drift:?}"));
    if drift > took / 1000 {
        return Verdict::Fail("the wall clock and the monotonic clock differ by over 0.1 %");
    }
    Verdict::Pass
}
