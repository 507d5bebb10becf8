//! TCP connections and listeners.

#[cfg(test)]
mod abuse;
mod ack;
mod calls;
pub(crate) mod congestion;
pub(crate) mod connection;
mod input;
mod islands;
#[cfg(test)]
mod model;
pub(crate) mod moved;
mod outgoing;
mod output;
mod path;
pub(crate) mod pool;
mod prr;
mod rack;
mod receive;
mod recovery;
mod rtt;
pub(crate) mod secret;
pub(crate) mod segment;
mod sent;
pub(crate) mod seq;
mod stream;
pub(crate) mod syn;
#[cfg(test)]
mod table;
pub(crate) mod time_wait;
mod tlp;
mod tuning;
pub(crate) mod undo;
#[cfg(test)]
mod wrapped;

use super::shared::Shared;
use super::stack::{Handle, State};
use super::{Error, Listener, Progress, Stream, TcpOptions, any};
use alloc::rc::Rc;
use core::cell::Cell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::ops::Range;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use kernel::time::timeout;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(30);

/// How long a connection may take to end in order.
const CLOSE: Duration = Duration::from_secs(30);

/// Waits for connections to an address, or to any. Dropping it resets those that nobody
/// accepted.
pub struct TcpListener {
    shared: Rc<Shared>,
    local: SocketAddr,
}

impl TcpListener {
    pub(super) fn new(shared: Rc<Shared>, addr: SocketAddr) -> Result<Self, Error> {
        let local = shared.engine().listen(addr)?;
        Ok(Self { shared, local })
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> Result<(TcpStream, SocketAddr), Error> {
        loop {
            if let Some(accepted) = self.try_accept()? {
                return Ok(accepted);
            }
            poll_fn(|context| self.poll_acceptable(context)).await?;
        }
    }

    fn try_accept(&self) -> Result<Option<(TcpStream, SocketAddr)>, Error> {
        let Some(handle) = self.shared.engine().try_accept(self.local)? else { return Ok(None) };
        let stream = TcpStream::new(Rc::clone(&self.shared), handle);
        let peer = stream.peer;
        Ok(Some((stream, peer)))
    }

    fn poll_acceptable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.shared.engine().poll_acceptable(self.local, context.waker())
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.shared.engine().unlisten(self.local);
    }
}

/// How far this side has come with the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing more will be written.
    Shut,
    /// It was closed or reset.
    Closed,
    /// It was left to the next image.
    Left,
}

/// A connection. A write is complete when the stack has the bytes, which it sends
/// again until they arrive; [`close`](Stream::close) says whether they did.
pub struct TcpStream {
    shared: Rc<Shared>,
    handle: Handle,
    local: SocketAddr,
    peer: SocketAddr,
    end: Cell<End>,
    /// It has come about.
    opened: Cell<bool>,
}

impl TcpStream {
    fn new(shared: Rc<Shared>, handle: Handle) -> Self {
        let (local, peer) = shared.engine().protocols.ends(handle);
        let (end, opened) = (Cell::new(End::Open), Cell::new(false));
        Self { shared, handle, local, peer, end, opened }
    }

    /// Begins a connection.
    pub(super) fn open(
        shared: Rc<Shared>,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<Self, Error> {
        let handle = shared.engine().connect(from, to)?;
        Ok(Self::new(shared, handle))
    }

    pub(super) async fn connect(shared: Rc<Shared>, addr: SocketAddr) -> Result<Self, Error> {
        let stream = Self::open(shared, any(0), addr)?;
        let opened = poll_fn(|context| stream.poll_open(context));
        timeout(CONNECT, opened).await.unwrap_or(Err(Error::TimedOut))?;
        Ok(stream)
    }

    /// Ready when it has come about, or will not.
    fn poll_open(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        if !self.opened.get() {
            ready!(self.shared.engine().protocols.poll_open(self.handle, context.waker()))?;
            self.opened.set(true);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until reading would not wait.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        poll_fn(|context| Stream::poll_readable(self, context)).await
    }

    fn state(&self, context: &Context<'_>) -> Result<State, Error> {
        self.shared.engine().protocols.state(self.handle, context.waker())
    }

    /// Fails when it was closed.
    fn is_held(&self) -> Result<(), Error> {
        if matches!(self.end.get(), End::Closed | End::Left) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Fails when nothing more will be written.
    fn is_open(&self) -> Result<(), Error> {
        if self.end.get() == End::Open { Ok(()) } else { Err(Error::Closed) }
    }

    fn poll_read(&self, context: &Context<'_>, to: &mut [u8]) -> Poll<Result<usize, Error>> {
        self.is_held()?;
        ready!(self.poll_open(context))?;
        self.shared.engine().protocols.poll_read(self.handle, to, context.waker())
    }

    fn poll_write(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        self.is_open()?;
        ready!(self.poll_open(context))?;
        self.shared.engine().protocols.poll_write(self.handle, bytes, context.waker())
    }
}

/// What a call that does not wait makes of one that might.
pub(super) fn would_wait<T>(result: Poll<Result<T, Error>>) -> Result<Option<T>, Error> {
    match result {
        Poll::Ready(result) => result.map(Some),
        Poll::Pending => Ok(None),
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        if self.end.get() == End::Left {
            return;
        }
        let stays = self.shared.engine().give_back(self.handle);
        if stays {
            self.shared.stay();
        }
    }
}

impl ErrorType for TcpStream {
    type Error = Error;
}

impl Read for TcpStream {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        TcpHalf(self).read(buf).await
    }
}

impl Write for TcpStream {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        TcpHalf(self).write(buf).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        TcpHalf(self).flush().await
    }
}

/// One direction of a connection.
pub struct TcpHalf<'a>(pub(super) &'a TcpStream);

impl ErrorType for TcpHalf<'_> {
    type Error = Error;
}

impl Read for TcpHalf<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        poll_fn(|context| self.0.poll_read(context, buf)).await
    }
}

impl Write for TcpHalf<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        poll_fn(|context| self.0.poll_write(context, buf)).await
    }

    /// Waits until the peer has acknowledged what was written.
    async fn flush(&mut self) -> Result<(), Error> {
        let Self(stream) = self;
        stream.is_held()?;
        poll_fn(|context| {
            stream.shared.engine().protocols.poll_flush(stream.handle, context.waker())
        })
        .await
    }
}

impl Stream for TcpStream {
    type Reader<'a> = TcpHalf<'a>;
    type Writer<'a> = TcpHalf<'a>;

    fn split(&mut self) -> (TcpHalf<'_>, TcpHalf<'_>) {
        (TcpHalf(self), TcpHalf(self))
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

    fn poll_share(
        &mut self,
        context: &mut Context<'_>,
        shared: &devices::net::Shared,
        range: Range<usize>,
    ) -> Poll<Result<usize, Error>> {
        self.is_open()?;
        ready!(self.poll_open(context))?;
        self.shared.engine().protocols.poll_share(self.handle, shared, range, context.waker())
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.is_held()?;
        ready!(self.poll_open(context))?;
        self.shared.engine().protocols.poll_readable(self.handle, context.waker())
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.is_open()?;
        ready!(self.poll_open(context))?;
        self.shared.engine().protocols.poll_writable(self.handle, context.waker())
    }

    fn follow(&self, context: &mut Context<'_>) {
        self.shared.engine().protocols.follow(self.handle, context.waker());
    }

    fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        would_wait(self.poll_read(&Context::from_waker(Waker::noop()), buf))
    }

    fn try_peek(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        would_wait(self.poll_readable(&mut Context::from_waker(Waker::noop())).map(|ready| {
            ready?;
            self.shared.engine().protocols.peek(self.handle, buf)
        }))
    }

    fn try_write(&self, buf: &[u8]) -> Result<Option<usize>, Error> {
        would_wait(self.poll_write(&Context::from_waker(Waker::noop()), buf))
    }

    fn progress(&self) -> Progress {
        self.shared.engine().protocols.progress(self.handle)
    }

    fn options(&self) -> TcpOptions {
        self.shared.engine().protocols.options(self.handle)
    }

    fn set_options(&self, options: TcpOptions) -> Result<(), Error> {
        self.is_held()?;
        self.shared.engine().protocols.set_options(self.handle, options);
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), Error> {
        self.is_held()?;
        if self.end.replace(End::Shut) == End::Open {
            self.shared.engine().protocols.end(self.handle);
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.is_held()?;
        self.end.set(End::Closed);
        self.shared.engine().protocols.end(self.handle);
        let mut last = State::Ending;
        let closed = poll_fn(|context| {
            self.shared.engine().protocols.discard(self.handle, context.waker());
            last = self.state(context)?;
            match last {
                State::Closed { arrived: true } => Poll::Ready(Ok(())),
                State::Closed { arrived: false } => Poll::Ready(Err(Error::Reset)),
                _ => Poll::Pending,
            }
        });
        let closed = timeout(CLOSE, closed).await;
        match (closed, last) {
            (Ok(closed), _) => closed,
            // All has arrived, and the peer is in no hurry to end its own side.
            (Err(_), State::Ended) => Ok(()),
            (Err(_), _) => Err(Error::TimedOut),
        }
    }

    fn abort(&self) {
        self.end.set(End::Closed);
        self.shared.engine().protocols.abort(self.handle);
    }

    fn leave(&mut self, unread: &[u8]) {
        if self.is_held().is_ok() {
            self.end.set(End::Left);
            self.shared.engine().leave(self.handle, unread);
        }
    }

    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

#[cfg(test)]
mod tests;
