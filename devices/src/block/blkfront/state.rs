//! Holds what the driver shares with its tasks, and the handle of a request.

use super::connection::{Connection, Counters};
use super::queue::Queue;
use super::{Op, PIECE, Stats, Violation};
use crate::block::{ErrorKind, Info};
use crate::frontend::waiters::{Waiters, Worker};
use crate::frontend::{self, Lines};
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Waker;
use core::time::Duration;
use kernel::time::Instant;
use xen::memory::PAGE_SIZE;
use xen::public::io::blkif::SECTOR;

/// The age of a request at which the back end is notified again, in case that got lost.
pub(super) const SLOW: Duration = Duration::from_secs(5);

/// Holds what the driver shares with its tasks.
#[derive(Debug)]
pub(super) struct State {
    /// Its name in log lines.
    pub(super) name: String,
    pub(super) info: Cell<Info>,
    /// Why the disk is disabled for good, if it is.
    pub(super) over: Cell<Option<ErrorKind>>,
    /// Whether the disk was removed; it may come back.
    pub(super) away: Cell<bool>,
    /// When the last connection ended, while there is no other one.
    pub(super) disconnected: Cell<Option<Instant>>,
    /// Whether the back end closed its port.
    pub(super) port_closed: Cell<bool>,
    /// Whether it did not respond in time, so that the requests of this connection fail.
    pub(super) late: Cell<bool>,
    /// Limits the lines about that.
    pub(super) lines: Lines,
    /// Why it cannot be connected.
    pub(super) trouble: Cell<Option<frontend::Error>>,
    pub(super) queue: RefCell<Queue>,
    pub(super) connection: RefCell<Option<Connection>>,
    /// Whether the domain is about to be suspended, so that no connection, also none that is made
    /// meanwhile, begins anything but flushes.
    pub(super) settling: Cell<bool>,
    /// Whether the next image of the machine may use the disk, so that this one does not.
    pub(super) left: Cell<bool>,
    /// Tasks that wait for pages, or for a connection.
    pub(super) waiting: Waiters,
    /// The task that drives the queue.
    pub(super) driver: Worker,
    /// The tasks that supervise the connection and check timeouts, while they sleep.
    pub(super) supervisor: Worker,
    pub(super) watchdog: Worker,
    /// The task that leaves the disk to the next image, while it waits for responses.
    pub(super) leaver: Worker,
    pub(super) stats: Cell<Stats>,
}

impl State {
    pub(super) fn new(name: String) -> Self {
        let info = Info {
            sector_size: SECTOR as u32,
            sectors: 0,
            read_only: true,
            flush: false,
            discard: None,
            generation: 0,
            lost: 0,
        };
        Self {
            name,
            trouble: Cell::new(None),
            info: Cell::new(info),
            over: Cell::new(None),
            away: Cell::new(false),
            port_closed: Cell::new(false),
            late: Cell::new(false),
            disconnected: Cell::new(None),
            lines: Lines::default(),
            queue: RefCell::default(),
            connection: RefCell::default(),
            settling: Cell::new(false),
            left: Cell::new(false),
            waiting: Waiters::default(),
            driver: Worker::default(),
            supervisor: Worker::default(),
            watchdog: Worker::default(),
            leaver: Worker::default(),
            stats: Cell::default(),
        }
    }

    /// Returns why requests are refused now, if they are.
    pub(super) fn refusal(&self) -> Option<ErrorKind> {
        self.over.get().or(self.away.get().then_some(ErrorKind::Gone))
    }

    /// Returns whether nothing but flushes is begun.
    pub(super) fn is_quiet(&self) -> bool {
        self.settling.get() || self.left.get()
    }

    /// Wakes the tasks whose requests are complete or can begin, with nothing borrowed.
    pub(super) fn wake_answered(&self) {
        let mut queue = self.queue.borrow_mut();
        let (mut woken, pages_returned) = (queue.take_woken(), queue.pages_returned());
        drop(queue);
        woken.drain(..).for_each(Waker::wake);
        self.queue.borrow_mut().give_woken(woken);
        if pages_returned {
            self.waiting.wake();
        }
    }

    /// Fails all requests, and with `over` all later ones too.
    pub(super) fn fail(&self, error: ErrorKind, over: bool) {
        if over {
            self.over.set(self.over.get().or(Some(error)));
        } else {
            self.away.set(true);
        }
        self.queue.borrow_mut().fail(error);
        self.wake_answered();
        self.waiting.wake();
        self.supervisor.wake();
    }

    /// Disables the disk after a breach of the protocol.
    pub(super) fn broken(&self, violation: Violation) {
        if self.over.get().is_none() {
            log::error!("{}: disabled, the back end broke the protocol: {violation}", self.name);
        }
        self.fail(ErrorKind::Gone, true);
    }

    pub(super) fn count(&self, f: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        f(&mut stats);
        self.stats.set(stats);
    }

    pub(super) fn add(stats: &mut Stats, counters: Counters) {
        stats.requests += counters.requests;
        stats.merged += counters.merged;
        stats.notifications += counters.notifications;
        stats.copied_bytes += counters.copied;
    }

    /// Begins as much of a transfer as there are pages for; returns the request and its length
    /// in bytes. Returns `None` without free pages, or, unless `eager`, with too few of them.
    pub(super) fn begin(
        &self,
        op: Op,
        sector: u64,
        length: usize,
        from: Option<&[u8]>,
        eager: bool,
    ) -> Result<Option<(Request<'_>, usize)>, ErrorKind> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        let mut connection = self.connection.borrow_mut();
        let Some(connection) = connection.as_mut().filter(|connection| !connection.draining) else {
            return Ok(None);
        };
        let most = connection.segments();
        let pool = connection.pools.of(op);
        let wanted = length.div_ceil(PAGE_SIZE).min(most);
        let count = wanted.min(pool.available());
        if count == 0 || (!eager && count < wanted.min(PIECE)) {
            return Ok(None);
        }
        let mut queue = self.queue.borrow_mut();
        if queue.is_parked() {
            return Ok(None);
        }
        // The length of a request is set once it has its pages.
        let id = queue.add(op, sector, 0)?;
        let entry = queue.entry_mut(id);
        if pool.take(count, &mut entry.pages).is_err() {
            // Pages in use will be returned.
            let none = pool.is_empty();
            queue.abandon(id, None);
            return if none { Err(ErrorKind::Exhausted) } else { Ok(None) };
        }
        let length = length.min(entry.pages.len() * PAGE_SIZE);
        entry.count = (length / SECTOR) as u64;
        if let Some(from) = from {
            pool.copy_in(&entry.pages, &from[..length]);
        }
        Ok(Some((Request { state: self, id }, length)))
    }
}

/// A request in flight. Dropping it abandons it.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) state: &'a State,
    pub(super) id: u16,
}

impl Request<'_> {
    /// Waits for the response.
    pub(super) async fn answer(&self) -> Result<(), ErrorKind> {
        poll_fn(|context| self.state.queue.borrow_mut().poll(self.id, context)).await
    }

    /// Copies the data that were read.
    pub(super) fn copy_out(&self, to: &mut [u8]) {
        let mut connection = self.state.connection.borrow_mut();
        let pools = connection.as_mut().map(|connection| &mut connection.pools);
        self.state.queue.borrow().copy_out(self.id, pools, to);
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let mut connection = self.state.connection.borrow_mut();
        let pools = connection.as_mut().map(|connection| &mut connection.pools);
        let mut queue = self.state.queue.borrow_mut();
        queue.abandon(self.id, pools);
        let (pages_returned, parked) = (queue.pages_returned(), queue.is_parked());
        drop((connection, queue));
        if pages_returned {
            self.state.waiting.wake();
            if parked {
                self.state.driver.wake();
            }
        }
    }
}
