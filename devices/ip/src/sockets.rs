//! Implements the traits by Linux's own sockets and its C library's resolver, for apps that
//! run as a process.
//!
//! What is bound to all addresses, of IPv4 and IPv6, is one dual-stack socket of IPv6 (RFC
//! 3493, section 5.3); where Linux has no IPv6, one of IPv4.

mod listener;
mod nal;
mod ping;
mod resolve;
mod tcp;
mod udp;

pub use listener::TcpListener;
pub use tcp::{Half, TcpStream};
pub use udp::UdpSocket;

use super::{Addresses, Error, Ping, Resolve, Tcp, Udp, only};
use alloc::rc::Rc;
use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use kernel::metrics::{Metric, Source};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Protocol, SocketFlags, SocketType, sockopt};
use std::os::fd::OwnedFd;

/// Counts what happened since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// TCP connections that are open now.
    pub open: usize,
    /// TCP connections that peers opened.
    pub accepted: u64,
    /// TCP connections that this side opened, or tried to.
    pub connected: u64,
}

/// Opens sockets of Linux, in the network namespace of this process. Clones share their
/// [`Stats`].
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    stats: Rc<Cell<Stats>>,
}

impl Sockets {
    /// Returns the network of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats.get()
    }

    fn count(&self, f: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        f(&mut stats);
        self.stats.set(stats);
    }
}

impl Source for Sockets {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        let stats = self.stats();
        kernel::metrics! { each;
            gauge("tcp_open", "TCP connections open.", stats.open as u64),
            counter("tcp_accepted", "TCP connections that peers opened.", stats.accepted),
            counter("tcp_connected", "TCP connections opened here.", stats.connected),
        }
    }
}

impl Tcp for Sockets {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn bind(&self, addr: SocketAddr) -> Result<TcpListener, Error> {
        TcpListener::new(self.clone(), addr)
    }

    async fn connect(&self, addr: SocketAddr) -> Result<TcpStream, Error> {
        TcpStream::connect(self.clone(), addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<TcpStream, Error> {
        TcpStream::open(self.clone(), from, to)
    }
}

impl Udp for Sockets {
    type Socket = UdpSocket;

    async fn bind(&self, addr: SocketAddr) -> Result<UdpSocket, Error> {
        UdpSocket::new(addr)
    }
}

impl Ping for Sockets {
    async fn ping(&self, addr: IpAddr, payload: usize, limit: Duration) -> Result<Duration, Error> {
        ping::ping(addr, payload, limit).await
    }
}

impl Resolve for Sockets {
    async fn resolve(&self, name: &str) -> Result<Addresses, Error> {
        resolve::resolve(name).await
    }
}

/// What an error of Linux is to a program.
fn error(errno: Errno) -> Error {
    match errno {
        Errno::CONNREFUSED => Error::Refused,
        Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => Error::Reset,
        Errno::TIMEDOUT => Error::TimedOut,
        Errno::MSGSIZE => Error::TooLong,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS => Error::Exhausted,
        Errno::ACCESS | Errno::PERM => Error::Denied,
        Errno::NETDOWN | Errno::BADF | Errno::NOTSOCK => Error::Down,
        // No route, no such address, no such protocol.
        _ => Error::Unreachable,
    }
}

/// Why a socket cannot be bound to `port`.
fn unbound(errno: Errno, port: u16) -> Error {
    match errno {
        Errno::ADDRINUSE => Error::InUse(port),
        Errno::ACCESS => Error::Denied,
        // Linux has no IPv6, or not that one.
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Error::AddrNotAvailable,
        errno => error(errno),
    }
}

/// A socket for addresses like `to` that does not block.
fn socket(to: IpAddr, kind: SocketType, protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    net::socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, protocol)
}

/// A socket that is bound to `addr`, and its address with the port that it got.
fn bound(kind: SocketType, addr: SocketAddr) -> Result<(OwnedFd, SocketAddr), Error> {
    let port = addr.port();
    let bind = |ip: IpAddr| {
        let socket = socket(ip, kind, None)?;
        if ip.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, false)?;
        }
        if kind == SocketType::STREAM {
            // Not to share it, but to take it while old connections end.
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        net::bind(&socket, &SocketAddr::new(ip, port))?;
        Ok(socket)
    };
    let socket = match only(addr) {
        Some(own) => bind(own),
        None => match bind(Ipv6Addr::UNSPECIFIED.into()) {
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => bind(Ipv4Addr::UNSPECIFIED.into()),
            socket => socket,
        },
    };
    let socket = socket.map_err(|errno| {
        if errno == Errno::ACCESS {
            log::error!("port {port} is for root alone: choose one from 1024 on, as in port=8080");
        }
        unbound(errno, port)
    })?;
    let port = local(&socket)?.port();
    Ok((socket, SocketAddr::new(addr.ip(), port)))
}

/// The address that a socket is bound to.
fn local(socket: &OwnedFd) -> Result<SocketAddr, Error> {
    let address = net::getsockname(socket).map_err(error)?;
    address.try_into().map(plain).map_err(error)
}

/// An address of IPv4 inside IPv6 as what it is.
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}
