//! One of two sorts of network, chosen when the program starts.

use super::{Addresses, Datagrams, Error, Listener, Ping, Resolve, Stream, Tcp, Udp};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::metrics::{Metric, Source};

/// `A` or `B`, also their streams, halves of streams, listeners and ports.
#[derive(Clone, Copy, Debug)]
pub enum Either<A, B> {
    /// The one.
    First(A),
    /// The other.
    Second(B),
}

/// The same of whichever it is.
macro_rules! of {
    ($either:expr, $it:ident => $of:expr) => {
        match $either {
            Either::First($it) => $of,
            Either::Second($it) => $of,
        }
    };
}

/// The same, and what it makes is one of two again.
macro_rules! made {
    ($either:expr, $it:ident => $of:expr) => {
        match $either {
            Either::First($it) => $of.map(Either::First),
            Either::Second($it) => $of.map(Either::Second),
        }
    };
}

impl<A: Tcp, B: Tcp> Tcp for Either<A, B> {
    type Listener = Either<A::Listener, B::Listener>;
    type Stream = Either<A::Stream, B::Stream>;

    async fn listen(&self, port: u16) -> Result<Self::Listener, Error> {
        made!(self, it => it.listen(port).await)
    }

    async fn connect(&self, to: SocketAddr) -> Result<Self::Stream, Error> {
        made!(self, it => it.connect(to).await)
    }
}

impl<A: Listener, B: Listener> Listener for Either<A, B> {
    type Stream = Either<A::Stream, B::Stream>;

    async fn accept(&mut self) -> Result<Self::Stream, Error> {
        made!(self, it => it.accept().await)
    }

    fn port(&self) -> u16 {
        of!(self, it => it.port())
    }
}

impl<A: ErrorType<Error = Error>, B: ErrorType<Error = Error>> ErrorType for Either<A, B> {
    type Error = Error;
}

impl<A: Read<Error = Error>, B: Read<Error = Error>> Read for Either<A, B> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        of!(self, it => it.read(to).await)
    }
}

impl<A: Write<Error = Error>, B: Write<Error = Error>> Write for Either<A, B> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        of!(self, it => it.write(bytes).await)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        of!(self, it => it.flush().await)
    }
}

impl<A: Stream, B: Stream> Stream for Either<A, B> {
    type Reader<'a>
        = Either<A::Reader<'a>, B::Reader<'a>>
    where
        Self: 'a;
    type Writer<'a>
        = Either<A::Writer<'a>, B::Writer<'a>>
    where
        Self: 'a;

    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>) {
        match self {
            Self::First(it) => {
                let (reader, writer) = it.split();
                (Either::First(reader), Either::First(writer))
            }
            Self::Second(it) => {
                let (reader, writer) = it.split();
                (Either::Second(reader), Either::Second(writer))
            }
        }
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        of!(self, it => it.shutdown().await)
    }

    async fn close(&mut self) -> Result<(), Error> {
        of!(self, it => it.close().await)
    }

    fn abort(&mut self) {
        of!(self, it => it.abort());
    }

    fn peer(&self) -> SocketAddr {
        of!(self, it => it.peer())
    }

    fn local(&self) -> SocketAddr {
        of!(self, it => it.local())
    }
}

impl<A: Udp, B: Udp> Udp for Either<A, B> {
    type Socket = Either<A::Socket, B::Socket>;

    async fn bind(&self, port: u16) -> Result<Self::Socket, Error> {
        made!(self, it => it.bind(port).await)
    }
}

impl<A: Datagrams, B: Datagrams> Datagrams for Either<A, B> {
    async fn receive(&self, to: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        of!(self, it => it.receive(to).await)
    }

    async fn send(&self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        of!(self, it => it.send(datagram, to).await)
    }

    fn port(&self) -> u16 {
        of!(self, it => it.port())
    }
}

impl<A: Ping, B: Ping> Ping for Either<A, B> {
    async fn ping(&self, to: IpAddr, payload: usize, limit: Duration) -> Result<Duration, Error> {
        of!(self, it => it.ping(to, payload, limit).await)
    }
}

impl<A: Resolve, B: Resolve> Resolve for Either<A, B> {
    async fn resolve(&self, name: &str) -> Result<Addresses, Error> {
        of!(self, it => it.resolve(name).await)
    }
}

impl<A: Source, B: Source> Source for Either<A, B> {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        of!(self, it => it.metrics(each));
    }
}
