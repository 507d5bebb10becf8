//! The driver on the fake hypervisor, against a back end that behaves, or not.

mod rules;

use super::*;
use crate::frontend::testing::{MOMENT, on_fake};
use crate::net::Checksum;
use core::time::Duration;
use kernel::time::{sleep, timeout};
use std::vec;
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
fn events_that_are_lost_are_found_e7() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        let net = Netfront::open("0").await.unwrap();
        back.misbehave(Misdeed::LoseEvents);
        assert!(next(&net).await.is_none());
        let ready = core::future::poll_fn(|context| net.poll_receive(context));
        back.deliver(&[3; 60], RxFlags::empty());
        timeout(Duration::from_secs(4), ready).await.unwrap().unwrap();
        drop(net);
    });
}
