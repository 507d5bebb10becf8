//! Frames of ARP that are sent (RFC 826, RFC 5227).

use super::{ARP, BROADCAST, fill};
use core::net::Ipv4Addr;
use devices::net::{HEADER, Mac};

/// The length of an ARP frame.
pub(crate) const ARP_LENGTH: usize = HEADER + 28;

/// Asks who has `address`, for `own`: everybody, or who has had it so far (RFC 826).
pub(crate) fn request_v4(
    mac: Mac,
    own: Ipv4Addr,
    address: Ipv4Addr,
    of: Option<Mac>,
) -> [u8; ARP_LENGTH] {
    arp(1, (mac, own), (Mac([0; 6]), address), of.unwrap_or(BROADCAST))
}

/// Answers `to` who has `own`.
pub(crate) fn answer_v4(mac: Mac, own: Ipv4Addr, to: (Mac, Ipv4Addr)) -> [u8; ARP_LENGTH] {
    arp(2, (mac, own), to, to.0)
}

/// Says who has `address`, unasked: an ARP request for one's own (RFC 5227, section 3).
pub(crate) fn announce_v4(mac: Mac, address: Ipv4Addr) -> [u8; ARP_LENGTH] {
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

/// Asks whether anybody has `address`, to use it (a probe: RFC 5227, section 2.1.1).
pub(crate) fn probe_v4(mac: Mac, address: Ipv4Addr) -> [u8; ARP_LENGTH] {
    request_v4(mac, Ipv4Addr::UNSPECIFIED, address, None)
}
