//! The traits of the crate `edge-nal`, so that what is written for those runs on a [`Stack`]
//! as it is: HTTP, MQTT, TLS and others.
//!
//! [`Stack`], Linux's `sockets` and [`OneOf`] implement `TcpConnect`, `TcpBind` and `Dns`.
//! That crate rather than `embedded-nal-async`, because its connections are those of
//! `embedded-io-async` 0.7, it can bind and accept, and it knows halves and half-close.
//!
//! `Close::Both` ends the writing half as `Close::Write` does, and does not wait;
//! `Close::Read` does nothing. The names of an address cannot be asked for:
//! that is [`Error::Unsupported`].

use super::{Addresses, Error, OneOf, Stack, TcpHalf, TcpListener, TcpStream};
use core::net::IpAddr;
use devices::net::Net;
use edge_nal::{AddrType, Readable};

/// The first of these that is wanted.
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

// Called by their paths here, as on Xen nobody else does.
pub(crate) use {listener, network, stream};

crate::nal::network!([N: Net + 'static] Stack<N>);
crate::nal::listener!([] TcpListener);
crate::nal::stream!([] TcpStream);

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
