//! Sends and receives events on event channels (`public/event_channel.h`), in the two-level ABI:
//! one pending bit for each port in the shared info page.
//!
//! Events do not interrupt the kernel: all ports are masked except the
//! [watchdog](crate::watchdog)'s, but [while](crate::Domain::unmask_events) user mode runs. The executor calls [`scan`] after each turn of its tasks, and
//! [`wait_until`] (`SCHEDOP_poll`, which also heeds masked ports) when no task is ready. So the
//! selector word, the first level of the ABI, is not used.
//!
//! A port belongs to the domain that it was opened in. One of a former [generation](crate::generation)
//! sends nothing and closes nothing, and a wait for it ends at once.
//!
//! An event is a hint that something changed. It wakes the tasks that [wait](Port::wait) for it,
//! which then look at their ring or at xenstore. So a spurious event is harmless (rule E6), and an
//! event that comes after the look and before the wait is not lost: its bit stays set until the
//! next scan.

use crate::generation::Generation;
use crate::hypercall::{
    event_channel_op_alloc_unbound, event_channel_op_close, event_channel_op_send,
    event_channel_op_status, sched_op_poll,
};
pub use crate::ids::PortNumber;
use crate::memory::SharedPage;
use crate::public::shared_info;
use crate::{DomId, Errno, upcall};
use alloc::vec::Vec;
use core::mem::{offset_of, take};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::task::Waker;
use spin::Mutex;

/// Number of ports in the two-level ABI: 64 words of 64 bits.
const PORTS: u32 = 64 * 64;

/// Most ports that can be open at once: as many as `SCHEDOP_poll` takes.
pub const OPEN: usize = 128;

/// Owns the local end of an event channel. Dropping it closes the port (`EVTCHNOP_close`) and
/// wakes all who wait on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Port {
    number: PortNumber,
    generation: Generation,
}

/// The state of an open port.
#[derive(Debug)]
struct Open {
    number: PortNumber,
    /// Its events are not scanned any more: see [`Port::mask`].
    ignored: bool,
    waiting: Waiting,
}

/// The wakers of those who wait on a port. The first one, mostly the only one, takes no memory
/// from the heap.
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

/// The open ports of a domain.
#[derive(Debug)]
pub(crate) struct Events {
    open: Mutex<heapless::Vec<Open, OPEN>>,
    /// Those that are scanned.
    scanned: Bitmap,
    /// How many were taken.
    events: AtomicU64,
    /// The port of the [watchdog](crate::watchdog)'s timer, which no task waits on; 0 without one.
    pub(crate) timer: AtomicU32,
}

/// A set of ports.
#[derive(Debug)]
struct Bitmap {
    /// Which of the words below are not 0.
    used: AtomicU64,
    words: [AtomicU64; 64],
}

impl Bitmap {
    /// Makes an empty set.
    const fn new() -> Self {
        Self { used: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; 64] }
    }

    /// Adds or removes port `number`.
    fn set(&self, number: PortNumber, member: bool) {
        let (at, bit) = (number.word() as usize, number.bit());
        let Some(word) = self.words.get(at) else { return };
        let old = word.load(Ordering::Relaxed);
        let new = if member { old | bit } else { old & !bit };
        word.store(new, Ordering::Relaxed);
        let used = self.used.load(Ordering::Relaxed);
        let used = if new == 0 { used & !(1 << at) } else { used | 1 << at };
        self.used.store(used, Ordering::Relaxed);
    }

    /// Returns the words that are not 0: index and bits.
    fn words(&self) -> impl Iterator<Item = (u32, u64)> {
        let of = |at: u32| self.words.get(at as usize).map_or(0, |it| it.load(Ordering::Relaxed));
        bits(self.used.load(Ordering::Relaxed)).map(move |at| (at, of(at)))
    }
}

/// Counts open ports and their events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open ports, now.
    pub open: usize,
    /// Events on ports that were open, since boot.
    pub events: u64,
    /// Pending ports that are not open, now. They are masked and never scanned (rule E1).
    pub stray: u64,
}

impl Events {
    pub(crate) const fn new() -> Self {
        let open = Mutex::new(heapless::Vec::new());
        Self { open, scanned: Bitmap::new(), events: AtomicU64::new(0), timer: AtomicU32::new(0) }
    }

    /// Takes the wakers of those who wait on a port.
    fn waiting(&self, number: PortNumber) -> Waiting {
        let mut open = self.open.lock();
        let port = open.iter_mut().find(|port| port.number == number);
        port.map(|port| take(&mut port.waiting)).unwrap_or_default()
    }

    /// Counts an event and takes the wakers of those who wait for it.
    fn take(&self, number: PortNumber) -> Option<Waiting> {
        let mut open = self.open.lock();
        let port = open.iter_mut().find(|port| port.number == number)?;
        // Nothing interrupts this.
        self.events.store(self.events.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(take(&mut port.waiting))
    }
}

impl Port {
    /// Opens a port that Xen or the domain builder allocated, and takes ownership of it. Returns
    /// `None` if the number is not that of a port, if it is open already, or if [`OPEN`] ports
    /// are.
    #[must_use]
    pub fn adopt(number: PortNumber) -> Option<Self> {
        let domain = crate::domain();
        let mut open = domain.events.open.lock();
        let taken = open.iter().any(|port| port.number == number);
        if taken || !(1..PORTS).contains(&number.0) {
            return None;
        }
        let waiting = Waiting::default();
        open.push(Open { number, ignored: false, waiting }).ok()?;
        domain.events.scanned.set(number, true);
        domain.shared_info.set_bits(mask_word(number.word()), number.bit());
        Some(Self { number, generation: Generation::current() })
    }

    /// Allocates an unbound port, to which domain `remote` may bind (`EVTCHNOP_alloc_unbound`).
    ///
    /// # Errors
    /// `ENOSPC` if [`OPEN`] ports are open, or Xen's limit is reached.
    pub fn alloc(remote: DomId) -> Result<Self, Errno> {
        let number = event_channel_op_alloc_unbound(remote)?;
        Self::adopt(number).ok_or_else(|| {
            // It was allocated above, so closing it cannot fail.
            let _ = event_channel_op_close(number);
            Errno::ENOSPC
        })
    }

    /// Returns the number of the port.
    #[must_use]
    pub const fn number(&self) -> PortNumber {
        self.number
    }

    /// Notifies the remote end (`EVTCHNOP_send`). Does nothing if the peer has closed it.
    ///
    /// # Errors
    /// `EINVAL` if the port is not open any more.
    pub fn notify(&self) -> Result<(), Errno> {
        if !self.generation.is_current() {
            return Err(Errno::EINVAL);
        }
        event_channel_op_send(self.number)
    }

    /// Ignores all further events of this port: for a peer that violated the protocol (rule R7).
    pub fn mask(&self) {
        if !self.generation.is_current() {
            return;
        }
        let events = crate::domain().events;
        events.scanned.set(self.number, false);
        let mut open = events.open.lock();
        open.iter_mut().filter(|port| port.number == self.number).for_each(|it| it.ignored = true);
    }

    /// Returns whether the remote end is bound (`EVTCHNOP_status`).
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.generation.is_current() && event_channel_op_status(self.number).unwrap_or(false)
    }

    /// Wakes all who wait, as an event would: to recover from a lost event (rule E7).
    pub fn wake(&self) {
        if self.generation.is_current() {
            crate::domain().events.waiting(self.number).wake();
        }
    }

    /// Wakes `waker` once, at the next event. Register before looking at what may have changed.
    /// No event comes for a port of a former domain: who waited was woken when that ended, and its
    /// owner lets go of it when it finds that out, for which others may have to have a turn.
    pub fn wait(&self, waker: &Waker) {
        if !self.generation.is_current() {
            return;
        }
        let mut open = crate::domain().events.open.lock();
        if let Some(port) = open.iter_mut().find(|port| port.number == self.number) {
            port.waiting.add(waker);
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if !self.generation.is_current() {
            return;
        }
        let events = crate::domain().events;
        events.scanned.set(self.number, false);
        let mut open = events.open.lock();
        let waiting = open
            .iter()
            .position(|port| port.number == self.number)
            .map(|at| open.swap_remove(at).waiting);
        drop(open);
        // It fails if Xen has closed the port already.
        let _ = event_channel_op_close(self.number);
        // Those who wait have to find out that the port is gone.
        waiting.into_iter().for_each(Waiting::wake);
    }
}

/// Forgets all ports, which ended with the former domain, and wakes those who wait on them.
pub(crate) fn forget() {
    let events = crate::domain().events;
    events.timer.store(0, Ordering::Relaxed);
    let open = take(&mut *events.open.lock());
    for port in open {
        events.scanned.set(port.number, false);
        port.waiting.wake();
    }
}

pub(crate) const fn mask_word(word: u32) -> usize {
    offset_of!(shared_info, evtchn_mask) + word as usize * 8
}

pub(crate) const fn pending_word(word: u32) -> usize {
    offset_of!(shared_info, evtchn_pending) + word as usize * 8
}

/// Returns the numbers of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

/// The pending bits of the shared info page, or of a test.
trait Pending {
    /// Clears the bits of `ports` in word `word`, and returns those that were set.
    fn take_word(&self, word: u32, ports: u64) -> u64;
}

impl Pending for SharedPage {
    fn take_word(&self, word: u32, ports: u64) -> u64 {
        let word = pending_word(word);
        // Mostly there is none, and a load costs less than an atomic operation.
        if self.load_u64(word) & ports == 0 { 0 } else { self.take_bits(word, ports) }
    }
}

/// Calls `serve` once for each pending port of `scanned`. A port's bit is cleared before, so an
/// event that comes meanwhile sets it again and is found by the next call. The bits of other
/// ports stay set, and while they are, Xen raises nothing for them.
fn take_all(
    pending: &impl Pending,
    scanned: impl Iterator<Item = (u32, u64)>,
    mut serve: impl FnMut(PortNumber),
) {
    for (word, ports) in scanned {
        for bit in bits(pending.take_word(word, ports)) {
            serve(PortNumber(word * 64 + bit));
        }
    }
}

/// Takes all pending events, counts them and wakes those who wait. Each port is served once in a
/// call, so a storm of events on one starves no other (rules E3 and E4).
pub fn scan() {
    let domain = crate::domain();
    take_all(&domain.shared_info, domain.events.scanned.words(), |number| {
        // Without the lock, as a waker may drop a port, even one of this word.
        if let Some(waiting) = domain.events.take(number) {
            waiting.wake();
        }
    });
}

/// Unmasks the ports that are scanned, so that their events make an upcall pending. Returns whether
/// one of them is pending already, for which there will be none. For the time in user mode.
///
/// This and [`mask_all`] are on the way of each call of a program. So what nearly all domains have
/// alone, ports of the first word, is a part of the caller.
#[inline(always)]
pub(crate) fn unmask_all(page: &SharedPage, events: &Events) -> bool {
    let scanned = &events.scanned;
    let first = unmask_word(page, 0, scanned.words[0].load(Ordering::Relaxed));
    scanned.used.load(Ordering::Relaxed) > 1 && unmask_others() || first
}

#[inline(never)]
fn unmask_others() -> bool {
    let domain = crate::domain();
    let mut pending = false;
    for (word, ports) in domain.events.scanned.words().filter(|(word, _)| *word > 0) {
        pending |= unmask_word(&domain.shared_info, word, ports);
    }
    pending
}

/// Unmasks `ports` of a word, and returns whether one of them is pending.
#[inline(always)]
fn unmask_word(page: &SharedPage, word: u32, ports: u64) -> bool {
    page.take_bits(mask_word(word), ports);
    page.load_u64(pending_word(word)) & ports != 0
}

/// Masks them again.
#[inline(always)]
pub(crate) fn mask_all(page: &SharedPage, events: &Events) {
    let scanned = &events.scanned;
    page.set_bits(mask_word(0), scanned.words[0].load(Ordering::Relaxed));
    if scanned.used.load(Ordering::Relaxed) > 1 {
        mask_others();
    }
}

#[inline(never)]
fn mask_others() {
    let domain = crate::domain();
    for (word, ports) in domain.events.scanned.words() {
        domain.shared_info.set_bits(mask_word(word), ports);
    }
}

/// Unmasks a port that is not scanned. If it became pending while it was masked, Xen has raised no
/// upcall for that, and would raise none until it is no longer pending; so this raises one.
pub(crate) fn unmask_port(number: PortNumber) {
    let page = &crate::domain().shared_info;
    page.take_bits(mask_word(number.word() % 64), number.bit());
    if take_pending(number, false) {
        upcall::raise(page, number.word() % 64);
    }
}

/// Returns whether port `number` is pending, and clears that if `take` says so.
pub(crate) fn take_pending(number: PortNumber, take: bool) -> bool {
    let (page, word) = (&crate::domain().shared_info, pending_word(number.word() % 64));
    let pending = page.load_u64(word) & number.bit() != 0;
    if pending && take {
        page.take_bits(word, number.bit());
    }
    pending
}

/// Clears the pending bit of port `number`, which need not be open. For code outside of tasks
/// that waits on one port by `SCHEDOP_poll`: clear the bit, look, then wait.
pub fn clear(number: PortNumber) {
    if let Some(domain) = crate::attached() {
        domain.shared_info.take_bits(pending_word(number.word() % 64), number.bit());
    }
}

/// Blocks the vCPU until an event comes on a port that some task waits on, or until `deadline`,
/// and then [`scan`]s. `deadline` is in ns of system time; 0 means none. May return early. Events
/// on other ports stay pending, as they would wake nobody.
pub fn wait_until(deadline: u64) {
    let events = crate::domain().events;
    let mut numbers = heapless::Vec::<PortNumber, OPEN>::new();
    // They are not collected, which would move room for all ports with each wait.
    for port in events.open.lock().iter() {
        if !port.ignored && port.waiting.first.is_some() {
            // There is room for all that are open.
            let _ = numbers.push(port.number);
        }
    }
    // A poll for no port, or for several, ends by an event on any port. So if nobody waits, poll
    // for the timer's, which enters the guest anyway. Where upcalls are masked it does not: its bit
    // would stay, and end each further poll.
    let timer = events.timer.load(Ordering::Relaxed);
    let page = &crate::domain().shared_info;
    if numbers.is_empty() && timer > 0 && !upcall::is_masked(page) {
        // It fits: there is none before.
        let _ = numbers.push(PortNumber(timer));
    }
    // If it fails, the wait was short: the caller looks and waits again.
    let _ = sched_op_poll(&mut numbers, deadline);
    scan();
}

/// Returns the counters of this domain's ports.
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
        events: domain.events.events.load(Ordering::Relaxed),
        stray: (0..PORTS / 64).map(stray).sum(),
    }
}

#[cfg(test)]
mod tests;
