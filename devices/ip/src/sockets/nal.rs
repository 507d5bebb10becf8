//! The traits of `edge-nal` for Linux's sockets, and for the choice between them and ours.

use super::{Half, Sockets, TcpListener, TcpStream};
use crate::nal::{listener, network, stream};
use crate::{Error, OneOf, Stack};
use devices::net::Net;
use edge_nal::Readable;

network!([] Sockets);
listener!([] TcpListener);
stream!([] TcpStream);

network!([N: Net + 'static] OneOf<Stack<N>, Sockets>);
listener!([] OneOf<crate::TcpListener, TcpListener>);
stream!([] OneOf<crate::TcpStream, TcpStream>);

impl Readable for TcpStream {
    async fn readable(&mut self) -> Result<(), Error> {
        self.ready_to_read().await
    }
}

impl Readable for Half<'_> {
    async fn readable(&mut self) -> Result<(), Error> {
        self.0.ready_to_read().await
    }
}
