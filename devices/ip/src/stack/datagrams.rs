//! UDP ports, and echo requests.
//!
//! What comes to a port waits in a socket of smoltcp. What it has to send waits here,
//! until the interface has room for it, and then for the Ethernet address of whom it is
//! for, with what others have for them.

use super::sets::{Body, Handle, Key, Outgoing};
use super::{Protocols, ROUNDS, Way, buffer};
use crate::wire::Wire;
use crate::{Error, packet, random};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::task::{Poll, Waker};
use kernel::sync::Wakers;
use kernel::time::Instant;
use smoltcp::iface::SocketSet;
use smoltcp::socket::{icmp, udp};
use smoltcp::storage::{PacketBuffer, PacketMetadata};
use smoltcp::wire::{IpAddress, IpListenEndpoint};

/// Datagrams that wait at a UDP port, each way.
const DATAGRAMS: usize = 16;

/// UDP ports whose sockets were dropped before all was sent. Further ones lose the rest.
const ORPHANS: usize = 8;

impl Protocols {
    /// The UDP socket that takes datagrams to `port` of this address, or of all machines.
    pub(crate) fn bound(&self, to: Option<IpAddr>, port: u16) -> Option<Handle> {
        let all = self.sets.find(Key::udp(None, port));
        all.or_else(|| self.sets.find(Key::udp(Some(to?), port)))
    }

    /// Whether a UDP socket takes what one that is bound to this address, or to all, would.
    pub(crate) fn is_bound(&self, only: Option<IpAddr>, port: u16) -> bool {
        match only {
            Some(_) => self.bound(only, port).is_some(),
            None => {
                self.sets.find(Key::udp(None, port)).is_some()
                    || self.sets.ports().any(|it| it == port)
            }
        }
    }

    pub(crate) fn bind(&mut self, only: Option<IpAddr>, port: u16) -> Result<Handle, Error> {
        let size = self.limits.datagrams;
        let metadata = alloc::vec![udp::PacketMetadata::EMPTY; DATAGRAMS];
        let incoming = udp::PacketBuffer::new(metadata, buffer(size)?);
        let mut socket = udp::Socket::new(incoming, udp::PacketBuffer::new(Vec::new(), Vec::new()));
        let endpoint = IpListenEndpoint { addr: only.map(IpAddress::from), port };
        socket.bind(endpoint).map_err(|_| Error::InUse)?;
        let metadata = alloc::vec![PacketMetadata::EMPTY; DATAGRAMS];
        let packets = PacketBuffer::new(metadata, buffer(size)?);
        let mut set = SocketSet::new(Vec::new());
        let place = set.add(socket);
        let handle = self.sets.add(Body::Set(set, place), Some(Key::udp(only, port)));
        self.sets.get_mut(handle).outgoing =
            Some(Box::new(Outgoing { only, port, packets, wakers: Wakers::new(), orphan: false }));
        Ok(handle)
    }

    pub(crate) fn poll_receive(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<(usize, SocketAddr), Error>> {
        self.up()?;
        let socket = self.sets.get_mut(handle).socket_mut::<udp::Socket>();
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

    /// Waits until there is a datagram, and leaves it where it is.
    pub(crate) fn poll_arrived(
        &mut self,
        handle: Handle,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        let socket = self.sets.get_mut(handle).socket_mut::<udp::Socket>();
        if socket.can_recv() {
            return Poll::Ready(Ok(()));
        }
        socket.register_recv_waker(waker);
        Poll::Pending
    }

    pub(crate) fn poll_send(
        &mut self,
        handle: Handle,
        datagram: &[u8],
        to: SocketAddr,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        self.source(to.ip())?;
        // What is too long for the interface leaves in fragments.
        if datagram.len() > packet::longest_datagram(to.is_ipv4()).min(self.limits.datagrams) {
            return Poll::Ready(Err(Error::TooLong));
        }
        let only = self.sets.get(handle).outgoing.as_ref().and_then(|it| it.only);
        if only.is_some_and(|own| own.is_ipv4() != to.is_ipv4()) {
            return Poll::Ready(Err(Error::Unreachable));
        }
        if only.is_some_and(|own| !self.has(own)) {
            return Poll::Ready(Err(Error::AddrNotAvailable));
        }
        let Some(outgoing) = &mut self.sets.get_mut(handle).outgoing else {
            return Poll::Ready(Err(Error::Down));
        };
        let Ok(room) = outgoing.packets.enqueue(datagram.len(), to) else {
            outgoing.wakers.add(waker);
            return Poll::Pending;
        };
        room.copy_from_slice(datagram);
        self.touch(handle);
        Poll::Ready(Ok(()))
    }

    /// Sends what waits at a UDP port.
    pub(super) fn send_datagrams(&mut self, handle: Handle, wire: &dyn Wire, now: Instant) {
        let Some(mut outgoing) = self.sets.get_mut(handle).outgoing.take() else { return };
        let mut rounds = ROUNDS;
        while !outgoing.packets.is_empty() && rounds > 0 && wire.ready() {
            rounds -= 1;
            let (only, port) = (outgoing.only, outgoing.port);
            let sent = outgoing.packets.dequeue_with(|&mut to, datagram| {
                self.send_datagram((only, port), to, datagram, wire, now);
                Ok::<_, ()>(())
            });
            if sent.is_err() {
                break;
            }
            outgoing.wakers.wake();
        }
        let (rest, orphan) = (!outgoing.packets.is_empty(), outgoing.orphan);
        self.sets.get_mut(handle).outgoing = Some(outgoing);
        if rest {
            self.sets.touch(handle);
        } else if orphan {
            self.sets.remove(handle);
        }
    }

    fn send_datagram(
        &mut self,
        (only, port): (Option<IpAddr>, u16),
        to: SocketAddr,
        datagram: &[u8],
        wire: &dyn Wire,
        now: Instant,
    ) {
        // Its address may be gone meanwhile.
        let Ok(source) = self.source(to.ip()) else { return };
        if only.is_some_and(|own| !self.has(own)) {
            return;
        }
        let from = SocketAddr::new(only.unwrap_or(source), port);
        let length = packet::datagram_head(to.is_ipv4()) + datagram.len();
        match self.way(to.ip(), now) {
            Way::Known(header) => self.put(wire, length, &mut |frame| {
                packet::datagram(frame, header, from, to, datagram);
            }),
            Way::Sought(hop) => {
                if let Some(mut frame) = kernel::memory::zeroed(length) {
                    let header = packet::header(packet::BROADCAST, self.info.mac, to.is_ipv4());
                    packet::datagram(&mut frame, header, from, to, datagram);
                    self.neighbors.hold(hop, frame, now);
                }
            }
            Way::None => {}
        }
    }

    /// Frees the port of a socket that was dropped. What it was told to send is sent: whether
    /// there is any.
    pub(crate) fn unbind(&mut self, handle: Handle) -> bool {
        let room = !self.down && self.sets.orphans < ORPHANS;
        let outgoing = self.sets.get_mut(handle).outgoing.as_mut();
        let Some(outgoing) = outgoing.filter(|it| room && !it.packets.is_empty()) else {
            self.remove(handle);
            return false;
        };
        outgoing.orphan = true;
        self.sets.orphans += 1;
        self.sets.hide(handle);
        self.touch(handle);
        true
    }

    /// Whether there are ports whose sockets were dropped.
    pub(crate) const fn has_orphans(&self) -> bool {
        self.sets.orphans > 0
    }

    /// Forgets what waits to be sent from a UDP port.
    pub(crate) fn clear(&mut self, handle: Handle) {
        if let Some(outgoing) = &mut self.sets.get_mut(handle).outgoing {
            let drop = |_: &mut SocketAddr, _: &mut [u8]| Ok::<_, ()>(());
            while outgoing.packets.dequeue_with(drop).is_ok() {}
        }
    }

    /// Sends an echo request with a payload of zeros.
    pub(crate) fn ping(&mut self, to: IpAddr, payload: usize) -> Result<(Handle, u16), Error> {
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
        let mut set = SocketSet::new(Vec::new());
        let place = set.add(socket);
        let handle = self.sets.add(Body::Set(set, place), Some(Key::echo(ident)));
        self.kick();
        Ok((handle, ident))
    }

    /// Ready when `from` has answered the request of `ident`.
    pub(crate) fn poll_pong(
        &mut self,
        handle: Handle,
        from: IpAddr,
        ident: u16,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        let socket = self.sets.get_mut(handle).socket_mut::<icmp::Socket>();
        while let Ok((packet, sender)) = socket.recv() {
            if sender == from.into() && packet::is_echo(packet, from.is_ipv4(), ident) {
                return Poll::Ready(Ok(()));
            }
        }
        socket.register_recv_waker(waker);
        Poll::Pending
    }

    /// Gives a UDP port back, or an echo request's socket.
    pub(crate) fn remove(&mut self, handle: Handle) {
        self.sets.remove(handle);
    }
}
