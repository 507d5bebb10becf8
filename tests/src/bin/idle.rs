//! Does nothing for a minute, with a timer a second, and looks at what that
//! cost by Xen's own account: less than 0.1 % of a processor.
//!
//! test: timeout 120

#![no_std]
#![no_main]

use core::time::Duration;
use kernel::time::interval;
use tests::Verdict;
use xen::hypercall::vcpu_op_get_runstate_info;
use xen::public::vcpu::RUNSTATE_RUNNING;

kernel::unikernel! {
    /// Does nothing.
    name: "idle",
    memory: 1 MiB,
    args: {
        /// For how many seconds.
        seconds: u32 = 60,
    },
    main: start,
}

async fn start(seconds: u32) -> Verdict {
    let used = || vcpu_op_get_runstate_info(0).map_or(u64::MAX, |info| info.time[RUNSTATE_RUNNING]);
    let mut second = interval(Duration::from_secs(1));
    // The first rounds are translated under emulation, which is not what is asked here.
    second.tick().await;
    second.tick().await;
    let before = used();
    for _ in 0..seconds {
        second.tick().await;
    }
    let used = Duration::from_nanos(used().saturating_sub(before));
    kernel::println!("idle: {used:?} of CPU time in {seconds} s");
    if used > Duration::from_secs(seconds.into()) / 1000 {
        return Verdict::Fail("an idle guest uses more than 0.1 % of a processor");
    }
    Verdict::Pass
}
