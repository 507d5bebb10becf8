//! IP: what a program that speaks TCP, UDP or ICMP asks for.
//!
//! Traits, and who implements them: [`Stack`] (over any [`Net`](devices::net::Net)) and, on
//! Linux, its own `sockets`. Addresses are those of [`core::net`], streams those of
//! `embedded-io-async`, and methods have the names that `std::net` gives them.
//!
//! Where a type is both [`Tcp`] and [`Udp`], `bind` is called as `Tcp::bind(&ip, address)`
//! and `Udp::bind(&ip, address)`.

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
mod engine;
#[cfg(not(target_os = "xen"))]
mod host;
mod leaving;
mod limit;
pub mod nal;
mod ndisc;
mod neighbor;
mod one_of;
mod packet;
mod shared;
#[cfg(not(target_os = "xen"))]
pub mod sockets;
mod stack;
mod tcp;
mod udp;
mod wire;

pub use config::{Limits, Settings};
pub use drive::Stack;
pub use engine::Stats;
pub use one_of::OneOf;
pub use packet::{fill_checksum, has_checksum};
pub use tcp::{TcpHalf, TcpListener, TcpStream};
pub use udp::UdpSocket;

/// IP on the network interface that the manifest names.
#[cfg(target_os = "xen")]
pub type Ip = Stack<devices::Net>;

/// IP of a process: our own stack on the tap that `--net` names, or Linux's sockets.
#[cfg(not(target_os = "xen"))]
pub type Ip = OneOf<Stack<devices::Net>, sockets::Sockets>;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::task::{Context, Poll};
use core::time::Duration;
use embedded_io_async::{ErrorKind, Read, Write};

/// Why something on the network did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Another socket has that port, on that address or on all.
    InUse,
    /// The address to bind to is none of this machine's.
    AddrNotAvailable,
    /// The peer refused the connection.
    Refused,
    /// The connection was reset, or gone for good while the peer was silent.
    Reset,
    /// This side closed the stream, or the half of it, before.
    Closed,
    /// The peer did not answer in time.
    TimedOut,
    /// There is no route to that address, or it is none that can be sent to.
    Unreachable,
    /// A datagram is longer than the interface or its peer can take.
    TooLong,
    /// No memory, port or socket is left for it.
    Exhausted,
    /// The name does not exist, or the name server has no address for it.
    NoSuchName,
    /// No name server is known.
    NoServer,
    /// The name, or the answer of the name server, is malformed.
    BadName,
    /// The system does not permit it; how it would stands in the log.
    Denied,
    /// The interface is broken for good.
    Down,
    /// That cannot be done by this network.
    Unsupported,
    /// There is no randomness to choose ports and sequence numbers by.
    NoEntropy,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "the port is in use",
            Self::AddrNotAvailable => {
                "this machine does not have that address: bind to one of its own, or to 0.0.0.0 \
                 for all of them"
            }
            Self::Refused => "the connection was refused",
            Self::Reset => "the connection was reset",
            Self::Closed => "the connection is closed",
            Self::TimedOut => "the peer does not answer",
            Self::Unreachable => "there is no route to that address",
            Self::TooLong => "the datagram is too long",
            Self::Exhausted => "no memory, port or socket is left",
            Self::NoSuchName => "there is no address for that name",
            Self::NoServer => "no name server is known: see the argument dns=",
            Self::BadName => "that name cannot be resolved",
            Self::Denied => "the system does not permit it",
            Self::Down => "the network interface is broken",
            Self::Unsupported => "that cannot be done by this network",
            Self::NoEntropy => "there is no source of randomness: see the argument seed=",
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse => ErrorKind::AddrInUse,
            Self::AddrNotAvailable => ErrorKind::AddrNotAvailable,
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::Closed => ErrorKind::NotConnected,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::TooLong | Self::BadName => ErrorKind::InvalidInput,
            Self::Exhausted => ErrorKind::OutOfMemory,
            Self::NoSuchName => ErrorKind::NotFound,
            Self::Denied => ErrorKind::PermissionDenied,
            Self::Unsupported => ErrorKind::Unsupported,
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

/// Returns `port` of every address of this machine, those of IPv4 and those of IPv6:
/// `0.0.0.0:port`, which `[::]:port` is the same as for [`Tcp::bind`] and [`Udp::bind`].
#[must_use]
pub const fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// Returns the one address that a socket bound to `addr` is for; `None` if it is for all.
fn only(addr: SocketAddr) -> Option<IpAddr> {
    Some(addr.ip().to_canonical()).filter(|it| !it.is_unspecified())
}

/// Opens and accepts TCP connections (RFC 9293).
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use embedded_io_async::{Read, Write};
/// use xenith::ip::{Error, Listener, Stack, Stream, Tcp, any};
/// use xenith::task::{block_on, spawn};
///
/// /// Sends one visitor back what it sends, until it has said all.
/// async fn echo<T: Tcp>(tcp: T) -> Result<(), Error> {
///     let listener = tcp.bind(any(7)).await?;
///     let (mut stream, _visitor) = listener.accept().await?;
///     let mut buffer = [0; 512];
///     loop {
///         match stream.read(&mut buffer).await? {
///             0 => return stream.close().await,
///             length => stream.write_all(&buffer[..length]).await?,
///         }
///     }
/// }
///
/// # use core::net::Ipv4Addr;
/// # use xenith::ip::config::{Ipv4, Settings};
/// # use xenith::net::cable::{Options, cable};
/// # fn at(last: u8) -> Settings {
/// #     let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
/// #     Settings { ipv4, ..Settings::default() }
/// # }
/// # xenith::testing::simulate_time();
/// block_on(async {
///     let (left, right) = cable(Options::default());
///     let (client, server) = (Stack::start(left, at(1))?, Stack::start(right, at(2))?);
///     let served = spawn(echo(server));
///     let mut stream = client.connect("10.0.0.2:7".parse().unwrap()).await?;
///     stream.write_all(b"hello").await?;
///     // This half is closed, and the other one is read to its end.
///     stream.shutdown().await?;
///     let mut answer = [0; 16];
///     let mut length = 0;
///     while let more @ 1.. = stream.read(&mut answer[length..]).await? {
///         length += more;
///     }
///     assert_eq!(&answer[..length], b"hello");
///     served.await
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Tcp {
    /// What waits for connections.
    type Listener: Listener<Stream = Self::Stream> + 'static;

    /// A connection.
    type Stream: Stream + 'static;

    /// Listens on `addr`: for connections to that address of this machine alone, or, with
    /// `0.0.0.0` or `::`, to any that it has or gets, of both versions of IP: see [`any`].
    /// Port 0 stands for a free one, which [`Listener::local_addr`] tells.
    ///
    /// # Errors
    /// [`InUse`](Error::InUse) if there is a listener on that port, of this address or of
    /// all; [`AddrNotAvailable`](Error::AddrNotAvailable) if this machine does not have the
    /// address now; [`Denied`](Error::Denied) if Linux keeps the port for root;
    /// [`Exhausted`](Error::Exhausted) without memory or a free port,
    /// [`NoEntropy`](Error::NoEntropy) when one cannot be chosen, [`Down`](Error::Down).
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Listener, Error>>;

    /// Connects to `addr`, from a free port. Giving the future up resets what has begun.
    ///
    /// # Errors
    /// [`Refused`](Error::Refused) if the peer resets it, [`TimedOut`](Error::TimedOut) after
    /// 30 s, [`Unreachable`](Error::Unreachable) without a route and for an address that is
    /// not one machine's, this one's among them, and for port 0;
    /// [`Exhausted`](Error::Exhausted) without memory or a free port,
    /// [`NoEntropy`](Error::NoEntropy), [`Down`](Error::Down).
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Stream, Error>>;
}

/// Waits for TCP connections. Dropping it refuses further ones, and resets those that
/// nobody accepted.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use embedded_io_async::Write;
/// use xenith::ip::{Error, Listener, Stream};
/// use xenith::task::spawn;
///
/// /// Greets everybody who connects, each in a task of its own.
/// async fn greet<L: Listener>(listener: &L) -> Result<(), Error>
/// where
///     L::Stream: 'static,
/// {
///     loop {
///         let (mut stream, visitor) = listener.accept().await?;
///         spawn(async move {
///             let greeting = format!("hello, {visitor}\n");
///             if stream.write_all(greeting.as_bytes()).await.is_ok() {
///                 // Until the peer has acknowledged it: a drop would reset the connection.
///                 let _ = stream.close().await;
///             }
///         })
///         .detach();
///     }
/// }
/// ```
pub trait Listener {
    /// A connection.
    type Stream: Stream;

    /// Waits for the next connection, and returns it with the peer's address. Several may
    /// wait: each connection goes to one of them.
    ///
    /// # Errors
    /// [`Down`](Error::Down); [`Exhausted`](Error::Exhausted) means that one connection was
    /// lost, and that the next call may succeed.
    fn accept(&self) -> impl Future<Output = Result<(Self::Stream, SocketAddr), Error>>;

    /// Returns the address that it was bound to, with the port that it got.
    fn local_addr(&self) -> SocketAddr;
}

/// A TCP connection: bytes each way, and an end each way.
///
/// Reading returns 0 bytes, again and again, once the peer has ended its half (FIN) and all
/// before that was read; writing goes on meanwhile. After [`shutdown`](Self::shutdown) it is
/// the other way round: writing is [`Closed`](Error::Closed), and reading goes on.
///
/// A write returns when the stack has the bytes; they are sent, and sent again until the peer
/// acknowledges them, by themselves. `flush` waits until it has acknowledged all that was
/// written before, and is [`Reset`](Error::Reset) when it never will; nothing needs a flush to
/// be sent. That the peer's machine has bytes does not mean that its program has read them.
///
/// Dropping a connection closes it in order, in the background: what was written is sent and
/// then the end, for 30 s at most, and then the rest is lost and the connection reset. It is
/// reset at once when something was not read that came before or comes after (RFC 1122,
/// section 4.2.2.13), as the peer is to know that nobody will, and when there are more of
/// such connections than a quarter of all that there may be. Where bytes are lost by that,
/// it is logged at the level `debug`. Who must know whether all arrived calls
/// [`close`](Self::close), and who wants no more of it [`abort`](Self::abort).
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use embedded_io_async::{Read, Write};
/// use xenith::ip::{Error, Stream};
/// use xenith::task::join;
///
/// /// Sends all of `request`, and reads the answer at the same time, so that neither side waits
/// /// for the other with full buffers.
/// async fn exchange<S: Stream>(mut stream: S, request: &[u8]) -> Result<Vec<u8>, Error> {
///     let mut answer = Vec::new();
///     {
///         let (mut reader, mut writer) = stream.split();
///         let read = async {
///             let mut buffer = [0; 1024];
///             while answer.len() < request.len() {
///                 match reader.read(&mut buffer).await? {
///                     0 => break,
///                     length => answer.extend_from_slice(&buffer[..length]),
///                 }
///             }
///             Ok::<(), Error>(())
///         };
///         let (written, read) = join(writer.write_all(request), read).await;
///         written.and(read)?;
///     }
///     stream.close().await?;
///     Ok(answer)
/// }
/// ```
pub trait Stream: Read<Error = Error> + Write<Error = Error> {
    /// The reading half.
    type Reader<'a>: Read<Error = Error>
    where
        Self: 'a;

    /// The writing half.
    type Writer<'a>: Write<Error = Error>
    where
        Self: 'a;

    /// Splits it into both halves, for use side by side.
    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>);

    /// Reads as [`Read::read`] does, or has `context` woken once that may get further. What
    /// holds a connection of any type, behind a trait of its own, is made of this: the methods
    /// of `Read` and `Write` cannot be called through a pointer.
    ///
    /// # Errors
    /// As of [`Read::read`].
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>>;

    /// Writes as [`Write::write`] does, or has `context` woken once that may get further.
    ///
    /// # Errors
    /// As of [`Write::write`].
    fn poll_write(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>>;

    /// Ends the writing half: sends FIN behind what was written, without waiting. Reading
    /// goes on, also for hours, and `flush` still waits for what was written. Another call
    /// does nothing.
    ///
    /// # Errors
    /// [`Closed`](Error::Closed) after [`close`](Self::close) and [`abort`](Self::abort).
    fn shutdown(&mut self) -> impl Future<Output = Result<(), Error>>;

    /// Closes in order: sends what is left and FIN, and waits until the peer has acknowledged
    /// both and ended as well, for 30 s at most. What it still sends is thrown away. Given
    /// up, it goes on in the background as if the connection had been dropped.
    ///
    /// # Errors
    /// [`Reset`](Error::Reset) if the peer resets it before, [`TimedOut`](Error::TimedOut)
    /// if it has not acknowledged all by then: what was written may not have arrived;
    /// [`Closed`](Error::Closed) if it was closed before, [`Down`](Error::Down).
    fn close(&mut self) -> impl Future<Output = Result<(), Error>>;

    /// Resets the connection: what was written and not acknowledged is lost, and so is what
    /// was not read.
    fn abort(&mut self);

    /// Returns the address of the other end.
    fn peer_addr(&self) -> SocketAddr;

    /// Returns the address of this end.
    fn local_addr(&self) -> SocketAddr;
}

/// Exchanges UDP datagrams (RFC 768).
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use xenith::ip::{Datagrams, Error, Stack, Udp, any};
/// use xenith::task::{Either, block_on, select};
///
/// /// Answers questions for as long as it is polled.
/// async fn answer<U: Udp>(udp: &U) -> Result<(), Error> {
///     let socket = udp.bind(any(53)).await?;
///     let mut question = [0; 512];
///     loop {
///         let (length, asker) = socket.recv_from(&mut question).await?;
///         socket.send_to(&question[..length], asker).await?;
///     }
/// }
///
/// # use core::net::Ipv4Addr;
/// # use xenith::ip::config::{Ipv4, Settings};
/// # use xenith::net::cable::{Options, cable};
/// # fn at(last: u8) -> Settings {
/// #     let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
/// #     Settings { ipv4, ..Settings::default() }
/// # }
/// # xenith::testing::simulate_time();
/// block_on(async {
///     let (left, right) = cable(Options::default());
///     let (client, server) = (Stack::start(left, at(1))?, Stack::start(right, at(2))?);
///     let ask = async {
///         let socket = Udp::bind(&client, any(0)).await?;
///         socket.send_to(b"who?", "10.0.0.2:53".parse().unwrap()).await?;
///         let mut reply = [0; 512];
///         let (length, _) = socket.recv_from(&mut reply).await?;
///         assert_eq!(&reply[..length], b"who?");
///         Ok::<(), Error>(())
///     };
///     match select(answer(&server), ask).await {
///         Either::First(result) | Either::Second(result) => result,
///     }
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Udp {
    /// A bound socket.
    type Socket: Datagrams + 'static;

    /// Binds a socket to `addr`: it gets datagrams to that address of this machine alone,
    /// and sends from it; or, with `0.0.0.0` or `::`, those to any address that the machine
    /// has or gets and to all machines, of both versions of IP: see [`any`]. Port 0 stands
    /// for a free one, which [`Datagrams::local_addr`] tells.
    ///
    /// # Errors
    /// [`InUse`](Error::InUse) if there is a socket on that port, of this address or of
    /// all; [`AddrNotAvailable`](Error::AddrNotAvailable) if this machine does not have the
    /// address now; [`Denied`](Error::Denied) if Linux keeps the port for root;
    /// [`Exhausted`](Error::Exhausted) without memory or a free port,
    /// [`NoEntropy`](Error::NoEntropy) when one cannot be chosen, [`Down`](Error::Down).
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Socket, Error>>;
}

/// A UDP socket. Dropping it gives the port back.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use core::net::SocketAddr;
/// use core::time::Duration;
/// use xenith::ip::{Datagrams, Error};
/// use xenith::time::timeout;
///
/// /// Asks up to three times, as datagrams get lost; returns the length of the answer.
/// async fn ask<D: Datagrams>(
///     socket: &D,
///     server: SocketAddr,
///     question: &[u8],
///     answer: &mut [u8],
/// ) -> Result<usize, Error> {
///     for _ in 0..3 {
///         socket.send_to(question, server).await?;
///         let received = timeout(Duration::from_secs(1), socket.recv_from(answer)).await;
///         if let Ok(received) = received {
///             let (length, sender) = received?;
///             // Anybody may send to the port.
///             if sender == server {
///                 return Ok(length);
///             }
///         }
///     }
///     Err(Error::TimedOut)
/// }
/// ```
pub trait Datagrams {
    /// Receives a datagram into `buf`, and returns its length and who sent it. What does
    /// not fit is lost.
    ///
    /// # Errors
    /// [`Down`](Error::Down).
    fn recv_from(&self, buf: &mut [u8])
    -> impl Future<Output = Result<(usize, SocketAddr), Error>>;

    /// Sends `buf` as one datagram to `addr`, which may be one that stands for all machines
    /// or a group. It is not known whether it arrives.
    ///
    /// # Errors
    /// [`TooLong`](Error::TooLong) if it does not fit the interface,
    /// [`Unreachable`](Error::Unreachable) without a route from the address that the socket
    /// is bound to, or if the interface had no room for 3 s; [`Down`](Error::Down).
    fn send_to(&self, buf: &[u8], addr: SocketAddr) -> impl Future<Output = Result<(), Error>>;

    /// Returns the address that it was bound to, with the port that it got.
    fn local_addr(&self) -> SocketAddr;
}

/// Asks whether a machine is there (ICMP echo: RFC 792, RFC 4443). Requests of others are
/// answered without it.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use core::net::IpAddr;
/// use core::time::Duration;
/// use xenith::ip::{Error, Ping, Stack};
/// use xenith::task::block_on;
///
/// /// Tells whether a machine answers within a second.
/// async fn is_up<P: Ping>(ping: &P, addr: IpAddr) -> Result<bool, Error> {
///     match ping.ping(addr, 56, Duration::from_secs(1)).await {
///         Ok(_) => Ok(true),
///         Err(Error::TimedOut | Error::Unreachable) => Ok(false),
///         Err(error) => Err(error),
///     }
/// }
///
/// # use core::net::Ipv4Addr;
/// # use xenith::ip::config::{Ipv4, Settings};
/// # use xenith::net::cable::{Options, cable};
/// # fn at(last: u8) -> Settings {
/// #     let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
/// #     Settings { ipv4, ..Settings::default() }
/// # }
/// # xenith::testing::simulate_time();
/// block_on(async {
///     let (left, right) = cable(Options::default());
///     let (here, _there) = (Stack::start(left, at(1))?, Stack::start(right, at(2))?);
///     assert!(is_up(&here, "10.0.0.2".parse().unwrap()).await?);
///     assert!(!is_up(&here, "10.0.0.9".parse().unwrap()).await?);
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Ping {
    /// Sends an echo request with `payload` bytes to `addr`, waits for the reply, for
    /// `limit` at most, and returns the round-trip time.
    ///
    /// # Errors
    /// [`TimedOut`](Error::TimedOut) after `limit`, [`Unreachable`](Error::Unreachable)
    /// without a route, [`TooLong`](Error::TooLong) if the request does not fit the
    /// interface, [`Denied`](Error::Denied) if Linux does not let this user ask,
    /// [`Exhausted`](Error::Exhausted), [`NoEntropy`](Error::NoEntropy),
    /// [`Down`](Error::Down).
    fn ping(
        &self,
        addr: IpAddr,
        payload: usize,
        limit: Duration,
    ) -> impl Future<Output = Result<Duration, Error>>;
}

/// The addresses of a name.
pub type Addresses = heapless::Vec<IpAddr, 8>;

/// Finds the addresses of names (RFC 1035).
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use core::net::SocketAddr;
/// use xenith::ip::{Error, Resolve, Stack, Tcp};
/// use xenith::task::block_on;
///
/// /// Connects to the first address of a name that accepts.
/// async fn connect<I: Resolve + Tcp>(ip: &I, name: &str, port: u16) -> Result<I::Stream, Error> {
///     let mut last = Error::NoSuchName;
///     for addr in ip.resolve(name).await? {
///         match ip.connect(SocketAddr::new(addr, port)).await {
///             Ok(stream) => return Ok(stream),
///             Err(error) => last = error,
///         }
///     }
///     Err(last)
/// }
///
/// # use core::net::Ipv4Addr;
/// # use xenith::ip::config::{Ipv4, Settings};
/// # use xenith::net::cable::{Options, cable};
/// # fn at(last: u8) -> Settings {
/// #     let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
/// #     Settings { ipv4, ..Settings::default() }
/// # }
/// # xenith::testing::simulate_time();
/// block_on(async {
///     let (left, right) = cable(Options::default());
///     let (here, _there) = (Stack::start(left, at(1))?, Stack::start(right, at(2))?);
///     // An address is its own name. Nobody listens there.
///     assert_eq!(connect(&here, "10.0.0.2", 80).await.err(), Some(Error::Refused));
///     // Other names need a server.
///     assert_eq!(here.resolve("xenproject.org").await, Err(Error::NoServer));
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Resolve {
    /// Returns the addresses of `name`, which may also be an address itself; never none.
    ///
    /// # Errors
    /// [`NoSuchName`](Error::NoSuchName) if it does not exist or has no address,
    /// [`BadName`](Error::BadName) if it is no name, or if servers answer with a failure,
    /// [`TimedOut`](Error::TimedOut) if none answers, [`NoServer`](Error::NoServer) if none
    /// is known, [`NoEntropy`](Error::NoEntropy), [`Down`](Error::Down).
    fn resolve(&self, name: &str) -> impl Future<Output = Result<Addresses, Error>>;
}

#[cfg(test)]
mod tests;
