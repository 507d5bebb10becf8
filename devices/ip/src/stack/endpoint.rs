//! An end of a TCP connection with those who wait for it.

use crate::tcp::congestion::Cubic;
use crate::tcp::connection::{Connection, State as Tcp, Terms};
use crate::tcp::pool::Pool;
use alloc::rc::Rc;
use kernel::sync::Wakers;
use kernel::time::Instant;

/// An end of a connection, and who waits for it.
pub(super) struct Endpoint {
    pub(super) connection: Connection<Cubic>,
    /// Who waits for something to read.
    pub(super) readers: Wakers,
    /// Who waits for room to write.
    pub(super) writers: Wakers,
    /// Who waits for another state, or for all to be acknowledged.
    pub(super) watchers: Wakers,
    /// Who waits for more to come, or for its end, though there may be something to read.
    pub(super) followers: Wakers,
}

/// What those who wait are woken by when it changes.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) state: Tcp,
    flushed: bool,
    readable: usize,
}

impl Endpoint {
    /// An end that nobody waits for yet, of a connection that [begins](Connection::connect). A
    /// function by itself, so that the connection is made where it goes, and not moved there.
    #[inline(never)]
    pub(super) fn new(terms: &Terms, pool: &Rc<Pool>, now: Instant) -> Self {
        Self {
            connection: Connection::connect(terms, pool, now),
            readers: Wakers::new(),
            writers: Wakers::new(),
            watchers: Wakers::new(),
            followers: Wakers::new(),
        }
    }

    pub(super) fn shape(&self) -> Shape {
        let connection = &self.connection;
        let (state, readable) = (connection.state(), connection.readable());
        Shape { state, flushed: connection.unacknowledged() == 0, readable }
    }

    /// Whether reading would not wait: for bytes, the end, or an error.
    pub(super) fn is_readable(&self) -> bool {
        let connection = &self.connection;
        connection.readable() > 0 || connection.is_finished() || connection.state() == Tcp::Closed
    }

    /// Whether writing would not wait: for room, or an error.
    pub(super) fn is_writable(&self) -> bool {
        self.connection.is_writable() || !self.connection.may_write()
    }

    /// Whether who waits to write is to try: what it shares takes no memory, and only it knows
    /// whether it shares.
    fn is_worth_a_write(&self) -> bool {
        self.connection.has_room() || !self.connection.may_write()
    }

    /// Wakes those who wait for what there is now, and was not `before`.
    pub(super) fn wake(&mut self, before: Shape) {
        let shape = self.shape();
        if !self.readers.is_empty() && self.is_readable() {
            self.readers.wake();
        }
        if !self.writers.is_empty() && self.is_worth_a_write() {
            self.writers.wake();
        }
        let is_new = shape.state != before.state;
        if is_new || shape.flushed != before.flushed {
            self.watchers.wake();
        }
        if is_new || shape.readable > before.readable {
            self.followers.wake();
        }
    }

    /// Wakes all who wait.
    pub(super) fn wake_all(&mut self) {
        self.readers.wake();
        self.writers.wake();
        self.watchers.wake();
        self.followers.wake();
    }
}
