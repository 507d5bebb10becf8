//! Messages of neighbour discovery (RFC 4861) and about groups (RFC 3810).

use super::config::ADDRESSES;
use super::packet::{ICMP_V6, IPV6, fill, finish_icmp_v6, mac_of_group};
use core::net::{IpAddr, Ipv6Addr};
use devices::net::{HEADER, Mac};

/// The length of a frame with a message about a neighbour, and of a router solicitation.
pub(super) const NEIGHBOR: usize = HEADER + 40 + 32;
pub(super) const SOLICITATION: usize = HEADER + 40 + 16;

/// The length of a frame that asks whether an address is taken.
pub(super) const PROBE: usize = HEADER + 40 + 24;

/// The link-local address of an interface (RFC 4291, appendix A).
pub(super) const fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let mut octets = [0; 16];
    (octets[0], octets[1]) = (0xfe, 0x80);
    (octets[8], octets[9], octets[10], octets[11]) = (a ^ 2, b, c, 0xff);
    (octets[12], octets[13], octets[14], octets[15]) = (0xfe, d, e, f);
    Ipv6Addr::from_octets(octets)
}

/// A message to a machine or a group, whose last option is `mac`.
fn message<const N: usize>(
    mac: Mac,
    source: Ipv6Addr,
    (to, destination): (Mac, Ipv6Addr),
    body: [&[u8]; 3],
) -> [u8; N] {
    let mut frame = [0; N];
    let [head, middle, option] = body;
    let parts: [&[u8]; 10] = [
        &to.0,
        &mac.0,
        &IPV6,
        // Version, length, protocol, and the hop limit that is due.
        &[0x60, 0, 0, 0, 0, (N - HEADER - 40) as u8, ICMP_V6, 255],
        &source.octets(),
        &destination.octets(),
        head,
        middle,
        option,
        &mac.0,
    ];
    fill(&mut frame, &parts);
    finish_icmp_v6(&mut frame);
    frame
}

/// A group with its Ethernet address.
const fn all(group: Ipv6Addr) -> (Mac, Ipv6Addr) {
    (mac_of_group(IpAddr::V6(group)), group)
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ALL_LISTENERS_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Says who has `address`, unasked: a neighbour advertisement to all nodes (section
/// 7.2.6), which overrides what others remember.
pub(super) fn announce(mac: Mac, address: Ipv6Addr) -> [u8; NEIGHBOR] {
    let head = [136, 0, 0, 0, 0x20, 0, 0, 0];
    message(mac, address, all(ALL_NODES), [&head, &address.octets(), &[2, 1]])
}

/// Answers `to` who has `address` (section 7.2.4).
pub(super) fn answer(mac: Mac, address: Ipv6Addr, to: (Mac, Ipv6Addr)) -> [u8; NEIGHBOR] {
    let head = [136, 0, 0, 0, 0x60, 0, 0, 0];
    message(mac, address, to, [&head, &address.octets(), &[2, 1]])
}

/// The group that is asked who has `address` (RFC 4291, section 2.7.1).
pub(super) const fn group_of(address: Ipv6Addr) -> Ipv6Addr {
    let last = address.to_bits() as u32 | 0xff00_0000;
    Ipv6Addr::from_bits(0xff02 << 112 | 1 << 32 | last as u128)
}

/// Asks who has `address`, for `own`: its group, or who has had it so far (section 4.3).
pub(super) fn request(
    mac: Mac,
    own: Ipv6Addr,
    address: Ipv6Addr,
    of: Option<Mac>,
) -> [u8; NEIGHBOR] {
    let to = of.map_or(all(group_of(address)), |of| (of, address));
    message(mac, own, to, [&[135, 0, 0, 0, 0, 0, 0, 0], &address.octets(), &[1, 1]])
}

/// Asks whether anybody has `address`, to use it (RFC 4862, section 5.4.2).
pub(super) fn probe(mac: Mac, address: Ipv6Addr) -> [u8; PROBE] {
    let to = all(group_of(address));
    let mut frame = [0; PROBE];
    let parts: [&[u8]; 7] = [
        &to.0.0,
        &mac.0,
        &IPV6,
        // What is from nobody names no Ethernet address (RFC 4861, section 4.3).
        &[0x60, 0, 0, 0, 0, (PROBE - HEADER - 40) as u8, ICMP_V6, 255],
        &[0; 16],
        &to.1.octets(),
        &[135, 0, 0, 0, 0, 0, 0, 0],
    ];
    fill(&mut frame, &parts);
    fill(&mut frame[PROBE - 16..], &[&address.octets()]);
    finish_icmp_v6(&mut frame);
    frame
}

/// Asks routers to say what there is (section 4.1).
pub(super) fn solicit(mac: Mac) -> [u8; SOLICITATION] {
    let head = [133, 0, 0, 0, 0, 0, 0, 0];
    message(mac, link_local(mac), all(ALL_ROUTERS), [&head, &[], &[1, 1]])
}

/// Why somebody says which groups it listens to, as a record's type (RFC 3810, section
/// 5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// A router asked.
    Asked = 2,
    /// It has just begun.
    New = 4,
}

/// The length of the frame of a report about as many groups as a machine has addresses.
const REPORT: usize = HEADER + 40 + 8 + 8 + 20 * ADDRESSES;

/// Says that these groups are listened to, by all senders (RFC 3810, section 5.2).
pub(super) fn report(
    mac: Mac,
    why: Report,
    groups: impl Iterator<Item = Ipv6Addr>,
) -> heapless::Vec<u8, REPORT> {
    let mut frame = heapless::Vec::new();
    let (to, group) = all(ALL_LISTENERS_ROUTERS);
    let parts: [&[u8]; 8] = [
        &to.0,
        &mac.0,
        &IPV6,
        // One hop; in front stands the option that makes routers look (RFC 2711).
        &[0x60, 0, 0, 0, 0, 0, 0, 1],
        &link_local(mac).octets(),
        &group.octets(),
        &[ICMP_V6, 0, 5, 2, 0, 0, 1, 0],
        &[143, 0, 0, 0, 0, 0, 0, 0],
    ];
    let mut count = 0;
    frame.extend(parts.into_iter().flatten().copied());
    for group in groups.take(ADDRESSES) {
        frame.extend([why as u8, 0, 0, 0].into_iter().chain(group.octets()));
        count += 1;
    }
    frame[HEADER + 5] = 16 + 20 * count;
    frame[HEADER + 40 + 8 + 7] = count;
    finish_icmp_v6(&mut frame);
    frame
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn messages_are_right_and_go_to_their_groups() {
        let frame = request(MAC, ip("fd00::1"), ip("fd00::12:3456"), None);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(frame[38..54], ip("ff02::1:ff12:3456").octets());
        let frame = request(MAC, ip("fd00::1"), ip("fd00::12:3456"), Some(Mac([2; 6])));
        assert_eq!((&frame[..6], &frame[38..54]), (&[2; 6][..], &ip("fd00::12:3456").octets()[..]));
        let frame = solicit(MAC);
        assert_eq!(frame[22..38], ip("fe80::ff:fe00:1").octets());
        assert_eq!(frame[SOLICITATION - 8..], [1, 1, 2, 0, 0, 0, 0, 1]);
        // The sum over a right packet and its pseudo header is all ones.
        let probe = &mut probe(MAC, ip("fd00::1"));
        for frame in [&mut solicit(MAC)[..], &mut announce(MAC, ip("fd00::1")), probe] {
            let sum = [frame[56], frame[57]];
            (frame[56], frame[57]) = (0, 0);
            finish_icmp_v6(frame);
            assert_eq!([frame[56], frame[57]], sum);
            assert_ne!(sum, [0, 0]);
        }
    }
}
