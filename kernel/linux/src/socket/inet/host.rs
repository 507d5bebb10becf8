//! What the sockets have to know of the machine's network besides how to use it.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Poll};
use devices::net::Net;
use ip::{Error, Ping, Stack, Tcp, Udp, UdpSocket};

/// A network that sockets can be made of.
pub trait Host: Tcp + Udp<Socket: Datagrams> + Ping + 'static {
    /// Returns the addresses of the interface, each with the bits of its network.
    fn addresses(&self) -> Vec<(IpAddr, u8)>;

    /// Returns the name servers that it knows.
    fn servers(&self) -> Vec<IpAddr>;

    /// Returns its Ethernet address, and the bytes of its longest packet.
    fn link(&self) -> ([u8; 6], u32);
}

/// Sends and receives datagrams without waiting: what [`UdpSocket`] can beyond [`ip::Socket`].
pub trait Datagrams: ip::Socket + 'static {
    /// Is ready when [`try_recv`](Self::try_recv) would not return `None`.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Is ready when there is room for a datagram of `length` bytes.
    fn poll_writable(&self, context: &mut Context<'_>, length: usize) -> Poll<Result<(), Error>>;

    /// Receives without waiting: how many bytes were copied, and from whom.
    ///
    /// # Errors
    /// As of [`ip::Socket::recv_from`].
    fn try_recv(&self, buf: &mut [u8]) -> Result<Option<(usize, SocketAddr)>, Error>;

    /// Sends without waiting.
    ///
    /// # Errors
    /// As of [`ip::Socket::send_to`].
    fn try_send(&self, buf: &[u8], addr: SocketAddr) -> Result<Option<()>, Error>;

    /// Says whose errors are told.
    fn set_peer(&self, peer: Option<SocketAddr>);
}

impl Datagrams for UdpSocket {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Self::poll_readable(self, context)
    }

    fn poll_writable(&self, context: &mut Context<'_>, length: usize) -> Poll<Result<(), Error>> {
        Self::poll_writable(self, context, length)
    }

    fn try_recv(&self, buf: &mut [u8]) -> Result<Option<(usize, SocketAddr)>, Error> {
        Ok(Self::try_recv(self, buf)?.map(|it| (it.copied, it.from)))
    }

    fn try_send(&self, buf: &[u8], addr: SocketAddr) -> Result<Option<()>, Error> {
        Self::try_send(self, buf, addr)
    }

    fn set_peer(&self, peer: Option<SocketAddr>) {
        Self::set_peer(self, peer);
    }
}

impl<N: Net + 'static> Host for Stack<N> {
    fn addresses(&self) -> Vec<(IpAddr, u8)> {
        Self::addresses(self).into_iter().collect()
    }

    fn servers(&self) -> Vec<IpAddr> {
        Self::servers(self).into_iter().collect()
    }

    fn link(&self) -> ([u8; 6], u32) {
        let info = self.net().info();
        (info.mac.0, info.mtu as u32)
    }
}
