//! Event channels (`public/event_channel.h`), in the two-level ABI: one bit a
//! port in the shared info page.
//!
//! No port interrupts anything: all of them are masked but the
//! [watchdog](crate::watchdog)'s, and whoever runs the
//! tasks calls [`scan`] between two of them and `SCHEDOP_poll`, which heeds
//! masked ports as well, when there is nothing else to do (see ARCHITECTURE.md).
//! So the second level, a word that says which words have unmasked ports with
//! news, is not used. An event is a hint that something
//! changed: it wakes those who [wait](Port::wait), who then look for
//! themselves. So a spurious event is harmless (rule E6), and one that comes
//! between a look and the wait is not lost: its bit stays until the next scan.

use crate::hypercall::{
    event_channel_op_alloc_unbound, event_channel_op_close, event_channel_op_send,
    event_channel_op_status, sched_op_poll,
};
pub use crate::ids::PortNumber;
use crate::memory::SharedPage;
use crate::public::shared_info;
use crate::{DomId, Errno};
use alloc::vec::Vec;
use core::mem::{offset_of, take};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::task::Waker;
use spin::Mutex;

/// Ports of the two-level ABI: 64 words of 64 bits.
const PORTS: u32 = 64 * 64;

/// Ports that may be open at once: as many as `SCHEDOP_poll` takes.
pub const OPEN: usize = 128;

/// The local end of an event channel. Dropping it closes the channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Port {
    number: PortNumber,
}

/// What is known of one open port.
#[derive(Debug)]
struct Open {
    number: PortNumber,
    events: u64,
    /// Its peer is not listened to any more.
    ignored: bool,
    waiting: Waiting,
}

/// Those who wait for an event on a port. One of them, as there mostly is, takes no
/// memory from the heap.
#[derive(Debug, Default)]
struct Waiting {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Waiting {
    fn add(&mut self, waker: &Waker) {
        let mut all = self.first.iter().chain(&self.others);
        if all.any(|waiting| waiting.will_wake(waker)) {
            return;
        }
        match &mut self.first {
            Some(_) => self.others.push(waker.clone()),
            none => *none = Some(waker.clone()),
        }
    }

    fn wake(self) {
        self.first.into_iter().chain(self.others).for_each(Waker::wake);
    }
}

/// The ports that are open.
#[derive(Debug)]
pub(crate) struct Events {
    open: Mutex<heapless::Vec<Open, OPEN>>,
    /// The ports among them that are listened to.
    heard: Heard,
    /// The port of the [watchdog](crate::watchdog)'s timer, or 0: nobody waits for it.
    pub(crate) timer: AtomicU32,
}

/// A bit for each port that is listened to.
#[derive(Debug)]
struct Heard {
    /// Which of the words below are not 0.
    used: AtomicU64,
    words: [AtomicU64; 64],
}

impl Heard {
    /// No port.
    const fn new() -> Self {
        Self { used: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; 64] }
    }

    /// Listens to port `number`, or does not any more.
    fn set(&self, number: PortNumber, heard: bool) {
        let (at, bit) = (number.word() as usize, number.bit());
        let Some(word) = self.words.get(at) else { return };
        let old = word.load(Ordering::Relaxed);
        let new = if heard { old | bit } else { old & !bit };
        word.store(new, Ordering::Relaxed);
        let used = self.used.load(Ordering::Relaxed);
        let used = if new == 0 { used & !(1 << at) } else { used | 1 << at };
        self.used.store(used, Ordering::Relaxed);
    }

    /// The words with ports that are listened to, and which these are.
    fn words(&self) -> impl Iterator<Item = (u32, u64)> {
        let of = |at: u32| self.words.get(at as usize).map_or(0, |it| it.load(Ordering::Relaxed));
        bits(self.used.load(Ordering::Relaxed)).map(move |at| (at, of(at)))
    }
}

/// Counts open ports and events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Ports that are open.
    pub open: usize,
    /// Events that came on them.
    pub events: u64,
    /// Ports with events that nobody has open; they are masked and not looked at (rule E1).
    pub stray: u64,
}

impl Events {
    pub(crate) const fn new() -> Self {
        let open = Mutex::new(heapless::Vec::new());
        Self { open, heard: Heard::new(), timer: AtomicU32::new(0) }
    }

    /// Those who wait for an event on a port.
    fn waiting(&self, number: PortNumber) -> Waiting {
        let mut open = self.open.lock();
        let port = open.iter_mut().find(|port| port.number == number);
        port.map(|port| take(&mut port.waiting)).unwrap_or_default()
    }

    /// Counts an event and gives those who wait for it.
    fn take(&self, number: PortNumber) -> Option<Waiting> {
        let mut open = self.open.lock();
        let port = open.iter_mut().find(|port| port.number == number)?;
        port.events += 1;
        Some(take(&mut port.waiting))
    }
}

impl Port {
    /// Takes ownership of a port that Xen or the domain builder made. Returns `None` if the
    /// number cannot be a port or is open already, or if [`OPEN`] ports are open.
    #[must_use]
    pub fn adopt(number: PortNumber) -> Option<Self> {
        let domain = crate::domain();
        let mut open = domain.events.open.lock();
        let taken = open.iter().any(|port| port.number == number);
        if taken || !(1..PORTS).contains(&number.0) {
            return None;
        }
        let waiting = Waiting::default();
        open.push(Open { number, events: 0, ignored: false, waiting }).ok()?;
        domain.events.heard.set(number, true);
        domain.shared_info.set_bits(mask_word(number.word()), number.bit());
        Some(Self { number })
    }

    /// Allocates an unbound port, to which domain `remote` may bind (`EVTCHNOP_alloc_unbound`).
    ///
    /// # Errors
    /// `ENOSPC` when no more ports may be open.
    pub fn alloc(remote: DomId) -> Result<Self, Errno> {
        let number = event_channel_op_alloc_unbound(remote)?;
        Self::adopt(number).ok_or_else(|| {
            // It was made a moment ago, so it can be closed.
            let _ = event_channel_op_close(number);
            Errno::ENOSPC
        })
    }

    /// Returns its number.
    #[must_use]
    pub const fn number(&self) -> PortNumber {
        self.number
    }

    /// Notifies the other end (`EVTCHNOP_send`).
    ///
    /// # Errors
    /// `EINVAL` when the other end is gone.
    pub fn notify(&self) -> Result<(), Errno> {
        event_channel_op_send(self.number)
    }

    /// Ignores all further events: for a peer that violated the protocol (rule R7).
    pub fn mask(&self) {
        let events = crate::domain().events;
        events.heard.set(self.number, false);
        let mut open = events.open.lock();
        open.iter_mut().filter(|port| port.number == self.number).for_each(|it| it.ignored = true);
    }

    /// Returns whether the other end is bound.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        event_channel_op_status(self.number).unwrap_or(false)
    }

    /// Wakes all waiters as an event would, to recover from a lost event (rule E7).
    pub fn wake(&self) {
        crate::domain().events.waiting(self.number).wake();
    }

    /// Wakes `waker` at the next event.
    pub fn wait(&self, waker: &Waker) {
        let mut open = crate::domain().events.open.lock();
        if let Some(port) = open.iter_mut().find(|port| port.number == self.number) {
            port.waiting.add(waker);
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let events = crate::domain().events;
        events.heard.set(self.number, false);
        let mut open = events.open.lock();
        let waiting = open
            .iter()
            .position(|port| port.number == self.number)
            .map(|at| open.swap_remove(at).waiting);
        drop(open);
        // A port that Xen closed first is closed as well.
        let _ = event_channel_op_close(self.number);
        // Whoever waits finds the device gone.
        waiting.into_iter().for_each(Waiting::wake);
    }
}

const fn mask_word(word: u32) -> usize {
    offset_of!(shared_info, evtchn_mask) + word as usize * 8
}

const fn pending_word(word: u32) -> usize {
    offset_of!(shared_info, evtchn_pending) + word as usize * 8
}

/// The numbers of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

/// The words of the shared info page that say which ports have news.
trait Pending {
    /// Takes those of `ports` of `word` that have news.
    fn take_word(&self, word: u32, ports: u64) -> u64;
}

impl Pending for SharedPage {
    fn take_word(&self, word: u32, ports: u64) -> u64 {
        let word = pending_word(word);
        // Mostly there is none, and a look costs less than an atomic operation.
        if self.load_u64(word) & ports == 0 { 0 } else { self.take_bits(word, ports) }
    }
}

/// Gives `serve` each port of `heard` with news, once. A port's bit is taken first, so
/// an event that comes meanwhile sets it again and is found by the next call. The bits
/// of other ports stay, and while they do, Xen raises nothing for them.
fn take_all(
    pending: &impl Pending,
    heard: impl Iterator<Item = (u32, u64)>,
    mut serve: impl FnMut(PortNumber),
) {
    for (word, ports) in heard {
        for bit in bits(pending.take_word(word, ports)) {
            serve(PortNumber(word * 64 + bit));
        }
    }
}

/// Takes every event that came, counts it and wakes those who wait for it.
/// Each port is served once a call, so a storm on one starves nobody (E3, E4).
pub fn scan() {
    let domain = crate::domain();
    take_all(&domain.shared_info, domain.events.heard.words(), |number| {
        // Woken without the lock: a waker may drop a port, of this word as well.
        if let Some(waiting) = domain.events.take(number) {
            waiting.wake();
        }
    });
}

/// Forgets an event that came on port `number`, open or not. For those who
/// wait for one port alone, outside the tasks.
pub fn forget(number: PortNumber) {
    if let Some(domain) = crate::attached() {
        domain.shared_info.take_bits(pending_word(number.word() % 64), number.bit());
    }
}

/// Waits until an event comes on a port that somebody waits for, or until `deadline` (system
/// time in ns; 0 waits for ever), and [`scan`]s. What comes on other ports stays pending
/// until then: it would wake nobody.
pub fn wait_until(deadline: u64) {
    let events = crate::domain().events;
    let open = events.open.lock();
    let waited = open.iter().filter(|port| !port.ignored && port.waiting.first.is_some());
    let mut numbers: heapless::Vec<PortNumber, OPEN> = waited.map(|port| port.number).collect();
    drop(open);
    // Xen wakes those who wait for no port, or for many, by the event of any port. The
    // timer enters the guest anyway.
    let timer = events.timer.load(Ordering::Relaxed);
    if numbers.is_empty() && timer > 0 {
        // There is room.
        let _ = numbers.push(PortNumber(timer));
    }
    // A wait that fails is a wait that was short: the caller looks again.
    let _ = sched_op_poll(&mut numbers, deadline);
    scan();
}

/// Returns what was counted so far.
#[must_use]
pub fn stats() -> Stats {
    let domain = crate::domain();
    let open = domain.events.open.lock();
    let known = |number| open.iter().any(|port| port.number == number);
    let stray = |word: u32| {
        let pending = bits(domain.shared_info.load_u64(pending_word(word)));
        pending.filter(|bit| !known(PortNumber(word * 64 + bit))).count() as u64
    };
    Stats {
        open: open.len(),
        events: open.iter().map(|port| port.events).sum(),
        stray: (0..PORTS / 64).map(stray).sum(),
    }
}

#[cfg(test)]
mod tests;
