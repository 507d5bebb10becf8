//! The driver on the fake hypervisor, against a back end that behaves, or not. The fake
//! itself looks for what breaks rules B4, B5, B7, B13, G3, G4, G7, G8, R3 and R6, in
//! each of these tests.

mod connection;

use super::*;
use crate::block::conformance::check;
use crate::frontend::testing::{MOMENT, on_fake};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::pin::pin;
use core::time::Duration;
use kernel::task::{join, join_array};
use kernel::time::{Instant, sleep, timeout};
use std::vec;
use xen::DomId;
use xen::fake::Fake;
use xen::fake::blkback::{Blkback, Misdeed};
use xen::public::io::blkif::{
    OP_DISCARD, OP_FLUSH_DISKCACHE, OP_READ, OP_WRITE, OP_WRITE_BARRIER, RSP_EOPNOTSUPP, RSP_ERROR,
    VDISK_READONLY,
};

/// The number of `xvda`.
const XVDA: u32 = 51712;

const SECOND: Duration = Duration::from_secs(1);

/// Runs `test` with a disk whose back end was prepared.
fn with_disk(
    prepare: impl FnOnce(Blkback<'_>),
    test: impl AsyncFnOnce(&Fake, Blkback<'_>, Blkfront),
) {
    on_fake(|fake| async move {
        let back = fake.blkback(XVDA);
        prepare(back);
        let disk = Blkfront::open("xvda").await.unwrap();
        test(&fake, back, disk).await;
    });
}

/// Runs `test` with a disk whose back end is as Linux's.
fn on_disk(test: impl AsyncFnOnce(&Fake, Blkback<'_>, Blkfront)) {
    with_disk(|_| (), test);
}

/// What the back end was asked to do, shortly: operation, sector and count.
fn asked(back: Blkback<'_>) -> Vec<(u8, u64, u64)> {
    let requests = back.requests().into_iter();
    requests.map(|request| (request.operation, request.sector, request.count)).collect()
}

#[test]
fn it_is_a_block_device_with_whatever_the_back_end_offers() {
    let offers: [&[(&str, Option<&str>)]; 9] = [
        &[],
        &[("sector-size", Some("4096"))],
        &[("info", Some("4"))],
        &[("feature-persistent", None)],
        &[("feature-max-indirect-segments", None)],
        &[("max-ring-page-order", None)],
        &[("feature-flush-cache", None)],
        &[("feature-flush-cache", None), ("feature-barrier", Some("1"))],
        &[("feature-discard", None), ("feature-persistent", None), ("sector-size", Some("2048"))],
    ];
    for offers in offers {
        let prepare = |back: Blkback<'_>| {
            for (name, value) in offers {
                match value {
                    Some(value) => back.offer(name, value),
                    None => back.withhold(name),
                }
            }
        };
        with_disk(prepare, async |_, _, disk| assert_eq!(check(&disk).await, Ok(()), "{offers:?}"));
    }
}

#[test]
fn answers_may_come_in_any_order() {
    let prepare = |back: Blkback<'_>| back.answer_in_reverse(true);
    with_disk(prepare, async |_, _, disk| assert_eq!(check(&disk).await, Ok(())));
}

#[test]
fn a_mebibyte_is_one_request_b5() {
    on_disk(async |_, back, disk| {
        let bytes: Vec<u8> = (0..1 << 20).map(|at: u32| (at >> 9) as u8).collect();
        disk.write(8, &bytes).await.unwrap();
        let requests = back.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!((requests[0].segments, requests[0].indirect), (256, true));
        assert_eq!(back.bytes()[4096..][..1 << 20], bytes);
    });
}

#[test]
fn pages_are_mapped_once_for_many_requests() {
    on_disk(async |_, back, disk| {
        for _ in 0..100 {
            disk.write(0, &[1; 8192]).await.unwrap();
            disk.read(0, &mut [0; 8192]).await.unwrap();
        }
        assert!(back.mappings() <= 4, "{}", back.mappings());
    });
}

#[test]
fn adjacent_requests_that_wait_become_one_and_cost_one_notification() {
    on_disk(async |_, back, disk| {
        let before = disk.stats();
        let sectors: [u64; 64] = core::array::from_fn(|number| number as u64);
        let write = |sector: u64| {
            let disk = &disk;
            async move { disk.write(sector, &[sector as u8; 512]).await }
        };
        assert!(join_array(sectors.map(write)).await.iter().all(Result::is_ok));
        assert_eq!(asked(back), [(OP_WRITE, 0, 64)]);
        let after = disk.stats();
        assert_eq!(after.merged - before.merged, 63);
        assert_eq!(after.notifications - before.notifications, 1);
        assert!((0..64).all(|sector| back.bytes()[sector * 512] == sector as u8));
    });
}

#[test]
fn of_requests_that_failed_as_one_each_is_asked_again() {
    on_disk(async |_, back, disk| {
        back.misbehave_at(0, Misdeed::Refuse(RSP_ERROR));
        back.misbehave_at(1, Misdeed::Refuse(RSP_ERROR));
        let (first, second) = join(disk.write(0, &[1; 512]), disk.write(1, &[2; 512])).await;
        assert_eq!([first, second].iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(asked(back), [(OP_WRITE, 0, 2), (OP_WRITE, 0, 1), (OP_WRITE, 1, 1)]);
    });
}

/// Whoever waits when `misdeed` is done gets this error soon, and whoever comes later.
fn after(misdeed: Misdeed) {
    on_disk(async |fake, back, disk| {
        disk.write(0, &[7; 512]).await.unwrap();
        back.misbehave_at(0, misdeed);
        let begun = Instant::now();
        let mut sector = [0; 512];
        let (read, write) = join(disk.read(0, &mut sector), disk.write(100, &[1; 512])).await;
        assert!(read.is_err() || write.is_err());
        assert!(begun.elapsed() < Duration::from_millis(100), "rule R7");
        assert_eq!(disk.read(0, &mut sector).await, Err(ErrorKind::Gone));
        assert_eq!(disk.flush().await, Err(ErrorKind::Gone));
        sleep(SECOND * 8).await;
        assert_eq!(disk.write(0, &sector).await, Err(ErrorKind::Gone), "broken stays broken");
        fake.allow_leaks();
    });
}

#[test]
fn an_index_that_jumps_breaks_it_r3_r7() {
    after(Misdeed::Index(1000));
}

#[test]
fn an_index_that_goes_back_breaks_it_r4_r8() {
    after(Misdeed::Index(-3));
}

#[test]
fn an_id_that_is_not_in_flight_breaks_it_r6() {
    after(Misdeed::Id(77));
    after(Misdeed::Id(u64::MAX));
    after(Misdeed::Id(1 << 32));
}

#[test]
fn an_id_that_was_answered_breaks_it_r5_r6() {
    on_disk(async |fake, back, disk| {
        // Two slots, of which the second one answers the first one's id.
        back.misbehave_at(1, Misdeed::IdAgain);
        let _ = join(disk.write(0, &[7; 512]), disk.write(9, &[7; 512])).await;
        assert_eq!(disk.write(0, &[1; 512]).await, Err(ErrorKind::Gone));
        fake.allow_leaks();
    });
}

#[test]
fn another_operation_breaks_it_b1() {
    after(Misdeed::Operation(OP_FLUSH_DISKCACHE));
    after(Misdeed::Operation(0xFF));
}

#[test]
fn an_unknown_status_is_an_error_and_no_more_b2() {
    on_disk(async |_, back, disk| {
        for status in [RSP_ERROR, RSP_EOPNOTSUPP, 1, i16::MIN, i16::MAX] {
            back.misbehave_at(0, Misdeed::Status(status));
            assert_eq!(disk.read(0, &mut [0; 512]).await, Err(ErrorKind::Failed), "{status}");
            assert_eq!(disk.read(0, &mut [0; 512]).await, Ok(()));
        }
    });
}

#[test]
fn sizes_that_make_no_sense_are_refused_b3() {
    for (name, value) in [
        ("sector-size", "0"),
        ("sector-size", "513"),
        ("sector-size", "8192"),
        ("sectors", "18446744073709551615"),
    ] {
        on_fake(|fake| async move {
            fake.blkback(XVDA).offer(name, value);
            let opened = Blkfront::open("xvda").await;
            assert!(
                matches!(opened, Err(Error::Connection(_, frontend::Error::Unfit(_)))),
                "{name}={value}"
            );
            fake.allow_leaks();
        });
    }
}

#[test]
fn a_disk_that_shrinks_has_another_end_b3() {
    on_disk(async |_, back, disk| {
        assert_eq!(disk.info().sectors, 32768);
        disk.write(32767, &[1; 512]).await.unwrap();
        back.resize(1024);
        sleep(MOMENT * 20).await;
        assert_eq!(disk.info().sectors, 1024);
        assert_eq!(disk.write(1024, &[1; 512]).await, Err(ErrorKind::OutOfRange));
        assert_eq!(disk.read(1023, &mut [1; 512]).await, Ok(()));
        back.resize(2048);
        sleep(MOMENT * 20).await;
        assert_eq!(disk.write(1024, &[1; 512]).await, Ok(()));
    });
}

#[test]
fn a_read_only_disk_is_not_asked_to_write_b4() {
    let prepare = |back: Blkback<'_>| back.offer("info", &VDISK_READONLY.to_string());
    with_disk(prepare, async |_, back, disk| {
        assert!(disk.info().read_only);
        assert_eq!(disk.write(0, &[1; 512]).await, Err(ErrorKind::ReadOnly));
        assert_eq!(disk.discard(0, 8).await, Err(ErrorKind::ReadOnly));
        assert_eq!(back.requests(), []);
    });
}

#[test]
fn what_was_read_is_the_callers_own_b6_r1() {
    on_disk(async |_, back, disk| {
        disk.write(0, &[5; 4096]).await.unwrap();
        let mut bytes = vec![0; 4096];
        disk.read(0, &mut bytes).await.unwrap();
        back.misbehave(Misdeed::Scribble);
        disk.read(8, &mut [0; 512]).await.unwrap();
        assert_eq!(bytes, [5; 4096]);
    });
}

#[test]
fn what_a_page_held_before_does_not_go_along_b7() {
    // The fake looks at the rest of each page that is written.
    for persistent in ["1", "0"] {
        let prepare = |back: Blkback<'_>| back.offer("feature-persistent", persistent);
        with_disk(prepare, async |_, back, disk| {
            disk.write(0, &[9; 4096]).await.unwrap();
            disk.write(0, &[1; 512]).await.unwrap();
            assert_eq!(back.bytes()[..1024], [[1; 512], [9; 512]].concat());
        });
    }
}

#[test]
fn a_flush_that_is_not_supported_is_an_error_b8() {
    let prepare = |back: Blkback<'_>| back.withhold("feature-flush-cache");
    with_disk(prepare, async |_, back, disk| {
        assert!(!disk.info().flush);
        assert_eq!(disk.flush().await, Err(ErrorKind::Unsupported));
        assert_eq!(back.requests(), []);
    });
    on_disk(async |_, back, disk| {
        back.misbehave_at(0, Misdeed::Refuse(RSP_EOPNOTSUPP));
        assert_eq!(disk.flush().await, Err(ErrorKind::Unsupported));
        assert!(!disk.info().flush, "it turned out not to be");
    });
}

#[test]
fn a_barrier_is_a_flush_b8() {
    let prepare = |back: Blkback<'_>| {
        back.withhold("feature-flush-cache");
        back.offer("feature-barrier", "1");
    };
    with_disk(prepare, async |_, back, disk| {
        assert_eq!(disk.flush().await, Ok(()));
        assert_eq!(asked(back), [(OP_WRITE_BARRIER, 0, 0)]);
    });
}

#[test]
fn what_a_back_end_may_have_lost_was_not_flushed_b8() {
    on_disk(async |_, back, disk| {
        disk.write(0, &[1; 512]).await.unwrap();
        back.restart_in(DomId(0));
        sleep(SECOND).await;
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed), "the write may be lost");
        assert_eq!(disk.flush().await, Ok(()));
        disk.write(0, &[1; 512]).await.unwrap();
        disk.flush().await.unwrap();
        back.restart_in(DomId(0));
        sleep(SECOND).await;
        assert_eq!(disk.flush().await, Ok(()), "it had been flushed before");
        assert_eq!((disk.info().lost, disk.info().generation), (1, 3));
    });
}

#[test]
fn all_who_share_a_disk_see_that_writes_may_be_lost_b8() {
    on_disk(async |_, back, disk| {
        let first = Rc::new(disk);
        let second = Rc::clone(&first);
        let before = second.info().lost;
        second.write(8, &[2; 512]).await.unwrap();
        back.restart_in(DomId(0));
        sleep(SECOND).await;
        assert_eq!(first.flush().await, Err(ErrorKind::Failed));
        assert_eq!(second.flush().await, Ok(()), "it was told already");
        assert_eq!(second.info().lost, before + 1);
        // A flush that fails as well: the device may tell once.
        second.write(8, &[2; 512]).await.unwrap();
        back.misbehave_at(0, Misdeed::Refuse(RSP_ERROR));
        assert_eq!(first.flush().await, Err(ErrorKind::Failed));
        assert_eq!((second.flush().await, second.info().lost), (Ok(()), before + 2));
    });
}

#[test]
fn a_write_that_failed_is_told_by_the_next_flush_b9() {
    on_disk(async |_, back, disk| {
        back.misbehave_at(0, Misdeed::Refuse(RSP_ERROR));
        assert_eq!(disk.write(0, &[1; 512]).await, Err(ErrorKind::Failed));
        disk.write(8, &[1; 512]).await.unwrap();
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed));
        assert_eq!(disk.flush().await, Ok(()));
        // Also when nobody was told of the failure.
        back.misbehave_at(0, Misdeed::Refuse(RSP_ERROR));
        let _ = timeout(MOMENT / 2, disk.write(0, &[1; 512])).await;
        sleep(MOMENT * 20).await;
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed));
        assert_eq!(disk.flush().await, Ok(()));
    });
}

#[test]
fn a_disk_that_does_not_answer_fails_and_is_connected_again_b10_r14() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::Stuck);
        let begun = Instant::now();
        assert_eq!(disk.write(0, &[1; 512]).await, Err(ErrorKind::TimedOut));
        assert!((SECOND * 30..SECOND * 33).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        // It comes back as soon as it answers. What it was asked before is nobody's any more.
        assert_eq!(disk.read(0, &mut [0; 512]).await, Err(ErrorKind::TimedOut));
        drop(back.requests());
        back.behave();
        assert_eq!(disk.write(8, &[2; 512]).await, Ok(()));
        assert_eq!(asked(back), [(OP_WRITE, 8, 1)]);
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed), "a write failed");
        assert_eq!((disk.flush().await, disk.stats().connections), (Ok(()), 3));
        // What was not flushed is lost with such a connection, like with any other.
        disk.write(8, &[3; 512]).await.unwrap();
        let before = disk.info().lost;
        back.misbehave(Misdeed::Stuck);
        assert_eq!(disk.read(0, &mut [0; 512]).await, Err(ErrorKind::TimedOut));
        back.behave();
        sleep(SECOND * 10).await;
        assert_eq!(disk.flush().await, Err(ErrorKind::Failed), "a write may be lost");
        assert_eq!((disk.flush().await, disk.info().lost), (Ok(()), before + 1));
    });
}

#[test]
fn a_flush_and_what_waits_behind_it_have_two_minutes_b10() {
    for (takes, result) in [(100, Ok(())), (130, Err(ErrorKind::TimedOut))] {
        on_disk(async |_, back, disk| {
            back.misbehave(Misdeed::Stuck);
            let begun = Instant::now();
            let discard = async { disk.discard(0, 8).await };
            let read = async { disk.read(0, &mut [0; 512]).await };
            let all = join(join(disk.flush(), discard), read);
            let (((flush, discard), read), ()) = join(all, async {
                sleep(SECOND * takes).await;
                back.behave();
            })
            .await;
            assert_eq!([flush, discard, read], [result; 3], "{takes} s");
            assert!(begun.elapsed() < SECOND * 131, "{:?}", begun.elapsed());
            sleep(SECOND).await;
            assert_eq!(disk.read(0, &mut [0; 512]).await, Ok(()));
            assert_eq!(disk.stats().connections, if result.is_ok() { 1 } else { 2 });
        });
    }
}

#[test]
fn what_waited_behind_a_flush_has_its_time_from_the_answer_to_that_b10() {
    for (takes, result) in [(10, Ok(())), (40, Err(ErrorKind::TimedOut))] {
        on_disk(async |_, back, disk| {
            back.misbehave(Misdeed::Stuck);
            let both = join(disk.flush(), async {
                let result = disk.read(0, &mut [0; 512]).await;
                (result, Instant::now())
            });
            let begun = Instant::now();
            let ((flush, (read, at)), ()) = join(both, async {
                sleep(SECOND * 100).await;
                back.answer(1);
                sleep(SECOND * takes).await;
                back.behave();
            })
            .await;
            assert_eq!((flush, read), (Ok(()), result), "{takes} s");
            let at = at.saturating_duration_since(begun);
            assert!(at < SECOND * 100 + SECOND * 33, "{at:?}");
        });
    }
}

#[test]
fn flushes_without_end_do_not_put_a_timeout_off_b10() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::Stuck);
        back.answer_in_reverse(true);
        let begun = Instant::now();
        let mut read = pin!(async { disk.read(0, &mut [0; 512]).await });
        assert!(timeout(MOMENT * 5, read.as_mut()).await.is_err());
        let flushes = async {
            loop {
                let (flush, ()) = join(disk.flush(), async {
                    sleep(SECOND * 20).await;
                    back.answer(1);
                })
                .await;
                if flush.is_err() {
                    return;
                }
            }
        };
        let (read, ()) = timeout(SECOND * 400, join(read, flushes)).await.expect("it ends");
        assert_eq!(read, Err(ErrorKind::TimedOut));
        assert!((SECOND * 149..SECOND * 175).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    });
}

#[test]
fn answers_to_others_that_nothing_announces_do_not_put_a_timeout_off_b10() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::Stuck);
        back.misbehave(Misdeed::LoseEvents);
        back.answer_in_reverse(true);
        let begun = Instant::now();
        let mut old = pin!(async { disk.write(0, &[1; 512]).await });
        assert!(timeout(MOMENT * 5, old.as_mut()).await.is_err());
        let others = async {
            loop {
                let (read, ()) = join(async { disk.read(8, &mut [0; 512]).await }, async {
                    sleep(MOMENT * 5).await;
                    back.answer(1);
                })
                .await;
                if read.is_err() {
                    return;
                }
            }
        };
        let (old, ()) = timeout(SECOND * 100, join(old, others)).await.expect("it ends");
        assert_eq!(old, Err(ErrorKind::TimedOut));
        assert!(begun.elapsed() < SECOND * 36, "{:?}", begun.elapsed());
        assert!(disk.stats().lost_events > 5);
    });
}

#[test]
fn a_back_end_that_comes_and_goes_does_not_put_a_timeout_off_b10() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::Stuck);
        let begun = Instant::now();
        let written = async {
            let result = timeout(SECOND * 600, disk.write(0, &[1; 512])).await;
            (result, begun.elapsed())
        };
        let restarts = async {
            for _ in 0..16 {
                sleep(SECOND * 25).await;
                back.restart_in(DomId(0));
            }
        };
        let ((result, took), ()) = join(written, restarts).await;
        assert_eq!(result, Ok(Err(ErrorKind::TimedOut)));
        assert!((SECOND * 300..SECOND * 331).contains(&took), "{took:?}");
        back.behave();
        sleep(SECOND * 11).await;
        assert_eq!(disk.write(0, &[1; 512]).await, Ok(()));
        assert!(disk.stats().connections > 10);
    });
}

#[test]
fn a_disk_whose_host_was_paused_has_a_second_to_answer_b10() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::Stuck);
        let written = async { disk.write(0, &[1; 512]).await };
        let (written, ()) = join(written, async {
            // To the clock, a pause is an answer that takes as long.
            sleep(SECOND * 31 + SECOND / 5).await;
            back.behave();
        })
        .await;
        assert_eq!(written, Ok(()));
        assert_eq!(disk.read(0, &mut [0; 512]).await, Ok(()));
    });
}

#[test]
fn what_was_not_answered_is_asked_again_in_order_and_first_b11() {
    for persistent in ["1", "0"] {
        let prepare = |back: Blkback<'_>| back.offer("feature-persistent", persistent);
        with_disk(prepare, async |_, back, disk| {
            back.misbehave(Misdeed::Stuck);
            let write = |number: u8| {
                let disk = &disk;
                async move { disk.write(u64::from(number) * 16, &[number; 1024]).await }
            };
            let mut old = pin!(join_array([5, 3, 9, 1].map(write)));
            let _ = timeout(MOMENT * 5, old.as_mut()).await;
            // One more that nobody waits for any more, and one without a turn yet.
            let _ = timeout(MOMENT * 5, write(2)).await;
            back.restart_in(DomId(3));
            drop(back.requests());
            let new = async {
                sleep(MOMENT * 2).await;
                back.behave();
                write(4).await
            };
            let (old, new) = join(old, new).await;
            assert!(old.iter().all(Result::is_ok) && new.is_ok());
            let order: Vec<_> = asked(back).iter().map(|request| request.1 / 16).collect();
            assert_eq!(order, [5, 3, 9, 1, 4]);
            for number in [5, 3, 9, 1, 4] {
                let at = usize::from(number) * 16 * 512;
                assert_eq!(back.bytes()[at..at + 1024], [number; 1024]);
            }
            assert_eq!(disk.stats().connections, 2);
        });
    }
}

#[test]
fn what_is_asked_without_a_connection_comes_behind_what_was_before_b11() {
    on_disk(async |_, back, disk| {
        back.misbehave(Misdeed::Stuck);
        let mut written = pin!(disk.write(0, &[5; 4096]));
        assert!(timeout(MOMENT * 5, written.as_mut()).await.is_err());
        back.unplug();
        sleep(SECOND).await;
        assert!(disk.state.connection.borrow().is_none());
        drop(back.requests());
        let later = async {
            let later = join(disk.discard(0, 8), disk.flush());
            let (later, ()) = join(later, async {
                sleep(SECOND).await;
                back.behave();
                back.plug();
            })
            .await;
            later
        };
        let (written, later) = join(written, later).await;
        assert_eq!((written, later), (Ok(()), (Ok(()), Ok(()))));
        let operations: Vec<_> = asked(back).iter().map(|it| it.0).collect();
        assert_eq!(operations, [OP_WRITE, OP_DISCARD, OP_FLUSH_DISKCACHE]);
        assert_eq!(back.bytes()[..4096], [0; 4096], "it was discarded last");
    });
}

#[test]
fn a_read_that_was_answered_survives_its_connection_b11() {
    on_disk(async |_, back, disk| {
        disk.write(0, &[6; 4096]).await.unwrap();
        let mut bytes = vec![0; 4096];
        {
            let mut read = pin!(disk.read(0, &mut bytes));
            let _ = timeout(MOMENT / 2, read.as_mut()).await;
            sleep(MOMENT * 10).await;
            back.restart_in(DomId(0));
            sleep(SECOND).await;
            assert_eq!(read.await, Ok(()));
        }
        assert_eq!(bytes, [6; 4096]);
    });
}

#[test]
fn a_discard_that_is_not_aligned_is_refused_here_b13() {
    with_disk(
        |back| back.offer("discard-granularity", "8192"),
        async |_, back, disk| {
            assert_eq!(disk.discard(1, 16).await, Err(ErrorKind::Misaligned));
            assert_eq!(disk.discard(0, 8).await, Err(ErrorKind::Misaligned));
            assert_eq!(back.requests(), []);
            assert_eq!(disk.discard(16, 32).await, Ok(()));
            assert_eq!(asked(back), [(OP_DISCARD, 16, 32)]);
        },
    );
    // A large one takes several requests of whole units.
    let prepare = |back: Blkback<'_>| {
        back.offer("discard-granularity", &(3 << 20).to_string());
        back.offer("sectors", &(8_u64 << 21).to_string());
        back.offer("sector-size", "4096");
    };
    with_disk(prepare, async |_, back, disk| {
        let unit = 3 << 8;
        assert_eq!(disk.discard(unit, unit * 700).await, Ok(()));
        let units = |number: u64| number * unit * 8;
        let all = [(1, 341), (342, 341), (683, 18)];
        assert_eq!(asked(back), all.map(|(at, count)| (OP_DISCARD, units(at), units(count))));
    });
    // Nor are the rest's sectors those of another disk.
    on_fake(|fake| async move {
        let back = fake.blkback(XVDA);
        back.offer("sectors", &(8_u64 << 21).to_string());
        let disk = Blkfront::open("xvda").await.unwrap();
        back.misbehave(Misdeed::Stuck);
        let count = 2 << 21;
        let (discarded, ()) = join(disk.discard(0, count), async {
            sleep(MOMENT * 5).await;
            back.offer("sector-size", "4096");
            back.restart_in(DomId(0));
            back.behave();
        })
        .await;
        assert_eq!(discarded, Err(ErrorKind::Gone));
        assert_eq!((disk.info().sector_size, disk.info().generation), (4096, 2));
        assert!(asked(back).iter().all(|it| *it == (OP_DISCARD, 0, 1 << 21)));
    });
    with_disk(
        |back| back.withhold("feature-discard"),
        async |_, back, disk| {
            assert_eq!(disk.discard(0, 8).await, Err(ErrorKind::Unsupported));
            assert_eq!(back.requests(), []);
        },
    );
}
