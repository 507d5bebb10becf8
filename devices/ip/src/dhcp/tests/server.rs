//! A server that says what a test wants, and the client that hears it.

use super::super::client::{Client, Heard, Sending};
use super::super::*;
use devices::net::Mac;
use kernel::time::Instant;
use std::vec::Vec;

pub(super) const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
pub(super) const WAY: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);
pub(super) const GOOD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const BAD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 66);

/// What a server says, before it is bytes.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) head: [u8; 3],
    pub(super) xid: Option<u32>,
    pub(super) mac: Mac,
    pub(super) cookie: [u8; 4],
    pub(super) address: Ipv4Addr,
    pub(super) name: Vec<u8>,
    pub(super) file: Vec<u8>,
    pub(super) options: Vec<(u8, Vec<u8>)>,
    pub(super) end: Vec<u8>,
}

impl Reply {
    /// What a good server says.
    pub(super) fn new(kind: Kind, server: Ipv4Addr) -> Self {
        Self {
            head: [2, 1, 6],
            xid: None,
            mac: MAC,
            cookie: COOKIE,
            address: if kind == Kind::Nak { Ipv4Addr::UNSPECIFIED } else { OWN },
            name: Vec::new(),
            file: Vec::new(),
            options: [
                (53, std::vec![kind as u8]),
                (54, server.octets().to_vec()),
                (1, std::vec![255, 255, 255, 0]),
                (51, 600_u32.to_be_bytes().to_vec()),
            ]
            .to_vec(),
            end: std::vec![255],
        }
    }

    pub(super) fn address(mut self, address: [u8; 4]) -> Self {
        self.address = address.into();
        self
    }

    /// With another value of an option, or none.
    pub(super) fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.retain(|it| it.0 != code);
        self.and(code, value)
    }

    pub(super) fn without(mut self, code: u8) -> Self {
        self.options.retain(|it| it.0 != code);
        self
    }

    /// With one more instance of an option.
    pub(super) fn and(mut self, code: u8, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }

    pub(super) fn edit(mut self, edit: impl FnOnce(&mut Self)) -> Self {
        edit(&mut self);
        self
    }

    pub(super) fn bytes(&self, asked: &Sending) -> Vec<u8> {
        let mut message = std::vec![0; HEAD];
        message[..3].copy_from_slice(&self.head);
        let xid = self.xid.map(u32::to_be_bytes);
        message[4..8].copy_from_slice(xid.as_ref().map_or(&asked.message[4..8], |it| it));
        message[16..20].copy_from_slice(&self.address.octets());
        message[28..34].copy_from_slice(&self.mac.0);
        message[44..44 + self.name.len()].copy_from_slice(&self.name);
        message[108..108 + self.file.len()].copy_from_slice(&self.file);
        message[HEAD - 4..].copy_from_slice(&self.cookie);
        for (code, value) in &self.options {
            message.extend([*code, value.len() as u8]);
            message.extend(value);
        }
        message.extend(&self.end);
        message
    }
}

/// A client and the time.
pub(super) struct Bench {
    pub(super) client: Client,
    pub(super) now: Instant,
    pub(super) asked: Sending,
}

impl Bench {
    /// A client that has asked for the first time.
    pub(super) fn new() -> Self {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let mut client = Client::new("net".into(), MAC, now);
        let asked = client.turn(now).unwrap();
        Self { client, now, asked }
    }

    pub(super) fn hear(&mut self, reply: &Reply) -> Heard {
        let message = reply.bytes(&self.asked);
        self.client.hear(&message, GOOD, WAY, self.now)
    }

    /// Waits for the next thing that the client sends. How long that took, in ms.
    pub(super) fn next(&mut self) -> u128 {
        let before = self.now;
        loop {
            self.now = self.client.next().unwrap().max(self.now);
            if let Some(asked) = self.client.turn(self.now) {
                self.asked = asked;
                return self.now.saturating_duration_since(before).as_millis();
            }
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.asked.message[242]
    }

    /// A client that has a lease by this acknowledgement.
    pub(super) fn bound(ack: &Reply) -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.hear(&Reply { address: ack.address, ..offer() }), Heard::Offer);
        assert_eq!(bench.next(), 0);
        assert_eq!(bench.kind(), 3);
        assert_eq!(bench.hear(ack), Heard::Lease);
        bench
    }

    /// An option of the last question.
    pub(super) fn option(&self, code: u8) -> Option<&[u8]> {
        let mut all = options(&self.asked.message[HEAD..]).map(Result::unwrap);
        all.find(|it| it.0 == code).map(|it| it.1)
    }
}

pub(super) fn offer() -> Reply {
    Reply::new(Kind::Offer, GOOD)
}

pub(super) fn ack() -> Reply {
    Reply::new(Kind::Ack, GOOD)
}
