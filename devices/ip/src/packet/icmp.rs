//! Messages of ICMP (RFC 792, RFC 4443): echoes, errors that are told, and those that are
//! heard.

use super::{Ends, ICMP_V4, ICMP_V6, Packet, TCP, UDP, back, bytes, fill, fold, number};
use super::{packet_head, put, put_packet, sum};
use core::net::{IpAddr, SocketAddr};
use devices::net::{HEADER, Mac};

/// A message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) ends: Ends,
    /// Where it begins and ends in the frame.
    start: usize,
    end: usize,
}

impl Message {
    pub(super) const fn new(ends: Ends, start: usize, end: usize) -> Self {
        Self { ends, start, end }
    }

    pub(super) const fn of(packet: &Packet) -> Self {
        let ends = Ends { from: packet.source, to: packet.destination };
        Self::new(ends, packet.transport, packet.end)
    }

    /// The identifier of an echo.
    pub(crate) fn ident(&self, frame: &[u8]) -> Option<u16> {
        bytes(frame.get(..self.end)?, self.start + 4).map(u16::from_be_bytes)
    }
}

/// Changes a field of 16 bits that the checksum at `sum` covers (RFC 1624): a sum that was
/// wrong stays wrong.
fn change(packet: &mut [u8], at: usize, value: u16, sum: usize) {
    let (Some(old), Some(before)) = (number(packet, at), number(packet, sum)) else { return };
    put(packet, at, value);
    let rest = 2 * 0xffff - before as u64 - old as u64;
    put(packet, sum, !fold(rest + u64::from(value)));
}

/// The length of the frame of the answer to an echo request.
pub(crate) const fn echo_reply_length(asked: &Message) -> usize {
    packet_head(asked.ends.to.is_ipv4()) + asked.end - asked.start
}

/// Writes the answer of `own` to the echo request `asked` in `frame` into a frame of its
/// length, to the Ethernet address that it came from. IP options are not repeated.
pub(crate) fn echo_reply(to: &mut [u8], frame: &[u8], asked: &Message, own: IpAddr, mac: Mac) {
    let Ends { from: peer, to: asked_for } = asked.ends;
    let (Some(header), Some(message)) = (back(frame, mac), frame.get(asked.start..asked.end))
    else {
        return;
    };
    let ipv4 = own.is_ipv4();
    let protocol = if ipv4 { ICMP_V4 } else { ICMP_V6 };
    let Some(rest) = put_packet(to, header, (own, peer), protocol) else { return };
    fill(rest, &[message]);
    change(rest, 0, if ipv4 { 0 } else { 129 << 8 }, 2);
    // The sum over both addresses is that of the request, unless a group was asked.
    if !ipv4 && own != asked_for {
        put(rest, 2, 0);
        finish_icmp_v6(to);
    }
}

/// The checksum of an ICMPv6 packet (RFC 4443, section 2.3): 0 when it is right.
fn icmp_v6(frame: &[u8], packet: &Packet) -> u16 {
    let body = frame.get(packet.transport..packet.end).map_or(0, sum);
    !fold(packet.pseudo_header() + body)
}

/// Fills in the checksum of an ICMPv6 packet, whose field is 0.
pub(crate) fn finish_icmp_v6(frame: &mut [u8]) {
    if let Some(packet) = Packet::parse(frame) {
        put(frame, packet.transport + 2, icmp_v6(frame, &packet));
    }
}

/// Fills in the checksum of an ICMP message, whose field is 0.
fn finish_icmp(frame: &mut [u8], ipv4: bool) {
    if !ipv4 {
        return finish_icmp_v6(frame);
    }
    let at = packet_head(true);
    let check = !fold(frame.get(at..).map_or(0, sum));
    put(frame, at + 2, check);
}

/// Writes the head of an echo request, with the first sequence number.
pub(crate) fn echo_request(message: &mut [u8], ipv4: bool, ident: u16) {
    let [high, low] = ident.to_be_bytes();
    let kind = if ipv4 { 8 } else { 128 };
    fill(message, &[&[kind, 0, 0, 0, high, low, 0, 1]]);
}

/// Writes an echo request of `own` with a payload of zeros into a frame of its length.
pub(crate) fn ping(
    frame: &mut [u8],
    header: [u8; HEADER],
    (own, to): (IpAddr, IpAddr),
    ident: u16,
) {
    let ipv4 = to.is_ipv4();
    let protocol = if ipv4 { ICMP_V4 } else { ICMP_V6 };
    let Some(rest) = put_packet(frame, header, (own, to), protocol) else { return };
    rest.fill(0);
    echo_request(rest, ipv4, ident);
    finish_icmp(frame, ipv4);
}

/// Why a packet cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nobody has its port.
    Port,
    /// Nobody speaks its protocol.
    Protocol,
}

/// The longest packet with an error, so that it passes everywhere (RFC 1812, section 4.3.2.3;
/// RFC 4443, section 2.4(c)).
const fn longest(ipv4: bool) -> usize {
    if ipv4 { 576 } else { 1280 }
}

/// The length of the frame of an error about what `message`'s packet carries.
pub(crate) const fn error_length(message: &Message) -> usize {
    let ipv4 = message.ends.to.is_ipv4();
    let (all, most) = (packet_head(ipv4) + 8 + message.end - HEADER, HEADER + longest(ipv4));
    if all < most { all } else { most }
}

/// Writes an error about `message` in `frame` into a frame of its
/// [length](error_length), from the address that it was for and with as much of it as there is
/// room for (RFC 792; RFC 4443, section 3.1).
pub(crate) fn error(to: &mut [u8], frame: &[u8], message: &Message, why: Refusal, mac: Mac) {
    let Some((header, packet)) = back(frame, mac).zip(frame.get(HEADER..message.end)) else {
        return;
    };
    let Ends { from, to: own } = message.ends;
    let ipv4 = own.is_ipv4();
    let protocol = if ipv4 { ICMP_V4 } else { ICMP_V6 };
    // A protocol that nobody speaks is another [problem](super::Problem) of IPv6.
    let head = match (ipv4, why) {
        (true, Refusal::Port) => [3, 3],
        (true, Refusal::Protocol) => [3, 2],
        (false, _) => [1, 4],
    };
    let Some(rest) = put_packet(to, header, (own, from), protocol) else { return };
    let quoted = packet.get(..rest.len().saturating_sub(8)).unwrap_or(packet);
    fill(rest, &[&head, &[0; 6], quoted]);
    finish_icmp(to, ipv4);
}

/// What of a packet an error quotes that says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// A TCP segment with this sequence number.
    Tcp(u32),
    Udp,
    /// An echo request, whose identifier stands for the local port.
    Echo,
}

/// What an error says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It is too long for the way; so many bytes are not (RFC 1191, RFC 8201).
    TooBig(usize),
    /// Nobody there takes it: its port, or its protocol.
    Refused,
    /// There is no way to where it goes.
    Unreachable,
}

/// An error about a packet from here that it quotes the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) of: Of,
    pub(crate) what: What,
}

impl Complaint {
    /// Reads an error of which at least 8 bytes behind the quoted IP header are there (RFC 792).
    /// `None` for those that nobody here heeds, and where it quotes nothing that was sent here.
    pub(crate) fn parse(frame: &[u8], arrived: &Message) -> Option<Self> {
        let message = frame.get(arrived.start..arrived.end)?;
        let ipv4 = arrived.ends.from.is_ipv4();
        let [kind, code, ..] = *message else { return None };
        let what = match (ipv4, kind, code) {
            // The last two of the four bytes behind the checksum (RFC 1191, section 4).
            (true, 3, 4) => What::TooBig(number(message, 6)?),
            (false, 2, _) => What::TooBig(u32::from_be_bytes(bytes(message, 4)?) as usize),
            (true, 3, 2 | 3) | (false, 1, 4) => What::Refused,
            (true, 3, 0..=13) | (false, 1, 0..=6) => What::Unreachable,
            _ => return None,
        };
        // Every link of IPv6 takes as much, and who says otherwise is not to be heeded at all (RFC
        // 8201, section 4).
        if matches!(what, What::TooBig(mtu) if !ipv4 && mtu < longest(false)) {
            return None;
        }
        let quoted = message.get(8..)?;
        let (length, local, peer) = if ipv4 {
            let ip = |at| bytes::<4>(quoted, at).map(|it| IpAddr::V4(it.into()));
            (4 * usize::from(quoted.first()? & 15), ip(12)?, ip(16)?)
        } else {
            let ip = |at| bytes::<16>(quoted, at).map(|it| IpAddr::V6(it.into()));
            (40, ip(8)?, ip(24)?)
        };
        let rest: [u8; 8] = bytes(quoted, length)?;
        let [a, b, c, d, e, f, g, h] = rest;
        let pair = |high, low| u16::from_be_bytes([high, low]);
        let (of, ports) = match (*quoted.get(if ipv4 { 9 } else { 6 })?, ipv4, a) {
            (TCP, ..) => (Of::Tcp(u32::from_be_bytes([e, f, g, h])), (pair(a, b), pair(c, d))),
            (UDP, ..) => (Of::Udp, (pair(a, b), pair(c, d))),
            (ICMP_V4, true, 8) | (ICMP_V6, false, 128) => (Of::Echo, (pair(e, f), 0)),
            _ => return None,
        };
        Some(Self {
            local: SocketAddr::new(local, ports.0),
            peer: SocketAddr::new(peer, ports.1),
            of,
            what,
        })
    }
}
