//! TCP connections and listeners.

#[cfg(test)]
mod abuse;
mod ack;
pub(crate) mod congestion;
pub(crate) mod connection;
mod input;
mod islands;
#[cfg(test)]
mod model;
mod output;
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
mod tlp;
mod tuning;
mod undo;

use super::shared::Shared;
use super::stack::{Handle, State};
use super::{Error, Listener, Stream};
use alloc::rc::Rc;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};
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
            let accept = |context: &mut Context<'_>| {
                self.shared.engine().poll_accept(self.local, context.waker())
            };
            let handle = poll_fn(accept).await?;
            if self.shared.engine().protocols.is_quiet(handle) {
                // It was reset meanwhile.
                self.shared.engine().release(handle);
                continue;
            }
            let (local, peer) = self.shared.engine().protocols.ends(handle);
            let shared = Rc::clone(&self.shared);
            let stream = TcpStream { shared, handle, local, peer, end: End::Open };
            return Ok((stream, peer));
        }
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
}

/// A connection. A write is complete when the stack has the bytes, which it sends
/// again until they arrive; [`close`](Stream::close) says whether they did.
pub struct TcpStream {
    shared: Rc<Shared>,
    handle: Handle,
    local: SocketAddr,
    peer: SocketAddr,
    end: End,
}

impl TcpStream {
    pub(super) async fn connect(shared: Rc<Shared>, addr: SocketAddr) -> Result<Self, Error> {
        let handle = shared.engine().connect(addr)?;
        let (local, peer) = shared.engine().protocols.ends(handle);
        let mut stream = Self { shared, handle, local, peer, end: End::Open };
        let opened = poll_fn(|context| match stream.state(context)? {
            State::Opening => Poll::Pending,
            State::Closed { .. } => Poll::Ready(Err(Error::Refused)),
            State::Open | State::Ending | State::Ended => Poll::Ready(Ok(())),
        });
        let opened = timeout(CONNECT, opened).await.unwrap_or(Err(Error::TimedOut));
        if opened.is_err() {
            stream.end = End::Closed;
        }
        opened.map(|()| stream)
    }

    /// Asks the peer for a sign of life when it was silent for `idle`, nine times, 75 s apart,
    /// and then takes it for gone: [`Error::Reset`]. `None`, the default, does not (RFC 9293,
    /// section 3.8.4), so that a peer that vanished is noticed when something is sent to it.
    pub fn set_keep_alive(&mut self, idle: Option<Duration>) {
        self.shared.engine().protocols.set_keep_alive(self.handle, idle);
    }

    /// Sends small pieces at once (`TCP_NODELAY`), which is the default, or one at a time, until
    /// the peer has acknowledged it (Nagle's algorithm, RFC 9293, section 3.7.4).
    pub fn set_no_delay(&mut self, no_delay: bool) {
        self.shared.engine().protocols.set_no_delay(self.handle, no_delay);
    }

    /// Gives the connection up when the peer acknowledges nothing for so long (RFC 9293,
    /// section 3.8.3). `None`, the default, sends 13 times again, some 15 minutes.
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        self.shared.engine().protocols.set_user_timeout(self.handle, timeout);
    }

    /// Ready when [`try_read`](Self::try_read) would not return `None`. Any number of tasks
    /// may wait.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.end == End::Closed {
            return Poll::Ready(Err(Error::Closed));
        }
        self.shared.engine().protocols.poll_readable(self.handle, context.waker())
    }

    /// Ready when [`try_write`](Self::try_write) would not return `None`. Any number of tasks
    /// may wait.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.end != End::Open {
            return Poll::Ready(Err(Error::Closed));
        }
        self.shared.engine().protocols.poll_writable(self.handle, context.waker())
    }

    /// Reads without waiting: `None` where `read` would wait.
    ///
    /// # Errors
    /// As of `read`.
    pub fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        would_wait(self.poll_read(&Context::from_waker(Waker::noop()), buf))
    }

    /// Writes without waiting: `None` where `write` would wait.
    ///
    /// # Errors
    /// As of `write`.
    pub fn try_write(&self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        would_wait(self.poll_write(&Context::from_waker(Waker::noop()), bytes))
    }

    /// Copies what can be read and leaves it there: 0 bytes when there is nothing now, or the
    /// peer has ended, which [`poll_readable`](Self::poll_readable) tells apart.
    #[must_use]
    pub fn peek(&self, buf: &mut [u8]) -> usize {
        self.shared.engine().protocols.peek(self.handle, buf)
    }

    /// Waits until reading would not wait.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    fn state(&self, context: &Context<'_>) -> Result<State, Error> {
        self.shared.engine().protocols.state(self.handle, context.waker())
    }

    fn poll_read(&self, context: &Context<'_>, to: &mut [u8]) -> Poll<Result<usize, Error>> {
        if self.end == End::Closed {
            return Poll::Ready(Err(Error::Closed));
        }
        self.shared.engine().protocols.poll_read(self.handle, to, context.waker())
    }

    fn poll_write(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        if self.end != End::Open {
            return Poll::Ready(Err(Error::Closed));
        }
        self.shared.engine().protocols.poll_write(self.handle, bytes, context.waker())
    }
}

/// What a call that does not wait makes of one that might.
fn would_wait<T>(result: Poll<Result<T, Error>>) -> Result<Option<T>, Error> {
    match result {
        Poll::Ready(result) => result.map(Some),
        Poll::Pending => Ok(None),
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
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
        if stream.end == End::Closed {
            return Err(Error::Closed);
        }
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

    async fn shutdown(&mut self) -> Result<(), Error> {
        match self.end {
            End::Closed => Err(Error::Closed),
            End::Shut => Ok(()),
            End::Open => {
                self.end = End::Shut;
                self.shared.engine().protocols.end(self.handle);
                Ok(())
            }
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        if self.end == End::Closed {
            return Err(Error::Closed);
        }
        self.end = End::Closed;
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

    fn abort(&mut self) {
        self.end = End::Closed;
        self.shared.engine().protocols.abort(self.handle);
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
