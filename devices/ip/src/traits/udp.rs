//! Declares UDP: who binds sockets, and what they can do.

use crate::error::Error;
use core::net::SocketAddr;

/// Binds sockets that exchange UDP datagrams (RFC 768).
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use xenith::ip::{Socket, Error, Stack, Udp, any};
/// use xenith::task::{Either, block_on, select};
///
/// /// Answers questions for as long as it is polled.
/// async fn answer<U: Udp>(udp: &U) -> Result<(), Error> {
///     let socket = udp.bind(any(53)).await?;
///     let mut question = [0; 512];
///     loop {
///         let (length, asker) = socket.recv_from(&mut question).await?;
///         // That one cannot be reached is no reason to leave the others without answers.
///         let _ = socket.send_to(&question[..length], asker).await;
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
    /// Sends and receives at one address and port.
    type Socket: Socket + 'static;

    /// Binds a socket to `addr`: it gets datagrams to that address of this machine alone,
    /// and sends from it; or, with `0.0.0.0` or `::`, those to any address that the machine
    /// has or gets and to broadcast addresses, of both versions of IP: see [`any`](crate::any). Port 0 stands
    /// for a free one, which [`Socket::local_addr`] tells.
    ///
    /// # Errors
    /// [`InUse`](Error::InUse) if there is a socket on that port, of this address or of
    /// all; [`AddrNotAvailable`](Error::AddrNotAvailable) if this machine does not have the
    /// address now; [`Denied`](Error::Denied) if Linux keeps the port for root;
    /// [`Exhausted`](Error::Exhausted) without memory or a free port,
    /// [`NoEntropy`](Error::NoEntropy) when one cannot be chosen, [`Down`](Error::Down).
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Socket, Error>>;
}

/// Sends and receives UDP datagrams at one address and port. Dropping it frees the port.
///
/// All methods take `&self`: several futures may send and receive at once, and each datagram
/// goes to one of those that receive. Up to 64 wait to be received, with at most
/// [`Limits::datagrams`](crate::Limits::datagrams) bytes; further ones are lost.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use core::net::SocketAddr;
/// use core::time::Duration;
/// use xenith::ip::{Socket, Error};
/// use xenith::time::timeout;
///
/// /// Asks up to three times, as datagrams get lost; returns the length of the answer.
/// async fn ask<S: Socket>(
///     socket: &S,
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
pub trait Socket {
    /// Waits for a datagram, copies it into `buf`, and returns how many bytes that were and
    /// the sender's address. What does not fit is lost. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Down`](Error::Down).
    fn recv_from(&self, buf: &mut [u8])
    -> impl Future<Output = Result<(usize, SocketAddr), Error>>;

    /// Sends `buf` as one datagram to `addr`, which may be a broadcast or multicast address.
    /// It returns when the stack has the datagram; whether it arrives is not known.
    ///
    /// # Errors
    /// [`TooLong`](Error::TooLong) if it is longer than
    /// [`Limits::datagrams`](crate::Limits::datagrams) or than a datagram may be, 65 507 bytes for
    /// IPv4; what is longer than the interface's MTU, or that of the path as a router told it,
    /// leaves in fragments, which many networks drop (RFC 8900); [`AddrNotAvailable`](Error::AddrNotAvailable) if the machine lost the
    /// address that the socket is bound to;
    /// [`Unreachable`](Error::Unreachable) without a route from the address that the socket
    /// is bound to, or if the interface had no room for 3 s; [`Down`](Error::Down).
    fn send_to(&self, buf: &[u8], addr: SocketAddr) -> impl Future<Output = Result<(), Error>>;

    /// Returns the address that it was bound to, with the port that it got.
    fn local_addr(&self) -> SocketAddr;
}
