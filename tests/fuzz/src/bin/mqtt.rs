//! What an MQTT broker says to who publishes and subscribes, over a few connections.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use mqtt::Args;
use std::time::Duration;
use xenith::Exit;
use xenith::args::{Several, Value};
use xenith::time::timeout;
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Pieces, Servers, split};

/// A packet of the broker.
#[derive(Arbitrary, Debug)]
enum Packet {
    /// It takes the client, with these properties.
    Welcome {
        present: bool,
        reason: Reason,
        properties: Vec<Property>,
    },
    /// A message of a quality, by a number that it may have had before.
    Publish {
        first: u8,
        id: u8,
        topic: u8,
        message: Vec<u8>,
    },
    /// An answer to a message, or to one of the client's: PUBACK, PUBREC, PUBREL, PUBCOMP.
    Answer {
        kind: u8,
        id: u8,
        reason: Reason,
    },
    Subscribed {
        id: u8,
        reason: Reason,
    },
    Pong,
    Goodbye {
        reason: Reason,
        properties: Vec<Property>,
    },
    /// With the right length.
    Whole {
        first: u8,
        body: Vec<u8>,
    },
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Reason {
    Success,
    Other(u8),
}

impl Reason {
    const fn byte(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Other(byte) => byte,
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Property {
    /// What the broker takes: packets as long, a quality, messages at a time, a keepalive.
    MaximumPacket(u32),
    MaximumQuality(bool),
    ReceiveMaximum(u16),
    KeepAlive(u16),
    Text(u8),
    Bytes(Vec<u8>),
}

impl Property {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::MaximumPacket(it) => [&[0x27], &it.to_be_bytes()[..]].concat(),
            Self::MaximumQuality(it) => vec![0x24, (*it).into()],
            Self::ReceiveMaximum(it) => [&[0x21], &it.to_be_bytes()[..]].concat(),
            Self::KeepAlive(it) => [&[0x13], &it.to_be_bytes()[..]].concat(),
            Self::Text(length) => [&[0x1f, 0, *length], &[b'x'; 255][..(*length).into()]].concat(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

fn properties(all: &[Property]) -> Vec<u8> {
    let all: Vec<u8> = all.iter().flat_map(Property::bytes).collect();
    [length(all.len()), all].concat()
}

/// A length, seven bits a byte.
fn length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length > 127 {
        bytes.push(length as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes
}

fn whole(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], &length(body.len())[..], body].concat()
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Welcome { present, reason, properties: all } => {
                whole(0x20, &[&[(*present).into(), reason.byte()], &properties(all)[..]].concat())
            }
            Self::Publish { first, id, topic, message } => {
                // Of quality 0 it has no number.
                let id: &[u8] = if first & 6 == 0 { &[] } else { &[0, *id] };
                let topic = [0, 3, b'b', b'/', b'a' + topic % 26];
                whole(0x30 | first & 15, &[&topic, id, &[0], message].concat())
            }
            Self::Answer { kind, id, reason } => {
                let first = [0x40, 0x50, 0x62, 0x70][usize::from(kind % 4)];
                whole(first, &[0, *id, reason.byte()])
            }
            Self::Subscribed { id, reason } => whole(0x90, &[0, *id, 0, reason.byte()]),
            Self::Pong => whole(0xd0, &[]),
            Self::Goodbye { reason, properties: all } => {
                whole(0xe0, &[&[reason.byte()], &properties(all)[..]].concat())
            }
            Self::Whole { first, body } => whole(*first, body),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    quality: u8,
    publishes: bool,
    subscribes: bool,
    connections: [Vec<Packet>; 3],
    sizes: [u8; 3],
}

/// The most bytes of a packet.
const LIMIT: u32 = 1024;

/// How many messages are received.
const COUNT: usize = 3;

fuzz_target!(|input: Input| {
    let sizes = input.sizes.map(usize::from);
    let says = |packets: &Vec<Packet>| -> Pieces {
        split(&packets.iter().flat_map(Packet::bytes).collect::<Vec<u8>>(), &sizes)
    };
    let (mut publish, mut subscribe) = (Several::default(), Several::default());
    if input.publishes {
        publish.add("a=hi");
    }
    if input.subscribes {
        subscribe.add("b/#");
    }
    let args = Args {
        broker: "broker",
        port: 1883,
        id: "me",
        user: Some("u"),
        password: Some("open sesame"),
        publish,
        retain: false,
        subscribe,
        quality: input.quality % 3,
        count: COUNT as u32,
        keepalive: 60,
        limit: LIMIT,
        patience: Duration::from_secs(30),
    };
    let mut out = Vec::new();
    let ended = on_machine(async {
        let broker = Servers::new(input.connections.iter().map(says));
        // When there are no more connections it tries for ever.
        timeout(Duration::from_secs(1000), mqtt::start(&mut out, broker, args)).await
    });
    let said = String::from_utf8(out).expect("what is no text is escaped");
    // Messages, that it is ready, and what went wrong.
    let lines = said.lines().count();
    assert!(lines <= COUNT + 2, "more than was asked for");
    // Escaped, a byte is four.
    assert!(said.lines().all(|line| line.len() <= 4 * LIMIT as usize), "longer than is allowed");
    match ended {
        Ok(Exit::SUCCESS) => assert!(!input.subscribes || lines >= COUNT, "{said}"),
        Ok(Exit(4 | 5)) => assert!(said.lines().last().is_some_and(|it| it.starts_with("mqtt: "))),
        Ok(other) => panic!("{other:?}: {said}"),
        Err(_) => {}
    }
});
