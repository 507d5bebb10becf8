//! What neighbours say, and who else has an address of ours.

use super::Engine;
use crate::ndisc;
use crate::neighbor::Heard;
use crate::packet::{self, Said, Why};
use crate::wire::Wire;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use devices::net::Mac;
use kernel::time::Instant;

/// How often another machine with an address of ours is answered (RFC 5227, section 1.1).
const CONTEND: Duration = Duration::from_secs(10);

impl Engine {
    /// Tells who looks whether anybody has `address` that it is ours (RFC 4862, section 5.4.3).
    pub(super) fn claim(&mut self, address: Ipv6Addr, frame: &[u8], wire: &dyn Wire, now: Instant) {
        let mac = self.protocols.mac();
        // One's own question comes back (RFC 7527).
        let own = packet::sender(frame) == Some(mac);
        if !own && self.protocols.has(address.into()) && self.errors.take(now) {
            self.protocols.say(wire, &ndisc::announce(mac, address));
        }
    }

    /// Hears what a neighbour says, and answers.
    pub(super) fn neighbor(&mut self, said: Said, frame: &[u8], wire: &dyn Wire, now: Instant) {
        let protocols = &mut self.protocols;
        let mac = protocols.mac();
        let asked = match said.why {
            Why::Question(own) if protocols.has(own) => Some(own),
            _ => None,
        };
        let answers = matches!(said.why, Why::Answer(own) if protocols.has(own));
        if said.mac == Some(mac) {
            // One's own frames come back.
            return;
        }
        if let Some(who) = said.who {
            if protocols.has(who) {
                return self.contend(who, said.mac, wire, now);
            }
            if protocols.is_near(who) {
                // Who asks by IPv6 does not say that packets from here arrive (RFC 4861, section
                // 7.2.3).
                let to_us = answers || asked.is_some_and(|own| own.is_ipv4());
                let (mac, asks, overrides) = (said.mac, asked.is_some(), said.overrides);
                protocols.hear(Heard { address: who, mac, to_us, asks, overrides }, wire, now);
                if let (IpAddr::V6(who), Some(routers)) = (who, &mut self.routers)
                    && !said.routes
                    && (overrides || answers)
                {
                    routers.is_none(who);
                }
            }
        }
        // Who is known may leave out its Ethernet address (RFC 4861, section 4.3).
        match (asked, said.who, said.mac.or(packet::sender(frame))) {
            (Some(IpAddr::V4(own)), who, Some(to)) => {
                let who = match who {
                    Some(IpAddr::V4(who)) => who,
                    _ => Ipv4Addr::UNSPECIFIED,
                };
                protocols.say(wire, &packet::answer_v4(mac, own, (to, who)));
            }
            (Some(IpAddr::V6(own)), Some(IpAddr::V6(who)), Some(to)) => {
                protocols.say(wire, &ndisc::answer(mac, own, (to, who)));
            }
            _ => {}
        }
    }

    /// Another machine says that it has an address of ours: says so, and that it is here
    /// (RFC 5227, section 2.4). The address goes on being used, whoever gave it: an administrator
    /// means it, and of others any neighbour could deprive this machine.
    fn contend(&mut self, own: IpAddr, other: Option<Mac>, wire: &dyn Wire, now: Instant) {
        if self.contended.is_some_and(|at| now < at.saturating_add(CONTEND)) {
            return;
        }
        self.contended = Some(now);
        let other = other.unwrap_or_default();
        log::warn!(
            "{}: {own} is used by {other} as well, and goes on being used here: give one of the \
             two another address",
            self.name
        );
        self.protocols.announce(wire);
    }
}
