//! What is done to frames besides the protocols: judging those that arrive, TCP and
//! UDP checksums, and frames that say who is here.
//!
//! Whoever delivered a frame says what is known of its checksum, and that is trusted
//! as far as it goes (rule N9): a frame that is said to be complete is verified here,
//! one that is said to be verified or blank came over no wire that could spoil it, and
//! who could lie about that could also send any frame with a right checksum.
//!
//! Whatever comes in another form, with options or [extension headers](extension) or in
//! [fragments](reassembly), is made [plain] first and then judged again.

mod extension;
mod fragment;
mod judge;
mod plain;
mod reassembly;
mod verdict;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use devices::net::{Checksum, HEADER, Mac, Meta};

use super::tcp::segment::{self as tcp_segment, Head};
use super::tcp::seq::Seq;

pub(super) use fragment::{Numbers, split};
pub(super) use judge::judge;
pub(super) use reassembly::Reassembly;
pub(super) use verdict::{Ends, Folded, Piece, Problem, Said, TooBig, Verdict, Why};

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

/// Routers that a packet may pass (RFC 1700), as smoltcp has it.
const HOPS: u8 = 64;

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
    /// Where it begins and ends in the frame.
    start: usize,
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

fn number(frame: &[u8], at: usize) -> Option<usize> {
    bytes(frame, at).map(|it| u16::from_be_bytes(it).into())
}

impl Packet {
    /// `None` when lengths do not fit or the version is another. Extension headers are passed
    /// over.
    fn parse(frame: &[u8]) -> Option<Self> {
        let mut packet = Self::begin(frame)?;
        if extension::is_one(packet.protocol) && packet.source.is_ipv6() {
            extension::pass(frame, &mut packet)?;
        }
        Some(packet)
    }

    /// The same up to the first extension header.
    fn begin(frame: &[u8]) -> Option<Self> {
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
        (packet.transport <= packet.end && packet.end <= frame.len()).then_some(packet)
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

    /// The sum of the pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1).
    fn pseudo_header(&self) -> u64 {
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
        sum + u64::from(self.protocol) + (self.end - self.transport) as u64
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

/// Changes a field of 16 bits that the checksum at `sum` covers (RFC 1624): a sum that was
/// wrong stays wrong.
fn change(packet: &mut [u8], at: usize, value: u16, sum: usize) {
    let (Some(old), Some(before)) = (number(packet, at), number(packet, sum)) else { return };
    put(packet, at, value);
    let rest = 2 * 0xffff - before as u64 - old as u64;
    put(packet, sum, !fold(rest + u64::from(value)));
}

/// Writes the answer to the echo request in `asked`, as long as its packet, and to the
/// Ethernet address that it came from (RFC 792, RFC 4443).
pub(super) fn echo_reply(frame: &mut [u8], asked: &[u8], mac: Mac) {
    let Some(header) = bytes(asked, 0) else { return };
    frame.copy_from_slice(asked);
    answer(frame, header, mac);
    let ipv4 = header.ends_with(&IPV4);
    let (at, length) = if ipv4 { (HEADER + 12, 4) } else { (HEADER + 8, 16) };
    let addresses = asked.get(at..at + 2 * length).and_then(|it| it.split_at_checked(length));
    if let (Some((source, destination)), Some(to)) = (addresses, frame.get_mut(at..)) {
        fill(to, &[destination, source]);
    }
    if ipv4 {
        change(frame, HEADER + 8, u16::from_be_bytes([HOPS, ICMP_V4]), HEADER + 10);
        change(frame, HEADER + 20, 0, HEADER + 22);
    } else {
        fill(&mut frame[HEADER + 7..], &[&[HOPS]]);
        change(frame, HEADER + 40, 129 << 8, HEADER + 42);
    }
}

/// The checksum of an ICMPv6 packet (RFC 4443, section 2.3): 0 when it is right.
fn icmp_v6(frame: &[u8], packet: &Packet) -> u16 {
    let body = frame.get(packet.transport..packet.end).map_or(0, sum);
    !fold(packet.pseudo_header() + body)
}

/// Reads a UDP datagram over IPv4 that is for `mac` or for all: the Ethernet address and
/// the address that it comes from, and its payload.
pub(super) fn datagram_v4(frame: &[u8], mac: Mac) -> Option<(Mac, Ipv4Addr, &[u8])> {
    let packet = Packet::parse(frame).filter(|it| it.protocol == UDP)?;
    let IpAddr::V4(source) = packet.source else { return None };
    let (to, from) = (bytes(frame, 0)?, bytes::<6>(frame, 6)?);
    let end = packet.transport + number(frame, packet.transport + 4)?;
    let ours = (to == mac.0 || to == [0xff; 6]) && from[0] & 1 == 0 && end <= packet.end;
    frame.get(packet.transport + 8..end).filter(|_| ours).map(|it| (Mac(from), source, it))
}

/// Writes the headers of a UDP datagram over IPv4 before its payload, all of which is
/// `frame`; the checksum is left to [`finish`].
pub(super) fn address_v4(
    frame: &mut [u8],
    header: [u8; HEADER],
    (from, to): (Ipv4Addr, Ipv4Addr),
    ports: [[u8; 2]; 2],
) {
    let length = (frame.len() - HEADER) as u16;
    let parts: [&[u8]; 8] = [
        &header,
        &[0x45, 0],
        &length.to_be_bytes(),
        // What is never cut needs no number (RFC 6864, section 4.1).
        &[0, 0, 0x40, 0, HOPS, UDP, 0, 0],
        &from.octets(),
        &to.octets(),
        ports.as_flattened(),
        &(length - 20).to_be_bytes(),
    ];
    fill(frame, &parts);
    let header = frame.get(HEADER..HEADER + 20).map_or(0, sum);
    put(frame, HEADER + 10, !fold(header));
}

/// Fills in the checksum of an ICMPv6 packet, whose field is 0.
pub(super) fn finish_icmp_v6(frame: &mut [u8]) {
    if let Some(packet) = Packet::parse(frame) {
        put(frame, packet.transport + 2, icmp_v6(frame, &packet));
    }
}

fn segment(frame: &[u8], packet: &Packet) -> Option<Segment> {
    let (start, end) = (packet.transport, packet.end);
    let header = frame.get(start..end)?;
    let address = |ip, at| Some(SocketAddr::new(ip, u16::from_be_bytes(bytes(header, at)?)));
    let length = usize::from(header.get(12)? >> 4) * 4;
    let marked = match packet.source {
        IpAddr::V4(_) => frame.get(HEADER + 1)? & 3 == 3,
        IpAddr::V6(_) => frame.get(HEADER + 1)? >> 4 & 3 == 3,
    };
    (length >= tcp_segment::HEADER && length <= header.len()).then_some(Segment {
        peer: address(packet.source, 0)?,
        local: address(packet.destination, 2)?,
        flags: *header.get(13)?,
        seq: Seq(u32::from_be_bytes(bytes(header, 4)?)),
        ack: Seq(u32::from_be_bytes(bytes(header, 8)?)),
        start,
        end,
        marked,
    })
}

/// How much longer than its TCP segment a frame is.
pub(super) const fn segment_head(ipv4: bool) -> usize {
    HEADER + if ipv4 { 20 } else { 40 }
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
    let length = frame.len().saturating_sub(HEADER);
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

/// Writes the Ethernet header of an answer from `mac` to whoever sent a packet in a
/// frame that began with `header`.
pub(super) fn answer(frame: &mut [u8], header: [u8; HEADER], mac: Mac) {
    if let Some(to) = frame.first_chunk_mut::<HEADER>() {
        *to = header;
        to.copy_within(6..12, 0);
        to[6..12].copy_from_slice(&mac.0);
    }
}

/// Writes the head of an echo request, with the first sequence number (RFC 792, RFC 4443).
pub(super) fn echo_request(message: &mut [u8], ipv4: bool, ident: u16) {
    let [high, low] = ident.to_be_bytes();
    let kind = if ipv4 { 8 } else { 128 };
    fill(message, &[&[kind, 0, 0, 0, high, low, 0, 1]]);
}

/// Whether a message is the answer to it.
pub(super) fn is_echo(message: &[u8], ipv4: bool, ident: u16) -> bool {
    let kind = if ipv4 { 0 } else { 129 };
    message.first() == Some(&kind) && bytes(message, 4) == Some(ident.to_be_bytes())
}

/// The length of an ARP frame.
pub(super) const ARP_LENGTH: usize = HEADER + 28;

/// Asks who has `address`, for `own`: everybody, or who has had it so far (RFC 826).
pub(super) fn request_v4(
    mac: Mac,
    own: Ipv4Addr,
    address: Ipv4Addr,
    of: Option<Mac>,
) -> [u8; ARP_LENGTH] {
    arp(1, (mac, own), (Mac([0; 6]), address), of.unwrap_or(BROADCAST))
}

/// Answers `to` who has `own`.
pub(super) fn answer_v4(mac: Mac, own: Ipv4Addr, to: (Mac, Ipv4Addr)) -> [u8; ARP_LENGTH] {
    arp(2, (mac, own), to, to.0)
}

/// Says who has `address`, unasked: an ARP request for one's own (RFC 5227, section 3).
pub(super) fn announce_v4(mac: Mac, address: Ipv4Addr) -> [u8; ARP_LENGTH] {
    request_v4(mac, address, address, None)
}

fn arp(
    operation: u8,
    (mac, own): (Mac, Ipv4Addr),
    (whose, address): (Mac, Ipv4Addr),
    to: Mac,
) -> [u8; ARP_LENGTH] {
    let mut frame = [0; ARP_LENGTH];
    let parts: [&[u8]; 8] = [
        &to.0,
        &mac.0,
        &ARP,
        // Ethernet, IPv4, and their lengths.
        &[0, 1, 8, 0, 6, 4, 0, operation],
        &mac.0,
        &own.octets(),
        &whose.0,
        &address.octets(),
    ];
    fill(&mut frame, &parts);
    frame
}

/// The Ethernet address of everybody.
pub(super) const BROADCAST: Mac = Mac([0xff; 6]);

/// The Ethernet address of a group (RFC 1112, section 6.4; RFC 2464, section 7).
pub(super) const fn mac_of_group(group: IpAddr) -> Mac {
    Mac(match group {
        IpAddr::V4(it) => {
            let [_, a, b, c] = it.octets();
            [1, 0, 0x5e, a & 0x7f, b, c]
        }
        IpAddr::V6(it) => {
            let [.., a, b, c, d] = it.octets();
            [0x33, 0x33, a, b, c, d]
        }
    })
}

/// The Ethernet header of a packet to a machine with this Ethernet address.
pub(super) fn header(to: Mac, from: Mac, ipv4: bool) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    fill(&mut header, &[&to.0, &from.0, if ipv4 { &IPV4 } else { &IPV6 }]);
    header
}

/// The Ethernet header of an answer from `mac` to who sent a frame.
pub(super) fn back(frame: &[u8], mac: Mac) -> Option<[u8; HEADER]> {
    let old = bytes(frame, 0)?;
    let mut header = old;
    answer(&mut header, old, mac);
    Some(header)
}

/// Which machine sent a frame.
pub(super) fn sender(frame: &[u8]) -> Option<Mac> {
    bytes(frame, 6).map(Mac)
}

/// To whom an IP packet goes.
pub(super) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => bytes::<4>(packet, 16).map(|it| IpAddr::V4(it.into())),
        _ => bytes::<16>(packet, 24).map(|it| IpAddr::V6(it.into())),
    }
}

/// How much longer than its payload the frame of a datagram is.
pub(super) const fn datagram_head(ipv4: bool) -> usize {
    HEADER + if ipv4 { 20 } else { 40 } + 8
}

/// The longest payload of a datagram: the length of its packet has 16 bits, in which IPv4 counts
/// its own header.
pub(super) const fn longest_datagram(ipv4: bool) -> usize {
    0xffff - 8 - if ipv4 { 20 } else { 0 }
}

/// Writes a UDP datagram into a frame of its length, without its checksum (RFC 768).
pub(super) fn datagram(
    frame: &mut [u8],
    header: [u8; HEADER],
    from: SocketAddr,
    to: SocketAddr,
    payload: &[u8],
) {
    let ports = [from.port(), to.port()].map(u16::to_be_bytes);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => address_v4(frame, header, (from, to), ports),
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let length = (8 + payload.len() as u16).to_be_bytes();
            let parts: [&[u8]; 8] = [
                &header,
                &[0x60, 0, 0, 0],
                &length,
                &[UDP, HOPS],
                &from.octets(),
                &to.octets(),
                ports.as_flattened(),
                &length,
            ];
            fill(frame, &parts);
        }
        // Nobody has both.
        _ => return,
    }
    if let Some(to) = frame.get_mut(datagram_head(from.is_ipv4())..) {
        fill(to, &[payload]);
    }
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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::tcp::segment::SYN;
    use std::vec::Vec;

    const COMPLETE: Meta = Meta::new(Checksum::Complete, 0);

    /// A UDP datagram over IPv4 with the payload `hi!` and padding behind it.
    fn udp() -> Vec<u8> {
        let mut frame = std::vec![0; HEADER];
        frame[12..].copy_from_slice(&IPV4);
        frame.extend([0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0x12, 0x34, 0, 53, 0, 11, 0, 0, b'h', b'i', b'!']);
        frame.resize(60, 0xaa);
        mend(&mut frame);
        frame
    }

    /// Makes the checksum of an IPv4 header of 20 bytes right.
    fn mend(frame: &mut [u8]) {
        put(frame, HEADER + 10, 0);
        put(frame, HEADER + 10, !fold(sum(&frame[HEADER..HEADER + 20])));
    }

    /// To which UDP port a frame goes.
    fn port(frame: &[u8], checksum: Checksum) -> Option<u16> {
        match judge(frame, Meta::new(checksum, 0)) {
            Verdict::Udp(port, _) => Some(port),
            _ => None,
        }
    }

    /// A SYN over IPv6 without options.
    fn syn() -> Vec<u8> {
        let mut frame = std::vec![0; HEADER];
        frame[12..].copy_from_slice(&IPV6);
        frame.extend([0x60, 0, 0, 0, 0, 20, TCP, 64]);
        frame.extend("fd00::1".parse::<Ipv6Addr>().unwrap().octets());
        frame.extend("fd00::2".parse::<Ipv6Addr>().unwrap().octets());
        frame.extend([0xc0, 0, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff, 0, 0, 0, 0]);
        frame
    }

    #[test]
    fn what_was_completed_verifies_and_no_changed_byte_does() {
        for mut frame in [udp(), syn()] {
            assert_eq!(finish(&mut frame, false, 0), COMPLETE);
            assert!(!matches!(judge(&frame, COMPLETE), Verdict::Corrupt | Verdict::Useless));
            let packet = Packet::parse(&frame).unwrap();
            for at in packet.transport..packet.end {
                let mut changed = frame.clone();
                changed[at] ^= 0x10;
                assert_eq!(judge(&changed, COMPLETE), Verdict::Corrupt, "byte {at}");
            }
        }
    }

    #[test]
    fn the_checksum_is_that_of_rfc_768() {
        let mut frame = udp();
        finish(&mut frame, false, 0);
        // Not the sum of 0a00 0001 0a00 0002 0011 000b 1234 0035 000b 6869 2100.
        assert_eq!(frame[HEADER + 26..HEADER + 28], [0x50, 0x03]);
    }

    #[test]
    fn blank_leaves_the_sum_of_the_pseudo_header_n9() {
        let mut frame = udp();
        assert_eq!(finish(&mut frame, true, 0).checksum, Checksum::Blank);
        assert_eq!(frame[HEADER + 26..HEADER + 28], (0x1403_u16 + 17 + 11).to_be_bytes());
        assert_eq!(judge(&frame, COMPLETE), Verdict::Corrupt);
        assert_eq!(port(&frame, Checksum::Blank), Some(53));
        assert_eq!(port(&frame, Checksum::Verified), Some(53));
    }

    #[test]
    fn segments_are_read_whole() {
        let mut frame = syn();
        finish(&mut frame, false, 0);
        let Verdict::Tcp(segment) = judge(&frame, COMPLETE) else { panic!("a segment") };
        assert_eq!(segment.peer, "[fd00::1]:49152".parse().unwrap());
        assert_eq!(segment.local, "[fd00::2]:80".parse().unwrap());
        assert_eq!((segment.flags, segment.seq), (SYN, Seq(7)));
        assert!(segment.read(&frame).is_some_and(|it| it.payload.is_empty()));
        frame[HEADER + 40 + 12] = 0x40;
        assert_eq!(judge(&frame, Meta::new(Checksum::Verified, 0)), Verdict::Useless);
    }

    #[test]
    fn what_nobody_should_answer_is_useless() {
        let with = |at: usize, bytes: &[u8]| {
            let mut frame = udp();
            frame[at..at + bytes.len()].copy_from_slice(bytes);
            mend(&mut frame);
            judge(&frame, COMPLETE)
        };
        assert!(matches!(with(0, &[]), Verdict::Udp(53, _)));
        for source in [[0; 4], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1], [0, 1, 2, 3]] {
            assert_eq!(with(HEADER + 12, &source), Verdict::Useless);
        }
        for destination in [[0; 4], [127, 0, 0, 1]] {
            assert_eq!(with(HEADER + 16, &destination), Verdict::Useless);
        }
        // An Ethernet address that is a group's.
        assert_eq!(with(6, &[1]), Verdict::Useless);
        // IGMP, errors and questions that nobody here answers, what only IPv6 has.
        for (protocol, kind) in [(2, 0x11), (1, 3), (1, 5), (1, 13), (44, 0), (43, 0), (59, 0)] {
            let mut frame = udp();
            (frame[HEADER + 9], frame[HEADER + 20]) = (protocol, kind);
            mend(&mut frame);
            let trusted = Meta::new(Checksum::Verified, 0);
            assert_eq!(judge(&frame, trusted), Verdict::Useless, "{protocol} {kind}");
        }
        // A length beyond the frame, below the header, and another version.
        assert_eq!(with(HEADER + 2, &[1, 0]), Verdict::Useless);
        assert_eq!(with(HEADER + 2, &[0, 19]), Verdict::Useless);
        assert_eq!(with(HEADER, &[0x65]), Verdict::Useless);
        for header in 0x40..0x45 {
            assert_eq!(with(HEADER, &[header]), Verdict::Useless);
        }
        let mut spoilt = udp();
        spoilt[HEADER + 8] -= 1;
        assert_eq!(judge(&spoilt, COMPLETE), Verdict::Corrupt);
    }

    #[test]
    fn options_that_say_the_way_or_are_broken_are_useless() {
        let with = |options: [u8; 4]| {
            let mut frame = udp();
            frame.truncate(HEADER + 31);
            frame[HEADER] = 0x46;
            frame[HEADER + 3] += 4;
            frame.splice(HEADER + 20..HEADER + 20, options);
            put(&mut frame, HEADER + 10, 0);
            let check = !fold(sum(&frame[HEADER..HEADER + 24]));
            put(&mut frame, HEADER + 10, check);
            judge(&frame, COMPLETE)
        };
        for good in [[1, 1, 1, 0], [0, 131, 0, 0], [148, 4, 0, 0], [1, 7, 3, 4]] {
            assert!(matches!(with(good), Verdict::Udp(53, _)), "{good:?}");
        }
        for bad in
            [[131, 3, 4, 0], [1, 137, 3, 4], [7, 0, 0, 0], [7, 1, 0, 0], [1, 7, 4, 4], [1, 1, 1, 7]]
        {
            assert_eq!(with(bad), Verdict::Useless, "{bad:?}");
        }
    }

    #[test]
    fn short_frames_are_useless() {
        for frame in [udp(), syn()] {
            let end = Packet::parse(&frame).unwrap().end;
            for length in 0..end {
                assert_eq!(judge(&frame[..length], COMPLETE), Verdict::Useless, "{length}");
            }
        }
    }

    #[test]
    fn arp_frames_say_who_and_whom() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let (own, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let frame = announce_v4(mac, own);
        assert_eq!((&frame[28..32], &frame[38..]), (&own.octets()[..], &own.octets()[..]));
        let frame = request_v4(mac, own, other, None);
        assert_eq!((&frame[28..32], &frame[38..]), (&own.octets()[..], &other.octets()[..]));
    }
}
