//! Implements the traits of the crate `edge-nal`, so that crates that are written for those
//! run on a [`Stack`] as they are: HTTP, WebSocket, DHCP, MQTT and others.
//!
//! [`Stack`], Linux's `sockets` and [`OneOf`] implement `TcpConnect`, `TcpBind`, `UdpBind`
//! and `Dns`, and what those make implements the rest. That crate rather than
//! `embedded-nal-async`, because its connections are those of `embedded-io-async` 0.7, it can
//! bind and accept, and it has halves and half-close. Where its documents leave it open, or
//! ask for what there is not:
//!
//! * `TcpShutdown::close` ends the writing half for `Close::Write` and `Close::Both`, and does
//!   not wait: `flush` waits for what was written. `Close::Read` does nothing.
//! * `UdpReceive::receive` returns how many bytes are in the buffer, of a datagram that was
//!   longer as well, as sockets of Linux and those of `edge-nal-std` do.
//! * `UdpSend::send` is [`Socket::send_to`]. There is no `UdpConnect`:
//!   nobody here filters by the sender.
//! * `MulticastV4` and `MulticastV6`: no group is joined or left ([`Error::Unsupported`]);
//!   sending to one needs no membership.
//! * `Dns::get_host_by_name` returns the first address of the kind that is asked for;
//!   `get_host_by_address` is [`Error::Unsupported`].
//!
//! A name that is in two traits is called by its trait, as in
//! `edge_nal::TcpConnect::connect(&ip, addr)` where [`Tcp`](crate::Tcp) is imported too.
//!
//! # Example
//! ```
//! # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
//!
//! use core::net::SocketAddr;
//! use edge_nal::{UdpBind, UdpReceive, UdpSend};
//!
//! /// A service that knows nothing of Xenith (RFC 862).
//! async fn echo<U: UdpBind>(udp: U, addr: SocketAddr) -> Result<(), U::Error> {
//!     let mut socket = udp.bind(addr).await?;
//!     let mut buffer = [0; 1500];
//!     loop {
//!         let (length, sender) = socket.receive(&mut buffer).await?;
//!         socket.send(sender, &buffer[..length]).await?;
//!     }
//! }
//!
//! # use core::net::Ipv4Addr;
//! # use core::pin::pin;
//! # use xenith::ip::config::{Ipv4, Settings};
//! # use xenith::ip::{Error, Socket, Stack, Udp, any};
//! # use xenith::net::cable::{Options, cable};
//! # use xenith::task::{Either, block_on, select};
//! # fn at(last: u8) -> Settings {
//! #     let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
//! #     Settings { ipv4, ..Settings::default() }
//! # }
//! # xenith::testing::simulate_time();
//! block_on(async {
//!     let (left, right) = cable(Options::default());
//!     let (client, server) = (Stack::start(left, at(1))?, Stack::start(right, at(2))?);
//!     let ask = async {
//!         let socket = Udp::bind(&client, any(0)).await?;
//!         socket.send_to(b"hello", "10.0.0.2:7".parse().unwrap()).await?;
//!         let mut reply = [0; 16];
//!         let (length, _) = socket.recv_from(&mut reply).await?;
//!         assert_eq!(&reply[..length], b"hello");
//!         Ok::<(), Error>(())
//!     };
//!     match select(pin!(echo(server, any(7))), pin!(ask)).await {
//!         Either::First(result) | Either::Second(result) => result,
//!     }
//! })?;
//! # Ok::<(), Error>(())
//! ```

use super::{Addresses, Error, OneOf, Socket, Stack, TcpHalf, TcpListener, TcpStream, UdpSocket};
use core::net::{IpAddr, SocketAddr};
use devices::net::Net;
use edge_nal::{AddrType, Readable, UdpReceive, UdpSend};
use embedded_io_async::ErrorType;

/// Returns the first address of the wanted kind.
pub(crate) fn first(found: &Addresses, wanted: &AddrType) -> Result<IpAddr, Error> {
    let good = |it: &IpAddr| match wanted {
        AddrType::IPv4 => it.is_ipv4(),
        AddrType::IPv6 => it.is_ipv6(),
        AddrType::Either => true,
    };
    found.iter().copied().find(good).ok_or(Error::NoSuchName)
}

/// The traits of a network.
macro_rules! network {
    ([$($generics:tt)*] $network:ty) => {
        impl<$($generics)*> edge_nal::TcpConnect for $network {
            type Error = $crate::Error;
            type Socket<'a>
                = <Self as $crate::Tcp>::Stream
            where
                Self: 'a;

            async fn connect(&self, remote: core::net::SocketAddr) -> Result<Self::Socket<'_>, $crate::Error> {
                $crate::Tcp::connect(self, remote).await
            }
        }

        impl<$($generics)*> edge_nal::TcpBind for $network {
            type Error = $crate::Error;
            type Accept<'a>
                = <Self as $crate::Tcp>::Listener
            where
                Self: 'a;

            async fn bind(&self, local: core::net::SocketAddr) -> Result<Self::Accept<'_>, $crate::Error> {
                $crate::Tcp::bind(self, local).await
            }
        }

        impl<$($generics)*> edge_nal::UdpBind for $network {
            type Error = $crate::Error;
            type Socket<'a>
                = <Self as $crate::Udp>::Socket
            where
                Self: 'a;

            async fn bind(&self, local: core::net::SocketAddr) -> Result<Self::Socket<'_>, $crate::Error> {
                $crate::Udp::bind(self, local).await
            }
        }

        impl<$($generics)*> edge_nal::Dns for $network {
            type Error = $crate::Error;

            async fn get_host_by_name(&self, host: &str, kind: edge_nal::AddrType) -> Result<core::net::IpAddr, $crate::Error> {
                $crate::nal::first(&$crate::Resolve::resolve(self, host).await?, &kind)
            }

            async fn get_host_by_address(&self, _: core::net::IpAddr, _: &mut [u8]) -> Result<usize, $crate::Error> {
                Err($crate::Error::Unsupported)
            }
        }
    };
}

/// The traits of a listener.
macro_rules! listener {
    ([$($generics:tt)*] $listener:ty) => {
        impl<$($generics)*> edge_nal::TcpAccept for $listener {
            type Error = $crate::Error;
            type Socket<'a>
                = <Self as $crate::Listener>::Stream
            where
                Self: 'a;

            async fn accept(&self) -> Result<(core::net::SocketAddr, Self::Socket<'_>), $crate::Error> {
                let (stream, peer) = $crate::Listener::accept(self).await?;
                Ok((peer, stream))
            }
        }
    };
}

/// The traits of a connection that can be waited for.
macro_rules! stream {
    ([$($generics:tt)*] $stream:ty) => {
        impl<$($generics)*> edge_nal::TcpSplit for $stream {
            type Read<'a>
                = <Self as $crate::Stream>::Reader<'a>
            where
                Self: 'a;
            type Write<'a>
                = <Self as $crate::Stream>::Writer<'a>
            where
                Self: 'a;

            fn split(&mut self) -> (Self::Read<'_>, Self::Write<'_>) {
                $crate::Stream::split(self)
            }
        }

        impl<$($generics)*> edge_nal::TcpShutdown for $stream {
            async fn close(&mut self, what: edge_nal::Close) -> Result<(), $crate::Error> {
                match what {
                    edge_nal::Close::Read => Ok(()),
                    edge_nal::Close::Write | edge_nal::Close::Both => $crate::Stream::shutdown(self).await,
                }
            }

            async fn abort(&mut self) -> Result<(), $crate::Error> {
                $crate::Stream::abort(self);
                Ok(())
            }
        }
    };
}

/// Receives or sends, as one half of a UDP socket `S`. Both halves are references to the
/// whole socket, as several futures may receive and send at once.
#[derive(Debug)]
pub struct UdpHalf<'a, S>(&'a S);

impl<S> ErrorType for UdpHalf<'_, S> {
    type Error = Error;
}

/// What waits for a datagram, by a reference.
pub(crate) trait Arrival {
    /// Waits until a datagram can be received.
    fn arrival(&self) -> impl Future<Output = Result<(), Error>>;
}

impl<S: Arrival> Readable for UdpHalf<'_, S> {
    async fn readable(&mut self) -> Result<(), Error> {
        self.0.arrival().await
    }
}

impl<S: Socket> UdpReceive for UdpHalf<'_, S> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        self.0.recv_from(buffer).await
    }
}

impl<S: Socket> UdpSend for UdpHalf<'_, S> {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), Error> {
        self.0.send_to(data, remote).await
    }
}

/// What cannot be done: joining and leaving groups.
macro_rules! groups {
    ([$($generics:tt)*] $socket:ty) => {
        impl<$($generics)*> edge_nal::MulticastV4 for $socket {
            async fn join_v4(&mut self, _: core::net::Ipv4Addr, _: core::net::Ipv4Addr) -> Result<(), $crate::Error> {
                Err($crate::Error::Unsupported)
            }

            async fn leave_v4(&mut self, _: core::net::Ipv4Addr, _: core::net::Ipv4Addr) -> Result<(), $crate::Error> {
                Err($crate::Error::Unsupported)
            }
        }

        impl<$($generics)*> edge_nal::MulticastV6 for $socket {
            async fn join_v6(&mut self, _: core::net::Ipv6Addr, _: u32) -> Result<(), $crate::Error> {
                Err($crate::Error::Unsupported)
            }

            async fn leave_v6(&mut self, _: core::net::Ipv6Addr, _: u32) -> Result<(), $crate::Error> {
                Err($crate::Error::Unsupported)
            }
        }
    };
}

/// The traits of a UDP socket, which does what its halves do.
macro_rules! socket {
    ([$($generics:tt)*] $socket:ty) => {
        impl<$($generics)*> edge_nal::UdpReceive for $socket {
            async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, core::net::SocketAddr), $crate::Error> {
                $crate::Socket::recv_from(self, buffer).await
            }
        }

        impl<$($generics)*> edge_nal::UdpSend for $socket {
            async fn send(&mut self, remote: core::net::SocketAddr, data: &[u8]) -> Result<(), $crate::Error> {
                $crate::Socket::send_to(self, data, remote).await
            }
        }

        impl<$($generics)*> edge_nal::UdpSplit for $socket {
            type Receive<'a>
                = $crate::nal::UdpHalf<'a, Self>
            where
                Self: 'a;
            type Send<'a>
                = $crate::nal::UdpHalf<'a, Self>
            where
                Self: 'a;

            fn split(&mut self) -> (Self::Receive<'_>, Self::Send<'_>) {
                $crate::nal::halves(self)
            }
        }

        impl<$($generics)*> edge_nal::UdpSplitMulticast for $socket {
            type MulticastV4<'a>
                = $crate::nal::UdpHalf<'a, Self>
            where
                Self: 'a;
            type MulticastV6<'a>
                = $crate::nal::UdpHalf<'a, Self>
            where
                Self: 'a;

            fn split_multicast(&mut self) -> (Self::Receive<'_>, Self::Send<'_>, Self::MulticastV4<'_>, Self::MulticastV6<'_>) {
                let ((receive, send), (four, six)) = ($crate::nal::halves(self), $crate::nal::halves(self));
                (receive, send, four, six)
            }
        }

        $crate::nal::groups!([$($generics)*] $socket);
    };
}

/// Splits a UDP socket.
pub(crate) const fn halves<S>(socket: &S) -> (UdpHalf<'_, S>, UdpHalf<'_, S>) {
    (UdpHalf(socket), UdpHalf(socket))
}

// Called by their paths here, as on Xen nobody else does.
pub(crate) use {groups, listener, network, socket, stream};

crate::nal::network!([N: Net + 'static] Stack<N>);
crate::nal::listener!([] TcpListener);
crate::nal::stream!([] TcpStream);
crate::nal::socket!([] UdpSocket);
crate::nal::groups!([S] UdpHalf<'_, S>);

impl ErrorType for UdpSocket {
    type Error = Error;
}

impl Arrival for UdpSocket {
    fn arrival(&self) -> impl Future<Output = Result<(), Error>> {
        self.ready()
    }
}

impl Readable for UdpSocket {
    async fn readable(&mut self) -> Result<(), Error> {
        self.ready().await
    }
}

impl Readable for TcpStream {
    async fn readable(&mut self) -> Result<(), Error> {
        self.ready().await
    }
}

impl Readable for TcpHalf<'_> {
    async fn readable(&mut self) -> Result<(), Error> {
        self.0.ready().await
    }
}

impl<A: Readable<Error = Error>, B: Readable<Error = Error>> Readable for OneOf<A, B> {
    async fn readable(&mut self) -> Result<(), Error> {
        match self {
            Self::First(it) => it.readable().await,
            Self::Second(it) => it.readable().await,
        }
    }
}

impl<A: Arrival, B: Arrival> Arrival for OneOf<A, B> {
    async fn arrival(&self) -> Result<(), Error> {
        match self {
            Self::First(it) => it.arrival().await,
            Self::Second(it) => it.arrival().await,
        }
    }
}
