//! The client against a daemon that does what no daemon may do.

use super::*;
use crate::fake::store::{Misdeed, PORT};
use crate::fake::tests::{run, try_run};
use crate::fake::{Fake, store};
use crate::public::io::xs_wire::{ABS_PATH_MAX, PAYLOAD_MAX};
use crate::xenbus::read_number;
use crate::{DomId, Errno};
use core::pin::pin;
use core::task::{Context, Waker};

/// A daemon that works, after `prepare`.
fn after(prepare: impl Fn(&store::Store<'_>)) -> Fake {
    let fake = Fake::new();
    assert!(run(&fake, read("domid")).is_ok());
    prepare(&fake.store());
    fake
}

#[test]
fn a_payload_that_is_too_long_is_an_error_both_ways_x1() {
    let fake = after(|_| ());
    let before = fake.notifications(PORT);
    let room = PAYLOAD_MAX - "data/x\0".len();
    assert_eq!(run(&fake, write("data/x", &vec![0; room + 1])), Err(Error::TooLong));
    assert_eq!(run(&fake, read(&"x".repeat(ABS_PATH_MAX + 1))), Err(Error::TooLong));
    assert_eq!((fake.notifications(PORT), stats().waiting), (before, 0), "nothing was sent");
    // What just fits is sent, and refused by the daemon's own limit.
    let refused = Err(Error::Refused(Errno::ENOSPC));
    assert_eq!(run(&fake, write("data/x", &vec![0; room])), refused);
    drop(fake);

    for length in [PAYLOAD_MAX as u32 + 1, u32::MAX] {
        let fake = after(|store| store.misbehave_at(0, Misdeed::Length(length)));
        assert_eq!(run(&fake, read("domid")), Err(Error::Broken));
        assert_eq!(run(&fake, read("domid")), Err(Error::Broken), "broken stays broken");
    }
}

#[test]
fn an_index_where_it_cannot_be_breaks_it_x3() {
    for (consumer, producer) in [(1, 0), (0x8000_0000, 0), (0, 1025), (0, u32::MAX)] {
        let fake = after(|store| store.break_indices(consumer, producer));
        assert_eq!(run(&fake, read("domid")), Err(Error::Broken), "{consumer} {producer}");
    }
}

#[test]
fn a_flood_of_events_is_one_event_x7() {
    let fake = Fake::new();
    let watch = run(&fake, watch("data")).unwrap();
    run(&fake, watch.changed()).unwrap();
    fake.store().flood(10_000);
    // Nobody listens, and everything else goes on.
    for _ in 0..2000 {
        run(&fake, read("domid")).unwrap();
    }
    run(&fake, watch.changed()).unwrap();
    assert_eq!(try_run(&fake, watch.changed()), None, "there was one thing to know");
    assert_eq!(stats(), Stats { waiting: 0, watches: 1, dropped: 0 });
}

#[test]
fn a_number_is_strict_decimal_in_its_range_or_the_default_x8() {
    let fake = Fake::new();
    let value = |text: &[u8]| {
        fake.store().write("data/n", text);
        run(&fake, read_number("data/n", 2..=u64::MAX, 1)).unwrap()
    };
    assert_eq!((value(b"2"), value(b"007"), value(b"18446744073709551615")), (2, 7, u64::MAX));
    let odd = ["", " 2", "2 ", "+2", "-2", "0x2", "2\0", "2.0", "2\n", "\u{ff12}"];
    let out_of_range = ["0", "1", "18446744073709551616", "99999999999999999999999"];
    for text in odd.into_iter().chain(out_of_range) {
        assert_eq!(value(text.as_bytes()), 1, "{text:?}");
    }
    assert_eq!(run(&fake, read_number("data/missing", 0..=9, 7)), Ok(7));
}

#[test]
fn values_are_bytes_x9() {
    let fake = Fake::new();
    for value in [&b""[..], b"\0", b"\xFF\xFE\0\r\n", "ä".as_bytes()] {
        run(&fake, write("data/v", value)).unwrap();
        assert_eq!(run(&fake, read("data/v")).unwrap(), value);
    }
    // Paths and names are text, and what is none is left out, or refused.
    fake.store().misbehave_at(0, Misdeed::Payload(b"good\0b\xFFd\0\0".into()));
    assert_eq!(run(&fake, directory("data")).unwrap(), ["good"]);
    assert_eq!(run(&fake, read("a\0b")), Err(Error::Refused(Errno::EINVAL)));
    fake.store().misbehave_at(0, Misdeed::Payload(b"/\xFF\0".into()));
    assert_eq!(run(&fake, domain_path(DomId(1))), Err(Error::BadReply));
}

#[test]
fn a_wait_can_be_given_up_at_any_time_x10() {
    let fake = Fake::new();
    let mut context = Context::from_waker(Waker::noop());
    fake.store().hold();
    for _ in 0..100 {
        assert!(pin!(read("domid")).poll(&mut context).is_pending());
    }
    assert!(pin!(watch("data")).poll(&mut context).is_pending());
    fake.store().release();
    assert_eq!(run(&fake, read("domid")).unwrap(), b"1");
    assert_eq!(stats(), Stats { waiting: 0, watches: 0, dropped: 1 }, "the watch's first event");
    // A daemon that died keeps nobody who does not want to wait.
    fake.store().die();
    assert_eq!(try_run(&fake, read("domid")), None);
    fake.allow_leaks();
}

#[test]
fn a_transaction_that_is_given_up_is_ended_x10_x11() {
    let fake = Fake::new();
    let failed = run(&fake, transaction(async |it| it.read("nothing").await.map(drop)));
    assert_eq!(failed, Err(Error::Refused(Errno::ENOENT)));
    assert_eq!(
        try_run(&fake, transaction(async |_| core::future::pending().await)),
        None::<Result<(), _>>
    );
    run(&fake, read("domid")).unwrap();
    assert_eq!(fake.store().transactions(), 0);
    // Given up before its number is known.
    fake.store().hold();
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(transaction(async |_| Ok(()))).poll(&mut context).is_pending());
    fake.store().release();
    run(&fake, read("domid")).unwrap();
    run(&fake, read("domid")).unwrap();
    assert_eq!(fake.store().transactions(), 0);
    fake.store().misbehave_at(0, Misdeed::Payload(b"0\0".into()));
    assert_eq!(run(&fake, transaction(async |_| Ok(()))), Err(Error::BadReply));
    fake.allow_leaks();
}

#[test]
fn the_words_of_the_ring_are_obeyed_x15() {
    let fake = after(|store| store.set_connection(1));
    assert_eq!(try_run(&fake, read("domid")), None, "it rests while it is connected anew");
    fake.store().set_connection(0);
    assert_eq!(run(&fake, read("domid")).unwrap(), b"1");
    fake.store().set_error(3);
    assert_eq!(run(&fake, read("domid")), Err(Error::Broken));
    fake.store().set_error(0);
    assert_eq!(run(&fake, read("domid")), Err(Error::Broken), "broken stays broken");
}
