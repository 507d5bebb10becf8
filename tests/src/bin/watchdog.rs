//! Never awaits: the watchdog ends the domain and says where, unless it is switched
//! off. A task that awaits now and then is left alone, and so is a domain that is
//! paused for longer than the watchdog waits, whether a task runs or not.
//!
//! test(never): args watchdog=2 rest=off
//! test(never): expect watchdog
//! test(never): console-contains "xenith: watchdog: a task ran for "
//! test(never): console-contains "called from"
//! test(never): no-verdict
//! test(off): args watchdog=0 rest=off work=5
//! test(resting): args watchdog=2 rest=on work=5
//! test(paused-idle): args watchdog=2 idle=on pause=on work=110
//! test(paused-idle): timeout 120
//! test(paused-busy): args watchdog=10 pause=on work=110
//! test(paused-busy): timeout 120
//! test(paused-idle): client "xl pause $GUEST; sleep 6; xl unpause $GUEST"
//! test(paused-busy): client "xl pause $GUEST; sleep 11; xl unpause $GUEST"
//! test(paused-idle): client-then wait
//! test(paused-idle): console-contains "survived"
//! test(paused-busy): client-then wait
//! test(paused-busy): console-contains "survived"
//! test(off,resting): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use kernel::println;
use kernel::task::yield_now;
use kernel::time::{Instant, sleep};
use tests::Verdict;

kernel::unikernel! {
    /// Never awaits, or now and then.
    name: "watchdog",
    memory: 1 MiB,
    args: {
        /// Seconds of work, all in one piece or not.
        work: u64 = 60,
        /// Whether it awaits now and then.
        rest: bool = false,
        /// Whether it waits instead of working.
        idle: bool = false,
        /// Whether it ends when it was paused.
        pause: bool = false,
    },
    main: start,
}

/// How long it works at a time until it is paused: on a busy host that may be long after
/// its start, and the watchdog is not to come before.
const PIECE: Duration = Duration::from_secs(3);

async fn start(work: u64, rest: bool, idle: bool, pause: bool) -> Verdict {
    // Before it says so: it may be paused before it runs again.
    let begun = Instant::now();
    let (mut last, mut rested) = (begun, begun);
    println!("ready");
    while begun.elapsed() < Duration::from_secs(work) {
        if idle {
            sleep(Duration::from_millis(100)).await;
        } else if rest || pause && rested.elapsed() > PIECE {
            yield_now().await;
            rested = Instant::now();
        }
        // One look at the clock: a pause between two would be in neither.
        let now = Instant::now();
        let gap = now.saturating_duration_since(last);
        if pause && gap > Duration::from_secs(4) {
            println!("survived a pause of {} s", gap.as_secs());
            return Verdict::Pass;
        }
        last = now;
    }
    Verdict::Pass
}
