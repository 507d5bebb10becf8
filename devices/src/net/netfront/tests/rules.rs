//! What no back end can do to the driver, rule by rule.

use super::*;
use alloc::string::ToString;
use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use kernel::task::join;
use kernel::time::Instant;
use xen::DomId;
use xen::evtchn::PortNumber;
use xen::fake::netback::{Netback, RxSlot};
use xen::public::io::netif::TxFlags;
use xen::xenbus::XenbusState;

fn transmit(net: &Netfront, frame: &[u8]) -> bool {
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

#[test]
fn ports_that_the_peer_closed_lead_to_a_new_connection_e8() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        works(&net, back, 1).await;
        back.close_ports();
        assert!(transmit(&net, &[2; 60]));
        connects_again(&net, 2).await;
        assert_eq!(net.stats().resets, 1);
        works(&net, back, 3).await;
        drop(net);
    });
}

#[test]
fn a_back_end_in_another_domain_gets_pages_of_its_own_g7() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        works(&net, back, 1).await;
        for domain in [3, 0, 0x7FEF].map(DomId) {
            back.restart_in(domain);
            connects_again(&net, net.stats().connections + 1).await;
            // The fake allows each domain what was lent to it and nothing else.
            works(&net, back, domain.0 as u8).await;
        }
        back.restart_in(DomId(5));
        back.write_front("backend-id", "32752");
        sleep(Duration::from_secs(30)).await;
        assert!(!net.info().link, "DOMID_SELF and the like are no back ends");
        drop(net);
    });
}

#[test]
fn a_back_end_that_comes_and_goes_does_not_keep_us_busy_x12_k3() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(100) {
            if net.info().link {
                back.say_state("5");
            }
            sleep(MOMENT * 20).await;
        }
        let connections = net.stats().connections;
        assert!((5..25).contains(&connections), "{connections} connections");
        connects_again(&net, connections + 1).await;
        works(&net, back, 1).await;
        drop(net);
    });
}

#[test]
fn states_that_make_no_sense_lead_nowhere_bad_x12() {
    for seed in 1..=50 {
        on_fake(|fake| async move {
            let mut numbers = Numbers(seed);
            let back = fake.netback(0);
            let opened = spawn(Netfront::open("0"));
            let states = ["", "x", "0", "1", "2", "3", "4", "5", "6", "7", "8", "77", "-1"];
            for _ in 0..20 {
                back.say_state(states[numbers.next(states.len() as u64) as usize]);
                sleep(MOMENT * numbers.next(40) as u32).await;
            }
            back.unplug();
            sleep(MOMENT * 200).await;
            back.plug();
            // In the end the device is as good as new.
            let net = match opened.await {
                Ok(net) => net,
                Err(_) => Netfront::open("0").await.unwrap(),
            };
            while !net.info().link {
                sleep(MOMENT * 100).await;
            }
            works(&net, back, 1).await;
            drop(net);
        });
    }
}

#[test]
fn what_stands_in_our_own_folder_is_not_believed_later_x13() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        let info = net.info();
        for (name, value) in [
            ("tx-ring-ref", "1"),
            ("rx-ring-ref", "99999"),
            ("event-channel-tx", "1"),
            ("event-channel-rx", "x"),
            ("backend-id", "7"),
            ("mac", "ff:ff:ff:ff:ff:ff"),
            ("mtu", "4294967296"),
            ("request-rx-copy", "0"),
        ] {
            back.write_front(name, value);
        }
        sleep(Duration::from_secs(3)).await;
        assert_eq!((net.info(), net.stats().connections), (info, 1));
        works(&net, back, 1).await;
        drop(net);
    });
}

#[test]
fn a_store_that_says_nothing_is_an_error_in_time_x10() {
    on_fake(|fake| async move {
        let _back = fake.netback(0);
        fake.store().die();
        let begun = Instant::now();
        let error = Netfront::open("").await.map(drop);
        let silent = frontend::Error::Store(xen::xenstore::Error::Silent);
        assert_eq!(error, Err(Error::Connection("0".into(), silent)));
        assert!(begun.elapsed() < Duration::from_secs(15));
        fake.allow_leaks();
    });
}

#[test]
fn a_status_is_a_size_that_fits_or_no_frame_n1() {
    let with = |length: usize, offset, status| {
        breaks(vec![data(&vec![1; length], offset, RxFlags::empty(), status)])
    };
    for status in [4097, i16::MAX] {
        assert!(with(60, 0, Some(status)), "{status}");
    }
    for status in [0, -1, -2, i16::MIN] {
        assert!(!with(60, 0, Some(status)), "{status}");
    }
    assert!(with(60, 4037, None), "the last byte is outside");
    assert!(with(60, 0xFFFF, Some(60)));
}

#[test]
fn a_chain_of_too_many_slots_is_dropped_whole_n3() {
    let more = || data(&[1; 14], 0, RxFlags::MORE_DATA, None);
    let last = || data(&[1; 14], 0, RxFlags::empty(), None);
    assert!(!breaks((0..18).map(|_| more()).chain([last()]).collect()));
    // It says that more follows, and nothing does.
    assert!(!breaks(vec![more()]));
    assert!(!breaks((0..18).map(|_| more()).collect()));
    // As many as there may be are a frame.
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.deliver_slots((0..17).map(|_| more()).chain([last()]).collect());
        assert_eq!(next(&net).await.unwrap().unwrap().0, vec![1; 18 * 14]);
        drop(net);
    });
}

#[test]
fn an_extra_slot_that_was_not_agreed_on_breaks_it_n4_n5() {
    let first = || data(&[1; 60], 0, RxFlags::EXTRA_INFO, None);
    // Segments of no bytes, unknown types, and a list without end.
    for extra in [[1, 0, 0, 0, 1, 0, 0, 0], [0; 8], [9, 0, 0, 0, 0, 0, 0, 0]] {
        assert!(breaks(vec![first(), RxSlot::Extra(extra)]), "{extra:?}");
    }
    assert!(breaks([vec![first()], vec![RxSlot::Extra([1, 1, 0, 0, 1, 0, 0, 0]); 20]].concat()));
}

#[test]
fn what_is_shorter_than_a_header_is_no_frame_n6() {
    let empty = RxFlags::empty();
    assert!(!breaks(vec![data(&[1; 13], 0, empty, None)]));
    assert!(!breaks(vec![data(&[1; 1], 0, empty, None)]));
    let more = data(&[1; 6], 0, RxFlags::MORE_DATA, None);
    assert!(!breaks(vec![more, data(&[1; 7], 0, empty, None)]));
    assert!(!breaks(vec![data(&[1; 1519], 0, empty, None)]), "nor what is longer than the MTU");
}

#[test]
fn frames_that_are_not_sent_give_their_buffers_back_n7() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        for number in 0..1000 {
            back.misbehave_at(0, Misdeed::TxStatus(if number % 2 == 0 { -1 } else { -2 }));
            poll_fn(|context| net.poll_transmit(context)).await.unwrap();
            assert!(transmit(&net, &[1; 60]));
            sleep(MOMENT * 2).await;
        }
        sleep(MOMENT * 2000).await;
        assert_eq!(net.stats().transmitted_dropped, 1000);
        works(&net, back, 1).await;
        drop(net);
    });
}

#[test]
fn a_frame_that_is_looked_at_cannot_change_n8() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.deliver(&[1; 60], RxFlags::empty());
        poll_fn(|context| net.poll_receive(context)).await.unwrap();
        // Until it is taken, the back end may write what it likes.
        back.rewrite(&[2; 60]);
        net.receive(|frame, _| {
            assert_eq!(frame, [2; 60]);
            back.rewrite(&[3; 60]);
            assert_eq!(frame, [2; 60]);
        })
        .unwrap();
        drop(net);
    });
}

#[test]
fn a_long_frame_takes_as_many_slots_as_it_has_pages_n10() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.write_front("mtu", "9000");
        back.map_until_answered(true);
        back.answer_in_reverse(true);
        let net = Netfront::open("0").await.unwrap();
        assert_eq!(net.info().mtu, 9000);
        // The fake looks at each slot, and that no id is used twice.
        for length in [14, 4095, 4096, 4097, 8192, 8193, 9014, 60] {
            let frame: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert!(transmit(&net, &frame));
            back.deliver(&frame, RxFlags::empty());
            assert_eq!(next(&net).await.unwrap().unwrap().0, frame);
            sleep(MOMENT * 3).await;
            let sent = back.transmitted();
            assert_eq!((sent[0].bytes == frame, sent[0].slots), (true, frame.len().div_ceil(4096)));
            assert!(sent[0].flags.contains(TxFlags::MORE_DATA) == (length > 4096));
        }
        assert!(!transmit(&net, &[1; 9015]) && !transmit(&net, &[1; 13]));
        drop(net);
    });
}

#[test]
fn pages_that_could_not_be_had_are_asked_for_again_n12() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        fake.limit_grant_frames(1);
        // Both rings, and 16 pages each way, but not the other 16.
        let rest = xen::gnttab::Shared::new(DomId::DOM0, 512 - 8 - 34 - 5).unwrap();
        let net = Netfront::open("0").await.unwrap();
        works(&net, back, 1).await;
        let posted = || xen::gnttab::stats().used;
        assert_eq!(posted(), 512 - 8 - 5);
        drop(rest);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(posted(), 34 + 16);
        for number in 0..32 {
            back.deliver(&[number; 60], RxFlags::empty());
        }
        sleep(MOMENT * 5).await;
        assert_eq!(back.undelivered(), 0, "there are pages for all of them");
        drop(net);
    });
}

#[test]
fn pages_are_lent_as_they_are_used_n12() {
    kernel::testing::simulate_memory(256 << 20);
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        let slots = || net.stats().receive_slots;
        assert_eq!(slots(), 32);
        // One at a time needs no more.
        for number in 0..100 {
            works(&net, back, number).await;
        }
        assert_eq!(slots(), 32);
        for expected in [64, 128, 256, 256] {
            let burst = slots() / 2;
            for number in 0..burst {
                back.deliver(&[number as u8; 60], RxFlags::empty());
            }
            sleep(MOMENT * 5).await;
            for number in 0..burst {
                let frame = next(&net).await.unwrap().unwrap().0;
                assert_eq!(frame, vec![number as u8; 60]);
            }
            sleep(MOMENT * 5).await;
            assert!(next(&net).await.is_none());
            assert_eq!(slots(), expected);
        }
        drop(net);
    });
    kernel::testing::simulate_memory(0);
}

#[test]
fn sizes_and_counts_have_ranges_n13() {
    for (mtu, expected) in [
        ("68", 68),
        ("9000", 9000),
        ("65521", 65521),
        ("67", 1500),
        ("65522", 1500),
        ("0", 1500),
        ("-1", 1500),
        ("18446744073709551616", 1500),
        ("1500 ", 1500),
        ("", 1500),
    ] {
        on_fake(|fake| async move {
            let back = fake.netback(0);
            back.write_front("mtu", mtu);
            back.offer("multi-queue-max-queues", mtu);
            let net = Netfront::open("0").await.unwrap();
            assert_eq!(net.info().mtu, expected, "{mtu:?}");
            works(&net, back, 1).await;
            drop(net);
        });
    }
    // Without scatter-gather a frame is one page.
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.write_front("mtu", "9000");
        back.withhold("feature-sg");
        let net = Netfront::open("0").await.unwrap();
        assert_eq!(net.info().mtu, 4096 - 14);
        drop(net);
    });
}

#[test]
fn a_slow_back_end_is_waited_for_at_the_start_and_later() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.sleep();
        let opening = spawn(Netfront::open("0"));
        sleep(Duration::from_secs(100)).await;
        assert!(!opening.is_finished());
        back.wake();
        let net = timeout(Duration::from_secs(1), opening).await.unwrap().unwrap();
        works(&net, back, 1).await;
        back.restart_in(DomId(0));
        back.sleep();
        sleep(Duration::from_secs(300)).await;
        assert!(!net.info().link);
        back.wake();
        sleep(Duration::from_secs(1)).await;
        assert!(net.info().link);
        works(&net, back, 2).await;
        drop(net);
    });
}

#[test]
fn a_back_end_that_is_slow_after_our_part_is_waited_for() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let opening = spawn(Netfront::open("0"));
        // It has said what it can, and does not look at our rings.
        while back.state() != XenbusState::InitWait {
            sleep(MOMENT).await;
        }
        back.sleep();
        sleep(Duration::from_secs(100)).await;
        assert!(!opening.is_finished());
        back.wake();
        let net = timeout(Duration::from_secs(1), opening).await.unwrap().unwrap();
        works(&net, back, 1).await;
        drop(net);
    });
}

#[test]
fn what_cannot_become_better_is_an_error_at_once() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.offer("feature-rx-copy", "0");
        let error = timeout(Duration::from_secs(1), Netfront::open("0")).await.unwrap();
        let unfit = frontend::Error::Unfit("lacks feature-rx-copy");
        assert_eq!(error.map(drop), Err(Error::Connection("0".into(), unfit)));
        let error = Netfront::open("3").await.map(drop).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no network interface 3; this domain has 0: its configuration needs one more \
             in vif=[...]"
        );
        fake.allow_leaks();
    });
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.sleep();
        let opening = spawn(Netfront::open("0"));
        sleep(Duration::from_secs(1)).await;
        back.unplug();
        let gone = Err(Error::Connection("0".into(), frontend::Error::Gone));
        assert_eq!(timeout(Duration::from_secs(1), opening).await.unwrap().map(drop), gone);
    });
}

#[test]
fn interfaces_are_told_apart_by_name() {
    on_fake(|fake| async move {
        let (_, _) = (fake.netback(0), fake.netback(12));
        let nets = [Netfront::open("0").await.unwrap(), Netfront::open("12").await.unwrap()];
        assert_eq!(nets.each_ref().map(Net::name), ["net", "net 12"]);
        drop(nets);
    });
}
