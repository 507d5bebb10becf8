//! Ethernet headers (RFC 894, RFC 2464).

use super::{IPV4, IPV6, bytes};
use core::net::IpAddr;
use devices::net::{HEADER, Mac};

/// The Ethernet address of everybody.
pub(crate) const BROADCAST: Mac = Mac([0xff; 6]);

/// The Ethernet address of a group (RFC 1112, section 6.4; RFC 2464, section 7).
pub(crate) const fn mac_of_group(group: IpAddr) -> Mac {
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
pub(crate) fn header(to: Mac, from: Mac, ipv4: bool) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..6].copy_from_slice(&to.0);
    header[6..12].copy_from_slice(&from.0);
    header[12..].copy_from_slice(if ipv4 { &IPV4 } else { &IPV6 });
    header
}

/// Writes the Ethernet header of an answer from `mac` to whoever sent a packet in a
/// frame that began with `header`.
pub(crate) fn answer(frame: &mut [u8], header: [u8; HEADER], mac: Mac) {
    if let Some(to) = frame.first_chunk_mut::<HEADER>() {
        *to = header;
        to.copy_within(6..12, 0);
        to[6..12].copy_from_slice(&mac.0);
    }
}

/// The Ethernet header of an answer from `mac` to who sent a frame.
pub(crate) fn back(frame: &[u8], mac: Mac) -> Option<[u8; HEADER]> {
    let old = bytes(frame, 0)?;
    let mut header = old;
    answer(&mut header, old, mac);
    Some(header)
}

/// Which machine sent a frame.
pub(crate) fn sender(frame: &[u8]) -> Option<Mac> {
    bytes(frame, 6).map(Mac)
}
