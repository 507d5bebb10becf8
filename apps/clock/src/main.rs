//! The wiring of `clock`.
//!
//! test: args count=2
//! test: console-contains "s, wall clock 20"

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// Prints both clocks, once a second.
    name: "clock",
    memory: 2 MiB,
    devices: { console: Console },
    args: {
        /// How often.
        count: u32 = 10,
    },
    main: clock::start,
}
