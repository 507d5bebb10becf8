//! A learning Ethernet bridge between two interfaces (IEEE 802.1Q, without VLANs and
//! without a spanning tree).
//!
//! Frames are copied once, from where they were received into the buffer that goes out,
//! and nothing is allocated for them. A side that takes no frames for a while loses them,
//! so that it never holds up the other direction. Without a spanning tree, frames that
//! go to all circle in a network that has another way around the bridge; each direction
//! lets others have their turn after a number of frames, whatever comes in.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod table;
#[cfg(test)]
mod tests;

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;
use table::{Side, Table};
use xenith::ip;
use xenith::metrics::{Metric, Source};
use xenith::net::{Broken, Checksum, HEADER, Mac, Meta, Net};
use xenith::println;
use xenith::task::{Either, select, yield_now};
use xenith::time::{Instant, timeout};

/// Frames in one direction before the other direction and other tasks get their turn.
const BUDGET: usize = 64;

/// How long frames wait for room on their way out.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a bridge did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that went to the other side.
    pub forwarded: u64,
    /// Frames for a machine on the side that they came from.
    pub local: u64,
    /// Frames that no bridge forwards: from a group address, or for the bridge itself.
    pub refused: u64,
    /// Frames that the other side had no room for.
    pub crowded: u64,
    /// Frames that are longer than the other side takes.
    pub oversized: u64,
    /// Frames with a checksum left blank, of a kind that nobody can fill it in for.
    pub blank: u64,
    /// Times that a machine was heard of on another side than before.
    pub moved: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { forwarded, local, refused, crowded, oversized, blank, moved } = self;
        write!(
            f,
            "{forwarded} frames forwarded, {local} stayed; lost: {crowded} for want of room, \
             {oversized} too long, {blank} without a checksum, {refused} refused; {moved} moves"
        )
    }
}

impl Source for Stats {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        xenith::metrics! { each;
            counter("bridge_forwarded", "Frames forwarded.", self.forwarded),
            counter("bridge_local", "Frames that stayed on their side.", self.local),
            counter("bridge_refused", "Frames that no bridge forwards.", self.refused),
            counter("bridge_crowded", "Frames lost for want of room.", self.crowded),
            counter("bridge_oversized", "Frames that were too long.", self.oversized),
            counter("bridge_blank", "Frames without a checksum.", self.blank),
            counter("bridge_moved", "Machines that changed sides.", self.moved),
        }
    }
}

/// Why a bridge is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// One of the interfaces is broken.
    Broken,
    /// There is no memory for the table of machines.
    Memory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => Broken.fmt(f),
            Self::Memory => f.write_str("no memory is left for the table of machines"),
        }
    }
}

impl core::error::Error for Error {}

/// What both directions share.
struct Bridge {
    table: RefCell<Table>,
    stats: Rc<Cell<Stats>>,
}

/// What to do with a frame.
enum Fate {
    Forward,
    Stay,
    Refuse,
}

impl Bridge {
    fn count(&self, f: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        f(&mut stats);
        self.stats.set(stats);
    }

    fn judge(&self, frame: &[u8], side: Side, now: Instant) -> Fate {
        let address = |at: usize| Some(Mac(*frame.get(at..)?.first_chunk()?));
        let (Some(to), Some(from)) = (address(0), address(6)) else { return Fate::Refuse };
        let is_group = |mac: Mac| mac.0[0] & 1 != 0;
        // What is for bridges goes no further (IEEE 802.1Q, section 8.6.3).
        let is_for_bridges = matches!(to.0, [1, 0x80, 0xc2, 0, 0, 0..16]);
        if is_group(from) || from == Mac::default() || is_for_bridges {
            return Fate::Refuse;
        }
        let mut table = self.table.borrow_mut();
        if table.learn(from, side, now) {
            self.count(|stats| stats.moved += 1);
        }
        if !is_group(to) && table.find(to, now) == Some(side) { Fate::Stay } else { Fate::Forward }
    }

    /// Takes one frame in and sends it on if it is to go to the other side and there is
    /// `room`.
    fn one<A: Net, B: Net>(&self, side: Side, from: &A, to: &B, room: bool, now: Instant) {
        let info = to.info();
        from.receive(|frame, meta| {
            match self.judge(frame, side, now) {
                Fate::Forward => {}
                Fate::Stay => return self.count(|stats| stats.local += 1),
                Fate::Refuse => return self.count(|stats| stats.refused += 1),
            }
            let blank = meta.checksum == Checksum::Blank;
            let fill = blank && !info.transmit_blank;
            if frame.len() > info.mtu + HEADER {
                return self.count(|stats| stats.oversized += 1);
            }
            if fill && !ip::has_checksum(frame) {
                return self.count(|stats| stats.blank += 1);
            }
            let sent = if room {
                to.transmit(frame.len(), |out| {
                    out.copy_from_slice(frame);
                    if fill {
                        ip::fill_checksum(out);
                    }
                    let blank = blank && !fill;
                    // A checksum that was verified is one that stands in the frame.
                    let checksum = if blank { Checksum::Blank } else { Checksum::Complete };
                    ((), Meta::new(checksum, 0))
                })
            } else {
                None
            };
            self.count(|stats| match sent {
                Some(()) => stats.forwarded += 1,
                None => stats.crowded += 1,
            });
        });
    }

    /// Forwards up to [`BUDGET`] frames; whether it stopped for want of room. Frames
    /// without room are lost if they are `late`.
    fn batch<A: Net, B: Net>(
        &self,
        side: Side,
        (from, to): (&A, &B),
        late: bool,
        context: &mut Context<'_>,
    ) -> Result<bool, Broken> {
        let now = Instant::now();
        for _ in 0..BUDGET {
            let Poll::Ready(ready) = from.poll_receive(context) else { return Ok(false) };
            ready?;
            let room = match to.poll_transmit(context) {
                Poll::Ready(ready) => ready.map(|()| true)?,
                Poll::Pending => false,
            };
            if !room && !late {
                return Ok(true);
            }
            self.one(side, from, to, room, now);
        }
        Ok(false)
    }

    /// Forwards what comes `from` one side `to` the other until one is broken.
    async fn forward<A: Net, B: Net>(&self, side: Side, from: &A, to: &B) -> Broken {
        let mut late = false;
        loop {
            if let Err(broken) = poll_fn(|context| from.poll_receive(context)).await {
                return broken;
            }
            let batch = |context: &mut Context<'_>| {
                Poll::Ready(self.batch(side, (from, to), late, context))
            };
            let full = match poll_fn(batch).await {
                Ok(full) => full,
                Err(broken) => return broken,
            };
            to.flush();
            from.flush();
            late = false;
            if full {
                let room = poll_fn(|context| to.poll_transmit(context));
                late = timeout(PATIENCE, room).await.is_err();
            } else {
                yield_now().await;
            }
        }
    }
}

/// Bridges two interfaces until one is broken, and counts in `stats`.
///
/// # Errors
/// See [`Error`].
pub async fn run<A: Net, B: Net>(one: &A, other: &B, stats: Rc<Cell<Stats>>) -> Result<(), Error> {
    // Without randomness a flood can be aimed, and that is all.
    let secret = xenith::entropy::next_u64().unwrap_or_default();
    let table = RefCell::new(Table::new(secret).ok_or(Error::Memory)?);
    let bridge = Bridge { table, stats };
    let there = bridge.forward(Side::One, one, other);
    let back = bridge.forward(Side::Other, other, one);
    let (Either::First(Broken) | Either::Second(Broken)) = select(there, back).await;
    Err(Error::Broken)
}

/// Bridges two interfaces until the machine is asked to end.
///
/// # Errors
/// See [`Error`].
pub async fn start<A: Net, B: Net>(one: A, other: B) -> Result<(), Error> {
    let stats = Rc::new(Cell::new(Stats::default()));
    let (first, second) = (one.info().mac, other.info().mac);
    println!("bridge: ready between {first} and {second}");
    let bridge = run(&one, &other, stats.clone());
    let result = match select(bridge, xenith::shutdown_requested()).await {
        Either::First(result) => result,
        Either::Second(_) => Ok(()),
    };
    println!("bridge: {}", stats.get());
    result
}
