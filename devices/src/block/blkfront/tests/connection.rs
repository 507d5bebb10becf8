//! What the back end does to the connection, and what is held of it.

use super::*;
use crate::frontend::testing::suspend;
use kernel::suspend::{Outcome, Participant};
use kernel::update::{Part, Phase};
use std::format;
use xen::DomId;
use xen::fake::store;
use xen::xenbus::XenbusState;

#[test]
fn a_slow_back_end_leaves_others_their_turn_r9_r13() {
    with_disk(
        |back| back.take_one_at_a_time(true),
        async |_, _, disk| {
            let many: [u64; 40] = core::array::from_fn(|number| number as u64 * 2);
            let read = |sector| {
                let disk = &disk;
                async move { disk.read(sector, &mut [0; 512]).await }
            };
            let (results, turns) = join(join_array(many.map(read)), async {
                for turns in 0..50 {
                    sleep(MOMENT).await;
                    assert!(turns < 50);
                }
                50
            })
            .await;
            assert!(results.iter().all(Result::is_ok));
            assert_eq!(turns, 50);
        },
    );
}

#[test]
fn three_hundred_reconnections_leak_nothing_r12() {
    on_disk(async |fake, back, disk| {
        disk.write(0, &[1; 512]).await.unwrap();
        sleep(SECOND).await;
        let before = fake.baseline();
        for _ in 0..300 {
            back.unplug();
            sleep(MOMENT * 20).await;
            back.plug();
            disk.write(0, &[1; 512]).await.unwrap();
        }
        sleep(SECOND).await;
        fake.assert_no_leaks(&before);
        assert_eq!(disk.stats().connections, 301);
    });
}

/// Linux's blkback heeds a front end that begins only once it has closed.
#[test]
fn a_disk_that_was_dropped_opens_again_x12() {
    on_disk(async |_, back, disk| {
        disk.write(0, &[7; 512]).await.unwrap();
        drop(disk);
        sleep(MOMENT).await;
        let again = timeout(SECOND * 20, Blkfront::open("xvda")).await.expect("it waits").unwrap();
        let mut sector = [0; 512];
        again.read(0, &mut sector).await.unwrap();
        assert_eq!(sector, [7; 512]);
        assert_eq!(back.state(), XenbusState::Connected);
    });
}

#[test]
fn a_connection_that_failed_once_the_back_end_had_connected_is_made_again_x12() {
    on_disk(async |_, back, disk| {
        back.unplug();
        sleep(MOMENT * 20).await;
        back.plug();
        back.offer("sector-size", "513");
        sleep(SECOND * 3).await;
        assert_eq!(disk.info().generation, 1);
        back.offer("sector-size", "512");
        let written = timeout(SECOND * 25, disk.write(0, &[1; 512])).await;
        assert_eq!(written, Ok(Ok(())));
    });
}

#[test]
fn what_a_new_connection_has_no_pages_for_at_once_waits_for_them_b11_r8() {
    // Two pools of 64 pages each, and then one.
    kernel::testing::simulate_memory(2 << 20);
    let prepare = |back: Blkback<'_>| back.offer("feature-persistent", "0");
    with_disk(prepare, async |_, back, disk| {
        const LENGTH: usize = 80 << 10;
        const SECTORS: u64 = (LENGTH / 512) as u64;
        let content: [_; 3] = core::array::from_fn(|number| vec![number as u8 + 1; LENGTH]);
        disk.write(SECTORS, &content[1]).await.unwrap();
        back.misbehave(Misdeed::Stuck);
        let read = |number: u64| {
            let disk = &disk;
            async move {
                let mut to = vec![0; LENGTH];
                disk.read(number * SECTORS, &mut to).await.map(|()| to)
            }
        };
        // They do not touch, so that none is merged with another.
        let write =
            |number: usize| disk.write((10 + 2 * number as u64) * SECTORS, &content[number]);
        let mut writes = pin!(join_array([0, 1, 2].map(write)));
        let _ = timeout(MOMENT * 5, writes.as_mut()).await;
        let mut reads = pin!(join_array([1, 3, 5].map(read)));
        let _ = timeout(MOMENT * 5, reads.as_mut()).await;
        back.offer("feature-persistent", "1");
        for _ in 0..3 {
            // What had no pages has none when this connection ends either.
            back.restart_in(DomId(0));
            sleep(SECOND).await;
        }
        back.restart_in(DomId(0));
        back.behave();
        drop(back.requests());
        let new = async {
            sleep(MOMENT * 2).await;
            read(12).await
        };
        let ((written, reads), new) = join(join(writes, reads), new).await;
        assert_eq!(written, [Ok(()); 3]);
        assert_eq!(reads.map(|it| it.map(|it| it[0])), [Ok(2), Ok(0), Ok(0)]);
        assert_eq!(new, Ok(content[1].clone()));
        for (number, content) in content.iter().enumerate() {
            let at = (10 + 2 * number) * LENGTH;
            assert!(back.bytes()[at..at + LENGTH] == *content, "write {number}");
        }
        let mut order: Vec<_> = asked(back).iter().map(|it| (it.0, it.1 / SECTORS)).collect();
        // The new one may begin with the pages that are left.
        order.dedup();
        let old = [10, 12, 14].map(|at| (OP_WRITE, at)).into_iter();
        let old = old.chain([1, 3, 5].map(|at| (OP_READ, at)));
        assert_eq!(order, old.chain([(OP_READ, 12)]).collect::<Vec<_>>());
    });
}

/// Opens a disk with few pages, all of which requests in flight that nobody looks after then hold; `test`
/// goes on with the number of sectors of each of these.
fn on_full_disk(test: impl AsyncFnOnce(Blkback<'_>, &Blkfront, u64)) {
    // A pool of 64 pages.
    kernel::testing::simulate_memory(2 << 20);
    on_disk(async |_, back, disk| test(back, &disk, 64 << 1).await);
}

#[test]
fn a_write_that_was_answered_holds_no_pages_though_nobody_looks_after_it() {
    on_full_disk(async |back, disk, sectors| {
        let content = vec![7; sectors as usize * 512];
        let write = |number: u64| disk.write(2 * number * sectors, &content);
        let mut writes = pin!(join_array([0, 1, 2, 3].map(write)));
        back.misbehave(Misdeed::Stuck);
        assert!(timeout(MOMENT, writes.as_mut()).await.is_err());
        back.behave();
        sleep(SECOND).await;
        let read = timeout(SECOND * 5, disk.read(0, &mut [0; 512])).await;
        assert_eq!(read, Ok(Ok(())));
        assert_eq!(writes.await, [Ok(()); 4]);
    });
}

#[test]
fn who_waits_behind_a_request_without_pages_goes_on_when_nobody_wants_that_b11() {
    kernel::testing::simulate_memory(2 << 20);
    let prepare = |back: Blkback<'_>| back.offer("feature-persistent", "0");
    with_disk(prepare, async |_, back, disk| {
        const LENGTH: usize = 64 << 10;
        let at = |number: u64| number * 2 * (LENGTH / 512) as u64;
        back.misbehave(Misdeed::Stuck);
        let read = |number| {
            let disk = &disk;
            async move { disk.read(at(number), &mut vec![0; LENGTH]).await }
        };
        let mut reads = pin!(join_array([0, 1, 2, 3].map(read)));
        assert!(timeout(MOMENT * 5, reads.as_mut()).await.is_err());
        let content = vec![1; LENGTH];
        let mut write = std::boxed::Box::pin(disk.write(at(9), &content));
        assert!(timeout(MOMENT * 5, write.as_mut()).await.is_err());
        // The one pool of the next connection has pages for the reads.
        back.offer("feature-persistent", "1");
        back.restart_in(DomId(0));
        sleep(SECOND).await;
        assert_eq!(asked(back).iter().filter(|it| it.0 == OP_WRITE).count(), 1, "before");
        let mut discard = pin!(disk.discard(0, 8));
        assert!(timeout(SECOND, discard.as_mut()).await.is_err());
        assert_eq!(asked(back), [], "it is behind the write");
        drop(write);
        assert!(timeout(MOMENT * 5, discard.as_mut()).await.is_err());
        assert_eq!(asked(back).last(), Some(&(OP_DISCARD, 0, 8)));
        back.behave();
        assert_eq!((discard.await, reads.await), (Ok(()), [Ok(()); 4]));
        assert_eq!(disk.write(at(9), &content).await, Ok(()));
    });
}

#[test]
fn a_disk_may_be_dropped_with_requests_in_flight_r14() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::Stuck);
        let _ = timeout(MOMENT * 5, disk.write(0, &[1; 8192])).await;
        drop(disk);
        sleep(MOMENT * 50).await;
        back.unplug();
        // What was in use comes back when something is lent the next time.
        drop(xen::gnttab::ReadWriteGrant::new(DomId::DOM0, 1));
    });
}

#[test]
fn pages_that_are_not_given_back_are_never_used_again_g4_g5() {
    on_disk(async |fake, back, disk| {
        // The fake panics when a page is freed that is still mapped.
        back.misbehave(Misdeed::KeepGrants);
        disk.write(0, &[1; 65536]).await.unwrap();
        back.restart_in(DomId(0));
        disk.write(0, &[2; 65536]).await.unwrap();
        let kept = xen::gnttab::stats().quarantine;
        assert!(kept >= 16, "{kept}");
        back.behave();
        back.restart_in(DomId(0));
        disk.write(0, &[3; 65536]).await.unwrap();
        // What is lent next brings back what may come back.
        disk.write(0, &[3; 262_144]).await.unwrap();
        assert!(xen::gnttab::stats().quarantine < kept);
        fake.allow_leaks();
    });
}

#[test]
fn a_full_grant_table_is_an_error_g6() {
    on_fake(|fake| async move {
        let _ = fake.blkback(XVDA);
        fake.limit_grant_frames(0);
        assert!(matches!(
            Blkfront::open("xvda").await,
            Err(Error::Connection(_, frontend::Error::Grants(_)))
        ));
        fake.allow_leaks();
    });
    // With room for some pages, there are smaller requests.
    on_fake(|fake| async move {
        let back = fake.blkback(XVDA);
        fake.limit_grant_frames(1);
        let disk = Blkfront::open("xvda").await.unwrap();
        let bytes = vec![7; 4 << 20];
        disk.write(0, &bytes).await.unwrap();
        assert!(back.bytes()[..4 << 20] == bytes);
        drop(disk);
    });
}

#[test]
fn the_peer_is_who_was_there_at_the_connection_g7() {
    on_disk(async |_, back, disk| {
        back.restart_in(DomId(9));
        disk.write(0, &[1; 512]).await.unwrap();
        assert!(back.path().contains("/domain/9/"));
        assert_eq!(disk.info().generation, 2);
    });
}

#[test]
fn a_storm_of_events_starves_nobody_e3_e6() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::EventStorm(1000));
        let begun = Instant::now();
        for _ in 0..100 {
            disk.write(0, &[1; 512]).await.unwrap();
        }
        assert!(begun.elapsed() < SECOND);
    });
}

#[test]
fn events_that_are_lost_are_found_e7() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::LoseEvents);
        let mut sector = [0; 512];
        assert_eq!(timeout(SECOND * 4, disk.read(0, &mut sector)).await, Ok(Ok(())));
        assert!(disk.stats().lost_events > 0);
    });
}

#[test]
fn a_port_that_the_peer_closed_leads_to_a_new_connection_e8() {
    on_disk(async |_, back, disk| {
        back.close_port();
        let begun = Instant::now();
        assert_eq!(disk.write(0, &[1; 512]).await, Ok(()));
        assert!(begun.elapsed() < SECOND * 10, "{:?}", begun.elapsed());
        assert_eq!(disk.stats().connections, 2);
    });
}

/// Makes xenstored answer the next look at the back end's state like this.
fn asked_for_the_state(fake: &Fake, back: Blkback<'_>, misdeed: store::Misdeed) {
    fake.store().misbehave_at(0, misdeed);
    fake.store().fire(&format!("{}/state", back.path()));
}

#[test]
fn a_disk_works_on_without_xenstore_x10_x12() {
    let (refused, broken) = (store::Misdeed::Refuse("EIO".into()), store::Misdeed::Length(9999));
    for misdeed in [refused, broken] {
        on_disk(async |fake, back, disk| {
            asked_for_the_state(fake, back, misdeed.clone());
            for number in 0..40 {
                assert_eq!(disk.write(number, &[1; 512]).await, Ok(()), "{misdeed:?}");
                sleep(SECOND).await;
            }
            assert_eq!((disk.flush().await, disk.stats().connections), (Ok(()), 1));
            if misdeed != store::Misdeed::Length(9999) {
                back.restart_in(DomId(0));
                assert_eq!(timeout(SECOND * 30, disk.write(0, &[2; 512])).await, Ok(Ok(())));
                return;
            }
            // Nobody is left waiting once the disk cannot be connected again.
            back.misbehave(Misdeed::Stuck);
            let begun = Instant::now();
            assert_eq!(disk.write(0, &[1; 512]).await, Err(ErrorKind::TimedOut));
            assert_eq!(disk.read(0, &mut [0; 512]).await, Err(ErrorKind::Gone));
            assert!(begun.elapsed() < SECOND * 66, "{:?}", begun.elapsed());
            fake.allow_leaks();
        });
    }
}

#[test]
fn a_disk_that_xenstore_does_not_find_is_looked_for_again_x12() {
    on_disk(async |fake, back, disk| {
        let generation = disk.info().generation;
        back.unplug();
        sleep(SECOND).await;
        back.plug();
        fake.store().misbehave(store::Misdeed::Refuse("EIO".into()));
        sleep(SECOND * 5).await;
        assert_eq!(disk.info().generation, generation);
        fake.store().behave();
        assert_eq!(timeout(SECOND * 12, disk.write(0, &[1; 512])).await, Ok(Ok(())));
    });
}

#[test]
fn whoever_has_an_answer_does_not_wait_for_xenstore_r7_x10() {
    on_disk(async |fake, back, disk| {
        back.misbehave(Misdeed::Stuck);
        fake.store().hold();
        let begun = Instant::now();
        let written = timeout(SECOND * 60, disk.write(0, &[1; 512])).await;
        assert_eq!(written, Ok(Err(ErrorKind::TimedOut)));
        assert!(begun.elapsed() < SECOND * 33, "{:?}", begun.elapsed());
        back.behave();
        fake.store().behave();
        fake.store().release();
        assert_eq!(timeout(SECOND * 20, disk.write(0, &[1; 512])).await, Ok(Ok(())));
    });
}

#[test]
fn a_disk_that_is_taken_away_is_gone_until_it_is_back() {
    on_disk(async |_, back, disk| {
        disk.write(0, &[1; 512]).await.unwrap();
        let reads = async {
            loop {
                if let Err(error) = disk.read(0, &mut [0; 512]).await {
                    break error;
                }
            }
        };
        let (error, ()) = join(reads, async {
            sleep(MOMENT * 10).await;
            drop(back.requests());
            back.detach();
        })
        .await;
        assert_eq!(error, ErrorKind::Gone);
        // What was written had been made to last before the end.
        let flushes = asked(back).iter().filter(|it| it.0 == OP_FLUSH_DISKCACHE).count();
        assert_eq!(flushes, 1);
        sleep(SECOND).await;
        back.plug();
        sleep(SECOND * 11).await;
        assert_eq!(disk.read(0, &mut [0; 512]).await, Ok(()));
        assert_eq!(disk.flush().await, Ok(()), "nothing was lost");
    });
}

#[test]
fn each_outage_has_its_own_time() {
    on_disk(async |_, back, disk| {
        for (lasts, result) in [(40, Err(ErrorKind::Gone)), (20, Ok(())), (20, Ok(()))] {
            back.unplug();
            let (read, ()) = join(async { disk.read(0, &mut [0; 512]).await }, async {
                sleep(SECOND * lasts).await;
                back.plug();
            })
            .await;
            assert_eq!(read, result, "{lasts} s");
            sleep(SECOND * 100).await;
        }
    });
}

#[test]
fn a_disk_whose_watches_were_lost_is_connected_again_x12() {
    on_disk(async |fake, back, disk| {
        disk.write(0, &[1; 512]).await.unwrap();
        sleep(SECOND).await;
        let refuse = || fake.store().misbehave(store::Misdeed::Refuse("E2BIG".into()));
        kernel::testing::suspend(|| {
            fake.suspend_and(Some(DomId(2)), refuse);
            Outcome::Renewed
        })
        .await;
        sleep(SECOND * 2).await;
        fake.store().behave();
        assert_eq!(timeout(SECOND * 40, disk.write(0, &[1; 512])).await, Ok(Ok(())));
        // By a watch that works: nothing is asked for over and over.
        back.unplug();
        sleep(SECOND).await;
        let before = xen::evtchn::stats().events;
        sleep(SECOND * 20).await;
        let events = xen::evtchn::stats().events - before;
        assert!(events < 40, "{events}");
        back.plug();
        assert_eq!(timeout(SECOND, disk.write(0, &[1; 512])).await, Ok(Ok(())));
    });
}

#[test]
fn a_disk_that_vanishes_for_long_is_gone() {
    on_disk(async |_, back, disk| {
        back.unplug();
        let begun = Instant::now();
        assert_eq!(disk.read(0, &mut [0; 512]).await, Err(ErrorKind::Gone));
        assert!((SECOND * 29..SECOND * 34).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        back.plug();
        sleep(SECOND * 11).await;
        assert_eq!(disk.read(0, &mut [0; 512]).await, Ok(()));
    });
}

#[test]
fn there_is_no_disk_without_one_in_the_configuration() {
    on_fake(|_| async {
        let missing = |id: &str| Some(Error::Missing(id.into(), Vec::new()));
        assert_eq!(Blkfront::open("xvdb").await.err(), missing("xvdb"));
        assert_eq!(Blkfront::open("").await.err(), missing("xvda"));
        assert_eq!(Blkfront::open("sda").await.err(), Some(Error::Name("sda".into())));
    });
    on_fake(|fake| async move {
        let _ = fake.blkback(XVDA);
        let _ = fake.blkback(XVDA + 32);
        let error = Blkfront::open("xvdb").await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "there is no disk xvdb; this domain has xvda, xvdc: its configuration needs one with \
             vdev=xvdb in disk=[...]"
        );
        let disk = Blkfront::open("").await.unwrap();
        let mut bytes = [1; 512];
        disk.read(0, &mut bytes).await.unwrap();
        assert_eq!(asked(fake.blkback(XVDA)), [(OP_READ, 0, 1)]);
    });
}

#[test]
fn a_slow_back_end_is_waited_for_at_the_start_and_later() {
    on_fake(|fake| async move {
        let back = fake.blkback(XVDA);
        back.sleep();
        let opening = spawn(Blkfront::open("xvda"));
        sleep(SECOND * 100).await;
        assert!(!opening.is_finished());
        back.wake();
        let disk = timeout(SECOND, opening).await.unwrap().unwrap();
        disk.write(0, &[1; 512]).await.unwrap();
        back.restart_in(DomId(0));
        back.sleep();
        sleep(SECOND * 300).await;
        back.wake();
        sleep(SECOND).await;
        disk.write(0, &[2; 512]).await.unwrap();
        assert_eq!(disk.info().generation, 2);
    });
}

#[test]
fn what_is_taken_away_before_it_connects_is_an_error() {
    on_fake(|fake| async move {
        let back = fake.blkback(XVDA);
        back.sleep();
        let opening = spawn(Blkfront::open("xvda"));
        sleep(SECOND).await;
        back.unplug();
        let gone = Error::Connection("xvda".into(), frontend::Error::Gone);
        assert_eq!(timeout(SECOND, opening).await.unwrap().err(), Some(gone));
    });
}

#[test]
fn a_suspension_loses_nothing_and_what_was_written_before_is_flushed_b8_b11() {
    on_disk(async |fake, back, disk| {
        disk.write(0, &[1; 512]).await.unwrap();
        sleep(SECOND).await;
        let before = fake.baseline();
        for round in 0..100_u16 {
            // The same domain, another one, and another one of the same id.
            let new =
                [None, Some(DomId(2)), Some(DomId(2)), Some(DomId(1))][usize::from(round % 4)];
            back.take_one_at_a_time(round % 3 == 0);
            let content = [round as u8 + 1; 8192];
            let writes = join_array([0, 16, 32].map(|sector| disk.write(sector, &content)));
            let (results, ()) = join(writes, suspend(fake, new)).await;
            assert_eq!(results, [Ok(()); 3], "round {round}");
            assert_eq!(disk.flush().await, Ok(()), "round {round}");
            let mut read = [0; 24576];
            disk.read(0, &mut read).await.unwrap();
            assert!(read.iter().all(|&byte| byte == content[0]), "round {round}");
        }
        sleep(SECOND).await;
        fake.assert_no_leaks(&before);
        assert_eq!(disk.stats().connections, 76);
        assert_eq!(disk.stats().errors, 0);
    });
}

#[test]
fn a_connection_that_is_made_before_a_suspension_begins_nothing_until_it_is_over() {
    on_disk(async |fake, back, disk| {
        disk.write(0, &[1; 512]).await.unwrap();
        let mut slow = Participant::new();
        let suspended = join(suspend(fake, None), async {
            slow.requested().await;
            sleep(MOMENT).await;
            back.restart_in(DomId(0));
            sleep(SECOND * 3).await;
            assert_eq!(disk.stats().connections, 2);
            assert_eq!(asked(back), [(OP_WRITE, 0, 1), (OP_FLUSH_DISKCACHE, 0, 0)], "before");
            assert!(timeout(SECOND, disk.write(0, &[2; 512])).await.is_err());
            assert_eq!(asked(back), [], "nothing is asked for");
            slow.ready().await;
        });
        suspended.await;
        disk.write(0, &[3; 512]).await.unwrap();
        assert_eq!(back.bytes()[..512], [3; 512]);
    });
}

#[test]
fn a_back_end_that_does_not_answer_delays_a_suspension_and_no_more() {
    on_disk(async |fake, back, disk| {
        back.misbehave(Misdeed::Stuck);
        let begun = Instant::now();
        let written = async {
            let result = disk.write(0, &[5; 512]).await;
            (result, begun.elapsed())
        };
        let ((result, took), ()) = join(written, async {
            sleep(MOMENT * 5).await;
            suspend(fake, Some(DomId(2))).await;
            back.behave();
        })
        .await;
        assert_eq!(result, Ok(()), "it is asked for again");
        assert!(took < SECOND * 10, "{took:?}");
        assert_eq!(back.bytes()[..512], [5; 512]);
    });
}

#[test]
fn a_disk_may_be_suspended_as_soon_as_it_is_open() {
    // xenstore has not answered what the driver asked it last, and needs a turn for that.
    on_disk(async |fake, back, disk| {
        suspend(fake, Some(DomId(2))).await;
        sleep(SECOND * 2).await;
        assert_eq!(disk.write(0, &[6; 512]).await, Ok(()));
        assert_eq!(back.bytes()[..512], [6; 512]);
    });
}

/// Has the disk left to a next image, which tells that in this phase.
async fn left(disk: &Blkfront, phase: Phase) {
    let mut part = Part::new();
    let next = timeout(SECOND * 2, settle::leave_in(&disk.state, &mut part, phase)).await;
    assert_eq!(next, Ok(None), "{phase:?}");
}

#[test]
fn what_was_written_is_durable_before_the_next_image_and_nothing_is_asked_for_behind_it() {
    on_disk(async |_, back, disk| {
        back.take_one_at_a_time(true);
        let content = [1; 8192];
        let writes = join_array([0, 32, 64].map(|sector| disk.write(sector, &content)));
        // It is ready when what is on the ring has come back, and has been flushed.
        let (results, ()) = join(writes, async {
            sleep(MOMENT).await;
            left(&disk, Phase::Save).await;
        })
        .await;
        assert_eq!(results, [Ok(()); 3]);
        let all = asked(back);
        let flush = (OP_FLUSH_DISKCACHE, 0, 0);
        assert_eq!((all.len(), all.last()), (4, Some(&flush)), "{all:?}");
        let begun = disk.write(0, &[2; 512]);
        assert!(timeout(SECOND * 5, begun).await.is_err());
        assert!(timeout(SECOND * 5, disk.read(0, &mut [0; 512])).await.is_err());
        assert_eq!(asked(back), [], "nothing is asked for");
        // Nor by another connection, nor behind a suspension.
        back.restart_in(DomId(0));
        sleep(SECOND * 3).await;
        assert!(timeout(SECOND * 5, disk.write(0, &[3; 512])).await.is_err());
        assert_eq!(asked(back), [], "nothing is asked for by another connection");
        left(&disk, Phase::Resume).await;
        disk.write(0, &[4; 512]).await.unwrap();
        assert_eq!(asked(back), [(OP_WRITE, 0, 1)]);
    });
}

#[test]
fn a_suspension_does_not_take_back_a_disk_that_is_left() {
    on_disk(async |fake, back, disk| {
        left(&disk, Phase::Save).await;
        suspend(fake, None).await;
        sleep(SECOND).await;
        assert!(timeout(SECOND * 5, disk.write(0, &[1; 512])).await.is_err());
        assert_eq!(asked(back), []);
        left(&disk, Phase::Resume).await;
        assert_eq!(disk.write(0, &[1; 512]).await, Ok(()));
    });
}

#[test]
fn a_disk_is_flushed_while_all_is_served_and_loses_nothing_where_it_cannot_be_left() {
    on_disk(async |_, back, disk| {
        disk.write(0, &[1; 512]).await.unwrap();
        left(&disk, Phase::Rest).await;
        assert_eq!(asked(back), [(OP_WRITE, 0, 1), (OP_FLUSH_DISKCACHE, 0, 0)]);
        disk.write(0, &[2; 512]).await.unwrap();
        asked(back);
        back.misbehave_at(0, Misdeed::Refuse(RSP_ERROR));
        left(&disk, Phase::Save).await;
        assert!(disk.state.may_lose());
        left(&disk, Phase::Resume).await;
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed), "nobody was told");
        assert_eq!(disk.flush().await, Ok(()), "it is flushed again");
        assert!(!disk.state.may_lose());
    });
}

#[test]
fn a_flush_that_failed_and_nobody_waited_for_is_told_by_the_next_b8_b9() {
    on_disk(async |fake, back, disk| {
        let fails = || back.misbehave_at(0, Misdeed::Refuse(RSP_ERROR));
        let told = async |before: &str| {
            assert_eq!(disk.flush().await, Err(ErrorKind::Failed), "{before}");
            assert_eq!(disk.flush().await, Ok(()), "{before}: it was told");
        };
        // Before a suspension that is cancelled.
        disk.write(0, &[1; 512]).await.unwrap();
        fails();
        suspend(fake, None).await;
        told("a suspension").await;
        // A program that had no patience.
        disk.write(0, &[2; 512]).await.unwrap();
        fails();
        assert!(timeout(MOMENT / 2, disk.flush()).await.is_err());
        sleep(SECOND).await;
        told("a flush that was dropped").await;
        // While all is served: what may be lost is not handed over, although the flush of the next
        // phase succeeds.
        disk.write(0, &[3; 512]).await.unwrap();
        fails();
        left(&disk, Phase::Rest).await;
        left(&disk, Phase::Save).await;
        let flush = |it: &(u8, u64, u64)| it.0 == OP_FLUSH_DISKCACHE;
        assert!(asked(back).last().is_some_and(flush));
        assert!(disk.state.may_lose(), "the next image would not know");
        left(&disk, Phase::Resume).await;
        told("an update").await;
        assert!(!disk.state.may_lose());
    });
}

#[test]
fn only_what_nobody_was_told_of_prevents_that_a_disk_is_left() {
    // Whoever wrote was told.
    on_disk(async |_, back, disk| {
        back.misbehave_at(0, Misdeed::Refuse(RSP_ERROR));
        assert_eq!(disk.write(0, &[1; 512]).await, Err(ErrorKind::Failed));
        disk.write(8, &[1; 512]).await.unwrap();
        left(&disk, Phase::Save).await;
        assert!(!disk.state.may_lose());
        left(&disk, Phase::Resume).await;
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed), "rule B9");
    });
    // What may be lost with the back end is not known to anybody yet.
    on_disk(async |_, back, disk| {
        disk.write(8, &[1; 512]).await.unwrap();
        back.restart_in(DomId(0));
        sleep(SECOND).await;
        left(&disk, Phase::Save).await;
        assert!(disk.state.may_lose());
        left(&disk, Phase::Resume).await;
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed));
        assert!(!disk.state.may_lose());
    });
    // Nobody could rely on more.
    let prepare = |back: Blkback<'_>| back.withhold("feature-flush-cache");
    with_disk(prepare, async |_, back, disk| {
        for lost in 1..3 {
            disk.write(8, &[1; 512]).await.unwrap();
            back.restart_in(DomId(0));
            sleep(SECOND).await;
            assert_eq!(disk.info().lost, lost, "who asks is told");
            left(&disk, Phase::Save).await;
            assert!(!disk.state.may_lose());
            left(&disk, Phase::Resume).await;
            assert_eq!(disk.flush().await, Err(ErrorKind::Unsupported));
        }
    });
}
