//! Panics: the message, the place and the way there are printed, escaped, and
//! the domain ends with a crash code.
//!
//! test: expect exit 101
//! test: console-contains "panic.rs:"
//! test: console-contains "the answer is \\x1b[1m42"
//! test: console-contains "  panic::start::{closure#0} at tests/src/bin/panic.rs:"

#![no_std]
#![no_main]

kernel::unikernel! {
    /// Panics.
    name: "panic",
    memory: 1 MiB,
    main: start,
}

async fn start() {
    let answer = core::hint::black_box(42);
    panic!("the answer is \x1b[1m{answer}");
}
