//! The driver on the fake hypervisor, against a back end that behaves, or not.

mod rules;

use super::*;
use crate::frontend::testing::{MOMENT, on_fake, suspend};
use crate::net::{Checksum, Shared};
use core::time::Duration;
use kernel::time::{Instant, sleep, timeout};
use std::vec;
use xen::DomId;
use xen::fake::netback::Misdeed;
use xen::public::io::netif::RxFlags;

/// The next frame, if one comes within a second.
async fn next(net: &Netfront) -> Option<Result<(Vec<u8>, Meta), Broken>> {
    let ready = core::future::poll_fn(|context| net.poll_receive(context));
    match timeout(Duration::from_secs(1), ready).await.ok()? {
        Ok(()) => net.receive(|frame, meta| Ok((frame.to_vec(), meta))),
        Err(broken) => Some(Err(broken)),
    }
}

#[test]
fn frames_go_both_ways_with_their_content() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("").await.unwrap();
        assert!(net.info().link && back.is_connected());
        for length in [14, 60, 1514] {
            let frame: Vec<u8> = (0..length).map(|at| at as u8).collect();
            back.deliver(&frame, RxFlags::CSUM_BLANK);
            let (came, meta) = next(&net).await.unwrap().unwrap();
            assert_eq!((came, meta.checksum), (frame.clone(), Checksum::Blank));
            net.transmit(length, |to| {
                to.copy_from_slice(&frame);
                ((), Meta::default())
            })
            .unwrap();
            net.flush();
            sleep(MOMENT * 3).await;
            let sent = back.transmitted();
            assert_eq!(sent.iter().map(|it| it.bytes.clone()).collect::<Vec<_>>(), [frame]);
        }
        drop(net);
    });
}

#[test]
fn many_more_frames_than_slots_pass_and_none_is_lost() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        for number in 0..2000_u32 {
            let frame = number.to_le_bytes().repeat(16);
            back.deliver(&frame, RxFlags::empty());
            assert_eq!(next(&net).await.unwrap().unwrap().0, frame);
            core::future::poll_fn(|context| net.poll_transmit(context)).await.unwrap();
            net.transmit(frame.len(), |to| {
                to.copy_from_slice(&frame);
                ((), Meta::default())
            })
            .unwrap();
            net.flush();
        }
        sleep(MOMENT * 10).await;
        let sent = back.transmitted();
        assert_eq!(sent.len(), 2000);
        assert!((0..2000_u32).zip(&sent).all(|(n, it)| it.bytes == n.to_le_bytes().repeat(16)));
        drop(net);
    });
}

/// What `misdeed` leads to at the next frame.
fn after(misdeed: Misdeed) {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.tolerate();
        back.misbehave(misdeed);
        back.deliver(&[7; 60], RxFlags::empty());
        assert_eq!(next(&net).await, Some(Err(Broken)));
        let again = core::future::poll_fn(|context| net.poll_receive(context));
        assert_eq!(again.await, Err(Broken), "broken stays broken");
        assert!(!net.info().link);
        fake.allow_leaks();
        drop(net);
    });
}

#[test]
fn an_index_that_jumps_breaks_it_r3_r7() {
    after(Misdeed::RxIndex(1000));
}

#[test]
fn an_id_that_was_not_posted_breaks_it_n2() {
    after(Misdeed::RxId(0x7FFF));
}

#[test]
fn more_bytes_than_a_page_has_break_it_n1() {
    after(Misdeed::RxStatus(4097));
}

#[test]
fn an_offset_past_the_page_breaks_it_n1() {
    after(Misdeed::RxOffset(4090));
}

#[test]
fn a_frame_with_an_error_status_is_dropped_and_its_page_used_again_n7() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        for _ in 0..1000 {
            back.misbehave_at(0, Misdeed::RxStatus(-1));
            back.deliver(&[7; 60], RxFlags::empty());
            sleep(MOMENT * 3).await;
            back.behave();
            back.deliver(&[8; 60], RxFlags::empty());
            assert_eq!(next(&net).await.unwrap().unwrap().0, vec![8; 60]);
        }
        drop(net);
    });
}

#[test]
fn a_thousand_reconnections_leak_nothing_n16_r12() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let before = fake.baseline();
        for _ in 0..1000 {
            back.unplug();
            sleep(Duration::from_millis(200)).await;
            assert!(!net.info().link);
            back.plug();
            while !net.info().link {
                sleep(Duration::from_millis(100)).await;
            }
        }
        sleep(Duration::from_secs(1)).await;
        fake.assert_no_leaks(&before);
        assert_eq!(net.stats().connections, 1001);
        back.deliver(&[9; 60], RxFlags::empty());
        assert_eq!(next(&net).await.unwrap().unwrap().0, vec![9; 60]);
        drop(net);
    });
}

#[test]
fn what_there_is_room_for_is_sent_up_to_the_last_slot() {
    kernel::testing::simulate_memory(256 << 20);
    for offloads in [Offloads { checksum: false, ..ALL }, ALL] {
        on_fake(|fake| async move {
            let back = fake.netback(0);
            let net = Netfront::open_with("0", offloads).await.unwrap();
            back.misbehave(Misdeed::TxStuck);
            let ready = || core::future::poll_fn(|context| net.poll_transmit(context));
            let mut sent = 0;
            while timeout(MOMENT, ready()).await.is_ok() {
                let done = net.transmit(60, |to| {
                    to.fill(1);
                    ((), Meta::default())
                });
                assert!(done.is_some(), "frame {sent}");
                sent += 1;
            }
            assert!((230..=256).contains(&sent), "{sent}");
            drop(net);
        });
    }
    kernel::testing::simulate_memory(0);
}

#[test]
fn a_back_end_that_does_not_answer_is_reset_n11() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.misbehave(Misdeed::TxStuck);
        net.transmit(60, |to| {
            to.fill(1);
            ((), Meta::default())
        })
        .unwrap();
        net.flush();
        sleep(Duration::from_secs(3)).await;
        assert_eq!(net.stats().resets, 0);
        sleep(Duration::from_secs(5)).await;
        back.behave();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(net.stats().resets, 1);
        assert!(net.info().link);
        drop(net);
    });
}

#[test]
fn resets_that_bring_no_response_become_rare_n11_k3() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.misbehave(Misdeed::TxStuck);
        // Somebody sends all the time, and nothing leaves, as with `ip link set vif1.0 down`.
        let mut begun = Instant::now();
        let mut within = async |seconds, least, most| {
            let before = net.stats().resets;
            while begun.elapsed() < Duration::from_secs(seconds) {
                rules::transmit(&net, &[1; 60]);
                sleep(Duration::from_millis(500)).await;
            }
            let resets = net.stats().resets - before;
            assert!((least..=most).contains(&resets), "{resets} within {seconds} s");
            begun = Instant::now();
        };
        within(60, 3, 5).await;
        within(600, 1, 4).await;
        // Up again, it works without another one, and what gets stuck then is reset as soon as ever.
        let before = net.stats().connections;
        back.behave();
        within(20, 0, 0).await;
        assert_eq!(net.stats().connections, before);
        back.misbehave(Misdeed::TxStuck);
        within(8, 1, 1).await;
        drop(net);
    });
}

#[test]
fn another_back_end_is_reset_as_soon_as_the_first_n11() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.misbehave(Misdeed::TxStuck);
        let resets = async |seconds: u32| {
            let before = net.stats().resets;
            for _ in 0..2 * seconds {
                rules::transmit(&net, &[1; 60]);
                sleep(Duration::from_millis(500)).await;
            }
            net.stats().resets - before
        };
        assert!(resets(100).await > 3);
        back.restart_in(DomId(3));
        assert_eq!(resets(9).await, 1);
        drop(net);
    });
}

#[test]
fn events_that_are_lost_are_found_e7() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.misbehave(Misdeed::LoseEvents);
        assert!(next(&net).await.is_none());
        let ready = core::future::poll_fn(|context| net.poll_receive(context));
        back.deliver(&[3; 60], RxFlags::empty());
        timeout(Duration::from_secs(4), ready).await.unwrap().unwrap();
        // Nor is who waits for room told of answers.
        for _ in 0..3 {
            while rules::transmit(&net, &[1; 60]) {}
            let room = core::future::poll_fn(|context| net.poll_transmit(context));
            timeout(Duration::from_secs(4), room).await.unwrap().unwrap();
        }
        drop(net);
    });
}

const ALL: Offloads = Offloads { checksum: true, transmit_large: true, receive_large: true };

#[test]
fn large_frames_go_both_ways_with_the_size_of_their_segments_n3_n4_n5_n10() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open_with("0", ALL).await.unwrap();
        let most = net.info().transmit_large;
        assert!(most > 4 * 1514);
        for round in 0..100_u32 {
            let mut frame: Vec<u8> =
                (0..65535_u32).map(|at| (at ^ at >> 8 ^ round) as u8).collect();
            frame[12..14].copy_from_slice(if round % 2 == 0 { &[8, 0] } else { &[0x86, 0xdd] });
            back.deliver_large(&frame, RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED, 1448);
            let (came, meta) = next(&net).await.unwrap().unwrap();
            assert_eq!(meta, Meta { checksum: Checksum::Blank, segment: 1448 });
            assert!(came == frame);
            frame.truncate(most - round as usize);
            core::future::poll_fn(|context| net.poll_transmit(context)).await.unwrap();
            net.transmit(frame.len(), |to| {
                to.copy_from_slice(&frame);
                ((), Meta { checksum: Checksum::Blank, segment: 1400 })
            })
            .unwrap();
            // A small one behind it is one of its own.
            net.transmit(60, |to| {
                to.fill(1);
                ((), Meta::default())
            })
            .unwrap();
            net.flush();
            sleep(MOMENT * 3).await;
            let [large, small] = <[_; 2]>::try_from(back.transmitted()).unwrap();
            assert!(large.bytes == frame);
            assert_eq!((large.extras.len(), small.extras.len(), small.bytes.len()), (1, 0, 60));
            let extra = large.extras[0];
            assert_eq!((extra.gso_size, extra.gso_type), (1400, 1 + round as u8 % 2));
        }
        assert_eq!(net.transmit(most + 1, |_| ((), Meta::default())), None);
        drop(net);
    });
}

#[test]
fn large_frames_are_left_out_where_nobody_offers_or_wants_them_n4() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.offer("feature-gso-tcpv6", "0");
        let net = Netfront::open_with("0", ALL).await.unwrap();
        assert_eq!(net.info().transmit_large, 0);
        drop(net);
        sleep(Duration::from_secs(1)).await;
        let back = fake.netback(1);
        let net = Netfront::open_with("1", Offloads { checksum: false, ..ALL }).await.unwrap();
        assert_eq!((net.info().transmit_large, net.info().transmit_blank), (0, false));
        let said = |name: &str| fake.store().read(&std::format!("{}/{name}", back.front_path()));
        assert_eq!(said("feature-no-csum-offload").as_deref(), Some(&b"1"[..]));
        assert_eq!(said("feature-gso-tcpv4"), None);
        drop(net);
    });
}

#[test]
fn a_bad_description_of_segments_breaks_it_n4_n5() {
    // Of no bytes, of an unknown kind, of an unknown type, with more behind it.
    for extra in [
        [1, 0, 0, 0, 1, 0, 0, 0],
        [2, 0, 9, 0, 1, 0, 0, 0],
        [1, 0, 9, 0, 3, 0, 0, 0],
        [1, 1, 9, 0, 1, 0, 0, 0],
    ] {
        on_fake(|fake| async move {
            let back = fake.netback(0);
            let net = Netfront::open_with("0", ALL).await.unwrap();
            back.tolerate();
            let flags = RxFlags::EXTRA_INFO;
            let first = xen::fake::netback::RxSlot::Data {
                bytes: vec![1; 60],
                offset: 0,
                flags,
                status: None,
            };
            back.deliver_slots(vec![first, xen::fake::netback::RxSlot::Extra(extra)]);
            assert_eq!(next(&net).await, Some(Err(Broken)), "{extra:?}");
            fake.allow_leaks();
            drop(net);
        });
    }
}

/// A frame whose header is copied, and whose rest is shared.
fn parts<'a>(
    header: &'a [u8],
    shared: &'a Shared,
    range: core::ops::Range<usize>,
) -> [Part<'a>; 2] {
    [Part::Bytes(header), Part::Shared(shared, range)]
}

#[test]
fn what_is_shared_is_shown_where_it_is_and_held_until_it_is_answered_n10_g4() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.map_until_answered(true);
        let net = Netfront::open_with("0", ALL).await.unwrap();
        let meta = Meta { checksum: Checksum::Blank, segment: 1400 };
        let bytes: Vec<u8> = (0..15_001).map(|at| (at % 251) as u8).collect();
        let before = xen::gnttab::stats().used;
        let shared = Shared::copy(&bytes).unwrap();
        for range in [0..15_001, 4095..4097, 100..1500, 8192..12_288] {
            assert!(net.transmit_parts(&parts(&[7; 66], &shared, range.clone()), meta));
            net.flush();
            assert_eq!(xen::gnttab::stats().used, before + 4, "each page once");
            sleep(MOMENT * 3).await;
            let [sent] = <[_; 1]>::try_from(back.transmitted()).unwrap();
            assert!(sent.bytes == [&[7; 66], &bytes[range]].concat());
            assert_eq!(sent.extras[0].gso_size, 1400);
        }
        // Nobody else holds it, and the back end has it mapped for longer.
        back.answer_in_reverse(true);
        assert!(net.transmit_parts(&parts(&[7; 66], &shared, 0..15_001), meta));
        drop(shared);
        net.flush();
        assert_eq!(xen::gnttab::stats().used, before + 4);
        sleep(MOMENT * 3).await;
        assert!(back.transmitted()[0].bytes[66..] == bytes);
        core::future::poll_fn(|context| net.poll_transmit(context)).await.unwrap();
        net.transmit(60, |to| (to.fill(1), meta)).unwrap();
        net.flush();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(xen::gnttab::stats().used, before);
        drop(net);
    });
}

#[test]
fn a_frame_in_too_many_parts_is_copied_n10() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open_with("0", ALL).await.unwrap();
        let meta = Meta { checksum: Checksum::Blank, segment: 1400 };
        let shared = Shared::copy(&[5; 3000]).unwrap();
        // More slots than a back end has to take, more copied bytes than a page has, and a
        // header that would not be in the first page.
        let many: Vec<_> =
            (0..24)
                .map(|at| {
                    if at % 2 == 0 { Part::Bytes(&[1; 66]) } else { Part::Shared(&shared, 0..1000) }
                })
                .collect();
        let long = [1; 5000];
        let first = [Part::Shared(&shared, 0..3000), Part::Bytes(&long)];
        for parts in [&many, &parts(&long, &shared, 0..2000)[..], &first] {
            assert!(net.transmit_parts(parts, meta));
            net.flush();
            sleep(MOMENT * 3).await;
            let wanted: Vec<u8> = parts.iter().flat_map(Part::bytes).copied().collect();
            assert!(back.transmitted()[0].bytes == wanted);
        }
        drop(net);
    });
}

#[test]
fn what_another_back_end_sees_is_copied_g3() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let shared = Shared::copy(&[5; 3000]).unwrap();
        assert!(shared.show(DomId(7)).is_some() && shared.show(DomId::DOM0).is_none());
        let net = Netfront::open_with("0", ALL).await.unwrap();
        let meta = Meta { checksum: Checksum::Blank, segment: 1400 };
        assert!(net.transmit_parts(&parts(&[7; 66], &shared, 0..3000), meta));
        net.flush();
        sleep(MOMENT * 3).await;
        assert!(back.transmitted()[0].bytes[66..] == [5; 3000]);
        drop((net, shared));
    });
}

/// Sends and receives a frame.
async fn exchange(net: &Netfront, back: xen::fake::netback::Netback<'_>) {
    back.deliver(&[7; 60], RxFlags::empty());
    assert_eq!(next(net).await.unwrap().unwrap().0, vec![7; 60]);
    net.transmit(60, |to| (to.fill(8), Meta::default())).unwrap();
    net.flush();
    sleep(MOMENT * 3).await;
    assert_eq!(back.transmitted().pop().unwrap().bytes, vec![8; 60]);
}

#[test]
fn a_suspension_that_is_cancelled_leaves_the_connection() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        for _ in 0..100 {
            suspend(&fake, None).await;
            exchange(&net, back).await;
        }
        assert_eq!(net.info().generation, 1);
        drop(net);
    });
}

#[test]
fn in_a_new_domain_it_connects_anew_and_leaks_nothing_g9_r12() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let before = fake.baseline();
        for round in 0..100_u16 {
            // Frames are on their way, and a task waits for more.
            (0..round).for_each(|_| back.deliver(&[9; 1000], RxFlags::empty()));
            net.transmit(60, |to| (to.fill(8), Meta::default()));
            let waits = timeout(MOMENT, core::future::poll_fn(|it| net.poll_receive(it)));
            let _ = waits.await;
            // Also a domain of the same id, whose devices have the same paths.
            suspend(&fake, Some(DomId(1 + round % 3))).await;
            let begun = Instant::now();
            while net.info().generation != u32::from(round) + 2 {
                sleep(MOMENT).await;
            }
            assert!(begun.elapsed() < Duration::from_secs(1), "it does not wait for the old one");
            while net.receive(|_, _| ()).is_some() {}
            let _ = back.transmitted();
            sleep(MOMENT * 5).await;
            while next(&net).await.is_some() {}
            exchange(&net, back).await;
        }
        fake.assert_no_leaks(&before);
        drop(net);
    });
}

#[test]
fn without_the_device_in_the_new_domain_the_link_is_down_until_it_comes() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.unplug();
        suspend(&fake, Some(DomId(2))).await;
        sleep(Duration::from_secs(1)).await;
        assert!(!net.info().link);
        back.plug();
        sleep(Duration::from_secs(1)).await;
        exchange(&net, back).await;
        drop(net);
    });
}
