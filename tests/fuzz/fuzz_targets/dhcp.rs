//! What a DHCP server answers, to a client that asks for an address.

#![no_main]

use devices::ip::{Settings, Stack};
use devices::net::cable::{End, Options, cable};
use kernel::time::sleep;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;
use std::time::Duration;
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

/// The last question that the stack sent: its DHCP message.
fn question(net: &End) -> Option<Vec<u8>> {
    let mut last = None;
    while let Some(bytes) = frame::take(net) {
        let asks = bytes.len() >= 42 + 240 && bytes[23] == frame::UDP && bytes[36..38] == [0, 67];
        if asks {
            last = Some(bytes[42..].to_vec());
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
        for act in acts.into_iter().take(32) {
            // It asks again after a while.
            for _ in 0..16 {
                match question(&net) {
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
                    continue;
                }
            };
            let datagram = frame::udp(67, 68, &answer);
            let (from, to) = (Ipv4Addr::from(SERVER), Ipv4Addr::BROADCAST);
            frame::send(&net, &frame::between(from, to, frame::UDP, &[], &datagram));
            sleep(Duration::from_millis(1)).await;
        }
        drop(stack);
    });
});
