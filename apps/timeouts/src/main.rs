//! The wiring of `timeouts`.
//!
//! test(short): args work=2 limit=1
//! test(short): console-contains "timeout: timed out\nrace: the other was faster\n"
//! test(long): args work=1 limit=2
//! test(long): console-contains "timeout: done\nrace: done\n"
//! test(long): not-in-check

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// What takes too long is cancelled.
    name: "timeouts",
    memory: 1 MiB,
    devices: { console: Console },
    args: {
        /// Seconds that the work takes.
        work: u64 = 2,
        /// Seconds that it may take.
        limit: u64 = 1,
    },
    main: timeouts::start,
}
