//! One Unix socket.

use super::flight::Carrier;
use super::queue::{Message, Queue};
use super::registry::{Place, Registry};
use crate::errno::Errno;
use crate::file::{Caller, Open, next_inode};
use crate::memory::{Sink, Source};
use crate::process::room;
use crate::socket::address::{Address, Name};
use crate::socket::buffer::{BUFFER, buffer, mark};
use crate::socket::message::{Credentials, Incoming, Outgoing, owner};
use crate::socket::{Form, Socket, Style};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::collections::VecDeque;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::task::Waker;
use linux_raw_sys::net::{
    AF_UNIX, MSG_OOB, MSG_PEEK, MSG_TRUNC, SO_ACCEPTCONN, SO_BROADCAST, SO_BUSY_POLL, SO_DONTROUTE,
    SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_MARK, SO_OOBINLINE, SO_PASSCRED, SO_PASSSEC, SO_PEERCRED,
    SO_PRIORITY, SO_RCVBUF, SO_RCVLOWAT, SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF,
    SO_SNDLOWAT, SO_SNDTIMEO, SOL_SOCKET,
};
use zerocopy::IntoBytes;

/// Bytes that there have to be for one that waits to be accepted.
const WAITING: usize = 2048;

/// Connections that wait to be accepted at most (net.core.somaxconn).
const BACKLOG: usize = 4096;

/// A Unix socket.
pub struct Unix {
    style: Style,
    inode: u64,
    itself: Weak<Self>,
    registry: Rc<Registry>,
    name: RefCell<Name>,
    place: RefCell<Option<Place>>,
    role: RefCell<Role>,
    /// Who has not accepted it yet.
    listener: RefCell<Weak<Self>>,
    /// What came, and nobody has received.
    queue: RefCell<Queue>,
    /// Something can be read or written now that could not before.
    changed: Arc<Watch>,
    /// There is room in the queue again: for those that send to it.
    drained: Arc<Watch>,
    /// Nothing more comes: this side does not want it, or the other has ended.
    deaf: Cell<bool>,
    /// Nothing more is sent.
    mute: Cell<bool>,
    /// The error that the next call learns (`SO_ERROR`).
    error: Cell<Option<Errno>>,
    owner: Cell<Credentials>,
    tells_credentials: Cell<bool>,
    /// `SO_RCVBUF` and `SO_SNDBUF` as they are told: they change nothing else.
    buffers: Cell<[u32; 2]>,
    /// `SO_RCVLOWAT`.
    least: Cell<u32>,
    /// Options that are on, a bit each, by their numbers.
    switches: Cell<u64>,
}

enum Role {
    /// It has no peer.
    Alone,
    /// It takes connections: those that wait, and how many may.
    Listening(VecDeque<Rc<Unix>>, usize),
    /// It speaks to one other socket: who that was, and its name and owner.
    Connected(Weak<Unix>, Name, Credentials),
}

impl Unix {
    /// Makes one without a name.
    #[must_use]
    pub fn new(style: Style, registry: &Rc<Registry>, owner: Credentials) -> Rc<Self> {
        Rc::new_cyclic(|itself| Self {
            style,
            inode: next_inode(),
            itself: Weak::clone(itself),
            registry: Rc::clone(registry),
            name: RefCell::new(Name::Unnamed),
            place: RefCell::new(None),
            role: RefCell::new(Role::Alone),
            listener: RefCell::default(),
            queue: RefCell::default(),
            changed: Watch::new(),
            drained: Watch::new(),
            deaf: Cell::new(false),
            mute: Cell::new(false),
            error: Cell::new(None),
            owner: Cell::new(owner),
            tells_credentials: Cell::new(false),
            buffers: Cell::new([BUFFER; 2]),
            least: Cell::new(1),
            switches: Cell::new(0),
        })
    }

    /// Makes two that are connected (socketpair(2)).
    #[must_use]
    pub fn pair(style: Style, registry: &Rc<Registry>, owner: Credentials) -> [Rc<Self>; 2] {
        let [one, other] = [0, 1].map(|_| Self::new(style, registry, owner));
        one.join(&other);
        other.join(&one);
        [one, other]
    }

    fn join(&self, peer: &Rc<Self>) {
        let name = peer.name.borrow().clone();
        let role = Role::Connected(Rc::downgrade(peer), name, peer.owner.get());
        self.role.replace(role);
    }

    /// Raises `watch` whenever this socket's own is raised: it is the inside of another socket.
    pub fn forward(&self, watch: &Arc<Watch>) {
        self.changed.forward(watch);
    }

    /// Gives it a name that stands for `place`.
    ///
    /// # Errors
    /// `EINVAL` if it has one, `EADDRINUSE` if another socket has it, `ENOMEM`.
    pub fn name(&self, name: Name, place: Place) -> Result<(), Errno> {
        if *self.name.borrow() != Name::Unnamed {
            return Err(Errno::EINVAL);
        }
        if !self.registry.bind(place.clone(), Weak::clone(&self.itself) as Weak<dyn Socket>)? {
            return Err(Errno::EADDRINUSE);
        }
        self.name.replace(name);
        self.place.replace(Some(place));
        Ok(())
    }

    /// Connects it to `other`, whose name was looked up.
    ///
    /// # Errors
    /// As of connect(2), `ENOMEM`; [`Stop::Wait`] for as long as too many connections wait there.
    pub fn connect_to(&self, caller: &dyn Caller, other: &Rc<Self>) -> Result<(), Stop> {
        if other.style != self.style {
            return Err(Errno::EPROTOTYPE.into());
        }
        if self.style == Style::Datagram {
            if !other.hears(self) {
                return Err(Errno::EPERM.into());
            }
            let old = self.connected_to();
            let had_one = matches!(*self.role.borrow(), Role::Connected(..));
            self.join(other);
            if had_one && old.as_ref().is_none_or(|old| !Rc::ptr_eq(old, other)) {
                self.left(old.as_deref());
            }
            self.changed.raise();
            return Ok(());
        }
        match &*self.role.borrow() {
            Role::Alone => {}
            Role::Listening(..) => return Err(Errno::EINVAL.into()),
            Role::Connected(..) => return Err(Errno::EISCONN.into()),
        }
        let mut role = other.role.borrow_mut();
        let Role::Listening(waiting, most) = &mut *role else {
            return Err(Errno::ECONNREFUSED.into());
        };
        if other.deaf.get() {
            return Err(Errno::ECONNREFUSED.into());
        }
        if waiting.len() > *most {
            other.drained.add(&Waker::from(Arc::clone(&self.changed)));
            return Err(Stop::Wait);
        }
        let itself = self.itself.upgrade().ok_or(Errno::EINVAL)?;
        // It waits there whatever becomes of this one, and is no open file before it is accepted.
        room(caller.memory().ram(), WAITING)?;
        waiting.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.owner.set(owner(caller));
        // The peer has the listener's name, and who listens is its owner.
        let new = Self::new(self.style, &self.registry, other.owner.get());
        new.name.replace(other.name.borrow().clone());
        new.listener.replace(Weak::clone(&other.itself));
        new.join(&itself);
        self.join(&new);
        waiting.push_back(new);
        drop(role);
        other.changed.raise();
        self.changed.raise();
        Ok(())
    }

    /// Returns whether it takes datagrams of `other`: connected to one, it takes none of others
    /// (connect(2)).
    fn hears(&self, other: &Self) -> bool {
        match &*self.role.borrow() {
            Role::Connected(peer, ..) => Weak::ptr_eq(peer, &other.itself),
            _ => true,
        }
    }

    /// Who it speaks to. One that is gone is told of; who sends datagrams has none from then on.
    fn target(&self) -> Result<Rc<Self>, Errno> {
        let mut role = self.role.borrow_mut();
        let Role::Connected(peer, ..) = &*role else { return Err(Errno::ENOTCONN) };
        if let Some(peer) = peer.upgrade() {
            return Ok(peer);
        }
        if self.style != Style::Datagram {
            return Err(Errno::EPIPE);
        }
        *role = Role::Alone;
        drop(role);
        self.left(None);
        Err(Errno::ECONNREFUSED)
    }

    /// A socket of datagrams has left the peer that it was connected to: what came and was not received
    /// is lost, as on Linux (`unix_dgram_disconnected`), and a peer that is still connected to it
    /// learns of that.
    fn left(&self, old: Option<&Self>) {
        let lost = self.queue.take();
        if lost.is_empty() {
            return;
        }
        self.registry.flight.ended(lost);
        self.drained.raise();
        if let Some(old) = old
            && matches!(&*old.role.borrow(), Role::Connected(peer, ..) if Weak::ptr_eq(peer, &self.itself))
        {
            old.error.set(Some(Errno::ECONNRESET));
            old.changed.raise();
        }
    }

    fn connected_to(&self) -> Option<Rc<Self>> {
        match &*self.role.borrow() {
            Role::Connected(peer, ..) => peer.upgrade(),
            _ => None,
        }
    }

    /// Returns whether the other side of a connection is gone.
    pub fn is_orphaned(&self) -> bool {
        match &*self.role.borrow() {
            Role::Connected(peer, ..) => peer.strong_count() == 0,
            _ => false,
        }
    }

    /// Returns whether it was left with an error that nobody was told of.
    pub const fn has_failed(&self) -> bool {
        self.error.get().is_some()
    }

    /// Returns how many descriptors wait to be received from it.
    pub fn in_flight(&self) -> usize {
        let mut count = 0;
        self.queue.borrow().each_right(&mut |_| count += 1);
        count
    }

    /// Returns whether the other side has ended what it sends.
    pub fn is_ended(&self) -> bool {
        self.deaf.get() || self.is_orphaned()
    }

    /// Returns whether the other side has said so (shutdown(2)), whatever became of it then.
    pub const fn has_shut(&self) -> bool {
        self.deaf.get()
    }

    /// Forgets what came, so that it is no error to who sent it that nobody reads it.
    pub fn forget(&self) {
        self.registry.flight.ended(self.queue.take());
    }

    /// Tells of the error that it was left with, once.
    ///
    /// # Errors
    /// That error.
    pub fn fail(&self) -> Result<(), Errno> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Whether so many bytes came, or as many as make who sends them wait.
    pub fn has(&self, least: usize) -> bool {
        let queue = self.queue.borrow();
        queue.bytes() >= least || !queue.has_room()
    }

    /// Has its peer learn that the connection was broken off.
    pub fn reset(&self) {
        if let Some(peer) = self.connected_to() {
            peer.error.set(Some(Errno::ECONNRESET));
            peer.changed.raise();
        }
    }

    /// The room in the queue of who it speaks to is not enough: its watch is raised when there is
    /// more.
    fn await_room(&self, other: &Self) -> Stop {
        other.drained.add(&Waker::from(Arc::clone(&self.changed)));
        Stop::Wait
    }

    /// Finds whom a datagram goes to.
    fn receiver(&self, to: Option<&Address>) -> Result<Rc<Self>, Errno> {
        let Some(to) = to else { return self.target() };
        if self.style != Style::Datagram {
            // A stream has one receiver.
            let connected = matches!(*self.role.borrow(), Role::Connected(..));
            return Err(if connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
        }
        let place = match to {
            Address::Unix(Name::Abstract(name)) => Place::Abstract(self.style, name.clone()),
            // The call has looked a path up and put its socket in the place of the name.
            Address::Unix(_) => return Err(Errno::ECONNREFUSED),
            _ => return Err(Errno::EINVAL),
        };
        Self::find(&self.registry, &place)
    }

    /// Finds the socket that has a name.
    ///
    /// # Errors
    /// `ECONNREFUSED`: there is none.
    pub fn find(registry: &Registry, place: &Place) -> Result<Rc<Self>, Errno> {
        let found = registry.find(place).ok_or(Errno::ECONNREFUSED)?;
        let unix = found.any().downcast_ref::<Self>().and_then(|it| it.itself.upgrade());
        unix.ok_or(Errno::ECONNREFUSED)
    }

    /// Sends to a socket that was looked up, or to the peer.
    ///
    /// # Errors
    /// As of [`Socket::send`].
    pub fn send_to(
        &self,
        other: Option<Rc<Self>>,
        message: &mut Outgoing<'_>,
        from: &mut Source<'_>,
    ) -> Result<usize, Stop> {
        self.fail()?;
        if message.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if self.style == Style::Datagram && self.mute.get() {
            return Err(Errno::EPIPE.into());
        }
        let other = match other {
            Some(other) => other,
            None => self.receiver(message.to)?,
        };
        if self.style == Style::Datagram && other.style != Style::Datagram {
            return Err(Errno::EPROTOTYPE.into());
        }
        if self.style == Style::Datagram && !other.hears(self) {
            return Err(Errno::EPERM.into());
        }
        if self.mute.get() || other.deaf.get() {
            return Err(Errno::EPIPE.into());
        }
        let mut new = Message::new(self.name.borrow().clone(), Vec::new(), message.credentials);
        if !message.rights.is_empty() {
            let [user, most] = message.bound;
            let flying = self.registry.flight.begin(user as u32, most, &message.rights)?;
            new.flying = Some(flying);
            new.rights.try_reserve_exact(message.rights.len()).map_err(|_| Errno::ENOMEM)?;
            new.rights.extend(message.rights.iter().map(Rc::clone));
        }
        let is_first = !new.rights.is_empty() && !other.queue.borrow().has_rights();
        let put = match self.style {
            Style::Stream => other.queue.borrow_mut().append(new, from),
            _ => other.queue.borrow_mut().put(new, from),
        };
        match put {
            Ok(count) => {
                message.rights.clear();
                // Not before: what holds none is no carrier.
                if is_first {
                    self.registry.flight.sent(other.carrier());
                }
                other.changed.raise();
                Ok(count)
            }
            Err(Stop::Wait) => Err(self.await_room(&other)),
            Err(stop) => Err(stop),
        }
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.registry.forget(&place);
        }
        if let Some(peer) = self.connected_to()
            && self.style != Style::Datagram
        {
            // What was sent and never received is an error to who sent it.
            if !self.queue.borrow().is_empty() {
                self.reset();
            }
            peer.changed.raise();
        }
        if let Role::Listening(waiting, _) = &*self.role.borrow() {
            for new in waiting {
                new.reset();
            }
        }
        self.drained.raise();
        self.registry.flight.ended(self.queue.take());
    }
}

impl Unix {
    /// By whom what is sent to it can be received: the listener, until that has accepted it.
    fn carrier(&self) -> Weak<dyn Carrier> {
        let listener = self.listener.borrow();
        Weak::clone(if listener.strong_count() > 0 { &listener } else { &self.itself }) as _
    }
}

impl Carrier for Unix {
    fn may_hold(&self) -> bool {
        let Ok(role) = self.role.try_borrow() else { return true };
        let own = |it: &Self| it.queue.try_borrow().map_or(true, |it| it.has_rights());
        let waiting = if let Role::Listening(waiting, _) = &*role { Some(waiting) } else { None };
        own(self) || waiting.into_iter().flatten().any(|it| own(it))
    }

    fn each_right(&self, each: &mut dyn FnMut(&Rc<Open>)) -> bool {
        let Ok(role) = self.role.try_borrow() else { return false };
        let mut own = |it: &Self| it.queue.try_borrow().map(|it| it.each_right(each)).is_ok();
        let waiting = if let Role::Listening(waiting, _) = &*role { Some(waiting) } else { None };
        own(self) && waiting.into_iter().flatten().all(|it| own(it))
    }

    fn empty(&self, lose: &mut dyn FnMut(Queue)) {
        lose(self.queue.take());
        if let Role::Listening(waiting, _) = &*self.role.borrow() {
            waiting.iter().for_each(|new| lose(new.queue.take()));
        }
    }
}

impl Socket for Unix {
    fn form(&self) -> Form {
        Form { family: AF_UNIX, style: self.style, protocol: 0 }
    }

    fn bind(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        let name = match address {
            Address::Unix(Name::Unnamed) => {
                self.registry.choose(self.style).ok_or(Errno::ENOSPC)?
            }
            Address::Unix(Name::Abstract(name)) => name.clone(),
            // The call makes the file of a path, and names the socket by that.
            _ => return Err(Errno::EINVAL.into()),
        };
        Ok(self.name(Name::Abstract(name.clone()), Place::Abstract(self.style, name))?)
    }

    fn connect(&self, caller: &dyn Caller, address: &Address) -> Result<(), Stop> {
        let name = match address {
            Address::None if self.style == Style::Datagram => {
                let old = self.connected_to();
                if let Role::Connected(..) = self.role.replace(Role::Alone) {
                    self.left(old.as_deref());
                }
                return Ok(());
            }
            Address::Unix(Name::Abstract(name)) => name,
            _ => return Err(Errno::EINVAL.into()),
        };
        let place = Place::Abstract(self.style, name.clone());
        let other = Self::find(&self.registry, &place)?;
        self.connect_to(caller, &other)
    }

    fn listen(&self, backlog: u32) -> Result<(), Errno> {
        if self.style == Style::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        if *self.name.borrow() == Name::Unnamed {
            return Err(Errno::EINVAL);
        }
        let most = (backlog as usize).min(BACKLOG);
        match &mut *self.role.borrow_mut() {
            Role::Connected(..) => return Err(Errno::EINVAL),
            Role::Listening(_, old) => *old = most,
            alone => *alone = Role::Listening(VecDeque::new(), most),
        }
        self.drained.raise();
        Ok(())
    }

    fn accept(&self) -> Result<(Rc<dyn Socket>, Address), Stop> {
        if self.style == Style::Datagram {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let mut role = self.role.borrow_mut();
        let Role::Listening(waiting, _) = &mut *role else { return Err(Errno::EINVAL.into()) };
        let Some(new) = waiting.pop_front() else {
            return Err(if self.deaf.get() { Errno::EINVAL.into() } else { Stop::Wait });
        };
        drop(role);
        new.listener.take();
        if new.queue.borrow().has_rights() {
            self.registry.flight.sent(Weak::clone(&new.itself) as Weak<dyn Carrier>);
        }
        self.drained.raise();
        let peer = new.peer().unwrap_or(Address::Unix(Name::Unnamed));
        Ok((new, peer))
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno> {
        let peer = match &*self.role.borrow() {
            Role::Connected(peer, ..) => peer.upgrade(),
            Role::Listening(..) | Role::Alone => None,
        };
        if read {
            self.deaf.set(true);
        }
        if write {
            self.mute.set(true);
        }
        if let Some(peer) = peer.filter(|_| self.style != Style::Datagram) {
            if write {
                // It reads what is there, and then the end.
                peer.deaf.set(true);
            }
            if read {
                peer.mute.set(true);
            }
            peer.changed.raise();
        }
        self.changed.raise();
        self.drained.raise();
        Ok(())
    }

    fn local(&self) -> Address {
        Address::Unix(self.name.borrow().clone())
    }

    fn peer(&self) -> Result<Address, Errno> {
        match &*self.role.borrow() {
            Role::Connected(_, name, _) => Ok(Address::Unix(name.clone())),
            _ => Err(Errno::ENOTCONN),
        }
    }

    fn send(&self, message: &mut Outgoing<'_>, from: &mut Source<'_>) -> Result<usize, Stop> {
        self.send_to(None, message, from)
    }

    fn least(&self) -> usize {
        self.least.get() as usize
    }

    fn receive(&self, flags: u32, to: &mut Sink<'_>) -> Result<Incoming, Stop> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        // A stream is read to its end before its error.
        if self.style != Style::Stream {
            self.fail()?;
        }
        if !matches!(*self.role.borrow(), Role::Connected(..)) {
            match self.style {
                Style::Stream => return Err(Errno::EINVAL.into()),
                Style::Sequence => return Err(Errno::ENOTCONN.into()),
                _ => {}
            }
        }
        let peek = flags & MSG_PEEK != 0;
        let room = to.left();
        let taken = match self.style {
            Style::Stream if room == 0 => return Ok(Incoming::default()),
            Style::Stream => self.queue.borrow_mut().read(to, peek),
            _ => self.queue.borrow_mut().take(to, peek),
        };
        let (length, message) = match taken {
            Ok(taken) => taken,
            Err(Stop::Wait) if self.error.get().is_some() => {
                self.fail()?;
                return Ok(Incoming::default());
            }
            Err(Stop::Wait)
                if self.deaf.get() || self.is_orphaned() && self.style != Style::Datagram =>
            {
                return Ok(Incoming::default());
            }
            Err(stop) => return Err(stop),
        };
        if !peek {
            self.drained.raise();
        }
        let mut told = 0;
        if self.style != Style::Stream && length > room {
            told |= MSG_TRUNC;
        }
        let whole = self.style == Style::Stream || flags & MSG_TRUNC != 0;
        let from = match (self.style, message.from) {
            (Style::Stream, _) | (_, Name::Unnamed) => None,
            (_, name) => Some(Address::Unix(name)),
        };
        Ok(Incoming {
            length: if whole { length } else { length.min(room) },
            from,
            rights: message.rights,
            credentials: self.tells_credentials.get().then_some(message.credentials),
            control: Vec::new(),
            flags: told,
        })
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::empty();
        if let Role::Listening(waiting, _) = &*self.role.borrow() {
            let (deaf, mute) = (self.deaf.get(), self.mute.get());
            ready.set(Ready::IN | Ready::RDNORM, deaf || !waiting.is_empty());
            ready.set(Ready::RDHUP, deaf);
            ready.set(Ready::HUP, deaf && mute);
            return ready;
        }
        let ended = self.is_orphaned() && self.style != Style::Datagram;
        let alone = matches!(*self.role.borrow(), Role::Alone) && self.style != Style::Datagram;
        let readable = !self.queue.borrow().is_empty() || self.deaf.get() || ended;
        ready.set(Ready::IN | Ready::RDNORM, readable);
        ready.set(Ready::RDHUP, self.deaf.get() || ended);
        ready.set(Ready::HUP, ended || alone || self.deaf.get() && self.mute.get());
        ready.set(Ready::ERR, self.error.get().is_some());
        let room = match self.connected_to() {
            Some(peer) if !peer.queue.borrow().has_room() => {
                self.await_room(&peer);
                false
            }
            _ => true,
        };
        ready.set(Ready::OUT | Ready::WRNORM, room || alone || ended);
        ready
    }

    fn watch(&self) -> &Arc<Watch> {
        &self.changed
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn queued(&self) -> [usize; 2] {
        let queue = self.queue.borrow();
        // Of datagrams, the next one is told of (SIOCINQ of unix(7)).
        let next = self.style == Style::Datagram;
        let read = if next { queue.next() } else { queue.bytes() };
        [read, self.connected_to().map_or(0, |it| it.queue.borrow().bytes())]
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        // No other level has options of Unix sockets.
        if level != SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        let form = self.form();
        let number = match (level, name) {
            (SOL_SOCKET, SO_PEERCRED) => {
                let owner = match &*self.role.borrow() {
                    Role::Connected(_, _, owner) => *owner,
                    // Linux says nobody.
                    _ => Credentials { process: 0, user: u32::MAX, group: u32::MAX },
                };
                return Ok(owner.as_bytes().to_vec());
            }
            (SOL_SOCKET, SO_LINGER) => return Ok(alloc::vec![0; 8]),
            (SOL_SOCKET, SO_RCVTIMEO | SO_SNDTIMEO) => return Ok(alloc::vec![0; 16]),
            (SOL_SOCKET, SO_ERROR) => self.error.take().map_or(0, |it| it.number().into()),
            (SOL_SOCKET, SO_PASSCRED) => self.tells_credentials.get().into(),
            (SOL_SOCKET, SO_ACCEPTCONN) => {
                matches!(*self.role.borrow(), Role::Listening(..)).into()
            }
            (SOL_SOCKET, SO_RCVBUF) => self.buffers.get()[0],
            (SOL_SOCKET, SO_SNDBUF) => self.buffers.get()[1],
            (SOL_SOCKET, SO_RCVLOWAT) => self.least.get(),
            (SOL_SOCKET, SO_SNDLOWAT) => 1,
            (SOL_SOCKET, name) if is_switch(name) => (self.switches.get() >> name & 1) as u32,
            (SOL_SOCKET, SO_PRIORITY | SO_MARK | SO_BUSY_POLL) => 0,
            _ => return form.option(level, name),
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        // No other level has options of Unix sockets.
        if level != SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        let number = value.first_chunk().map(|it| u32::from_ne_bytes(*it)).ok_or(Errno::EINVAL)?;
        match (level, name) {
            (SOL_SOCKET, SO_LINGER) if value.len() < 8 => return Err(Errno::EINVAL),
            (SOL_SOCKET, SO_PASSCRED) => self.tells_credentials.set(number != 0),
            (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) => self.buffers.update(|mut it| {
                it[usize::from(name == SO_SNDBUF)] = buffer(name, number);
                it
            }),
            (SOL_SOCKET, SO_RCVLOWAT) => self.least.set(mark(number)),
            // They change nothing that a program could see.
            (SOL_SOCKET, SO_PRIORITY | SO_LINGER) => {}
            (SOL_SOCKET, name) if is_switch(name) => {
                self.switches.update(|it| it & !(1 << name) | u64::from(number != 0) << name);
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }
}

/// Whether an option is one that is on or off, is kept, and does nothing here.
const fn is_switch(name: u32) -> bool {
    matches!(
        name,
        SO_KEEPALIVE
            | SO_BROADCAST
            | SO_REUSEADDR
            | SO_REUSEPORT
            | SO_OOBINLINE
            | SO_DONTROUTE
            | SO_PASSSEC
    )
}
