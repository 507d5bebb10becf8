//! A stream over a stream, encrypted.

use crate::handshakes::Slot;
use crate::session::{CHAIN, RECORD, Session, Side, Take};
use crate::{ClientConfig, Error, Peer, ServerConfig};
use alloc::boxed::Box;
use core::cell::RefCell;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use ip::{Progress, Stream, TcpOptions};
use kernel::time::{Sleep, sleep, timeout};

/// Bytes that may wait to be sent before nothing more is read.
const HIGH: usize = 2 * RECORD;

/// When who waits for memory tries again, as with TCP.
const STARVED: Duration = Duration::from_millis(50);

/// How long the peer may take for what is left at the end.
const LAST: Duration = Duration::from_secs(30);

/// What is known until the handshake is done.
#[derive(Debug)]
struct Shaking {
    deadline: Pin<Box<Sleep>>,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct State {
    session: Session,
    shaking: Option<Shaking>,
    /// Who it should be, for the log.
    peer: Peer,
    /// Why the stream below takes nothing any more.
    lost: Option<ip::Error>,
    /// When who reads, and who writes, asks for memory again.
    starved: [Option<Sleep>; 2],
}

/// What somebody waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Bytes, or their end.
    Read,
    /// Room for a record.
    Write,
    /// That all is with the stream below.
    Flush,
}

/// A stream that is encrypted, over any other ([RFC 8446]); or one as it is, of a client that
/// speaks both.
///
/// The handshake is made by whoever reads or writes first, or by [`handshake`](Self::handshake),
/// and has to be done within a limit. What goes wrong is told by the error of the call, which is
/// [`ip::Error::Untrusted`] for most of it, by [`failure`](Self::failure), and by a line of the
/// log. A connection that ends without `close_notify` is [`ip::Error::Reset`] for who reads to its
/// end, as it may have been cut.
///
/// While a connection is idle, its buffers take no memory. While memory is low, no handshake is
/// made, and what is open goes on; while it is nearly gone, that waits.
///
/// Dropping one closes it in order, as one of TCP, with `close_notify` behind what was written. What
/// the stream below has no room for at that moment is lost, and the stream reset;
/// [`close`](Stream::close) waits for it.
///
/// [RFC 8446]: https://www.rfc-editor.org/rfc/rfc8446
#[derive(Debug)]
pub struct Tls<S: Stream> {
    inner: S,
    /// On the heap, as futures hold a stream that is moved into them several times.
    state: Option<Box<RefCell<State>>>,
}

impl<S: Stream> Tls<S> {
    /// Makes the server's end of a connection.
    ///
    /// # Errors
    /// [`Error::NoEntropy`], [`Error::Memory`].
    pub fn accept(inner: S, config: &ServerConfig) -> Result<Self, Error> {
        let peer = Peer::Client(inner.peer_addr());
        let side = Side::Server(config.connection()?);
        Self::new(inner, side, peer, config.limits(), None)
    }

    pub(crate) fn accept_in(inner: S, config: &ServerConfig, slot: Slot) -> Result<Self, Error> {
        let peer = Peer::Client(inner.peer_addr());
        let side = Side::Server(config.connection()?);
        Self::new(inner, side, peer, config.limits(), Some(slot))
    }

    /// Makes the client's end of a connection with the host of that name, which may be an address.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::NoEntropy`], [`Error::Memory`].
    pub fn connect(inner: S, name: &str, config: &ClientConfig) -> Result<Self, Error> {
        let side = Side::Client(config.connection(name)?);
        let limits = (config.handshake, CHAIN);
        Self::new(inner, side, Peer::Server(name.into()), limits, None)
    }

    /// Makes a connection that is not encrypted.
    pub const fn plain(inner: S) -> Self {
        Self { inner, state: None }
    }

    /// Makes an end whose handshake may take so long, and have messages of so many bytes.
    fn new(
        inner: S,
        side: Side,
        peer: Peer,
        (limit, longest): (Duration, usize),
        slot: Option<Slot>,
    ) -> Result<Self, Error> {
        let shaking = Some(Shaking { deadline: Box::pin(sleep(limit)), slot });
        let (session, starved) = (Session::new(side, longest), [None, None]);
        let state = State { session, shaking, peer, lost: None, starved };
        let state = kernel::memory::boxed(RefCell::new(state)).map_err(|_| Error::Memory)?;
        Ok(Self { inner, state: Some(state) })
    }

    /// Waits until the handshake is done.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn handshake(&self) -> Result<(), Error> {
        let done = poll_fn(|context| self.poll_for(Some(context), Want::Write)).await;
        done.map_err(|error| self.failure().unwrap_or(Error::Network(error)))
    }

    /// Returns why it failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.state.as_ref()?.borrow().session.failed().cloned()
    }

    /// Returns the protocol that both ends agreed on (ALPN, RFC 7301).
    #[must_use]
    pub fn protocol(&self) -> Option<alloc::vec::Vec<u8>> {
        self.state.as_ref()?.borrow().session.protocol().map(<[u8]>::to_vec)
    }

    /// Returns what binds a login to the server of this connection, once the client's handshake is
    /// done: its certificate, hashed (`tls-server-end-point`, RFC 5929, section 4). `None` where that
    /// says of no hash, as for certificates that are signed by Ed25519.
    #[must_use]
    pub fn end_point(&self) -> Option<alloc::vec::Vec<u8>> {
        crate::binding::end_point(self.state.as_ref()?.borrow().session.certificate()?)
    }

    /// Returns whether the handshake was shortened, by what both ends knew of an earlier one.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.borrow().session.is_resumed())
    }

    /// The stream below.
    #[cfg(test)]
    pub(crate) const fn below(&self) -> &S {
        &self.inner
    }

    /// Bytes that its buffers take.
    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.borrow().session.buffered())
    }

    /// Works until `want` is there, and wakes `context` when it may be.
    fn poll_for(
        &self,
        mut context: Option<&mut Context<'_>>,
        want: Want,
    ) -> Poll<Result<(), ip::Error>> {
        let Some(state) = &self.state else { return Poll::Ready(Ok(())) };
        let mut state = state.borrow_mut();
        let State { session, shaking, peer, lost, starved } = &mut *state;
        // Not all of what is allocated beneath can fail.
        let starves = session.is_open() && kernel::memory::is_nearly_gone();
        // Who reads or flushes has nothing to add.
        if want != Want::Write && session.held() > 0 && !starves && session.release(&[]).is_none() {
            fail(session, peer, Error::Memory);
        }
        // The stream below said that it is ready.
        let mut again = false;
        loop {
            let waiting = session.outgoing().len();
            self.send(session, lost);
            again &= session.outgoing().len() == waiting;
            if session.is_open() {
                *shaking = None;
            }
            let there = match want {
                Want::Read => session.readable() > 0 || session.is_ended(),
                Want::Write => session.is_open() && session.outgoing().is_empty() && !starves,
                Want::Flush => session.outgoing().is_empty() && session.held() == 0,
            };
            // What came before a failure can still be read.
            if want == Want::Read && there {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = session.failed() {
                return Poll::Ready(Err(error.short()));
            }
            let wants = want == Want::Read || (!session.is_open() && want == Want::Write);
            if let Some(error) = lost.filter(|_| !wants) {
                return Poll::Ready(Err(error));
            }
            if there {
                return Poll::Ready(Ok(()));
            }
            let writes = !session.outgoing().is_empty();
            let reads = wants && session.outgoing().len() < HIGH && !starves;
            let came =
                reads && self.receive(session, peer).map_err(|error| lost.unwrap_or(error))?;
            if let Some(Shaking { slot: Some(slot), .. }) = shaking
                && !session.is_open()
                && !slot.hold(session.unfinished())
            {
                fail(session, peer, Error::Crowded);
                continue;
            }
            if came {
                again = false;
                continue;
            }
            // What came before the stream was lost has been read, the peer's reason among it.
            if let Some(error) = lost.filter(|_| reads) {
                return Poll::Ready(Err(error));
            }
            let Some(context) = context.as_deref_mut() else { return Poll::Pending };
            if let Some(Shaking { deadline, slot }) = shaking {
                let over = match slot {
                    Some(slot) if slot.poll_lost(context) => Some(Error::Crowded),
                    _ => deadline.as_mut().poll(context).is_ready().then_some(Error::TimedOut),
                };
                if let Some(over) = over {
                    fail(session, peer, over);
                    continue;
                }
            }
            if reads && self.inner.poll_readable(context)?.is_ready()
                || writes && self.inner.poll_writable(context)?.is_ready()
            {
                if !core::mem::replace(&mut again, true) {
                    continue;
                }
                // It is, and takes and gives nothing: others run before it is asked once more.
                context.waker().wake_by_ref();
            }
            if starves {
                let timer = &mut starved[usize::from(want != Want::Read)];
                let _ = Pin::new(timer.insert(sleep(STARVED))).poll(context);
            }
            session.rest();
            if let Some(Shaking { slot: Some(slot), .. }) = shaking {
                // No more than before.
                slot.hold(session.unfinished());
            }
            return Poll::Pending;
        }
    }

    /// Sends what can be sent without waiting. What is `lost` is for later to tell: the peer may have
    /// said something before.
    fn send(&self, session: &mut Session, lost: &mut Option<ip::Error>) {
        while !session.outgoing().is_empty() && lost.is_none() {
            match self.inner.try_write(session.outgoing()) {
                Ok(Some(count)) => session.sent(count),
                Ok(None) => return,
                // The half was ended, and what is left answers something that came later.
                Err(ip::Error::Closed) if session.is_shut() => session.discard(),
                Err(error) => *lost = Some(error),
            }
        }
        if lost.is_some() {
            session.discard();
        }
    }

    /// Receives what came, and does what it asks for; whether anything came.
    fn receive(&self, session: &mut Session, peer: &Peer) -> Result<bool, ip::Error> {
        let before = session.stage();
        if session.has_work() {
            session.proceed();
        }
        if session.stage() != before {
            log_failure(session, peer);
            return Ok(true);
        }
        if session.failed().is_none() {
            let read = |take, to: &mut [u8]| match take {
                Take::Peek => self.inner.try_peek(to),
                Take::Read => self.inner.try_read(to),
            };
            match session.receive(read)? {
                Some(0) => session.fail(Error::Truncated),
                Some(_) => session.proceed(),
                None if session.failed().is_none() => return Ok(false),
                None => {}
            }
        }
        log_failure(session, peer);
        Ok(true)
    }

    /// Copies bytes that there are to be read, and takes them unless they are peeked at.
    fn take(&self, peek: bool, buf: &mut [u8]) -> Option<usize> {
        let mut state = self.state.as_ref()?.borrow_mut();
        let count = state.session.peek(buf);
        if !peek {
            state.session.consume(count);
        }
        Some(count)
    }

    /// Encrypts and sends the first of `buf`; how many bytes.
    fn put(&self, buf: &[u8]) -> Result<usize, ip::Error> {
        let Some(state) = &self.state else { return Ok(0) };
        let mut state = state.borrow_mut();
        let State { session, peer, lost, .. } = &mut *state;
        if session.is_shut() {
            return Err(ip::Error::Closed);
        }
        let Some(count) = session.release(buf) else {
            fail(session, peer, Error::Memory);
            return Err(session.failed().map_or(ip::Error::Reset, Error::short));
        };
        self.send(session, lost);
        lost.map_or(Ok(count), Err)
    }

    /// Holds `buf` back for a record with what follows; whether it could.
    fn hold(&self, buf: &[u8]) -> bool {
        self.state.as_ref().is_some_and(|state| {
            let session = &mut state.borrow_mut().session;
            !session.is_shut() && session.hold(buf)
        })
    }
}

impl<S: Stream> Drop for Tls<S> {
    /// Ends it as the stream below is ended that is dropped, in order or by a reset, with the end of
    /// TLS before that of the stream.
    fn drop(&mut self) {
        let Some(state) = self.state.take() else { return };
        let State { mut session, mut lost, .. } = state.into_inner();
        if !session.is_open() || session.is_shut() || session.failed().is_some() {
            return;
        }
        let starves = session.held() > 0 && kernel::memory::is_nearly_gone();
        if session.readable() > 0 || starves {
            return self.inner.abort();
        }
        session.end();
        self.send(&mut session, &mut lost);
        if !session.outgoing().is_empty() {
            // A part of a record is nothing.
            self.inner.abort();
        }
    }
}

/// Logs why what came makes it fail.
fn log_failure(session: &Session, peer: &Peer) {
    if let Some(error) = session.failed() {
        log(peer, error);
    }
}

fn fail(session: &mut Session, peer: &Peer, error: Error) {
    if session.failed().is_none() {
        log(peer, &error);
    }
    session.fail(error);
}

/// Says why a connection fails. A client that goes away is nothing to tell of.
fn log(peer: &Peer, error: &Error) {
    match (peer, error) {
        (_, Error::Truncated) | (Peer::Client(_), _) => log::debug!("{peer}: {error}"),
        (Peer::Server(_), _) => log::error!("{peer}: {error}"),
    }
}

/// Turns what is not there yet into `None`.
fn now<T>(poll: Poll<Result<T, ip::Error>>) -> Result<Option<T>, ip::Error> {
    match poll {
        Poll::Ready(result) => result.map(Some),
        Poll::Pending => Ok(None),
    }
}

/// What a call gave that was said to be worth it; when that is nothing, it is worth another one
/// after others ran.
fn or_again(
    result: Result<Option<usize>, ip::Error>,
    context: &Context<'_>,
) -> Poll<Result<usize, ip::Error>> {
    if let Some(result) = result.transpose() {
        return Poll::Ready(result);
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

impl<S: Stream> ErrorType for Tls<S> {
    type Error = ip::Error;
}

impl<S: Stream> Read for Tls<S> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ip::Error> {
        poll_fn(|context| self.poll_read(context, buf)).await
    }
}

impl<S: Stream> Write for Tls<S> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ip::Error> {
        poll_fn(|context| self.poll_write(context, buf)).await
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        poll_fn(|context| self.poll_for(Some(context), Want::Flush)).await?;
        self.inner.flush().await
    }
}

/// One half of a [`Tls`]. Its `flush` hands all to the stream below, and waits for no
/// acknowledgement of the peer's, as that of a whole one does.
#[derive(Debug)]
pub struct Half<'a, S: Stream>(&'a Tls<S>);

impl<S: Stream> ErrorType for Half<'_, S> {
    type Error = ip::Error;
}

impl<S: Stream> Read for Half<'_, S> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ip::Error> {
        poll_fn(|context| {
            ready!(self.0.poll_readable(context))?;
            or_again(self.0.try_read(buf), context)
        })
        .await
    }
}

impl<S: Stream> Write for Half<'_, S> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ip::Error> {
        poll_fn(|context| {
            ready!(self.0.poll_writable(context))?;
            or_again(self.0.try_write(buf), context)
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ip::Error> {
        poll_fn(|context| self.0.poll_for(Some(context), Want::Flush)).await
    }
}

impl<S: Stream> Stream for Tls<S> {
    type Reader<'a>
        = Half<'a, S>
    where
        Self: 'a;
    type Writer<'a>
        = Half<'a, S>
    where
        Self: 'a;

    fn split(&mut self) -> (Half<'_, S>, Half<'_, S>) {
        (Half(self), Half(self))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, ip::Error>> {
        if self.state.is_none() {
            return self.inner.poll_read(context, buf);
        }
        ready!(self.poll_for(Some(context), Want::Read))?;
        Poll::Ready(Ok(self.take(false, buf).unwrap_or(0)))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, ip::Error>> {
        if self.state.is_none() {
            return self.inner.poll_write(context, buf);
        }
        ready!(self.poll_for(Some(context), Want::Write))?;
        Poll::Ready(self.put(buf))
    }

    fn poll_write_more(
        &mut self,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, ip::Error>> {
        if self.state.is_none() {
            return self.inner.poll_write_more(context, buf);
        }
        ready!(self.poll_for(Some(context), Want::Write))?;
        Poll::Ready(if self.hold(buf) { Ok(buf.len()) } else { self.put(buf) })
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        ready!(self.poll_for(Some(context), Want::Flush))?;
        self.inner.poll_flush(context)
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        match self.state {
            None => self.inner.poll_readable(context),
            // A failure is the next call's to tell.
            Some(_) => self.poll_for(Some(context), Want::Read).map(|_| Ok(())),
        }
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        match self.state {
            None => self.inner.poll_writable(context),
            Some(_) => self.poll_for(Some(context), Want::Write),
        }
    }

    fn try_read(&self, buf: &mut [u8]) -> Result<Option<usize>, ip::Error> {
        if self.state.is_none() {
            return self.inner.try_read(buf);
        }
        Ok(now(self.poll_for(None, Want::Read))?.and_then(|()| self.take(false, buf)))
    }

    fn try_peek(&self, buf: &mut [u8]) -> Result<Option<usize>, ip::Error> {
        if self.state.is_none() {
            return self.inner.try_peek(buf);
        }
        Ok(now(self.poll_for(None, Want::Read))?.and_then(|()| self.take(true, buf)))
    }

    fn try_write(&self, buf: &[u8]) -> Result<Option<usize>, ip::Error> {
        if self.state.is_none() {
            return self.inner.try_write(buf);
        }
        match now(self.poll_for(None, Want::Write))? {
            Some(()) => self.put(buf).map(Some),
            None => Ok(None),
        }
    }

    fn in_handshake(&self) -> bool {
        self.state.as_ref().is_some_and(|state| !state.borrow().session.is_open())
    }

    fn agreed_on(&self, protocol: &[u8]) -> Option<bool> {
        Some(self.state.as_ref()?.borrow().session.protocol()? == protocol)
    }

    fn progress(&self) -> Progress {
        let below = self.inner.progress();
        let Some(state) = &self.state else { return below };
        let session = &state.borrow().session;
        Progress {
            readable: session.readable(),
            unacknowledged: below.unacknowledged + session.held() + session.outgoing().len(),
            ended: session.is_ended() || below.ended,
            finished: session.is_ended() || below.finished,
        }
    }

    fn options(&self) -> TcpOptions {
        self.inner.options()
    }

    fn set_options(&self, options: TcpOptions) -> Result<(), ip::Error> {
        self.inner.set_options(options)
    }

    async fn shutdown(&self) -> Result<(), ip::Error> {
        if let Some(state) = &self.state {
            let held = state.borrow().session.held() > 0;
            if held {
                // There may be no memory for it yet. Why it cannot be sent is told below.
                let _ = poll_fn(|context| self.poll_for(Some(context), Want::Flush)).await;
            }
            state.borrow_mut().session.end();
            poll_fn(|context| self.poll_for(Some(context), Want::Flush)).await?;
        }
        self.inner.shutdown().await
    }

    async fn close(&mut self) -> Result<(), ip::Error> {
        let ended = timeout(LAST, self.shutdown()).await;
        self.inner.close().await?;
        ended.unwrap_or(Err(ip::Error::TimedOut))
    }

    fn abort(&self) {
        self.inner.abort();
    }

    fn peer_addr(&self) -> SocketAddr {
        self.inner.peer_addr()
    }

    fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr()
    }
}
