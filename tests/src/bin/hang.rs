//! Never ends and never waits: only a time limit helps.
//!
//! test: timeout 3
//! test: expect timeout
//! test: console-contains "here I stay"

#![no_std]
#![no_main]

use embedded_io_async::Write;
use xenith::Console;

kernel::unikernel! {
    /// Never ends.
    name: "hang",
    memory: 1 MiB,
    devices: { console: Console },
    main: start,
}

async fn start(mut console: Console) -> Result<(), xenith::console::Error> {
    console.write_all(b"here I stay\n").await?;
    loop {
        core::hint::spin_loop();
    }
}
