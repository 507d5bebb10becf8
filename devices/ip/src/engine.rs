//! What becomes of frames that arrive, of connections that peers ask for, of addresses, and of
//! those who wait.

mod addresses;
mod apart;
mod fold;
mod listeners;
mod moved;
mod neighbors;

use super::announce::{Announcer, Turn};
use super::config::{ADDRESSES, SERVERS, Settings};
use super::late::Early;
use super::leaving::{LEAVE, Leavers};
use super::limit::Limit;
use super::ndisc::Report;
use super::packet::{self, Complaint, Datagram, Message, Reassembly, Refusal, Verdict};
use super::routers::Routers;
use super::stack::{Handle, Parting, Protocols, Whom};
use super::tcp::syn::SynQueue;
use super::wire::Wire;
use super::{Error, choose, dhcp, earliest, only};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use devices::net::{Info, Meta};
use kernel::sync::Wakers;
use kernel::time::Instant;
use listeners::Listening;

pub(super) use moved::VERSION;

/// What happened since the beginning, as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that arrived.
    pub received: u64,
    /// Frames that were sent; a datagram in fragments counts once.
    pub sent: u64,
    /// Frames that arrived and made no sense, or from nobody, or for which there was no memory.
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
    /// Connections that an image left to the next, and that no listener took yet.
    left: Vec<Handle>,
    /// What asks for connections while an image that has taken over does not listen yet.
    early: Option<Early>,
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
    /// When something is due next, unless anything but an echo came or was asked for since.
    rests: Option<Option<Instant>>,
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
            left: Vec::new(),
            early: None,
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
            rests: None,
            settings,
            name,
        })
    }

    /// The interface is another one, or the same anew.
    pub(super) fn reconnected(&mut self, info: Info) {
        self.stir();
        self.protocols.reconnected(info);
        self.announcer = Announcer::new(Instant::now());
        self.routers.iter_mut().for_each(|it| it.reconnected(Instant::now()));
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
        let own = frame.starts_with(&self.protocols.mac().0);
        if !matches!(verdict, Verdict::Ping(_)) {
            self.stir();
        }
        match verdict {
            // TCP has no multicast.
            Verdict::Tcp(segment) if own => self.receive_tcp(frame, &segment, wire, now),
            Verdict::Tcp(_) => {}
            Verdict::Udp(datagram) => self.datagram(frame, &datagram, own, wire, now),
            Verdict::Ping(message) => self.asked_echo(frame, &message, own, wire, now),
            Verdict::Echo(message) => {
                let ours = own && self.protocols.whom(message.ends) == Whom::Us;
                if !ours || !self.protocols.pong(frame, &message) {
                    self.stats.useless += 1;
                }
            }
            Verdict::Complaint(message) => self.complaint(frame, &message, own, now),
            Verdict::Other(message) => {
                if own && self.protocols.whom(message.ends) == Whom::Us {
                    self.refuse(frame, &message, Refusal::Protocol, wire, now);
                } else {
                    self.stats.useless += 1;
                }
            }
            Verdict::Fragment(ends, piece) => self.piece(frame, ends, &piece, wire, now),
            Verdict::Folded(folded) => self.folded(frame, folded, wire, now),
            Verdict::Problem(ends, problem) => self.complain(frame, ends, problem, wire, now),
            Verdict::Neighbor(said) => self.neighbor(said, frame, wire, now),
            Verdict::Claim(address) => self.claim(address, frame, wire, now),
            Verdict::Router(router) => {
                if let Some(routers) = &mut self.routers {
                    routers.hear(router, frame, now);
                }
            }
            Verdict::Listeners(group) => {
                // At once: it is one frame, and nobody else here listens to these groups.
                if self.protocols.listens(group) && self.errors.take(now) {
                    self.protocols.report(wire, Report::Asked);
                }
            }
            Verdict::Useless => self.stats.useless += 1,
            Verdict::Corrupt => self.stats.corrupt += 1,
        }
    }

    /// Takes in a UDP datagram; `own`: its frame is for this machine alone.
    fn datagram(
        &mut self,
        frame: &[u8],
        datagram: &Datagram,
        own: bool,
        wire: &dyn Wire,
        now: Instant,
    ) {
        let port = datagram.to.port();
        if port == dhcp::CLIENT && self.dhcp.is_some() && datagram.to.is_ipv4() {
            return self.hear(frame, datagram, now);
        }
        let bound = match self.protocols.whom(datagram.ends()) {
            Whom::Us if own => self.protocols.bound(Some(datagram.to.ip()), port),
            // It is for those that are bound to all addresses, and no error to anyone.
            Whom::All => match self.protocols.bound(None, port) {
                Some(bound) => Some(bound),
                None => return self.stats.useless += 1,
            },
            _ => return self.stats.useless += 1,
        };
        match bound {
            Some(bound) => self.protocols.deliver(bound, frame, datagram),
            None => self.refuse(frame, &datagram.message(), Refusal::Port, wire, now),
        }
    }

    /// Tells who sent a packet to this machine alone that nobody takes it (RFC 1122, section
    /// 3.2.2; RFC 4443, section 2.4): not too often.
    fn refuse(
        &mut self,
        frame: &[u8],
        message: &Message,
        why: Refusal,
        wire: &dyn Wire,
        now: Instant,
    ) {
        if self.errors.take(now) {
            self.protocols.tell_error(frame, message, why, wire);
        }
    }

    /// Answers an echo request, of IPv6 also to a group (RFC 1122, section 3.2.2.6; RFC 4443,
    /// section 4.2).
    fn asked_echo(
        &mut self,
        frame: &[u8],
        message: &Message,
        own: bool,
        wire: &dyn Wire,
        now: Instant,
    ) {
        let answers = match self.protocols.whom(message.ends) {
            Whom::Us => own,
            Whom::All => message.ends.to.is_ipv6() && self.errors.take(now),
            Whom::Nobody => false,
        };
        if answers {
            self.protocols.answer_echo(frame, message, wire);
        } else {
            self.stats.useless += 1;
        }
    }

    /// Hears what became of a packet, of which it quotes an address of ours.
    fn complaint(&mut self, frame: &[u8], message: &Message, own: bool, now: Instant) {
        let ours = own && self.protocols.whom(message.ends) == Whom::Us;
        let complaint = Complaint::parse(frame, message).filter(|_| ours);
        let complaint = complaint.filter(|it| it.local.ip() == message.ends.to);
        if !complaint.is_some_and(|it| self.protocols.hear_error(&it, now)) {
            self.stats.useless += 1;
        }
    }

    /// Something may be due.
    pub(super) const fn stir(&mut self) {
        self.rests = None;
    }

    /// Sends what is due. Returns when the next thing will be; that may be now.
    pub(super) fn transmit(&mut self, wire: &dyn Wire) -> Option<Instant> {
        let now = Instant::now();
        if !self.protocols.take_kicked()
            && let Some(next) = self.rests
            && next.is_none_or(|next| next > now)
        {
            return next;
        }
        let next = self.send_due(wire, now);
        self.rests = Some(next);
        next
    }

    /// Looks at all that may be due.
    fn send_due(&mut self, wire: &dyn Wire, now: Instant) -> Option<Instant> {
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
        if let Some(turn) = self.announcer.turn(now) {
            if turn == Turn::Again {
                self.protocols.probe(wire);
            }
            self.protocols.announce(wire);
        }
        let sockets = self.protocols.transmit(wire, now);
        let neighbors = self.protocols.seek(wire, now);
        let bound = (self.settings.limits.connections / 4).max(1);
        let leaving = self.leaving.part(&mut self.protocols, (!self.over).then_some(bound), now);
        self.reassembly.turn(now);
        let pieces = self.reassembly.next();
        let waiting = self.protocols.time_wait.turn(now);
        let (half_open, announcer) = (self.half_open.next(), self.announcer.next());
        earliest(&[
            sockets, dhcp, routers, neighbors, half_open, announcer, leaving, pieces, waiting,
        ])
    }

    /// The interface is broken: everyone who waits is told so.
    pub(super) fn fail(&mut self) {
        self.protocols.fail();
        self.listening.iter_mut().for_each(|it| it.wakers.wake());
        self.waiting.wake();
    }

    /// Wakes `waker` when there is an address more, or none ever.
    pub(super) fn wait(&mut self, waker: &Waker) {
        self.waiting.add(waker);
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

    /// Whether a socket may be bound to `addr`.
    fn may_bind(&self, addr: SocketAddr) -> Result<(), Error> {
        self.protocols.up()?;
        match only(addr) {
            Some(own) if !self.protocols.has(own) => Err(Error::AddrNotAvailable),
            _ => Ok(()),
        }
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
            self.stir();
            self.protocols.end_all();
        }
        while let Some(handle) = self.dropped.pop() {
            if self.over && self.leaving.has_memory() {
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
        !self.leaving.is_empty()
            || !self.dropped.is_empty()
            || self.protocols.has_orphans()
            || !self.protocols.time_wait.is_empty()
    }

    /// Closes a connection in order whose holder dropped it, or resets it where something
    /// was not read.
    fn abandon(&mut self, handle: Handle) {
        if self.protocols.parting(handle) == Parting::Over || !self.leaving.has_memory() {
            return self.release(handle);
        }
        self.leaving.abandon(handle, &mut self.protocols);
    }

    /// Gives a connection back. Unless it is over, it is reset.
    pub(super) fn release(&mut self, handle: Handle) {
        if self.protocols.give_up(handle) && self.leaving.has_memory() {
            self.leaving.add(handle, LEAVE);
        } else {
            self.protocols.drop_connection(handle);
        }
    }

    /// Binds a UDP socket to `addr`. Returns it with the port.
    pub(super) fn bind(&mut self, addr: SocketAddr) -> Result<(Handle, SocketAddr), Error> {
        self.may_bind(addr)?;
        let free = |port| !self.protocols.is_bound(only(addr), port);
        let port = choose(addr.port(), free)?;
        Ok((self.protocols.bind(only(addr), port)?, SocketAddr::new(addr.ip(), port)))
    }
}
