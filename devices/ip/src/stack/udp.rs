//! UDP ports: what came for them, what they have to send, and who waits for either.
//!
//! What is to be sent waits until the interface has room for it, and then for the Ethernet
//! address of whom it is for, with what others have for them.

use super::path::least;
use super::port::{Port, Received};
use super::queue::Queue;
use super::sets::{Body, Handle, Key};
use super::{Protocols, ROUNDS};
use crate::Error;
use crate::packet::{self, Complaint, Datagram, What};
use crate::wire::Wire;
use core::net::{IpAddr, SocketAddr};
use core::task::{Poll, Waker};
use devices::net::HEADER;
use kernel::time::Instant;

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

    pub(crate) fn bind(&mut self, only: Option<IpAddr>, number: u16) -> Result<Handle, Error> {
        let queue = |spare| Queue::new(self.limits.datagrams, spare, &self.pool);
        let port = Port::new((only, number), queue(true), queue(false));
        let body = || kernel::memory::boxed(port).ok().map(Body::Udp);
        self.add(body, Key::udp(only, number))
    }

    /// Hears `peer` alone from now on, and errors about what goes there; all, and no errors,
    /// without one.
    pub(crate) fn set_peer(&mut self, handle: Handle, peer: Option<SocketAddr>) {
        if let Some(port) = self.sets.port_mut(handle) {
            (port.peer, port.error) = (peer, None);
        }
    }

    /// Refuses what does not go out in one piece from now on, or cuts it.
    pub(crate) fn set_whole(&mut self, handle: Handle, whole: bool) {
        if let Some(port) = self.sets.port_mut(handle) {
            port.whole = whole;
        }
    }

    /// Takes in a datagram for a port.
    pub(crate) fn deliver(&mut self, handle: Handle, frame: &[u8], datagram: &Datagram) {
        let Some(port) = self.sets.port_mut(handle) else { return };
        let payload = datagram.payload(frame);
        let heard = port.peer.is_none_or(|it| it == datagram.from);
        if heard
            && port.incoming.has_room(payload.len())
            && !kernel::memory::is_low()
            && port.incoming.push(datagram.from, datagram.ecn, payload).is_ok()
        {
            port.readers.wake();
        }
    }

    pub(crate) fn poll_receive(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<Received, Error>> {
        self.up()?;
        let Some(port) = self.sets.port_mut(handle) else { return Poll::Ready(Err(Error::Down)) };
        port.check()?;
        let Some(waiting) = port.incoming.pop() else {
            port.readers.add(waker);
            return Poll::Pending;
        };
        let length = waiting.payload.len();
        let copied = length.min(to.len());
        packet::fill(to, &[&waiting.payload[..copied]]);
        let (from, ecn) = (waiting.peer, waiting.ecn);
        Poll::Ready(Ok(Received { copied, length, from, ecn }))
    }

    /// Ready when receiving would not wait.
    pub(crate) fn poll_arrived(
        &mut self,
        handle: Handle,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        match self.sets.port_mut(handle) {
            Some(port) if port.incoming.is_empty() && port.error.is_none() => {
                port.readers.add(waker);
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Ready when there is room to send a datagram of `length` bytes.
    pub(crate) fn poll_room(
        &mut self,
        handle: Handle,
        length: usize,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        match self.sets.port_mut(handle) {
            Some(port) if !port.outgoing.has_room(length) && port.error.is_none() => {
                port.writers.add(waker);
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// The most bytes behind a head of `head` that go to `to` in one packet.
    pub(super) fn longest(&self, to: IpAddr, head: usize, now: Instant) -> usize {
        let mtu = self.paths.mtu(to, now).map_or(self.info.mtu, |it| it.min(self.info.mtu));
        mtu.saturating_sub(head + if to.is_ipv4() { 20 } else { 40 })
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
        let fitting = self.longest(to.ip(), 8, Instant::now());
        let most = packet::longest_datagram(to.is_ipv4()).min(self.limits.datagrams);
        let Some(port) = self.sets.port_mut(handle) else { return Poll::Ready(Err(Error::Down)) };
        port.check()?;
        if datagram.len() > most || port.whole && datagram.len() > fitting {
            return Poll::Ready(Err(Error::TooLong));
        }
        let only = port.only;
        if only.is_some_and(|own| own.is_ipv4() != to.is_ipv4()) {
            return Poll::Ready(Err(Error::Unreachable));
        }
        if only.is_some_and(|own| !self.has(own)) {
            return Poll::Ready(Err(Error::AddrNotAvailable));
        }
        self.poll_room(handle, datagram.len(), waker).map(|room| {
            room?;
            let port = self.sets.port_mut(handle).ok_or(Error::Down)?;
            port.outgoing.push(to, 0, datagram)?;
            let length = datagram.len() + packet::datagram_head(to.is_ipv4());
            if length > HEADER + least(to.is_ipv4()) {
                port.remember(to);
            }
            self.touch(handle);
            Ok(())
        })
    }

    /// Sends what waits at a port.
    pub(super) fn send_datagrams(&mut self, handle: Handle, wire: &dyn Wire, now: Instant) {
        for _ in 0..ROUNDS {
            if !wire.ready() {
                break;
            }
            let Some(port) = self.sets.port_mut(handle) else { return };
            let (only, number) = (port.only, port.number);
            let Some(waiting) = port.outgoing.pop() else { break };
            port.writers.wake();
            let to = waiting.peer;
            // Its address may be gone meanwhile.
            let Ok(source) = self.source(to.ip()) else { continue };
            if only.is_some_and(|own| !self.has(own)) {
                continue;
            }
            let from = SocketAddr::new(only.unwrap_or(source), number);
            let length = packet::datagram_head(to.is_ipv4()) + waiting.payload.len();
            self.send_to(to.ip(), length, wire, now, &mut |frame, header| {
                packet::datagram(frame, header, from, to, &waiting.payload);
            });
        }
        match self.sets.port_mut(handle) {
            Some(port) if !port.outgoing.is_empty() => self.sets.touch(handle),
            Some(port) if port.orphan => self.sets.remove(handle),
            _ => {}
        }
    }

    /// Hears what became of a packet from here. Whether somebody here had sent it.
    pub(super) fn datagram_failed(&mut self, complaint: &Complaint, now: Instant) -> bool {
        let (local, peer) = (complaint.local, complaint.peer);
        let handle = self.bound(Some(local.ip()), local.port());
        let port = handle.and_then(|it| self.sets.port_mut(it));
        let Some(port) = port else { return false };
        match complaint.what {
            What::TooBig(mtu) if port.recent.iter().any(|it| *it == peer) => {
                self.paths.hear(peer.ip(), mtu, self.info.mtu, now);
            }
            // Only who has one peer is told, as by Linux: others serve many, and none of those
            // is to end a service by not being there.
            What::Refused if port.peer == Some(peer) => {
                port.error = Some(Error::Refused);
                port.wake_all();
            }
            // It may be there again soon (RFC 1122, section 4.2.3.9).
            What::Refused | What::Unreachable => {}
            What::TooBig(_) => return false,
        }
        true
    }

    /// Frees the port of a socket that was dropped. What it was told to send is sent: whether
    /// there is any.
    pub(crate) fn unbind(&mut self, handle: Handle) -> bool {
        let room = !self.down && self.sets.orphans < ORPHANS;
        let port = self.sets.port_mut(handle).filter(|it| room && !it.outgoing.is_empty());
        let Some(port) = port else {
            self.remove(handle);
            return false;
        };
        port.orphan = true;
        port.incoming.clear();
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
        if let Some(port) = self.sets.port_mut(handle) {
            port.outgoing.clear();
        }
    }

    /// Gives a UDP port back, or an echo request's socket.
    pub(crate) fn remove(&mut self, handle: Handle) {
        self.sets.remove(handle);
    }
}
