//! What routers say of a link: the addresses that can be made in it (SLAAC, RFC 4862), name
//! servers (RFC 8106), and themselves (RFC 4861, section 6.3.4), with their preferences (RFC
//! 4191).
//!
//! Addresses are those that the Ethernet address makes.

use super::config::ROUTERS;
use super::ndisc::link_local;
use core::net::Ipv6Addr;
use core::time::Duration;
use devices::net::{HEADER, Mac};
use kernel::time::Instant;

/// The address of an interface in a network of 64 bits.
const fn address(prefix: Ipv6Addr, mac: Mac) -> Ipv6Addr {
    let id = link_local(mac).to_bits() as u64;
    Ipv6Addr::from_bits(prefix.to_bits() >> 64 << 64 | id as u128)
}

/// How often routers are asked, and how long they have to answer (section 10).
const ASKED: u8 = 3;
const PATIENCE: Duration = Duration::from_secs(4);

/// A lifetime that nobody who only claims to be a router can take from an address (RFC
/// 4862, section 5.5.3).
const SAFE: Duration = Duration::from_secs(7200);

/// A network, and the bits of its prefix.
pub(super) type Link = (Ipv6Addr, u8);

/// Networks that are on the link.
pub(super) const LINKS: usize = 4;

/// Networks that addresses are made in, how many of them are preferred at most, and name servers that are
/// taken from routers. The others are for those that a router has renumbered: what is connected there
/// goes on (RFC 4862, section 5.5.4).
const NETWORKS: usize = 4;
const PREFERRED: usize = 2;
pub(super) const SERVERS: usize = 2;

/// How much a router is to be preferred (RFC 4191, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Preference {
    Low,
    Medium,
    High,
}

impl Preference {
    /// That in the flags of an advertisement.
    const fn of(flags: u8) -> Self {
        match flags >> 3 & 3 {
            1 => Self::High,
            3 => Self::Low,
            _ => Self::Medium,
        }
    }
}

/// A network that an address is made in.
#[derive(Clone, Copy, Debug)]
struct Network {
    prefix: Ipv6Addr,
    /// How long it is valid.
    until: Instant,
    /// How long its address is preferred to others; `None` when that is over.
    preferred: Option<Instant>,
}

/// A router to all networks.
#[derive(Clone, Copy, Debug)]
struct Router {
    address: Ipv6Addr,
    preference: Preference,
    until: Instant,
}

/// What routers said.
#[derive(Debug)]
pub(super) struct Routers {
    /// When to ask next, and how often that was done.
    ask: Option<Instant>,
    asked: u8,
    networks: heapless::Vec<Network, NETWORKS>,
    links: heapless::Vec<(Link, Instant), LINKS>,
    /// The best first.
    routers: heapless::Vec<Router, ROUTERS>,
    servers: heapless::Vec<(Ipv6Addr, Instant), SERVERS>,
    /// What is to be done about it may have changed.
    pub(super) news: bool,
}

/// A lifetime in seconds, of which the longest is for ever.
fn until(now: Instant, seconds: u32) -> Instant {
    let seconds = if seconds == u32::MAX { u64::MAX } else { seconds.into() };
    now.saturating_add(Duration::from_secs(seconds))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|it| u32::from_be_bytes(*it))
}

impl Routers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            ask: Some(now),
            asked: 0,
            networks: heapless::Vec::new(),
            links: heapless::Vec::new(),
            routers: heapless::Vec::new(),
            servers: heapless::Vec::new(),
            news: true,
        }
    }

    /// The routers to send by, the best first.
    pub(super) fn routers(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.routers.iter().map(|it| it.address)
    }

    /// Returns the name servers that they named and that are not over.
    pub(super) fn servers(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.servers.iter().map(|&(server, _)| server)
    }

    /// The addresses that `mac` has by them, and whether each is deprecated.
    pub(super) fn addresses(&self, mac: Mac) -> impl Iterator<Item = (Ipv6Addr, bool)> {
        self.networks.iter().map(move |it| (address(it.prefix, mac), it.preferred.is_none()))
    }

    /// The networks that are on the link, whether this machine has an address in them or not.
    pub(super) fn links(&self) -> impl Iterator<Item = Link> {
        self.links.iter().map(|&(link, _)| link)
    }

    /// Hears what `router` says in the advertisement in `frame`.
    pub(super) fn hear(&mut self, router: Ipv6Addr, frame: &[u8], now: Instant) {
        let end = frame.get(HEADER + 4..).and_then(|it| it.first_chunk());
        let end = end.map_or(0, |it| HEADER + 40 + usize::from(u16::from_be_bytes(*it)));
        let Some(message) = frame.get(HEADER + 40..end) else { return };
        let Some((head, mut options)) = message.as_chunks::<8>().0.split_first() else { return };
        self.news = true;
        let lifetime = u32::from(u16::from_be_bytes([head[6], head[7]]));
        self.router(router, Preference::of(head[5]), lifetime, now);
        // Two times, in ms, that are the sender's own.
        options = options.get(1..).unwrap_or_default();
        while let Some([_, length, ..]) = options.first() {
            let Some((option, rest)) = options.split_at_checked((*length).into()) else { return };
            if option.is_empty() {
                return;
            }
            self.option(option.as_flattened(), now);
            options = rest;
        }
    }

    /// The interface is another one, or the same anew: who is a router here is asked again.
    pub(super) fn reconnected(&mut self, now: Instant) {
        self.news = true;
        (self.ask, self.asked) = (Some(now), 0);
    }

    /// Hears that who has this address is no router (RFC 4861, section 7.2.5).
    pub(super) fn is_none(&mut self, address: Ipv6Addr) {
        let before = self.routers.len();
        self.routers.retain(|it| it.address != address);
        self.news |= self.routers.len() < before;
    }

    /// Takes a router in, for `seconds`, or out when that is 0.
    fn router(&mut self, address: Ipv6Addr, preference: Preference, seconds: u32, now: Instant) {
        if seconds > 0 {
            self.ask = None;
        }
        let until = until(now, seconds);
        let old = self.routers.iter_mut().find(|it| it.address == address);
        if let Some(old) = old.filter(|it| seconds > 0 && it.preference == preference) {
            old.until = until;
            return;
        }
        self.routers.retain(|it| it.address != address);
        if seconds == 0 {
            return;
        }
        // Of those that are alike, the first one stays the first. Where there is no room, the
        // last gives way to a better one.
        let at = self.routers.iter().position(|it| it.preference < preference);
        if at.is_some() && self.routers.is_full() {
            self.routers.pop();
        }
        let at = at.unwrap_or(self.routers.len());
        let _ = self.routers.insert(at, Router { address, preference, until });
    }

    fn option(&mut self, option: &[u8], now: Instant) {
        let Some((head, addresses)) = option.split_at_checked(8) else { return };
        let addresses = addresses.as_chunks::<16>().0.iter().map(|it| Ipv6Addr::from(*it));
        match option {
            // A prefix of what is on the link, or one of 64 bits of which addresses may be made,
            // or both (RFC 4861, section 4.6.2).
            [3, 4, bits @ 1..=128, flags, ..] => {
                let (valid, preferred) = (word(option, 4), word(option, 8));
                let prefix = option.get(16..).and_then(|it| it.first_chunk::<16>());
                if let (Some(valid), Some(preferred), Some(prefix)) = (valid, preferred, prefix) {
                    // What is behind the prefix is to be ignored.
                    let behind = 128 - u32::from(*bits);
                    let prefix = u128::from_be_bytes(*prefix) >> behind << behind;
                    let prefix = Ipv6Addr::from_bits(prefix);
                    if flags & 0x80 != 0 {
                        self.link((prefix, *bits), valid, now);
                    }
                    if flags & 0x40 != 0 && *bits == 64 {
                        self.network(prefix, valid, preferred, now);
                    }
                }
            }
            // Name servers (RFC 8106, section 5.1).
            [25, 3..=255, ..] => {
                if let Some(seconds) = word(head, 4) {
                    addresses.for_each(|it| self.server(it, seconds, now));
                }
            }
            _ => {}
        }
    }

    /// Takes a name server in, for `seconds`, or out when that is 0 (RFC 8106, section 5.3.1).
    /// Where there is no room, the one that is over first gives way to one that lives longer.
    fn server(&mut self, server: Ipv6Addr, seconds: u32, now: Instant) {
        if server.is_unspecified() || server.is_multicast() || server.is_loopback() {
            return;
        }
        if seconds == 0 {
            self.servers.retain(|&(it, _)| it != server);
            return;
        }
        let end = until(now, seconds);
        if let Some((_, old)) = self.servers.iter_mut().find(|(it, _)| *it == server) {
            *old = end;
        } else if let Err(new) = self.servers.push((server, end))
            && let Some(first) = self.servers.iter_mut().min_by_key(|(_, end)| *end)
            && first.1 < end
        {
            *first = new;
        }
    }

    /// Takes in a network that is on the link, for `seconds`, or out when that is 0 (RFC 4861,
    /// section 6.3.4). Beyond a few, what is for one goes by a router.
    fn link(&mut self, link: Link, seconds: u32, now: Instant) {
        let (prefix, _) = link;
        if prefix.is_unicast_link_local() || prefix.is_multicast() || prefix.is_unspecified() {
            return;
        }
        self.links.retain(|&(it, _)| it != link || seconds > 0);
        let end = until(now, seconds);
        match self.links.iter_mut().find(|(it, _)| *it == link) {
            Some((_, old)) => *old = end,
            None if seconds > 0 => {
                let _ = self.links.push((link, end));
            }
            None => {}
        }
    }

    /// Takes in a network that addresses may be made in (RFC 4862, section 5.5.3). An address whose
    /// preferred lifetime is over is used until it is not valid any more, where there is no other
    /// (section 5.5.4). The one that ends first gives way to one that is preferred where there is no room.
    fn network(&mut self, prefix: Ipv6Addr, seconds: u32, preferred: u32, now: Instant) {
        let none = prefix.is_unicast_link_local() || prefix.is_multicast();
        if none || prefix.is_unspecified() || preferred > seconds {
            return;
        }
        let new = until(now, seconds);
        let preferred = (preferred > 0).then(|| until(now, preferred));
        if let Some(old) = self.networks.iter_mut().find(|it| it.prefix == prefix) {
            let safe = now.saturating_add(SAFE);
            old.until = if new > safe || new > old.until { new } else { safe.min(old.until) };
            old.preferred = preferred;
        } else if seconds > 0 {
            let all = self.networks.len();
            let best = self.networks.iter().filter(|it| it.preferred.is_some()).count();
            if best >= PREFERRED || (preferred.is_none() && all >= PREFERRED) {
                return;
            }
            if self.networks.is_full() {
                let old = self.networks.iter().enumerate().filter(|(_, it)| it.preferred.is_none());
                let Some((old, _)) = old.min_by_key(|(_, it)| it.until) else { return };
                self.networks.remove(old);
            }
            // Further networks have to do without this machine.
            let _ = self.networks.push(Network { prefix, until: new, preferred });
        }
    }

    /// Whether to ask now. Forgets what is over.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        if self.next().is_none_or(|next| next > now) {
            return false;
        }
        self.news = true;
        self.networks.retain(|it| it.until > now);
        for network in &mut self.networks {
            network.preferred = network.preferred.filter(|&preferred| preferred > now);
        }
        self.links.retain(|&(_, until)| until > now);
        self.servers.retain(|&(_, until)| until > now);
        self.routers.retain(|it| it.until > now);
        let due = self.ask.is_some_and(|at| at <= now);
        if due {
            self.asked += 1;
            self.ask = (self.asked < ASKED).then(|| now.saturating_add(PATIENCE));
        }
        due
    }

    /// When the next turn is.
    pub(super) fn next(&self) -> Option<Instant> {
        // No address is preferred for longer than it is valid.
        let networks = self.networks.iter().map(|it| it.preferred.unwrap_or(it.until));
        let ends = networks.chain(self.servers.iter().map(|&(_, until)| until));
        let links = self.links.iter().map(|&(_, until)| until);
        let ends = ends.chain(links).chain(self.routers.iter().map(|it| it.until));
        ends.chain(self.ask).min()
    }
}

#[cfg(test)]
mod tests;
