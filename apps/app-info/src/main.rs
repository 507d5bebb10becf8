//! The wiring of `app-info`.
//!
//! test: console-contains "app-info 0.1.0\nPrints what an image knows about itself.\ncommit: "
//! test: console-contains "device: console console\ncrate: "

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// Prints what an image knows about itself.
    name: "app-info",
    memory: 1 MiB,
    devices: { console: Console },
    main: app_info::start,
}
