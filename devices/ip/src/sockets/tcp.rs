//! TCP connections and listeners.

use super::{Sockets, bound, error, local, plain, socket};
use crate::{Error, Listener, Stream};
use core::cell::Cell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::machine::ioctl::unacknowledged;
use kernel::machine::watch::{Interest, Watched};
use kernel::time::{sleep, timeout};
use rustix::io::Errno;
use rustix::net::{self, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};
use std::os::fd::OwnedFd;

/// How long a connection may take to come about, and to end in order; when a silent
/// peer is asked whether it is there, and when it is given up. As our own stack has it.
const CONNECT: Duration = Duration::from_secs(30);
const CLOSE: Duration = Duration::from_secs(30);

/// Connections that nobody accepted yet.
const BACKLOG: i32 = 128;

/// How long to wait for a descriptor to become free, when there is none for a connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Accepts TCP connections by a listening socket of Linux, of up to 128 that wait.
#[derive(Debug)]
pub struct TcpListener {
    of: Sockets,
    socket: Watched<OwnedFd>,
    local: SocketAddr,
}

impl TcpListener {
    pub(super) fn new(of: Sockets, addr: SocketAddr) -> Result<Self, Error> {
        let (socket, local) = bound(SocketType::STREAM, addr)?;
        net::listen(&socket, BACKLOG).map_err(error)?;
        Ok(Self { of, socket: Watched::new(socket), local })
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> Result<(TcpStream, SocketAddr), Error> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        loop {
            let accepted = poll_fn(|context| {
                self.socket.poll(Interest::Read, context, |it| net::accept_with(it, flags))
            });
            let accepted = match accepted.await {
                // Of the connection that was to be: Linux passes these on, see accept(2).
                Err(
                    Errno::CONNABORTED
                    | Errno::NETDOWN
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::HOSTDOWN
                    | Errno::NONET
                    | Errno::HOSTUNREACH
                    | Errno::OPNOTSUPP
                    | Errno::NETUNREACH
                    | Errno::PERM,
                ) => continue,
                accepted => accepted.map_err(error),
            };
            if matches!(accepted, Err(Error::Exhausted)) {
                // The connection waits on: who calls again at once is not to spin.
                sleep(EXHAUSTED).await;
            }
            // A connection that is over already is not worth an error.
            if let Ok(stream) = TcpStream::new(self.of.clone(), Watched::new(accepted?)) {
                self.of.count(|stats| stats.accepted += 1);
                let peer = stream.peer;
                return Ok((stream, peer));
            }
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// How far this side has come with the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing more will be written.
    Shut,
    /// It was closed, in order or not.
    Closed,
    /// It was closed, and all has arrived.
    Arrived,
}

/// Carries the bytes of one TCP connection of Linux. A write is complete when Linux has the
/// bytes, which it retransmits until they are acknowledged; [`close`](Stream::close) says
/// whether they were.
#[derive(Debug)]
pub struct TcpStream {
    of: Sockets,
    /// None after [`abort`](Stream::abort).
    socket: Option<Watched<OwnedFd>>,
    local: SocketAddr,
    peer: SocketAddr,
    end: End,
    /// Linux tells of the end of a connection once, and this from then on.
    failed: Cell<Option<Error>>,
}

impl TcpStream {
    fn new(of: Sockets, socket: Watched<OwnedFd>) -> Result<Self, Error> {
        let peer = net::getpeername(&*socket).map_err(error)?.ok_or(Error::Reset)?;
        let peer = plain(peer.try_into().map_err(error)?);
        let local = local(&socket)?;
        sockopt::set_tcp_nodelay(&*socket, true).map_err(error)?;
        of.count(|stats| stats.open += 1);
        let (end, failed) = (End::Open, Cell::new(None));
        Ok(Self { of, socket: Some(socket), local, peer, end, failed })
    }

    pub(super) async fn connect(of: Sockets, addr: SocketAddr) -> Result<Self, Error> {
        of.count(|stats| stats.connected += 1);
        let to = plain(addr);
        if to.ip().is_unspecified() || to.port() == 0 {
            // Linux would take it for this machine.
            return Err(Error::Unreachable);
        }
        let socket = Watched::new(socket(to.ip(), SocketType::STREAM, None).map_err(error)?);
        let mut begun = false;
        let connected = poll_fn(|context| {
            if !begun {
                begun = true;
                match net::connect(&*socket, &to) {
                    Err(Errno::INPROGRESS | Errno::INTR) => {}
                    result => return Poll::Ready(result),
                }
            }
            if socket.is_ready(Interest::Write) {
                return Poll::Ready(sockopt::socket_error(&*socket).and_then(|result| result));
            }
            socket.wait(Interest::Write, context.waker());
            Poll::Pending
        });
        match timeout(CONNECT, connected).await {
            Ok(Ok(())) => {}
            Ok(Err(Errno::CONNRESET)) => return Err(Error::Refused),
            Ok(Err(errno)) => return Err(error(errno)),
            Err(_) => return Err(Error::TimedOut),
        }
        Self::new(of, socket)
    }

    /// Waits until reading would not wait.
    pub(super) async fn ready_to_read(&self) -> Result<(), Error> {
        if let Some(error) = self.failed.get() {
            return Err(error);
        }
        let Some(socket) = &self.socket else { return Err(Error::Closed) };
        poll_fn(|context| {
            if socket.is_ready(Interest::Read) {
                return Poll::Ready(());
            }
            socket.wait(Interest::Read, context.waker());
            Poll::Pending
        })
        .await;
        Ok(())
    }

    /// Calls `call` until it does not block.
    async fn ready<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut(&OwnedFd) -> Result<R, Errno>,
    ) -> Result<R, Error> {
        poll_fn(|context| self.poll(interest, context, &mut call)).await
    }

    /// Calls `call`, and has `context` woken if it blocks.
    fn poll<R>(
        &self,
        interest: Interest,
        context: &mut Context<'_>,
        call: impl FnMut(&OwnedFd) -> Result<R, Errno>,
    ) -> Poll<Result<R, Error>> {
        if let Some(error) = self.failed.get() {
            return Poll::Ready(Err(error));
        }
        let Some(socket) = &self.socket else { return Poll::Ready(Err(Error::Closed)) };
        socket.poll(interest, context, call).map_err(|errno| {
            let error = error(errno);
            if error != Error::Exhausted {
                self.failed.set(Some(error));
            }
            error
        })
    }

    fn poll_read(&self, context: &mut Context<'_>, to: &mut [u8]) -> Poll<Result<usize, Error>> {
        if matches!(self.end, End::Closed | End::Arrived) {
            return Poll::Ready(Err(Error::Closed));
        }
        self.poll(Interest::Read, context, |it| rustix::io::read(it, &mut *to))
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        if self.end != End::Open {
            return Poll::Ready(Err(Error::Closed));
        }
        self.poll(Interest::Write, context, |it| net::send(it, bytes, SendFlags::NOSIGNAL))
    }

    /// Whether the peer has acknowledged all, and the end of it.
    fn arrived(&self) -> bool {
        self.socket.as_ref().is_some_and(|it| unacknowledged(&**it).is_ok_and(|left| left == 0))
    }

    /// Waits until the peer has acknowledged all. Linux tells nobody when that is.
    async fn flushed(&self) -> Result<(), Error> {
        let mut pause = Duration::from_micros(100);
        loop {
            let Some(socket) = &self.socket else { return Err(Error::Closed) };
            if self.arrived() {
                return Ok(());
            }
            if let Ok(Err(errno)) = sockopt::socket_error(&**socket) {
                self.failed.set(Some(error(errno)));
            }
            if let Some(error) = self.failed.get() {
                return Err(error);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Reads and forgets what still comes until all is over; whether the peer ended.
    async fn finish(&self, ended: &mut bool) -> Result<(), Error> {
        let mut nothing = [0; 4096];
        while !*ended {
            let read = self.ready(Interest::Read, |it| rustix::io::read(it, &mut nothing));
            *ended = read.await? == 0;
        }
        // Linux tells nobody when the last acknowledgement comes.
        let mut pause = Duration::from_micros(100);
        while !self.arrived() {
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
            // It may have been reset meanwhile.
            let left = self.ready(Interest::Read, |it| rustix::io::read(it, &mut nothing));
            left.await?;
        }
        Ok(())
    }
}

/// Sees to it that closing the socket resets the connection.
fn reset(socket: &Watched<OwnedFd>) {
    // There is no time to linger then.
    let _ = sockopt::set_socket_linger(&**socket, Some(Duration::ZERO));
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        // Linux sends what was written and the end, also when this process is gone, but
        // resets it where something was not read.
        if self.end != End::Arrived
            && let Some(socket) = &self.socket
            && let Ok(unread @ 1..) = rustix::io::ioctl_fionread(&**socket)
        {
            let peer = self.peer;
            log::debug!(
                "the connection with {peer}, which was dropped, is reset: {unread} bytes that came \
                 were not read"
            );
        }
        self.of.count(|stats| stats.open = stats.open.saturating_sub(1));
    }
}

impl ErrorType for TcpStream {
    type Error = Error;
}

impl Read for TcpStream {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        Half(self).read(buf).await
    }
}

impl Write for TcpStream {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        Half(self).write(buf).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Half(self).flush().await
    }
}

/// Reads or writes, as one half of a [`TcpStream`].
#[derive(Debug)]
pub struct Half<'a>(pub(super) &'a TcpStream);

impl ErrorType for Half<'_> {
    type Error = Error;
}

impl Read for Half<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        poll_fn(|context| self.0.poll_read(context, buf)).await
    }
}

impl Write for Half<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        poll_fn(|context| self.0.poll_write(context, buf)).await
    }

    /// Waits until the peer has acknowledged what was written, and the end if there is one.
    async fn flush(&mut self) -> Result<(), Error> {
        let Self(stream) = self;
        if matches!(stream.end, End::Closed | End::Arrived) {
            return Err(Error::Closed);
        }
        stream.flushed().await
    }
}

impl Stream for TcpStream {
    type Reader<'a> = Half<'a>;
    type Writer<'a> = Half<'a>;

    fn split(&mut self) -> (Half<'_>, Half<'_>) {
        (Half(self), Half(self))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        Self::poll_read(self, context, buf)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        Self::poll_write(self, context, buf)
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        match (self.end, &self.socket) {
            (End::Shut, _) => Ok(()),
            (End::Open, Some(socket)) => {
                self.end = End::Shut;
                // Not being connected any more is for reads and writes to tell.
                let _ = net::shutdown(&**socket, Shutdown::Write);
                Ok(())
            }
            _ => Err(Error::Closed),
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.shutdown().await?;
        self.end = End::Closed;
        let mut ended = false;
        match timeout(CLOSE, self.finish(&mut ended)).await {
            Ok(Ok(())) => {}
            // All has arrived, and the peer is in no hurry to end its own side, or reset
            // what nobody wanted.
            Ok(Err(_)) | Err(_) if self.arrived() => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Error::TimedOut),
        }
        self.end = End::Arrived;
        Ok(())
    }

    fn abort(&mut self) {
        self.end = End::Closed;
        self.socket.take().iter().for_each(reset);
    }

    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}
