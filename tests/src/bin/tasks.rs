//! Runs a thousand tasks with timers, joins, cancels and wakes them.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;
use kernel::task::{Either, join, select, spawn, yield_now};
use kernel::time::{Instant, sleep, timeout};
use tests::Verdict;

kernel::unikernel! {
    /// Runs a thousand tasks.
    name: "tasks",
    memory: 4 MiB,
    main: start,
}

async fn start() -> Verdict {
    let begun = Instant::now();
    let running = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..1000_u64)
        .map(|number| {
            let running = running.clone();
            spawn(async move {
                running.set(running.get() + 1);
                sleep(Duration::from_millis(number % 50)).await;
                number
            })
        })
        .collect();
    yield_now().await;
    if running.get() != 1000 {
        return Verdict::Fail("not every task started");
    }
    let mut sum = 0;
    for (at, task) in tasks.into_iter().enumerate() {
        // Every tenth is cancelled.
        if at % 10 == 0 { drop(task) } else { sum += task.await }
    }
    let expected: u64 = (0..1000).filter(|number| number % 10 != 0).sum();
    if sum != expected {
        return Verdict::Fail("tasks returned something else");
    }
    if begun.elapsed() < Duration::from_millis(49) {
        return Verdict::Fail("tasks did not sleep");
    }
    yield_now().await;
    if Rc::strong_count(&running) != 1 {
        return Verdict::Fail("a cancelled task still holds what it had");
    }
    if timeout(Duration::from_millis(5), sleep(Duration::from_secs(60))).await.is_ok() {
        return Verdict::Fail("a timeout did not time out");
    }
    match select(sleep(Duration::from_secs(60)), join(yield_now(), async { 7 })).await {
        Either::Second(((), 7)) => Verdict::Pass,
        _ => Verdict::Fail("select took the wrong one"),
    }
}
