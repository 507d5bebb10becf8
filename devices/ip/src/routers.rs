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

/// Networks that addresses are made in, and name servers that are taken from routers.
const NETWORKS: usize = 2;
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
    networks: heapless::Vec<(Ipv6Addr, Instant), NETWORKS>,
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

    /// The addresses that `mac` has by them.
    pub(super) fn addresses(&self, mac: Mac) -> impl Iterator<Item = Ipv6Addr> {
        self.networks.iter().map(move |&(prefix, _)| address(prefix, mac))
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

    /// Takes in a network that addresses may be made in (RFC 4862, section 5.5.3). Addresses
    /// whose preferred lifetime is over are used until they are not valid any more.
    fn network(&mut self, prefix: Ipv6Addr, seconds: u32, preferred: u32, now: Instant) {
        let none = prefix.is_unicast_link_local() || prefix.is_multicast();
        if none || prefix.is_unspecified() || preferred > seconds {
            return;
        }
        let new = until(now, seconds);
        match self.networks.iter_mut().find(|(it, _)| *it == prefix) {
            Some((_, old)) => {
                let safe = now.saturating_add(SAFE);
                *old = if new > safe || new > *old { new } else { safe.min(*old) };
            }
            None if seconds > 0 => {
                // Further networks have to do without this machine.
                let _ = self.networks.push((prefix, new));
            }
            None => {}
        }
    }

    /// Whether to ask now. Forgets what is over.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        if self.next().is_none_or(|next| next > now) {
            return false;
        }
        self.news = true;
        self.networks.retain(|&(_, until)| until > now);
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
        let ends = self.networks.iter().chain(&self.servers).map(|&(_, until)| until);
        let links = self.links.iter().map(|&(_, until)| until);
        let ends = ends.chain(links).chain(self.routers.iter().map(|it| it.until));
        ends.chain(self.ask).min()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::ndisc::announce;
    use crate::packet::{Verdict, finish_icmp_v6, judge};
    use devices::net::Meta;
    use std::vec::Vec;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// What fe80::9 says: it is a router for `lifetime` s, and 2001:db8::/64 lives for
    /// `valid` s.
    fn advertisement(lifetime: u16, valid: u32) -> Vec<u8> {
        let mut frame = announce(MAC, ip("fe80::9"))[..54].to_vec();
        frame.extend([134, 0, 0, 0, 64, 0]);
        frame.extend(lifetime.to_be_bytes());
        frame.extend([0; 8]);
        frame.extend([3, 4, 64, 0xc0]);
        frame.extend(valid.to_be_bytes().into_iter().chain([0; 8]));
        frame.extend(ip("2001:db8::").octets());
        frame.extend([25, 3, 0, 0, 0, 0, 1, 0]);
        frame.extend(ip("2001:db8::53").octets());
        frame[19] = (frame.len() - 54) as u8;
        finish_icmp_v6(&mut frame);
        frame
    }

    #[test]
    fn routers_give_addresses_for_as_long_as_they_say() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
        let mut routers = Routers::new(now);
        assert!(routers.turn(now) && !routers.turn(now));
        let frame = advertisement(1800, 3600);
        let Verdict::Router(router) = judge(&frame, Meta::default()) else { panic!("a router") };
        routers.hear(router, &frame, now);
        assert_eq!(routers.routers().collect::<Vec<_>>(), [ip("fe80::9")]);
        assert_eq!(routers.addresses(MAC).collect::<Vec<_>>(), [ip("2001:db8::ff:fe00:1")]);
        assert_eq!(routers.servers().collect::<Vec<_>>(), [ip("2001:db8::53")]);
        assert_eq!(routers.next(), Some(after(256)));
        assert!(!routers.turn(after(256)));
        assert_eq!((routers.servers().count(), routers.routers().count()), (0, 1));
        assert_eq!(routers.next(), Some(after(1800)));
        assert!(!routers.turn(after(1800)));
        assert_eq!((routers.routers().count(), routers.addresses(MAC).count()), (0, 1));
        routers.turn(after(3600));
        assert_eq!((routers.next(), routers.addresses(MAC).count()), (None, 0));
    }

    /// The option that names `servers` for `seconds`.
    fn rdnss(servers: &[&str], seconds: u32) -> Vec<u8> {
        let mut option = [25, 1 + 2 * servers.len() as u8, 0, 0].to_vec();
        option.extend(seconds.to_be_bytes());
        option.extend(servers.iter().flat_map(|it| ip(it).octets()));
        option
    }

    #[test]
    fn name_servers_live_as_long_as_routers_say() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
        let mut routers = Routers::new(now);
        routers.ask = None;
        let names = |routers: &Routers| routers.servers().collect::<Vec<_>>();
        let (a, b, c) = ("2001:db8::1", "2001:db8::2", "2001:db8::3");
        routers.option(&rdnss(&[a, b, c], 100), now);
        assert_eq!(names(&routers), [ip(a), ip(b)], "there is room for two");
        // Another option prolongs one, and leaves what it does not name.
        routers.option(&rdnss(&[b], 300), now);
        assert_eq!(routers.next(), Some(after(100)));
        routers.turn(after(100));
        assert_eq!(names(&routers), [ip(b)]);
        // One that is over later takes the place of one that is over earlier, not otherwise.
        routers.option(&rdnss(&[a, c], 150), after(100));
        assert_eq!(names(&routers), [ip(b), ip(a)]);
        routers.option(&rdnss(&[c], u32::MAX), after(100));
        assert_eq!(names(&routers), [ip(b), ip(c)]);
        routers.turn(after(300));
        assert_eq!(
            (names(&routers), routers.next()),
            ([ip(c)].to_vec(), Some(until(now, u32::MAX)))
        );
        routers.option(&rdnss(&[c], 0), after(300));
        assert_eq!((names(&routers), routers.next()), (Vec::new(), None));
        // None that could be asked, and options that are cut short.
        routers.option(&rdnss(&["::", "ff02::1", "::1"], 100), now);
        routers.option(&rdnss(&[a], 100)[..16], now);
        assert_eq!(routers.servers().count(), 0);
    }

    #[test]
    fn a_prefix_is_its_first_64_bits_and_no_lifetime_contradicts_the_other() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let mut routers = Routers::new(now);
        let mut hear = |last: &str, valid: u32, preferred: u32| {
            let mut frame = advertisement(1800, valid);
            frame[78..82].copy_from_slice(&preferred.to_be_bytes());
            frame[86..102].copy_from_slice(&ip(last).octets());
            routers.hear(ip("fe80::9"), &frame, now);
            routers.addresses(MAC).collect::<Vec<_>>()
        };
        assert!(hear("2001:db8::", 100, 101).is_empty(), "preferred for longer than valid");
        assert!(hear("::1:2:3:4", 100, 100).is_empty(), "no prefix but what is ignored");
        let address = [ip("2001:db8::ff:fe00:1")];
        assert_eq!(hear("2001:db8::1:2:3:4", 100, 100), address);
        assert_eq!(hear("2001:db8::5", 100, 100), address, "the same network");
        assert_eq!(hear("2001:db8::", 100, 100), address);
    }

    #[test]
    fn what_is_on_the_link_is_another_matter_than_addresses() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let mut routers = Routers::new(now);
        let mut hear = |prefix: &str, bits: u8, flags: u8, valid: u32| {
            let mut frame = advertisement(1800, valid);
            (frame[72], frame[73]) = (bits, flags);
            frame[86..102].copy_from_slice(&ip(prefix).octets());
            routers.hear(ip("fe80::9"), &frame, now);
            (routers.links().collect::<Vec<_>>(), routers.addresses(MAC).count())
        };
        assert_eq!(hear("2001:db8::", 64, 0x40, 100), (Vec::new(), 1));
        assert_eq!(
            hear("2001:db8:1:2:3::4", 48, 0xc0, 100),
            ([(ip("2001:db8:1::"), 48)].into(), 1)
        );
        // Who does not say that it is on the link does not say that it is not.
        assert_eq!(hear("2001:db8:1::", 48, 0, 0).0.len(), 1);
        assert_eq!(hear("fe80::", 64, 0x80, 100).0.len(), 1);
        assert_eq!(hear("::", 1, 0x80, 100).0.len(), 1);
        let link = (ip("2001:db8::"), 64);
        assert_eq!(hear("2001:db8::", 64, 0xc0, 200), ([(ip("2001:db8:1::"), 48), link].into(), 1));
        assert_eq!(hear("2001:db8:1::", 48, 0x80, 0), ([link].into(), 1));
        assert_eq!(hear("2001:db8:1::", 129, 0x80, 100).0.len(), 1);
        for n in 1..9 {
            assert!(hear(&std::format!("2001:db8:{n}::"), 48, 0x80, 300).0.len() <= LINKS);
        }
        routers.turn(now.saturating_add(Duration::from_secs(200)));
        assert!(!routers.links().any(|it| it == link) && routers.links().count() == 3);
    }

    #[test]
    fn nobody_can_take_an_address_away_at_once() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let mut routers = Routers::new(now);
        routers.hear(ip("fe80::9"), &advertisement(1800, u32::MAX), now);
        routers.hear(ip("fe80::9"), &advertisement(0, 1), now);
        (routers.servers, routers.links) = Default::default();
        assert_eq!(routers.routers().next(), None);
        assert_eq!(routers.next(), Some(now.saturating_add(SAFE)));
        routers.hear(ip("fe80::9"), &advertisement(0, 1), now);
        (routers.servers, routers.links) = Default::default();
        assert_eq!(routers.next(), Some(now.saturating_add(SAFE)));
    }

    #[test]
    fn routers_are_asked_three_times() {
        kernel::testing::simulate_time();
        let mut now = Instant::now();
        let mut routers = Routers::new(now);
        for _ in 0..ASKED {
            now = routers.next().unwrap();
            assert!(routers.turn(now));
        }
        assert_eq!(routers.next(), None);
    }

    #[test]
    fn what_comes_from_afar_or_is_spoilt_is_useless() {
        let with = |at: usize, value: u8, mend: bool| {
            let mut frame = advertisement(1800, 3600);
            frame[at] = value;
            if mend {
                (frame[56], frame[57]) = (0, 0);
                finish_icmp_v6(&mut frame);
            }
            judge(&frame, Meta::default())
        };
        assert!(matches!(with(0, 0x33, false), Verdict::Router(_)));
        assert_eq!(with(21, 254, true), Verdict::Useless);
        assert_eq!(with(22, 0x20, true), Verdict::Useless);
        assert_eq!(with(60, 9, false), Verdict::Corrupt);
    }

    #[test]
    fn no_bytes_make_it_fail() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let good = advertisement(1800, 3600);
        for at in 54..good.len() {
            for value in [0, 1, 3, 25, 255] {
                let mut bad = good.clone();
                bad[at] = value;
                Routers::new(now).hear(ip("fe80::9"), &bad, now);
            }
            Routers::new(now).hear(ip("fe80::9"), &good[..at], now);
        }
    }

    #[test]
    fn several_routers_stand_in_the_order_of_their_preferences() {
        kernel::testing::simulate_time();
        let now = Instant::now();
        let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
        let mut routers = Routers::new(now);
        let mut hear = |router: &str, flags: u8, lifetime: u16| {
            let mut frame = advertisement(lifetime, 3600);
            frame[59] = flags;
            routers.hear(ip(router), &frame, now);
            routers.routers().map(|it| it.octets()[15]).collect::<Vec<_>>()
        };
        // Preferences: medium, high, low, and the one that is reserved and stands for medium.
        assert_eq!(hear("fe80::1", 0, 1800), [1]);
        assert_eq!(hear("fe80::2", 3 << 3, 1800), [1, 2]);
        assert_eq!(hear("fe80::3", 1 << 3, 100), [3, 1, 2]);
        assert_eq!(hear("fe80::4", 2 << 3, 1800), [3, 1, 4, 2]);
        // A fifth that is better takes the place of the last, and one that is not does not.
        assert_eq!(hear("fe80::5", 3 << 3, 1800), [3, 1, 4, 2]);
        assert_eq!(hear("fe80::6", 0, 1800), [3, 1, 4, 6]);
        // What they say anew counts.
        assert_eq!(hear("fe80::4", 1 << 3, 1800), [3, 4, 1, 6]);
        assert_eq!(hear("fe80::1", 0, 50), [3, 4, 1, 6]);
        assert_eq!(hear("fe80::6", 1 << 3, 0), [3, 4, 1]);
        routers.turn(after(50));
        assert_eq!(routers.routers().collect::<Vec<_>>(), [ip("fe80::3"), ip("fe80::4")]);
        routers.turn(after(100));
        assert_eq!(routers.routers().collect::<Vec<_>>(), [ip("fe80::4")]);
        assert_eq!(routers.next(), Some(after(256)));
    }
}
