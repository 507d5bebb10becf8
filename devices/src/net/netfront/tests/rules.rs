//! What no back end can do to the driver, rule by rule.

mod connection;
mod frames;

use super::*;
use alloc::string::ToString;
use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use kernel::task::join;
use xen::DomId;
use xen::evtchn::PortNumber;
use xen::fake::netback::{Netback, RxSlot};
use xen::public::io::netif::TxFlags;
use xen::xenbus::XenbusState;

pub(super) fn transmit(net: &Netfront, frame: &[u8]) -> bool {
    let sent = net.transmit(frame.len(), |to| {
        to.copy_from_slice(frame);
        ((), Meta::default())
    });
    net.flush();
    sent.is_some()
}

/// A frame comes, and goes back.
async fn works(net: &Netfront, back: Netback<'_>, number: u8) {
    back.deliver(&[number; 60], RxFlags::empty());
    assert_eq!(next(net).await.unwrap().unwrap().0, vec![number; 60]);
    drop(back.transmitted());
    assert!(transmit(net, &[!number; 70]));
    sleep(MOMENT * 5).await;
    assert_eq!(back.transmitted().last().unwrap().bytes, vec![!number; 70]);
}

/// Waits for a connection that is not the first one.
async fn connects_again(net: &Netfront, connections: u32) {
    let begun = Instant::now();
    while net.stats().connections < connections || !net.info().link {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never connects again");
        sleep(MOMENT * 10).await;
    }
}

fn data(bytes: &[u8], offset: u16, flags: RxFlags, status: Option<i16>) -> RxSlot {
    RxSlot::Data { bytes: bytes.to_vec(), offset, flags, status }
}

/// Whether `slots` break the interface; otherwise they are one bad frame, and it works on.
fn breaks(slots: Vec<RxSlot>) -> bool {
    let broken = Rc::new(Cell::new(false));
    let result = broken.clone();
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.tolerate();
        back.deliver_slots(slots);
        if next(&net).await.is_none() {
            assert_eq!(net.stats().received_dropped, 1);
            works(&net, back, 3).await;
        } else {
            result.set(true);
            assert_eq!(net.stats().violations, 1);
        }
        drop(net);
    });
    broken.get()
}

#[test]
fn an_answer_to_what_was_not_sent_breaks_it_r6() {
    for misdeed in [
        Misdeed::TxId(255),
        Misdeed::TxId(0xFFFF),
        Misdeed::TxIdAgain,
        Misdeed::TxStatus(-7),
        Misdeed::TxIndex(1000),
        Misdeed::TxIndex(-2),
    ] {
        on_fake(|fake| async move {
            let back = fake.netback(0);
            let net = Netfront::open("0").await.unwrap();
            assert!(transmit(&net, &[1; 60]));
            sleep(Duration::from_secs(2)).await;
            back.misbehave(misdeed.clone());
            assert!(transmit(&net, &[2; 60]) && transmit(&net, &[3; 60]));
            sleep(Duration::from_secs(2)).await;
            assert_eq!((net.stats().violations, net.info().link), (1, false), "{misdeed:?}");
            back.behave();
            assert!(!transmit(&net, &[4; 60]), "it is over");
            fake.allow_leaks();
            drop(net);
        });
    }
}

#[test]
fn a_violation_ends_every_wait_at_once_and_the_events_r7() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.misbehave(Misdeed::TxStuck);
        while transmit(&net, &[1; 60]) {}
        let receive = || poll_fn(|context| net.poll_receive(context));
        let send = || poll_fn(|context| net.poll_transmit(context));
        let waits = join(join(receive(), receive()), join(send(), send()));
        let waits = async {
            let all = waits.await;
            assert_eq!(all, ((Err(Broken), Err(Broken)), (Err(Broken), Err(Broken))));
            Instant::now()
        };
        let violates = async {
            sleep(Duration::from_secs(2)).await;
            back.misbehave(Misdeed::RxId(999));
            back.deliver(&[1; 60], RxFlags::empty());
            Instant::now()
        };
        let (known, begun) = join(waits, violates).await;
        assert!(known >= begun && known < begun.saturating_add(Duration::from_millis(100)));
        assert_eq!(net.stats().violations, 1);
        back.misbehave(Misdeed::EventStorm(5));
        sleep(MOMENT * 2).await;
        let events = xen::evtchn::stats();
        sleep(MOMENT * 200).await;
        assert!(xen::evtchn::stats().events - events.events < 20, "its ports are masked");
        fake.allow_leaks();
        drop(net);
    });
}

/// Numbers that need not be unpredictable (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    /// Something that may be wrong in many ways, or in none.
    fn slot(&mut self) -> RxSlot {
        let odd = [0, 1, 13, 14, 60, 4082, 4096, 4097, 0x7FFF, 0x8000, 0xFFFF];
        let mut pick = || odd[self.next(odd.len() as u64) as usize];
        let (status, offset, length) = (pick() as i16, pick(), usize::from(pick()).min(4096));
        let flags = RxFlags::from_bits_retain(self.next(64) as u16);
        match self.next(6) {
            0 => RxSlot::Extra([0; 8].map(|_: u8| self.next(256) as u8)),
            1 => data(&[1; 60], offset, flags, Some(status)),
            2 => data(&[1; 60], 0, flags & RxFlags::MORE_DATA, None),
            _ => data(&vec![2; length], 0, flags & RxFlags::MORE_DATA, None),
        }
    }
}

#[test]
fn no_answers_make_it_panic_or_hang_r8() {
    for seed in 1..=200 {
        on_fake(|fake| async move {
            let mut numbers = Numbers(seed);
            let back = fake.netback(0);
            let net = Netfront::open("0").await.unwrap();
            back.tolerate();
            for round in 0..20 {
                let slots = (0..=numbers.next(24)).map(|_| numbers.slot()).collect();
                back.deliver_slots(slots);
                match numbers.next(30) {
                    0 => back.misbehave_at(0, Misdeed::RxIndex(numbers.next(600) as i32 - 300)),
                    1 => back.misbehave_at(0, Misdeed::TxId(numbers.next(300) as u16)),
                    2 => back.misbehave_at(0, Misdeed::TxStatus(numbers.next(9) as i16 - 4)),
                    3 => back.misbehave_at(0, Misdeed::RxIdAgain),
                    _ => {}
                }
                transmit(&net, &[round; 60]);
                let ready = poll_fn(|context| net.poll_receive(context));
                if let Ok(Ok(())) = timeout(MOMENT * 3, ready).await {
                    net.receive(|frame, _| assert!((14..=1518).contains(&frame.len())));
                }
            }
            let stats = net.stats();
            assert!(stats.violations == 1 || net.info().link, "{seed}: {stats:?}");
            fake.allow_leaks();
            drop(net);
        });
    }
}

#[test]
fn one_poll_does_a_bounded_amount_of_work_r9() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        let mut polls = 0;
        let mut seen = 0;
        for _ in 0..30 {
            for _ in 0..32 {
                back.deliver_slots(vec![data(&[1; 60], 0, RxFlags::empty(), Some(-1))]);
            }
            let look = poll_fn(|context| {
                polls += 1;
                let before = net.stats().received_dropped;
                assert!(net.poll_receive(context).is_pending());
                seen = net.stats().received_dropped;
                assert!(seen - before <= 64);
                Poll::Pending::<()>
            });
            assert!(timeout(MOMENT * 10, look).await.is_err());
        }
        assert!(seen == 960 && polls > 30, "{seen} frames in {polls} polls");
        drop(net);
    });
}

#[test]
fn a_driver_can_be_dropped_at_any_time_r14_r12() {
    for moment in 0..60 {
        on_fake(|fake| async move {
            let back = fake.netback(0);
            let open = pin!(Netfront::open("0"));
            let opened = timeout(MOMENT * moment, open).await;
            if let Ok(net) = opened {
                let net = net.unwrap();
                back.deliver(&[1; 60], RxFlags::empty());
                transmit(&net, &[1; 60]);
                // Two ends of the same connection at once.
                back.detach();
                sleep(MOMENT * (moment % 7)).await;
                back.unplug();
                drop(net);
            }
            for port in 1..20 {
                fake.raise(PortNumber(port));
            }
        });
    }
}

#[test]
fn a_storm_of_events_leaves_others_their_turns_e3_e6() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.misbehave(Misdeed::EventStorm(1000));
        let net = Netfront::open("0").await.unwrap();
        for number in 0..50 {
            let begun = Instant::now();
            sleep(MOMENT * 7).await;
            assert!(begun.elapsed() <= MOMENT * 8, "timers are on time");
            works(&net, back, number).await;
        }
        assert_eq!(net.stats().violations, 0);
        drop(net);
    });
}
