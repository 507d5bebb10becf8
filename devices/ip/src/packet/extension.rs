//! IPv6 extension headers (RFC 8200, section 4), and what is told about those that cannot be
//! passed over.
//!
//! All that are known here are passed over, so that a packet means what it would without them.
//! A packet with one that cannot be is dropped, and its sender is told why where the header says
//! so. How many there are is bounded, as RFC 8504, section 5.3, allows.

use super::verdict::{Folded, Piece, Problem, Verdict};
use super::{Ends, FRAGMENT, HOP_BY_HOP, ICMP_V6, NO_NEXT_HEADER, Packet, ROUTING, TCP, UDP};
use super::{bytes, fill, finish_icmp_v6, number};
use core::net::Ipv6Addr;
use devices::net::HEADER;

const DESTINATION: u8 = 60;

/// Extension headers of a packet, and options of one of them that are no padding.
const HEADERS: usize = 8;
const OPTIONS: usize = 8;

/// The longest packet that says what was wrong with another (RFC 4443, section 2.4(c)).
const LONGEST: usize = 1280;

/// Whether a packet goes on with an extension header that is known here.
pub(super) const fn is_one(kind: u8) -> bool {
    matches!(kind, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

/// How far the headers of a packet were followed.
#[derive(Clone, Copy)]
struct Chain {
    /// What stands here, and where that is said.
    kind: u8,
    named: usize,
    at: usize,
    end: usize,
}

impl Chain {
    const fn of(packet: &Packet) -> Self {
        Self { kind: packet.protocol, named: HEADER + 6, at: packet.transport, end: packet.end }
    }

    /// The extension header here, and goes on behind it. `None` when there is none, or not all
    /// of it.
    fn next<'a>(&mut self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let length = match self.kind {
            FRAGMENT => 8,
            kind if is_one(kind) => 8 * (1 + usize::from(*frame.get(self.at + 1)?)),
            _ => return None,
        };
        let header = frame.get(self.at..self.end)?.get(..length)?;
        (self.kind, self.named, self.at) = (*header.first()?, self.at, self.at + length);
        Some(header)
    }

    /// The verdict on a packet with something wrong at `at`: nothing is told about errors (RFC
    /// 4443, section 2.4(e)).
    fn problem(
        mut self,
        frame: &[u8],
        ends: Ends,
        code: u8,
        at: usize,
        to_groups: bool,
    ) -> Verdict {
        while self.next(frame).is_some() {}
        let kind = frame.get(self.at).filter(|_| self.kind == ICMP_V6);
        if kind.is_some_and(|&kind| kind < 128 || kind == REDIRECT) {
            return Verdict::Useless;
        }
        let pointer = at.saturating_sub(HEADER) as u16;
        Verdict::Problem(ends, Problem { code, pointer, to_groups, end: self.end })
    }
}

/// Messages that are of this link and come whole and, but for those about listeners, without
/// headers in front (RFC 6980, section 5; RFC 3810, section 5).
const QUERY: u8 = 130;
const REDIRECT: u8 = 137;

fn is_of_link(frame: &[u8], chain: &Chain) -> bool {
    chain.kind == ICMP_V6 && matches!(frame.get(chain.at), Some(QUERY..=REDIRECT))
}

/// Follows the headers of an IPv6 packet, whatever they say. `None` when they are not whole.
pub(super) fn pass(frame: &[u8], packet: &mut Packet) -> Option<()> {
    let mut chain = Chain::of(packet);
    for _ in 0..=HEADERS {
        if !is_one(chain.kind) {
            break;
        }
        (packet.protocol, packet.transport) = (chain.kind, chain.at);
        let fragment = chain.kind == FRAGMENT;
        let header = chain.next(frame)?;
        // A fragment that is all there is is none (RFC 6946).
        if fragment && number(header, 2)? & 0xfff9 != 0 {
            packet.fragment = true;
            return Some(());
        }
        (packet.protocol, packet.transport) = (chain.kind, chain.at);
    }
    Some(())
}

/// What is wrong with a packet whose protocol nobody here speaks (RFC 8200, section 4).
pub(super) fn unknown(frame: &[u8], packet: &Packet, ends: Ends) -> Verdict {
    let chain = Chain::of(packet);
    chain.problem(frame, ends, 1, chain.named, false)
}

/// Judges an IPv6 packet with extension headers between addresses that may be.
///
/// # Errors
/// The verdict, unless what is behind the headers is to be judged where it stands.
pub(super) fn judge(frame: &[u8], packet: &Packet, ends: Ends) -> Result<Packet, Verdict> {
    let mut chain = Chain::of(packet);
    let (mut alert, mut fragment) = (false, false);
    for _ in 0..HEADERS {
        let (kind, at, here) = (chain.kind, chain.at, chain);
        // Options for each router come first, or not at all (RFC 8200, section 4.3).
        if kind == HOP_BY_HOP && at != packet.transport || !is_one(kind) {
            break;
        }
        let header = chain.next(frame).ok_or(Verdict::Useless)?;
        match kind {
            FRAGMENT => {
                if let Some(piece) = piece(frame, packet, &here, header, ends)? {
                    return Err(Verdict::Fragment(ends, piece));
                }
                fragment = true;
            }
            ROUTING => {
                // Nothing here goes on to anyone else (RFC 8200, section 4.4; RFC 5095).
                let left = header.get(3).is_none_or(|&left| left > 0);
                if left {
                    return Err(here.problem(frame, ends, 0, at + 2, false));
                }
            }
            _ => alert |= options(frame, &here, header, ends)?,
        }
    }
    match chain.kind {
        ICMP_V6 if is_of_link(frame, &chain) => {
            let (protocol, transport) = (chain.kind, chain.at);
            let packet = Packet { protocol, transport, ..*packet };
            // Only what makes routers look may stand in front.
            if alert && !fragment { Ok(packet) } else { Err(Verdict::Useless) }
        }
        TCP | UDP | ICMP_V6 => {
            let (protocol, transport, end) = (chain.kind, chain.at, chain.end);
            Err(Verdict::Folded(Folded { protocol, transport, end }))
        }
        NO_NEXT_HEADER => Err(Verdict::Useless),
        // Too many.
        kind if is_one(kind) && kind != HOP_BY_HOP => Err(Verdict::Useless),
        _ => Err(chain.problem(frame, ends, 1, chain.named, false)),
    }
}

/// Looks at options (RFC 8200, section 4.2). Returns whether one makes routers look (RFC 2711).
fn options(frame: &[u8], here: &Chain, header: &[u8], ends: Ends) -> Result<bool, Verdict> {
    let (mut at, mut count, mut alert) = (2, 0, false);
    while let Some(&kind) = header.get(at) {
        // One byte of padding.
        if kind == 0 {
            at += 1;
            continue;
        }
        let length = *header.get(at + 1).ok_or(Verdict::Useless)?;
        let next = at + 2 + usize::from(length);
        if next > header.len() {
            return Err(Verdict::Useless);
        }
        count += usize::from(kind != 1);
        if count > OPTIONS {
            return Err(Verdict::Useless);
        }
        // Two bits say what becomes of the packet where the option is not known.
        match kind >> 6 {
            0 => alert |= kind == 5 && here.kind == HOP_BY_HOP,
            1 => return Err(Verdict::Useless),
            bits => return Err(here.problem(frame, ends, 2, here.at + at, bits == 2)),
        }
        at = next;
    }
    Ok(alert)
}

/// Reads a fragment header (RFC 8200, section 4.5). `None` when it is in front of a whole packet,
/// which has nothing to do with others of its number (RFC 6946).
fn piece(
    frame: &[u8],
    packet: &Packet,
    here: &Chain,
    header: &[u8],
    ends: Ends,
) -> Result<Option<Piece>, Verdict> {
    let field = number(header, 2).ok_or(Verdict::Useless)?;
    let (offset, more) = (field & 0xfff8, field & 1 != 0);
    if offset == 0 && !more {
        return Ok(None);
    }
    let (start, end) = (here.at + 8, here.end);
    let length = end - start;
    if more && !length.is_multiple_of(8) {
        return Err(here.problem(frame, ends, 0, HEADER + 4, false));
    }
    if length == 0 {
        return Err(Verdict::Useless);
    }
    if here.at - packet.transport + offset + length > 0xffff {
        return Err(here.problem(frame, ends, 0, here.at + 2, false));
    }
    if offset == 0 {
        first(frame, *here, ends)?;
    }
    let id = bytes(header, 4).map(u32::from_be_bytes).ok_or(Verdict::Useless)?;
    let protocol = *header.first().ok_or(Verdict::Useless)?;
    Ok(Some(Piece { id, protocol, offset, more, start, end }))
}

/// The first fragment holds all headers, the one of its protocol among them (RFC 7112, section 5).
fn first(frame: &[u8], here: Chain, ends: Ends) -> Result<(), Verdict> {
    let mut chain = here;
    chain.next(frame);
    while is_one(chain.kind) {
        if chain.kind == FRAGMENT {
            return Err(Verdict::Useless);
        }
        if chain.next(frame).is_none() {
            return Err(here.problem(frame, ends, 3, 0, false));
        }
    }
    let header = match chain.kind {
        TCP => 20,
        UDP | ICMP_V6 => 8,
        _ => 0,
    };
    if chain.at + header > chain.end {
        return Err(here.problem(frame, ends, 3, 0, false));
    }
    if is_of_link(frame, &chain) { Err(Verdict::Useless) } else { Ok(()) }
}

impl Problem {
    /// The length of the frame that says what is wrong with one.
    pub(crate) const fn length(self) -> usize {
        let whole = self.end + 40 + 8;
        if whole > HEADER + LONGEST { HEADER + LONGEST } else { whole }
    }

    /// Tells the sender of `about` what is wrong with it, in a frame of [that](Self::length)
    /// length.
    pub(crate) fn tell(
        self,
        frame: &mut [u8],
        header: [u8; HEADER],
        (from, to): (Ipv6Addr, Ipv6Addr),
        about: &[u8],
    ) {
        let length = (self.length() - HEADER - 40) as u16;
        let about = about.get(HEADER..self.length() - 40 - 8).unwrap_or_default();
        let parts: [&[u8]; 9] = [
            &header,
            &[0x60, 0, 0, 0],
            &length.to_be_bytes(),
            &[ICMP_V6, super::HOPS],
            &from.octets(),
            &to.octets(),
            &[4, self.code, 0, 0, 0, 0],
            &self.pointer.to_be_bytes(),
            about,
        ];
        fill(frame, &parts);
        finish_icmp_v6(frame);
    }
}
