//! UDP datagrams (RFC 768).

use super::icmp::Message;
use super::{Ends, Packet, UDP, bytes, fill, number, packet_head, put_packet};
use core::net::SocketAddr;
use devices::net::HEADER;

/// A datagram that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// To whom.
    pub(crate) to: SocketAddr,
    /// What routers made of the two bits of ECN (RFC 3168, section 5).
    pub(crate) ecn: u8,
    /// Where its payload begins and ends in the frame.
    start: usize,
    end: usize,
    /// Where its packet ends.
    packet: usize,
}

impl Datagram {
    /// Reads its header. `None` when its length does not fit.
    pub(super) fn parse(frame: &[u8], packet: &Packet) -> Option<Self> {
        let start = packet.transport;
        let length = number(frame, start + 4)?;
        if length < 8 || length > packet.end - start {
            return None;
        }
        let port = |at| bytes(frame, at).map(u16::from_be_bytes);
        Some(Self {
            from: SocketAddr::new(packet.source, port(start)?),
            to: SocketAddr::new(packet.destination, port(start + 2)?),
            ecn: packet.ecn(frame),
            start: start + 8,
            end: start + length,
            packet: packet.end,
        })
    }

    /// What its packet carries.
    pub(crate) const fn message(&self) -> Message {
        Message::new(self.ends(), self.start - 8, self.packet)
    }

    /// From where and to where it goes.
    pub(crate) const fn ends(&self) -> Ends {
        Ends { from: self.from.ip(), to: self.to.ip() }
    }

    /// Its payload, in the frame that it was found in.
    pub(crate) fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.start..self.end).unwrap_or_default()
    }
}

/// How much longer than its payload the frame of a datagram is.
pub(crate) const fn datagram_head(ipv4: bool) -> usize {
    packet_head(ipv4) + 8
}

/// The longest payload of a datagram: the length of its packet has 16 bits, in which IPv4 counts
/// its own header.
pub(crate) const fn longest_datagram(ipv4: bool) -> usize {
    0xffff - 8 - if ipv4 { 20 } else { 0 }
}

/// Writes a UDP datagram into a frame of its length, without its checksum.
pub(crate) fn datagram(
    frame: &mut [u8],
    header: [u8; HEADER],
    from: SocketAddr,
    to: SocketAddr,
    payload: &[u8],
) {
    let length = (8 + payload.len() as u16).to_be_bytes();
    let [source, destination] = [from.port(), to.port()].map(u16::to_be_bytes);
    if let Some(rest) = put_packet(frame, header, (from.ip(), to.ip()), UDP) {
        fill(rest, &[&source, &destination, &length, &[0, 0], payload]);
    }
}
