//! The traits of `edge-nal` for Linux's sockets, and for the choice between them and ours.

use super::{Half, Sockets, TcpListener, TcpStream, UdpSocket};
use crate::nal::{Arrival, listener, network, socket, stream};
use crate::{Error, OneOf, Stack, Stream};
use core::future::poll_fn;
use devices::net::Net;
use edge_nal::Readable;
use embedded_io_async::ErrorType;

network!([] Sockets);
listener!([] TcpListener);
stream!([] TcpStream);
socket!([] UdpSocket);

network!([N: Net + 'static] OneOf<Stack<N>, Sockets>);
listener!([] OneOf<crate::TcpListener, TcpListener>);
stream!([] OneOf<crate::TcpStream, TcpStream>);
socket!([] OneOf<crate::UdpSocket, UdpSocket>);

impl ErrorType for UdpSocket {
    type Error = Error;
}

impl Arrival for UdpSocket {
    async fn arrival(&self) -> Result<(), Error> {
        self.ready().await;
        Ok(())
    }
}

impl Readable for UdpSocket {
    async fn readable(&mut self) -> Result<(), Error> {
        self.arrival().await
    }
}

impl Readable for TcpStream {
    async fn readable(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_readable(context)).await
    }
}

impl Readable for Half<'_> {
    async fn readable(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.0.poll_readable(context)).await
    }
}
