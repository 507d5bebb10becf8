//! The protocols, by the crate smoltcp, which no other file names.
//!
//! [`Protocols`] is what a call can do at once: take in a frame, send what is due, move
//! bytes. What becomes of connections that peers ask for, and who waits for what, is the
//! business of [`engine`](super::engine) and the files around it.
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
//! generator are the DHCP transaction, which goes out in a broadcast anyway, and delays
//! of multicast reports.

use super::config::{Ipv4, Limits, Settings};
use super::drive::Wire;
use super::half_open::HalfOpen;
use super::packet::{self, Segment};
use super::tcp::State;
use super::{Error, dhcp, ndisc, random};
use crate::net::{HEADER, Info, Mac};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::task::{Poll, Waker};
use core::time::Duration;
use kernel::time::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::phy::{RxToken, TxToken};
use smoltcp::socket::{Socket, dhcpv4, icmp, tcp, udp};
use smoltcp::time::Instant as Moment;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint};

pub(super) use smoltcp::iface::SocketHandle as Handle;
pub(super) use smoltcp::wire::{DnsFlags, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode};
pub(super) use smoltcp::wire::{DnsRecord, DnsRecordData};

/// Addresses that an interface may have: smoltcp's feature says so.
pub(super) const ADDRESSES: usize = 6;

/// A peer that is silent for this long, though something awaits its answer, is gone:
/// longer than the two longest waits of smoltcp between probes of a window that is
/// closed, and than the 100 s of RFC 9293, section 3.8.3.
const SILENCE: Duration = Duration::from_secs(125);

/// An idle peer is asked for a sign of life this often, which is something to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(40);

/// Datagrams that wait at a UDP port, each way.
const DATAGRAMS: usize = 16;

/// The protocols' state.
pub(super) struct Protocols {
    info: Info,
    limits: Limits,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// Holds the spare socket alone.
    spare: SocketSet<'static>,
    spare_handle: Handle,
    dhcp: Option<Handle>,
    out: Out,
    down: bool,
    driver: Option<Waker>,
}

/// What smoltcp sends through, and the one frame that it receives.
struct Port<'a> {
    frame: Option<&'a [u8]>,
    wire: Option<&'a dyn Wire>,
    /// The Ethernet header of the frame, for a door, which deals in bare packets.
    door: Option<([u8; HEADER], Mac)>,
    out: &'a Out,
}

/// What outlives a [`Port`].
#[derive(Debug, Default)]
struct Out {
    mtu: usize,
    /// Frames that were sent.
    sent: Cell<u64>,
    /// The sequence number of what was sent last through a door.
    sequence: Cell<Option<u32>>,
    /// For what there was no room for.
    scratch: RefCell<Vec<u8>>,
}

struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

struct Sending<'a, 'b>(&'a Port<'b>);

impl TxToken for Sending<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let (port, mut fill, mut result) = (self.0, Some(fill), None);
        let lead = if port.door.is_some() { HEADER } else { 0 };
        let mut write = |frame: &mut [u8]| {
            let Some((fill, packet)) = fill.take().zip(frame.get_mut(lead..)) else { return };
            result = Some(fill(packet));
            if let Some((header, mac)) = port.door {
                port.out.sequence.set(packet::sequence_of(packet));
                packet::answer(frame, header, mac);
            }
        };
        if port.wire.is_some_and(|wire| wire.transmit(lead + length, &mut write)) {
            port.out.sent.set(port.out.sent.get() + 1);
        } else {
            // smoltcp insists on writing it.
            let mut scratch = port.out.scratch.borrow_mut();
            scratch.resize(lead + length, 0);
            write(&mut scratch);
        }
        result.expect("a wire calls what it is given")
    }
}

impl Device for Port<'_> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Sending<'a, 'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Moment) -> Option<(Received<'_>, Sending<'_, '_>)> {
        let frame = self.frame.take()?;
        Some((Received(frame), Sending(self)))
    }

    fn transmit(&mut self, _: Moment) -> Option<Sending<'_, '_>> {
        self.wire.is_none_or(|wire| wire.ready()).then_some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // TCP and UDP have theirs verified and filled in by `packet`.
        let mut checksum = ChecksumCapabilities::ignored();
        checksum.icmpv4 = Checksum::Both;
        checksum.icmpv6 = Checksum::Both;
        // The packet that a door is given was shortened after it was verified.
        checksum.ipv4 = if self.door.is_some() { Checksum::Tx } else { Checksum::Both };
        let mut capabilities = DeviceCapabilities::default();
        capabilities.checksum = checksum;
        capabilities.medium = if self.door.is_some() { Medium::Ip } else { Medium::Ethernet };
        capabilities.max_transmission_unit =
            if self.door.is_some() { self.out.mtu } else { self.out.mtu + HEADER };
        capabilities
    }
}

/// A door's way out while a connection is made that says nothing yet.
const NOWHERE: ([u8; HEADER], Mac) = ([0; HEADER], Mac([0; 6]));

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
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length).map_err(|_| Error::Exhausted)?;
    buffer.resize(length, 0);
    Ok(buffer)
}

/// A TCP socket with buffers of `size` bytes each way.
fn socket(size: usize) -> Result<tcp::Socket<'static>, Error> {
    let (receive, send) = (buffer(size)?, buffer(size)?);
    let mut socket =
        tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
    socket.set_nagle_enabled(false);
    socket.set_keep_alive(Some(duration(KEEP_ALIVE)));
    socket.set_timeout(Some(duration(SILENCE)));
    socket.set_congestion_control(tcp::CongestionControl::Reno);
    Ok(socket)
}

/// An interface without routes, and with link-local and static addresses.
fn interface(info: Info, settings: &Settings, seed: u64) -> Interface {
    let out = Out { mtu: info.mtu, ..Out::default() };
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
        // There is room for one of each.
        let _ = match *gateway {
            IpAddr::V4(gateway) => interface.routes_mut().add_default_ipv4_route(gateway),
            IpAddr::V6(gateway) => interface.routes_mut().add_default_ipv6_route(gateway),
        };
    }
    interface
}

impl Protocols {
    pub(super) fn new(info: Info, settings: &Settings) -> Result<Self, Error> {
        let info = sane(info);
        let mut sockets = SocketSet::new(Vec::new());
        let mut spare = SocketSet::new(Vec::new());
        let spare_handle = spare.add(socket(settings.limits.buffer)?);
        let dhcp = (settings.ipv4 == Ipv4::Dhcp).then(|| sockets.add(dhcpv4::Socket::new()));
        Ok(Self {
            info,
            limits: settings.limits,
            interface: interface(info, settings, random()?),
            sockets,
            spare,
            spare_handle,
            dhcp,
            out: Out { mtu: info.mtu, ..Out::default() },
            down: false,
            driver: None,
        })
    }

    /// The interface is another one, or the same anew. Neighbours are forgotten.
    pub(super) fn reconnected(&mut self, info: Info, settings: &Settings, wire: &dyn Wire) {
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
        let (ipv4, ipv6) = {
            let routes = self.interface.routes();
            (routes.get_default_ipv4_route(), routes.get_default_ipv6_route())
        };
        new.routes_mut().update(|routes| {
            routes.clear();
            routes.extend(ipv4.into_iter().chain(ipv6));
        });
        self.interface = new;
        self.out.mtu = self.info.mtu;
        self.announce(wire);
    }

    /// Says who is here, to all.
    pub(super) fn announce(&self, wire: &dyn Wire) {
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

    pub(super) fn say(&self, wire: &dyn Wire, frame: &[u8]) {
        if wire.transmit(frame.len(), &mut |to| to.copy_from_slice(frame)) {
            self.out.sent.set(self.out.sent.get() + 1);
        }
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
    pub(super) fn receive(&mut self, frame: &[u8], wire: &dyn Wire, now: Instant) {
        let (frame, wire) = (Some(frame), Some(wire));
        let mut port = Port { frame, wire, door: None, out: &self.out };
        self.interface.poll_ingress_single(moment(now), &mut port, &mut self.sockets);
    }

    /// Sends what is due, in as many as `rounds` in which each socket may send a packet.
    /// Returns when the next thing will be; now, when these were too few.
    pub(super) fn transmit(
        &mut self,
        rounds: usize,
        wire: &dyn Wire,
        now: Instant,
    ) -> Option<Instant> {
        let mut port = Port { frame: None, wire: Some(wire), door: None, out: &self.out };
        for round in 0.. {
            let result = self.interface.poll_egress(moment(now), &mut port, &mut self.sockets);
            if result == PollResult::None {
                break;
            }
            if round == rounds {
                return Some(now);
            }
        }
        let at = self.interface.poll_at(moment(now), &self.sockets)?;
        // What smoltcp says is due and did not do has to wait for something.
        let wait = if at > moment(now) { (at - moment(now)).total_micros() } else { 0 };
        Some(now.saturating_add(Duration::from_micros(wait.max(1000))))
    }

    /// Answers the SYN of `entry` with the spare socket; whether it took it.
    pub(super) fn answer(
        &mut self,
        entry: &mut HalfOpen,
        wire: Option<&dyn Wire>,
        at: Instant,
    ) -> bool {
        let Some((header, packet)) = entry.frame().split_first_chunk::<HEADER>() else {
            return false;
        };
        self.out.sequence.set(None);
        let door = Some((*header, self.info.mac));
        let mut port = Port { frame: Some(packet), wire, door, out: &self.out };
        let mut door = self.door(entry.seed, &mut port, at);
        let spare = self.spare.get_mut::<tcp::Socket>(self.spare_handle);
        spare.abort();
        spare.set_congestion_control(tcp::CongestionControl::Reno);
        // It is closed, and nobody listens on port 0.
        if spare.listen(entry.local.port()).is_err() {
            return false;
        }
        door.poll_ingress_single(moment(at), &mut port, &mut self.spare);
        door.poll_egress(moment(at), &mut port, &mut self.spare);
        let Some(ours) = self.out.sequence.get() else { return false };
        let same = entry.answers == 0 || entry.ours == ours;
        entry.ours = ours;
        same
    }

    /// Makes a socket of what a peer confirmed.
    pub(super) fn confirm(&mut self, mut entry: HalfOpen) -> Option<Handle> {
        let next = socket(self.limits.buffer).ok()?;
        let at = entry.answered;
        if !self.answer(&mut entry, None, at) {
            return None;
        }
        let Socket::Tcp(ready) = self.spare.remove(self.spare_handle) else { return None };
        self.spare_handle = self.spare.add(next);
        Some(self.sockets.add(ready))
    }

    /// The socket that a segment is for.
    pub(super) fn find(&self, segment: &Segment) -> Option<Handle> {
        let (local, peer) = (segment.local.into(), segment.peer.into());
        self.sockets.iter().find_map(|(handle, socket)| match socket {
            Socket::Tcp(it) if it.local_endpoint() == Some(local) => {
                (it.remote_endpoint() == Some(peer)).then_some(handle)
            }
            _ => None,
        })
    }

    /// Sockets of TCP connections, with those that are leaving.
    pub(super) fn connections(&self) -> usize {
        self.sockets.iter().filter(|(_, it)| matches!(it, Socket::Tcp(_))).count()
    }

    /// The interface is broken: everyone who waits for a socket is told so.
    pub(super) fn fail(&mut self) {
        self.down = true;
        for (_, socket) in self.sockets.iter_mut() {
            match socket {
                Socket::Tcp(socket) => socket.abort(),
                Socket::Udp(socket) => socket.close(),
                _ => {}
            }
        }
    }

    /// Whom to wake when there is something to do.
    pub(super) fn drive(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|it| it.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Wakes the driver.
    pub(super) fn kick(&self) {
        self.driver.iter().for_each(Waker::wake_by_ref);
    }

    pub(super) fn up(&self) -> Result<(), Error> {
        if self.down { Err(Error::Down) } else { Ok(()) }
    }

    pub(super) fn mac(&self) -> Mac {
        self.info.mac
    }

    pub(super) fn sent(&self) -> u64 {
        self.out.sent.get()
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.interface.has_ip_addr(IpAddress::from(address))
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.interface.ip_addrs().iter().map(|it| (it.address().into(), it.prefix_len()))
    }

    /// The address to speak to `to` from, if there is a way to it.
    pub(super) fn source(&self, to: IpAddr) -> Result<IpAddr, Error> {
        let target = IpAddress::from(to);
        let source = self.interface.get_source_address(&target).ok_or(Error::Unreachable)?;
        let all = to == Ipv4Addr::BROADCAST || to.is_multicast();
        let odd = to.is_unspecified() || to.is_loopback() || self.interface.has_ip_addr(target);
        let way = !odd && (all || self.next_hop(to).is_some());
        // It may be none of ours when there is none.
        let own = self.interface.has_ip_addr(source);
        if way && own { Ok(source.into()) } else { Err(Error::Unreachable) }
    }

    /// Where to send what goes to `to`: there, or to a router.
    pub(super) fn next_hop(&self, to: IpAddr) -> Option<IpAddr> {
        let target = IpAddress::from(to);
        if self.interface.ip_addrs().iter().any(|it| it.contains_addr(&target)) {
            return Some(to);
        }
        let routes = self.interface.routes();
        let route = match target {
            IpAddress::Ipv4(_) => routes.get_default_ipv4_route(),
            IpAddress::Ipv6(_) => routes.get_default_ipv6_route(),
        };
        route.map(|it| it.via_router.into())
    }

    /// The news of the DHCP client: a lease, or that there is none any more.
    pub(super) fn lease(&mut self) -> Option<Option<dhcp::Lease>> {
        let event = self.sockets.get_mut::<dhcpv4::Socket>(self.dhcp?).poll()?;
        Some(match event {
            dhcpv4::Event::Deconfigured => None,
            dhcpv4::Event::Configured(lease) => Some(dhcp::Lease {
                address: lease.address.address(),
                bits: lease.address.prefix_len(),
                router: lease.router,
                servers: lease.dns_servers.iter().copied().map(IpAddr::V4).collect(),
            }),
        })
    }

    /// Has the DHCP client ask anew, and then again after `wait`.
    pub(super) fn ask(&mut self, wait: Duration) {
        let Some(handle) = self.dhcp else { return };
        let socket = self.sockets.get_mut::<dhcpv4::Socket>(handle);
        let mut config = socket.get_retry_config();
        config.discover_timeout = duration(wait);
        config.initial_request_timeout = duration(dhcp::FIRST);
        socket.set_retry_config(config);
        socket.reset();
    }

    /// Has this IPv4 address and no other.
    pub(super) fn set_ipv4(&mut self, address: Option<(Ipv4Addr, u8)>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.retain(|it| !matches!(it, IpCidr::Ipv4(_)));
            let new = address.map(|(address, bits)| IpCidr::new(IpAddress::Ipv4(address), bits));
            // The others are few.
            addresses.extend(new);
        });
    }

    /// The IPv6 addresses beside the link-local one, and the router.
    pub(super) fn ipv6(&self) -> (heapless::Vec<Ipv6Addr, ADDRESSES>, Option<Ipv6Addr>) {
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
    pub(super) fn set_ipv6(&mut self, new: &[Ipv6Addr], router: Option<Ipv6Addr>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.retain(|it| match it {
                IpCidr::Ipv6(it) => it.address().is_unicast_link_local(),
                IpCidr::Ipv4(_) => true,
            });
            addresses.extend(new.iter().map(|&it| IpCidr::new(IpAddress::Ipv6(it), 64)));
        });
        self.interface.routes_mut().remove_default_ipv6_route();
        if let Some(router) = router {
            // There is room for one of each version.
            let _ = self.interface.routes_mut().add_default_ipv6_route(router);
        }
    }

    /// Sends what goes to other IPv4 networks to this router.
    pub(super) fn set_router(&mut self, router: Option<Ipv4Addr>) {
        self.interface.routes_mut().remove_default_ipv4_route();
        if let Some(router) = router {
            // There is room for one of each version.
            let _ = self.interface.routes_mut().add_default_ipv4_route(router);
        }
    }

    /// Begins a connection from `from`.
    pub(super) fn connect(&mut self, to: SocketAddr, from: SocketAddr) -> Result<Handle, Error> {
        let mut socket = socket(self.limits.buffer)?;
        let mut port = Port { frame: None, wire: None, door: Some(NOWHERE), out: &self.out };
        let mut door = self.door(random()?, &mut port, Instant::now());
        socket.connect(door.context(), to, from).map_err(|_| Error::Unreachable)?;
        let handle = self.sockets.add(socket);
        self.kick();
        Ok(handle)
    }

    /// Whether a TCP connection uses this port.
    pub(super) fn uses(&self, port: u16) -> bool {
        self.sockets.iter().any(|(_, socket)| match socket {
            Socket::Tcp(it) => it.local_endpoint().is_some_and(|it| it.port == port),
            _ => false,
        })
    }

    fn tcp(&mut self, handle: Handle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(super) fn ends(&self, handle: Handle) -> Option<(SocketAddr, SocketAddr)> {
        let socket = self.sockets.get::<tcp::Socket>(handle);
        Some((socket.local_endpoint()?.into(), socket.remote_endpoint()?.into()))
    }

    /// How the connection is; `waker` is woken when that changes.
    pub(super) fn state(&mut self, handle: Handle, waker: &Waker) -> Result<State, Error> {
        self.up()?;
        let socket = self.tcp(handle);
        socket.register_send_waker(waker);
        Ok(match socket.state() {
            tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => State::Opening,
            tcp::State::Established | tcp::State::CloseWait => State::Open,
            tcp::State::FinWait1 | tcp::State::Closing | tcp::State::LastAck => State::Ending,
            tcp::State::FinWait2 => State::Ended,
            tcp::State::TimeWait => State::Closed { arrived: true },
            tcp::State::Closed => State::Closed { arrived: socket.send_queue() == 0 },
        })
    }

    /// Reads; 0 bytes when the peer has ended.
    pub(super) fn poll_read(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let up = self.up();
        let socket = self.tcp(handle);
        let result = match socket.recv_slice(to) {
            Ok(0) if !to.is_empty() => {
                socket.register_recv_waker(waker);
                Poll::Pending
            }
            Ok(count) => Poll::Ready(Ok(count)),
            Err(tcp::RecvError::Finished) => Poll::Ready(Ok(0)),
            Err(tcp::RecvError::InvalidState) => Poll::Ready(up.and(Err(Error::Reset))),
        };
        if result.is_ready() {
            self.kick();
        }
        result
    }

    /// Throws away what the peer sends, so that it can come to its end.
    pub(super) fn discard(&mut self, handle: Handle, waker: &Waker) {
        let socket = self.tcp(handle);
        socket.register_recv_waker(waker);
        while socket.recv(|bytes| (bytes.len(), bytes.len())).is_ok_and(|count| count > 0) {}
        self.kick();
    }

    /// Takes as much as there is room for.
    pub(super) fn poll_write(
        &mut self,
        handle: Handle,
        bytes: &[u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        self.up()?;
        let socket = self.tcp(handle);
        match socket.send_slice(bytes) {
            Ok(0) if !bytes.is_empty() => {
                socket.register_send_waker(waker);
                Poll::Pending
            }
            Ok(count) => {
                self.kick();
                Poll::Ready(Ok(count))
            }
            Err(tcp::SendError::InvalidState) => Poll::Ready(Err(Error::Reset)),
        }
    }

    /// Sends the end behind what was written.
    pub(super) fn end(&mut self, handle: Handle) {
        self.tcp(handle).close();
        self.kick();
    }

    pub(super) fn abort(&mut self, handle: Handle) {
        self.tcp(handle).abort();
        self.kick();
    }

    /// Gives a connection up. Unless it is over, it is reset. Whether it still has
    /// something to say before it can be [removed](Self::remove).
    pub(super) fn give_up(&mut self, handle: Handle) -> bool {
        let down = self.down;
        let socket = self.tcp(handle);
        if socket.state() != tcp::State::TimeWait {
            socket.abort();
        }
        let quiet = down || socket.remote_endpoint().is_none();
        self.kick();
        !quiet
    }

    /// Whether it has said all it had to say.
    pub(super) fn is_quiet(&self, handle: Handle) -> bool {
        self.sockets.get::<tcp::Socket>(handle).remote_endpoint().is_none()
    }

    /// Whether both sides may still write.
    pub(super) fn may_write(&self, handle: Handle) -> bool {
        self.sockets.get::<tcp::Socket>(handle).may_send()
    }

    pub(super) fn remove(&mut self, handle: Handle) {
        self.sockets.remove(handle);
    }

    /// Whether a UDP socket uses this port.
    pub(super) fn is_bound(&self, port: u16) -> bool {
        self.sockets.iter().any(|(_, socket)| match socket {
            Socket::Udp(it) => it.endpoint().port == port,
            _ => false,
        })
    }

    pub(super) fn bind(&mut self, port: u16) -> Result<Handle, Error> {
        let size = self.limits.datagrams;
        let packets = || -> Result<_, Error> {
            let metadata = alloc::vec![udp::PacketMetadata::EMPTY; DATAGRAMS];
            Ok(udp::PacketBuffer::new(metadata, buffer(size)?))
        };
        let mut socket = udp::Socket::new(packets()?, packets()?);
        socket.bind(port).map_err(|_| Error::InUse)?;
        Ok(self.sockets.add(socket))
    }

    pub(super) fn poll_receive(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<(usize, SocketAddr), Error>> {
        self.up()?;
        let socket = self.sockets.get_mut::<udp::Socket>(handle);
        let Ok((datagram, from)) = socket.recv() else {
            socket.register_recv_waker(waker);
            return Poll::Pending;
        };
        let length = datagram.len().min(to.len());
        for (to, from) in to.iter_mut().zip(datagram) {
            *to = *from;
        }
        Poll::Ready(Ok((length, from.endpoint.into())))
    }

    pub(super) fn poll_send(
        &mut self,
        handle: Handle,
        datagram: &[u8],
        to: SocketAddr,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        self.source(to.ip())?;
        let header = if to.is_ipv4() { 28 } else { 48 };
        if datagram.len() + header > self.info.mtu || datagram.len() > self.limits.datagrams {
            return Poll::Ready(Err(Error::TooLong));
        }
        let socket = self.sockets.get_mut::<udp::Socket>(handle);
        match socket.send_slice(datagram, IpEndpoint::from(to)) {
            Ok(()) => {
                self.kick();
                Poll::Ready(Ok(()))
            }
            Err(udp::SendError::Unaddressable) => Poll::Ready(Err(Error::Unreachable)),
            Err(udp::SendError::BufferFull) => {
                socket.register_send_waker(waker);
                Poll::Pending
            }
        }
    }

    /// Forgets what waits at a UDP port, in and out.
    pub(super) fn clear(&mut self, handle: Handle) {
        let socket = self.sockets.get_mut::<udp::Socket>(handle);
        let endpoint = socket.endpoint();
        socket.close();
        // It was bound to it before.
        let _ = socket.bind(endpoint);
    }

    /// Sends an echo request with a payload of zeros.
    pub(super) fn ping(&mut self, to: IpAddr, payload: usize) -> Result<(Handle, u16), Error> {
        self.up()?;
        self.source(to)?;
        if payload + if to.is_ipv4() { 28 } else { 48 } > self.info.mtu {
            return Err(Error::TooLong);
        }
        let ident = random()? as u16;
        let packets = || -> Result<_, Error> {
            let metadata = alloc::vec![icmp::PacketMetadata::EMPTY; 2];
            Ok(icmp::PacketBuffer::new(metadata, buffer(2 * (payload + 8))?))
        };
        let mut socket = icmp::Socket::new(packets()?, packets()?);
        socket.bind(icmp::Endpoint::Ident(ident)).map_err(|_| Error::Exhausted)?;
        let request = socket.send(payload + 8, to.into()).map_err(|_| Error::Unreachable)?;
        // Its checksum is filled in when it is sent.
        request.fill(0);
        packet::echo_request(request, to.is_ipv4(), ident);
        let handle = self.sockets.add(socket);
        self.kick();
        Ok((handle, ident))
    }

    /// Ready when `from` has answered the request of `ident`.
    pub(super) fn poll_pong(
        &mut self,
        handle: Handle,
        from: IpAddr,
        ident: u16,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        let socket = self.sockets.get_mut::<icmp::Socket>(handle);
        while let Ok((packet, sender)) = socket.recv() {
            if sender == from.into() && packet::is_echo(packet, from.is_ipv4(), ident) {
                return Poll::Ready(Ok(()));
            }
        }
        socket.register_recv_waker(waker);
        Poll::Pending
    }
}
