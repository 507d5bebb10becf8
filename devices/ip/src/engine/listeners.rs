//! TCP connections that peers ask for, and those who wait for them.
//!
//! A SYN for a listener's port becomes an entry of the [SYN queue](crate::tcp::syn::SynQueue);
//! when the peer confirms, a connection is made of it. The answer goes back to the Ethernet
//! address that the SYN came from, so that SYNs with false senders cost no address resolution
//! either (rule N17). When the queue is full, SYNs are answered with
//! [cookies](crate::tcp::secret) and nothing is kept of them.

use super::Engine;
use crate::packet::{self, Ends, Segment};
use crate::stack::{Handle, Whom};
use crate::tcp::connection::Offer;
use crate::tcp::segment::{ACK, RST, SYN};
use crate::tcp::syn::Asked;
use crate::wire::Wire;
use crate::{Error, choose, only};
use alloc::collections::VecDeque;
use core::net::{Ipv4Addr, SocketAddr};
use core::task::{Poll, Waker};
use kernel::sync::Wakers;
use kernel::time::Instant;

/// What a listener is bound to, and what came for it.
pub(super) struct Listening {
    local: SocketAddr,
    ready: VecDeque<Handle>,
    /// Who waits for the next connection.
    pub(super) wakers: Wakers,
}

impl Listening {
    /// Whether it takes connections to `addr`.
    fn takes(&self, addr: SocketAddr) -> bool {
        self.local.port() == addr.port() && only(self.local).is_none_or(|it| it == addr.ip())
    }

    /// Whether there is an address that both take connections to.
    fn overlaps(&self, addr: SocketAddr) -> bool {
        let both = only(self.local).zip(only(addr));
        self.local.port() == addr.port() && both.is_none_or(|(one, other)| one == other)
    }
}

impl Engine {
    /// Takes in a TCP segment.
    pub(super) fn receive_tcp(
        &mut self,
        frame: &[u8],
        segment: &Segment,
        wire: &dyn Wire,
        now: Instant,
    ) {
        let known = self.protocols.find(segment);
        let ends = Ends { from: segment.peer.ip(), to: segment.local.ip() };
        if known.is_none() && self.protocols.whom(ends) != Whom::Us {
            self.stats.useless += 1;
            return;
        }
        if let Some(handle) = known {
            if self.protocols.receive_tcp(handle, frame, segment, now) {
                self.protocols.find_way(segment.peer.ip(), now);
            }
            self.protocols.send_urgent(handle, wire, now);
            return;
        }
        let listens = self.listens(segment.local);
        if !listens && self.keep_early(frame, segment, now) {
            return;
        }
        let may = || self.errors.take(now);
        if self.protocols.hear_late(frame, segment, listens, may, wire, now) {
            return;
        }
        if listens && segment.flags & (SYN | ACK | RST) == SYN {
            return self.asked(frame, segment, wire, now);
        }
        if segment.flags & (SYN | RST) == SYN {
            self.stats.refused += 1;
        }
        if !self.confirmed(frame, segment, now) && self.errors.take(now) {
            self.protocols.refuse(frame, segment, wire);
        }
    }

    /// Whether somebody listens on an address.
    fn listens(&self, local: SocketAddr) -> bool {
        self.listening.iter().any(|it| it.takes(local))
    }

    /// Deals with a segment that may confirm what its sender asked for (RFC 9293, section
    /// 3.10.7.4, SYN-RECEIVED). Returns whether it is dealt with.
    fn confirmed(&mut self, frame: &[u8], segment: &Segment, now: Instant) -> bool {
        let ends = (segment.local, segment.peer);
        let (iss, irs) = (segment.ack - 1, segment.seq - 1);
        let resets = segment.flags & RST != 0;
        let (iss, offer, answered) = match self.half_open.get(ends) {
            Some(entry) => {
                let exact = segment.seq == entry.offer.irs + 1;
                if resets || segment.flags & SYN != 0 {
                    if resets && exact {
                        self.half_open.take(ends);
                    }
                    return true;
                }
                if segment.flags & ACK == 0 {
                    return true;
                }
                if iss != entry.iss {
                    return false;
                }
                (iss, entry.offer.clone(), (entry.answers == 1).then_some(entry.answered))
            }
            None if segment.flags & (SYN | RST | ACK) == ACK => {
                let read = segment.read(frame);
                let offer = read
                    .filter(|_| self.listens(segment.local))
                    .and_then(|it| self.protocols.redeem(ends, (iss, irs), &it, now));
                match offer {
                    Some(offer) => (iss, offer, None),
                    None => return false,
                }
            }
            None => return false,
        };
        // Without room it is asked again, by what confirms it being sent again.
        if !self.has_room(segment.local) {
            return true;
        }
        self.half_open.take(ends);
        match self.protocols.confirm(ends, iss, &offer, answered, now) {
            Some(handle) => {
                self.protocols.receive_tcp(handle, frame, segment, now);
                self.opened(handle);
            }
            None => self.stats.dropped += 1,
        }
        true
    }

    /// Deals with a SYN for a port that someone listens on.
    fn asked(&mut self, frame: &[u8], segment: &Segment, wire: &dyn Wire, now: Instant) {
        let (local, peer) = (segment.local, segment.peer);
        let read = segment.read(frame);
        let Some((arrived, header)) = read.zip(packet::back(frame, self.protocols.mac())) else {
            return;
        };
        let offer = Offer::of(&arrived, local.is_ipv4());
        let known = self.half_open.take((local, peer));
        let known = known.filter(|it| it.offer.irs == offer.irs);
        if known.is_none() && self.half_open.is_full() {
            self.stats.cookies += 1;
            return self.protocols.give_cookie(&offer, header, (local, peer), wire, now);
        }
        if !self.has_room(local) {
            self.stats.dropped += 1;
            // What was answered may yet be confirmed when there is room.
            known.into_iter().for_each(|it| self.half_open.add(it));
            return;
        }
        let asked = match known {
            // Which of the answers is confirmed is not known then (RFC 6298, section 3).
            Some(known) => Asked { answered: now, answers: known.answers.max(2), ..known },
            None => {
                let iss = self.protocols.initial((local, peer), now);
                Asked { local, peer, iss, offer, header, answered: now, answers: 1 }
            }
        };
        self.protocols.answer(&asked, wire, now);
        self.half_open.add(asked);
    }

    /// Whether a connection more to `local` is within the limits.
    fn has_room(&mut self, local: SocketAddr) -> bool {
        self.make_room();
        let most = self.settings.limits.backlog;
        let backlog = |it: &mut Listening| {
            it.takes(local) && it.ready.len() < most && it.ready.try_reserve(1).is_ok()
        };
        self.protocols.has_capacity()
            && self.listening.iter_mut().any(backlog)
            && !kernel::memory::is_low()
    }

    /// Frees a socket that nobody misses, if there is no room for another.
    fn make_room(&mut self) {
        if !self.protocols.has_capacity() {
            self.leaving.make_room(&mut self.protocols);
        }
    }

    /// Gives a connection to its listener.
    fn opened(&mut self, handle: Handle) {
        let (local, peer) = self.protocols.ends(handle);
        let listening = self.listening.iter_mut().find(|it| it.takes(local));
        match listening {
            Some(listening) if self.protocols.is_open(handle) => {
                self.stats.accepted += 1;
                listening.ready.push_back(handle);
                listening.wakers.wake();
                self.protocols.find_way(peer.ip(), Instant::now());
            }
            _ => self.release(handle),
        }
    }

    /// Lets a connection wait to be accepted. Whether a listener takes it.
    pub(super) fn wait_for_accept(&mut self, handle: Handle) -> bool {
        let (local, _) = self.protocols.ends(handle);
        let mut listening = self.listening.iter_mut();
        let Some(listening) = listening.find(|it| it.takes(local)) else { return false };
        if listening.ready.try_reserve(1).is_err() {
            return false;
        }
        listening.ready.push_back(handle);
        listening.wakers.wake();
        true
    }

    /// Connections that wait to be accepted.
    pub(super) fn waiting_for_accept(&self) -> impl Iterator<Item = Handle> + Clone {
        self.listening.iter().flat_map(|it| it.ready.iter().copied())
    }

    /// Takes connections to `addr`. Returns it with the port.
    pub(crate) fn listen(&mut self, addr: SocketAddr) -> Result<SocketAddr, Error> {
        self.may_bind(addr)?;
        let at = |port| SocketAddr::new(addr.ip(), port);
        let free = |port| !self.listening.iter().any(|it| it.overlaps(at(port)));
        let local = at(choose(addr.port(), free)?);
        self.listening.try_reserve(1).map_err(|_| Error::Exhausted)?;
        let (ready, wakers) = (VecDeque::new(), Wakers::new());
        self.listening.push(Listening { local, ready, wakers });
        self.find_listeners();
        Ok(local)
    }

    pub(crate) fn unlisten(&mut self, local: SocketAddr) {
        let Some(at) = self.listening.iter().position(|it| it.local == local) else { return };
        let listening = self.listening.swap_remove(at);
        self.half_open.forget(|asked| listening.takes(asked));
        for handle in listening.ready {
            self.release(handle);
        }
    }

    /// Takes the next connection to `local` that is not over already, if there is one.
    pub(crate) fn try_accept(&mut self, local: SocketAddr) -> Result<Option<Handle>, Error> {
        self.protocols.up()?;
        loop {
            let listening = self.listening.iter_mut().find(|it| it.local == local);
            let Some(handle) = listening.ok_or(Error::Down)?.ready.pop_front() else {
                return Ok(None);
            };
            if !self.protocols.is_quiet(handle) {
                return Ok(Some(handle));
            }
            // It was reset meanwhile.
            self.release(handle);
        }
    }

    /// Ready when there is a connection to `local`.
    pub(crate) fn poll_acceptable(
        &mut self,
        local: SocketAddr,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.protocols.up()?;
        let listening = self.listening.iter_mut().find(|it| it.local == local);
        let listening = listening.ok_or(Error::Down)?;
        if listening.ready.is_empty() {
            listening.wakers.add(waker);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Begins a connection from an address and port, or from the one that leads there and a
    /// random one.
    pub(crate) fn connect(&mut self, from: SocketAddr, to: SocketAddr) -> Result<Handle, Error> {
        self.may_bind(from)?;
        let source = self.protocols.source(to.ip())?;
        let source = only(from).unwrap_or(source);
        let one = to.port() != 0 && !to.ip().is_multicast() && to.ip() != Ipv4Addr::BROADCAST;
        if !one || source.is_ipv4() != to.is_ipv4() {
            return Err(Error::Unreachable);
        }
        let now = Instant::now();
        let free = |port| {
            let from = SocketAddr::new(source, port);
            let listens = self.listening.iter().any(|it| it.takes(from));
            !listens && self.protocols.may_connect(from, to, now)
        };
        let port = choose(from.port(), free)?;
        self.make_room();
        let handle = self.protocols.connect(to, SocketAddr::new(source, port))?;
        self.protocols.find_way(to.ip(), now);
        self.stats.connected += 1;
        Ok(handle)
    }
}
