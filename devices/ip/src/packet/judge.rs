//! Judging what arrives, before anything that was not written here looks at it.
//!
//! What is let through has lengths that fit, right checksums, addresses that a peer may
//! have, and a meaning to this machine (rule T1). Everything else is dropped without an
//! answer: nobody can be told who sent a packet from a group, and an error about what no
//! protocol of ours says helps only those who forge senders.

use super::extension;
use super::icmp::Message;
use super::udp::Datagram;
use super::verdict::{Piece, Said, Verdict, Why};
use super::{ARP, Ends, FRAGMENT, ICMP_V4, ICMP_V6, IPV4, IPV6, NO_NEXT_HEADER, Packet, ROUTING};
use super::{Segment, TCP, UDP, bytes, segment};
use crate::ndisc::group_of;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use devices::net::{Checksum, HEADER, Mac, Meta};

const IGMP: u8 = 2;

/// The address of one machine.
fn machine(frame: &[u8], at: usize) -> Option<Mac> {
    bytes(frame, at).map(Mac).filter(|it| it.0[0] & 1 == 0 && it.0 != [0; 6])
}

/// What an ARP frame says. `None` when it makes no sense.
fn arp(frame: &[u8]) -> Option<Said> {
    // Ethernet, IPv4, their lengths, and a question or an answer.
    let [0, 1, 8, 0, 6, 4, 0, operation @ (1 | 2)] = bytes(frame, HEADER)? else { return None };
    let address = |at| bytes::<4>(frame, at).map(|it| IpAddr::V4(it.into()));
    let (who, target) = (address(HEADER + 14)?, address(HEADER + 24)?);
    let mac = Some(machine(frame, HEADER + 8)?);
    let who = Some(who).filter(|it| !it.is_unspecified());
    if who.is_some_and(|it| is_nowhere(it) || is_group(it)) {
        return None;
    }
    let why = match operation {
        _ if who == Some(target) => Why::News,
        1 => Why::Question(target),
        _ => Why::Answer(target),
    };
    let said = Said { who, mac, why, overrides: true, routes: true };
    (who.is_some() || operation == 1).then_some(said)
}

/// Whether an address stands for no machine of a network: `::`, loopback, and those
/// that stand for IPv4 addresses in programs and on no wire (RFC 4291, section 2.5.5),
/// or 0/8 and 127/8 (RFC 1122, section 3.2.1.3).
const fn is_nowhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => matches!(it.octets()[0], 0 | 127),
        IpAddr::V6(it) => it.to_bits() >> 48 == 0,
    }
}

/// Whether it stands for many machines, whatever the network.
const fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(Ipv4Addr::BROADCAST))
}

/// Whether the options of an IPv4 header are in order, and none says which way to go
/// (RFC 7126, sections 4.3 and 4.4).
fn options_are_good(mut options: &[u8]) -> bool {
    loop {
        options = match *options {
            [] | [0, ..] => return true,
            [1, ref rest @ ..] => rest,
            [131 | 137, ..] | [_] => return false,
            [_, length, ..] => match options.get(length.into()..) {
                Some(rest) if length >= 2 => rest,
                _ => return false,
            },
        };
    }
}

impl Packet {
    /// Whether its TCP, UDP or ICMP checksum is right. IPv4 has datagrams without one.
    fn verify(&self, frame: &[u8]) -> bool {
        let without = self.protocol == UDP
            && self.source.is_ipv4()
            && bytes(frame, self.transport + 6) == Some([0, 0]);
        let mut length = self.end - self.transport;
        if let (UDP, Some(own)) = (self.protocol, bytes(frame, self.transport + 4)) {
            length = length.min(u16::from_be_bytes(own).into());
        }
        let pseudo = match self.protocol {
            TCP | UDP | ICMP_V6 => self.pseudo_header_of(length),
            ICMP_V4 => 0,
            _ => return true,
        };
        let Some(body) = frame.get(self.transport..self.transport + length) else { return false };
        without || super::fold(pseudo + super::sum(body)) == 0xffff
    }

    /// Whether it is a message of neighbour discovery that is valid: from this link, and
    /// with this much in front of options that are whole (RFC 4861, sections 6.1 and 7.1).
    fn is_near(&self, frame: &[u8], head: usize) -> bool {
        let near = frame.get(HEADER + 7) == Some(&255) && self.transport == HEADER + 40;
        if !near || frame.get(self.transport + 1) != Some(&0) {
            return false;
        }
        let Some(mut options) = frame.get(self.transport + head..self.end) else { return false };
        while let [_, length, ..] = *options {
            match options.get(8 * usize::from(length)..) {
                Some(rest) if length > 0 => options = rest,
                _ => return false,
            }
        }
        options.is_empty()
    }

    /// What a valid message about the neighbour `target` says.
    fn said(&self, frame: &[u8], ends: Ends, target: Ipv6Addr) -> Said {
        let (asks, at) = (frame.get(self.transport) == Some(&135), self.transport);
        let mut options = frame.get(at + 24..self.end).unwrap_or_default();
        let mut mac = None;
        // They are whole, or there are none.
        while let [kind, length @ 1..=255, ..] = *options {
            if kind == if asks { 1 } else { 2 } && length == 1 {
                mac = machine(options, 2);
            }
            options = options.get(8 * usize::from(length)..).unwrap_or_default();
        }
        let flags = frame.get(at + 4).copied().unwrap_or_default();
        let [routes, solicited, overrides] = [0x80, 0x40, 0x20].map(|it| asks || flags & it != 0);
        let (who, why) = match (asks, solicited) {
            (true, _) => (ends.from, Why::Question(target.into())),
            (false, true) => (target.into(), Why::Answer(ends.to)),
            (false, false) => (target.into(), Why::News),
        };
        Said { who: Some(who), mac, why, overrides, routes }
    }

    /// Whether a message about the neighbour `target` goes where such a one may, and says what it
    /// may there (RFC 4861, sections 7.1.1 and 7.1.2).
    fn may_say(&self, frame: &[u8], ends: Ends, target: Ipv6Addr) -> bool {
        let at = self.transport;
        if frame.get(at) == Some(&136) {
            // An answer to all is none.
            return !ends.to.is_multicast() || frame.get(at + 4).is_some_and(|it| it & 0x40 == 0);
        }
        // Who has no address asks the group of the one that it would have, and nobody else.
        !ends.from.is_unspecified()
            || ends.to == group_of(target) && self.said(frame, ends, target).mac.is_none()
    }

    /// The verdict on a message of ICMPv6 whose checksum is right.
    fn judge_icmp_v6(&self, frame: &[u8], ends: Ends) -> Verdict {
        let (IpAddr::V6(from), Some(&kind)) = (self.source, frame.get(self.transport)) else {
            return Verdict::Useless;
        };
        let target = bytes::<16>(frame, self.transport + 8).map(Ipv6Addr::from);
        // Nobody asks only for who has an address.
        if from.is_unspecified() && kind != 135 {
            return Verdict::Useless;
        }
        match (kind, target) {
            (1 | 2, _) => Verdict::Complaint(Message::of(self)),
            (128, _) => self.echo(Verdict::Ping),
            (129, _) => self.echo(Verdict::Echo),
            // Only of routers and of this link, and of groups: other addresses are nonsense.
            (130, Some(group)) if group.is_unspecified() || group.is_multicast() => {
                let near = from.is_unicast_link_local() && frame.get(HEADER + 7) == Some(&1);
                // In front stands the option that makes routers look.
                let alert = self.transport > HEADER + 40;
                let whole = self.end >= self.transport + 24;
                if near && alert && whole { Verdict::Listeners(group) } else { Verdict::Useless }
            }
            (134, _) if self.is_near(frame, 16) && from.is_unicast_link_local() => {
                Verdict::Router(from)
            }
            (135 | 136, Some(target)) if self.is_near(frame, 24) && !is_group(target.into()) => {
                if !self.may_say(frame, ends, target) {
                    Verdict::Useless
                } else if from.is_unspecified() {
                    Verdict::Claim(target)
                } else {
                    Verdict::Neighbor(self.said(frame, ends, target))
                }
            }
            _ => Verdict::Useless,
        }
    }

    /// The verdict on an echo, whose head is whole.
    fn echo(&self, kind: impl FnOnce(Message) -> Verdict) -> Verdict {
        if self.end < self.transport + 8 { Verdict::Useless } else { kind(Message::of(self)) }
    }
}

/// Finds the IP packet in a frame of `length` bytes that begins with `frame`, if it is one that
/// may be.
fn packet(frame: &[u8], length: usize) -> Result<(Packet, Ends), Verdict> {
    let kind: Option<[u8; 2]> = bytes(frame, 12);
    if kind != Some(IPV4) && kind != Some(IPV6) {
        return Err(Verdict::Useless);
    }
    let packet = Packet::begin(frame, length).ok_or(Verdict::Useless)?;
    let ends = Ends { from: packet.source, to: packet.destination };
    let nobody = ends.from.is_unspecified()
        && (packet.seeks_address(frame) && !packet.fragment || packet.protocol == ICMP_V6);
    if is_group(ends.from) || is_nowhere(ends.from) && !nobody || is_nowhere(ends.to) {
        return Err(Verdict::Useless);
    }
    if kind == Some(IPV4) {
        let header = 20..packet.transport - HEADER;
        let options = frame.get(HEADER + header.start..packet.transport).unwrap_or_default();
        if !options.is_empty() && !options_are_good(options) {
            return Err(Verdict::Useless);
        }
        let header = frame.get(HEADER..packet.transport).unwrap_or_default();
        if super::fold(super::sum(header)) != 0xffff {
            return Err(Verdict::Corrupt);
        }
    }
    Ok((packet, ends))
}

/// Judges a frame of `length` bytes by its first ones. Returns the TCP segment that it holds, if
/// it is one that came plain and whose checksum was vouched for; whatever else it is, is to be
/// judged when all of it is there.
#[inline(never)]
pub(crate) fn foresee(frame: &[u8], length: usize, meta: Meta) -> Option<Segment> {
    if meta.checksum == Checksum::Complete || frame.get(6)? & 1 != 0 {
        return None;
    }
    let (packet, _) = packet(frame, length).ok()?;
    if packet.protocol != TCP || packet.fragment {
        return None;
    }
    match segment(frame, &packet) {
        Verdict::Tcp(segment) => Some(segment),
        _ => None,
    }
}

/// Judges a frame that arrived.
#[inline(never)]
pub(crate) fn judge(frame: &[u8], meta: Meta) -> Verdict {
    // Nobody is a group.
    if frame.get(6).is_none_or(|it| it & 1 != 0) {
        return Verdict::Useless;
    }
    let kind: Option<[u8; 2]> = bytes(frame, 12);
    if kind == Some(ARP) {
        return arp(frame).map_or(Verdict::Useless, Verdict::Neighbor);
    }
    let (mut packet, ends) = match packet(frame, frame.len()) {
        Ok(found) => found,
        Err(verdict) => return verdict,
    };
    if packet.fragment {
        return Piece::judge_v4(frame, &packet, ends);
    }
    if kind == Some(IPV6) && extension::is_one(packet.protocol) {
        match extension::judge(frame, &packet, ends) {
            Ok(behind) => packet = behind,
            Err(verdict) => return verdict,
        }
    }
    if meta.checksum == Checksum::Complete && !packet.verify(frame) {
        return Verdict::Corrupt;
    }
    match packet.protocol {
        TCP => segment(frame, &packet),
        UDP => Datagram::parse(frame, &packet).map_or(Verdict::Useless, Verdict::Udp),
        ICMP_V6 if kind == Some(IPV6) => packet.judge_icmp_v6(frame, ends),
        ICMP_V4 if kind == Some(IPV4) => match frame.get(packet.transport) {
            Some(0) => packet.echo(Verdict::Echo),
            Some(8) => packet.echo(Verdict::Ping),
            Some(3) => Verdict::Complaint(Message::of(&packet)),
            // Nobody here heeds other errors, and nobody is told of them.
            _ => Verdict::Useless,
        },
        NO_NEXT_HEADER => Verdict::Useless,
        _ if kind == Some(IPV6) => extension::unknown(frame, &packet, ends),
        // This machine is in no group of IPv4 but that of all systems, which is not reported
        // (RFC 3376, section 5), and nobody says which way a packet goes.
        IGMP | FRAGMENT | ROUTING => Verdict::Useless,
        _ => Verdict::Other(Message::of(&packet)),
    }
}
