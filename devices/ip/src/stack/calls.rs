//! What programs do with TCP connections, and how they wait for it.

use super::Protocols;
use super::sets::Handle;
use crate::tcp::congestion::Cubic;
use crate::tcp::connection::{Connection, State as Tcp};
use crate::{Error, Progress, TcpOptions};
use core::ops::Range;
use core::task::{Poll, Waker};
use core::time::Duration;
use devices::net::Shared;
use kernel::time::Instant;

/// When who waits for memory to write tries again.
const STARVED: Duration = Duration::from_millis(50);

/// How a TCP connection is, for those who wait for it to come or to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is not open yet.
    Opening,
    Open,
    /// This side has ended, and the peer has not confirmed that.
    Ending,
    /// The peer has confirmed the end of this side, and has not ended itself.
    Ended,
    /// It is over; `arrived` says whether all that was written did.
    Closed {
        arrived: bool,
    },
}

/// What calls fail with whose connection is over.
const fn over(connection: &Connection<Cubic>) -> Error {
    if connection.is_given_up() { Error::TimedOut } else { Error::Reset }
}

/// How a connection that nobody holds any more may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// So many bytes came that nobody will read.
    Unread(usize),
    /// The peer has not acknowledged so many bytes, or the end behind them.
    Ending(usize),
    /// The peer has all, and has not ended itself.
    Waiting,
    /// It is over, or never came about.
    Over,
}

impl Protocols {
    /// How the connection is; `waker` is woken when that changes.
    pub(crate) fn state(&mut self, handle: Handle, waker: &Waker) -> Result<State, Error> {
        self.up()?;
        let endpoint = self.endpoint(handle);
        endpoint.watchers.add(waker);
        let connection = &endpoint.connection;
        let arrived = connection.has_arrived();
        Ok(match connection.state() {
            Tcp::SynSent | Tcp::SynReceived => State::Opening,
            Tcp::Established | Tcp::CloseWait => State::Open,
            Tcp::FinWait1 | Tcp::Closing | Tcp::LastAck => State::Ending,
            Tcp::FinWait2 => State::Ended,
            Tcp::TimeWait => State::Closed { arrived: true },
            Tcp::Closed => State::Closed { arrived },
        })
    }

    /// Ready when a connection has come about, or will not.
    pub(crate) fn poll_open(&mut self, handle: Handle, waker: &Waker) -> Poll<Result<(), Error>> {
        self.up()?;
        let endpoint = self.endpoint(handle);
        let connection = &endpoint.connection;
        match connection.state() {
            Tcp::SynSent | Tcp::SynReceived => {
                endpoint.watchers.add(waker);
                Poll::Pending
            }
            Tcp::Closed if !connection.was_open() => {
                let silent = connection.is_given_up();
                Poll::Ready(Err(if silent { Error::TimedOut } else { Error::Refused }))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads; 0 bytes when the peer has ended.
    pub(crate) fn poll_read(
        &mut self,
        handle: Handle,
        to: &mut [u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let (up, now) = (self.up(), Instant::now());
        let endpoint = self.endpoint(handle);
        let connection = &mut endpoint.connection;
        if connection.readable() > 0 || to.is_empty() {
            let count = connection.read(to, now);
            // There is room that the peer may have to be told of.
            if connection.is_update_due() {
                self.touch(handle);
            }
            return Poll::Ready(Ok(count));
        }
        if connection.is_finished() {
            return Poll::Ready(Ok(0));
        }
        if connection.state() == Tcp::Closed {
            return Poll::Ready(up.and(Err(over(connection))));
        }
        endpoint.readers.add(waker);
        Poll::Pending
    }

    /// Ready when reading would not wait.
    pub(crate) fn poll_readable(
        &mut self,
        handle: Handle,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        let endpoint = self.endpoint(handle);
        if endpoint.is_readable() {
            return Poll::Ready(Ok(()));
        }
        endpoint.readers.add(waker);
        Poll::Pending
    }

    /// Has `waker` woken when more comes, or its end.
    pub(crate) fn follow(&mut self, handle: Handle, waker: &Waker) {
        self.endpoint(handle).followers.add(waker);
    }

    /// Throws away what the peer sends, so that it can come to its end.
    pub(crate) fn discard(&mut self, handle: Handle, waker: &Waker) {
        let endpoint = self.endpoint(handle);
        endpoint.readers.add(waker);
        endpoint.connection.discard(Instant::now());
        if endpoint.connection.is_update_due() {
            self.touch(handle);
        }
    }

    /// Takes as much as there is room for.
    pub(crate) fn poll_write(
        &mut self,
        handle: Handle,
        bytes: &[u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        self.poll_put(handle, bytes.len(), waker, |connection| connection.write(bytes))
    }

    /// Puts some of `wanted` bytes into what is to send.
    fn poll_put(
        &mut self,
        handle: Handle,
        wanted: usize,
        waker: &Waker,
        put: impl FnOnce(&mut Connection<Cubic>) -> usize,
    ) -> Poll<Result<usize, Error>> {
        self.up()?;
        let share = self.share();
        let endpoint = self.endpoint(handle);
        let connection = &mut endpoint.connection;
        if !connection.may_write() {
            return Poll::Ready(Err(over(connection)));
        }
        connection.set_share(share);
        let count = put(connection);
        if count == 0 && wanted > 0 {
            endpoint.writers.add(waker);
            self.starve(handle);
            return Poll::Pending;
        }
        self.touch(handle);
        Poll::Ready(Ok(count))
    }

    /// The same with bytes that stay where they are.
    pub(crate) fn poll_share(
        &mut self,
        handle: Handle,
        shared: &Shared,
        range: Range<usize>,
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let range = range.start..range.end.min(shared.bytes().len());
        let wanted = range.len();
        self.poll_put(handle, wanted, waker, |connection| connection.share(shared, range))
    }

    /// Ready when the peer has acknowledged all that was written.
    pub(crate) fn poll_flush(&mut self, handle: Handle, waker: &Waker) -> Poll<Result<(), Error>> {
        let up = self.up();
        let endpoint = self.endpoint(handle);
        let connection = &endpoint.connection;
        if connection.has_arrived() {
            return Poll::Ready(Ok(()));
        }
        up?;
        if connection.state() == Tcp::Closed {
            return Poll::Ready(Err(over(connection)));
        }
        endpoint.watchers.add(waker);
        Poll::Pending
    }

    pub(crate) fn options(&mut self, handle: Handle) -> TcpOptions {
        self.tcp(handle).options()
    }

    pub(crate) fn set_options(&mut self, handle: Handle, options: TcpOptions) {
        self.tcp(handle).set_options(options, Instant::now());
        self.touch(handle);
    }

    pub(crate) fn progress(&mut self, handle: Handle) -> Progress {
        let connection = self.tcp(handle);
        let (readable, unacknowledged) = (connection.readable(), connection.unacknowledged());
        let finished = connection.has_ended();
        let ended = finished || connection.state() == Tcp::Closed;
        Progress { readable, unacknowledged, ended, finished }
    }

    /// Copies what can be read, and leaves it there; 0 bytes when the peer has ended.
    pub(crate) fn peek(&mut self, handle: Handle, to: &mut [u8]) -> Result<usize, Error> {
        let up = self.up();
        let connection = self.tcp(handle);
        let nothing = connection.readable() == 0 && !connection.is_finished();
        if nothing && connection.state() == Tcp::Closed {
            return up.and(Err(over(connection)));
        }
        Ok(connection.peek(to))
    }

    /// Ready when writing would not wait.
    pub(crate) fn poll_writable(
        &mut self,
        handle: Handle,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        let share = self.share();
        let endpoint = self.endpoint(handle);
        // What a write would be bound to.
        endpoint.connection.set_share(share);
        if endpoint.is_writable() {
            return Poll::Ready(Ok(()));
        }
        endpoint.writers.add(waker);
        self.starve(handle);
        Poll::Pending
    }

    /// Sees to it that who waits to write to a connection is woken though nothing happens to it:
    /// where nothing is under way whose acknowledgement would do so, it waits for memory that
    /// others have to give back.
    fn starve(&mut self, handle: Handle) {
        if self.tcp(handle).unacknowledged() == 0 {
            self.sets.deadlines.arm(handle.0, Instant::now().saturating_add(STARVED));
            self.kick();
        }
    }

    /// How a connection that nobody holds any more may end.
    pub(crate) fn parting(&mut self, handle: Handle) -> Parting {
        let down = self.down;
        let connection = self.tcp(handle);
        let (unread, unsent) = (connection.readable(), connection.unacknowledged());
        match connection.state() {
            _ if down => Parting::Over,
            Tcp::Closed | Tcp::SynSent | Tcp::SynReceived | Tcp::TimeWait => Parting::Over,
            _ if unread > 0 => Parting::Unread(unread),
            Tcp::FinWait2 => Parting::Waiting,
            _ => Parting::Ending(unsent),
        }
    }

    /// Sends the end behind what was written.
    pub(crate) fn end(&mut self, handle: Handle) {
        self.tcp(handle).close();
        self.touch(handle);
    }

    /// Sends the end on every connection, behind what was written.
    pub(crate) fn end_all(&mut self) {
        self.sets.endpoints().for_each(|endpoint| endpoint.connection.close());
        self.sets.touch_all();
    }

    /// Whether a peer has not confirmed yet what was written, or the end of it.
    pub(crate) fn is_ending(&mut self) -> bool {
        let down = self.down;
        self.sets.endpoints().any(|endpoint| match endpoint.connection.state() {
            Tcp::FinWait2 | Tcp::TimeWait => false,
            // It may have a reset to send.
            Tcp::Closed => !down && !endpoint.connection.is_quiet(),
            _ => !down,
        })
    }

    pub(crate) fn abort(&mut self, handle: Handle) {
        self.tcp(handle).abort();
        self.endpoint(handle).wake_all();
        self.touch(handle);
    }

    /// Gives a connection up. Unless it is over, it is reset. Whether it still has
    /// something to say before it can be [dropped](Self::drop_connection).
    pub(crate) fn give_up(&mut self, handle: Handle) -> bool {
        let down = self.down;
        let connection = self.tcp(handle);
        if connection.state() != Tcp::TimeWait {
            connection.abort();
        }
        let quiet = down || connection.is_quiet();
        self.touch(handle);
        !quiet
    }
}
