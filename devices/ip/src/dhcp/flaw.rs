//! What can be wrong with what a server says.

use core::fmt;
use core::net::Ipv4Addr;

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// An option runs past the end of its field.
    Malformed,
    /// It does not say what it is, or it is what only clients say.
    NoKind,
    /// It does not name its server, or names one that cannot be.
    NoServer,
    /// No machine can have this address.
    Address(Ipv4Addr),
    /// The server has this address itself.
    Servers(Ipv4Addr),
    /// The mask is none.
    Mask(Ipv4Addr),
    /// With these bits of a prefix, the address is the network's own or that of all.
    Edge(Ipv4Addr, u8),
    /// It acknowledges another address than was asked for.
    Other(Ipv4Addr),
    /// A server acknowledges that was not asked.
    Stranger,
    /// Nothing came after an offer was accepted.
    Silent,
    /// It refuses what it offered, or gave before.
    Refused,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("an option runs past the end of its answer"),
            Self::NoKind => f.write_str("its answer is no offer, acknowledgement or refusal"),
            Self::NoServer => f.write_str("its answer does not name the server (option 54)"),
            Self::Address(it) => write!(f, "it offers {it}, which no machine can have"),
            Self::Servers(it) => write!(f, "it offers {it}, which is its own address"),
            Self::Mask(it) => write!(f, "its mask {it} is none"),
            Self::Edge(it, bits) => {
                write!(f, "it offers {it}/{bits}, which is the network's own address or broadcast")
            }
            Self::Other(it) => write!(f, "it acknowledges {it}, which was not asked for"),
            Self::Stranger => f.write_str("it acknowledges what another server offered"),
            Self::Silent => f.write_str("it does not acknowledge what it offered"),
            Self::Refused => f.write_str("it refuses the address (DHCPNAK)"),
        }
    }
}
