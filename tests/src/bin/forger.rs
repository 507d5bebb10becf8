//! A neighbour forges what ended guests: questions of MLD about what is no group.
//!
//! test: with echo-server ip=10.0.0.3/24,fd00::3/64
//! test: client-when "were sent"
//! test: client "[ \"$( (echo here; sleep 0.5) | nc.openbsd -u -w 1 $WITH_IP 7)\" = here ]"
//! test: client-then wait
//! test: no-verdict

#![no_std]
#![no_main]

use core::future::poll_fn;
use core::time::Duration;
use kernel::time::sleep;
use xenith::Net;
use xenith::net::{Broken, Meta, Net as _};

kernel::unikernel! {
    /// Sends frames with false contents and right checksums.
    name: "forger",
    memory: 4 MiB,
    devices: { net: Net("0") },
    main: start,
}

/// A question to all in Ethernet from fe80::77 to fd00::3 about fd00::3, whose ICMPv6
/// begins at its byte 62 behind the option that makes routers look.
const QUESTION: [u8; 90] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x77, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 36, 0,
    1, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 3, 58, 0, 5, 2, 0, 0, 1, 0, 130, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0,
];

/// The same with its checksum, and without the option if it is to be `bare`.
fn question(bare: bool) -> ([u8; 90], usize) {
    let mut frame = QUESTION;
    let words = frame[22..54].chunks(2).chain(frame[62..].chunks(2));
    let sum: u32 = words.map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    let sum = sum + 58 + 28;
    let check = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[64..66].copy_from_slice(&check.to_be_bytes());
    if !bare {
        return (frame, 90);
    }
    (frame[19], frame[20]) = (28, 58);
    frame.copy_within(62.., 54);
    (frame, 82)
}

async fn start(net: Net) -> Result<(), Broken> {
    for bare in [false, true, false, true] {
        poll_fn(|context| net.poll_transmit(context)).await?;
        let (frame, length) = question(bare);
        net.transmit(length, |to| {
            to.copy_from_slice(&frame[..length]);
            ((), Meta::default())
        });
        net.flush();
        sleep(Duration::from_millis(200)).await;
    }
    kernel::println!("forger: all of them were sent");
    Ok(())
}
