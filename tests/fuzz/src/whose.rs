//! Addresses that mean something to whoever hears them: the stack's own, its groups', routers',
//! nobody's.

use crate::frame;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address that means something.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Whose {
    /// The stack.
    Stack,
    /// The stack, on this link.
    StackLinkLocal,
    /// The other end of the cable.
    Peer,
    /// The other end of the cable, on this link.
    PeerLinkLocal,
    /// Ends as the stack's does.
    Alike(u16),
    /// In the stack's network.
    Near(u8),
    /// The group that is asked for the stack's address, all machines, and all of a kind.
    Asked,
    /// All machines.
    All,
    /// One of the groups that are known.
    Group(u8),
    /// Whoever has no address yet.
    Nobody,
    /// This machine, to itself.
    Loopback,
    /// An IPv4 address as an IPv6 address.
    Mapped,
    /// Anyone.
    Any([u8; 16]),
}

impl Whose {
    /// Its IPv4 address.
    #[must_use]
    pub fn v4(self) -> Ipv4Addr {
        match self {
            Self::Stack | Self::StackLinkLocal => frame::STACK,
            Self::Peer | Self::PeerLinkLocal => frame::PEER,
            Self::Alike(high) => Ipv4Addr::from_bits(u32::from(high) << 16 | 2),
            Self::Near(last) => Ipv4Addr::new(10, 0, 0, last),
            Self::Asked => Ipv4Addr::new(10, 0, 0, 255),
            Self::All => Ipv4Addr::BROADCAST,
            Self::Group(last) => Ipv4Addr::new(224, 0, 0, last),
            Self::Nobody => Ipv4Addr::UNSPECIFIED,
            Self::Loopback | Self::Mapped => Ipv4Addr::LOCALHOST,
            Self::Any([a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d),
        }
    }

    /// Its IPv6 address.
    #[must_use]
    pub fn v6(self) -> Ipv6Addr {
        match self {
            Self::Stack => frame::STACK_V6,
            Self::StackLinkLocal => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2),
            Self::Peer => frame::PEER_V6,
            Self::PeerLinkLocal => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1),
            Self::Alike(high) => Ipv6Addr::new(high, 0, 0, 0, 0, 0, 0, 2),
            Self::Near(last) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()),
            Self::Asked => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2),
            Self::All => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
            Self::Group(last) => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, last.into()),
            Self::Nobody => Ipv6Addr::UNSPECIFIED,
            Self::Loopback => Ipv6Addr::LOCALHOST,
            Self::Mapped => frame::STACK.to_ipv6_mapped(),
            Self::Any(bytes) => Ipv6Addr::from(bytes),
        }
    }
}
