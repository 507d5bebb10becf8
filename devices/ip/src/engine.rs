//! What becomes of connections that peers ask for, of addresses, and of those who wait.
//!
//! A SYN for a listener's port becomes an entry of the [SYN queue](SynQueue); when the peer
//! confirms, a connection is made of it. The answer goes back to the Ethernet address that the
//! SYN came from, so that SYNs with false senders cost no address resolution either (rule
//! N17). When the queue is full, SYNs are answered with
//! [cookies](super::tcp::secret) and nothing is kept of them.

mod fold;

use super::announce::Announcer;
use super::config::{ADDRESSES, SERVERS, Settings};
use super::leaving::{LEAVE, Leavers};
use super::limit::Limit;
use super::ndisc::{self, Report, Routers};
use super::neighbor::Heard;
use super::packet::{self, Ends, Reassembly, Said, Segment, TooBig, Verdict, Why};
use super::stack::{For, Handle, Parting, Protocols, Whom};
use super::tcp::connection::Offer;
use super::tcp::segment::{ACK, RST, SYN};
use super::tcp::syn::{Asked, SynQueue};
use super::wire::Wire;
use super::{Error, choose, dhcp, only};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::task::{Poll, Waker};
use core::time::Duration;
use devices::net::{Info, Mac, Meta};
use kernel::sync::Wakers;
use kernel::time::Instant;

/// How often another machine with an address of ours is answered (RFC 5227, section 1.1).
const CONTEND: Duration = Duration::from_secs(10);

/// What a listener is bound to, and what came for it.
struct Listening {
    local: SocketAddr,
    ready: VecDeque<Handle>,
    /// Who waits for the next connection.
    wakers: Wakers,
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

/// What happened since the beginning, as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that arrived.
    pub received: u64,
    /// Frames that were sent; a datagram in fragments counts once.
    pub sent: u64,
    /// Frames that arrived and made no sense, or from nobody.
    pub useless: u64,
    /// Frames that arrived with a wrong TCP or UDP checksum.
    pub corrupt: u64,
    /// Frames that were lost for want of room on the way out.
    pub unsent: u64,
    /// Datagrams that were put together of fragments.
    pub reassembled: u64,
    /// Datagrams of which fragments arrived and that came to nothing: they did not fit each
    /// other, or not all came in time, or others took their room.
    pub unassembled: u64,
    /// TCP connections that are open now.
    pub open: usize,
    /// TCP connections that peers opened.
    pub accepted: u64,
    /// TCP connections that this side opened, or tried to.
    pub connected: u64,
    /// TCP connections that were asked for on a port that nobody listens on.
    pub refused: u64,
    /// TCP connections that peers asked for and that are not confirmed now.
    pub half_open: usize,
    /// TCP connections that were asked for and dropped: too many at once, not
    /// confirmed in time, no memory.
    pub dropped: u64,
    /// TCP connections that were asked for while too many were not confirmed, and answered
    /// by a SYN cookie.
    pub cookies: u64,
}

/// The stack's state.
pub(super) struct Engine {
    pub(super) protocols: Protocols,
    settings: Settings,
    name: Rc<str>,
    listening: Vec<Listening>,
    half_open: SynQueue,
    leaving: Leavers,
    /// Connections that their holder dropped since the last turn.
    dropped: Vec<Handle>,
    /// The app has returned: what was written is sent, and then the end.
    over: bool,
    dhcp: Option<dhcp::Client>,
    /// Those that were told, or that DHCP named.
    servers: heapless::Vec<IpAddr, SERVERS>,
    /// Nothing when there is an address that was told.
    routers: Option<Routers>,
    /// The addresses that were logged.
    known: heapless::Vec<(IpAddr, u8), ADDRESSES>,
    stats: Stats,
    announcer: Announcer,
    /// When another machine last used an address of ours.
    contended: Option<Instant>,
    /// What nobody here wants is told so often.
    errors: Limit,
    reassembly: Reassembly,
    /// Who waits for an address.
    waiting: Wakers,
    /// Who waits for an answer to an echo request.
    pinging: Vec<(Handle, Waker)>,
}

impl Engine {
    /// A stack on an interface, whose lines begin with `name`.
    pub(super) fn new(info: Info, settings: Settings, name: &str) -> Result<Self, Error> {
        let name: Rc<str> = name.into();
        let dhcp = settings.ipv4 == super::config::Ipv4::Dhcp;
        Ok(Self {
            protocols: Protocols::new(info, &settings)?,
            listening: Vec::new(),
            half_open: SynQueue::new(settings.limits.half_open)?,
            leaving: Leavers::new(Rc::clone(&name)),
            dropped: Vec::new(),
            over: false,
            dhcp: dhcp.then(|| dhcp::Client::new(Rc::clone(&name), info.mac, Instant::now())),
            servers: settings.servers.clone(),
            routers: settings.ipv6.is_none().then(|| Routers::new(Instant::now())),
            known: heapless::Vec::new(),
            stats: Stats::default(),
            announcer: Announcer::default(),
            contended: None,
            errors: Limit::new(Instant::now()),
            reassembly: Reassembly::new(fold::room(&settings.limits)),
            waiting: Wakers::new(),
            pinging: Vec::new(),
            settings,
            name,
        })
    }

    /// The interface is another one, or the same anew.
    pub(super) fn reconnected(&mut self, info: Info) {
        self.protocols.reconnected(info, &self.settings);
        self.announcer = Announcer::new(Instant::now());
        self.routers.iter_mut().for_each(|it| it.news = true);
        self.dhcp.iter_mut().for_each(|it| it.reconnected(info.mac, Instant::now()));
    }

    /// Takes in a frame that arrived.
    pub(super) fn receive(&mut self, frame: &[u8], meta: Meta, wire: &dyn Wire) {
        let now = Instant::now();
        self.stats.received += 1;
        let verdict = packet::judge(frame, meta);
        self.act(verdict, frame, wire, now);
    }

    /// Does with a frame what was decided about it.
    fn act(&mut self, verdict: Verdict, frame: &[u8], wire: &dyn Wire, now: Instant) {
        let who = match verdict {
            Verdict::Useless => {
                self.stats.useless += 1;
                return;
            }
            Verdict::Corrupt => {
                self.stats.corrupt += 1;
                return;
            }
            Verdict::Claim(address) => {
                if self.protocols.has(address.into()) && self.errors.take(now) {
                    let frame = ndisc::announce(self.protocols.mac(), address);
                    self.protocols.say(wire, &frame);
                }
                return;
            }
            Verdict::Router(router) => {
                if let Some(routers) = &mut self.routers {
                    routers.hear(router, frame, now);
                }
                return;
            }
            Verdict::Tcp(segment) if frame.starts_with(&self.protocols.mac().0) => {
                return self.receive_tcp(frame, &segment, wire, now);
            }
            Verdict::TooBig(TooBig { to_us, local, peer, seq, mtu }) => {
                let own = frame.starts_with(&self.protocols.mac().0);
                if own && self.protocols.whom(to_us) == Whom::Us && local.ip() == to_us.to {
                    self.protocols.path_mtu((local, peer), seq, mtu);
                } else {
                    self.stats.useless += 1;
                }
                return;
            }
            // TCP has no multicast.
            Verdict::Tcp(_) => return,
            Verdict::Udp(dhcp::CLIENT, _) if self.dhcp.is_some() => return self.hear(frame, now),
            Verdict::Neighbor(said) => return self.neighbor(said, frame, wire, now),
            Verdict::Fragment(ends, piece) => return self.piece(frame, ends, &piece, wire, now),
            Verdict::Folded(folded) => return self.folded(frame, folded, wire, now),
            Verdict::Problem(ends, problem) => {
                return self.complain(frame, ends, problem, wire, now);
            }
            Verdict::Listeners(group) => {
                // At once: it is one frame, and nobody else here listens to these groups.
                if self.protocols.listens(group) && self.errors.take(now) {
                    self.protocols.report(wire, Report::Asked);
                }
                return;
            }
            Verdict::Udp(_, ends)
            | Verdict::Echo(_, ends)
            | Verdict::Ping(ends, _)
            | Verdict::Other(ends) => {
                let own = frame.starts_with(&self.protocols.mac().0);
                let whom = self.protocols.whom(ends);
                match (verdict, whom) {
                    (Verdict::Udp(port, _), Whom::Us) if own => {
                        For::Port(self.protocols.bound(Some(ends.to), port))
                    }
                    // It is for those that are bound to all addresses, and no error to anyone.
                    (Verdict::Udp(port, _), Whom::All)
                        if let Some(bound) = self.protocols.bound(None, port) =>
                    {
                        For::Port(Some(bound))
                    }
                    (Verdict::Echo(ident, _), Whom::Us) if own => For::Echo(ident),
                    // smoltcp would look at its sockets first, and at what is due afterwards.
                    (Verdict::Ping(_, end), Whom::Us) if own => {
                        return self.protocols.pong(&frame[..end], wire);
                    }
                    (Verdict::Ping(..), Whom::All) if ends.to.is_ipv6() => For::Us,
                    (Verdict::Other(_), Whom::Us) if own => For::Us,
                    _ => {
                        self.stats.useless += 1;
                        return;
                    }
                }
            }
        };
        let complains = match who {
            For::Port(bound) => bound.is_none(),
            For::Us => !matches!(verdict, Verdict::Udp(..)),
            _ => false,
        };
        if !complains || self.errors.take(now) {
            self.protocols.receive(frame, who, wire, now);
        }
    }

    /// Hears what a neighbour says, and answers.
    fn neighbor(&mut self, said: Said, frame: &[u8], wire: &dyn Wire, now: Instant) {
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
                let to_us = answers || asked.is_some();
                let (mac, asks, overrides) = (said.mac, asked.is_some(), said.overrides);
                protocols.hear(Heard { address: who, mac, to_us, asks, overrides }, wire, now);
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
    /// (RFC 5227, section 2.4).
    fn contend(&mut self, own: IpAddr, other: Option<Mac>, wire: &dyn Wire, now: Instant) {
        if self.contended.is_some_and(|at| now < at.saturating_add(CONTEND)) {
            return;
        }
        self.contended = Some(now);
        let other = other.unwrap_or_default();
        log::warn!("net: {own} is used by {other} as well: give one of the two another address");
        self.protocols.announce(wire);
    }

    /// Takes in a TCP segment.
    fn receive_tcp(&mut self, frame: &[u8], segment: &Segment, wire: &dyn Wire, now: Instant) {
        let mut known = self.protocols.find(segment);
        let ends = Ends { from: segment.peer.ip(), to: segment.local.ip() };
        if known.is_none() && self.protocols.whom(ends) != Whom::Us {
            self.stats.useless += 1;
            return;
        }
        let syn = segment.flags & (SYN | ACK | RST) == SYN;
        // A new connection may replace one that is over (RFC 9293, section 3.10.7.4).
        if let Some(old) = known
            && syn
            && self.listens(segment.local)
            && self.protocols.gives_way(old, frame, segment)
            && self.leaving.forget(old)
        {
            self.protocols.drop_connection(old);
            known = None;
        }
        if let Some(handle) = known {
            if self.protocols.receive_tcp(handle, frame, segment, now) {
                self.protocols.find_way(segment.peer.ip(), now);
            }
            return;
        }
        if syn && self.listens(segment.local) {
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
            return;
        }
        let asked = known.unwrap_or_else(|| {
            let iss = self.protocols.initial((local, peer), now);
            Asked { local, peer, iss, offer, header, answered: now, answers: 0 }
        });
        let asked = Asked { answered: now, answers: asked.answers.max(1), ..asked };
        self.protocols.answer(&asked, wire, now);
        self.half_open.add(asked);
    }

    /// Whether a connection more to `local` is within the limits.
    fn has_room(&mut self, local: SocketAddr) -> bool {
        self.make_room();
        let limits = &self.settings.limits;
        let backlog = |it: &Listening| it.takes(local) && it.ready.len() < limits.backlog;
        self.protocols.has_capacity()
            && self.listening.iter().any(backlog)
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

    /// Sends what is due. Returns when the next thing will be; that may be now.
    pub(super) fn transmit(&mut self, wire: &dyn Wire) -> Option<Instant> {
        let now = Instant::now();
        while let Some(mut entry) = self.half_open.due(now) {
            if entry.is_last() {
                self.stats.dropped += 1;
                continue;
            }
            self.protocols.answer(&entry, wire, now);
            entry.answers += 1;
            entry.answered = now;
            self.half_open.add(entry);
        }
        let dhcp = self.lease(wire, now);
        let routers = self.route(wire, now);
        self.learn(now);
        if self.announcer.turn(now) {
            self.protocols.announce(wire);
        }
        let sockets = self.protocols.transmit(wire, now);
        let neighbors = self.protocols.seek(wire, now);
        let bound = (self.settings.limits.connections / 4).max(1);
        let leaving = self.leaving.part(&mut self.protocols, (!self.over).then_some(bound), now);
        self.reassembly.turn(now);
        let pieces = self.reassembly.next();
        let others = [self.half_open.next(), self.announcer.next(), leaving, pieces];
        [sockets, dhcp, routers, neighbors].into_iter().chain(others).flatten().min()
    }

    /// Takes in what a DHCP server may have sent.
    fn hear(&mut self, frame: &[u8], now: Instant) {
        if let Some(client) = &mut self.dhcp
            && let Some((way, source, message)) = packet::datagram_v4(frame, self.protocols.mac())
        {
            client.hear(message, source, way, now);
        }
    }

    /// Follows the DHCP client. Returns when it is to be looked at again.
    fn lease(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
        let client = self.dhcp.as_mut()?;
        // What there is no room for now is not asked yet.
        while client.next().is_some_and(|next| next <= now) && wire.ready() {
            if let Some(sending) = client.turn(now) {
                self.protocols.say(wire, &sending.frame(self.protocols.mac()));
            }
        }
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
            let routes = lease.map_or(&[][..], |it| &it.routes);
            let routes = told.is_none().then_some(routes);
            let address = lease.map(|it| (it.address, it.bits));
            self.protocols.set_ipv4(address, routes);
        }
        client.next()
    }

    /// Follows what routers say. Returns when it is to be looked at again.
    fn route(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
        let routers = self.routers.as_mut()?;
        let mac = self.protocols.mac();
        if routers.turn(now) {
            self.protocols.say(wire, &ndisc::solicit(mac));
        }
        if !core::mem::take(&mut routers.news) {
            return routers.next();
        }
        let new: heapless::Vec<_, ADDRESSES> = routers.addresses(mac).collect();
        let fixed = self.settings.gateways.iter().find_map(|it| match it {
            IpAddr::V6(it) => Some(*it),
            IpAddr::V4(_) => None,
        });
        let router = fixed.or(routers.router());
        let next = routers.next();
        if self.protocols.ipv6() != (new.clone(), router) {
            self.protocols.set_ipv6(&new, router);
        }
        next
    }

    /// Tells of new addresses.
    fn learn(&mut self, now: Instant) {
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

    /// The interface is broken: everyone who waits is told so.
    pub(super) fn fail(&mut self) {
        self.protocols.fail();
        self.listening.iter_mut().for_each(|it| it.wakers.wake());
        self.waiting.wake();
        self.pinging.drain(..).for_each(|(_, waker)| waker.wake());
    }

    /// Wakes `waker` when there is an address more, or none ever.
    pub(super) fn wait(&mut self, waker: &Waker) {
        self.waiting.add(waker);
    }

    /// Wakes `waker` when no answer to an echo request can come any more.
    pub(super) fn await_end(&mut self, handle: Handle, waker: &Waker) {
        self.pinging.retain(|(it, _)| *it != handle);
        self.pinging.push((handle, waker.clone()));
    }

    /// Gives the socket of an echo request back.
    pub(super) fn pinged(&mut self, handle: Handle) {
        self.pinging.retain(|(it, _)| *it != handle);
        self.protocols.remove(handle);
    }

    pub(super) fn stats(&self) -> Stats {
        let open = self.protocols.connections() - self.leaving.len() - self.dropped.len();
        let (sent, half_open) = (self.protocols.sent(), self.half_open.len());
        let (reassembled, unassembled) = (self.reassembly.done, self.reassembly.failed);
        Stats { sent, open, half_open, reassembled, unassembled, ..self.stats }
    }

    pub(super) fn lost(&mut self, frames: u64) {
        self.stats.unsent += frames;
    }

    /// Whether it has the IPv4 address that it is to have.
    pub(super) fn is_configured(&self) -> bool {
        self.dhcp.is_none() || self.protocols.addresses().any(|(address, _)| address.is_ipv4())
    }

    /// The name servers: those that were told, or those that DHCP and routers named.
    pub(super) fn servers(&self) -> heapless::Vec<IpAddr, SERVERS> {
        let routers = self.routers.as_ref().filter(|_| self.settings.servers.is_empty());
        let more = routers.into_iter().flat_map(Routers::servers).map(IpAddr::V6);
        let more: heapless::Vec<_, { ndisc::SERVERS }> = more.collect();
        let most = SERVERS - more.len();
        self.servers.iter().copied().take(most).chain(more).collect()
    }

    /// Whether a socket may be bound to `addr`.
    fn may_bind(&self, addr: SocketAddr) -> Result<(), Error> {
        self.protocols.up()?;
        match only(addr) {
            Some(own) if !self.protocols.has(own) => Err(Error::AddrNotAvailable),
            _ => Ok(()),
        }
    }

    /// Takes connections to `addr`. Returns it with the port.
    pub(super) fn listen(&mut self, addr: SocketAddr) -> Result<SocketAddr, Error> {
        self.may_bind(addr)?;
        let at = |port| SocketAddr::new(addr.ip(), port);
        let free = |port| !self.listening.iter().any(|it| it.overlaps(at(port)));
        let local = at(choose(addr.port(), free)?);
        self.listening.try_reserve(1).map_err(|_| Error::Exhausted)?;
        let (ready, wakers) = (VecDeque::new(), Wakers::new());
        self.listening.push(Listening { local, ready, wakers });
        Ok(local)
    }

    pub(super) fn unlisten(&mut self, local: SocketAddr) {
        let Some(at) = self.listening.iter().position(|it| it.local == local) else { return };
        let listening = self.listening.swap_remove(at);
        self.half_open.forget(|asked| listening.takes(asked));
        for handle in listening.ready {
            self.release(handle);
        }
    }

    /// Takes the next connection to `local` that is not over already, if there is one.
    pub(super) fn try_accept(&mut self, local: SocketAddr) -> Result<Option<Handle>, Error> {
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
    pub(super) fn poll_acceptable(
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
    pub(super) fn connect(&mut self, from: SocketAddr, to: SocketAddr) -> Result<Handle, Error> {
        self.may_bind(from)?;
        let source = self.protocols.source(to.ip())?;
        let source = only(from).unwrap_or(source);
        let one = to.port() != 0 && !to.ip().is_multicast() && to.ip() != Ipv4Addr::BROADCAST;
        if !one || source.is_ipv4() != to.is_ipv4() {
            return Err(Error::Unreachable);
        }
        let free = |port| {
            let from = SocketAddr::new(source, port);
            let listens = self.listening.iter().any(|it| it.takes(from));
            !listens && !self.protocols.is_connected(from, to)
        };
        let port = choose(from.port(), free)?;
        self.make_room();
        let handle = self.protocols.connect(to, SocketAddr::new(source, port))?;
        self.protocols.find_way(to.ip(), Instant::now());
        self.stats.connected += 1;
        Ok(handle)
    }

    /// Takes a connection back whose holder dropped it. What becomes of it is decided with
    /// the next [`turn`](Self::turn): what a program drops on its way out is not reset.
    /// Whether that is to be waited for.
    pub(super) fn give_back(&mut self, handle: Handle) -> bool {
        // Where there is no interface any more, there are no turns.
        let up = self.protocols.up().is_ok();
        if !up || self.dropped.try_reserve(1).is_err() {
            self.release(handle);
            return up;
        }
        self.dropped.push(handle);
        self.protocols.kick();
        true
    }

    /// Begins a turn: sees to connections that were dropped, and at the end of the program
    /// to all.
    pub(super) fn turn(&mut self, over: bool) {
        if over && !core::mem::replace(&mut self.over, true) {
            self.protocols.end_all();
        }
        while let Some(handle) = self.dropped.pop() {
            if self.over {
                self.leaving.add(handle, kernel::shutdown::grace());
            } else {
                self.abandon(handle);
            }
        }
    }

    /// Whether a connection is open or has something left to say.
    pub(super) fn is_busy(&mut self) -> bool {
        if self.over { self.protocols.is_ending() } else { self.protocols.connections() > 0 }
    }

    /// Whether connections that nobody holds have something left to say.
    pub(super) fn is_leaving(&self) -> bool {
        !self.leaving.is_empty() || !self.dropped.is_empty() || self.protocols.has_orphans()
    }

    /// Closes a connection in order whose holder dropped it, or resets it where something
    /// was not read.
    fn abandon(&mut self, handle: Handle) {
        if self.protocols.parting(handle) == Parting::Over {
            return self.release(handle);
        }
        self.leaving.abandon(handle, &mut self.protocols);
    }

    /// Gives a connection back. Unless it is over, it is reset.
    pub(super) fn release(&mut self, handle: Handle) {
        if self.protocols.give_up(handle) {
            self.leaving.add(handle, LEAVE);
        } else {
            self.protocols.drop_connection(handle);
        }
    }

    pub(super) fn poll_send(
        &mut self,
        handle: Handle,
        datagram: &[u8],
        to: SocketAddr,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.protocols.poll_send(handle, datagram, to, waker)
    }

    pub(super) fn ping(&mut self, to: IpAddr, payload: usize) -> Result<(Handle, u16), Error> {
        self.protocols.ping(to, payload)
    }

    /// Binds a UDP socket to `addr`. Returns it with the port.
    pub(super) fn bind(&mut self, addr: SocketAddr) -> Result<(Handle, SocketAddr), Error> {
        self.may_bind(addr)?;
        let free = |port| !self.protocols.is_bound(only(addr), port);
        let port = choose(addr.port(), free)?;
        Ok((self.protocols.bind(only(addr), port)?, SocketAddr::new(addr.ip(), port)))
    }
}
