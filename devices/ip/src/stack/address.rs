//! Addresses, whom packets are for, and which address speaks to whom.

use super::Protocols;
use crate::config::ADDRESSES;
use crate::dhcp::near;
use crate::packet::Ends;
use crate::routers::{LINKS, Link};
use crate::{Error, ndisc};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All machines of this link (RFC 1112, section 4; RFC 4291, section 2.7.1).
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The scopes of links and of the world (RFC 4291, section 2.7).
const LINK: u8 = 2;
const GLOBAL: u8 = 14;

/// Whom a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// This machine alone.
    Us,
    /// This machine and others: errors about it are told to nobody (RFC 1122, section
    /// 3.2.2; RFC 4443, section 2.4).
    All,
    /// Others, or it is from where nobody is.
    Nobody,
}

/// An address of this machine, in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) address: IpAddr,
    /// The length of its network's prefix.
    pub(crate) bits: u8,
    /// Routers gave it, who say by themselves which networks are on the link (RFC 5942, section 4).
    pub(crate) given: bool,
    /// It is not to be used where there is another one (RFC 4862, section 5.5.4).
    pub(crate) deprecated: bool,
}

/// How many bits two addresses begin with alike.
const fn common(one: Ipv6Addr, other: Ipv6Addr) -> u8 {
    (one.to_bits() ^ other.to_bits()).leading_zeros() as u8
}

/// How far an address reaches (RFC 6724, section 3.1).
const fn scope(address: Ipv6Addr) -> u8 {
    if address.is_multicast() {
        address.octets()[1] & 15
    } else if address.is_unicast_link_local() {
        LINK
    } else {
        GLOBAL
    }
}

impl Own {
    /// Whether `address` is on the link, as it is in its network.
    pub(super) fn reaches(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            _ if self.given => false,
            (IpAddr::V4(own), IpAddr::V4(address)) => near(own, self.bits, address),
            (IpAddr::V6(own), IpAddr::V6(address)) => common(own, address) >= self.bits,
            _ => false,
        }
    }

    /// The address of all machines of its network, if it has one: those of two and of one have
    /// none (RFC 3021).
    fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(own) if self.bits < 31 => {
                Some(Ipv4Addr::from_bits(own.to_bits() | u32::MAX >> self.bits))
            }
            _ => None,
        }
    }

    /// The group that it is asked for by.
    fn group(&self) -> Option<IpAddr> {
        match self.address {
            IpAddr::V4(_) => self.broadcast().map(IpAddr::V4),
            IpAddr::V6(own) => Some(ndisc::group_of(own).into()),
        }
    }

    /// How well it speaks to `to`: the larger the better. By scope (RFC 6724, section 5, rule
    /// 2), then by whether it is preferred (rule 3), then by whether both or none are of a site alone
    /// (the one label that there is here, rule 6), then by the longest prefix (rule 8); the other
    /// rules are for machines that are on several links or move. `None` where it reaches
    /// less far than `to`, and answers would not come back.
    fn suits(&self, to: IpAddr) -> Option<(u8, bool, bool, u8)> {
        match (self.address, to) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Some((0, true, true, 0)),
            (IpAddr::V6(own), IpAddr::V6(to)) => {
                let (own_scope, wanted) = (scope(own), scope(to));
                let preferred = !self.deprecated;
                let prefix = common(own, to).min(self.bits);
                let alike = own.is_unique_local() == to.is_unique_local();
                // A wider scope than is wanted is the worse the wider it is, a smaller one the
                // worse the smaller it is, and all of these worse than all of those.
                match own_scope >= wanted {
                    true => Some((u8::MAX - own_scope, preferred, alike, prefix)),
                    false if to.is_multicast() => Some((own_scope, preferred, alike, prefix)),
                    false => None,
                }
            }
            _ => None,
        }
    }
}

impl Protocols {
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.own.iter().any(|it| it.address == address)
    }

    /// Whom a packet between these addresses is for: nobody here when it is from one of
    /// our own (land), from all machines of a network, or to neither us nor a group of
    /// ours.
    pub(crate) fn whom(&self, ends: Ends) -> Whom {
        let Ends { from, to } = ends;
        let mut whom = Whom::Nobody;
        if to == Ipv4Addr::BROADCAST || to == ALL_SYSTEMS || to == ALL_NODES {
            whom = Whom::All;
        }
        for own in &self.own {
            let group = own.group();
            if own.address == from || group == Some(from) {
                return Whom::Nobody;
            }
            if own.address == to {
                whom = Whom::Us;
            } else if group == Some(to) {
                whom = Whom::All;
            }
        }
        whom
    }

    /// Whether this machine listens to a group of IPv6, or to any, for which `::` stands.
    pub(crate) fn listens(&self, group: Ipv6Addr) -> bool {
        group.is_unspecified() || self.groups().any(|it| it == group)
    }

    /// The groups of IPv6 that its addresses are asked for by.
    pub(super) fn groups(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.own.iter().filter_map(|it| match it.address {
            IpAddr::V6(own) => Some(ndisc::group_of(own)),
            IpAddr::V4(_) => None,
        })
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.own.iter().map(|it| (it.address, it.bits))
    }

    /// Whether its addresses may be others than when this was last asked.
    pub(crate) const fn is_elsewhere(&mut self) -> bool {
        core::mem::replace(&mut self.elsewhere, false)
    }

    /// The address to speak to `to` from, if there is a way to it.
    pub(crate) fn source(&self, to: IpAddr) -> Result<IpAddr, Error> {
        let all = to == Ipv4Addr::BROADCAST || to.is_multicast();
        let odd = to.is_unspecified() || to.is_loopback() || self.has(to);
        if odd || !all && self.next_hop(to).is_none() {
            return Err(Error::Unreachable);
        }
        self.speaker(to).ok_or(Error::Unreachable)
    }

    /// The address that speaks to `to` best, whatever the way there is.
    pub(crate) fn speaker(&self, to: IpAddr) -> Option<IpAddr> {
        let mut best = None;
        for own in &self.own {
            let suits = own.suits(to);
            if suits.is_some() && best.is_none_or(|(it, _)| it < suits) {
                best = Some((suits, own.address));
            }
        }
        best.map(|it| it.1)
    }

    /// Whether it stands for all machines of a network of ours.
    pub(super) fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        address == Ipv4Addr::BROADCAST || self.own.iter().any(|it| it.broadcast() == Some(address))
    }

    /// Has this IPv4 address and no other.
    pub(crate) fn set_ipv4(&mut self, address: Option<(Ipv4Addr, u8)>) {
        let new = address.map(|(address, bits)| Own {
            address: address.into(),
            bits,
            given: false,
            deprecated: false,
        });
        if !self.own.iter().filter(|it| it.address.is_ipv4()).copied().eq(new) {
            self.own.retain(|it| it.address.is_ipv6());
            // There is room for one.
            self.own.extend(new);
            self.elsewhere = true;
        }
        self.end_strays();
    }

    /// Has these networks of IPv6 on the link, beside those of its addresses.
    pub(crate) fn set_links(&mut self, links: &[Link]) {
        self.links = links.iter().copied().take(LINKS).collect();
    }

    /// Whether an address is on the link.
    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        self.own.iter().any(|it| it.reaches(address))
            || match address {
                IpAddr::V6(it) => self.links.iter().any(|link| common(link.0, it) >= link.1),
                IpAddr::V4(_) => false,
            }
    }

    /// Has these IPv6 addresses beside the link-local one and no others; whether each is deprecated.
    pub(crate) fn set_ipv6(&mut self, new: &[(Ipv6Addr, bool)]) {
        let far = |it: &&mut Own| scope_of(it.address) == Some(GLOBAL);
        let old = self.own.iter_mut().filter(far);
        if old.map(|it| it.address).eq(new.iter().map(|it| IpAddr::V6(it.0))) {
            let old = self.own.iter_mut().filter(far);
            old.zip(new).for_each(|(own, &(_, deprecated))| own.deprecated = deprecated);
            return;
        }
        self.own.retain(|it| scope_of(it.address) != Some(GLOBAL));
        for &(address, deprecated) in new.iter().take(ADDRESSES - self.own.len()) {
            let own = Own { address: address.into(), bits: 64, given: true, deprecated };
            // There is room.
            let _ = self.own.push(own);
        }
        self.elsewhere = true;
        self.end_strays();
    }
}

/// The scope of an address of IPv6.
const fn scope_of(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V6(it) => Some(scope(it)),
        IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    /// The one of `own`, of which some are deprecated (`-`), that speaks to `to` best.
    fn best(own: &[&str], to: &str) -> Option<IpAddr> {
        let to: IpAddr = to.parse().unwrap();
        let own: Vec<Own> = own
            .iter()
            .map(|it| {
                let (address, bits) = it.split_once('/').unwrap();
                let (bits, deprecated) = match bits.strip_suffix('-') {
                    Some(bits) => (bits, true),
                    None => (bits, false),
                };
                let address = address.parse().unwrap();
                Own { address, bits: bits.parse().unwrap(), given: false, deprecated }
            })
            .collect();
        own.iter()
            .rev()
            .filter(|it| it.suits(to).is_some())
            .max_by_key(|it| it.suits(to))
            .map(|it| it.address)
    }

    #[test]
    fn who_speaks_to_whom_is_by_scope_and_by_the_longest_prefix() {
        let own =
            ["10.0.0.2/24", "fe80::2/64", "2001:db8:1::2/64", "fd00::2/64", "2001:db8:1:8::2/64"];
        for (to, from) in [
            ("10.9.9.9", "10.0.0.2"),
            ("fe80::9", "fe80::2"),
            ("ff02::1", "fe80::2"),
            ("ff05::1", "2001:db8:1::2"),
            ("ff0e::1", "2001:db8:1::2"),
            ("2001:db8:1::9", "2001:db8:1::2"),
            ("2001:db8:1:8::9", "2001:db8:1:8::2"),
            ("2001:db8:1:b::9", "2001:db8:1:8::2"),
            ("2606::1", "2001:db8:1::2"),
            ("fd00::9", "fd00::2"),
            ("fd99::9", "fd00::2"),
        ] {
            assert_eq!(best(&own, to), Some(from.parse().unwrap()), "{to}");
        }
        assert_eq!(best(&["fe80::2/64"], "2001:db8::1"), None);
        assert_eq!(best(&["fe80::2/64"], "ff0e::1"), Some("fe80::2".parse().unwrap()));
        assert_eq!(best(&["fe80::2/64", "fd00::2/64"], "10.0.0.1"), None);
    }

    #[test]
    fn a_deprecated_address_speaks_where_there_is_no_other_that_reaches_as_far() {
        let own = ["fe80::2/64", "2001:db8:1::2/64-", "2001:db8:2::2/64"];
        for (to, from) in [
            // Rule 3 stands before the labels and the longest prefix, and behind the scope.
            ("2001:db8:1::9", "2001:db8:2::2"),
            ("2606::1", "2001:db8:2::2"),
            ("fe80::9", "fe80::2"),
        ] {
            assert_eq!(best(&own, to), Some(from.parse().unwrap()), "{to}");
        }
        assert_eq!(best(&own[..2], "2606::1"), Some("2001:db8:1::2".parse().unwrap()));
        let labels = ["fd00::2/64-", "2001:db8:2::2/64"];
        assert_eq!(best(&labels, "fd00::9"), Some("2001:db8:2::2".parse().unwrap()));
    }

    #[test]
    fn networks_have_one_address_for_all_where_they_are_large_enough() {
        let address = "10.0.3.2".parse().unwrap();
        let own = |bits| Own { address, bits, given: false, deprecated: false };
        for (bits, all) in [(8, "10.255.255.255"), (22, "10.0.3.255"), (30, "10.0.3.3")] {
            assert_eq!(own(bits).broadcast(), Some(all.parse().unwrap()));
            assert!(own(bits).reaches(all.parse().unwrap()));
            assert!(!own(bits).reaches("11.0.0.1".parse().unwrap()));
        }
        assert_eq!((own(31).broadcast(), own(32).broadcast()), (None, None));
        assert!(!own(32).reaches("10.0.3.3".parse().unwrap()));
    }
}
