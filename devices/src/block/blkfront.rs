//! Implements the front end of Xen's block devices (`public/io/blkif.h`).
//!
//! Data are copied into and out of pages that are granted once a connection, and requests
//! wait in a queue. One task per disk drives the queue: it takes all responses, puts all
//! waiting requests on the ring, merging adjacent ones, and notifies the back end once. A
//! second task supervises the connection: requests without a response when it ends are
//! repeated, in order, on the next one, unless it ended as the back end did not respond: they fail
//! then (rule B10). Everything that the back end publishes is validated in `connection` and
//! `connect`; a breach of the protocol disables the disk for good (rule R7).

mod connect;
mod connection;
mod pool;
mod queue;
mod settle;
mod state;
#[cfg(test)]
mod tests;

use super::{Block, ErrorKind, Info};
use crate::frontend::{self, Violation};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use kernel::Device;
use kernel::args::{self, Args};
use kernel::device::Class;
use kernel::metrics::{Metric, Source};
use kernel::task::{Task, spawn};
use state::{Request, State};
use xen::public::io::blkif::SECTOR;

/// Requests in flight for one call.
const WINDOW: usize = 4;

/// The fewest pages of a request, if the call is as long, so that a shortage of pages does
/// not split calls into tiny requests.
const PIECE: usize = 8;

/// The most bytes that one request discards, unless the device discards no fewer: one for a whole
/// disk may take longer than anything else.
const DISCARD: u64 = 1 << 30;

/// Returns the most sectors that one request discards.
fn most_discarded(info: Info) -> u64 {
    let granularity = info.discard.map_or(1, |it| it.granularity.max(1));
    let most = DISCARD / u64::from(info.sector_size);
    (most / granularity).max(1) * granularity
}

/// The operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Read,
    Write,
    Flush,
    Discard,
}

/// Returns the name of disk `id` in errors.
fn shown(id: &str) -> String {
    if id.is_empty() { "xvda" } else { id }.into()
}

/// Reports why a disk cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The domain has no disk of this name; it has these.
    Missing(String, Vec<String>),
    /// No disk can have this name.
    Name(String),
    /// The disk of this name cannot be connected.
    Connection(String, frontend::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(id, others) => {
                frontend::write_missing(f, "disk", id, others)?;
                write!(f, ": its configuration needs one with vdev={id} in disk=[...]")
            }
            Self::Name(id) => {
                write!(f, "{id} is not the name of a disk, such as xvda or xvdb, nor a number")
            }
            Self::Connection(id, error) => write!(f, "disk {id}: {error}"),
        }
    }
}

impl core::error::Error for Error {}

/// Counts what a disk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests put on the ring.
    pub requests: u64,
    /// Requests merged into others.
    pub merged: u64,
    /// Notifications of the back end.
    pub notifications: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes copied between callers' buffers and granted pages.
    pub copied_bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Connections to a back end.
    pub connections: u32,
    /// Responses found by a check because no event announced them.
    pub lost_events: u32,
}

/// A disk of this domain. Dropping it closes the connection at once.
#[derive(Debug)]
pub struct Blkfront {
    state: Rc<State>,
    /// Supervise the connection and drive the queue; cancelled on drop.
    _tasks: [Task<()>; 2],
    /// Leaves the disk to the next image, where there may be one.
    _leaver: Option<Task<()>>,
}

impl Blkfront {
    /// Opens the disk that the domain's configuration calls `vdev=id`, such as `xvda`;
    /// the empty string is the one with the lowest number. Waits until it is connected,
    /// however slow the back end is, which is logged after 10 s.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(id: &str) -> Result<Self, Error> {
        kernel::shutdown::serve();
        let number = connect::find(id).await?;
        let state = Rc::new(State::new(connect::name(&number)));
        let supervisor = spawn(connect::run(state.clone(), number));
        let driver = spawn(drive(state.clone()));
        match frontend::wait_connected(&*state).await {
            Ok(()) => {
                let leaver =
                    kernel::update::is_active().then(|| spawn(settle::leave(Rc::clone(&state))));
                Ok(Self { state, _tasks: [supervisor, driver], _leaver: leaver })
            }
            Err(error) => Err(Error::Connection(state.name.clone(), error)),
        }
    }

    /// Returns what the disk counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.state.stats.get();
        if let Some(connection) = self.state.connection.borrow().as_ref() {
            State::add(&mut stats, connection.counters());
        }
        stats
    }

    /// Checks a call; returns how many of the protocol's 512-byte sectors one sector is.
    fn check(&self, check: impl FnOnce(Info) -> Result<(), ErrorKind>) -> Result<u64, ErrorKind> {
        if let Some(error) = self.state.refusal() {
            return Err(error);
        }
        let info = self.state.info.get();
        check(info)?;
        Ok(u64::from(info.sector_size) / SECTOR as u64)
    }

    /// Reads or writes all of a caller's bytes, by requests of which a few are in flight.
    async fn transfer(&self, sector: u64, mut buffer: Buffer<'_>) -> Result<(), ErrorKind> {
        let (op, length) = match &buffer {
            Buffer::Read(to) => (Op::Read, to.len()),
            Buffer::Write(from) => (Op::Write, from.len()),
        };
        let start = sector
            * self.check(|info| match op {
                Op::Write if info.read_only => Err(ErrorKind::ReadOnly),
                _ => info.check(sector, length),
            })?;
        let mut window = heapless::Deque::<_, WINDOW>::new();
        let (mut asked, mut done) = (0, 0);
        while done < length {
            while asked < length && !window.is_full() {
                let begin = |eager| {
                    let from = match &buffer {
                        Buffer::Read(_) => None,
                        Buffer::Write(from) => Some(&from[asked..]),
                    };
                    let at = start + (asked / SECTOR) as u64;
                    self.state.begin(op, at, length - asked, from, eager)
                };
                let begun = if window.is_empty() {
                    poll_fn(|context| match begin(true).transpose() {
                        Some(result) => Poll::Ready(result.map(Some)),
                        None => {
                            self.state.waiting.add(context.waker());
                            Poll::Pending
                        }
                    })
                    .await?
                } else {
                    begin(false)?
                };
                let Some((request, bytes)) = begun else { break };
                self.state.driver.wake();
                asked += bytes;
                // There was room.
                let _ = window.push_back((request, bytes));
            }
            let Some((request, bytes)) = window.pop_front() else { break };
            let result = request.answer().await;
            if result.is_err() {
                self.state.count(|stats| stats.errors += 1);
            }
            result?;
            match &mut buffer {
                Buffer::Read(to) => {
                    request.copy_out(&mut to[done..done + bytes]);
                    self.state.count(|stats| stats.read_bytes += bytes as u64);
                }
                Buffer::Write(_) => {
                    self.state.count(|stats| stats.written_bytes += bytes as u64);
                }
            }
            done += bytes;
        }
        Ok(())
    }

    /// Sends a request without data.
    async fn send(&self, op: Op, sector: u64, count: u64) -> Result<(), ErrorKind> {
        let id = self.state.queue.borrow_mut().add(op, sector, count)?;
        let request = Request { state: &self.state, id };
        self.state.driver.wake();
        request.answer().await
    }
}

/// The caller's buffer of a transfer.
#[derive(Debug)]
enum Buffer<'a> {
    Read(&'a mut [u8]),
    Write(&'a [u8]),
}

/// Drives the queue for as long as the disk lives.
async fn drive(state: Rc<State>) {
    poll_fn(|context: &mut Context<'_>| {
        state.driver.wait(context.waker());
        if state.over.get().is_some() {
            return Poll::<()>::Pending;
        }
        let mut connection = state.connection.borrow_mut();
        let Some(connected) = connection.as_mut() else { return Poll::Pending };
        let result = connected.poll(&mut state.queue.borrow_mut(), context);
        let (busy, draining) = (connected.in_flight() > 0, connected.draining);
        let abilities = connected.abilities();
        drop(connection);
        state.info.update(|info| Info {
            flush: info.flush && abilities.flush.is_some(),
            discard: info.discard.filter(|_| abilities.discard),
            ..info
        });
        state.wake_answered();
        if busy {
            state.watchdog.wake();
        } else if draining {
            state.supervisor.wake();
            state.leaver.wake();
        }
        if let Err(violation) = result {
            state.broken(violation);
        }
        Poll::Pending
    })
    .await;
}

impl Source for Blkfront {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        let stats = self.stats();
        kernel::metrics! { each;
            counter("block_requests", "Requests sent.", stats.requests),
            counter("block_merged", "Requests merged.", stats.merged),
            counter("block_notifications", "Notifications.", stats.notifications),
            counter("block_read_bytes", "Bytes read.", stats.read_bytes),
            counter("block_written_bytes", "Bytes written.", stats.written_bytes),
            counter("block_copied_bytes", "Bytes copied.", stats.copied_bytes),
            counter("block_errors", "Requests failed.", stats.errors),
            counter("block_connections", "Connections to back ends.", stats.connections.into()),
            counter(
                "block_lost_events",
                "Lost events.",
                stats.lost_events.into(),
            ),
        }
    }
}

impl Device for Blkfront {
    const CLASS: Class = super::CLASS;

    const NEEDS: &'static str = r#"a disk of the domain, as in disk=["FILE,raw,xvda,rw"]"#;

    type Settings = ();

    type Error = Error;

    fn configure(_: &mut Args) -> Result<(), args::Error> {
        Ok(())
    }

    async fn open(id: &'static str, (): ()) -> Result<Self, Error> {
        Self::open(id).await
    }
}

impl Block for Blkfront {
    type Error = ErrorKind;

    fn info(&self) -> Info {
        Info { lost: self.state.queue.borrow().lost(), ..self.state.info.get() }
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), ErrorKind> {
        self.transfer(sector, Buffer::Read(to)).await
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
        self.transfer(sector, Buffer::Write(from)).await
    }

    async fn flush(&self) -> Result<(), ErrorKind> {
        if let Some(error) = self.state.refusal() {
            return Err(error);
        }
        let result = if self.info().flush {
            self.send(Op::Flush, 0, 0).await
        } else {
            Err(ErrorKind::Unsupported)
        };
        self.state.queue.borrow_mut().judge(result)
    }

    async fn discard(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
        let unit = self.check(|info| info.check_discard(sector, count))?;
        let size = self.state.info.get().sector_size;
        let (mut sector, mut left) = (sector, count);
        while left > 0 {
            let now = left.min(most_discarded(self.state.info.get()));
            self.check(|info| {
                // With another connection, the device may be another one.
                if info.sector_size != size {
                    return Err(ErrorKind::Gone);
                }
                info.check_discard(sector, now)
            })?;
            self.send(Op::Discard, sector * unit, now * unit).await?;
            (sector, left) = (sector + now, left - now);
        }
        Ok(())
    }
}
