//! The wiring of `hello`.

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// Says hello four times, a second apart.
    name: "hello",
    memory: 1 MiB,
    devices: { console: Console },
    args: {
        /// What to say.
        greeting: &'static str = "hello",
    },
    main: hello::start,
}
