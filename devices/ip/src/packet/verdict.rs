//! What is found out about frames that arrive.

use super::icmp::Message;
use super::udp::Datagram;
use super::{Ends, Segment};
use core::net::{IpAddr, Ipv6Addr};
use devices::net::Mac;

/// What to do with a frame that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is a TCP segment.
    Tcp(Segment),
    /// It is a UDP datagram.
    Udp(Datagram),
    /// It answers an echo request.
    Echo(Message),
    /// It is an echo request.
    Ping(Message),
    /// It says whose an Ethernet address is, or asks for one.
    Neighbor(Said),
    /// Somebody says what became of a packet of ours.
    Complaint(Message),
    /// It is of a protocol that nobody here speaks.
    Other(Message),
    /// Someone asks whether anybody has this address, to take it (RFC 4862).
    Claim(Ipv6Addr),
    /// A router says what there is on the link (RFC 4861, section 4.2).
    Router(Ipv6Addr),
    /// A router asks who listens to this group, or to any (RFC 3810, section 5.1).
    Listeners(Ipv6Addr),
    /// It is a part of a datagram.
    Fragment(Ends, Piece),
    /// It is to be judged again without what stands in front of what it carries.
    Folded(Folded),
    /// Its sender is to be told what is wrong with it.
    Problem(Ends, Problem),
    /// It makes no sense, or nobody should answer it.
    Useless,
    /// Its checksum is wrong.
    Corrupt,
}

/// What a frame says of Ethernet addresses (RFC 826; RFC 4861, sections 4.3 and 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Whose address is said; `None` when somebody asks who has none yet (RFC 5227).
    pub(crate) who: Option<IpAddr>,
    pub(crate) mac: Option<Mac>,
    pub(crate) why: Why,
    /// It stands, whatever was said before.
    pub(crate) overrides: bool,
    /// It does not say that it is no router.
    pub(crate) routes: bool,
}

/// Why it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// To ask for this address.
    Question(IpAddr),
    /// To answer whoever has this address.
    Answer(IpAddr),
    /// Unasked.
    News,
}

/// A packet with options or extension headers that were passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(super) protocol: u8,
    /// Where what it carries begins and ends in the frame.
    pub(super) transport: usize,
    pub(super) end: usize,
}

/// A fragment in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(super) id: u32,
    /// What the datagram carries; of IPv6 only the first fragment says it.
    pub(super) protocol: u8,
    /// Where in the datagram it belongs.
    pub(super) offset: usize,
    /// It is not the last.
    pub(super) more: bool,
    /// Where it begins and ends in the frame.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What is wrong with a packet (RFC 4443, section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(super) code: u8,
    /// Where in the packet.
    pub(super) pointer: u16,
    /// Its sender is told even if it went to many.
    pub(crate) to_groups: bool,
    /// Where the packet ends in its frame.
    pub(super) end: usize,
}
