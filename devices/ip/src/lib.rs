//! IP: what a program that speaks TCP, UDP or ICMP asks for.
//!
//! Traits, and who can give them: [`Stack`] (over any [`Net`](devices::net::Net)) and, on
//! Linux, its own `sockets`. Addresses are those of [`core::net`]; streams are
//! those of `embedded-io-async`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "xen"))]
extern crate std;

mod announce;
pub mod config;
mod cookie;
mod device;
pub mod dhcp;
mod dns;
mod drive;
mod either;
mod engine;
mod half_open;
#[cfg(not(target_os = "xen"))]
mod host;
mod limit;
mod ndisc;
mod neighbor;
mod packet;
#[cfg(not(target_os = "xen"))]
pub mod sockets;
mod stack;
mod tcp;
mod udp;

pub use config::{Limits, Settings};
pub use drive::{Stack, Stats};
pub use either::Either;
pub use packet::{fill_checksum, has_checksum};
pub use tcp::{TcpHalf, TcpListener, TcpStream};
pub use udp::UdpSocket;

/// IP on the network interface that the manifest names.
#[cfg(target_os = "xen")]
pub type Ip = Stack<devices::Net>;

/// IP of a process: our own stack on the tap that `--net` names, or Linux's sockets.
#[cfg(not(target_os = "xen"))]
pub type Ip = Either<Stack<devices::Net>, sockets::Sockets>;

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use embedded_io_async::{ErrorKind, Read, Write};

/// Why something on the network did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The local port is taken.
    InUse,
    /// The peer refused the connection.
    Refused,
    /// The peer, or this side, reset the connection.
    Reset,
    /// The stream was closed by this side before.
    Closed,
    /// The peer did not answer in time.
    TimedOut,
    /// There is no way to that address.
    Unreachable,
    /// A datagram is longer than the interface or its peer can take.
    TooLong,
    /// No memory, port or slot is left for it.
    Exhausted,
    /// The name does not exist, or the name server has no address for it.
    NoSuchName,
    /// No name server is known.
    NoServer,
    /// The name, or the answer of the name server, makes no sense.
    BadName,
    /// The system does not permit it; how it would stands in the log.
    Denied,
    /// The interface is broken for good.
    Down,
    /// There is no randomness to choose ports and sequence numbers by.
    NoEntropy,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "the port is in use",
            Self::Refused => "the connection was refused",
            Self::Reset => "the connection was reset",
            Self::Closed => "the connection is closed",
            Self::TimedOut => "the peer does not answer",
            Self::Unreachable => "there is no way to that address",
            Self::TooLong => "the datagram is too long",
            Self::Exhausted => "no memory, port or socket is left",
            Self::NoSuchName => "there is no address for that name",
            Self::NoServer => "no name server is known: see the argument dns=",
            Self::BadName => "that name cannot be resolved",
            Self::Denied => "the system does not permit it",
            Self::Down => "the network interface is broken",
            Self::NoEntropy => "there is no source of randomness: see the argument seed=",
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse => ErrorKind::AddrInUse,
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::Closed => ErrorKind::NotConnected,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::TooLong | Self::BadName => ErrorKind::InvalidInput,
            Self::Exhausted => ErrorKind::OutOfMemory,
            Self::NoSuchName => ErrorKind::NotFound,
            Self::Denied => ErrorKind::PermissionDenied,
            Self::Unreachable | Self::NoServer | Self::Down | Self::NoEntropy => ErrorKind::Other,
        }
    }
}

/// Something that nobody can guess.
fn random() -> Result<u64, Error> {
    kernel::entropy::next_u64().map_err(|_| Error::NoEntropy)
}

/// `port`, or a random one of the dynamic range (RFC 6335), if it is `free`.
fn choose(port: u16, free: impl Fn(u16) -> bool) -> Result<u16, Error> {
    if port != 0 {
        return if free(port) { Ok(port) } else { Err(Error::InUse) };
    }
    for _ in 0..256 {
        let port = 0xc000 | random()? as u16;
        if free(port) {
            return Ok(port);
        }
    }
    Err(Error::Exhausted)
}

/// Who can open and accept TCP connections (RFC 9293).
pub trait Tcp {
    /// What waits for connections.
    type Listener: Listener<Stream = Self::Stream> + 'static;

    /// A connection.
    type Stream: Stream + 'static;

    /// Waits for connections on `port`, on every address of this machine; 0 is any free one.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Exhausted`], [`Error::Down`].
    fn listen(&self, port: u16) -> impl Future<Output = Result<Self::Listener, Error>>;

    /// Connects to `to`, within the time that the stack gives a connection to come about.
    ///
    /// # Errors
    /// What became of it: most of [`Error`].
    fn connect(&self, to: SocketAddr) -> impl Future<Output = Result<Self::Stream, Error>>;
}

/// Waits for TCP connections. Dropping it refuses further ones.
pub trait Listener {
    /// A connection.
    type Stream: Stream;

    /// The next connection.
    ///
    /// # Errors
    /// [`Error::Down`]; [`Error::Exhausted`] means that one connection was lost, and
    /// that the next call may succeed.
    fn accept(&mut self) -> impl Future<Output = Result<Self::Stream, Error>>;

    /// The port.
    fn port(&self) -> u16;
}

/// A TCP connection: bytes each way. Reading 0 bytes means that the peer sent
/// all it had to say. Dropping it resets the connection unless it was closed, or the
/// program returns in the same turn: then what was written is sent, and the end.
pub trait Stream: Read<Error = Error> + Write<Error = Error> {
    /// The reading half.
    type Reader<'a>: Read<Error = Error>
    where
        Self: 'a;

    /// The writing half.
    type Writer<'a>: Write<Error = Error>
    where
        Self: 'a;

    /// Both halves, for use side by side.
    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>);

    /// Says that nothing more will be written, once all that was written is
    /// sent. Reading goes on.
    ///
    /// # Errors
    /// [`Error::Reset`], [`Error::TimedOut`].
    fn shutdown(&mut self) -> impl Future<Output = Result<(), Error>>;

    /// Closes in order: sends what is left, then the end, and waits until the peer
    /// has acknowledged both and closed as well, for a bounded time.
    ///
    /// # Errors
    /// [`Error::Reset`], [`Error::TimedOut`]: what was written may not have arrived.
    fn close(&mut self) -> impl Future<Output = Result<(), Error>>;

    /// Resets the connection.
    fn abort(&mut self);

    /// The address of the other end.
    fn peer(&self) -> SocketAddr;

    /// The address of this end.
    fn local(&self) -> SocketAddr;
}

/// Who can exchange UDP datagrams (RFC 768).
pub trait Udp {
    /// A bound port.
    type Socket: Datagrams + 'static;

    /// Takes `port`, on every address of this machine; 0 is any free one.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Exhausted`], [`Error::Down`].
    fn bind(&self, port: u16) -> impl Future<Output = Result<Self::Socket, Error>>;
}

/// A UDP port. Dropping it gives the port back.
pub trait Datagrams {
    /// Receives a datagram into `to`; its length, and who sent it. What does not
    /// fit is lost.
    ///
    /// # Errors
    /// [`Error::Down`].
    fn receive(&self, to: &mut [u8]) -> impl Future<Output = Result<(usize, SocketAddr), Error>>;

    /// Sends a datagram. Broadcast and multicast addresses are allowed.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Unreachable`], [`Error::Down`].
    fn send(&self, datagram: &[u8], to: SocketAddr) -> impl Future<Output = Result<(), Error>>;

    /// The port.
    fn port(&self) -> u16;
}

/// Who can ask whether a machine is there (ICMP echo: RFC 792, RFC 4443).
/// Requests of others are answered by themselves.
pub trait Ping {
    /// Sends an echo request with `payload` bytes and waits for the answer, for
    /// `limit` at most; the round trip's time.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Unreachable`], [`Error::TooLong`], [`Error::Down`].
    fn ping(
        &self,
        to: IpAddr,
        payload: usize,
        limit: Duration,
    ) -> impl Future<Output = Result<Duration, Error>>;
}

/// The addresses of a name.
pub type Addresses = heapless::Vec<IpAddr, 8>;

/// Who can find the addresses of names (RFC 1035).
pub trait Resolve {
    /// The addresses of `name`, which may also be an address itself; never empty.
    ///
    /// # Errors
    /// [`Error::NoSuchName`], [`Error::BadName`], [`Error::TimedOut`], [`Error::NoServer`].
    fn resolve(&self, name: &str) -> impl Future<Output = Result<Addresses, Error>>;
}

#[cfg(test)]
mod tests;
