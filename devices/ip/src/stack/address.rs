//! Addresses and routes.

use super::Protocols;
use crate::config::ADDRESSES;
use crate::dhcp::{ROUTES, Route};
use crate::packet::Ends;
use crate::{Error, ndisc};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use smoltcp::wire::{IpAddress, IpCidr};

/// The ways to IPv4 networks.
pub(crate) type Routes = heapless::Vec<Route, ROUTES>;

/// All machines of this link (RFC 1112, section 4; RFC 4291, section 2.7.1).
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

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

impl Protocols {
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.interface.has_ip_addr(IpAddress::from(address))
    }

    /// Whom a packet between these addresses is for: nobody here when it is from one of
    /// our own (land), from all machines of a network, or to neither us nor a group of
    /// ours.
    pub(crate) fn whom(&self, ends: Ends) -> Whom {
        let (from, to) = (IpAddress::from(ends.from), IpAddress::from(ends.to));
        let all = [IpAddress::Ipv4(Ipv4Addr::BROADCAST), IpAddress::Ipv4(ALL_SYSTEMS)];
        let mut whom = Whom::Nobody;
        if all.contains(&to) || to == IpAddress::Ipv6(ALL_NODES) {
            whom = Whom::All;
        }
        for own in self.interface.ip_addrs() {
            let group = match own {
                IpCidr::Ipv4(own) => own.broadcast().map(IpAddress::Ipv4),
                IpCidr::Ipv6(own) => Some(ndisc::group_of(own.address()).into()),
            };
            if own.address() == from || group == Some(from) {
                return Whom::Nobody;
            }
            if own.address() == to {
                whom = Whom::Us;
            } else if group == Some(to) {
                whom = Whom::All;
            }
        }
        whom
    }

    /// Whether this machine listens to a group of IPv6, or to any, for which `::` stands.
    pub(crate) fn listens(&self, group: Ipv6Addr) -> bool {
        let own = |it: &IpCidr| match it {
            IpCidr::Ipv6(it) => ndisc::group_of(it.address()) == group,
            IpCidr::Ipv4(_) => false,
        };
        group.is_unspecified() || self.interface.ip_addrs().iter().any(own)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.interface.ip_addrs().iter().map(|it| (it.address().into(), it.prefix_len()))
    }

    /// Whether its addresses may be others than when this was last asked.
    pub(crate) const fn is_elsewhere(&mut self) -> bool {
        core::mem::replace(&mut self.elsewhere, false)
    }

    /// The address to speak to `to` from, if there is a way to it.
    pub(crate) fn source(&self, to: IpAddr) -> Result<IpAddr, Error> {
        let target = IpAddress::from(to);
        // smoltcp panics when asked for the way there.
        if to.is_unspecified() {
            return Err(Error::Unreachable);
        }
        let source = self.interface.get_source_address(&target).ok_or(Error::Unreachable)?;
        let all = to == Ipv4Addr::BROADCAST || to.is_multicast();
        let odd = to.is_loopback() || self.interface.has_ip_addr(target);
        let way = !odd && (all || self.next_hop(to).is_some());
        // It may be none of ours when there is none.
        let own = self.interface.has_ip_addr(source);
        if way && own { Ok(source.into()) } else { Err(Error::Unreachable) }
    }

    /// Where to send what goes to `to`: there, or to a router.
    pub(crate) fn next_hop(&self, to: IpAddr) -> Option<IpAddr> {
        let target = IpAddress::from(to);
        if self.interface.ip_addrs().iter().any(|it| it.contains_addr(&target)) {
            return Some(to);
        }
        match to {
            IpAddr::V4(to) => {
                let ways = self.routes.iter().filter(|it| it.has(to));
                ways.max_by_key(|it| it.bits).map(|it| it.hop.into())
            }
            IpAddr::V6(_) => {
                let route = self.interface.routes().get_default_ipv6_route();
                route.map(|it| it.via_router.into())
            }
        }
    }

    /// Whether it stands for all machines of a network of ours.
    pub(super) fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        let ours = |it: &IpCidr| match it {
            IpCidr::Ipv4(it) => it.broadcast() == Some(address),
            IpCidr::Ipv6(_) => false,
        };
        address == Ipv4Addr::BROADCAST || self.interface.ip_addrs().iter().any(ours)
    }

    /// Whether it may be a neighbour's: it is sent to without a router, or is one.
    pub(crate) fn is_near(&self, address: IpAddr) -> bool {
        let router = self.interface.routes().get_default_ipv6_route();
        let near = self.next_hop(address) == Some(address)
            || router.is_some_and(|it| IpAddr::from(it.via_router) == address)
            || self.routes.iter().any(|it| IpAddr::from(it.hop) == address);
        near && !self.is_broadcast(address)
    }

    /// Has this IPv4 address and no other, and these routes if they are to change.
    pub(crate) fn set_ipv4(&mut self, address: Option<(Ipv4Addr, u8)>, routes: Option<&[Route]>) {
        if let Some(routes) = routes {
            self.routes = routes.iter().copied().collect();
        }
        let new = address.map(|(address, bits)| (IpAddr::V4(address), bits));
        if !self.addresses().filter(|it| it.0.is_ipv4()).eq(new) {
            self.interface.update_ip_addrs(|addresses| {
                addresses.retain(|it| !matches!(it, IpCidr::Ipv4(_)));
                // The others are few.
                addresses.extend(new.map(|(address, bits)| IpCidr::new(address.into(), bits)));
            });
            self.elsewhere = true;
        }
        self.end_strays();
    }

    /// The IPv6 addresses beside the link-local one, and the router.
    pub(crate) fn ipv6(&self) -> (heapless::Vec<Ipv6Addr, ADDRESSES>, Option<Ipv6Addr>) {
        let own = self.interface.ip_addrs().iter().filter_map(|it| match it {
            IpCidr::Ipv6(it) if !it.address().is_unicast_link_local() => Some(it.address()),
            _ => None,
        });
        let router = self.interface.routes().get_default_ipv6_route().map(|it| it.via_router);
        let router = router.and_then(|it| match it {
            IpAddress::Ipv6(it) => Some(it),
            IpAddress::Ipv4(_) => None,
        });
        (own.collect(), router)
    }

    /// Has these IPv6 addresses beside the link-local one and no others, and this router.
    pub(crate) fn set_ipv6(&mut self, new: &[Ipv6Addr], router: Option<Ipv6Addr>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.retain(|it| match it {
                IpCidr::Ipv6(it) => it.address().is_unicast_link_local(),
                IpCidr::Ipv4(_) => true,
            });
            addresses.extend(new.iter().map(|&it| IpCidr::new(IpAddress::Ipv6(it), 64)));
        });
        self.elsewhere = true;
        self.end_strays();
        self.interface.routes_mut().remove_default_ipv6_route();
        if let Some(router) = router {
            // There is room for one of each version.
            let _ = self.interface.routes_mut().add_default_ipv6_route(router);
        }
    }
}
