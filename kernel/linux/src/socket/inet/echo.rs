//! Sockets of ICMP, as ping(8) has them: echo requests, and what answers them. `SOCK_DGRAM` is the
//! "ping socket" of icmp(7), `SOCK_RAW` the one of raw(7), which nothing but echoes passes here.
//!
//! The stack sends a request of its own for each, as long as the program's, and what the program
//! gets when it is answered is its own bytes.

use super::error::errno;
use super::family::{Family, or_here};
use super::host::Host;
use super::options::Options;
use super::ports::is_loopback;
use crate::errno::Errno;
use crate::file::{Caller, next_inode};
use crate::memory::{Sink, Source};
use crate::socket::{Address, Form, Incoming, Outgoing, Socket, Style};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use kernel::task::try_spawn;
use linux_raw_sys::net::{
    IPPROTO_ICMP, IPPROTO_ICMPV6, MSG_ERRQUEUE, MSG_PEEK, MSG_TRUNC, SO_ERROR, SOL_SOCKET,
};

/// Types of messages (RFC 792, RFC 4443).
const REQUEST: u8 = 8;
const REPLY: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// Bytes of the header of a message: type, code, checksum, number of the socket, number.
const HEADER: usize = 8;

/// The longest message: what an IPv4 packet has room for.
const LONGEST: usize = 65_535 - 20;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that all sockets together may have on the way, or not received yet.
const BUDGET: usize = 256 << 10;

/// What an echo costs beside its bytes: a task, and its place in a queue.
const COST: usize = 1024;

/// The bytes of all echoes of a machine.
#[derive(Default)]
pub(super) struct Echoes(Cell<usize>);

/// A message, which counts until it is dropped.
struct Echo {
    bytes: Vec<u8>,
    all: Rc<Echoes>,
}

impl Echo {
    /// Makes room for `length` bytes.
    ///
    /// # Errors
    /// `ENOBUFS`
    fn new(all: &Rc<Echoes>, length: usize) -> Result<Self, Errno> {
        if all.0.get() + length + COST > BUDGET {
            return Err(Errno::ENOBUFS);
        }
        let bytes = kernel::memory::zeroed(length).ok_or(Errno::ENOBUFS)?;
        all.0.update(|it| it + length + COST);
        Ok(Self { bytes, all: Rc::clone(all) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.all.0.update(|it| it - self.bytes.len() - COST);
    }
}

/// What has come for a socket.
struct Inbox {
    replies: RefCell<VecDeque<(IpAddr, Echo)>>,
    error: Cell<Option<Errno>>,
    changed: Arc<Watch>,
}

impl Inbox {
    fn put(&self, from: IpAddr, echo: Echo) {
        let mut replies = self.replies.borrow_mut();
        if replies.try_reserve(1).is_ok() {
            replies.push_back((from, echo));
            self.changed.raise();
        }
    }
}

/// A socket of ICMP.
pub(super) struct EchoSocket<N: Host> {
    net: Rc<N>,
    family: Family,
    style: Style,
    inode: u64,
    options: Options,
    peer: Cell<Option<SocketAddr>>,
    inbox: Rc<Inbox>,
    echoes: Rc<Echoes>,
}

impl<N: Host> EchoSocket<N> {
    pub(super) fn new(net: &Rc<N>, echoes: &Rc<Echoes>, family: Family, style: Style) -> Rc<Self> {
        let (replies, error, changed) = (RefCell::default(), Cell::new(None), Watch::new());
        Rc::new(Self {
            net: Rc::clone(net),
            family,
            style,
            inode: next_inode(),
            options: Options::default(),
            peer: Cell::new(None),
            inbox: Rc::new(Inbox { replies, error, changed }),
            echoes: Rc::clone(echoes),
        })
    }

    /// The protocol that a socket of `family` may have here.
    pub(super) const fn protocol(family: Family) -> u32 {
        match family {
            Family::V4 => IPPROTO_ICMP as u32,
            Family::V6 => IPPROTO_ICMPV6,
        }
    }

    /// The number by which answers are told apart; a ping socket puts it into its requests.
    fn number(&self) -> u16 {
        // 0 is none.
        (self.inode % 0xFFFF) as u16 + 1
    }

    fn is_here(&self, address: IpAddr) -> bool {
        is_loopback(address) || self.net.addresses().iter().any(|(it, _)| *it == address)
    }

    /// Makes the answer of a request.
    fn answer(&self, echo: &mut [u8]) -> Result<(), Errno> {
        let (request, reply) = match self.family {
            Family::V4 => (REQUEST, REPLY),
            Family::V6 => (REQUEST_V6, REPLY_V6),
        };
        if echo.len() < HEADER || echo[..2] != [request, 0] {
            return Err(Errno::EINVAL);
        }
        echo[0] = reply;
        if self.style == Style::Datagram {
            echo[4..6].copy_from_slice(&self.number().to_be_bytes());
        }
        echo[2..4].fill(0);
        let sum = checksum(echo);
        echo[2..4].copy_from_slice(&sum.to_be_bytes());
        Ok(())
    }

    /// The header of IPv4 that a raw socket gets before a message (raw(7)).
    fn header(&self, from: IpAddr, length: usize) -> [u8; 20] {
        let mut header = [0; 20];
        let IpAddr::V4(from) = from else { return header };
        header[0] = 0x45;
        header[2..4].copy_from_slice(&((length + 20) as u16).to_be_bytes());
        // What it came with is not known.
        (header[8], header[9]) = (64, IPPROTO_ICMP as u8);
        header[12..16].copy_from_slice(&from.octets());
        let own = self.net.addresses();
        let own =
            own.iter().find_map(|(it, _)| if let IpAddr::V4(it) = it { Some(*it) } else { None });
        header[16..].copy_from_slice(&own.unwrap_or(from).octets());
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }
}

/// The checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|it| u16::from_be_bytes([it[0], it.get(1).copied().unwrap_or(0)]));
    let sum: u32 = words.map(u32::from).sum();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    !((sum & 0xFFFF) + (sum >> 16)) as u16
}

impl<N: Host> Socket for EchoSocket<N> {
    fn form(&self) -> Form {
        let (family, style) = (self.family.number(), self.style);
        Form { family, style, protocol: Self::protocol(self.family) }
    }

    fn bind(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        let local = self.family.given(address, true)?;
        if !local.ip().is_unspecified() && !self.is_here(local.ip()) {
            return Err(Errno::EADDRNOTAVAIL.into());
        }
        Ok(())
    }

    fn connect(&self, _: &dyn Caller, address: &Address) -> Result<(), Stop> {
        let peer = match address {
            Address::None => None,
            address => Some(or_here(self.family.given(address, true)?)),
        };
        self.peer.set(peer);
        Ok(())
    }

    fn shutdown(&self, _: bool, _: bool) -> Result<(), Errno> {
        self.peer.get().map(drop).ok_or(Errno::ENOTCONN)
    }

    fn local(&self) -> Address {
        let port = if self.style == Style::Datagram { self.number() } else { 0 };
        self.family.told(SocketAddr::new(self.family.unspecified(), port))
    }

    fn peer(&self) -> Result<Address, Errno> {
        self.peer.get().map(|it| self.family.told(it)).ok_or(Errno::ENOTCONN)
    }

    fn send(&self, message: &mut Outgoing<'_>, from: &mut Source<'_>) -> Result<usize, Stop> {
        if let Some(errno) = self.inbox.error.take() {
            return Err(errno.into());
        }
        message.rights.clear();
        let given = message.to.map(|it| self.family.given(it, true)).transpose()?;
        let to = or_here(given.or(self.peer.get()).ok_or(Errno::EDESTADDRREQ)?).ip();
        let length = from.left();
        if length > LONGEST {
            return Err(Errno::EMSGSIZE.into());
        }
        let mut echo = Echo::new(&self.echoes, length)?;
        if from.peek(&mut echo.bytes)? < length {
            return Err(Errno::EFAULT.into());
        }
        self.answer(&mut echo.bytes)?;
        if self.is_here(to) {
            self.inbox.put(to, echo);
        } else {
            let (net, inbox) = (Rc::clone(&self.net), Rc::downgrade(&self.inbox));
            let task = try_spawn(Box::pin(async move {
                let answered = net.ping(to, length - HEADER, PATIENCE).await;
                let Some(inbox) = inbox.upgrade() else { return };
                match answered {
                    Ok(_) => inbox.put(to, echo),
                    // As on Linux, nothing tells of what is lost.
                    Err(ip::Error::TimedOut) => {}
                    Err(error) => {
                        inbox.error.set(Some(errno(error)));
                        inbox.changed.raise();
                    }
                }
            }));
            task.ok_or(Errno::ENOBUFS)?.detach();
        }
        from.skip(length);
        Ok(length)
    }

    fn receive(&self, flags: u32, to: &mut Sink<'_>) -> Result<Incoming, Stop> {
        // No error is kept with what caused it.
        if flags & MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN.into());
        }
        if let Some(errno) = self.inbox.error.take() {
            return Err(errno.into());
        }
        let mut replies = self.inbox.replies.borrow_mut();
        let (from, echo) = replies.front().ok_or(Stop::Wait)?;
        let (from, room) = (*from, to.left());
        let header = match (self.family, self.style) {
            (Family::V4, Style::Raw) => &self.header(from, echo.bytes.len())[..],
            _ => &[],
        };
        let length = header.len() + echo.bytes.len();
        for part in [header, &echo.bytes] {
            let mut part = &part[..part.len().min(to.left())];
            while !part.is_empty() {
                let put = to.put(part)?;
                part = &part[put..];
            }
        }
        if flags & MSG_PEEK == 0 {
            replies.pop_front();
        }
        Ok(Incoming {
            length: if flags & MSG_TRUNC != 0 { length } else { length.min(room) },
            from: Some(self.family.told(SocketAddr::new(from, 0))),
            flags: if length > room { MSG_TRUNC } else { 0 },
            ..Incoming::default()
        })
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::OUT | Ready::WRNORM;
        ready.set(Ready::IN | Ready::RDNORM, !self.inbox.replies.borrow().is_empty());
        ready.set(Ready::ERR, self.inbox.error.get().is_some());
        ready
    }

    fn watch(&self) -> &Arc<Watch> {
        &self.inbox.changed
    }

    fn inode(&self) -> u64 {
        self.inode
    }

    fn queued(&self) -> [usize; 2] {
        [self.inbox.replies.borrow().front().map_or(0, |(_, it)| it.bytes.len()), 0]
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        match (level, name) {
            (SOL_SOCKET, SO_ERROR) => {
                let number = self.inbox.error.take().map_or(0, |it| u32::from(it.number()));
                Ok(number.to_ne_bytes().to_vec())
            }
            _ => self.options.get(self.form(), level, name),
        }
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        self.options.set(level, name, value)
    }
}
