//! Boots, and finds the clock running and the machine as it should be.
//!
//! test: expect poweroff

#![no_std]
#![no_main]

use core::time::Duration;
use kernel::time::{Instant, sleep};
use tests::Verdict;

kernel::unikernel! {
    /// Boots.
    name: "boot",
    memory: 1 MiB,
    main: start,
}

async fn start() -> Verdict {
    let before = Instant::now();
    if before.as_nanos() == 0 {
        return Verdict::Fail("the clock reads 0");
    }
    sleep(Duration::from_millis(20)).await;
    let slept = before.elapsed();
    if slept < Duration::from_millis(20) {
        return Verdict::Fail("20 ms of sleep were too short");
    }
    if slept > Duration::from_secs(5) {
        return Verdict::Fail("20 ms of sleep took more than 5 s");
    }
    Verdict::Pass
}
