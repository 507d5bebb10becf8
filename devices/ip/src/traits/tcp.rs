//! Declares TCP: who opens connections, who accepts them, and what they can do.

use crate::error::Error;
use core::net::SocketAddr;
use core::ops::Range;
use core::task::{Context, Poll};
use core::time::Duration;
use devices::net::Shared;
use embedded_io_async::{Read, Write};

/// Opens and accepts TCP connections (RFC 9293). A type that has it has [`connect`] of a
/// client and [`bind`] of a server; what comes of them lives on without it.
///
/// [`connect`]: Self::connect
/// [`bind`]: Self::bind
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use embedded_io_async::{Read, Write};
/// use xenith::ip::{Error, Listener, Stack, Stream, Tcp, any};
/// use xenith::task::{block_on, spawn};
///
/// /// Sends one visitor back what it sends, until it has said all.
/// async fn echo<T: Tcp>(tcp: T) -> Result<(), Error> {
///     let listener = tcp.bind(any(7)).await?;
///     let (mut stream, _visitor) = listener.accept().await?;
///     let mut buffer = [0; 512];
///     loop {
///         match stream.read(&mut buffer).await? {
///             0 => return stream.close().await,
///             length => stream.write_all(&buffer[..length]).await?,
///         }
///     }
/// }
///
/// # use core::net::Ipv4Addr;
/// # use xenith::ip::config::{Ipv4, Settings};
/// # use xenith::net::cable::{Options, cable};
/// # fn at(last: u8) -> Settings {
/// #     let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
/// #     Settings { ipv4, ..Settings::default() }
/// # }
/// # xenith::testing::simulate_time();
/// block_on(async {
///     let (left, right) = cable(Options::default());
///     let (client, server) = (Stack::start(left, at(1))?, Stack::start(right, at(2))?);
///     let served = spawn(echo(server));
///     let mut stream = client.connect("10.0.0.2:7".parse().unwrap()).await?;
///     stream.write_all(b"hello").await?;
///     // This half is closed, and the other one is read to its end.
///     stream.shutdown().await?;
///     let mut answer = [0; 16];
///     let mut length = 0;
///     while let more @ 1.. = stream.read(&mut answer[length..]).await? {
///         length += more;
///     }
///     assert_eq!(&answer[..length], b"hello");
///     served.await
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Tcp {
    /// Accepts the connections of one address and port.
    type Listener: Listener<Stream = Self::Stream> + 'static;

    /// Carries the bytes of one connection.
    type Stream: Stream + 'static;

    /// Listens on `addr`: for connections to that address of this machine alone, or, with
    /// `0.0.0.0` or `::`, to any that it has or gets, of both versions of IP: see [`any`](crate::any).
    /// Port 0 stands for a free one, which [`Listener::local_addr`] tells.
    ///
    /// # Errors
    /// [`InUse`](Error::InUse) if there is a listener on that port, of this address or of
    /// all; [`AddrNotAvailable`](Error::AddrNotAvailable) if this machine does not have the
    /// address now; [`Denied`](Error::Denied) if Linux keeps the port for root;
    /// [`Exhausted`](Error::Exhausted) without memory or a free port,
    /// [`NoEntropy`](Error::NoEntropy) when one cannot be chosen, [`Down`](Error::Down).
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Listener, Error>>;

    /// Connects to `addr`, from a free port of the dynamic range (RFC 6335). Dropping the
    /// future abandons the connection.
    ///
    /// # Errors
    /// [`Refused`](Error::Refused) if the peer resets it, [`TimedOut`](Error::TimedOut) after
    /// 30 s, [`Unreachable`](Error::Unreachable) without a route, for port 0, and for an
    /// address that is not that of one other machine: a multicast or broadcast address, or
    /// one of this machine;
    /// [`Exhausted`](Error::Exhausted) without memory or a free port,
    /// [`NoEntropy`](Error::NoEntropy), [`Down`](Error::Down).
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Stream, Error>>;

    /// Whether [`connect_to`](Self::connect_to) can encrypt.
    const SECURE: bool = false;

    /// Connects to `addr` as [`connect`](Self::connect) does: to an address of the host with that
    /// `name`. With `secure`, by TLS, of which the peer proves that it is that host.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect); [`Unsupported`](Error::Unsupported) with `secure`
    /// where there is no TLS, [`Untrusted`](Error::Untrusted) if the peer proves something else.
    fn connect_to(
        &self,
        _name: &str,
        addr: SocketAddr,
        secure: bool,
    ) -> impl Future<Output = Result<Self::Stream, Error>> {
        async move {
            match secure {
                true => Err(Error::Unsupported),
                false => self.connect(addr).await,
            }
        }
    }

    /// Begins to connect from `from` to `to`, and returns the stream at once. It is open when
    /// [`Stream::poll_writable`] is ready, until which reading and writing wait; or that, like
    /// all else, is [`Refused`](Error::Refused) if the peer resets it, or
    /// [`TimedOut`](Error::TimedOut) after some two minutes, or the
    /// [user timeout](TcpOptions::user_timeout).
    ///
    /// [`any`](crate::any) as `from` stands for the address of this machine that leads to `to`;
    /// port 0 for a free one. Several connections may be from one port, to different peers,
    /// and be so while others of it end (`SO_REUSEADDR`); none from one that a listener has.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect) that need no answer of the peer, and
    /// [`Unreachable`](Error::Unreachable) too if `from` and `to` are of different versions of
    /// IP; [`InUse`](Error::InUse) if a listener has the port, or there is a connection between
    /// the two; [`AddrNotAvailable`](Error::AddrNotAvailable) if this machine does not have the
    /// address of `from`.
    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, Error>;
}

/// What is lent does what it does, so that a server and a client by TLS may share one stack.
impl<T: Tcp> Tcp for &T {
    type Listener = T::Listener;
    type Stream = T::Stream;

    const SECURE: bool = T::SECURE;

    fn bind(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Listener, Error>> {
        T::bind(self, addr)
    }

    fn connect(&self, addr: SocketAddr) -> impl Future<Output = Result<Self::Stream, Error>> {
        T::connect(self, addr)
    }

    fn connect_to(
        &self,
        name: &str,
        addr: SocketAddr,
        secure: bool,
    ) -> impl Future<Output = Result<Self::Stream, Error>> {
        T::connect_to(self, name, addr, secure)
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, Error> {
        T::open(self, from, to)
    }
}

/// Accepts the TCP connections of one address and port. Dropping it refuses further ones,
/// and resets those that nobody accepted.
///
/// Connections are established without [`accept`](Self::accept) and wait for it, up to
/// [`Limits::backlog`](crate::Limits::backlog) of them.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use embedded_io_async::Write;
/// use xenith::ip::{Error, Listener, Stream};
/// use xenith::task::spawn;
///
/// /// Greets everybody who connects, each in a task of its own.
/// async fn greet<L: Listener>(listener: &L) -> Result<(), Error>
/// where
///     L::Stream: 'static,
/// {
///     loop {
///         let (mut stream, visitor) = listener.accept().await?;
///         spawn(async move {
///             let greeting = format!("hello, {visitor}\n");
///             if stream.write_all(greeting.as_bytes()).await.is_ok() {
///                 // Until the peer has acknowledged it: a drop would reset the connection.
///                 let _ = stream.close().await;
///             }
///         })
///         .detach();
///     }
/// }
/// ```
pub trait Listener {
    /// Carries the bytes of one connection.
    type Stream: Stream;

    /// Waits for the next connection, and returns it with the peer's address. Several may
    /// wait: each connection goes to one of them.
    ///
    /// # Errors
    /// [`Down`](Error::Down); [`Exhausted`](Error::Exhausted) means that one connection was
    /// lost, and that the next call may succeed.
    fn accept(&self) -> impl Future<Output = Result<(Self::Stream, SocketAddr), Error>>;

    /// Returns the next connection without waiting; `None` where [`accept`](Self::accept) would
    /// wait.
    ///
    /// # Errors
    /// As of [`accept`](Self::accept).
    fn try_accept(&self) -> Result<Option<(Self::Stream, SocketAddr)>, Error>;

    /// Is ready when [`try_accept`](Self::try_accept) is worth a call. Any number of tasks may
    /// wait; all are woken, and one of them gets the connection.
    ///
    /// # Errors
    /// [`Down`](Error::Down).
    fn poll_acceptable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Returns the address that it was bound to, with the port that it got.
    fn local_addr(&self) -> SocketAddr;
}

/// Says how a connection is to behave. Bytes that are written are sent at once by default,
/// and an idle peer is not asked whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Sends small pieces at once (`TCP_NODELAY`), and not one at a time, until the peer has
    /// acknowledged it (Nagle's algorithm, RFC 9293, section 3.7.4).
    pub no_delay: bool,
    /// Asks the peer for a sign of life when it was silent for so long (`SO_KEEPALIVE`,
    /// `TCP_KEEPIDLE`), nine times, 75 s apart, and then takes it for gone:
    /// [`Error::TimedOut`]. Without it a peer that vanished is noticed when something is sent to
    /// it (RFC 9293, section 3.8.4). Linux takes whole seconds, of which this is rounded up to.
    pub keep_alive: Option<Duration>,
    /// Gives the connection up when the peer acknowledges nothing for so long (RFC 9293,
    /// section 3.8.3; `TCP_USER_TIMEOUT`). Without it, what is lost is sent again 13 times,
    /// for some 15 minutes. What is done afterwards is [`Error::TimedOut`].
    pub user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { no_delay: true, keep_alive: None, user_timeout: None }
    }
}

/// Says how far a connection has come: what `FIONREAD`, `SIOCOUTQ` and `POLLRDHUP` say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that can be read now.
    pub readable: usize,
    /// Bytes that were written and that the peer has not acknowledged, sent or not.
    pub unacknowledged: usize,
    /// Nothing comes behind what can be read: the peer has ended its half, or the connection
    /// is over.
    pub ended: bool,
    /// The peer has ended its half, whatever became of the connection then; Linux's own sockets
    /// know that of those alone of which no call has failed yet.
    pub finished: bool,
}

/// Carries bytes both ways over one TCP connection, each way with an end of its own.
///
/// Reading returns 0 bytes, again and again, once the peer has ended its half (FIN) and all
/// before that was read; writing goes on meanwhile. After [`shutdown`](Self::shutdown) it is
/// the other way round: writing is [`Closed`](Error::Closed), and reading goes on.
///
/// A write returns when the stack has the bytes; they are sent, and sent again until the peer
/// acknowledges them, by themselves. `flush` waits until it has acknowledged all that was
/// written before, and is [`Reset`](Error::Reset) when it never will, or
/// [`TimedOut`](Error::TimedOut) when it was silent for too long; nothing needs a flush to
/// be sent. That the peer's machine has bytes does not mean that its program has read them.
///
/// Dropping a connection closes it in order, in the background: what was written is sent,
/// then FIN, for 30 s at most, after which the connection is reset and the rest is lost. It
/// is reset at once if there are bytes that were not read, or if some arrive afterwards, so
/// that the peer learns that nobody reads them (RFC 9293, section 3.6.1), and if a quarter of
/// [`Limits::connections`](crate::Limits::connections) close in this way already. Where bytes
/// are lost, a line of the level `debug` says so. Call [`close`](Self::close) to learn whether
/// all arrived, and [`abort`](Self::abort) to reset on purpose.
///
/// For who waits for many connections at once, [`poll_readable`](Self::poll_readable),
/// [`poll_writable`](Self::poll_writable) and the methods that begin with `try_` take `&self`,
/// and any number of tasks may use them on one connection.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
///
/// use embedded_io_async::{Read, Write};
/// use xenith::ip::{Error, Stream};
/// use xenith::task::join;
///
/// /// Sends all of `request`, and reads the answer at the same time, so that neither side waits
/// /// for the other with full buffers.
/// async fn exchange<S: Stream>(mut stream: S, request: &[u8]) -> Result<Vec<u8>, Error> {
///     let mut answer = Vec::new();
///     {
///         let (mut reader, mut writer) = stream.split();
///         let read = async {
///             let mut buffer = [0; 1024];
///             while answer.len() < request.len() {
///                 match reader.read(&mut buffer).await? {
///                     0 => break,
///                     length => answer.extend_from_slice(&buffer[..length]),
///                 }
///             }
///             Ok::<(), Error>(())
///         };
///         let (written, read) = join(writer.write_all(request), read).await;
///         written.and(read)?;
///     }
///     stream.close().await?;
///     Ok(answer)
/// }
/// ```
pub trait Stream: Read<Error = Error> + Write<Error = Error> {
    /// Reads, while the other half writes.
    type Reader<'a>: Read<Error = Error>
    where
        Self: 'a;

    /// Writes, while the other half reads.
    type Writer<'a>: Write<Error = Error>
    where
        Self: 'a;

    /// Splits it into halves that two futures of one task can use at the same time. Dropping
    /// a half ends nothing: the connection is whole again afterwards.
    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>);

    /// Reads as [`Read::read`] does if that need not wait, or wakes `context` when it is worth
    /// another call. For traits that hold a connection of any type (`dyn`), which the async
    /// methods of `Read` and `Write` do not allow.
    ///
    /// # Errors
    /// As of [`Read::read`].
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>>;

    /// Writes as [`Write::write`] does if that need not wait, or wakes `context` when it is
    /// worth another call.
    ///
    /// # Errors
    /// As of [`Write::write`].
    fn poll_write(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>>;

    /// Is ready when [`try_read`](Self::try_read) would not return `None`: for bytes, the end
    /// or an error, which is that call's to tell. All tasks that wait are woken.
    ///
    /// # Errors
    /// [`Closed`](Error::Closed) after [`close`](Self::close) and [`abort`](Self::abort); those
    /// of [`Tcp::open`] if the connection never came about.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Is ready when the connection is open and [`try_write`](Self::try_write) would not return
    /// `None`: for room, which is more than a little, or an error, which is that call's to
    /// tell. All tasks that wait are woken.
    ///
    /// # Errors
    /// [`Closed`](Error::Closed) after [`shutdown`](Self::shutdown), [`close`](Self::close) and
    /// [`abort`](Self::abort); those of [`Tcp::open`] if the connection never came about.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Wakes `context` when the peer has sent more, has ended, or has reset the connection, once:
    /// also while there is something to read, when [`poll_readable`](Self::poll_readable) waits for
    /// nothing. What has no more to say than that does nothing, which is the default.
    fn follow(&self, context: &mut Context<'_>) {
        let _ = context;
    }

    /// Reads without waiting; `None` where [`Read::read`] would wait.
    ///
    /// # Errors
    /// As of [`Read::read`].
    fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, Error>;

    /// Copies what [`try_read`](Self::try_read) would read, and leaves it there (`MSG_PEEK`).
    ///
    /// # Errors
    /// As of [`Read::read`].
    fn try_peek(&self, buf: &mut [u8]) -> Result<Option<usize>, Error>;

    /// Writes without waiting; `None` where [`Write::write`] would wait.
    ///
    /// # Errors
    /// As of [`Write::write`].
    fn try_write(&self, buf: &[u8]) -> Result<Option<usize>, Error>;

    /// Whether a layer of its own, such as TLS, has yet to agree with the peer before anything can
    /// be written, which may cost this end more than the peer. TCP itself has, which is the default.
    fn in_handshake(&self) -> bool {
        false
    }

    /// Whether `protocol` is what a layer of its own has agreed on with the peer, as TLS does
    /// (ALPN, RFC 7301). `None` where nothing was agreed on, as by TCP itself, which is the default.
    fn agreed_on(&self, _protocol: &[u8]) -> Option<bool> {
        None
    }

    /// Returns how far the connection has come.
    fn progress(&self) -> Progress;

    /// Returns how it is to behave.
    fn options(&self) -> TcpOptions;

    /// Says how it is to behave from now on.
    ///
    /// # Errors
    /// [`Closed`](Error::Closed) after [`close`](Self::close) and [`abort`](Self::abort);
    /// [`Unsupported`](Error::Unsupported) for times that Linux has no number for.
    fn set_options(&self, options: TcpOptions) -> Result<(), Error>;

    /// Writes bytes of `shared` as [`poll_write`](Self::poll_write) does, those in `range` that
    /// it has. A stack on a network interface does not copy them where it need not: they are held
    /// until the peer has acknowledged them, and take no memory of the connection.
    ///
    /// # Errors
    /// As of [`Write::write`].
    fn poll_share(
        &mut self,
        context: &mut Context<'_>,
        shared: &Shared,
        range: Range<usize>,
    ) -> Poll<Result<usize, Error>> {
        let end = range.end.min(shared.bytes().len());
        self.poll_write(context, shared.bytes().get(range.start..end).unwrap_or_default())
    }

    /// Writes as [`poll_write`](Self::poll_write) does, for who writes more at once or calls
    /// [`poll_flush`](Self::poll_flush): a layer that makes records of what is written, such as TLS,
    /// holds it back until then, so that both are one record (`MSG_MORE`). TCP itself sends it,
    /// which is the default.
    ///
    /// # Errors
    /// As of [`Write::write`].
    fn poll_write_more(
        &mut self,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, Error>> {
        self.poll_write(context, buf)
    }

    /// Hands on what a layer of its own holds back, such as the rest of a record of TLS for which
    /// the connection beneath had no room. What is written to TCP itself is sent without it, so
    /// there is nothing to do by default; and unlike `flush`, this waits for no acknowledgement.
    ///
    /// # Errors
    /// As of [`Write::write`].
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let _ = context;
        Poll::Ready(Ok(()))
    }

    /// Ends the writing half: sends FIN behind what was written, without waiting for either
    /// to be acknowledged (RFC 9293, section 3.6). Reading goes on for as long as the peer
    /// writes, and `flush` still waits for what was written. Another call does nothing.
    ///
    /// # Errors
    /// [`Closed`](Error::Closed) after [`close`](Self::close) and [`abort`](Self::abort).
    fn shutdown(&self) -> impl Future<Output = Result<(), Error>>;

    /// Closes in order: sends what is left and FIN, and waits until the peer has acknowledged
    /// both and sent its own FIN, for 30 s at most. What it sends until then is thrown away.
    /// Dropping the future leaves the rest to the background, as dropping the connection does.
    ///
    /// # Errors
    /// [`Reset`](Error::Reset) if the peer resets it before, [`TimedOut`](Error::TimedOut)
    /// if it has not acknowledged all by then: what was written may not have arrived;
    /// [`Closed`](Error::Closed) if it was closed before, [`Down`](Error::Down).
    fn close(&mut self) -> impl Future<Output = Result<(), Error>>;

    /// Resets the connection (RST), as closing a socket with `SO_LINGER` of 0 s does: what was
    /// written and not acknowledged is lost, and so is what was not read. Tasks that wait for
    /// it are woken.
    fn abort(&self);

    /// Leaves the connection to the next image, where the [machine is updated](kernel::update):
    /// its listener accepts it, as this one's does if there is none after all. `unread` is what was
    /// read last and is to be read again. What cannot be left is for the caller to drop, which closes it
    /// in order: what was written is sent.
    fn leave(&mut self, unread: &[u8]) {
        let _ = unread;
    }

    /// Returns the address of the other end.
    fn peer_addr(&self) -> SocketAddr;

    /// Returns the address of this end.
    fn local_addr(&self) -> SocketAddr;
}
