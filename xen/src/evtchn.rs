//! Event channels (`public/event_channel.h`), in the two-level ABI: one bit a
//! port in the shared info page, and above them one bit for every 64 ports.
//!
//! There is no upcall. Events stay masked for the vCPU, and whoever runs the
//! tasks calls [`scan`] between two of them and `SCHEDOP_poll` when there is
//! nothing else to do (see ARCHITECTURE.md). An event is a hint that something
//! changed: it wakes those who [wait](Port::wait), who then look for
//! themselves. So a spurious event is harmless (rule E6), and one that comes
//! between a look and the wait is not lost: its bit stays until the next scan.

use crate::Errno;
use crate::hypercall::{
    event_channel_op_alloc_unbound, event_channel_op_close, event_channel_op_send,
    event_channel_op_status, sched_op_poll,
};
use crate::memory::SharedPage;
use crate::public::{shared_info, vcpu_info};
use alloc::vec::Vec;
use core::mem::{offset_of, take};
use core::task::Waker;
use spin::Mutex;

/// Ports of the two-level ABI: 64 words of 64 bits.
const PORTS: u32 = 64 * 64;

/// Ports that may be open at once: as many as `SCHEDOP_poll` takes.
pub const OPEN: usize = 128;

/// Which word of [`shared_info::evtchn_pending`] has news.
const SELECTOR: usize =
    offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, evtchn_pending_sel);

/// The local end of an event channel. Dropping it closes the channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Port {
    number: u32,
}

/// What is known of one open port.
#[derive(Debug)]
struct Open {
    number: u32,
    events: u64,
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
    stray: Mutex<u64>,
}

/// What came over event channels so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Ports that are open.
    pub open: usize,
    /// Events that came on them.
    pub events: u64,
    /// Events on ports that nobody had open; such a port is masked (rule E1).
    pub stray: u64,
}

impl Events {
    pub(crate) const fn new() -> Self {
        Self { open: Mutex::new(heapless::Vec::new()), stray: Mutex::new(0) }
    }

    /// Those who wait for an event on a port.
    fn waiting(&self, number: u32) -> Waiting {
        let mut open = self.open.lock();
        let port = open.iter_mut().find(|port| port.number == number);
        port.map(|port| take(&mut port.waiting)).unwrap_or_default()
    }

    /// Counts an event and gives those who wait for it.
    fn take(&self, number: u32) -> Option<Waiting> {
        let mut open = self.open.lock();
        let port = open.iter_mut().find(|port| port.number == number)?;
        port.events += 1;
        Some(take(&mut port.waiting))
    }
}

impl Port {
    /// Takes charge of a port that Xen or the domain builder made. Nothing when
    /// the number cannot be a port, is open already, or [`OPEN`] are.
    #[must_use]
    pub fn adopt(number: u32) -> Option<Self> {
        let domain = crate::domain();
        let mut open = domain.events.open.lock();
        let taken = open.iter().any(|port| port.number == number);
        if taken || !(1..PORTS).contains(&number) {
            return None;
        }
        open.push(Open { number, events: 0, waiting: Waiting::default() }).ok()?;
        // It may have been masked as a stray one.
        domain.shared_info.take_bits(mask_word(number / 64), 1 << (number % 64));
        Some(Self { number })
    }

    /// Makes a new port, which domain `remote` may bind to.
    ///
    /// # Errors
    /// `ENOSPC` when no more ports may be open.
    pub fn alloc(remote: u16) -> Result<Self, Errno> {
        let number = event_channel_op_alloc_unbound(remote)?;
        Self::adopt(number).ok_or_else(|| {
            // It was made a moment ago, so it can be closed.
            let _ = event_channel_op_close(number);
            Errno::ENOSPC
        })
    }

    /// The number that hypercalls know it by.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Makes the other end pending.
    ///
    /// # Errors
    /// `EINVAL` when the other end is gone.
    pub fn notify(&self) -> Result<(), Errno> {
        event_channel_op_send(self.number)
    }

    /// Takes no more events: for a peer that broke the protocol (rule R7).
    pub fn mask(&self) {
        let mask = mask_word(self.number / 64);
        crate::domain().shared_info.set_bits(mask, 1 << (self.number % 64));
    }

    /// Whether the other end is there, and not closed or never bound.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        event_channel_op_status(self.number).unwrap_or(false)
    }

    /// Wakes those who wait, as an event does: for events that were lost (rule E7).
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
        let mut open = crate::domain().events.open.lock();
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

const fn pending_word(word: u32) -> usize {
    offset_of!(shared_info, evtchn_pending) + word as usize * 8
}

const fn mask_word(word: u32) -> usize {
    offset_of!(shared_info, evtchn_mask) + word as usize * 8
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
    /// Takes the selector: the words with news.
    fn take_selector(&self) -> u64;

    /// Takes the ports of `word` that have news and are not masked.
    fn take_word(&self, word: u32) -> u64;
}

impl Pending for SharedPage {
    fn take_selector(&self) -> u64 {
        self.take_bits(SELECTOR, !0)
    }

    fn take_word(&self, word: u32) -> u64 {
        let unmasked = !self.load_u64(mask_word(word));
        self.take_bits(pending_word(word), unmasked)
    }
}

/// Gives `serve` each port with news, once. The selector is taken first, so an
/// event that comes meanwhile sets it again and is found by the next call.
fn take_all(pending: &impl Pending, mut serve: impl FnMut(u32)) {
    for word in bits(pending.take_selector()) {
        for bit in bits(pending.take_word(word)) {
            serve(word * 64 + bit);
        }
    }
}

/// Takes every event that came, counts it and wakes those who wait for it.
/// Each port is served once a call, so a storm on one starves nobody (E3, E4).
pub fn scan() {
    let domain = crate::domain();
    take_all(&domain.shared_info, |number| match domain.events.take(number) {
        // Woken without the lock: a waker may drop a port.
        Some(waiting) => waiting.wake(),
        None => {
            domain.shared_info.set_bits(mask_word(number / 64), 1 << (number % 64));
            *domain.events.stray.lock() += 1;
        }
    });
}

/// Forgets an event that came on port `number`, open or not. For those who
/// wait for one port alone, outside the tasks.
pub fn forget(number: u32) {
    if let Some(domain) = crate::attached() {
        domain.shared_info.take_bits(pending_word(number / 64 % 64), 1 << (number % 64));
    }
}

/// Waits until an event comes on an open port, or until `deadline` (system
/// time in ns; 0 waits for ever), and [`scan`]s.
pub fn wait_until(deadline: u64) {
    let mut numbers = [0; OPEN];
    let open = crate::domain().events.open.lock();
    let count = numbers.iter_mut().zip(open.iter()).map(|(to, port)| *to = port.number).count();
    drop(open);
    // A wait that fails is a wait that was short: the caller looks again.
    let _ = sched_op_poll(numbers.split_at_mut(count).0, deadline);
    scan();
}

/// What came so far.
#[must_use]
pub fn stats() -> Stats {
    let events = &crate::domain().events;
    let open = events.open.lock();
    Stats {
        open: open.len(),
        events: open.iter().map(|port| port.events).sum(),
        stray: *events.stray.lock(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counting() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    #[test]
    fn an_event_wakes_everyone_who_waits_once() {
        let fake = Fake::new();
        let port = Port::adopt(66).unwrap();
        let ((one, first), (two, second)) = (counting(), counting());
        port.wait(&first);
        port.wait(&second);
        scan();
        assert_eq!(one.0.load(Ordering::Relaxed), 0);
        fake.raise(66);
        fake.raise(66);
        scan();
        scan();
        assert_eq!(one.0.load(Ordering::Relaxed), 1);
        assert_eq!(two.0.load(Ordering::Relaxed), 1);
        assert_eq!(stats(), Stats { open: 1, events: 1, stray: 0 });
    }

    #[test]
    fn an_event_before_the_wait_is_not_lost_r13() {
        let fake = Fake::new();
        let port = Port::adopt(7).unwrap();
        fake.raise(7);
        let (count, waker) = counting();
        port.wait(&waker);
        scan();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    /// Makes its port pending again when it is woken.
    struct Again(u32);

    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            let pending = &crate::domain().shared_info;
            pending.set_bits(pending_word(self.0 / 64), 1 << (self.0 % 64));
            pending.set_bits(SELECTOR, 1 << (self.0 / 64));
        }
    }

    #[test]
    fn an_event_while_one_is_handled_is_found_by_the_next_scan_e2() {
        let fake = Fake::new();
        let port = Port::adopt(9).unwrap();
        port.wait(&Arc::new(Again(9)).into());
        fake.raise(9);
        scan();
        let (count, waker) = counting();
        port.wait(&waker);
        assert_eq!(stats().events, 1);
        scan();
        assert_eq!((count.0.load(Ordering::Relaxed), stats().events), (1, 2));
    }

    #[test]
    fn events_for_nothing_harm_nobody_at_any_time_e6() {
        let fake = Fake::new();
        fake.raise(9);
        let port = Port::adopt(9).unwrap();
        for _ in 0..3 {
            scan();
            fake.raise(9);
            port.wake();
        }
        drop(port);
        fake.raise(9);
        scan();
        assert_eq!(stats(), Stats { open: 0, events: 0, stray: 1 });
        // A port of the same number knows nothing of the earlier one.
        let (count, waker) = counting();
        let port = Port::adopt(9).unwrap();
        port.wait(&waker);
        scan();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_unknown_port_is_masked_counted_and_ignored_e1() {
        let fake = Fake::new();
        for _ in 0..3 {
            fake.raise(99);
            scan();
        }
        assert_eq!(stats().stray, 1, "masked after the first");
        let port = Port::adopt(99).unwrap();
        let (count, waker) = counting();
        port.wait(&waker);
        fake.raise(99);
        scan();
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "opening it unmasks it");
    }

    #[test]
    fn all_ports_with_news_are_served_in_one_scan_e4() {
        let fake = Fake::new();
        let ports: Vec<Port> = (1..=128).map(|number| Port::adopt(number).unwrap()).collect();
        assert_eq!(Port::adopt(129), None, "SCHEDOP_poll takes no more");
        let (count, waker) = counting();
        for port in &ports {
            port.wait(&waker);
            fake.raise(port.number());
        }
        scan();
        assert_eq!(count.0.load(Ordering::Relaxed), 128);
    }

    #[test]
    fn dropping_a_port_closes_it_and_wakes_who_waits_r12() {
        let fake = Fake::new();
        let port = Port::adopt(5).unwrap();
        assert_eq!(Port::adopt(5), None, "open already");
        let (count, waker) = counting();
        port.wait(&waker);
        drop(port);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(fake.closed(), [5]);
        assert_eq!(stats().open, 0);
    }

    #[test]
    fn numbers_that_cannot_be_ports_are_refused() {
        let _fake = Fake::new();
        assert_eq!(Port::adopt(0), None);
        assert_eq!(Port::adopt(4096), None);
    }

    #[test]
    fn notify_reaches_the_hypervisor() {
        let fake = Fake::new();
        Port::adopt(3).unwrap().notify().unwrap();
        assert_eq!(fake.notifications(3), 1);
    }

    /// The words as loom knows them: two words with a port each, no masks.
    #[derive(Default)]
    struct Model {
        selector: loom::sync::atomic::AtomicU64,
        words: [loom::sync::atomic::AtomicU64; 2],
    }

    impl Pending for Model {
        fn take_selector(&self) -> u64 {
            self.selector.fetch_and(0, Ordering::AcqRel)
        }

        fn take_word(&self, word: u32) -> u64 {
            self.words[word as usize].fetch_and(0, Ordering::AcqRel)
        }
    }

    impl Model {
        /// What Xen does for the other end of port `64 * word` (its
        /// common/event_2l.c): the port's bit, and the selector's if the
        /// port's was clear.
        fn raise(&self, word: usize) {
            if self.words[word].fetch_or(1, Ordering::AcqRel) & 1 == 0 {
                self.selector.fetch_or(1 << word, Ordering::AcqRel);
            }
        }
    }

    /// In every interleaving of two peers that write and notify with a guest
    /// that scans, looks at what was written, and scans once more when the
    /// peers are done (as it does when SCHEDOP_poll returns): the guest has
    /// seen everything, because no notification that it did not serve is lost.
    #[test]
    fn no_wake_up_is_lost_in_any_interleaving() {
        use loom::sync::atomic::AtomicU64;

        loom::model(|| {
            let model =
                loom::sync::Arc::new((Model::default(), [AtomicU64::new(0), AtomicU64::new(0)]));
            let peers = [0, 1].map(|word| {
                let model = model.clone();
                loom::thread::spawn(move || {
                    for item in 1..=2 - word as u64 {
                        model.1[word].store(item, Ordering::Release);
                        model.0.raise(word);
                    }
                })
            });
            let mut seen = [0, 0];
            let mut scan = || {
                take_all(&model.0, |port| {
                    let word = (port / 64) as usize;
                    seen[word] = model.1[word].load(Ordering::Acquire);
                });
            };
            scan();
            for peer in peers {
                peer.join().unwrap();
            }
            scan();
            assert_eq!(seen, [2, 1]);
        });
    }
}
