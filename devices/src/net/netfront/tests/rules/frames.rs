//! What the back end says of frames, and of the pages they are in.

use super::*;

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
fn what_is_read_later_is_read_once_and_its_pages_are_used_again_n8() {
    on_fake(|fake| async move {
        let back = fake.netback(0);
        back.write_front("mtu", "9000");
        let net = Netfront::open("0").await.unwrap();
        let ready = || poll_fn(|context| net.poll_receive(context));
        for _ in 0..300 {
            back.deliver(&[1; 1500], RxFlags::empty());
            ready().await.unwrap();
            net.receive_apart(|frame, _| {
                back.rewrite(&[2; 1500]);
                assert!(frame.len() == 1500 && frame.head() == [1; 128]);
                let (head, mut rest) = frame.split(100);
                let mut payload = [0; 2000];
                assert_eq!(rest.read(&mut payload[..1000]), 1000);
                back.rewrite(&[3; 1500]);
                assert_eq!(rest.read(&mut payload[1000..]), 400);
                assert!(head == [1; 100] && payload[..28] == [1; 28]);
                assert!(payload[28..1000] == [2; 972] && payload[1000..1400] == [3; 400]);
                // Nothing else comes meanwhile, and something may be sent.
                assert!(net.receive(|_, _| ()).is_none() && transmit(&net, &[7; 60]));
            })
            .unwrap();
            sleep(MOMENT * 3).await;
            assert_eq!(back.transmitted().len(), 1);
        }
        // Frames in several pages, and such as are copied after all.
        let frame: Vec<u8> = (0..9014).map(|at| (at % 251) as u8).collect();
        for whole in [false, true] {
            back.deliver(&frame, RxFlags::empty());
            ready().await.unwrap();
            let came = net.receive_apart(|frame, _| match whole {
                true => frame.whole().unwrap().to_vec(),
                false => {
                    let (head, mut rest) = frame.split(66);
                    let mut all = vec![0; 9014];
                    all[..66].copy_from_slice(head);
                    all[66..].chunks_mut(2500).for_each(|to| assert_eq!(rest.read(to), to.len()));
                    all
                }
            });
            assert!(came == Some(frame.clone()), "{whole}");
        }
        assert_eq!((net.stats().received, net.stats().received_dropped), (302, 0));
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
        let rest = xen::gnttab::ReadWriteGrant::new(DomId::DOM0, 512 - 8 - 34 - 5).unwrap();
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
