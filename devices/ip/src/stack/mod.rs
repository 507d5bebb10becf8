//! The protocols, and where packets meet sockets.
//!
//! [`Protocols`] is what a call can do at once: take in a frame, send what is due, move
//! bytes. What becomes of connections that peers ask for, and who waits for what, is the
//! business of [`engine`](super::engine) and the files around it. Of the crate smoltcp, the
//! parser of DNS messages is used, which no other folder names.
//!
//! # Next hops
//!
//! Where a packet goes is known before it is made, for answers, or is looked up. It is written
//! into the ring, or waits for its [neighbour](super::neighbor).

mod address;
mod calls;
mod deadlines;
mod echo;
mod emit;
mod endpoint;
mod moved;
mod path;
mod port;
mod queue;
mod request;
mod route;
mod sets;
mod tcp;
mod time_wait;
mod udp;

use super::config::{ADDRESSES, Ipv4, Limits, ROUTERS, Settings};
use super::neighbor::{Heard, Neighbors};
use super::packet::{Complaint, Ends, Message, Of, Refusal, What};
use super::wire::Wire;
use super::{Error, dhcp, ndisc, packet, random};
use crate::routers::{LINKS, Link};
use crate::tcp::pool::Pool;
use crate::tcp::secret::Secret;
use crate::tcp::time_wait::TimeWait;
use address::Own;
use alloc::rc::Rc;
use core::cell::Cell;
use core::net::{IpAddr, Ipv6Addr};
use core::task::Waker;
use devices::net::{HEADER, Info, Mac};
use kernel::time::Instant;
use path::Paths;
use route::Router;
use sets::{Body, Key, Sets};

pub(super) use address::Whom;
pub(super) use calls::{Parting, State};
pub use port::Received;
pub(super) use route::Routes;
pub(super) use sets::Handle;
pub(super) use smoltcp::wire::{DnsFlags, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode};
pub(super) use smoltcp::wire::{DnsRecord, DnsRecordData};

/// Packets that a socket may send before others get their turn.
const ROUNDS: usize = 16;

/// Sockets that are looked at before anything else gets its turn.
const LOOKS: usize = 256;

/// What goes out.
#[derive(Debug, Default)]
struct Out {
    /// The longest TCP frame that the other side makes segments of.
    large: usize,
    /// Frames that were sent.
    sent: Cell<u64>,
}

impl Out {
    /// The interface is this one.
    fn change(&mut self, info: Info) {
        self.large = if info.transmit_blank { info.transmit_large } else { 0 };
    }

    /// The longest TCP frame that the other side makes segments of; 0 when it does not.
    const fn large(&self) -> usize {
        self.large
    }
}

/// The protocols' state.
pub(super) struct Protocols {
    info: Info,
    limits: Limits,
    own: heapless::Vec<Own, ADDRESSES>,
    sets: Sets,
    /// The ways to IPv4 networks beside its own.
    routes: Routes,
    /// The IPv6 networks that are on the link as routers say.
    links: heapless::Vec<Link, LINKS>,
    /// The routers to all IPv6 networks, the best first.
    routers: heapless::Vec<Router, ROUTERS>,
    paths: Paths,
    /// What the buffers of all connections are made of.
    pool: Rc<Pool>,
    secret: Secret,
    pub(super) time_wait: TimeWait,
    out: Out,
    neighbors: Neighbors,
    down: bool,
    /// Its addresses may be others than before.
    elsewhere: bool,
    driver: Option<Waker>,
    /// The driver was woken since the last turn.
    kicked: Cell<bool>,
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

/// Smaller frames than any IPv4 network has are not worth the care (RFC 791).
const fn sane(mut info: Info) -> Info {
    if info.mtu < 576 {
        info.mtu = 576;
    }
    info
}

impl Protocols {
    pub(super) fn new(info: Info, settings: &Settings) -> Result<Self, Error> {
        let info = sane(info);
        let told = settings.gateways.iter().find_map(|it| match it {
            IpAddr::V4(gateway) => Some(dhcp::Route::all(*gateway)),
            IpAddr::V6(_) => None,
        });
        let ipv4 = match settings.ipv4 {
            Ipv4::Static(address, bits) => Some((address.into(), bits)),
            Ipv4::Off | Ipv4::Dhcp => None,
        };
        let ipv6 = settings.ipv6.map(|(address, bits)| (address.into(), bits));
        let link_local = (ndisc::link_local(info.mac).into(), 64);
        let own = ipv4.into_iter().chain([link_local]).chain(ipv6);
        let mut new = Self {
            info,
            limits: settings.limits,
            own: own
                .map(|(address, bits)| Own { address, bits, given: false, deprecated: false })
                .collect(),
            sets: Sets::new(random()?),
            routes: told.into_iter().collect(),
            links: heapless::Vec::new(),
            routers: heapless::Vec::new(),
            paths: Paths::default(),
            pool: Rc::new(Pool::new(settings.limits.memory)),
            secret: Secret::new()?,
            time_wait: TimeWait::new(settings.limits.time_wait),
            out: Out::default(),
            neighbors: Neighbors::default(),
            down: false,
            elsewhere: true,
            driver: None,
            kicked: Cell::new(false),
        };
        new.out.change(info);
        new.set_routers(settings.router().as_slice());
        Ok(new)
    }

    /// The interface is another one, or the same anew. Neighbours are forgotten.
    pub(crate) fn reconnected(&mut self, info: Info) {
        let old = core::mem::replace(&mut self.info, sane(info));
        let [old, new] = [old.mac, info.mac].map(|mac| IpAddr::V6(ndisc::link_local(mac)));
        let link_local = self.own.iter_mut().find(|it| it.address == old);
        link_local.into_iter().for_each(|it| it.address = new);
        self.elsewhere = true;
        self.out.change(self.info);
        self.neighbors.forget();
        self.sets.touch_all();
    }

    /// Says who is here, to all, and to which groups it listens.
    pub(crate) fn announce(&self, wire: &dyn Wire) {
        self.report(wire, ndisc::Report::New);
        let mac = self.info.mac;
        for own in &self.own {
            match own.address {
                IpAddr::V4(address) => self.say(wire, &packet::announce_v4(mac, address)),
                IpAddr::V6(address) => self.say(wire, &ndisc::announce(mac, address)),
            }
        }
    }

    /// Asks whether anybody else has an address of ours.
    pub(crate) fn probe(&self, wire: &dyn Wire) {
        let mac = self.info.mac;
        for own in &self.own {
            match own.address {
                IpAddr::V4(address) => self.say(wire, &packet::probe_v4(mac, address)),
                IpAddr::V6(address) => self.say(wire, &ndisc::probe(mac, address)),
            }
        }
    }

    /// Says to which groups this machine listens.
    pub(crate) fn report(&self, wire: &dyn Wire, why: ndisc::Report) {
        let mut groups: heapless::Vec<_, ADDRESSES> = heapless::Vec::new();
        for group in self.groups() {
            if !groups.contains(&group) {
                // There is room for one each.
                let _ = groups.push(group);
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

    /// Sends a frame in fragments of at most `mtu` bytes each, which routers may cut further.
    fn put_cut(&self, wire: &dyn Wire, length: usize, mtu: usize, fill: &mut dyn FnMut(&mut [u8])) {
        if wire.cut(length, mtu, fill) {
            self.out.sent.set(self.out.sent.get() + 1);
        }
    }

    /// Answers an echo request to an address of ours, or to a group.
    pub(crate) fn answer_echo(&self, frame: &[u8], asked: &Message, wire: &dyn Wire) {
        let Ends { from, to } = asked.ends;
        let own = if self.has(to) { Some(to) } else { self.speaker(from) };
        let (mac, length) = (self.info.mac, packet::echo_reply_length(asked));
        let Some(own) = own else { return };
        let fill = &mut |to: &mut [u8]| packet::echo_reply(to, frame, asked, own, mac);
        // Nobody here would hear that a long one does not fit on its way, so routers may cut it.
        if from.is_ipv4() && length > HEADER + path::least(true) {
            self.put_cut(wire, length, self.info.mtu, fill);
        } else {
            self.put(wire, length, fill);
        }
    }

    /// Tells who sent a packet to an address of ours why it is not taken.
    pub(crate) fn tell_error(&self, frame: &[u8], of: &Message, why: Refusal, wire: &dyn Wire) {
        let mac = self.info.mac;
        self.put(wire, packet::error_length(of), &mut |to| packet::error(to, frame, of, why, mac));
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

    /// Hears what became of a packet from here. Whether somebody here had sent it.
    pub(crate) fn hear_error(&mut self, complaint: &Complaint, now: Instant) -> bool {
        match (complaint.of, complaint.what) {
            (Of::Tcp(seq), What::TooBig(mtu)) => {
                self.path_mtu((complaint.local, complaint.peer), seq, mtu, now);
                true
            }
            // Connections heed no others: they may be made up (RFC 5927), or over soon.
            (Of::Tcp(_), _) => false,
            (Of::Udp, _) => self.datagram_failed(complaint, now),
            (Of::Echo, _) => self.echo_failed(complaint),
        }
    }

    /// Adds a socket.
    fn add(&mut self, body: impl FnOnce() -> Option<Body>, key: Key) -> Result<Handle, Error> {
        let body = if self.sets.has_room() { body() } else { None };
        body.map(|it| self.sets.add(it, Some(key))).ok_or(Error::Exhausted)
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

    /// Sends a packet to `to` that is a frame of `length` bytes, or keeps it until it is known
    /// where that is.
    fn send_to(
        &mut self,
        to: IpAddr,
        length: usize,
        wire: &dyn Wire,
        now: Instant,
        fill: &mut dyn FnMut(&mut [u8], [u8; HEADER]),
    ) {
        match self.way(to, now) {
            Way::Known(header) => {
                let fill = &mut |frame: &mut [u8]| fill(frame, header);
                match self.paths.mtu(to, now) {
                    Some(mtu) if length > HEADER + mtu => self.put_cut(wire, length, mtu, fill),
                    _ => self.put(wire, length, fill),
                }
            }
            Way::Sought(hop) => {
                if let Some(mut frame) = kernel::memory::zeroed(length) {
                    fill(
                        &mut frame,
                        packet::header(packet::BROADCAST, self.info.mac, to.is_ipv4()),
                    );
                    self.neighbors.hold(hop, frame, now);
                }
            }
            Way::None => {}
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
        self.is_back(heard.address);
        let Some((mac, frames)) = self.neighbors.hear(heard, now) else { return };
        for mut frame in frames {
            packet::fill(&mut frame, &[&mac.0]);
            // Less may fit into its way than into ours.
            match packet::destination(&frame).and_then(|to| self.paths.mtu(to, now)) {
                Some(mtu) if frame.len() > HEADER + mtu => {
                    self.put_cut(wire, frame.len(), mtu, &mut |to| to.copy_from_slice(&frame));
                }
                _ => self.say(wire, &frame),
            }
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
        match self.sets.get(handle).body {
            Body::Tcp(_) => self.send_tcp(handle, wire, now),
            Body::Udp(_) => self.send_datagrams(handle, wire, now),
            Body::Echo(_) => self.send_echo(handle, wire, now),
        }
    }

    /// The interface is broken: everyone who waits for a socket is told so.
    pub(super) fn fail(&mut self) {
        self.down = true;
        self.sets.wake_all();
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
        self.kicked.set(true);
        self.driver.iter().for_each(Waker::wake_by_ref);
    }

    /// Returns whether there was something to do since the last call.
    pub(crate) fn take_kicked(&self) -> bool {
        self.kicked.take() | (self.sets.waiting() > 0)
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
