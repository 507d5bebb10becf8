//! Says how messages come to a server, and does so by UDP and TCP.

use crate::server::{Server, Transport};
use alloc::string::String;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::Poll;
use core::time::Duration;
use embedded_io_async::Write;
use xenith::ip::{Error, Resolve, Socket, Stream, Tcp, TcpOptions, Udp, any};
use xenith::shutdown;
use xenith::time::{sleep, timeout};

/// How long a server may take to be connected to, and to take a message.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long the last datagram may take to leave: the server's address may have to be asked for.
const LINGER: Duration = Duration::from_millis(200);

/// Is a way by which messages come to one server. `apps/syslogs` has one by TLS.
#[allow(async_fn_in_trait, reason = "there is one task on one vCPU, which needs no `Send`")]
pub trait Way {
    /// A connection, or what stands for one.
    type Link;
    /// Why a message is not there.
    type Error: From<Error>;

    /// Says on the console why it is tried again, where that is not known: for the `first` time, or since it
    /// is something else now. A line of the log would wait for the message.
    fn tell(&mut self, error: &Self::Error, first: bool);

    /// Connects to the server.
    async fn connect(&self) -> Result<Self::Link, Self::Error>;

    /// Whether the server has ended the connection.
    fn has_ended(&self, link: &Self::Link) -> bool;

    /// Sends a message. It may take [`PATIENCE`].
    async fn send(link: &mut Self::Link, message: &str) -> Result<(), Self::Error>;

    /// Ends a connection in order, behind what was sent.
    async fn close(link: Self::Link);

    /// Whether nothing more is logged, as the app has returned.
    fn is_over(&self) -> bool {
        shutdown::is_over()
    }

    /// Waits until that is so.
    async fn over(&self) {
        returned().await;
    }
}

/// Waits until the app has returned.
pub async fn returned() {
    poll_fn(|context| {
        if shutdown::is_over() {
            return Poll::Ready(());
        }
        shutdown::wake_when_over(context.waker());
        Poll::Pending
    })
    .await;
}

/// Connects to `to`, within [`PATIENCE`]. A server that vanishes without a word has ended the connection when
/// it has acknowledged nothing for that time, or at most twice of it; one from which nothing came for that
/// time is asked whether it is there.
///
/// # Errors
/// Those of [`Tcp::connect`].
pub async fn connect<I: Tcp>(ip: &I, to: SocketAddr) -> Result<I::Stream, Error> {
    let stream = timeout(PATIENCE, ip.connect(to)).await.unwrap_or(Err(Error::TimedOut))?;
    let time = Some(PATIENCE);
    stream.set_options(TcpOptions { keep_alive: time, user_timeout: time, ..stream.options() })?;
    Ok(stream)
}

/// Returns whether the peer has ended a connection. What it says is read and not heeded.
#[must_use]
pub fn has_ended(stream: &impl Stream) -> bool {
    let mut said = [0; 64];
    loop {
        match stream.try_read(&mut said) {
            Ok(None) => return false,
            Ok(Some(0)) | Err(_) => return true,
            Ok(Some(_)) => {}
        }
    }
}

/// Returns a message behind its length (RFC 6587, section 3.4.1, and RFC 5425, section 4.3).
#[must_use]
pub fn framed(message: &str) -> String {
    alloc::format!("{} {message}", message.len())
}

/// The way by UDP or TCP.
pub(crate) struct Clear<I> {
    pub(crate) ip: I,
    pub(crate) server: Server,
}

/// A way to the server.
pub(crate) enum Link<I: Tcp + Udp> {
    Datagrams(I::Socket, SocketAddr),
    Stream(I::Stream),
}

impl<I: Tcp + Udp + Resolve> Way for Clear<I> {
    type Link = Link<I>;
    type Error = Error;

    fn tell(&mut self, error: &Error, first: bool) {
        if first {
            let Server { host, port, .. } = self.server;
            xenith::println!("syslog: {host}:{port}: {error}; trying again");
        }
    }

    /// Finds a way to the server by one of its addresses.
    async fn connect(&self) -> Result<Link<I>, Error> {
        let Self { ip, server } = self;
        let mut last = Error::NoSuchName;
        for addr in ip.resolve(server.host).await? {
            let to = SocketAddr::new(addr, server.port);
            let link = match server.transport {
                Transport::Udp => Udp::bind(ip, any(0)).await.map(|it| Link::Datagrams(it, to)),
                Transport::Tcp => connect(ip, to).await.map(Link::Stream),
            };
            match link {
                Ok(link) => return Ok(link),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn has_ended(&self, link: &Link<I>) -> bool {
        matches!(link, Link::Stream(stream) if has_ended(stream))
    }

    async fn send(link: &mut Link<I>, message: &str) -> Result<(), Error> {
        match link {
            Link::Datagrams(socket, to) => socket.send_to(message.as_bytes(), *to).await,
            Link::Stream(stream) => stream.write_all(framed(message).as_bytes()).await,
        }
    }

    async fn close(link: Link<I>) {
        match link {
            Link::Datagrams(..) => sleep(LINGER).await,
            // The machine waits until all has arrived, and the end behind it, which the stack adds by itself
            // only to connections from before the app returned. Nobody is left to be told of an error.
            Link::Stream(stream) => drop(stream.shutdown().await),
        }
    }
}
