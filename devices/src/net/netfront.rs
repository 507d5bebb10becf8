//! Implements the front end of Xen's network interfaces (`public/io/netif.h`).
//!
//! Pages are granted once a connection, for both directions, so the only hypercall for a
//! frame is the notification, which many frames share. One task supervises the connection: it
//! follows the states of the back end, disconnects and reconnects, and checks once a second
//! for responses that no event announced. Everything that the back end publishes is validated
//! in `rx`, `tx` and `connect`; a breach of the protocol disables the interface for good
//! (rule R7).

mod connect;
mod rx;
#[cfg(test)]
mod tests;
mod tx;

use super::{Broken, Frame, HEADER, Info, Meta, Net, Offloading, Offloads, Part};
use crate::frontend::waiters::{Waiters, Worker};
use crate::frontend::{self, Violation};
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::task::{Context, Poll};
use kernel::Device;
use kernel::args::{self, Args};
use kernel::device::Class;
use kernel::memory::extend_zeroed;
use kernel::metrics::{Metric, Source};
use kernel::task::{Task, spawn};
use rx::Rx;
use tx::Tx;

/// Reports why an interface cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The domain has no interface of this number; it has these.
    Missing(String, Vec<String>),
    /// The interface of this number cannot be connected.
    Connection(String, frontend::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(id, others) => {
                frontend::write_missing(f, "network interface", id, others)?;
                f.write_str(": its configuration needs one more in vif=[...]")
            }
            Self::Connection(id, error) => write!(f, "network interface {id}: {error}"),
        }
    }
}

impl core::error::Error for Error {}

/// Makes a table of what each slot of a ring has: on the heap, as rings are moved.
fn table<T>(slots: usize, each: impl FnMut() -> T) -> Result<Vec<T>, xen::gnttab::Error> {
    let mut table = Vec::new();
    table.try_reserve_exact(slots).map_err(|_| xen::gnttab::Error::Memory)?;
    table.resize_with(slots, each);
    Ok(table)
}

/// Counts what an interface did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames received.
    pub received: u64,
    /// Bytes of the frames received.
    pub received_bytes: u64,
    /// Received frames dropped as malformed, too short or too long, or for want of memory.
    pub received_dropped: u64,
    /// Frames transmitted.
    pub transmitted: u64,
    /// Bytes of the frames transmitted.
    pub transmitted_bytes: u64,
    /// Frames not transmitted: there was no link, or the back end dropped them.
    pub transmitted_dropped: u64,
    /// Connections to a back end.
    pub connections: u32,
    /// Connections reset because the back end did not respond.
    pub resets: u32,
    /// Responses found by a check because no event announced them.
    pub lost_events: u32,
    /// Breaches of the protocol: 0 or 1, as the first one disables the interface.
    pub violations: u32,
    /// Requests on the receive ring, each with a page for a frame.
    pub receive_slots: u32,
    /// Requests on the transmit ring that are not completed.
    pub transmit_slots: u32,
}

/// Holds what the driver shares with the task that supervises it.
#[derive(Debug, Default)]
struct State {
    /// Its name in log lines of its own, and in those of a stack above.
    vif: String,
    net: String,
    info: Cell<Info>,
    offloads: Offloads,
    broken: Cell<bool>,
    /// Separate cells, as a frame may be transmitted while one is received.
    /// The receiving one is taken out while a frame is.
    rx: RefCell<Option<Box<Rx>>>,
    tx: RefCell<Option<Tx>>,
    /// The buffer of the frame being received.
    scratch: RefCell<Vec<u8>>,
    /// The buffer of frames that are dropped for want of a link.
    nowhere: RefCell<Vec<u8>>,
    /// Tasks that wait for a connection.
    waiting: Waiters,
    /// The supervising task, to be woken on a breach of the protocol.
    supervisor: Worker,
    /// Resets since the last response.
    in_vain: Cell<u32>,
    /// Why it cannot be connected.
    trouble: Cell<Option<frontend::Error>>,
    /// The counts of former connections.
    stats: Cell<Stats>,
}

impl State {
    /// Disables the interface after a breach of the protocol.
    fn fail(&self, violation: Violation) {
        if !self.broken.replace(true) {
            self.count(|stats| stats.violations += 1);
            log::error!("{}: disabled, the back end broke the protocol: {violation}", self.vif);
        }
        self.info.update(|info| Info { link: false, ..info });
        self.supervisor.wake();
        self.waiting.wake();
    }

    fn count(&self, f: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        f(&mut stats);
        self.stats.set(stats);
    }

    /// Adds the counts of a connection.
    fn add(stats: &mut Stats, rx: Option<&Rx>, tx: Option<&Tx>) {
        if let Some(rx) = rx {
            stats.received += rx.counters.frames;
            stats.received_bytes += rx.counters.bytes;
            stats.received_dropped += rx.counters.dropped;
        }
        if let Some(tx) = tx {
            stats.transmitted += tx.counters.frames;
            stats.transmitted_bytes += tx.counters.bytes;
            stats.transmitted_dropped += tx.counters.dropped;
        }
    }
}

/// A network interface of this domain. Dropping it closes the connection at once.
#[derive(Debug)]
pub struct Netfront {
    state: Rc<State>,
    /// Supervises the connection; cancelled on drop.
    _supervisor: Task<()>,
}

impl Netfront {
    /// Opens interface `id`, its number in xenstore; the empty string is the lowest one. Waits
    /// until it is connected, however slow the back end is, which is logged after 10 s.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(id: &str) -> Result<Self, Error> {
        Self::open_with(id, Offloads::default()).await
    }

    /// Opens interface `id` with these offloads, as far as the back end offers them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open_with(id: &str, offloads: Offloads) -> Result<Self, Error> {
        kernel::shutdown::serve();
        let found = frontend::find("vif", id).await;
        let id = if id.is_empty() { "0" } else { id };
        let found = found.map_err(|error| Error::Connection(id.into(), error.into()))?;
        let id = found.map_err(|others| Error::Missing(id.into(), others))?;
        let net = if id == "0" { "net".into() } else { format!("net {id}") };
        let state = Rc::new(State { vif: format!("vif {id}"), net, offloads, ..State::default() });
        let supervisor = spawn(connect::run(state.clone(), id.clone()));
        match frontend::wait_connected(&*state).await {
            Ok(()) => Ok(Self { state, _supervisor: supervisor }),
            Err(error) => Err(Error::Connection(id, error)),
        }
    }

    /// Returns what the interface counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.state.stats.get();
        let (rx, tx) = (self.state.rx.borrow(), self.state.tx.borrow());
        State::add(&mut stats, rx.as_deref(), tx.as_ref());
        stats.receive_slots = rx.as_ref().map_or(0, |rx| rx.in_flight());
        stats.transmit_slots = tx.as_ref().map_or(0, Tx::in_flight);
        stats
    }

    /// Transmits a frame that `fill` writes, once. Returns whether it did.
    fn put(&self, length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Meta) -> bool {
        let info = self.state.info.get();
        let longest = info.transmit_large.max(info.mtu + HEADER);
        if !(HEADER..=longest).contains(&length) || self.state.broken.get() {
            return false;
        }
        let mut tx = self.state.tx.borrow_mut();
        if let Some(tx) = tx.as_mut().filter(|_| info.link) {
            return match tx.transmit(length, fill) {
                Ok(sent) => sent.is_some(),
                Err(violation) => {
                    self.state.fail(violation);
                    false
                }
            };
        }
        drop(tx);
        self.state.count(|stats| stats.transmitted_dropped += 1);
        let mut nowhere = self.state.nowhere.borrow_mut();
        let more = length.saturating_sub(nowhere.len());
        extend_zeroed(&mut nowhere, more)
            .and_then(|()| nowhere.get_mut(..length))
            .map(fill)
            .is_some()
    }

    /// Polls one direction; without a connection it waits for one.
    fn poll_half<T>(
        &self,
        half: &RefCell<Option<T>>,
        context: &Context<'_>,
        poll: impl FnOnce(&mut T, &Context<'_>) -> Poll<Result<(), Violation>>,
    ) -> Poll<Result<(), Broken>> {
        if self.state.broken.get() {
            return Poll::Ready(Err(Broken));
        }
        let mut half = half.borrow_mut();
        // The connection may change, or the link with it.
        self.state.waiting.add(context.waker());
        let Some(connected) = half.as_mut() else { return Poll::Pending };
        match poll(connected, context) {
            Poll::Ready(Err(violation)) => {
                drop(half);
                self.state.fail(violation);
                Poll::Ready(Err(Broken))
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Source for Netfront {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        let stats = self.stats();
        let grants = xen::gnttab::stats();
        let store = xen::xenstore::stats();
        kernel::metrics! { each;
            counter("net_received_frames", "Frames received.", stats.received),
            counter("net_received_bytes", "Bytes received.", stats.received_bytes),
            counter("net_received_dropped", "Malformed frames.", stats.received_dropped),
            counter("net_transmitted_frames", "Frames transmitted.", stats.transmitted),
            counter("net_transmitted_bytes", "Bytes transmitted.", stats.transmitted_bytes),
            counter("net_transmitted_dropped", "Frames not transmitted.", stats.transmitted_dropped),
            counter("net_connections", "Connections to back ends.", stats.connections.into()),
            counter("net_resets", "Connections reset.", stats.resets.into()),
            counter(
                "net_lost_events",
                "Lost events.",
                stats.lost_events.into(),
            ),
            counter("net_violations", "Protocol violations.", stats.violations.into()),
            gauge("net_receive_slots", "Receive requests.", stats.receive_slots.into()),
            gauge(
                "net_transmit_slots",
                "Transmit requests.",
                stats.transmit_slots.into(),
            ),
            gauge("grants", "Pages granted.", grants.used as u64),
            gauge("grants_quarantined", "Pages in quarantine.", grants.quarantine as u64),
            counter("xenstore_dropped", "Unexpected messages.", store.dropped),
        }
    }
}

impl Device for Netfront {
    const CLASS: Class = super::CLASS;

    const NEEDS: &'static str = r#"a network interface, as in vif=["bridge=xenbr0"]"#;

    type Settings = Offloads;

    type Error = Error;

    fn configure(_: &mut Args) -> Result<Offloads, args::Error> {
        Ok(Offloads::default())
    }

    async fn open(id: &'static str, offloads: Offloads) -> Result<Self, Error> {
        Self::open_with(id, offloads).await
    }
}

impl Offloading for Netfront {
    fn offload(_: Offloads, offloads: Offloads) -> Offloads {
        offloads
    }
}

impl Net for Netfront {
    fn name(&self) -> &str {
        &self.state.net
    }

    fn info(&self) -> Info {
        self.state.info.get()
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_half(&self.state.rx, context, |rx, context| rx.poll(context))
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        // Out of its cell, so that nothing is borrowed while `take` runs.
        let mut scratch = self.state.scratch.take();
        let came = self.state.rx.borrow_mut().as_mut().and_then(|rx| rx.receive(&mut scratch));
        let result = came.and_then(|(length, meta)| Some(take(scratch.get(..length)?, meta)));
        self.state.scratch.replace(scratch);
        result
    }

    fn receive_apart<R>(&self, take: impl FnOnce(Frame<'_>, Meta) -> R) -> Option<R> {
        // As above.
        let mut scratch = self.state.scratch.take();
        let mut rx = self.state.rx.take();
        let result = rx.as_mut().and_then(|rx| {
            let (length, meta) = rx.begin()?;
            let mut read = |to: &mut [u8]| rx.read(to);
            let frame = Frame::apart(length, &mut scratch, &mut read);
            let result = frame.map(|frame| take(frame, meta));
            rx.end(length, result.is_some());
            result
        });
        self.state.rx.replace(rx);
        self.state.scratch.replace(scratch);
        result
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if !self.state.broken.get() && !self.state.info.get().link {
            // Frames are lost, as on a cable.
            return Poll::Ready(Ok(()));
        }
        self.poll_half(&self.state.tx, context, Tx::poll)
    }

    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R> {
        let (mut fill, mut result) = (Some(fill), None);
        self.put(length, &mut |frame| {
            let filled = fill.take().map(|fill| fill(frame));
            filled.map_or_else(Meta::default, |(value, meta)| {
                result = Some(value);
                meta
            })
        });
        result
    }

    fn transmit_parts(&self, parts: &[Part<'_>], meta: Meta) -> bool {
        let (info, length) = (self.state.info.get(), super::shared::length(parts));
        if info.link && info.transmit_large >= length && !self.state.broken.get() {
            let mut tx = self.state.tx.borrow_mut();
            match tx.as_mut().map(|tx| tx.transmit_parts(length, parts, meta)) {
                Some(Ok(Some(()))) => return true,
                Some(Err(violation)) => {
                    drop(tx);
                    self.state.fail(violation);
                    return false;
                }
                Some(Ok(None)) | None => {}
            }
        }
        self.put(length, &mut |frame| {
            super::shared::gather(parts, frame);
            meta
        })
    }

    fn flush(&self) {
        if let Some(rx) = self.state.rx.borrow_mut().as_mut()
            && rx.publish()
        {
            rx.notify();
        }
        if let Some(tx) = self.state.tx.borrow_mut().as_mut() {
            tx.flush();
        }
    }
}
