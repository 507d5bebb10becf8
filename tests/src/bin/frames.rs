//! Connects to the network and counts what comes.
//!
//! test: timeout 20

#![no_std]
#![no_main]

use core::future::poll_fn;
use core::time::Duration;
use devices::net::Net;
use kernel::time::{Instant, timeout};
use tests::Verdict;

kernel::unikernel! {
    /// Counts frames.
    name: "frames",
    memory: 4 MiB,
    devices: { net: devices::Net("0") },
    main: start,
}

async fn start(net: devices::Net) -> Verdict {
    kernel::machine::line(format_args!("{:?}", net.info()));
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        let ready = poll_fn(|context| net.poll_receive(context));
        let Ok(ready) = timeout(Duration::from_secs(1), ready).await else { continue };
        if ready.is_err() {
            return Verdict::Fail("broken");
        }
        net.receive(|frame, meta| {
            kernel::machine::line(format_args!("{} {:?} {:02x?}", frame.len(), meta, &frame[..14]));
        });
        count += 1;
    }
    kernel::machine::line(format_args!("{count} {:?}", net.stats()));
    Verdict::Pass
}
