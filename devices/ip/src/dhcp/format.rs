//! Reads and writes DHCP messages, as they stand in datagrams (RFC 2131, section 2).

use super::flaw::Flaw;
use core::net::Ipv4Addr;
use devices::net::Mac;

/// Is the length in bytes of the fixed fields and the [`COOKIE`], behind which the options
/// stand.
pub const HEAD: usize = 240;

/// Stands in front of the options and tells DHCP from BOOTP (the magic cookie: RFC 2131,
/// section 3).
pub const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Is the least length of a message in bytes, to which it is padded with zeros: some relays
/// and servers drop what is shorter than a message of BOOTP (RFC 1542, section 2.1).
pub const SHORTEST: usize = 300;

/// The fields that may hold options too.
const SERVER_NAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;

/// Tells what a message is for: the value of option 53 (RFC 2132, section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A client looks for servers.
    Discover = 1,
    /// A server offers an address.
    Offer = 2,
    /// A client takes an offer, or wants to keep what it has.
    Request = 3,
    /// A client found that somebody else uses the address.
    Decline = 4,
    /// A server gives the address that was requested.
    Ack = 5,
    /// A server refuses it.
    Nak = 6,
    /// A client gives its address back.
    Release = 7,
    /// A client has an address and wants to know the rest.
    Inform = 8,
}

impl Kind {
    /// Returns the type for the value of option 53, or `None` if it is another one.
    #[must_use]
    pub const fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }
}

/// Says that an option is longer than what is left of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Iterates over the options in one field (RFC 2132, section 2), as codes with values. It
/// skips padding (code 0) and stops at the end option (code 255) or the end of the field; an
/// option that runs past that is an error and the last item.
pub fn options(mut rest: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), Malformed>> {
    core::iter::from_fn(move || {
        while let Some((&0, after)) = rest.split_first() {
            rest = after;
        }
        let (&code, after) = rest.split_first()?;
        if code == 255 {
            return None;
        }
        let option =
            after.split_first().and_then(|(&length, it)| it.split_at_checked(length.into()));
        Some(match option {
            Some((value, after)) => {
                rest = after;
                Ok((code, value))
            }
            None => {
                rest = &[];
                Err(Malformed)
            }
        })
    })
}

/// Reads an array at an offset.
pub(super) fn bytes<const N: usize>(message: &[u8], at: usize) -> Option<[u8; N]> {
    message.get(at..)?.first_chunk().copied()
}

/// Bytes of an option that count.
pub(super) const MOST: usize = 255;

/// The value of an option.
pub(super) type Value = heapless::Vec<u8, MOST>;

/// What a server answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    message: &'a [u8],
    /// Which other fields hold options (RFC 2132, section 9.3).
    overload: u8,
    pub(super) kind: Kind,
    /// The address that it is about.
    pub(super) address: Ipv4Addr,
}

impl<'a> Answer<'a> {
    /// Takes a message apart that answers `mac`'s question with the transaction `xid`.
    ///
    /// # Errors
    /// Nothing, if it is no answer to that; a [`Flaw`], if it is one and makes no sense.
    pub(super) fn read(message: &'a [u8], xid: u32, mac: Mac) -> Result<Self, Option<Flaw>> {
        // An answer, about Ethernet.
        let head: [u8; 3] = bytes(message, 0).ok_or(None)?;
        let ours = head == [2, 1, 6]
            && bytes(message, 4) == Some(xid.to_be_bytes())
            && bytes(message, 28) == Some(mac.0)
            && bytes(message, HEAD - 4) == Some(COOKIE);
        if !ours {
            return Err(None);
        }
        let address: [u8; 4] = bytes(message, 16).ok_or(None)?;
        let plain = Self { message, overload: 0, kind: Kind::Offer, address: address.into() };
        let overload = plain.option(52).first().copied().unwrap_or(0);
        let mut answer = Self { overload, ..plain };
        if answer.fields().any(|it| options(it).any(|it| it.is_err())) {
            return Err(Some(Flaw::Malformed));
        }
        let kind = answer.option(53).first().copied().and_then(Kind::of);
        match kind {
            Some(kind @ (Kind::Offer | Kind::Ack | Kind::Nak)) => answer.kind = kind,
            _ => return Err(Some(Flaw::NoKind)),
        }
        Ok(answer)
    }

    /// The fields with options, in the order in which parts of one option are put
    /// together (RFC 3396, section 5).
    fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let message = self.message;
        let file = (self.overload & 1 != 0).then_some(FILE);
        let name = (self.overload & 2 != 0).then_some(SERVER_NAME);
        let others = file.into_iter().chain(name).filter_map(|it| message.get(it));
        message.get(HEAD..).into_iter().chain(others)
    }

    /// The value of an option, of which the first bytes count; empty when there is none.
    #[inline(never)]
    pub(super) fn option(&self, code: u8) -> Value {
        let mut value = Value::new();
        for field in self.fields() {
            for (_, part) in options(field).map_while(Result::ok).filter(|it| it.0 == code) {
                let part = part.get(..MOST - value.len()).unwrap_or(part);
                // That much fits.
                let _ = value.extend_from_slice(part);
            }
        }
        value
    }

    /// The value of an option that is four bytes long.
    pub(super) fn word(&self, code: u8) -> Option<[u8; 4]> {
        self.option(code).as_slice().try_into().ok()
    }
}

/// What a client asks.
pub(super) struct Question {
    bytes: [u8; SHORTEST],
    length: usize,
}

impl Question {
    /// A question of `mac`, which has had the address `own` for sure, in the transaction
    /// `xid`, `seconds` after it began to look for one.
    pub(super) fn new(kind: Kind, xid: u32, mac: Mac, own: Ipv4Addr, seconds: u16) -> Self {
        let mut question = Self { bytes: [0; SHORTEST], length: HEAD };
        let parts: [(usize, &[u8]); 6] = [
            // A question, about Ethernet.
            (0, &[1, 1, 6]),
            (4, &xid.to_be_bytes()),
            (8, &seconds.to_be_bytes()),
            (12, &own.octets()),
            (28, &mac.0),
            (HEAD - 4, &COOKIE),
        ];
        for (at, part) in parts {
            question.bytes[at..at + part.len()].copy_from_slice(part);
        }
        question.option(53, &[kind as u8]);
        question
    }

    /// Adds an option; all of them together take 60 bytes at most.
    pub(super) fn option(&mut self, code: u8, value: &[u8]) {
        let Some([kind, length, to @ ..]) = self.bytes.get_mut(self.length..) else { return };
        let Some(to) = to.get_mut(..value.len()) else { return };
        (*kind, *length) = (code, value.len() as u8);
        to.copy_from_slice(value);
        self.length += 2 + value.len();
    }

    /// Its bytes, padded.
    pub(super) fn finish(mut self) -> [u8; SHORTEST] {
        if let Some(end) = self.bytes.get_mut(self.length) {
            *end = 255;
        }
        self.bytes
    }
}
