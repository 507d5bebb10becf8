//! UDP sockets.

use super::{bound, error, plain};
use crate::{Error, Socket};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::task::Poll;
use kernel::machine::watch::{Interest, Watched};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType, sockopt};
use std::os::fd::OwnedFd;

/// Sends and receives UDP datagrams by a socket of Linux, whose buffers hold what waits
/// (`SO_RCVBUF`); further ones that arrive are lost.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Watched<OwnedFd>,
    local: SocketAddr,
    /// It is one of IPv6, which IPv4 goes through as well if it is bound to all addresses.
    six: bool,
}

impl UdpSocket {
    pub(super) fn new(addr: SocketAddr) -> Result<Self, Error> {
        let (socket, local) = bound(SocketType::DGRAM, addr)?;
        sockopt::set_socket_broadcast(&socket, true).map_err(error)?;
        let six =
            net::getsockname(&socket).map_err(error)?.address_family() == AddressFamily::INET6;
        Ok(Self { socket: Watched::new(socket), local, six })
    }

    /// Waits until a call of [`recv_from`](Socket::recv_from) would not wait.
    pub(super) async fn ready(&self) {
        poll_fn(|context| {
            if self.socket.is_ready(Interest::Read) {
                return Poll::Ready(());
            }
            self.socket.wait(Interest::Read, context.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Socket for UdpSocket {
    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        let (count, from) = poll_fn(|context| {
            self.socket.poll(Interest::Read, context, |it| {
                let (count, _, from) = net::recvfrom(it, &mut *buf, RecvFlags::empty())?;
                Ok((count, from.ok_or(Errno::AGAIN)?))
            })
        })
        .await
        .map_err(error)?;
        Ok((count, from.try_into().map(plain).map_err(error)?))
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> Result<(), Error> {
        let to = match addr {
            SocketAddr::V4(v4) if self.six => {
                SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port())
            }
            to => to,
        };
        poll_fn(|context| {
            self.socket
                .poll(Interest::Write, context, |it| net::sendto(it, buf, SendFlags::NOSIGNAL, &to))
        })
        .await
        .map(drop)
        .map_err(error)
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}
