//! UDP ports, and echo requests.

use super::sets::{Handle, Key};
use super::{Protocols, buffer};
use crate::ip::{Error, packet, random};
use core::net::{IpAddr, SocketAddr};
use core::task::{Poll, Waker};
use smoltcp::iface::SocketSet;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::IpEndpoint;

/// Datagrams that wait at a UDP port, each way.
const DATAGRAMS: usize = 16;

impl Protocols {
    /// Whether a UDP socket uses this port.
    pub(in crate::ip) fn is_bound(&self, port: u16) -> bool {
        self.sets.find(Key::udp(port)).is_some()
    }

    pub(in crate::ip) fn bind(&mut self, port: u16) -> Result<Handle, Error> {
        let size = self.limits.datagrams;
        let packets = || -> Result<_, Error> {
            let metadata = alloc::vec![udp::PacketMetadata::EMPTY; DATAGRAMS];
            Ok(udp::PacketBuffer::new(metadata, buffer(size)?))
        };
        let mut socket = udp::Socket::new(packets()?, packets()?);
        socket.bind(port).map_err(|_| Error::InUse)?;
        let mut set = SocketSet::new(alloc::vec::Vec::new());
        let place = set.add(socket);
        Ok(self.sets.add(set, place, Some(Key::udp(port))))
    }

    pub(in crate::ip) fn poll_receive(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<(usize, SocketAddr), Error>> {
        self.up()?;
        let socket = self.sets.get_mut(handle).socket_mut::<udp::Socket>();
        let Ok((datagram, from)) = socket.recv() else {
            socket.register_recv_waker(waker);
            return Poll::Pending;
        };
        let length = datagram.len().min(to.len());
        for (to, from) in to.iter_mut().zip(datagram) {
            *to = *from;
        }
        Poll::Ready(Ok((length, from.endpoint.into())))
    }

    pub(in crate::ip) fn poll_send(
        &mut self,
        handle: Handle,
        datagram: &[u8],
        to: SocketAddr,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        self.source(to.ip())?;
        let header = if to.is_ipv4() { 28 } else { 48 };
        if datagram.len() + header > self.info.mtu || datagram.len() > self.limits.datagrams {
            return Poll::Ready(Err(Error::TooLong));
        }
        let socket = self.sets.get_mut(handle).socket_mut::<udp::Socket>();
        match socket.send_slice(datagram, IpEndpoint::from(to)) {
            Ok(()) => {
                self.touch(handle);
                Poll::Ready(Ok(()))
            }
            Err(udp::SendError::Unaddressable) => Poll::Ready(Err(Error::Unreachable)),
            Err(udp::SendError::BufferFull) => {
                socket.register_send_waker(waker);
                Poll::Pending
            }
        }
    }

    /// Forgets what waits at a UDP port, in and out.
    pub(in crate::ip) fn clear(&mut self, handle: Handle) {
        let socket = self.sets.get_mut(handle).socket_mut::<udp::Socket>();
        let endpoint = socket.endpoint();
        socket.close();
        // It was bound to it before.
        let _ = socket.bind(endpoint);
    }

    /// Sends an echo request with a payload of zeros.
    pub(in crate::ip) fn ping(
        &mut self,
        to: IpAddr,
        payload: usize,
    ) -> Result<(Handle, u16), Error> {
        self.up()?;
        self.source(to)?;
        if payload + if to.is_ipv4() { 28 } else { 48 } > self.info.mtu {
            return Err(Error::TooLong);
        }
        let ident = random()? as u16;
        let packets = || -> Result<_, Error> {
            let metadata = alloc::vec![icmp::PacketMetadata::EMPTY; 2];
            Ok(icmp::PacketBuffer::new(metadata, buffer(2 * (payload + 8))?))
        };
        let mut socket = icmp::Socket::new(packets()?, packets()?);
        socket.bind(icmp::Endpoint::Ident(ident)).map_err(|_| Error::Exhausted)?;
        let request = socket.send(payload + 8, to.into()).map_err(|_| Error::Unreachable)?;
        // Its checksum is filled in when it is sent.
        request.fill(0);
        packet::echo_request(request, to.is_ipv4(), ident);
        let mut set = SocketSet::new(alloc::vec::Vec::new());
        let place = set.add(socket);
        let handle = self.sets.add(set, place, Some(Key::echo(ident)));
        self.kick();
        Ok((handle, ident))
    }

    /// Ready when `from` has answered the request of `ident`.
    pub(in crate::ip) fn poll_pong(
        &mut self,
        handle: Handle,
        from: IpAddr,
        ident: u16,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.up()?;
        let socket = self.sets.get_mut(handle).socket_mut::<icmp::Socket>();
        while let Ok((packet, sender)) = socket.recv() {
            if sender == from.into() && packet::is_echo(packet, from.is_ipv4(), ident) {
                return Poll::Ready(Ok(()));
            }
        }
        socket.register_recv_waker(waker);
        Poll::Pending
    }

    /// Gives a UDP port back, or an echo request's socket.
    pub(in crate::ip) fn remove(&mut self, handle: Handle) {
        self.sets.remove(handle);
    }
}
