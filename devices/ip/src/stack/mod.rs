//! The protocols: TCP by [`tcp`](super::tcp), the others by the crate smoltcp, whose sockets
//! and interface no other folder names.
//!
//! [`Protocols`] is what a call can do at once: take in a frame, send what is due, move
//! bytes. What becomes of connections that peers ask for, and who waits for what, is the
//! business of [`engine`](super::engine) and the files around it.
//!
//! # Next hops
//!
//! smoltcp deals in IP packets. Where one goes is known before it is made, for answers, or is
//! looked up after; TCP looks before it makes one. It is written into the ring, or waits for its
//! [neighbour](super::neighbor).

mod address;
mod datagrams;
mod deadlines;
mod endpoint;
mod port;
mod sets;
mod tcp;

use super::config::{ADDRESSES, Ipv4, Limits, Settings};
use super::neighbor::{Heard, Neighbors};
use super::wire::Wire;
use super::{Error, dhcp, ndisc, packet, random};
use crate::tcp::pool::Pool;
use crate::tcp::secret::Secret;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::task::Waker;
use core::time::Duration;
use devices::net::{HEADER, Info, Mac};
use kernel::sync::Wakers;
use kernel::time::Instant;
use port::{Out, Port};
use sets::{Body, Key, Sets};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::Socket;
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

pub(super) use address::Routes;
pub(super) use address::Whom;
pub(super) use sets::Handle;
pub(super) use smoltcp::wire::{DnsFlags, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode};
pub(super) use smoltcp::wire::{DnsRecord, DnsRecordData};
pub(super) use tcp::{Parting, State};

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
    /// What the buffers of all connections are made of.
    pool: Rc<Pool>,
    secret: Secret,
    out: Out,
    neighbors: Neighbors,
    down: bool,
    /// Its addresses may be others than before.
    elsewhere: bool,
    driver: Option<Waker>,
}

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// A UDP socket, or a port that none has.
    Port(Option<Handle>),
    /// Whoever asked for this echo.
    Echo(u16),
    /// The machine itself.
    Us,
}

/// How to send to an address.
pub(super) enum Way {
    /// With this Ethernet header.
    Known([u8; HEADER]),
    /// By this neighbour, whose Ethernet address is not known.
    Sought(IpAddr),
    /// Nobody knows.
    None,
}

fn moment(instant: Instant) -> Moment {
    Moment::from_micros((instant.as_nanos() / 1000).cast_signed())
}

/// Smaller frames than any IPv4 network has are not worth the care (RFC 791).
const fn sane(mut info: Info) -> Info {
    if info.mtu < 576 {
        info.mtu = 576;
    }
    info
}

/// Zeros that the heap may lack.
fn buffer(length: usize) -> Result<Vec<u8>, Error> {
    kernel::memory::zeroed(length).ok_or(Error::Exhausted)
}

/// An interface without routes, and with link-local and static addresses.
fn interface(info: Info, settings: &Settings, seed: u64) -> Interface {
    let out = Out::new(info);
    let mut port = Port { packet: None, wire: None, header: None, out: &out };
    let mut config = Config::new(HardwareAddress::Ip);
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
        let base = sets.add(Body::Set(SocketSet::new(Vec::new()), SocketHandle::default()), None);
        let told = settings.gateways.iter().find_map(|it| match it {
            IpAddr::V4(gateway) => Some(dhcp::Route::all(*gateway)),
            IpAddr::V6(_) => None,
        });
        Ok(Self {
            info,
            limits: settings.limits,
            interface: interface(info, settings, random()?),
            sets,
            base,
            routes: told.into_iter().collect(),
            pool: Rc::new(Pool::new(settings.limits.memory)),
            secret: Secret::new()?,
            out: Out::new(info),
            neighbors: Neighbors::default(),
            down: false,
            elsewhere: true,
            driver: None,
        })
    }

    /// The interface is another one, or the same anew. Neighbours are forgotten.
    pub(crate) fn reconnected(&mut self, info: Info, settings: &Settings) {
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
        self.elsewhere = true;
        self.out.change(self.info);
        self.neighbors.forget();
        self.sets.touch_all();
    }

    /// Says who is here, to all, and to which groups it listens.
    pub(crate) fn announce(&self, wire: &dyn Wire) {
        self.report(wire, ndisc::Report::New);
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

    /// Says to which groups this machine listens.
    pub(crate) fn report(&self, wire: &dyn Wire, why: ndisc::Report) {
        let mut groups: heapless::Vec<_, ADDRESSES> = heapless::Vec::new();
        for own in self.interface.ip_addrs() {
            if let IpCidr::Ipv6(own) = own {
                let group = ndisc::group_of(own.address());
                if !groups.contains(&group) {
                    // There is room for one each.
                    let _ = groups.push(group);
                }
            }
        }
        self.say(wire, &ndisc::report(self.info.mac, why, groups.into_iter()));
    }

    pub(crate) fn say(&self, wire: &dyn Wire, frame: &[u8]) {
        self.put(wire, frame.len(), &mut |to| to.copy_from_slice(frame));
    }

    fn put(&self, wire: &dyn Wire, length: usize, fill: &mut dyn FnMut(&mut [u8])) {
        if wire.transmit(length, 0, fill) {
            self.out.sent.set(self.out.sent.get() + 1);
        }
    }

    /// Answers an echo request to an address of ours.
    pub(crate) fn pong(&self, asked: &[u8], wire: &dyn Wire) {
        let mac = self.info.mac;
        self.put(wire, asked.len(), &mut |to| packet::echo_reply(to, asked, mac));
    }

    /// Says what is wrong with the packet in `about`, to where it came from.
    pub(crate) fn complain(
        &self,
        problem: packet::Problem,
        ends: (Ipv6Addr, Ipv6Addr),
        about: &[u8],
        wire: &dyn Wire,
    ) {
        let Some(header) = packet::back(about, self.info.mac) else { return };
        self.put(wire, problem.length(), &mut |to| problem.tell(to, header, ends, about));
    }

    /// Takes in a frame that is for no TCP connection.
    pub(super) fn receive(&mut self, frame: &[u8], who: For, wire: &dyn Wire, now: Instant) {
        let handle = match who {
            For::Port(handle) => handle,
            For::Echo(ident) => self.sets.find(Key::echo(ident)),
            For::Us => None,
        };
        let handle = handle.unwrap_or(self.base);
        let Body::Set(set, _) = &mut self.sets.get_mut(handle).body else { return };
        let header = packet::back(frame, self.info.mac);
        let mut port =
            Port { packet: frame.get(HEADER..), wire: Some(wire), header, out: &self.out };
        self.interface.poll_ingress_single(moment(now), &mut port, set);
        self.sets.touch(handle);
    }

    /// How to send to `to` now.
    fn way(&mut self, to: IpAddr, now: Instant) -> Way {
        let known = |mac| Way::Known(packet::header(mac, self.info.mac, to.is_ipv4()));
        if to.is_multicast() {
            return known(packet::mac_of_group(to));
        }
        if self.is_broadcast(to) {
            return known(packet::BROADCAST);
        }
        self.way_to_one(to, now)
    }

    /// The same for an address of one machine.
    fn way_to_one(&mut self, to: IpAddr, now: Instant) -> Way {
        match self.next_hop(to) {
            Some(hop) => match self.neighbors.lookup(hop, now) {
                Some(mac) => Way::Known(packet::header(mac, self.info.mac, to.is_ipv4())),
                None => Way::Sought(hop),
            },
            None => Way::None,
        }
    }

    /// Sends packets of which it was not known where they go, or keeps them for longer.
    fn forward(&mut self, wire: &dyn Wire, now: Instant) {
        while let Some(mut frame) = self.out.held.get_mut().pop() {
            let Some(to) = frame.get(HEADER..).and_then(packet::destination) else { continue };
            let way = self.way(to, now);
            let header = match way {
                Way::Known(header) => header,
                _ => packet::header(packet::BROADCAST, self.info.mac, to.is_ipv4()),
            };
            packet::fill(&mut frame, &[&header]);
            match way {
                Way::Known(_) => self.say(wire, &frame),
                Way::Sought(hop) => self.neighbors.hold(hop, frame, now),
                Way::None => {}
            }
        }
    }

    /// Sees to it that packets to `to` soon find their way.
    pub(crate) fn find_way(&mut self, to: IpAddr, now: Instant) {
        if !to.is_multicast()
            && !self.is_broadcast(to)
            && let Some(hop) = self.next_hop(to)
            && self.neighbors.want(hop, now)
        {
            self.kick();
        }
    }

    /// Hears of a neighbour, and sends what waited for it.
    pub(crate) fn hear(&mut self, heard: Heard, wire: &dyn Wire, now: Instant) {
        let Some((mac, frames)) = self.neighbors.hear(heard, now) else { return };
        for mut frame in frames {
            packet::fill(&mut frame, &[&mac.0]);
            self.say(wire, &frame);
        }
    }

    /// Asks for the Ethernet addresses that are wanted. Returns when to ask again.
    pub(crate) fn seek(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
        let mac = self.info.mac;
        while let Some(question) = self.neighbors.turn(now) {
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
        self.neighbors.next()
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
        let place = self.sets.get(handle);
        if matches!(place.body, Body::Tcp(_)) {
            return self.send_tcp(handle, wire, now);
        }
        if place.outgoing.is_some() {
            return self.send_datagrams(handle, wire, now);
        }
        for _ in 0..ROUNDS {
            let Body::Set(set, _) = &mut self.sets.get_mut(handle).body else { return };
            let mut port = Port { packet: None, wire: Some(wire), header: None, out: &self.out };
            let sent = self.out.sent.get();
            self.interface.poll_egress(moment(now), &mut port, set);
            let at = self.interface.poll_at(moment(now), set);
            let held = !self.out.held.get_mut().is_empty();
            if held {
                self.forward(wire, now);
            }
            let Some(at) = at else { return };
            if at > moment(now) {
                let wait = Duration::from_micros((at - moment(now)).total_micros());
                self.sets.deadlines.arm(handle.0, now.saturating_add(wait));
                return;
            }
            if self.out.sent.get() == sent && !held {
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
            if let Socket::Udp(socket) = socket {
                socket.close();
            }
        }
        self.sets.senders().for_each(Wakers::wake);
        self.fail_connections();
    }

    /// Whom to wake when there is something to do.
    pub(crate) fn drive(&mut self, waker: &Waker) {
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
    pub(crate) fn kick(&self) {
        self.driver.iter().for_each(Waker::wake_by_ref);
    }

    pub(crate) fn up(&self) -> Result<(), Error> {
        if self.down { Err(Error::Down) } else { Ok(()) }
    }

    pub(crate) fn mac(&self) -> Mac {
        self.info.mac
    }

    pub(crate) fn sent(&self) -> u64 {
        self.out.sent.get()
    }
}
