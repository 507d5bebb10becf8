//! Which TCP socket gets the connections to a port.
//!
//! Several sockets may listen on one port: for IPv4 and for IPv6 alone, for one address each, and
//! with `SO_REUSEPORT` for the same. The IP stack has one listener for all of them, and what it
//! accepts is handed out here. Connections within the machine do not pass the stack at all.

use super::error::now;
use super::host::Host;
use crate::errno::Errno;
use crate::memory::Ram;
use crate::process::{grows, room};
use crate::socket::unix::Unix;
use crate::watch::Watch;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::Poll;
use ip::{Listener as _, Tcp, any};
use kernel::task::{Task, try_spawn};
use litemap::LiteMap;

/// Bytes that there have to be for one that waits to be accepted.
const WAITING: usize = 4096;

/// Connections that wait to be accepted at most (net.core.somaxconn).
const BACKLOG: usize = 4096;

/// The ports that are chosen for who asks for any (net.ipv4.ip_local_port_range).
const DYNAMIC: core::ops::Range<u16> = 32_768..61_000;

/// A connection that came: over the network, or from within the machine.
pub(super) enum Came<S> {
    Stream(S, SocketAddr),
    Local { end: Rc<Unix>, local: SocketAddr, peer: SocketAddr },
}

/// How a connection within the machine is answered: `None` for as long as there is no room.
pub(super) type Answer = Rc<Cell<Option<Result<(), Errno>>>>;

/// A connection within the machine that waits for room.
struct Knock {
    end: Rc<Unix>,
    local: SocketAddr,
    peer: SocketAddr,
    answer: Answer,
    /// Raised when it is answered.
    answered: Arc<Watch>,
}

/// Where connections wait for one listening socket.
pub(super) struct Door<S> {
    /// The address that it is bound to; `None`: all.
    only: Option<IpAddr>,
    /// Whether it takes IPv4, and IPv6.
    versions: [bool; 2],
    shares: bool,
    backlog: Cell<usize>,
    came: RefCell<VecDeque<Came<S>>>,
    /// Those within the machine that found no room.
    knocking: RefCell<VecDeque<Knock>>,
    /// Raised when a connection comes: the socket's watch.
    arrived: Arc<Watch>,
    /// There is room for another one.
    room: Arc<Watch>,
}

impl Knock {
    /// Whether it still waits: who knocked was not closed, and has not given up.
    fn waits(&self) -> bool {
        self.answer.get().is_none() && !self.end.is_orphaned()
    }

    fn refuse(&self) {
        if self.waits() {
            self.answer.set(Some(Err(Errno::ECONNREFUSED)));
            self.answered.raise();
        }
    }
}

impl<S> Drop for Door<S> {
    fn drop(&mut self) {
        // Nobody will accept them.
        for came in self.came.get_mut() {
            if let Came::Local { end, .. } = came {
                end.reset();
            }
        }
        for knock in self.knocking.get_mut() {
            knock.refuse();
        }
    }
}

impl<S> Door<S> {
    /// Takes the connection that came first.
    pub(super) fn take(&self) -> Option<Came<S>> {
        let came = self.came.borrow_mut().pop_front();
        if came.is_some() {
            self.admit();
        }
        came
    }

    pub(super) fn is_empty(&self) -> bool {
        self.came.borrow().is_empty()
    }

    /// Returns how many connections wait to be accepted, and how many may.
    pub(super) fn waiting(&self) -> [u32; 2] {
        let told = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        [told(self.came.borrow().len()), told(self.backlog.get())]
    }

    pub(super) fn set_backlog(&self, backlog: u32) {
        self.backlog.set((backlog as usize).min(BACKLOG));
        self.admit();
    }

    /// One more than the backlog may wait, as on Linux.
    fn is_full(&self) -> bool {
        self.came.borrow().len() > self.backlog.get()
    }

    /// There may be room for those that found none.
    fn admit(&self) {
        while !self.is_full() && self.has_place() {
            let Some(knock) = self.knocking.borrow_mut().pop_front() else { break };
            // Who has closed it meanwhile, or has given up, does not come.
            if knock.waits() {
                knock.answer.set(Some(Ok(())));
                knock.answered.raise();
                self.put(Came::Local { end: knock.end, local: knock.local, peer: knock.peer });
            }
        }
        self.room.raise();
    }

    /// Keeps a connection until there is room.
    fn knock(&self, knock: Knock) -> Result<(), Errno> {
        let mut knocking = self.knocking.borrow_mut();
        if knocking.len() == knocking.capacity() {
            knocking.retain(Knock::waits);
            let more = knocking.len().max(4);
            knocking.try_reserve(more).map_err(|_| Errno::ENOBUFS)?;
        }
        knocking.push_back(knock);
        Ok(())
    }

    /// Whether there is memory for one more.
    fn has_place(&self) -> bool {
        self.came.borrow_mut().try_reserve(1).is_ok()
    }

    /// Puts one where there [is a place](Self::has_place).
    fn put(&self, came: Came<S>) {
        self.came.borrow_mut().push_back(came);
        self.arrived.raise();
    }

    fn takes(&self, to: IpAddr) -> bool {
        self.versions[usize::from(to.is_ipv6())] && self.only.is_none_or(|it| it == to)
    }
}

struct Port<N: Host> {
    doors: Vec<Weak<Door<N::Stream>>>,
    /// The next of those that share.
    turn: usize,
    /// The stack's listener, and what hands out what it accepts; none for who listens within the
    /// machine alone. It is the port's alone, which is free at once where this is dropped.
    pump: Option<(Rc<N::Listener>, Task<()>)>,
    filled: Arc<Watch>,
}

/// Which socket has which port.
pub(super) struct Ports<N: Host> {
    net: Rc<N>,
    ram: Rc<Ram>,
    ports: RefCell<LiteMap<u16, Port<N>>>,
    last: Cell<u16>,
    /// Where bytes are on their way between a program and the stack: one for all, as to clear one
    /// for each call would cost more than to move what a request has.
    pub(super) piece: RefCell<Box<[u8]>>,
}

/// Bytes that are moved between a program and the stack at a time.
pub(super) const PIECE: usize = 4096;

impl<N: Host> Ports<N> {
    /// Whether `address` leads to this machine, over no network.
    pub(super) fn is_here(&self, address: IpAddr) -> bool {
        is_loopback(address) || self.net.addresses().iter().any(|(it, _)| *it == address)
    }
}

/// Whether an address is one of this machine's own that no network has.
pub(super) const fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => it.is_loopback(),
        IpAddr::V6(it) => it.is_loopback(),
    }
}

impl<N: Host> Ports<N> {
    pub(super) fn new(net: Rc<N>, ram: &Rc<Ram>) -> Rc<Self> {
        let ram = Rc::clone(ram);
        let piece = RefCell::new(alloc::vec![0; PIECE].into());
        Rc::new(Self { net, ram, ports: RefCell::default(), last: Cell::new(DYNAMIC.start), piece })
    }

    /// Returns a port that nobody listens on.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub(super) fn choose(&self) -> Result<u16, Errno> {
        // The first is a random one, so that it cannot be guessed.
        let mut random = [0; 2];
        let _ = kernel::entropy::fill(&mut random);
        let start = u16::from_ne_bytes(random) % DYNAMIC.len() as u16;
        let ports = self.ports.borrow();
        let numbers =
            (0..DYNAMIC.len() as u16).map(|it| DYNAMIC.start + (start + it) % DYNAMIC.len() as u16);
        let last = self.last.get();
        let free = numbers.filter(|it| *it != last).find(|it| !ports.contains_key(it));
        free.inspect(|it| self.last.set(*it)).ok_or(Errno::EADDRINUSE)
    }

    /// Asks whether a socket may be bound to `local`: not where another one listens, unless both
    /// share the port. `versions`: IPv4, IPv6.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub(super) fn may_bind(
        &self,
        local: SocketAddr,
        versions: [bool; 2],
        shares: bool,
    ) -> Result<(), Errno> {
        let only = Some(local.ip().to_canonical()).filter(|it| !it.is_unspecified());
        let ports = self.ports.borrow();
        let mut doors = ports.get(&local.port()).into_iter().flat_map(|it| &it.doors);
        let taken = doors.any(|door| {
            door.upgrade().is_some_and(|it| {
                let version = (0..2).any(|at| it.versions[at] && versions[at]);
                let both = it.only.zip(only).is_none_or(|(one, other)| one == other);
                version && both && !(it.shares && shares)
            })
        });
        if taken { Err(Errno::EADDRINUSE) } else { Ok(()) }
    }

    /// Lets a socket take connections to `local`. `versions`: IPv4, IPv6.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL`.
    pub(super) fn listen(
        self: &Rc<Self>,
        local: SocketAddr,
        versions: [bool; 2],
        shares: bool,
        arrived: &Arc<Watch>,
    ) -> Result<Rc<Door<N::Stream>>, Errno> {
        let only = Some(local.ip().to_canonical()).filter(|it| !it.is_unspecified());
        let mut ports = self.ports.borrow_mut();
        if let Some(port) = ports.get_mut(&local.port()) {
            port.doors.retain(|it| it.strong_count() > 0);
            let clashes = |it: Rc<Door<_>>| {
                let both = it.only.zip(only).is_none_or(|(one, other)| one == other);
                let version = (0..2).any(|at| it.versions[at] && versions[at]);
                both && version && !(it.shares && shares) && it.only.is_some() == only.is_some()
            };
            if port.doors.iter().filter_map(Weak::upgrade).any(clashes) {
                return Err(Errno::EADDRINUSE);
            }
        }
        grows::<(u16, Port<N>)>(ports.len()).map_err(|_| Errno::ENOBUFS)?;
        let port = ports.entry(local.port()).or_insert_with(|| Port {
            doors: Vec::new(),
            turn: 0,
            pump: None,
            filled: Watch::new(),
        });
        if port.pump.is_none() && !only.is_some_and(is_loopback) {
            let bound = now(Tcp::bind(&*self.net, any(local.port())));
            let pumps = bound.and_then(|listener| {
                let listener = Rc::new(listener);
                let pump = pump(Rc::downgrade(self), Rc::downgrade(&listener), local.port());
                Ok((listener, try_spawn(pump).ok_or(Errno::ENOBUFS)?))
            });
            match pumps {
                Ok(pump) => port.pump = Some(pump),
                // Another door of it may be within the machine alone.
                Err(errno) => {
                    if port.doors.is_empty() {
                        ports.remove(&local.port());
                    }
                    return Err(errno);
                }
            }
        }
        if port.doors.try_reserve(1).is_err() {
            if port.doors.is_empty() {
                ports.remove(&local.port());
            }
            return Err(Errno::ENOBUFS);
        }
        let door = Rc::new(Door {
            only,
            versions,
            shares,
            backlog: Cell::new(1),
            came: RefCell::default(),
            knocking: RefCell::default(),
            arrived: Arc::clone(arrived),
            room: Arc::clone(&port.filled),
        });
        port.doors.push(Rc::downgrade(&door));
        Ok(door)
    }

    /// A listening socket is closed: nobody else takes its port's connections, or others do.
    pub(super) fn close(&self, port: u16) {
        let mut ports = self.ports.borrow_mut();
        let Some(it) = ports.get_mut(&port) else { return };
        it.doors.retain(|it| it.strong_count() > 0);
        if it.doors.is_empty() {
            ports.remove(&port);
        }
    }

    /// Who takes connections to `to`, and whether there is room there.
    fn door(&self, to: SocketAddr) -> Option<Rc<Door<N::Stream>>> {
        let mut ports = self.ports.borrow_mut();
        let port = ports.get_mut(&to.port())?;
        let doors = || port.doors.iter().filter_map(Weak::upgrade).filter(|it| it.takes(to.ip()));
        // Who is bound to the address itself comes first, then who takes that version alone.
        let rank = |it: &Rc<Door<_>>| (it.only.is_some(), it.versions != [true; 2]);
        let best = doors().map(|it| rank(&it)).max()?;
        let count = doors().filter(|it| rank(it) == best).count();
        port.turn = port.turn.wrapping_add(1);
        doors().filter(|it| rank(it) == best).nth(port.turn % count)
    }

    /// Connects to a socket within the machine, by one end of a pair. Where no more may wait, it
    /// is answered later, and raises `answered` then.
    ///
    /// # Errors
    /// `ECONNREFUSED`, `ENOBUFS`.
    pub(super) fn connect(
        &self,
        end: Rc<Unix>,
        [from, to]: [SocketAddr; 2],
        answered: &Arc<Watch>,
    ) -> Result<Answer, Errno> {
        let door = self.door(to).ok_or(Errno::ECONNREFUSED)?;
        // It waits there whatever becomes of who connects, and is no open file before it is accepted.
        room(&self.ram, WAITING).map_err(|_| Errno::ENOBUFS)?;
        let answer = Answer::default();
        if door.is_full() {
            let (answer, answered) = (Rc::clone(&answer), Arc::clone(answered));
            door.knock(Knock { end, local: to, peer: from, answer, answered })?;
        } else if !door.has_place() {
            return Err(Errno::ENOBUFS);
        } else {
            answer.set(Some(Ok(())));
            door.put(Came::Local { end, local: to, peer: from });
        }
        Ok(answer)
    }

    /// Hands out what the network brought. Returns it if nobody has room now.
    fn hand_out(&self, stream: N::Stream, peer: SocketAddr) -> Option<(N::Stream, SocketAddr)> {
        use ip::Stream as _;
        let Some(door) = self.door(stream.local_addr()) else {
            // Nobody listens to that address: as if there were no listener.
            stream.abort();
            return None;
        };
        if door.is_full() {
            return Some((stream, peer));
        }
        match door.has_place() {
            true => door.put(Came::Stream(stream, peer)),
            false => stream.abort(),
        }
        None
    }
}

/// Accepts what comes to one port for as long as there is its listener.
async fn pump<N: Host>(ports: Weak<Ports<N>>, listener: Weak<N::Listener>, number: u16) {
    loop {
        let comes = poll_fn(|context| match listener.upgrade() {
            Some(listener) => listener.poll_acceptable(context),
            None => Poll::Ready(Err(ip::Error::Closed)),
        });
        if comes.await.is_err() {
            return;
        }
        // Nothing but the port holds the listener while this waits.
        while let Some(Ok(Some((stream, peer)))) = listener.upgrade().map(|it| it.try_accept()) {
            let mut left = Some((stream, peer));
            while let Some((stream, peer)) = left.take() {
                let Some(ports) = ports.upgrade() else { return };
                let room = ports.ports.borrow().get(&number).map(|it| Arc::clone(&it.filled));
                let Some(room) = room else { return };
                let changes = room.changes();
                left = ports.hand_out(stream, peer);
                drop(ports);
                if left.is_some() {
                    room.changed_since(changes).await;
                }
            }
        }
    }
}
