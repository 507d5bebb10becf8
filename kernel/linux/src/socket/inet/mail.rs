//! Which UDP socket gets the datagrams to a port.
//!
//! As with TCP, sockets of both versions of IP may share a port, so the IP stack has one socket
//! for all of them; what it receives is handed out here, and so is what stays within the machine.

use super::error::{errno, now};
use super::host::{Datagrams, Host};
use crate::errno::Errno;
use crate::memory::Ram;
use crate::process::grows;
use crate::watch::Watch;
use alloc::collections::VecDeque;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::Poll;
use ip::{Udp, any};
use kernel::task::{Task, try_spawn};
use litemap::LiteMap;

/// Bytes that wait in a socket at most (net.core.rmem_default), with what each datagram costs.
const ROOM: usize = 212_992;
const OVERHEAD: usize = 128;

/// The longest datagram (RFC 768 over RFC 791).
pub(super) const LONGEST: usize = 65_507;

/// A datagram that came.
pub(super) struct Letter {
    pub(super) bytes: Vec<u8>,
    pub(super) from: SocketAddr,
}

/// Where datagrams wait for one socket.
pub(super) struct Mailbox {
    /// The address that it is bound to; `None`: all.
    only: Option<IpAddr>,
    /// Whether it takes IPv4, and IPv6.
    versions: [bool; 2],
    shares: bool,
    /// Whom it takes datagrams from; `None`: all.
    pub(super) peer: Cell<Option<SocketAddr>>,
    letters: RefCell<VecDeque<Letter>>,
    size: Cell<usize>,
    /// Nobody listens where something was sent to.
    pub(super) error: Cell<Option<Errno>>,
    arrived: Arc<Watch>,
}

impl Mailbox {
    /// Calls `with` with the first letter, and removes it unless it is to stay.
    pub(super) fn open<T>(
        &self,
        stays: bool,
        with: impl FnOnce(&Letter) -> T,
    ) -> Option<(T, bool)> {
        let mut letters = self.letters.borrow_mut();
        let result = with(letters.front()?);
        if !stays && let Some(letter) = letters.pop_front() {
            self.size.update(|it| it - letter.bytes.len() - OVERHEAD);
        }
        Some((result, !letters.is_empty()))
    }

    /// Bytes of the first one, if there is one.
    pub(super) fn next(&self) -> Option<usize> {
        self.letters.borrow().front().map(|it| it.bytes.len())
    }

    fn takes(&self, to: IpAddr, from: SocketAddr) -> bool {
        self.versions[usize::from(to.is_ipv6())]
            && self.only.is_none_or(|it| it == to)
            && self.peer.get().is_none_or(|it| it == from)
    }

    /// What finds no room is lost, as on any network.
    fn put(&self, ram: &Ram, bytes: &[u8], from: SocketAddr) {
        let size = bytes.len() + OVERHEAD;
        let mut letters = self.letters.borrow_mut();
        let full = self.size.get() + size > ROOM || !ram.has_room();
        if full || letters.try_reserve(1).is_err() {
            return;
        }
        let Some(mut copy) = kernel::memory::zeroed(bytes.len()) else { return };
        copy.copy_from_slice(bytes);
        letters.push_back(Letter { bytes: copy, from });
        self.size.update(|it| it + size);
        drop(letters);
        self.arrived.raise();
    }
}

struct Port<N: Host> {
    boxes: Vec<Weak<Mailbox>>,
    turn: usize,
    /// None for who is bound within the machine alone. The stack's socket is the port's, which is free
    /// at once where this is dropped.
    socket: Option<(Rc<<N as Udp>::Socket>, Task<()>)>,
}

/// Which socket has which port.
pub(super) struct Mail<N: Host> {
    net: Rc<N>,
    ram: Rc<Ram>,
    ports: RefCell<LiteMap<u16, Port<N>>>,
    /// Where the stack puts a datagram until it is handed out: room for the longest one, once there
    /// is a socket of the network.
    buffer: RefCell<Vec<u8>>,
}

impl<N: Host> Mail<N> {
    pub(super) fn new(net: Rc<N>, ram: &Rc<Ram>) -> Rc<Self> {
        let ram = Rc::clone(ram);
        Rc::new(Self { net, ram, ports: RefCell::default(), buffer: RefCell::default() })
    }

    /// Gets a socket of the stack, and what hands out its datagrams.
    fn open(self: &Rc<Self>, number: u16) -> Result<(Rc<<N as Udp>::Socket>, Task<()>), Errno> {
        if self.buffer.borrow().is_empty() {
            self.buffer.replace(kernel::memory::zeroed(LONGEST).ok_or(Errno::ENOBUFS)?);
        }
        let bound = Rc::new(now(Udp::bind(&*self.net, any(number)))?);
        let number = ip::Socket::local_addr(&*bound).port();
        let pump = try_spawn(pump(Rc::downgrade(self), Rc::downgrade(&bound), number));
        let pump = pump.ok_or(Errno::ENOBUFS)?;
        Ok((bound, pump))
    }

    /// Gives a socket an address. `versions`: IPv4, IPv6. `network`: what is not within the
    /// machine alone. Returns its port, and where its datagrams wait.
    ///
    /// # Errors
    /// `EADDRINUSE`, `ENOBUFS`.
    pub(super) fn bind(
        self: &Rc<Self>,
        local: SocketAddr,
        versions: [bool; 2],
        (shares, network): (bool, bool),
        arrived: &Arc<Watch>,
    ) -> Result<(u16, Rc<Mailbox>), Errno> {
        let only = Some(local.ip().to_canonical()).filter(|it| !it.is_unspecified());
        let mut ports = self.ports.borrow_mut();
        let mut number = local.port();
        let mut socket = None;
        // The stack chooses a free port, also for who stays within the machine.
        if !ports.contains_key(&number) && (network || number == 0) {
            let opened = self.open(number)?;
            number = ip::Socket::local_addr(&*opened.0).port();
            socket = Some(opened);
        }
        grows::<(u16, Port<N>)>(ports.len()).map_err(|_| Errno::ENOBUFS)?;
        let port = ports.entry(number).or_insert(Port { boxes: Vec::new(), turn: 0, socket });
        port.boxes.retain(|it| it.strong_count() > 0);
        let clashes = |it: Rc<Mailbox>| {
            let version = (0..2).any(|at| it.versions[at] && versions[at]);
            // Who is bound to every address has this one as well.
            let both = it.only.zip(only).is_none_or(|(one, other)| one == other);
            version && both && !(it.shares && shares)
        };
        if port.boxes.iter().filter_map(Weak::upgrade).any(clashes) {
            return Err(Errno::EADDRINUSE);
        }
        let mut opened = Ok(());
        if port.socket.is_none() && network {
            opened = self.open(number).map(|it| port.socket = Some(it));
        }
        let mut reserved = || port.boxes.try_reserve(1).map_err(|_| Errno::ENOBUFS);
        if let Err(errno) = opened.and_then(|()| reserved()) {
            if port.boxes.is_empty() {
                ports.remove(&number);
            }
            return Err(errno);
        }
        let mailbox = Rc::new(Mailbox {
            only,
            versions,
            shares,
            peer: Cell::new(None),
            letters: RefCell::default(),
            size: Cell::new(0),
            error: Cell::new(None),
            arrived: Arc::clone(arrived),
        });
        port.boxes.push(Rc::downgrade(&mailbox));
        Ok((number, mailbox))
    }

    /// A socket is closed.
    pub(super) fn close(&self, port: u16) {
        let mut ports = self.ports.borrow_mut();
        let Some(it) = ports.get_mut(&port) else { return };
        it.boxes.retain(|it| it.strong_count() > 0);
        if it.boxes.is_empty() {
            ports.remove(&port);
        }
    }

    /// The stack's socket of a port.
    pub(super) fn socket(&self, port: u16) -> Option<Rc<<N as Udp>::Socket>> {
        self.ports.borrow().get(&port)?.socket.as_ref().map(|(it, _)| Rc::clone(it))
    }

    /// Has the stack tell the errors of `peer`, if one socket alone has the port.
    pub(super) fn set_peer(&self, port: u16, peer: Option<SocketAddr>) {
        let ports = self.ports.borrow();
        if let Some(Port { boxes, socket: Some((socket, _)), .. }) = ports.get(&port)
            && boxes.len() == 1
        {
            socket.set_peer(peer);
        }
    }

    /// Delivers a datagram within the machine. Returns whether there was somebody.
    pub(super) fn deliver(&self, bytes: &[u8], from: SocketAddr, to: SocketAddr) -> bool {
        let mut ports = self.ports.borrow_mut();
        let Some(port) = ports.get_mut(&to.port()) else { return false };
        let boxes =
            || port.boxes.iter().filter_map(Weak::upgrade).filter(|it| it.takes(to.ip(), from));
        // Who is connected comes first, then who is bound to that address.
        let rank = |it: &Rc<Mailbox>| (it.peer.get().is_some(), it.only.is_some());
        let Some(best) = boxes().map(|it| rank(&it)).max() else { return false };
        let count = boxes().filter(|it| rank(it) == best).count();
        port.turn = port.turn.wrapping_add(1);
        let found = boxes().filter(|it| rank(it) == best).nth(port.turn % count);
        drop(ports);
        if let Some(mailbox) = &found {
            mailbox.put(&self.ram, bytes, from);
        }
        found.is_some()
    }

    /// An error that the stack told of a port.
    fn fail(&self, port: u16, errno: Errno) {
        let ports = self.ports.borrow();
        let boxes = ports.get(&port).into_iter().flat_map(|it| &it.boxes);
        for mailbox in boxes.filter_map(Weak::upgrade) {
            mailbox.error.set(Some(errno));
            mailbox.arrived.raise();
        }
    }

    /// The address that a datagram of `from` came to: the first one of its version.
    fn here(&self, from: SocketAddr) -> IpAddr {
        let addresses = self.net.addresses();
        let alike = addresses.iter().find(|(it, _)| it.is_ipv4() == from.is_ipv4());
        alike.map_or_else(|| any(0).ip(), |(it, _)| *it)
    }
}

/// Receives what comes to one port for as long as there is its socket.
async fn pump<N: Host>(mail: Weak<Mail<N>>, socket: Weak<<N as Udp>::Socket>, port: u16) {
    loop {
        let polled = poll_fn(|context| match socket.upgrade() {
            Some(socket) => socket.poll_readable(context),
            None => Poll::Ready(Err(ip::Error::Closed)),
        })
        .await;
        let (Some(mail), Some(socket)) = (mail.upgrade(), socket.upgrade()) else { return };
        let mut buffer = mail.buffer.borrow_mut();
        match polled.and_then(|()| socket.try_recv(&mut buffer)) {
            Ok(Some((length, from))) => {
                let to = SocketAddr::new(mail.here(from), port);
                mail.deliver(&buffer[..length], from, to);
            }
            Ok(None) => {}
            Err(ip::Error::Down) => return mail.fail(port, Errno::ENETDOWN),
            Err(error) => mail.fail(port, errno(error)),
        }
    }
}
