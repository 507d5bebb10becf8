//! DHCP messages (RFC 2131, RFC 2132), as a server reads and writes them.

use core::net::Ipv4Addr;
use xenith::ip::dhcp::{COOKIE, HEAD, Kind, SHORTEST, options};

/// The longest answer: it fits into what every client takes (RFC 2131, section 2).
const LONGEST: usize = 548;

/// By what a client is known: its identifier, or else its kind of hardware and address.
pub(crate) type Client = heapless::Vec<u8, 64>;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) kind: Kind,
    /// What an answer has to repeat: hardware, transaction, flags.
    hardware: [u8; 2],
    transaction: [u8; 4],
    flags: [u8; 2],
    address: [u8; 16],
    /// Its own address, if it has one already.
    pub(crate) own: Option<Ipv4Addr>,
    pub(crate) client: Client,
    pub(crate) requested: Option<Ipv4Addr>,
    /// The server that is meant.
    pub(crate) server: Option<Ipv4Addr>,
}

/// The bytes at an offset.
fn bytes<const N: usize>(message: &[u8], at: usize) -> Option<[u8; N]> {
    message.get(at..)?.first_chunk().copied()
}

/// An address that is one.
fn address(bytes: [u8; 4]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(bytes)).filter(|it| !it.is_unspecified())
}

impl Question {
    /// Reads a message of a client of this network. `None` when it is none, or came
    /// through a relay: other networks' addresses are not given here.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let [op, kind, length, _] = bytes(message, 0)?;
        let relay: [u8; 4] = bytes(message, 24)?;
        let good = op == 1 && length <= 16 && relay == [0; 4];
        if !good || bytes(message, HEAD - 4)? != COOKIE {
            return None;
        }
        let mut question = Self {
            kind: Kind::Discover,
            hardware: [kind, length],
            transaction: bytes(message, 4)?,
            flags: bytes(message, 10)?,
            address: bytes(message, 28)?,
            own: address(bytes(message, 12)?),
            client: Client::new(),
            requested: None,
            server: None,
        };
        let mut what = None;
        for (code, value) in options(message.get(HEAD..)?).map_while(Result::ok) {
            match code {
                50 => question.requested = address(value.try_into().ok()?),
                53 => what = value.first().copied(),
                54 => question.server = address(value.try_into().ok()?),
                // One that does not fit is passed over.
                61 if value.len() > 1 => {
                    let _ = Client::from_slice(value).map(|client| question.client = client);
                }
                _ => {}
            }
        }
        question.kind = match Kind::of(what?)? {
            Kind::Offer | Kind::Ack | Kind::Nak => return None,
            kind => kind,
        };
        if question.client.is_empty() {
            let hardware = question.address.get(..length.into())?;
            question.client.push(kind).ok()?;
            question.client.extend_from_slice(hardware).ok()?;
        }
        // Nobody is known by nothing.
        (question.client.len() > 1).then_some(question)
    }

    /// The client's hardware address, to show it.
    pub(crate) fn hardware(&self) -> &[u8] {
        self.address.get(..self.hardware[1].into()).unwrap_or_default()
    }
}

/// What a server says.
pub(crate) struct Answer {
    message: heapless::Vec<u8, LONGEST>,
    fits: bool,
}

impl Answer {
    /// An answer to `question` from `server`, that gives `given`.
    pub(crate) fn new(
        kind: Kind,
        question: &Question,
        server: Ipv4Addr,
        given: Option<Ipv4Addr>,
    ) -> Self {
        let mut answer = Self { message: heapless::Vec::new(), fits: true };
        let [kind_of_hardware, length] = question.hardware;
        let given = given.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
        // A refusal repeats nothing of what the client thinks it has.
        let own = question.own.filter(|_| kind == Kind::Ack);
        let own = own.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
        answer.put(&[2, kind_of_hardware, length, 0]);
        answer.put(&question.transaction);
        answer.put(&[0, 0]);
        answer.put(&question.flags);
        answer.put(&own);
        answer.put(&given);
        answer.put(&[0; 8]);
        answer.put(&question.address);
        answer.put(&[0; 64 + 128]);
        answer.put(&COOKIE);
        answer.option(53, &[kind as u8]);
        answer.option(54, &server.octets());
        answer
    }

    fn put(&mut self, bytes: &[u8]) {
        self.fits &= self.message.extend_from_slice(bytes).is_ok();
    }

    /// Adds an option, unless its value is empty.
    pub(crate) fn option(&mut self, code: u8, value: &[u8]) {
        let Ok(length @ 1..) = u8::try_from(value.len()) else { return };
        // With room for the end.
        if self.message.len() + 2 + value.len() < LONGEST {
            self.put(&[code, length]);
            self.put(value);
        } else {
            self.fits = false;
        }
    }

    /// Its bytes, if all of it fitted.
    pub(crate) fn finish(mut self) -> Option<heapless::Vec<u8, LONGEST>> {
        self.put(&[255]);
        let length = self.message.len().max(SHORTEST);
        self.message.resize(length, 0).ok()?;
        self.fits.then_some(self.message)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    /// A question with these options, from the client of that number.
    pub(crate) fn question(kind: u8, client: u8, own: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = std::vec![0; HEAD];
        message[..8].copy_from_slice(&[1, 1, 6, 0, 1, 2, 3, client]);
        message[10] = 0x80;
        message[12..16].copy_from_slice(&own);
        message[28..34].copy_from_slice(&[2, 0, 0, 0, 0, client]);
        message[HEAD - 4..].copy_from_slice(&COOKIE);
        message.extend([0, 53, 1, kind]);
        for (code, value) in options {
            message.extend([0, *code, value.len() as u8]);
            message.extend(*value);
        }
        message.push(255);
        message
    }

    /// The options of an answer.
    pub(crate) fn found(message: &[u8], code: u8) -> Option<&[u8]> {
        options(&message[HEAD..]).map_while(Result::ok).find(|it| it.0 == code).map(|it| it.1)
    }

    #[test]
    fn a_question_is_taken_apart() {
        let message = question(3, 7, [10, 0, 1, 9], &[(50, &[10, 0, 1, 8]), (54, &[10, 0, 1, 1])]);
        let read = Question::parse(&message).unwrap();
        assert_eq!(read.kind, Kind::Request);
        assert_eq!(read.own, Some(Ipv4Addr::new(10, 0, 1, 9)));
        assert_eq!(read.requested, Some(Ipv4Addr::new(10, 0, 1, 8)));
        assert_eq!(read.server, Some(Ipv4Addr::new(10, 0, 1, 1)));
        assert_eq!(read.client, [1, 2, 0, 0, 0, 0, 7]);
        let named = Question::parse(&question(1, 7, [0; 4], &[(61, b"\x00name")])).unwrap();
        assert_eq!((named.client.as_slice(), named.own), (&b"\x00name"[..], None));
        let long = Question::parse(&question(1, 7, [0; 4], &[(61, &[1; 65])])).unwrap();
        assert_eq!(long.client, [1, 2, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn what_is_no_question_is_none() {
        let good = question(1, 1, [0; 4], &[(50, &[10, 0, 1, 8])]);
        // Operation, length of the hardware address, relay, cookie, kind, length of an option.
        for (at, value) in [(0, 2), (2, 17), (2, 0), (27, 1), (239, 0), (243, 5), (246, 3)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Question::parse(&bad), None, "byte {at}");
        }
        for length in 0..243 {
            assert_eq!(Question::parse(&good[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise() {
        let good = question(3, 1, [0; 4], &[(50, &[10, 0, 1, 8]), (61, b"id"), (12, b"host")]);
        for at in 0..good.len() {
            Question::parse(&good[..at]);
            for value in [0, 1, 61, 127, 254, 255] {
                let mut bad = good.clone();
                bad[at] = value;
                Question::parse(&bad);
            }
        }
    }

    #[test]
    fn an_answer_repeats_and_fits() {
        let asked = Question::parse(&question(1, 9, [0; 4], &[])).unwrap();
        let (server, given) = (Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 1, 50));
        let mut answer = Answer::new(Kind::Offer, &asked, server, Some(given));
        answer.option(15, b"lab");
        answer.option(6, &[]);
        let bytes = answer.finish().unwrap();
        assert_eq!(bytes[..12], [2, 1, 6, 0, 1, 2, 3, 9, 0, 0, 0x80, 0]);
        assert_eq!(bytes[16..20], given.octets());
        assert_eq!(bytes[28..34], [2, 0, 0, 0, 0, 9]);
        assert_eq!(found(&bytes, 53), Some(&[2][..]));
        assert_eq!(found(&bytes, 54), Some(&server.octets()[..]));
        assert_eq!((found(&bytes, 15), found(&bytes, 6)), (Some(&b"lab"[..]), None));
        assert_eq!(bytes.len(), SHORTEST);
        let mut long = Answer::new(Kind::Offer, &asked, server, Some(given));
        long.option(15, &[b'x'; 255]);
        long.option(15, &[b'x'; 255]);
        assert!(long.finish().is_none());
    }
}
