//! Tests of the ports and of the scan, on the fake and in loom.

use super::*;
use crate::fake::Fake;
use crate::timer;
use crate::watchdog::{self, Watchdog};
use core::time::Duration;
use std::sync::Arc;
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
    let port = Port::adopt(PortNumber(66)).unwrap();
    let ((one, first), (two, second)) = (counting(), counting());
    port.wait(&first);
    port.wait(&second);
    scan();
    assert_eq!(one.0.load(Ordering::Relaxed), 0);
    fake.raise(PortNumber(66));
    fake.raise(PortNumber(66));
    scan();
    scan();
    assert_eq!(one.0.load(Ordering::Relaxed), 1);
    assert_eq!(two.0.load(Ordering::Relaxed), 1);
    assert_eq!(stats(), Stats { open: 1, events: 1, stray: 0 });
}

#[test]
fn an_event_before_the_wait_is_not_lost_r13() {
    let fake = Fake::new();
    let port = Port::adopt(PortNumber(7)).unwrap();
    fake.raise(PortNumber(7));
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
    }
}

#[test]
fn an_event_while_one_is_handled_is_found_by_the_next_scan_e2() {
    let fake = Fake::new();
    let port = Port::adopt(PortNumber(9)).unwrap();
    port.wait(&Arc::new(Again(9)).into());
    fake.raise(PortNumber(9));
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
    fake.raise(PortNumber(9));
    let port = Port::adopt(PortNumber(9)).unwrap();
    for _ in 0..3 {
        scan();
        fake.raise(PortNumber(9));
        port.wake();
    }
    drop(port);
    fake.raise(PortNumber(9));
    scan();
    // What came on a port that is closed still counts.
    assert_eq!(stats(), Stats { open: 0, events: 3, stray: 1 });
    // A port of the same number is told, as the event may be one of its own.
    let (count, waker) = counting();
    let port = Port::adopt(PortNumber(9)).unwrap();
    port.wait(&waker);
    scan();
    scan();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(stats(), Stats { open: 1, events: 4, stray: 0 });
}

#[test]
fn an_unknown_port_is_counted_and_ignored_e1() {
    let fake = Fake::new();
    let other = Port::adopt(PortNumber(98)).unwrap();
    for _ in 0..3 {
        fake.raise(PortNumber(99));
        fake.raise(PortNumber(400));
        scan();
    }
    assert_eq!(stats(), Stats { open: 1, events: 0, stray: 2 });
    drop(other);
    let port = Port::adopt(PortNumber(99)).unwrap();
    let (count, waker) = counting();
    port.wait(&waker);
    fake.raise(PortNumber(99));
    scan();
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "an open port is scanned");
}

/// Its bit stays, so that Xen raises nothing for it again, and SCHEDOP_poll,
/// which returns at once for any port with news, is not asked to wait for it.
#[test]
fn a_port_that_is_not_listened_to_wakes_nobody_and_ends_no_wait_r7() {
    let fake = Fake::new();
    let (quiet, loud) =
        (Port::adopt(PortNumber(70)).unwrap(), Port::adopt(PortNumber(71)).unwrap());
    let (count, waker) = counting();
    loud.wait(&waker);
    loud.mask();
    quiet.wait(&counting().1);
    fake.raise(PortNumber(71));
    wait_until(1);
    assert_eq!(fake.polled(), [PortNumber(70)]);
    assert_eq!((count.0.load(Ordering::Relaxed), stats().events), (0, 0));
    fake.raise(PortNumber(70));
    wait_until(1);
    assert_eq!(stats().events, 1);
    drop((quiet, loud));
    wait_until(1);
    assert_eq!(fake.polled(), []);
}

/// It would wake nobody. Xen heeds any port where it is told of none, so there it is told
/// of the watchdog's.
#[test]
fn a_port_that_nobody_waits_for_ends_no_wait_and_loses_no_event() {
    let fake = Fake::new();
    let (port, other) = (Port::adopt(PortNumber(5)).unwrap(), Port::adopt(PortNumber(6)).unwrap());
    // SAFETY: the fake enters nothing.
    let _watchdog = unsafe { Watchdog::start(Duration::from_secs(1), 0x30_0000) }.unwrap();
    watchdog::unmask();
    wait_until(1);
    let timer = fake.polled();
    assert!(timer.len() == 1 && !timer.iter().any(|port| matches!(port.0, 5 | 6)), "{timer:?}");
    let (count, waker) = counting();
    other.wait(&waker);
    wait_until(1);
    assert_eq!(fake.polled(), [PortNumber(6)]);
    // Nobody waits for this one yet.
    fake.raise(PortNumber(5));
    port.wait(&waker);
    wait_until(1);
    assert_eq!(fake.polled(), [PortNumber(5), PortNumber(6)]);
    assert_eq!((count.0.load(Ordering::Relaxed), stats().events), (1, 1));
    wait_until(1);
    assert_eq!(fake.polled(), [PortNumber(6)]);
}

/// Without a watchdog nothing takes the timer's bit before a program runs again.
#[test]
fn the_end_of_a_slice_ends_no_wait_where_it_does_not_interrupt() {
    let fake = Fake::new();
    let page = &crate::domain().shared_info;
    upcall::mask(page);
    timer::open().unwrap();
    timer::set(1).unwrap();
    fake.pause(Duration::from_millis(1));
    assert!(timer::has_fired());
    wait_until(1);
    assert_eq!(fake.polled(), []);
    assert!(timer::has_fired(), "it is the next slice's to know");
}

/// `Duration::MAX` and the like. The fake refuses what Xen takes for the past.
#[test]
fn a_deadline_beyond_all_times_is_none_that_has_passed() {
    let _fake = Fake::new();
    for deadline in [u64::MAX, 1 << 63, (1 << 63) - 1] {
        wait_until(deadline);
    }
}

#[test]
fn all_ports_with_news_are_served_in_one_scan_e4() {
    let fake = Fake::new();
    let ports: Vec<Port> =
        (1..=128).map(|number| Port::adopt(PortNumber(number)).unwrap()).collect();
    assert_eq!(Port::adopt(PortNumber(129)), None, "SCHEDOP_poll takes no more");
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
    let port = Port::adopt(PortNumber(5)).unwrap();
    assert_eq!(Port::adopt(PortNumber(5)), None, "open already");
    let (count, waker) = counting();
    port.wait(&waker);
    drop(port);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(fake.closed(), [PortNumber(5)]);
    assert_eq!(stats().open, 0);
}

#[test]
fn numbers_that_cannot_be_ports_are_refused() {
    let _fake = Fake::new();
    assert_eq!(Port::adopt(PortNumber(0)), None);
    assert_eq!(Port::adopt(PortNumber(4096)), None);
}

#[test]
fn notify_reaches_the_hypervisor() {
    let fake = Fake::new();
    Port::adopt(PortNumber(3)).unwrap().notify().unwrap();
    assert_eq!(fake.notifications(PortNumber(3)), 1);
}

/// The words as loom knows them: two words with a port each.
#[derive(Default)]
struct Model {
    words: [loom::sync::atomic::AtomicU64; 2],
}

impl Pending for Model {
    fn take_word(&self, word: u32, ports: u64) -> u64 {
        let word = &self.words[word as usize];
        match word.load(Ordering::Acquire) & ports {
            0 => 0,
            _ => word.fetch_and(!ports, Ordering::AcqRel) & ports,
        }
    }
}

impl Model {
    /// What Xen does for the other end of port `64 * word`, which is
    /// masked (its common/event_2l.c).
    fn raise(&self, word: usize) {
        self.words[word].fetch_or(1, Ordering::AcqRel);
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
            take_all(&model.0, [(0, 1), (1, 1)].into_iter(), |port| {
                let word = port.word() as usize;
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

#[test]
fn events_enter_while_ports_are_unmasked_and_none_is_missed() {
    let fake = Fake::new();
    let (one, far) = (PortNumber(7), PortNumber(130));
    let ports = [Port::adopt(one).unwrap(), Port::adopt(far).unwrap()];
    let page = &crate::domain().shared_info;
    upcall::unmask(page);
    fake.raise(far);
    assert!(!fake.wants_upcall());
    // One from before is told, as it makes no upcall pending.
    assert!(crate::domain().unmask_events());
    scan();
    assert!(!crate::domain().unmask_events());
    fake.raise(one);
    assert!(fake.wants_upcall());
    crate::domain().mask_events();
    upcall::acknowledge(page);
    assert!(!fake.wants_upcall());
    fake.raise(far);
    assert!(!fake.wants_upcall());
    scan();
    assert_eq!(stats(), Stats { open: 2, events: 3, stray: 0 });
    // A port whose peer broke the protocol stays masked.
    ports[0].mask();
    fake.raise(one);
    assert!(!crate::domain().unmask_events());
    fake.raise(far);
    assert!(fake.wants_upcall());
}
