//! What a server gives, and whether a machine can live with it.

use super::flaw::Flaw;
use super::format::{Answer, Value};
use core::net::{IpAddr, Ipv4Addr};

/// Is the number of name servers that are kept and asked at most.
pub const SERVERS: usize = 4;

/// Routes that are taken from a server; further ones are left out.
pub(crate) const ROUTES: usize = 6;

/// The shortest lease. With less, a machine would do little else but ask for more.
pub(super) const LEAST: u32 = 20;

/// The lease of a server that names none, which it must (RFC 2131, section 4.3.1).
const UNNAMED: u32 = 3600;

/// Where packets to a network go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The network's address and the bits of its prefix.
    pub(crate) network: Ipv4Addr,
    pub(crate) bits: u8,
    /// The router, on the link whatever its address is, or the destination itself.
    pub(crate) hop: Ipv4Addr,
}

impl Route {
    /// The way to all other networks.
    pub(crate) const fn all(hop: Ipv4Addr) -> Self {
        Self { network: Ipv4Addr::UNSPECIFIED, bits: 0, hop }
    }

    /// Whether it is the way to this network.
    fn is_for(&self, network: Ipv4Addr, bits: u8) -> bool {
        (self.network, self.bits) == (network, bits)
    }

    pub(crate) const fn has(&self, address: Ipv4Addr) -> bool {
        near(self.network, self.bits, address)
    }
}

/// Whether two addresses are in one network, whose prefix has so many bits.
pub(crate) const fn near(one: Ipv4Addr, bits: u8, other: Ipv4Addr) -> bool {
    let host = match u32::MAX.checked_shr(bits as u32) {
        Some(host) => host,
        None => 0,
    };
    (one.to_bits() ^ other.to_bits()) & !host == 0
}

/// Whether an address is that of the network of so many bits that it is in, or of all in
/// it. Networks of two addresses or one have neither (RFC 3021).
pub(crate) const fn is_edge(address: Ipv4Addr, bits: u8) -> bool {
    let host = match u32::MAX.checked_shr(bits as u32) {
        Some(host) => host,
        None => 0,
    };
    let part = address.to_bits() & host;
    bits < 31 && (part == 0 || part == host)
}

/// Whether one machine on a network may have an address.
pub(super) const fn is_host(address: Ipv4Addr) -> bool {
    // Of this network, of this machine, of groups, of experiments, and of all.
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// What a server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    pub(crate) bits: u8,
    pub(crate) routes: heapless::Vec<Route, ROUTES>,
    pub(crate) servers: heapless::Vec<IpAddr, SERVERS>,
}

/// An offer or acknowledgement that a machine can live with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) lease: Lease,
    pub(super) server: Ipv4Addr,
    /// Seconds that it is for, and after which to ask the server and then all for more;
    /// nothing when it is for ever.
    pub(super) times: Option<[u32; 3]>,
    /// No mask was given, so that it is by class.
    pub(super) by_class: bool,
}

/// The server that an answer names.
pub(super) fn server(answer: &Answer<'_>) -> Result<Ipv4Addr, Flaw> {
    let server = answer.word(54).map(Ipv4Addr::from);
    server.filter(|&it| is_host(it)).ok_or(Flaw::NoServer)
}

impl Terms {
    /// Judges what a server offers or gives.
    pub(super) fn read(answer: &Answer<'_>) -> Result<Self, Flaw> {
        let (address, server) = (answer.address, server(answer)?);
        if !is_host(address) {
            return Err(Flaw::Address(address));
        }
        if address == server {
            return Err(Flaw::Servers(address));
        }
        let mask = answer.option(1);
        let bits = match mask.as_slice() {
            // What was meant before there were masks (RFC 791, section 3.2).
            [] => match address.octets()[0] {
                0..128 => 8,
                128..192 => 16,
                _ => 24,
            },
            &[a, b, c, d] => {
                let mask = u32::from_be_bytes([a, b, c, d]);
                let whole = mask.leading_ones() + mask.trailing_zeros() == 32;
                if !whole || mask == 0 {
                    return Err(Flaw::Mask(Ipv4Addr::from_bits(mask)));
                }
                mask.leading_ones() as u8
            }
            _ => return Err(Flaw::Malformed),
        };
        if is_edge(address, bits) {
            return Err(Flaw::Edge(address, bits));
        }
        let routes = routes(&answer.option(121), address).unwrap_or_else(|| {
            let router = hosts(&answer.option(3)).find(|&it| it != address);
            router.into_iter().map(Route::all).collect()
        });
        let servers = hosts(&answer.option(6)).take(SERVERS).map(IpAddr::V4).collect();
        let word = |code| answer.word(code).map(u32::from_be_bytes);
        Ok(Self {
            lease: Lease { address, bits, routes, servers },
            server,
            times: times(word(51).unwrap_or(UNNAMED), word(58), word(59)),
            by_class: mask.is_empty(),
        })
    }
}

/// The addresses in the value of an option that a machine may have.
fn hosts(list: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    list.as_chunks().0.iter().map(|&it: &[u8; 4]| it.into()).filter(|&it| is_host(it))
}

/// Seconds until a lease ends, its server is asked for more, and all are (RFC 2131,
/// section 4.4.5). Those that a server says count if they are in order and leave time.
fn times(lease: u32, renew: Option<u32>, rebind: Option<u32>) -> Option<[u32; 3]> {
    if lease == u32::MAX {
        return None;
    }
    let lease = lease.max(LEAST);
    let rebind = rebind.unwrap_or(lease - lease / 8);
    let renew = renew.unwrap_or(lease / 2);
    let good = (LEAST / 2..rebind).contains(&renew) && rebind < lease;
    Some(if good { [lease, renew, rebind] } else { [lease, lease / 2, lease - lease / 8] })
}

/// Classless routes (RFC 3442), which stand instead of routers. `None` when there are none
/// or they make no sense.
fn routes(value: &Value, own: Ipv4Addr) -> Option<heapless::Vec<Route, ROUTES>> {
    let mut routes = heapless::Vec::new();
    let (mut list, none) = (value.as_slice(), value.is_empty());
    while let Some((&bits, after)) = list.split_first() {
        let length = usize::from(bits.div_ceil(8));
        let (prefix, hop) = match after.split_at_checked(length) {
            Some((prefix, [a, b, c, d, rest @ ..])) if bits <= 32 => {
                list = rest;
                (prefix, Ipv4Addr::new(*a, *b, *c, *d))
            }
            // One that is longer may have been cut.
            _ if value.is_full() => break,
            _ => return None,
        };
        let mut network = [0; 4];
        network[..length].copy_from_slice(prefix);
        let network = Ipv4Addr::from(network);
        // A single machine may be on the link; whole networks there are left to the mask.
        let hop = if hop.is_unspecified() && bits == 32 { network } else { hop };
        let route = Route { network, bits, hop };
        if !is_host(hop) || hop == own || routes.iter().any(|it: &Route| it.is_for(network, bits)) {
            continue;
        }
        if let Err(route) = routes.push(route)
            && route.bits == 0
        {
            // Nothing is worse than having no way to most of the world.
            *routes.last_mut()? = route;
        }
    }
    (!none).then_some(routes)
}
