//! What a DHCP server answers, to a client that asks for an address and may not ask more
//! often than time goes by. (The app `dhcp` is a server, and not meant here.)

#![no_main]

use kernel::time::{Instant, sleep};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;
use std::time::Duration;
use xenith::ip::{Settings, Stack};
use xenith::net::cable::{End, Options, cable};
use xenith_fuzz::{frame, on_machine};

/// What the server does with the next question.
#[derive(Arbitrary, Debug)]
enum Act {
    /// A good offer or acknowledgement, and these options behind the others.
    Give {
        address: u8,
        seconds: u32,
        more: Vec<u8>,
    },
    /// The same, with options in the fields for names.
    Overload {
        fields: u8,
        more: Vec<u8>,
        name: Vec<u8>,
        file: Vec<u8>,
    },
    Refuse,
    /// Any message for this client, with these options.
    Answer {
        operation: u8,
        address: [u8; 4],
        server: [u8; 4],
        options: Vec<u8>,
    },
    /// Any message at all.
    Raw(Vec<u8>),
    Silent,
    Wait(u16),
    Reconnect,
}

const SERVER: [u8; 4] = [10, 0, 0, 1];

/// The last question that the stack sent: its DHCP message; and how many there were.
fn question(net: &End, count: &mut u64) -> Option<Vec<u8>> {
    let mut last = None;
    while let Some(bytes) = frame::take(net) {
        let asks = bytes.len() >= 42 + 240 && bytes[23] == frame::UDP && bytes[36..38] == [0, 67];
        if asks {
            last = Some(bytes[42..].to_vec());
            *count += 1;
        }
    }
    last
}

/// A message that answers `asked`.
fn message(
    asked: &[u8],
    operation: u8,
    address: [u8; 4],
    server: [u8; 4],
    options: &[u8],
) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[operation, 1, 6, 0]);
    message[4..8].copy_from_slice(&asked[4..8]);
    message[16..20].copy_from_slice(&address);
    message[20..24].copy_from_slice(&server);
    message[28..34].copy_from_slice(&asked[28..34]);
    message[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend(options);
    message
}

/// Options of which the first is the message's type.
fn options(kind: u8, seconds: u32, more: &[u8]) -> Vec<u8> {
    let mut options = vec![53, 1, kind, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0, 51, 4];
    options.extend(seconds.to_be_bytes());
    options.extend(more);
    options.push(255);
    options
}

fuzz_target!(|acts: Vec<Act>| {
    on_machine(async {
        let (net, right) = cable(Options { capacity: 256, ..Options::default() });
        let settings = Settings { limits: frame::settings().limits, ..Settings::default() };
        let Ok(stack) = Stack::start(right, settings) else { return };
        let mut asked = vec![0; 240];
        let (begun, mut reconnections, mut count) = (Instant::now(), 0, 0);
        for act in acts.into_iter().take(32) {
            // It asks again after a while.
            for _ in 0..16 {
                match question(&net, &mut count) {
                    Some(question) => {
                        asked = question;
                        break;
                    }
                    None => sleep(Duration::from_millis(250)).await,
                }
            }
            // 1 is DISCOVER, to which 2 is OFFER; all others are answered with ACK.
            let kind = if asked.get(242) == Some(&1) { 2 } else { 5 };
            let answer = match act {
                Act::Give { address, seconds, more } => {
                    message(&asked, 2, [10, 0, 0, address], SERVER, &options(kind, seconds, &more))
                }
                Act::Overload { fields, more, name, file } => {
                    let more = [&[52, 1, fields], &more[..]].concat();
                    let options = options(kind, 600, &more);
                    let mut bytes = message(&asked, 2, [10, 0, 0, 7], SERVER, &options);
                    for (at, length, from) in [(44, 64, name), (108, 128, file)] {
                        let length = from.len().min(length);
                        bytes[at..at + length].copy_from_slice(&from[..length]);
                    }
                    bytes
                }
                Act::Refuse => message(&asked, 2, [0; 4], SERVER, &options(6, 0, &[])),
                Act::Answer { operation, address, server, options } => {
                    message(&asked, operation, address, server, &options)
                }
                Act::Raw(bytes) => bytes,
                Act::Silent => continue,
                Act::Wait(seconds) => {
                    sleep(Duration::from_secs(seconds.into())).await;
                    continue;
                }
                Act::Reconnect => {
                    net.reconnect();
                    reconnections += 1;
                    continue;
                }
            };
            let datagram = frame::udp(67, 68, &answer);
            let (from, to) = (Ipv4Addr::from(SERVER), Ipv4Addr::BROADCAST);
            frame::send(&net, &frame::between(from, to, frame::UDP, &[], &datagram));
            sleep(Duration::from_millis(1)).await;
        }
        question(&net, &mut count);
        // A search is 3 s from the next one at least, and followed by one request.
        let most = 2 * (begun.elapsed().as_secs() / 3 + 1 + reconnections);
        assert!(count <= most, "{count} questions");
        drop(stack);
    });
});
