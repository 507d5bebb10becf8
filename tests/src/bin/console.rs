//! Sends 64 KiB through the console ring of 2 KiB: a thousand numbered lines
//! whose content the host computes as well.
//!
//! test: expect poweroff
//! test: console-lines 1000

#![no_std]
#![no_main]

use embedded_io_async::Write;
use tests::{Verdict, line};
use xenith::Console;

kernel::unikernel! {
    /// Sends 64 KiB through the console ring.
    name: "console",
    memory: 1 MiB,
    devices: { console: Console },
    main: start,
}

async fn start(mut console: Console) -> Verdict {
    for number in 0..1000 {
        if console.write_all(&line(number)).await.is_err() {
            return Verdict::Fail("the console broke");
        }
    }
    Verdict::Pass
}
