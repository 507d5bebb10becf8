//! A connection of any type, so that nothing above it has to name the type.

use super::pace::Pace;
use super::response::Head;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::ops::Range;
use core::pin::pin;
use core::task::{Context, Poll};
use embedded_io_async::{ErrorType, Read, Write};
use ip::Shared;
use ip::{Error, Stream};

/// What a server needs of a [`Stream`]. Handlers, and what they are given, are written against
/// this behind a pointer: so they have no type parameters, and are compiled once.
pub(super) trait Wire {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>>;
    fn poll_write(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>>;
    fn poll_share(
        &mut self,
        context: &mut Context<'_>,
        shared: &Shared,
        range: Range<usize>,
    ) -> Poll<Result<usize, Error>>;
    /// Writes what is followed by more at once; as anything else by default.
    fn poll_more(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        self.poll_write(context, buf)
    }
    /// Hands on what a layer beneath holds back; there is none by default.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
    /// Bytes that were written, and that the peer has not confirmed; none where that is not known.
    fn unconfirmed(&self) -> usize {
        0
    }
    fn peer(&self) -> SocketAddr;
    fn local(&self) -> SocketAddr;
    /// Whether a layer beneath has agreed on this protocol; `None` where there is no agreement.
    fn agreed_on(&self, _protocol: &[u8]) -> Option<bool> {
        None
    }

    /// Sends the head of a response in a form of its own; `None` where it is text, which is
    /// written as the content is.
    fn poll_head(
        &mut self,
        _: &mut Context<'_>,
        _: &Head<'_>,
    ) -> Option<Poll<Result<usize, Error>>> {
        None
    }
}

impl<S: Stream> Wire for S {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        Stream::poll_read(self, context, buf)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        Stream::poll_write(self, context, buf)
    }

    fn poll_share(
        &mut self,
        context: &mut Context<'_>,
        shared: &Shared,
        range: Range<usize>,
    ) -> Poll<Result<usize, Error>> {
        Stream::poll_share(self, context, shared, range)
    }

    fn poll_more(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        Stream::poll_write_more(self, context, buf)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Stream::poll_flush(self, context)
    }

    fn unconfirmed(&self) -> usize {
        Stream::progress(self).unacknowledged
    }

    fn peer(&self) -> SocketAddr {
        Stream::peer_addr(self)
    }

    fn local(&self) -> SocketAddr {
        Stream::local_addr(self)
    }

    fn agreed_on(&self, protocol: &[u8]) -> Option<bool> {
        Stream::agreed_on(self, protocol)
    }
}

/// A borrowed connection: bytes each way.
pub(super) struct Link<'a> {
    wire: &'a mut (dyn Wire + 'a),
    /// A write was dropped halfway, so that what is written next would stand where no one looks for it.
    torn: bool,
    /// Bytes of what is to be written for which the peer's pace has been credited before.
    ahead: usize,
}

/// Writes once, or hands on what was written.
type Step<'s> = dyn FnMut(&mut dyn Wire, &mut Context<'_>) -> Poll<Result<usize, Error>> + 's;

impl<'a> Link<'a> {
    pub(super) fn new(stream: &'a mut impl Stream) -> Self {
        Self::to(stream)
    }

    /// What is not a connection of its own, but serves as one.
    pub(super) fn to(wire: &'a mut (dyn Wire + 'a)) -> Self {
        Self { wire, torn: false, ahead: 0 }
    }

    /// The same connection, for a shorter time.
    pub(super) fn reborrow(&mut self) -> Link<'_> {
        Link { wire: &mut *self.wire, torn: self.torn, ahead: self.ahead }
    }

    /// Whether nothing can be said any more, as something was said by halves.
    pub(super) const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Notes that something begins to be written, for who calls [`whole`](Self::whole) when it is.
    fn begin(&mut self) -> Result<(), super::Error> {
        if core::mem::replace(&mut self.torn, true) {
            return Err(super::Error::Connection(Error::Reset));
        }
        Ok(())
    }

    /// Notes that all of it is written.
    const fn whole(&mut self) {
        self.torn = false;
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.wire.peer()
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.wire.local()
    }

    /// See [`Wire::agreed_on`].
    pub(super) fn agreed_on(&self, protocol: &[u8]) -> Option<bool> {
        self.wire.agreed_on(protocol)
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Error>> {
        self.wire.poll_read(context, buf)
    }

    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, Error>> {
        self.wire.poll_write(context, buf)
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wire.poll_flush(context)
    }

    /// See [`Wire::unconfirmed`].
    pub(super) fn unconfirmed(&self) -> usize {
        self.wire.unconfirmed()
    }
}

impl Link<'_> {
    /// Does `step`, in time; what it returns. While it waits, what the peer confirms counts as what it
    /// does: a layer beneath, such as TLS, takes a record as a whole, which a slow peer takes bit by
    /// bit.
    async fn in_time(
        &mut self,
        pace: &mut Pace,
        step: &mut Step<'_>,
    ) -> Result<usize, super::Error> {
        loop {
            let (mut before, mut done) = (None, None);
            let (wire, ahead) = (&mut *self.wire, &mut self.ahead);
            let moved = poll_fn(|context| {
                if let Poll::Ready(count) = step(wire, context) {
                    let count = *done.insert(count?);
                    let known = count.min(*ahead);
                    *ahead -= known;
                    return Poll::Ready(Ok(count - known));
                }
                let left = wire.unconfirmed();
                match before.replace(left).and_then(|before: usize| before.checked_sub(left)) {
                    None | Some(0) => Poll::Pending,
                    Some(count) => {
                        *ahead += count;
                        Poll::Ready(Ok(count))
                    }
                }
            });
            match (pace.wait(pin!(moved)).await, done) {
                (Ok(Ok(_)), Some(count)) => return Ok(count),
                (Ok(Ok(_)), None) => {}
                (Ok(Err(error)), _) => return Err(super::Error::Connection(error)),
                (Err(_), _) => return Err(super::Error::Connection(Error::TimedOut)),
            }
        }
    }

    /// Sends the head of a response, if that is not text here; whether it did.
    pub(super) async fn head(
        &mut self,
        head: &Head<'_>,
        pace: &mut Pace,
    ) -> Result<bool, super::Error> {
        let mut text = false;
        let step = poll_fn(|context| {
            self.wire.poll_head(context, head).unwrap_or_else(|| {
                text = true;
                Poll::Ready(Ok(0))
            })
        });
        match pace.wait(pin!(step)).await {
            Ok(sent) => sent.map(|_| !text).map_err(super::Error::Connection),
            Err(_) => Err(super::Error::Connection(Error::TimedOut)),
        }
    }

    /// Writes the bytes of `shared` in `range`, each part of it in time.
    pub(super) async fn share(
        &mut self,
        shared: &Shared,
        mut range: Range<usize>,
        pace: &mut Pace,
    ) -> Result<(), super::Error> {
        self.begin()?;
        while !range.is_empty() {
            let step = &mut |wire: &mut dyn Wire, context: &mut Context<'_>| {
                wire.poll_share(context, shared, range.clone())
            };
            match self.in_time(pace, step).await? {
                0 => return Err(super::Error::Connection(Error::TimedOut)),
                count => range.start += count,
            }
        }
        self.whole();
        self.flush_in(pace).await
    }

    /// Writes all of `bytes`, each part of it in time, and leaves none of it with a layer beneath:
    /// who writes may wait for something else then, and nobody would hand it on.
    ///
    /// # Errors
    /// Those of the connection; [`Error::Reset`] where an earlier write was dropped before its end,
    /// here and in what follows.
    pub(super) async fn put(
        &mut self,
        mut bytes: &[u8],
        pace: &mut Pace,
    ) -> Result<(), super::Error> {
        self.begin()?;
        while !bytes.is_empty() {
            let step = &mut |wire: &mut dyn Wire, context: &mut Context<'_>| {
                wire.poll_write(context, bytes)
            };
            match self.in_time(pace, step).await? {
                0 => return Err(super::Error::Connection(Error::TimedOut)),
                count => bytes = bytes.get(count..).unwrap_or_default(),
            }
        }
        self.whole();
        self.flush_in(pace).await
    }

    /// Writes all of `bytes`, each part of it in time, which `put` or `share` follows at once: a layer
    /// beneath may make one piece of both.
    pub(super) async fn put_more(
        &mut self,
        mut bytes: &[u8],
        pace: &mut Pace,
    ) -> Result<(), super::Error> {
        self.begin()?;
        while !bytes.is_empty() {
            let step = &mut |wire: &mut dyn Wire, context: &mut Context<'_>| {
                wire.poll_more(context, bytes)
            };
            match self.in_time(pace, step).await? {
                0 => return Err(super::Error::Connection(Error::TimedOut)),
                count => bytes = bytes.get(count..).unwrap_or_default(),
            }
        }
        self.whole();
        Ok(())
    }

    /// Waits, in time, until no layer beneath holds anything back.
    pub(super) async fn flush_in(&mut self, pace: &mut Pace) -> Result<(), super::Error> {
        let step = &mut |wire: &mut dyn Wire, context: &mut Context<'_>| {
            wire.poll_flush(context).map_ok(|()| 0)
        };
        self.in_time(pace, step).await.map(drop)
    }
}

impl ErrorType for Link<'_> {
    type Error = Error;
}

impl Read for Link<'_> {
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, Error>> {
        poll_fn(|context| self.wire.poll_read(context, buf))
    }
}

impl Write for Link<'_> {
    fn write(&mut self, buf: &[u8]) -> impl Future<Output = Result<usize, Error>> {
        poll_fn(|context| self.wire.poll_write(context, buf))
    }

    /// Waits until a layer beneath holds nothing back. TCP sends each write as soon as the peer
    /// takes it.
    async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.wire.poll_flush(context)).await
    }
}
