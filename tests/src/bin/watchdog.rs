//! Never awaits: Xen's watchdog ends the domain, unless it is switched off. A
//! task that awaits now and then is left alone.
//!
//! test(never): args watchdog=2 rest=0
//! test(never): expect watchdog
//! test(never): no-verdict
//! test(off): args watchdog=0 rest=0 work=5
//! test(resting): args watchdog=2 rest=1 work=5

#![no_std]
#![no_main]

use core::time::Duration;
use kernel::task::yield_now;
use kernel::time::Instant;
use tests::Verdict;

kernel::unikernel! {
    /// Never awaits, or now and then.
    name: "watchdog",
    memory: 1 MiB,
    args: {
        /// Seconds of work, all in one piece or not.
        work: u64 = 60,
        /// Whether it awaits now and then.
        rest: bool,
    },
    main: start,
}

async fn start(work: u64, rest: bool) -> Verdict {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(work) {
        if rest {
            yield_now().await;
        }
    }
    Verdict::Pass
}
