//! Sockets: what their kinds have in common, and the calls that they have.

pub(crate) mod address;
mod buffer;
pub mod calls;
pub mod inet;
pub(crate) mod interface;
mod message;
pub mod unix;

pub use address::{Address, LONGEST, Name, mapped};
pub use interface::Interface;
pub use message::{Credentials, Incoming, Outgoing, owner};

use crate::errno::Errno;
use crate::file::{At, Caller, File, Open, Stat, Type};
use crate::memory::{Sink, Source, Text};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::Cell;
use core::fmt::{self, Write};
use core::net::IpAddr;
use core::time::Duration;
use linux_raw_sys::general::O_PATH;
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use linux_raw_sys::net::{
    AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, SO_DOMAIN, SO_PROTOCOL,
    SO_RCVBUF, SO_SNDBUF, SO_TYPE, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};

/// Which bytes belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// None: it is a stream (`SOCK_STREAM`).
    Stream,
    /// Those that were sent by one call, to whoever (`SOCK_DGRAM`).
    Datagram,
    /// Those that were sent by one call, over a connection (`SOCK_SEQPACKET`).
    Sequence,
    /// Packets as they are on the wire (`SOCK_RAW`).
    Raw,
}

impl Style {
    /// Returns the number that socket(2) takes.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Stream => SOCK_STREAM,
            Self::Datagram => SOCK_DGRAM,
            Self::Sequence => SOCK_SEQPACKET,
            Self::Raw => SOCK_RAW,
        }
    }
}

/// What a socket is: family, style and protocol, as socket(2) takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// `AF_INET` and so on.
    pub family: u32,
    /// Its style.
    pub style: Style,
    /// `IPPROTO_TCP` and so on; 0 for the usual one.
    pub protocol: u32,
}

impl Form {
    /// Asks whether options of a level can be read.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if there are none of that level, `ENOPROTOOPT` for IPv6.
    fn judge_level(self, level: u32) -> Result<(), Errno> {
        match self.family {
            _ if self.has_level(level) => Ok(()),
            AF_INET6 => Err(Errno::ENOPROTOOPT),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Returns whether there are options of a level for it: of the internet, those of its own
    /// protocols.
    const fn has_level(self, level: u32) -> bool {
        const IP: u32 = IPPROTO_IP as u32;
        const IPV6: u32 = IPPROTO_IPV6 as u32;
        const TCP: u32 = IPPROTO_TCP as u32;
        const UDP: u32 = IPPROTO_UDP as u32;
        match (level, self.style) {
            _ if !matches!(self.family, AF_INET | AF_INET6) => true,
            (SOL_SOCKET | IP, _) | (TCP, Style::Stream) | (UDP, Style::Datagram) => true,
            (IPV6, _) => self.family == AF_INET6,
            (_, Style::Raw) => true,
            _ => false,
        }
    }

    /// Returns the options of any socket (socket(7)).
    ///
    /// # Errors
    /// `ENOPROTOOPT` for others.
    pub fn option(self, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        self.judge_level(level)?;
        let number = match (level, name) {
            (SOL_SOCKET, SO_TYPE) => self.style.number(),
            (SOL_SOCKET, SO_DOMAIN) => self.family,
            (SOL_SOCKET, SO_PROTOCOL) => self.protocol,
            (SOL_SOCKET, SO_RCVBUF | SO_SNDBUF) => buffer::BUFFER,
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}

/// One end of a connection, a place where connections or datagrams come, or what may become one.
///
/// As with any [`File`], nothing waits: [`Stop::Wait`] and the file's watch say when to go on.
pub trait Socket: Any {
    /// Returns what can be done now without waiting. Arms the watch for the rest.
    fn ready(&self) -> Ready;

    /// Tells when that changes.
    fn watch(&self) -> &Arc<Watch>;

    /// Returns its inode number ([`next_inode`](crate::file::next_inode)).
    fn inode(&self) -> u64;

    /// Returns how many bytes can be read (`FIONREAD`), and how many wait to be sent
    /// (`TIOCOUTQ`).
    fn queued(&self) -> [usize; 2];

    /// Itself, for what is particular to its kind.
    fn any(&self) -> &dyn Any;

    /// Returns what it is.
    fn form(&self) -> Form;

    /// Gives it an address (bind(2)).
    ///
    /// # Errors
    /// As of bind(2).
    fn bind(&self, caller: &dyn Caller, address: &Address) -> Result<(), Stop>;

    /// Connects it (connect(2)). [`Stop::Wait`]: that has begun, and
    /// [`connected`](Self::connected) tells how it ended.
    ///
    /// # Errors
    /// As of connect(2).
    fn connect(&self, caller: &dyn Caller, address: &Address) -> Result<(), Stop>;

    /// Tells whether the connection that was begun has come about: [`Stop::Wait`] until then.
    ///
    /// # Errors
    /// Those of the connection.
    fn connected(&self) -> Result<(), Stop> {
        Ok(())
    }

    /// Lets it take connections (listen(2)).
    ///
    /// # Errors
    /// As of listen(2).
    fn listen(&self, backlog: u32) -> Result<(), Errno> {
        let _ = backlog;
        Err(Errno::EOPNOTSUPP)
    }

    /// Takes the next connection and the address of its other end (accept(2)).
    ///
    /// # Errors
    /// As of accept(2).
    fn accept(&self) -> Result<(Rc<dyn Socket>, Address), Stop> {
        Err(Errno::EOPNOTSUPP.into())
    }

    /// Ends reading, writing, or both (shutdown(2)).
    ///
    /// # Errors
    /// `ENOTCONN`.
    fn shutdown(&self, read: bool, write: bool) -> Result<(), Errno>;

    /// Returns its address (getsockname(2)).
    fn local(&self) -> Address;

    /// Returns the address of the other end (getpeername(2)).
    ///
    /// # Errors
    /// `ENOTCONN`.
    fn peer(&self) -> Result<Address, Errno>;

    /// Sends bytes, and what else goes with them (sendmsg(2)). Returns how many bytes: those of
    /// a stream may be fewer.
    ///
    /// # Errors
    /// As of sendmsg(2). `EPIPE` makes a SIGPIPE of the call, unless `MSG_NOSIGNAL` is set.
    fn send(&self, message: &mut Outgoing<'_>, from: &mut Source<'_>) -> Result<usize, Stop>;

    /// Returns how many bytes of a stream a call waits for (`SO_RCVLOWAT`).
    fn least(&self) -> usize {
        1
    }

    /// Receives bytes, and what else came with them (recvmsg(2)).
    ///
    /// # Errors
    /// As of recvmsg(2).
    fn receive(&self, flags: u32, to: &mut Sink<'_>) -> Result<Incoming, Stop>;

    /// Returns an option's value (getsockopt(2)), as bytes.
    ///
    /// # Errors
    /// `ENOPROTOOPT`.
    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>, Errno> {
        self.form().option(level, name)
    }

    /// Changes an option (setsockopt(2)).
    ///
    /// # Errors
    /// `ENOPROTOOPT`, `EINVAL`.
    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<(), Errno> {
        let _ = (level, name, value);
        Err(Errno::ENOPROTOOPT)
    }
}

/// Makes sockets of the families that need the network.
pub trait Network {
    /// Makes a socket that is not connected (socket(2)).
    ///
    /// # Errors
    /// `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`, `ENOBUFS`.
    fn socket(&self, form: Form) -> Result<Rc<dyn Socket>, Errno>;

    /// Returns the name servers that it knows now.
    fn servers(&self) -> Vec<IpAddr>;

    /// Returns the interfaces of the machine as they are now.
    fn interfaces(&self) -> Vec<Interface>;
}

/// A socket as a file.
pub struct SocketFile {
    socket: Rc<dyn Socket>,
    /// How long a call waits to receive and to send (`SO_RCVTIMEO`, `SO_SNDTIMEO`).
    pub timeouts: Cell<[Option<Duration>; 2]>,
}

impl SocketFile {
    /// Makes a file of `socket`.
    #[must_use]
    pub fn new(socket: Rc<dyn Socket>) -> Rc<Self> {
        Rc::new(Self { socket, timeouts: Cell::default() })
    }

    /// Returns the socket that is open.
    ///
    /// # Errors
    /// `ENOTSOCK`, `EBADF` for what is open by its name alone.
    pub fn of(open: &Open) -> Result<&Rc<dyn Socket>, Errno> {
        if open.flags() & O_PATH != 0 {
            return Err(Errno::EBADF);
        }
        open.as_kind::<Self>().map(|it| &it.socket).ok_or(Errno::ENOTSOCK)
    }
}

impl File for SocketFile {
    fn tell(&self, text: &mut Text) -> fmt::Result {
        match self.socket.any().downcast_ref::<unix::Unix>() {
            Some(unix) => writeln!(text, "scm_fds: {}", unix.in_flight()),
            None => Ok(()),
        }
    }

    fn read(&self, _: &Open, at: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        if at != At::Position {
            return Err(Errno::ESPIPE.into());
        }
        // Nothing is asked for: no datagram is lost to that (read(2) of System V).
        if to.left() == 0 {
            return Ok(0);
        }
        Ok(self.socket.receive(0, to)?.length)
    }

    fn read_by(
        &self,
        _: &dyn Caller,
        open: &Open,
        at: At,
        to: &mut Sink<'_>,
    ) -> Result<usize, Stop> {
        // read(2) waits as a call that receives does, which knows what has come so far, and
        // splice(2) for anything.
        let waits = self.socket.least() > 1 && to.left() > 0 && !open.is_nonblocking();
        if waits && at == At::Position {
            return Err(Stop::Wait);
        }
        self.read(open, at, to)
    }

    fn write(&self, _: &Open, at: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        if at != At::Position {
            return Err(Errno::ESPIPE.into());
        }
        self.socket.send(&mut Outgoing::default(), from)
    }

    fn ready(&self) -> Ready {
        self.socket.ready()
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(self.socket.watch())
    }

    fn timeouts(&self) -> [Option<Duration>; 2] {
        self.timeouts.get()
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Socket, 0o777, self.socket.inode()))
    }

    fn ioctl(&self, caller: &dyn Caller, request: u32, argument: u64) -> Result<usize, Stop> {
        let [read, write] = self.socket.queued();
        let count = match request {
            FIONREAD => read,
            TIOCOUTQ => write,
            _ => return Err(Errno::ENOTTY.into()),
        };
        caller.memory().put(argument, &(count.min(i32::MAX as usize) as u32))?;
        Ok(0)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
