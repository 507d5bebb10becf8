//! Chooses between two networks when the program starts.

use super::{Addresses, Error, Listener, Ping, Progress, Resolve, Socket, Stream};
use super::{Tcp, TcpOptions, Udp};
use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Poll};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::metrics::{Metric, Source};

/// Is an `A` or a `B`, with the traits that both have: [`Ip`](crate::Ip) on Linux, and its
/// listeners, streams, their halves, and sockets.
#[derive(Clone, Copy, Debug)]
pub enum OneOf<A, B> {
    /// An `A`.
    First(A),
    /// A `B`.
    Second(B),
}

/// The same of whichever it is.
macro_rules! of {
    ($either:expr, $it:ident => $of:expr) => {
        match $either {
            OneOf::First($it) => $of,
            OneOf::Second($it) => $of,
        }
    };
}

/// The same, and what it makes is one of two again.
macro_rules! made {
    ($either:expr, $it:ident => $of:expr) => {
        match $either {
            OneOf::First($it) => $of.map(OneOf::First),
            OneOf::Second($it) => $of.map(OneOf::Second),
        }
    };
}

impl<A: Tcp, B: Tcp> Tcp for OneOf<A, B> {
    type Listener = OneOf<A::Listener, B::Listener>;
    type Stream = OneOf<A::Stream, B::Stream>;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, Error> {
        made!(self, it => it.bind(addr).await)
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, Error> {
        made!(self, it => it.connect(addr).await)
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, Error> {
        made!(self, it => it.open(from, to))
    }
}

impl<A: Listener, B: Listener> Listener for OneOf<A, B> {
    type Stream = OneOf<A::Stream, B::Stream>;

    async fn accept(&self) -> Result<(Self::Stream, SocketAddr), Error> {
        match self {
            Self::First(it) => it.accept().await.map(|(stream, peer)| (OneOf::First(stream), peer)),
            Self::Second(it) => {
                it.accept().await.map(|(stream, peer)| (OneOf::Second(stream), peer))
            }
        }
    }

    fn try_accept(&self) -> Result<Option<(Self::Stream, SocketAddr)>, Error> {
        Ok(match self {
            Self::First(it) => it.try_accept()?.map(|(stream, peer)| (OneOf::First(stream), peer)),
            Self::Second(it) => {
                it.try_accept()?.map(|(stream, peer)| (OneOf::Second(stream), peer))
            }
        })
    }

    fn poll_acceptable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        of!(self, it => it.poll_acceptable(context))
    }

    fn local_addr(&self) -> SocketAddr {
        of!(self, it => it.local_addr())
    }
}

impl<A: ErrorType<Error = Error>, B: ErrorType<Error = Error>> ErrorType for OneOf<A, B> {
    type Error = Error;
}

impl<A: Read<Error = Error>, B: Read<Error = Error>> Read for OneOf<A, B> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        of!(self, it => it.read(buf).await)
    }
}

impl<A: Write<Error = Error>, B: Write<Error = Error>> Write for OneOf<A, B> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        of!(self, it => it.write(buf).await)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        of!(self, it => it.flush().await)
    }
}

impl<A: Stream, B: Stream> Stream for OneOf<A, B> {
    type Reader<'a>
        = OneOf<A::Reader<'a>, B::Reader<'a>>
    where
        Self: 'a;
    type Writer<'a>
        = OneOf<A::Writer<'a>, B::Writer<'a>>
    where
        Self: 'a;

    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>) {
        match self {
            Self::First(it) => {
                let (reader, writer) = it.split();
                (OneOf::First(reader), OneOf::First(writer))
            }
            Self::Second(it) => {
                let (reader, writer) = it.split();
                (OneOf::Second(reader), OneOf::Second(writer))
            }
        }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        of!(self, it => it.poll_read(context, buf))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        of!(self, it => it.poll_write(context, buf))
    }

    fn poll_write_more(
        &mut self,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, Error>> {
        of!(self, it => it.poll_write_more(context, buf))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        of!(self, it => it.poll_flush(context))
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        of!(self, it => it.poll_readable(context))
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        of!(self, it => it.poll_writable(context))
    }

    fn follow(&self, context: &mut Context<'_>) {
        of!(self, it => it.follow(context));
    }

    fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        of!(self, it => it.try_read(buf))
    }

    fn try_peek(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        of!(self, it => it.try_peek(buf))
    }

    fn try_write(&self, buf: &[u8]) -> Result<Option<usize>, Error> {
        of!(self, it => it.try_write(buf))
    }

    fn in_handshake(&self) -> bool {
        of!(self, it => it.in_handshake())
    }

    fn agreed_on(&self, protocol: &[u8]) -> Option<bool> {
        of!(self, it => it.agreed_on(protocol))
    }

    fn progress(&self) -> Progress {
        of!(self, it => it.progress())
    }

    fn options(&self) -> TcpOptions {
        of!(self, it => it.options())
    }

    fn set_options(&self, options: TcpOptions) -> Result<(), Error> {
        of!(self, it => it.set_options(options))
    }

    async fn shutdown(&self) -> Result<(), Error> {
        of!(self, it => it.shutdown().await)
    }

    async fn close(&mut self) -> Result<(), Error> {
        of!(self, it => it.close().await)
    }

    fn abort(&self) {
        of!(self, it => it.abort());
    }

    fn leave(&mut self, unread: &[u8]) {
        of!(self, it => it.leave(unread));
    }

    fn peer_addr(&self) -> SocketAddr {
        of!(self, it => it.peer_addr())
    }

    fn local_addr(&self) -> SocketAddr {
        of!(self, it => it.local_addr())
    }
}

impl<A: Udp, B: Udp> Udp for OneOf<A, B> {
    type Socket = OneOf<A::Socket, B::Socket>;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Socket, Error> {
        made!(self, it => it.bind(addr).await)
    }
}

impl<A: Socket, B: Socket> Socket for OneOf<A, B> {
    async fn recv_from(&self, buf: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        of!(self, it => it.recv_from(buf).await)
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> Result<(), Error> {
        of!(self, it => it.send_to(buf, addr).await)
    }

    fn local_addr(&self) -> SocketAddr {
        of!(self, it => it.local_addr())
    }
}

impl<A: Ping, B: Ping> Ping for OneOf<A, B> {
    async fn ping(&self, addr: IpAddr, payload: usize, limit: Duration) -> Result<Duration, Error> {
        of!(self, it => it.ping(addr, payload, limit).await)
    }
}

impl<A: Resolve, B: Resolve> Resolve for OneOf<A, B> {
    async fn resolve(&self, name: &str) -> Result<Addresses, Error> {
        of!(self, it => it.resolve(name).await)
    }
}

impl<A: Source, B: Source> Source for OneOf<A, B> {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        of!(self, it => it.metrics(each));
    }
}
