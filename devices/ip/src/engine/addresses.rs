//! Addresses, routers and name servers, as arguments, DHCP and routers name them.

use super::Engine;
use crate::announce::Announcer;
use crate::config::{ADDRESSES, ROUTERS, SERVERS};
use crate::ndisc;
use crate::packet::{self, Datagram};
use crate::routers::{self, Routers};
use crate::wire::Wire;
use core::net::{IpAddr, Ipv6Addr};
use devices::net::Mac;
use kernel::time::Instant;

impl Engine {
    /// Takes in what a DHCP server may have sent.
    pub(super) fn hear(&mut self, frame: &[u8], datagram: &Datagram, now: Instant) {
        let ours =
            frame.starts_with(&self.protocols.mac().0) || frame.starts_with(&packet::BROADCAST.0);
        let way: Option<Mac> = packet::sender(frame).filter(|_| ours);
        if let (Some(client), Some(way), IpAddr::V4(source)) =
            (&mut self.dhcp, way, datagram.from.ip())
        {
            client.hear(datagram.payload(frame), source, way, now);
        }
    }

    /// Follows the DHCP client. Returns when it is to be looked at again.
    pub(super) fn lease(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
        let client = self.dhcp.as_mut()?;
        // What there is no room for now is not asked yet.
        while client.next().is_some_and(|next| next <= now) && wire.ready() {
            if let Some(sending) = client.turn(now) {
                self.protocols.say(wire, &sending.frame(self.protocols.mac()));
            }
        }
        let next = self.take_lease();
        next.flatten()
    }

    /// Takes over what the DHCP client has, if that is news. Returns when to look at it again.
    pub(super) fn take_lease(&mut self) -> Option<Option<Instant>> {
        let client = self.dhcp.as_mut()?;
        if client.news() {
            let lease = client.lease();
            if self.settings.servers.is_empty() {
                self.servers = lease.map(|it| it.servers.clone()).unwrap_or_default();
            }
            let told = self.settings.gateways.iter().find(|it| it.is_ipv4());
            if told.is_some_and(|&told| lease.is_some_and(|it| told == it.address)) {
                let name = &self.name;
                log::warn!("{name}: the argument gateway= names the address that this machine got");
            }
            if told.is_none() {
                self.protocols.set_routes(lease.map_or(&[][..], |it| &it.routes));
            }
            self.protocols.set_ipv4(lease.map(|it| (it.address, it.bits)));
        }
        Some(client.next())
    }

    /// Follows what routers say. Returns when it is to be looked at again.
    pub(super) fn route(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
        let said = self.routers.as_mut()?;
        let mac = self.protocols.mac();
        if said.turn(now) {
            self.protocols.say(wire, &ndisc::solicit(mac));
        }
        if !core::mem::take(&mut said.news) {
            return said.next();
        }
        let new: heapless::Vec<_, ADDRESSES> = said.addresses(mac).collect();
        let others: heapless::Vec<Ipv6Addr, ROUTERS> = said.routers().collect();
        let links: heapless::Vec<_, { routers::LINKS }> = said.links().collect();
        let next = said.next();
        self.protocols.set_links(&links);
        self.protocols.set_ipv6(&new);
        if self.settings.router().is_none() {
            self.protocols.set_routers(&others);
        }
        next
    }

    /// Tells of new addresses.
    pub(super) fn learn(&mut self, now: Instant) {
        if !self.protocols.is_elsewhere()
            || self.protocols.addresses().eq(self.known.iter().copied())
        {
            return;
        }
        let addresses: heapless::Vec<_, ADDRESSES> = self.protocols.addresses().collect();
        for (address, bits) in addresses.iter().filter(|it| !self.known.contains(it)) {
            match address {
                IpAddr::V6(address) if !address.is_unicast_link_local() => {
                    log::info!("{}: {address}/{bits}", self.name);
                }
                _ => {}
            }
        }
        if addresses.iter().any(|it| !self.known.contains(it)) {
            self.announcer = Announcer::new(now);
        }
        self.known = addresses;
        self.waiting.wake();
    }

    /// Whether it has the IPv4 address that it is to have.
    pub(crate) fn is_configured(&self) -> bool {
        self.dhcp.is_none() || self.protocols.addresses().any(|(address, _)| address.is_ipv4())
    }

    /// The name servers: those that were told, or those that DHCP and routers named.
    pub(crate) fn servers(&self) -> heapless::Vec<IpAddr, SERVERS> {
        let routers = self.routers.as_ref().filter(|_| self.settings.servers.is_empty());
        let more = routers.into_iter().flat_map(Routers::servers).map(IpAddr::V6);
        let more: heapless::Vec<_, { routers::SERVERS }> = more.collect();
        let most = SERVERS - more.len();
        self.servers.iter().copied().take(most).chain(more).collect()
    }
}
