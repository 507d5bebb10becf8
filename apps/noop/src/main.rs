//! The wiring of `noop`.

#![no_std]
#![no_main]

xenith::unikernel! {
    /// Does nothing, and ends.
    name: "noop",
    memory: 1 MiB,
    main: noop::start,
}
