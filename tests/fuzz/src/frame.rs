//! Ethernet frames as a peer at 10.0.0.1 and fd00::1 sends them to 10.0.0.2 and
//! fd00::2 at the other end of a cable.

use std::net::{Ipv4Addr, Ipv6Addr};
use xenith::ip::Settings;
use xenith::ip::config::{Ipv4, Limits};
use xenith::net::cable::End;
use xenith::net::{Meta, Net};

/// The numbers of protocols.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMP_V6: u8 = 58;

/// The peer's address.
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The stack's address.
pub const STACK: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The same of IPv6.
pub const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// The stack's IPv6 address.
pub const STACK_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// The settings of a stack at [`STACK`], small enough to come to its limits.
#[must_use]
pub fn settings() -> Settings {
    let few = Limits::for_memory(4 << 20);
    let limits = Limits { connections: 4, backlog: 2, half_open: 4, ..few };
    let ipv4 = Ipv4::Static(STACK, 24);
    Settings { ipv4, ipv6: Some((STACK_V6, 64)), limits, ..Settings::default() }
}

/// Sends a frame, if it is one.
pub fn send(net: &End, frame: &[u8]) {
    if net.transmit(frame.len(), |to| (to.copy_from_slice(frame), Meta::default())).is_some() {
        net.flush();
    }
}

/// The next frame that the stack sent.
#[must_use]
pub fn take(net: &End) -> Option<Vec<u8>> {
    net.receive(|frame, _| frame.to_vec())
}

fn sum(bytes: &[u8]) -> u32 {
    let pairs = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&byte| u32::from(byte)));
    pairs.sum()
}

fn fold(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Puts the right checksum into an IPv4 header without options, at the beginning of a packet.
pub fn seal(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let check = fold(sum(&packet[..20]));
    packet[10..12].copy_from_slice(&check);
}

/// Puts the right checksum into a message of `protocol` between these addresses.
pub fn finish(message: &mut [u8], protocol: u8, addresses: &[u8]) {
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        ICMP | ICMP_V6 => 2,
        _ => return,
    };
    if message.len() < at + 2 {
        return;
    }
    message[at..at + 2].fill(0);
    let pseudo = match protocol {
        ICMP => 0,
        _ => sum(addresses) + u32::from(protocol) + message.len() as u32,
    };
    let check = fold(sum(message) + pseudo);
    message[at..at + 2].copy_from_slice(&check);
}

fn ethernet(kind: [u8; 2]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &kind].concat()
}

/// `message` of `protocol` in IPv4, with these options in front.
#[must_use]
pub fn ipv4(protocol: u8, options: &[u8], message: &[u8]) -> Vec<u8> {
    between(PEER, STACK, protocol, options, message)
}

/// The same between these addresses.
#[must_use]
pub fn between(
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: u8,
    options: &[u8],
    message: &[u8],
) -> Vec<u8> {
    let options = &options[..options.len().min(40) / 4 * 4];
    let mut message = message[..message.len().min(1400)].to_vec();
    let addresses = [from.octets(), to.octets()].concat();
    finish(&mut message, protocol, &addresses);
    let length = 20 + options.len();
    let mut header = vec![0x40 | (length / 4) as u8, 0];
    header.extend(((length + message.len()) as u16).to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(addresses);
    header.extend(options);
    let check = fold(sum(&header));
    header[10..12].copy_from_slice(&check);
    let mut frame = ethernet([8, 0]);
    if to == Ipv4Addr::BROADCAST {
        frame[..6].fill(0xff);
    }
    [frame, header, message].concat()
}

/// `message` of `protocol` in IPv6; `next` and `extensions` stand in front of it.
#[must_use]
pub fn ipv6(protocol: u8, next: Option<u8>, extensions: &[u8], message: &[u8]) -> Vec<u8> {
    between_v6([PEER_V6, STACK_V6], 255, protocol, next, extensions, message)
}

/// The same between these addresses, for so many hops.
#[must_use]
pub fn between_v6(
    [from, to]: [Ipv6Addr; 2],
    hops: u8,
    protocol: u8,
    next: Option<u8>,
    extensions: &[u8],
    message: &[u8],
) -> Vec<u8> {
    let extensions = if next.is_some() { &extensions[..extensions.len().min(64)] } else { &[] };
    let mut message = message[..message.len().min(1300)].to_vec();
    let addresses = [from.octets(), to.octets()].concat();
    finish(&mut message, protocol, &addresses);
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(((extensions.len() + message.len()) as u16).to_be_bytes());
    header.extend([next.unwrap_or(protocol), hops]);
    header.extend(addresses);
    [ethernet([0x86, 0xdd]), header, extensions.to_vec(), message].concat()
}

/// A UDP datagram without its checksum, which whoever puts it into a packet adds.
#[must_use]
pub fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(1300)];
    let words = [from, to, 8 + payload.len() as u16, 0].map(u16::to_be_bytes);
    [&words.concat(), payload].concat()
}

/// A TCP segment without its checksum.
#[must_use]
pub fn tcp(
    ports: [u16; 2],
    numbers: [u32; 2],
    flags: u8,
    window: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let options = &options[..options.len().min(40) / 4 * 4];
    let mut segment = ports.map(u16::to_be_bytes).concat();
    segment.extend(numbers.map(u32::to_be_bytes).concat());
    segment.extend([(((20 + options.len()) / 4) << 4) as u8, flags]);
    segment.extend(window.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend(options);
    segment.extend(payload);
    segment
}
