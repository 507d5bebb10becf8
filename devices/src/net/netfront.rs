//! The front end of Xen's network interfaces (`public/io/netif.h`).
//!
//! Pages are lent to the back end once a connection, for both directions, so a
//! frame costs no hypercall but the notification that many share. One task
//! looks after the connection: it follows the back end through its states,
//! disconnects and connects anew, and looks once a second for what no event
//! told of. Everything the back end says is judged in `rx`, `tx` and `connect`;
//! what breaks the protocol ends the interface for good (rule R7).

mod connect;
mod rx;
#[cfg(test)]
mod tests;
mod tx;

use super::{Broken, HEADER, Info, Meta, Net, Offloading, Offloads};
use crate::frontend;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::task::{Context, Poll, Waker};
use kernel::Device;
use kernel::args::{self, Args};
use kernel::device::Class;
use kernel::metrics::{Metric, Source};
use kernel::task::{Task, spawn};
use rx::Rx;
use tx::Tx;

/// What a back end did that no back end may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Violation {
    /// A ring's index is where it cannot be.
    Index,
    /// A response to a request that was not made.
    Response,
    /// More bytes than fit into a page.
    Size,
    /// A kind of slot that was not agreed on.
    Extra,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "it moved a ring's index where it cannot be",
            Self::Response => "it answered what it was not asked",
            Self::Size => "it says that it put more into a page than fits",
            Self::Extra => "it sent a kind of slot that was not agreed on",
        })
    }
}

/// Why an interface cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The domain has no interface of that number, but these.
    Missing(String, Vec<String>),
    /// The interface of that number is there, and cannot be used.
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

/// What an interface did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames received.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Frames that came and were thrown away: damaged, too short or too long.
    pub received_dropped: u64,
    /// Frames transmitted.
    pub transmitted: u64,
    /// Their bytes.
    pub transmitted_bytes: u64,
    /// Frames that were to be transmitted and were not: no link, or the back
    /// end says so.
    pub transmitted_dropped: u64,
    /// Times that it was connected.
    pub connections: u32,
    /// Times that it was reset because the back end did not answer.
    pub resets: u32,
    /// Events that had to be looked for because none came.
    pub lost_events: u32,
    /// Whether the back end broke the protocol: 1, as it is not used after that.
    pub violations: u32,
    /// Slots of the receiving ring that wait for a frame now.
    pub receive_slots: u32,
    /// Slots of the transmitting ring whose frame is on its way now.
    pub transmit_slots: u32,
}

/// What the driver and the task that looks after it share.
#[derive(Debug, Default)]
struct State {
    /// What it is called in lines of its own, and in those of a stack above.
    vif: String,
    net: String,
    info: Cell<Info>,
    offloads: Offloads,
    broken: Cell<bool>,
    /// Apart from each other, as a frame may be transmitted while one is received.
    rx: RefCell<Option<Rx>>,
    tx: RefCell<Option<Tx>>,
    /// The frame that is received now.
    scratch: RefCell<Vec<u8>>,
    /// Where frames go while there is no link.
    nowhere: RefCell<Vec<u8>>,
    /// Those who wait for a connection.
    waiting: RefCell<Vec<Waker>>,
    /// The task that looks after the connection, when it should act.
    keeper: RefCell<Option<Waker>>,
    /// Why it cannot be connected.
    trouble: Cell<Option<frontend::Error>>,
    /// Of connections that are over.
    stats: Cell<Stats>,
}

impl State {
    fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Something about the connection changed.
    fn wake(&self) {
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The back end broke the protocol: the interface is over.
    fn fail(&self, violation: Violation) {
        if !self.broken.replace(true) {
            self.count(|stats| stats.violations += 1);
            log::error!("{}: the back end is not used any more: {violation}", self.vif);
        }
        self.info.update(|info| Info { link: false, ..info });
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
        self.wake();
    }

    fn count(&self, f: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        f(&mut stats);
        self.stats.set(stats);
    }

    /// Adds what a connection counted.
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

/// A network interface of this domain. Dropping it gives up the connection at once.
#[derive(Debug)]
pub struct Netfront {
    state: Rc<State>,
    /// Looks after the connection; ends with this value.
    _keeper: Task<()>,
}

impl Netfront {
    /// Opens interface `id`, as numbered in xenstore; the empty string is the
    /// lowest one. Waits until it is connected: a back end may be as slow as it likes,
    /// which is logged.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(id: &str) -> Result<Self, Error> {
        Self::open_with(id, Offloads::default()).await
    }

    /// The same with these offloads, as far as the back end offers them.
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
        let keeper = spawn(connect::keep(state.clone(), id.clone()));
        match frontend::opened(&*state).await {
            Ok(()) => Ok(Self { state, _keeper: keeper }),
            Err(error) => Err(Error::Connection(id, error)),
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.state.stats.get();
        let (rx, tx) = (self.state.rx.borrow(), self.state.tx.borrow());
        State::add(&mut stats, rx.as_ref(), tx.as_ref());
        stats.receive_slots = rx.as_ref().map_or(0, Rx::in_flight);
        stats.transmit_slots = tx.as_ref().map_or(0, Tx::in_flight);
        stats
    }

    /// Ready when `poll` of the half in `half` is; without a connection it waits for one.
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
        self.state.wait(context.waker());
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
            counter("net_received_bytes", "Their bytes.", stats.received_bytes),
            counter("net_received_dropped", "Bad ones.", stats.received_dropped),
            counter("net_transmitted_frames", "Frames transmitted.", stats.transmitted),
            counter("net_transmitted_bytes", "Their bytes.", stats.transmitted_bytes),
            counter("net_transmitted_dropped", "Lost ones.", stats.transmitted_dropped),
            counter("net_connections", "Back ends connected.", stats.connections.into()),
            counter("net_resets", "Back ends that hung.", stats.resets.into()),
            counter(
                "net_lost_events",
                "Events that did not come.",
                stats.lost_events.into(),
            ),
            counter("net_violations", "Protocols broken.", stats.violations.into()),
            gauge("net_receive_slots", "Slots to receive in.", stats.receive_slots.into()),
            gauge(
                "net_transmit_slots",
                "Slots on their way out.",
                stats.transmit_slots.into(),
            ),
            gauge("grants", "Pages lent.", grants.used as u64),
            gauge("grants_quarantined", "Pages not given back.", grants.quarantine as u64),
            counter("xenstore_dropped", "Messages nobody waited for.", store.dropped),
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
        self.poll_half(&self.state.rx, context, Rx::poll)
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        // Out of its cell, so that nothing is borrowed while `take` runs.
        let mut scratch = self.state.scratch.take();
        let came = self.state.rx.borrow_mut().as_mut().and_then(|rx| rx.receive(&mut scratch));
        let result = came.and_then(|(length, meta)| Some(take(scratch.get(..length)?, meta)));
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
        let info = self.state.info.get();
        let longest = info.transmit_large.max(info.mtu + HEADER);
        if !(HEADER..=longest).contains(&length) || self.state.broken.get() {
            return None;
        }
        let mut tx = self.state.tx.borrow_mut();
        if let Some(tx) = tx.as_mut().filter(|_| info.link) {
            return match tx.transmit(length, fill) {
                Ok(result) => result,
                Err(violation) => {
                    self.state.fail(violation);
                    None
                }
            };
        }
        drop(tx);
        let mut nowhere = self.state.nowhere.borrow_mut();
        nowhere.resize(length, 0);
        self.state.count(|stats| stats.transmitted_dropped += 1);
        Some(fill(&mut nowhere).0)
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
