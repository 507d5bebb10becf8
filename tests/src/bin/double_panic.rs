//! Panics while it reports a panic: the first report is cut short, and the
//! domain still ends with a crash code.
//!
//! test: expect exit 101
//! test: console-contains "the first of two: xenith: a second panic while reporting the first"

#![no_std]
#![no_main]

use core::fmt;

kernel::unikernel! {
    /// Panics while it reports a panic.
    name: "double_panic",
    memory: 1 MiB,
    main: start,
}

/// What cannot be shown.
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("the second");
    }
}

async fn start() {
    panic!("the first of two: {Unspeakable}");
}
