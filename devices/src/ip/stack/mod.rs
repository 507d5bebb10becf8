//! The protocols, by the crate smoltcp, which no other folder names.
//!
//! [`Protocols`] is what a call can do at once: take in a frame, send what is due, move
//! bytes. What becomes of connections that peers ask for, and who waits for what, is the
//! business of [`engine`](super::engine) and the files around it. There is one `Interface`,
//! and a [set](sets) of its own for each socket.
//!
//! # Sequence numbers
//!
//! An initial sequence number must be one that nobody off the path can guess (RFC 6528;
//! rule S5). smoltcp takes it from a generator that belongs to an `Interface`, has 64
//! bits of state, and betrays all later numbers with a few early ones. But an
//! `Interface` is cheap and holds no sockets: so each connection is begun through one of
//! its own, a door, made for it alone with 64 bits of [`kernel::entropy`] and dropped at
//! once. Its number says nothing about any other's. It is random and does not grow with
//! time as RFC 6528 proposes: a peer that reuses a pair of ports within its own TIME-WAIT
//! may see a number that is not above the last one's, and asks again. Ports, DNS and ICMP
//! identifiers are drawn from [`kernel::entropy`] directly. What is left to smoltcp's
//! generator are the delays of multicast reports.

mod address;
mod datagrams;
mod deadlines;
mod port;
mod sets;
mod tcp;

use super::config::{Ipv4, Limits, Settings};
use super::drive::Wire;
use super::{Error, dhcp, ndisc, packet, random};
use crate::net::{Info, Mac};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::task::Waker;
use core::time::Duration;
use kernel::time::Instant;
use port::{Out, Port};
use sets::{Key, Sets};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::Socket;
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use tcp::Spares;

pub(super) use address::Routes;
pub(super) use address::Whom;
pub(super) use sets::Handle;
pub(super) use smoltcp::wire::{DnsFlags, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode};
pub(super) use smoltcp::wire::{DnsRecord, DnsRecordData};
pub(super) use tcp::Spare;

/// Addresses that an interface may have: smoltcp's feature says so.
pub(super) const ADDRESSES: usize = 6;

/// Packets that a socket may send before others get their turn.
const ROUNDS: usize = 16;

/// Sockets that are looked at before anything else gets its turn.
const LOOKS: usize = 256;

/// What smoltcp says is due and did not do is tried again after this.
const AGAIN: Duration = Duration::from_millis(1);

/// The protocols' state.
pub(super) struct Protocols {
    info: Info,
    limits: Limits,
    interface: Interface,
    sets: Sets,
    /// Takes what is for no other socket.
    base: Handle,
    /// The ways to IPv4 networks beside its own.
    routes: Routes,
    spares: Spares,
    /// Bytes of all connections' buffers.
    buffers: usize,
    out: Out,
    down: bool,
    /// Its addresses may be others than before.
    elsewhere: bool,
    driver: Option<Waker>,
}

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// A connection.
    Stream(Handle),
    /// A segment of no connection, which is refused.
    Nobody,
    /// A UDP port.
    Port(u16),
    /// Whoever asked for this echo.
    Echo(u16),
    /// The machine itself.
    Us,
    /// The machine, which learns of an Ethernet address.
    Neighbor,
}

fn moment(instant: Instant) -> Moment {
    Moment::from_micros((instant.as_nanos() / 1000).cast_signed())
}

/// Smaller frames than any IPv4 network has are not worth the care (RFC 791).
const fn sane(info: Info) -> Info {
    Info { mtu: if info.mtu < 576 { 576 } else { info.mtu }, ..info }
}

fn duration(duration: Duration) -> smoltcp::time::Duration {
    smoltcp::time::Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// Zeros that the heap may lack.
fn buffer(length: usize) -> Result<Vec<u8>, Error> {
    kernel::memory::zeroed(length).ok_or(Error::Exhausted)
}

/// An interface without routes, and with link-local and static addresses.
fn interface(info: Info, settings: &Settings, seed: u64) -> Interface {
    let out = Out::new(info);
    let mut port = Port { frame: None, wire: None, door: None, out: &out };
    let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(info.mac.0)));
    config.random_seed = seed;
    let mut interface = Interface::new(config, &mut port, moment(Instant::now()));
    let link_local = IpCidr::new(ndisc::link_local(info.mac).into(), 64);
    let ipv4 = match settings.ipv4 {
        Ipv4::Static(address, bits) => Some(IpCidr::new(IpAddress::Ipv4(address), bits)),
        Ipv4::Off | Ipv4::Dhcp => None,
    };
    let ipv6 = settings.ipv6.map(|(address, bits)| IpCidr::new(IpAddress::Ipv6(address), bits));
    interface.update_ip_addrs(|addresses| {
        addresses.extend(ipv4.into_iter().chain([link_local]).chain(ipv6));
    });
    for gateway in &settings.gateways {
        if let IpAddr::V6(gateway) = *gateway {
            // There is room for it.
            let _ = interface.routes_mut().add_default_ipv6_route(gateway);
        }
    }
    interface
}

impl Protocols {
    pub(super) fn new(info: Info, settings: &Settings) -> Result<Self, Error> {
        let info = sane(info);
        let mut sets = Sets::new(random()?);
        let base = sets.add(SocketSet::new(Vec::new()), SocketHandle::default(), None);
        let told = settings.gateways.iter().find_map(|it| match it {
            IpAddr::V4(gateway) => Some(dhcp::Route::all(*gateway)),
            IpAddr::V6(_) => None,
        });
        let mut protocols = Self {
            info,
            limits: settings.limits,
            interface: interface(info, settings, random()?),
            sets,
            base,
            routes: told.into_iter().collect(),
            spares: Spares::default(),
            buffers: 0,
            out: Out::new(info),
            down: false,
            elsewhere: true,
            driver: None,
        };
        protocols.lay_routes();
        Ok(protocols)
    }

    /// The interface is another one, or the same anew. Neighbours are forgotten.
    pub(in crate::ip) fn reconnected(&mut self, info: Info, settings: &Settings, wire: &dyn Wire) {
        let old = core::mem::replace(&mut self.info, sane(info));
        let seed = random().unwrap_or_default();
        let mut new = interface(self.info, settings, seed);
        let link_local = IpAddress::from(ndisc::link_local(old.mac));
        new.update_ip_addrs(|to| {
            let from = self.interface.ip_addrs().iter();
            for address in from.filter(|it| it.address() != link_local) {
                if !to.contains(address) {
                    // There was room for it before.
                    let _ = to.push(*address);
                }
            }
        });
        let ipv6 = self.interface.routes().get_default_ipv6_route();
        new.routes_mut().update(|routes| {
            routes.clear();
            routes.extend(ipv6);
        });
        self.interface = new;
        self.lay_routes();
        self.elsewhere = true;
        self.out.change(self.info);
        self.sets.touch_all();
        self.announce(wire);
    }

    /// Says who is here, to all.
    pub(in crate::ip) fn announce(&self, wire: &dyn Wire) {
        for address in self.interface.ip_addrs() {
            let mac = self.info.mac;
            match address.address() {
                IpAddress::Ipv4(address) => {
                    self.say(wire, &packet::announce_v4(mac, address));
                }
                IpAddress::Ipv6(address) => {
                    self.say(wire, &ndisc::announce(mac, address));
                }
            }
        }
    }

    pub(in crate::ip) fn say(&self, wire: &dyn Wire, frame: &[u8]) {
        self.put(wire, frame.len(), &mut |to| to.copy_from_slice(frame));
    }

    fn put(&self, wire: &dyn Wire, length: usize, fill: &mut dyn FnMut(&mut [u8])) {
        if wire.transmit(length, 0, fill) {
            self.out.sent.set(self.out.sent.get() + 1);
        }
    }

    /// Answers an echo request to an address of ours.
    pub(in crate::ip) fn pong(&self, asked: &[u8], wire: &dyn Wire) {
        let mac = self.info.mac;
        self.put(wire, asked.len(), &mut |to| packet::echo_reply(to, asked, mac));
    }

    /// An interface with this one's addresses and a generator of its own, for bare
    /// packets, and what it sends them through.
    fn door(&self, seed: u64, port: &mut Port<'_>, now: Instant) -> Interface {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut door = Interface::new(config, port, moment(now));
        door.update_ip_addrs(|addresses| {
            addresses.extend(self.interface.ip_addrs().iter().copied());
        });
        door
    }

    /// Takes in a frame.
    pub(super) fn receive(&mut self, frame: &[u8], who: For, wire: &dyn Wire, now: Instant) {
        let handle = match who {
            For::Stream(handle) => Some(handle),
            For::Port(port) => self.sets.find(Key::udp(port)),
            For::Echo(ident) => self.sets.find(Key::echo(ident)),
            For::Nobody | For::Us | For::Neighbor => None,
        };
        let handle = handle.unwrap_or(self.base);
        let place = self.sets.get_mut(handle);
        let repeats = match who {
            For::Stream(_) => place.acknowledged.hear(frame),
            _ => None,
        };
        let (frame, wire) = (Some(repeats.as_deref().unwrap_or(frame)), Some(wire));
        let mut port = Port { frame, wire, door: None, out: &self.out };
        self.interface.poll_ingress_single(moment(now), &mut port, &mut place.set);
        if who != For::Nobody {
            self.sets.touch(handle);
        }
        if who == For::Neighbor {
            self.sets.unstick();
        }
    }

    /// Sends what is due. Returns when the next thing will be; now, when there is more.
    pub(super) fn transmit(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
        self.sets.wake(now);
        for _ in 0..self.sets.waiting().min(LOOKS) {
            // Without room, those that wait go on waiting.
            if !wire.ready() {
                break;
            }
            let Some(handle) = self.sets.next() else { break };
            self.send(handle, wire, now);
        }
        if self.sets.waiting() > 0 { Some(now) } else { self.sets.deadlines.next() }
    }

    /// Sends what a socket has to say.
    fn send(&mut self, handle: Handle, wire: &dyn Wire, now: Instant) {
        let mut port = Port { frame: None, wire: Some(wire), door: None, out: &self.out };
        for _ in 0..ROUNDS {
            let set = &mut self.sets.get_mut(handle).set;
            let sent = self.out.sent.get();
            self.out.begun.set(false);
            self.interface.poll_egress(moment(now), &mut port, set);
            let at = self.interface.poll_at(moment(now), set);
            if self.out.begun.get() {
                self.sets.stick(handle);
            }
            let Some(at) = at else { return };
            if at > moment(now) {
                let wait = Duration::from_micros((at - moment(now)).total_micros());
                self.sets.deadlines.arm(handle.0, now.saturating_add(wait));
                return;
            }
            if self.out.sent.get() == sent {
                if wire.ready() {
                    self.sets.deadlines.arm(handle.0, now.saturating_add(AGAIN));
                    return;
                }
                break;
            }
        }
        self.sets.touch(handle);
    }

    /// The interface is broken: everyone who waits for a socket is told so.
    pub(super) fn fail(&mut self) {
        self.down = true;
        for socket in self.sets.sockets() {
            match socket {
                Socket::Tcp(socket) => socket.abort(),
                Socket::Udp(socket) => socket.close(),
                _ => {}
            }
        }
    }

    /// Whom to wake when there is something to do.
    pub(in crate::ip) fn drive(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|it| it.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Something about a socket changed: it is looked at soon.
    fn touch(&mut self, handle: Handle) {
        self.sets.touch(handle);
        self.kick();
    }

    /// Wakes the driver.
    pub(in crate::ip) fn kick(&self) {
        self.driver.iter().for_each(Waker::wake_by_ref);
    }

    pub(in crate::ip) fn up(&self) -> Result<(), Error> {
        if self.down { Err(Error::Down) } else { Ok(()) }
    }

    pub(in crate::ip) fn mac(&self) -> Mac {
        self.info.mac
    }

    pub(in crate::ip) fn sent(&self) -> u64 {
        self.out.sent.get()
    }
}
