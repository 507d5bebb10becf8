//! TCP connections.

use super::{Sockets, error, local, plain, socket, unbound};
use crate::tcp::would_wait;
use crate::{Error, Progress, Stream, TcpOptions, any, only};
use core::cell::Cell;
use core::future::poll_fn;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::machine::ioctl::unacknowledged;
use kernel::machine::watch::{Interest, Watched};
use kernel::time::{sleep, timeout};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, SocketType, sockopt};
use std::os::fd::OwnedFd;

/// How long a connection may take to come about, and to end in order; how often a silent peer
/// is asked whether it is there, and the time between. As our own stack has it.
const CONNECT: Duration = Duration::from_secs(30);
const CLOSE: Duration = Duration::from_secs(30);
const KEEP_PROBES: u32 = 9;
const KEEP_AGAIN: Duration = Duration::from_secs(75);

/// Who does not wait.
const NOBODY: &Context<'_> = &Context::from_waker(Waker::noop());

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
    socket: Watched<OwnedFd>,
    local: SocketAddr,
    peer: SocketAddr,
    end: Cell<End>,
    /// It has come about.
    opened: Cell<bool>,
    /// Linux tells of the end of a connection once, and this from then on.
    failed: Cell<Option<Error>>,
}

impl TcpStream {
    /// A connection that was accepted.
    pub(super) fn accepted(of: Sockets, socket: Watched<OwnedFd>) -> Result<Self, Error> {
        let peer = net::getpeername(&*socket).map_err(error)?.ok_or(Error::Reset)?;
        let peer = plain(peer.try_into().map_err(error)?);
        let stream = Self::new(of, socket, peer)?;
        stream.opened.set(true);
        Ok(stream)
    }

    fn new(of: Sockets, socket: Watched<OwnedFd>, peer: SocketAddr) -> Result<Self, Error> {
        let local = local(&socket)?;
        sockopt::set_tcp_nodelay(&*socket, true).map_err(error)?;
        of.count(|stats| stats.open += 1);
        let (end, opened, failed) = (Cell::new(End::Open), Cell::new(false), Cell::new(None));
        Ok(Self { of, socket, local, peer, end, opened, failed })
    }

    /// Begins a connection.
    pub(super) fn open(of: Sockets, from: SocketAddr, to: SocketAddr) -> Result<Self, Error> {
        of.count(|stats| stats.connected += 1);
        let (from, to) = (plain(from), plain(to));
        if to.ip().is_unspecified() || to.port() == 0 {
            // Linux would take it for this machine.
            return Err(Error::Unreachable);
        }
        let socket = socket(to.ip(), SocketType::STREAM, None).map_err(error)?;
        // Its port is free for others, to other peers, that ask for it.
        sockopt::set_socket_reuseaddr(&socket, true).map_err(error)?;
        let own = only(from);
        if own.is_some_and(|own| own.is_ipv4() != to.is_ipv4()) {
            return Err(Error::Unreachable);
        }
        if own.is_some() || from.port() != 0 {
            let any = if to.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            net::bind(&socket, &SocketAddr::new(own.unwrap_or(any), from.port()))
                .map_err(|errno| unbound(errno, from.port()))?;
        }
        match net::connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(unconnected(errno, from.port(), to.is_ipv4())),
        }
        Self::new(of, Watched::new(socket), to)
    }

    pub(super) async fn connect(of: Sockets, addr: SocketAddr) -> Result<Self, Error> {
        let stream = Self::open(of, any(0), addr)?;
        let opened = poll_fn(|context| stream.poll_open(context));
        timeout(CONNECT, opened).await.unwrap_or(Err(Error::TimedOut))?;
        Ok(stream)
    }

    /// Ready when it has come about, or will not.
    fn poll_open(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(error) = self.failed.get() {
            return Poll::Ready(Err(error));
        }
        if self.opened.get() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_ready(Interest::Write, context));
        match sockopt::socket_error(&*self.socket).and_then(|result| result) {
            Ok(()) => self.opened.set(true),
            Err(errno) => self.failed.set(Some(refused(errno))),
        }
        Poll::Ready(self.failed.get().map_or(Ok(()), Err))
    }

    /// Ready when a call would not block.
    fn poll_ready(&self, interest: Interest, context: &Context<'_>) -> Poll<()> {
        if self.socket.is_ready(interest) {
            return Poll::Ready(());
        }
        self.socket.wait(interest, context.waker());
        Poll::Pending
    }

    /// Fails when it was closed.
    fn is_held(&self) -> Result<(), Error> {
        if matches!(self.end.get(), End::Closed | End::Arrived) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// Fails when nothing more will be written.
    fn is_open(&self) -> Result<(), Error> {
        if self.end.get() == End::Open { Ok(()) } else { Err(Error::Closed) }
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
        context: &Context<'_>,
        call: impl FnMut(&OwnedFd) -> Result<R, Errno>,
    ) -> Poll<Result<R, Error>> {
        ready!(self.poll_open(context))?;
        self.socket.poll(interest, context, call).map_err(|errno| {
            let error = error(errno);
            if error != Error::Exhausted {
                self.failed.set(Some(error));
            }
            error
        })
    }

    fn poll_read(&self, context: &Context<'_>, to: &mut [u8]) -> Poll<Result<usize, Error>> {
        self.is_held()?;
        self.poll(Interest::Read, context, |it| rustix::io::read(it, &mut *to))
    }

    fn poll_write(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        self.is_open()?;
        self.poll(Interest::Write, context, |it| net::send(it, bytes, SendFlags::NOSIGNAL))
    }

    /// Whether the peer has acknowledged all, and the end of it.
    fn arrived(&self) -> bool {
        unacknowledged(&*self.socket).is_ok_and(|left| left == 0)
    }

    /// Waits until the peer has acknowledged all. Linux tells nobody when that is.
    async fn flushed(&self) -> Result<(), Error> {
        let mut pause = Duration::from_micros(100);
        loop {
            self.is_held()?;
            if self.arrived() {
                return Ok(());
            }
            if let Ok(Err(errno)) = sockopt::socket_error(&*self.socket) {
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
        // Each connection has room for it until then.
        let mut nothing = [0; 512];
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

/// What became of a connection that was to come about.
fn refused(errno: Errno) -> Error {
    if errno == Errno::CONNRESET { Error::Refused } else { error(errno) }
}

/// Why no connection can be opened from `port`, or from any where that is 0 (connect(2)).
fn unconnected(errno: Errno, port: u16, ipv4: bool) -> Error {
    match (errno, port) {
        // All of the range are in use. By IPv6, that there is no address to come from is the same.
        (Errno::ADDRNOTAVAIL, 0) if ipv4 => Error::Exhausted,
        // There is one between the two already.
        (Errno::ADDRNOTAVAIL, 1..) => Error::InUse(port),
        _ => refused(errno),
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        // Linux sends what was written and the end, also when this process is gone, but
        // resets it where something was not read.
        if self.end.get() != End::Arrived
            && let Ok(unread @ 1..) = rustix::io::ioctl_fionread(&*self.socket)
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
        stream.is_held()?;
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

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.is_held()?;
        ready!(self.poll_open(context))?;
        self.poll_ready(Interest::Read, context).map(Ok)
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.is_open()?;
        ready!(self.poll_open(context))?;
        self.poll_ready(Interest::Write, context).map(Ok)
    }

    fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        would_wait(self.poll_read(NOBODY, buf))
    }

    fn try_peek(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        self.is_held()?;
        would_wait(self.poll(Interest::Read, NOBODY, |it| {
            net::recv(it, &mut *buf, RecvFlags::PEEK).map(|(count, _)| count)
        }))
    }

    fn try_write(&self, buf: &[u8]) -> Result<Option<usize>, Error> {
        would_wait(self.poll_write(NOBODY, buf))
    }

    fn progress(&self) -> Progress {
        let readable = rustix::io::ioctl_fionread(&*self.socket).unwrap_or(0) as usize;
        // Linux counts the end as one.
        let end = usize::from(self.end.get() != End::Open);
        let left = unacknowledged(&*self.socket).unwrap_or(0).saturating_sub(end);
        let failed = self.failed.get().is_some();
        let ended = failed || self.socket.is_ended();
        Progress { readable, unacknowledged: left, ended, finished: ended && !failed }
    }

    fn options(&self) -> TcpOptions {
        let socket = &*self.socket;
        let keeps = sockopt::socket_keepalive(socket).unwrap_or(false);
        let timeout = sockopt::tcp_user_timeout(socket).ok().filter(|it| *it > 0);
        TcpOptions {
            no_delay: sockopt::tcp_nodelay(socket).unwrap_or(false),
            keep_alive: sockopt::tcp_keepidle(socket).ok().filter(|_| keeps),
            user_timeout: timeout.map(|it| Duration::from_millis(it.into())),
        }
    }

    fn set_options(&self, options: TcpOptions) -> Result<(), Error> {
        self.is_held()?;
        let TcpOptions { no_delay, keep_alive, user_timeout } = options;
        let set = || {
            let socket = &*self.socket;
            let timeout = u32::try_from(user_timeout.map_or(0, |it| it.as_millis().max(1)));
            sockopt::set_tcp_user_timeout(socket, timeout.map_err(|_| Errno::INVAL)?)?;
            if let Some(idle) = keep_alive {
                let up = u64::from(idle.subsec_nanos() > 0);
                let idle = Duration::from_secs(idle.as_secs().saturating_add(up).max(1));
                sockopt::set_tcp_keepidle(socket, idle)?;
                sockopt::set_tcp_keepintvl(socket, KEEP_AGAIN)?;
                sockopt::set_tcp_keepcnt(socket, KEEP_PROBES)?;
            }
            sockopt::set_socket_keepalive(socket, keep_alive.is_some())?;
            sockopt::set_tcp_nodelay(socket, no_delay)
        };
        set().map_err(|_| Error::Unsupported)
    }

    async fn shutdown(&self) -> Result<(), Error> {
        self.is_held()?;
        if self.end.replace(End::Shut) == End::Open {
            // Not being connected any more is for reads and writes to tell.
            let _ = net::shutdown(&*self.socket, Shutdown::Write);
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.shutdown().await?;
        self.end.set(End::Closed);
        let mut ended = false;
        match timeout(CLOSE, self.finish(&mut ended)).await {
            Ok(Ok(())) => {}
            // All has arrived, and the peer is in no hurry to end its own side, or reset
            // what nobody wanted.
            Ok(Err(_)) | Err(_) if self.arrived() => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Error::TimedOut),
        }
        self.end.set(End::Arrived);
        Ok(())
    }

    fn abort(&self) {
        self.end.set(End::Closed);
        // There is no time to linger then, whether it is disconnected or closed.
        let _ = sockopt::set_socket_linger(&*self.socket, Some(Duration::ZERO));
        let _ = net::connect_unspec(&*self.socket);
    }

    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_for_no_port_is_not_told_that_it_is_in_use() {
        let why = |port, ipv4| unconnected(Errno::ADDRNOTAVAIL, port, ipv4);
        assert_eq!((why(80, true), why(80, false)), (Error::InUse(80), Error::InUse(80)));
        assert_eq!((why(0, true), why(0, false)), (Error::Exhausted, Error::Unreachable));
        assert_eq!(unconnected(Errno::CONNREFUSED, 0, true), Error::Refused);
    }
}
