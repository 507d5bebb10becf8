//! The next machine on the way to an address (RFC 1122, section 3.3.1; RFC 4861, section 5.2).

use super::{Protocols, Way};
use crate::config::ROUTERS;
use crate::dhcp::{ROUTES, Route};
use crate::neighbor::Turn;
use crate::wire::Wire;
use crate::{ndisc, packet};
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use kernel::time::Instant;

/// The ways to IPv4 networks.
pub(crate) type Routes = heapless::Vec<Route, ROUTES>;

/// How often a router that was silent is asked whether it is there again (RFC 4191, section
/// 3.2).
const AGAIN: Duration = Duration::from_secs(60);

/// A router to all networks of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Router {
    address: Ipv6Addr,
    /// It does not answer, and is asked again then.
    silent: Option<Instant>,
}

impl Protocols {
    /// Where to send what goes to `to`: there, or to a router.
    pub(crate) fn next_hop(&self, to: IpAddr) -> Option<IpAddr> {
        if self.is_on_link(to) {
            return Some(to);
        }
        match to {
            IpAddr::V4(to) => {
                let ways = self.routes.iter().filter(|it| it.has(to));
                ways.max_by_key(|it| it.bits).map(|it| it.hop.into())
            }
            IpAddr::V6(_) => {
                // The first that answers, or the one that was silent the longest ago (RFC
                // 4861, section 6.3.6).
                let first = self.routers.iter().min_by_key(|it| it.silent);
                first.map(|it| it.address.into())
            }
        }
    }

    /// Whether it may be a neighbour's: it is sent to without a router, or is one.
    pub(crate) fn is_near(&self, address: IpAddr) -> bool {
        let near = self.is_on_link(address)
            || self.routers.iter().any(|it| address == it.address)
            || self.routes.iter().any(|it| address == it.hop);
        near && !self.is_broadcast(address)
    }

    /// Has these ways to IPv4 networks.
    pub(crate) fn set_routes(&mut self, routes: &[Route]) {
        self.routes = routes.iter().copied().collect();
    }

    /// Has these routers of IPv6, the best first.
    pub(crate) fn set_routers(&mut self, routers: &[Ipv6Addr]) {
        let silent = |address| self.routers.iter().find(|it| it.address == address)?.silent;
        let new = routers.iter().take(ROUTERS);
        self.routers = new.map(|&address| Router { address, silent: silent(address) }).collect();
    }

    /// A neighbour was heard.
    pub(super) fn is_back(&mut self, address: IpAddr) {
        let router = self.routers.iter_mut().find(|it| address == it.address);
        router.into_iter().for_each(|it| it.silent = None);
    }

    /// How to send to an address of one machine.
    pub(super) fn way_to_one(&mut self, to: IpAddr, now: Instant) -> Way {
        match self.next_hop(to) {
            Some(hop) => match self.neighbors.lookup(hop, now) {
                Some(mac) => Way::Known(packet::header(mac, self.info.mac, to.is_ipv4())),
                None => Way::Sought(hop),
            },
            None => Way::None,
        }
    }

    /// Asks for the Ethernet addresses that are wanted. Returns when to ask again.
    pub(crate) fn seek(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
        // Where there is another router, one that was silent is not tried by what is for others.
        let others = self.routers.len() > 1;
        for router in self.routers.iter_mut().filter(|_| others) {
            if router.silent.is_some_and(|it| it <= now) {
                router.silent = Some(now.saturating_add(AGAIN));
                self.neighbors.want(router.address.into(), now);
            }
        }
        let mac = self.info.mac;
        while let Some(turn) = self.neighbors.turn(now) {
            let question = match turn {
                Turn::Ask(question) => question,
                Turn::GiveUp(address) => {
                    let router = self.routers.iter_mut().find(|it| address == it.address);
                    if let Some(router) = router {
                        router.silent = Some(now.saturating_add(AGAIN));
                    }
                    continue;
                }
            };
            let of = question.mac;
            match (self.source(question.address), question.address) {
                (Ok(IpAddr::V4(own)), IpAddr::V4(hop)) => {
                    self.say(wire, &packet::request_v4(mac, own, hop, of));
                }
                (Ok(IpAddr::V6(own)), IpAddr::V6(hop)) => {
                    self.say(wire, &ndisc::request(mac, own, hop, of));
                }
                _ => {}
            }
        }
        let silent = self.routers.iter().filter(|_| others).filter_map(|it| it.silent);
        silent.chain(self.neighbors.next()).min()
    }
}
