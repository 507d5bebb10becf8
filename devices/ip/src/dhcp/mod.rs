//! Speaks DHCPv4 (RFC 2131, RFC 2132): the client of a [`Stack`](super::Stack), which runs
//! where [`Ipv4::Dhcp`](super::config::Ipv4::Dhcp) says so, and the parts of the message format
//! that servers need as well. `apps/dhcp` is a server that is made of them.

mod client;
mod flaw;
mod format;
mod moved;
mod terms;
#[cfg(test)]
mod tests;

pub use format::{COOKIE, HEAD, Kind, Malformed, SHORTEST, options};
pub use terms::SERVERS;

pub(super) use client::Client;
pub(super) use moved::Moved;
pub(super) use terms::{ROUTES, Route, is_edge, near};

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use flaw::Flaw;
use terms::Lease;

/// Is the UDP port that servers listen on (RFC 2131, section 4.1).
pub const SERVER: u16 = 67;

/// Is the UDP port that clients listen on (RFC 2131, section 4.1).
pub const CLIENT: u16 = 68;

/// A random number below `end`. A stack is not made without a source of them.
fn random_below(end: u64) -> u64 {
    super::random().unwrap_or_default() % end
}

/// What is logged. None of it more often than the client's waits are over.
enum Notice<'a> {
    /// It asks again, for so many seconds, since the last answer was useless or none came.
    Again(Option<(Ipv4Addr, Flaw)>, u64),
    /// A server refuses; it asks again after so many seconds.
    Refused(Ipv4Addr, u64),
    /// A lease is over that nobody prolonged.
    Over(Option<(Ipv4Addr, Flaw)>),
    /// There is a lease; whether its mask is by class.
    Lease(&'a Lease, bool),
}

/// Who does not answer, or what is wrong with the answer.
struct Wrong<'a>(&'a Option<(Ipv4Addr, Flaw)>);

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("no DHCP server answers"),
            Some((server, flaw)) => write!(f, "the DHCP server {server} is of no use: {flaw}"),
        }
    }
}

struct List<'a>(&'a [IpAddr]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if at == 0 { " " } else { ", " })?;
        }
        if self.0.is_empty() { f.write_str(" none") } else { Ok(()) }
    }
}

struct Ways<'a>(&'a [Route]);

impl fmt::Display for Ways<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.iter().find(|it| it.bits == 0) {
            Some(route) => write!(f, "gateway {}", route.hop)?,
            None => f.write_str("no gateway")?,
        }
        for Route { network, bits, hop } in self.0.iter().filter(|it| it.bits > 0) {
            write!(f, ", {network}/{bits} by {hop}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again(wrong, wait) => {
                write!(f, "{}: asking again, for {wait} s", Wrong(wrong))
            }
            Self::Refused(server, rest) => {
                let wrong = Some((*server, Flaw::Refused));
                write!(f, "{}: asking again in {rest} s", Wrong(&wrong))
            }
            Self::Over(wrong) => write!(f, "the lease is over: {}", Wrong(wrong)),
            Self::Lease(lease, by_class) => {
                let Lease { address, bits, routes, servers } = lease;
                let class = if *by_class { " (by its class, no mask was given)" } else { "" };
                let (ways, servers) = (Ways(routes), List(servers));
                write!(f, "{address}/{bits} by DHCP{class}, {ways}, dns{servers}")
            }
        }
    }
}

impl Notice<'_> {
    fn log(&self, name: &str) {
        match self {
            Self::Lease(..) => log::info!("{name}: {self}"),
            _ => log::warn!("{name}: {self}"),
        }
    }
}
