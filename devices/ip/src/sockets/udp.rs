//! UDP ports.

use super::{bound, error, local, plain};
use crate::{Datagrams, Error};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use kernel::machine::watch::{Interest, Watched};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, SocketType, sockopt};
use std::os::fd::OwnedFd;

/// A port. As many datagrams wait in it as Linux has room for; further ones are lost.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Watched<OwnedFd>,
    local: SocketAddr,
}

impl UdpSocket {
    pub(super) fn new(port: u16) -> Result<Self, Error> {
        let socket = bound(SocketType::DGRAM, port)?;
        sockopt::set_socket_broadcast(&socket, true).map_err(error)?;
        let socket = Watched::new(socket);
        let local = local(&socket)?;
        Ok(Self { socket, local })
    }
}

impl Datagrams for UdpSocket {
    async fn receive(&self, to: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        let (count, from) = poll_fn(|context| {
            self.socket.poll(Interest::Read, context, |it| {
                let (count, _, from) = net::recvfrom(it, &mut *to, RecvFlags::empty())?;
                Ok((count, from.ok_or(Errno::AGAIN)?))
            })
        })
        .await
        .map_err(error)?;
        Ok((count, from.try_into().map(plain).map_err(error)?))
    }

    async fn send(&self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        let to = match to {
            SocketAddr::V4(v4) if self.local.is_ipv6() => {
                SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port())
            }
            to => to,
        };
        poll_fn(|context| {
            self.socket.poll(Interest::Write, context, |it| {
                net::sendto(it, datagram, SendFlags::NOSIGNAL, &to)
            })
        })
        .await
        .map(drop)
        .map_err(error)
    }

    fn port(&self) -> u16 {
        self.local.port()
    }
}
