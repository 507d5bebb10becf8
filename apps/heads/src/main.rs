//! The wiring of `heads`.
//!
//! test: console-contains "heads\ntails\nfinished\n"

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// Two tasks at once, and one that waits for both.
    name: "heads",
    memory: 1 MiB,
    devices: { console: Console },
    main: heads::start,
}
