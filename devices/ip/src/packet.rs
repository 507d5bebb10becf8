//! Frames: judging those that arrive, writing those that are sent, and the checksums of both.
//!
//! Whoever delivered a frame says what is known of its checksum, and that is trusted
//! as far as it goes (rule N9): a frame that is said to be complete is verified here,
//! one that is said to be verified or blank came over no wire that could spoil it, and
//! who could lie about that could also send any frame with a right checksum.
//!
//! Whatever comes in another form, with options or [extension headers](extension) or in
//! [fragments](reassembly), is made [plain] first and then judged again.

mod arp;
mod ether;
mod extension;
mod fragment;
pub(super) mod icmp;
mod judge;
mod plain;
mod reassembly;
#[cfg(test)]
mod tests;
mod udp;
mod verdict;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::Range;
use devices::net::{Checksum, HEADER, Meta};

use super::tcp::segment::{self as tcp_segment, Head};
use super::tcp::seq::Seq;

pub(super) use arp::{announce_v4, answer_v4, probe_v4, request_v4};
pub(super) use ether::{BROADCAST, back, header, mac_of_group, sender};
pub(super) use fragment::{Numbers, split};
pub(super) use icmp::{Complaint, Message, Of, Refusal, What, echo_reply, echo_reply_length};
pub(super) use icmp::{error, error_length, finish_icmp_v6, ping};
pub(super) use judge::{foresee, judge};
pub(super) use reassembly::Reassembly;
pub(super) use udp::{Datagram, datagram, datagram_head, longest_datagram};
pub(super) use verdict::{Folded, Piece, Problem, Said, Verdict, Why};

const IPV4: [u8; 2] = [0x08, 0x00];
pub(super) const IPV6: [u8; 2] = [0x86, 0xdd];
const ARP: [u8; 2] = [0x08, 0x06];

const HOP_BY_HOP: u8 = 0;
const ICMP_V4: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
pub(super) const ICMP_V6: u8 = 58;
const NO_NEXT_HEADER: u8 = 59;

/// Routers that a packet may pass (RFC 1700).
const HOPS: u8 = 64;

/// From where and to where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
}

/// The header of a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Who sent it.
    pub(super) peer: SocketAddr,
    /// To whom.
    pub(super) local: SocketAddr,
    pub(super) flags: u8,
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    /// Where it, and its payload, begins, and where it ends in the frame.
    start: usize,
    text: usize,
    end: usize,
    /// A router marked it (CE: RFC 3168, section 5).
    marked: bool,
}

impl Segment {
    /// Reads the rest of it, in the frame that it was found in. `None` when its lengths do not
    /// fit.
    pub(super) fn read<'a>(&self, frame: &'a [u8]) -> Option<tcp_segment::Segment<'a>> {
        tcp_segment::Segment::parse(frame.get(self.start..self.end)?, self.marked)
    }

    /// Reads the rest of its header, of a frame of which only that is there.
    pub(super) fn read_head<'a>(&self, frame: &'a [u8]) -> Option<tcp_segment::Segment<'a>> {
        tcp_segment::Segment::parse(frame.get(self.start..self.text)?, self.marked)
    }

    /// Where its payload is in the frame.
    pub(super) const fn text(&self) -> Range<usize> {
        self.text..self.end
    }
}

/// The parts of an IP packet in a frame.
#[derive(Clone, Copy, Debug)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// Where the header of the protocol begins in the frame.
    transport: usize,
    /// Where the packet ends in the frame.
    end: usize,
    fragment: bool,
}

fn bytes<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}

/// Where the packet of a frame of ours goes, if it is one.
pub(super) fn destination(frame: &[u8]) -> Option<IpAddr> {
    match bytes(frame, HEADER - 2)? {
        IPV4 => bytes::<4>(frame, HEADER + 16).map(IpAddr::from),
        IPV6 => bytes::<16>(frame, HEADER + 24).map(IpAddr::from),
        _ => None,
    }
}

fn number(frame: &[u8], at: usize) -> Option<usize> {
    bytes(frame, at).map(|it| u16::from_be_bytes(it).into())
}

impl Packet {
    /// `None` when lengths do not fit or the version is another. Extension headers are passed
    /// over.
    fn parse(frame: &[u8]) -> Option<Self> {
        let mut packet = Self::begin(frame, frame.len())?;
        if extension::is_one(packet.protocol) && packet.source.is_ipv6() {
            extension::pass(frame, &mut packet)?;
        }
        Some(packet)
    }

    /// The same up to the first extension header, in a frame of `length` bytes that begins with
    /// `frame`.
    fn begin(frame: &[u8], length: usize) -> Option<Self> {
        let first = *frame.get(HEADER)?;
        let packet = match (bytes(frame, 12)?, first >> 4) {
            (IPV4, 4) if first & 15 >= 5 => Self {
                source: Ipv4Addr::from(bytes::<4>(frame, HEADER + 12)?).into(),
                destination: Ipv4Addr::from(bytes::<4>(frame, HEADER + 16)?).into(),
                protocol: *frame.get(HEADER + 9)?,
                transport: HEADER + 4 * usize::from(first & 15),
                end: HEADER + number(frame, HEADER + 2)?,
                fragment: number(frame, HEADER + 6)? & 0x3fff != 0,
            },
            (IPV6, 6) => Self {
                source: Ipv6Addr::from(bytes::<16>(frame, HEADER + 8)?).into(),
                destination: Ipv6Addr::from(bytes::<16>(frame, HEADER + 24)?).into(),
                protocol: *frame.get(HEADER + 6)?,
                transport: HEADER + 40,
                end: HEADER + 40 + number(frame, HEADER + 4)?,
                fragment: false,
            },
            _ => return None,
        };
        (packet.transport <= packet.end && packet.end <= length).then_some(packet)
    }

    /// Whether it is what a machine without an address may send to all: a question to
    /// DHCP servers (RFC 2131, section 4.1).
    fn seeks_address(&self, frame: &[u8]) -> bool {
        self.destination == IpAddr::V4(Ipv4Addr::BROADCAST)
            && self.protocol == UDP
            && bytes(frame, self.transport) == Some([0, 68, 0, 67])
    }

    /// The offset of the checksum in the protocol's header, for TCP and UDP that are whole.
    const fn checksum(&self) -> Option<usize> {
        match self.protocol {
            _ if self.fragment => None,
            TCP => Some(16),
            UDP => Some(6),
            _ => None,
        }
    }

    /// The two bits of ECN (RFC 3168, section 5).
    fn ecn(&self, frame: &[u8]) -> u8 {
        let byte = frame.get(HEADER + 1).copied().unwrap_or_default();
        if self.source.is_ipv4() { byte & 3 } else { byte >> 4 & 3 }
    }

    /// The sum of the pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1).
    fn pseudo_header(&self) -> u64 {
        self.pseudo_header_of(self.end - self.transport)
    }

    /// The same where the message has this length: UDP says its own (RFC 768), behind which the packet
    /// may go on.
    fn pseudo_header_of(&self, length: usize) -> u64 {
        let sum = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                sum(&source.octets()) + sum(&destination.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                sum(&source.octets()) + sum(&destination.octets())
            }
            // The addresses of one packet are of one version.
            _ => 0,
        };
        sum + u64::from(self.protocol) + length as u64
    }
}

/// The sum of 16-bit words in network order, not yet folded: room for 2^48 of them.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = words.iter().map(|&word| u64::from(u32::from_be_bytes(word))).sum();
    let (pairs, last) = rest.as_chunks::<2>();
    sum += pairs.iter().map(|&pair| u64::from(u16::from_be_bytes(pair))).sum::<u64>();
    sum + last.first().map_or(0, |&byte| u64::from(byte) << 8)
}

/// The sum in 16 bits, in one's complement (RFC 1071).
const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn put(frame: &mut [u8], at: usize, value: u16) {
    if let Some(to) = frame.get_mut(at..at + 2) {
        to.copy_from_slice(&value.to_be_bytes());
    }
}

/// Fills in the TCP or UDP checksum of a frame to transmit: the sum of the pseudo
/// header where the other side completes it (`blank`), else all of it.
pub(super) fn finish(frame: &mut [u8], blank: bool, segment: u16) -> Meta {
    let Some((packet, field)) =
        Packet::parse(frame).and_then(|packet| Some((packet, packet.checksum()?)))
    else {
        return Meta::default();
    };
    let at = packet.transport + field;
    if blank {
        put(frame, at, fold(packet.pseudo_header()));
        return Meta::new(Checksum::Blank, segment);
    }
    put(frame, at, 0);
    let body = frame.get(packet.transport..packet.end).map_or(0, sum);
    // 0 would say that there is none.
    let checksum = match !fold(packet.pseudo_header() + body) {
        0 => 0xffff,
        checksum => checksum,
    };
    put(frame, at, checksum);
    Meta::default()
}

/// Whether a frame holds a whole TCP segment or UDP datagram.
#[must_use]
pub fn has_checksum(frame: &[u8]) -> bool {
    Packet::parse(frame).is_some_and(|packet| packet.checksum().is_some())
}

/// Fills in the TCP or UDP checksum of a frame that [has one](has_checksum), for who
/// passes on a frame that came [blank](Checksum::Blank) to where it has to be complete.
pub fn fill_checksum(frame: &mut [u8]) {
    finish(frame, false, 0);
}

/// The verdict on a TCP segment whose checksum is right: made as such at once, as it is not small
/// and there is one for each segment.
fn segment(frame: &[u8], packet: &Packet) -> Verdict {
    let (start, end) = (packet.transport, packet.end);
    // Of a long one only the beginning may be there.
    let header = frame.get(start..end.min(frame.len())).unwrap_or_default();
    let Some(&[f0, f1, t0, t1, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags, ..]) =
        header.first_chunk::<{ tcp_segment::HEADER }>()
    else {
        return Verdict::Useless;
    };
    let length = usize::from(offset >> 4) * 4;
    if length < tcp_segment::HEADER || length > header.len() {
        return Verdict::Useless;
    }
    Verdict::Tcp(Segment {
        peer: SocketAddr::new(packet.source, u16::from_be_bytes([f0, f1])),
        local: SocketAddr::new(packet.destination, u16::from_be_bytes([t0, t1])),
        flags,
        seq: Seq(u32::from_be_bytes([s0, s1, s2, s3])),
        ack: Seq(u32::from_be_bytes([a0, a1, a2, a3])),
        start,
        text: start + length,
        end,
        marked: packet.ecn(frame) == 3,
    })
}

/// How much longer than what its packet carries a frame is.
pub(super) const fn packet_head(ipv4: bool) -> usize {
    HEADER + if ipv4 { 20 } else { 40 }
}

/// How much longer than its TCP segment a frame is.
pub(super) const fn segment_head(ipv4: bool) -> usize {
    packet_head(ipv4)
}

/// Writes the headers of a packet of `protocol` into a frame of its length, and returns where
/// what it carries goes.
fn put_packet(
    frame: &mut [u8],
    header: [u8; HEADER],
    ends: (IpAddr, IpAddr),
    protocol: u8,
) -> Option<&mut [u8]> {
    let length = frame.len().saturating_sub(HEADER);
    match ends {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = (length as u16).to_be_bytes();
            // What is never cut needs no number (RFC 6864, section 4.1).
            let fixed = [0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol, 0, 0];
            fill(frame, &[&header, &fixed, &from.octets(), &to.octets()]);
            let ip = frame.get(HEADER..HEADER + 20).map_or(0, sum);
            put(frame, HEADER + 10, !fold(ip));
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = (length.saturating_sub(40) as u16).to_be_bytes();
            let fixed = [0x60, 0, 0, 0, high, low, protocol, HOPS];
            fill(frame, &[&header, &fixed, &from.octets(), &to.octets()]);
        }
        // Nobody has both.
        _ => return None,
    }
    frame.get_mut(packet_head(ends.0.is_ipv4())..)
}

/// Writes the headers of a TCP segment into a frame of its length, without its checksum, and
/// returns where its payload goes. `ecn`: routers may mark it (ECT(0): RFC 3168, section 5).
pub(super) fn tcp<'a>(
    frame: &'a mut [u8],
    header: [u8; HEADER],
    (from, to): (SocketAddr, SocketAddr),
    head: &Head,
    ecn: bool,
) -> &'a mut [u8] {
    let length = frame.len();
    tcp_head(frame, length, header, (from, to), head, ecn)
}

/// The same for a frame of `length` bytes of which there is a piece alone, with its headers.
pub(super) fn tcp_head<'a>(
    frame: &'a mut [u8],
    length: usize,
    header: [u8; HEADER],
    (from, to): (SocketAddr, SocketAddr),
    head: &Head,
    ecn: bool,
) -> &'a mut [u8] {
    let length = length.saturating_sub(HEADER);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = (length as u16).to_be_bytes();
            // What is never cut needs no number (RFC 6864, section 4.1).
            let fixed = [0x45, if ecn { 2 } else { 0 }, high, low, 0, 0, 0x40, 0, HOPS, TCP, 0, 0];
            fill(frame, &[&header, &fixed, &from.octets(), &to.octets()]);
            let ip = frame.get(HEADER..HEADER + 20).map_or(0, sum);
            put(frame, HEADER + 10, !fold(ip));
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = (length.saturating_sub(40) as u16).to_be_bytes();
            let fixed = [0x60, if ecn { 0x20 } else { 0 }, 0, 0, high, low, TCP, HOPS];
            fill(frame, &[&header, &fixed, &from.octets(), &to.octets()]);
        }
        // Nobody has both.
        _ => return &mut [],
    }
    let Some(rest) = frame.get_mut(segment_head(from.is_ipv4())..) else { return &mut [] };
    let Some((options, payload)) = rest.split_at_mut_checked(head.len()) else { return &mut [] };
    head.write(options, (from.port(), to.port()));
    payload
}

/// Fills in the sum of the pseudo header of a TCP segment, in a frame of `length` bytes that
/// begins with `frame`, for the other side to complete the checksum.
pub(super) fn blank_tcp(frame: &mut [u8], length: usize, ipv4: bool) {
    let start = segment_head(ipv4);
    let addresses = if ipv4 { HEADER + 12..start } else { HEADER + 8..start };
    let addresses = frame.get(addresses).map_or(0, sum);
    let sum = addresses + u64::from(TCP) + length.saturating_sub(start) as u64;
    put(frame, start + 16, fold(sum));
}

/// Writes `parts` one after the other.
#[inline(never)]
pub(super) fn fill(mut frame: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let Some((to, rest)) = frame.split_at_mut_checked(part.len()) else { return };
        to.copy_from_slice(part);
        frame = rest;
    }
}
