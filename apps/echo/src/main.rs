//! The wiring of `echo`.
//!
//! test: input "one\ntwo\nexit\n"
//! test: console-contains "one"

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// Echoes lines, each after a random delay, until the line `exit`.
    name: "echo",
    memory: 1 MiB,
    devices: { console: Console },
    main: echo::start,
}
