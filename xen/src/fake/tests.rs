//! The fake against a guest: raw hypercalls and rings where a rule is broken,
//! and the real front ends' parts where it is kept.

use super::{Fake, store};
use crate::DomId;
use crate::evtchn::{Port, scan};
use crate::gnttab::GrantRef;
use crate::gnttab::{Offer, ReadOnlyGrant, ReadWriteGrant, ShownPages, copy_from, take};
use crate::memory::SharedPage;
use crate::{Errno, xenstore};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs a future with the host beside it; `None` when both wait for each other.
pub(crate) fn try_run<T>(fake: &Fake, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut idle = 0;
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(result);
        }
        idle = if fake.step() { 0 } else { idle + 1 };
        if idle > 2 {
            return None;
        }
        scan();
    }
}

pub(crate) fn run<T>(fake: &Fake, future: impl Future<Output = T>) -> T {
    try_run(fake, future).expect("the guest and the host wait for each other")
}

#[test]
fn ports_are_limited_counted_and_found_when_leaked_r12() {
    let fake = Fake::new();
    fake.limit_ports(2);
    let baseline = fake.baseline();
    let one = Port::alloc(DomId::DOM0).unwrap();
    let two = Port::alloc(DomId::DOM0).unwrap();
    assert_eq!(Port::alloc(DomId::DOM0), Err(Errno::ENOSPC));
    let number = one.number();
    drop(one);
    assert_eq!(crate::hypercall::event_channel_op_send(number), Err(Errno::EINVAL));
    assert_eq!(Port::alloc(DomId::DOM0).unwrap().number(), number, "numbers are used again");
    assert_eq!(fake.baseline().ports.len(), 1);
    drop(two);
    fake.assert_no_leaks(&baseline);
}

#[test]
#[should_panic(expected = "rule R12: the guest leaks 1 event channels")]
fn a_port_that_is_never_closed_is_found_r12() {
    let _fake = Fake::new();
    std::mem::forget(Port::alloc(DomId::DOM0).unwrap());
}

#[test]
#[should_panic(expected = "rule R12: the guest leaks 1 grants")]
fn a_page_that_is_lent_for_ever_is_found_r12() {
    let _fake = Fake::new();
    std::mem::forget(ReadWriteGrant::new(DomId::DOM0, 1).unwrap());
}

#[test]
fn the_grant_table_grows_until_it_is_full_g6() {
    let fake = Fake::new();
    fake.limit_grant_frames(2);
    let many = ReadWriteGrant::new(DomId::DOM0, 1000).unwrap();
    assert_eq!(many.references()[0], GrantRef(8));
    assert_eq!(ReadWriteGrant::new(DomId::DOM0, 17).map(drop), Err(crate::gnttab::Error::Full));
    assert!(ReadWriteGrant::new(DomId::DOM0, 16).is_ok());
}

/// The word of a grant entry, through the frame that Xen named.
fn table(fake: &Fake) -> SharedPage {
    let _ = fake;
    let mut frames = [0];
    crate::hypercall::grant_table_op_setup_table(&mut frames).unwrap();
    assert!(frames[0] >= 0x1000 && frames[0] < 1 << 32);
    crate::memory::map_frame(frames[0]).unwrap()
}

#[test]
#[should_panic(expected = "rule G8: the guest touched reserved grant entry 5")]
fn reserved_entries_stay_untouched_g8() {
    let fake = Fake::new();
    table(&fake).store_u32(5 * 8, 1);
    fake.step();
}

#[test]
#[should_panic(expected = "rule G4: the guest freed a page that grant 8 lends")]
fn a_lent_page_cannot_be_freed_g4() {
    let fake = Fake::new();
    let pages = crate::memory::Pages::new(1).unwrap();
    let mfn = super::virt_to_mfn(pages.base().as_ptr() as usize);
    let table = table(&fake);
    table.store_u32(8 * 8 + 4, mfn as u32);
    table.store_u32(8 * 8, 1);
    drop(pages);
}

#[test]
#[should_panic(expected = "rule G4: the guest cleared grant 8 while domain 0 uses it")]
fn a_grant_in_use_cannot_be_cleared_g4() {
    let fake = Fake::new();
    fake.allow_leaks();
    let _page = ReadWriteGrant::new(DomId::DOM0, 1).unwrap();
    super::with(|state| {
        let host = &mut state.host;
        assert!(
            host.grants.map(GrantRef(8), DomId(1), true, &host.frames).is_err(),
            "another domain"
        );
        host.grants.map(GrantRef(8), DomId::DOM0, true, &host.frames).unwrap();
    });
    table(&fake).store_u32(8 * 8, 0);
    fake.step();
}

#[test]
fn only_a_drivers_own_pages_are_lent_and_zero_before_and_after_g1_g2() {
    let fake = Fake::new();
    // What was in the memory before.
    drop(vec![vec![0xAA_u8; 64 * 4096], vec![0xBB; 4096]]);
    let shared = ReadWriteGrant::new(DomId::DOM0, 8).unwrap();
    let mut shown = ReadOnlyGrant::new(DomId::DOM0, 8).unwrap();
    let mut seen = [1; 4096];
    super::with(|state| {
        let host = &mut state.host;
        for &reference in shared.references().iter().chain(shown.references()) {
            host.grants.copy_from(reference, DomId::DOM0, 0, &mut seen, &host.frames).unwrap();
            assert_eq!(seen, [0; 4096]);
        }
        for (&reference, number) in shared.references().iter().zip(1..) {
            host.grants.copy_to(reference, DomId::DOM0, 0, &[number; 4096], &host.frames).unwrap();
        }
    });
    shown.bytes_mut().fill(9);
    for (page, number) in shared.pages().iter().zip(1..) {
        page.copy_out(0, &mut seen);
        assert_eq!(seen, [number; 4096], "each page is its own and whole");
    }
    // The fake looks at what is given back.
    drop((shared, shown));
    fake.assert_no_leaks(&super::Baseline::default());
}

#[test]
fn when_too_much_is_not_given_back_nothing_more_is_lent_g5() {
    let fake = Fake::new();
    let shared = ReadWriteGrant::new(DomId::DOM0, 2049).unwrap();
    let references = shared.references().to_vec();
    super::with(|state| {
        let host = &mut state.host;
        for &reference in &references {
            host.grants.map(reference, DomId::DOM0, true, &host.frames).unwrap();
        }
    });
    drop(shared);
    assert_eq!(crate::gnttab::stats().quarantine, 2049);
    assert_eq!(
        ReadWriteGrant::new(DomId::DOM0, 1).map(drop),
        Err(crate::gnttab::Error::Quarantine)
    );
    assert_eq!(ReadOnlyGrant::new(DomId::DOM0, 1).map(drop), Err(crate::gnttab::Error::Quarantine));
    let other = DomId(3);
    assert!(ReadWriteGrant::new(other, 1).is_ok(), "others go on");
    assert!(ShownPages::copy(&[1]).unwrap().show(other).is_some());
    assert!(ShownPages::copy(&[1]).unwrap().show(DomId::DOM0).is_none());
    let unmap = |references: &[GrantRef]| {
        let unmap = |&reference: &GrantRef| super::with(|it| it.host.grants.unmap(reference, true));
        references.iter().for_each(unmap);
    };
    unmap(&references[..1]);
    assert!(ReadWriteGrant::new(DomId::DOM0, 1).is_ok(), "it is tried again");
    unmap(&references[1..]);
    assert!(ReadWriteGrant::new(DomId::DOM0, 1).is_ok());
    assert_eq!(crate::gnttab::stats().quarantine, 0);
    fake.assert_no_leaks(&super::Baseline::default());
}

#[test]
fn grants_say_who_may_do_what_g3_g7() {
    let fake = Fake::new();
    let mut shown = ReadOnlyGrant::new(DomId::DOM0, 1).unwrap();
    shown.bytes_mut()[..3].copy_from_slice(b"abc");
    let table = table(&fake);
    super::with(|state| {
        let host = &mut state.host;
        let reference = shown.references()[0];
        let mut three = [0; 3];
        let mut read = |domain, offset| {
            host.grants.copy_from(reference, domain, offset, &mut three, &host.frames)
        };
        assert_eq!(
            (read(DomId(3), 0), read(DomId::DOM0, 4094), read(DomId::DOM0, 0)),
            (Err(-8), Err(-10), Ok(()))
        );
        assert_eq!(&three, b"abc");
        assert_eq!(host.grants.copy_to(reference, DomId::DOM0, 0, b"x", &host.frames), Err(-8));
        assert_eq!(host.grants.copy_to(GrantRef(9), DomId::DOM0, 0, b"x", &host.frames), Err(-3));
        host.grants.map(reference, DomId::DOM0, false, &host.frames).unwrap();
        assert_eq!(table.load_u16(8 * 8), 1 | 4 | 8, "permitted, read-only, being read");
        host.grants.unmap(reference, false);
        assert_eq!(table.load_u16(8 * 8), 1 | 4);
    });
}

#[test]
fn what_another_domain_shows_is_copied_and_nothing_else_is() {
    let fake = Fake::new();
    let references = [GrantRef(9), GrantRef(77)];
    for (reference, value) in references.into_iter().zip([1, 2]) {
        fake.show(DomId(5), reference, &[value; 4096]);
    }
    let mut to = [0; 5000];
    copy_from(DomId(5), &references, &mut to).unwrap();
    assert!(to[..4096].iter().all(|&it| it == 1) && to[4096..].iter().all(|&it| it == 2));
    // Another domain's, one that is not granted, and too few.
    assert!(copy_from(DomId(6), &references, &mut to).is_err());
    assert!(copy_from(DomId(5), &[GrantRef(9), GrantRef(8)], &mut to).is_err());
    assert!(copy_from(DomId(5), &references[..1], &mut to).is_err());
}

#[test]
fn xenstore_reads_writes_lists_and_removes() {
    let fake = Fake::new();
    run(&fake, async {
        xenstore::write("data/a/b", b"\xFF\0x").await.unwrap();
        assert_eq!(xenstore::read("/local/domain/1/data/a/b").await.unwrap(), b"\xFF\0x");
        xenstore::mkdir("data/c").await.unwrap();
        assert_eq!(xenstore::directory("data").await.unwrap(), ["a", "c"]);
        assert_eq!(xenstore::permissions("data/a").await.unwrap(), ["n1"]);
        xenstore::set_permissions("data/a", &["n1", "r0"]).await.unwrap();
        assert_eq!(fake.store().permissions("data/a"), ["n1", "r0"]);
        xenstore::remove("data/a").await.unwrap();
        let refused = xenstore::Error::Refused;
        assert_eq!(xenstore::read("data/a/b").await, Err(refused(Errno::ENOENT)));
        assert_eq!(xenstore::write("/tool", b"").await, Err(refused(Errno::EACCES)));
        assert_eq!(xenstore::write("data//x", b"").await, Err(refused(Errno::EINVAL)));
        assert_eq!(xenstore::write("data/x", &[0; 2049]).await, Err(refused(Errno::ENOSPC)));
        assert_eq!(xenstore::domain_path(DomId(7)).await.unwrap(), "/local/domain/7");
    });
}

#[test]
fn the_ring_may_start_anywhere_and_split_anywhere_x4_x5() {
    for piece in [1, 3, 17, 1024] {
        let fake = Fake::new();
        fake.store().start_at(0xFFFF_FFF0, 0xFFFF_FC01);
        fake.store().deliver_at_most(piece);
        fake.store().write("data/long", [7; 2000]);
        run(&fake, async {
            assert_eq!(xenstore::read("data/long").await.unwrap(), [7; 2000]);
            xenstore::write("data/back", &[8; 1500]).await.unwrap();
        });
        assert_eq!(fake.store().read("data/back").unwrap(), [8; 1500]);
    }
}

#[test]
fn watches_tell_of_what_is_below_them_and_leaks_are_found() {
    let fake = Fake::new();
    run(&fake, async {
        let watch = xenstore::watch("data").await.unwrap();
        watch.changed().await.unwrap();
        fake.store().write("data/x/y", "1");
        watch.changed().await.unwrap();
        assert_eq!(fake.store().guest_watches()[0].0, "data");
        drop(watch);
    });
    fake.settle();
    assert_eq!(fake.store().watches(), 0);
    assert_eq!(
        try_run(&fake, async {
            let watch = xenstore::watch("data").await.unwrap();
            watch.changed().await.unwrap();
            fake.store().write("name", "no");
            watch.changed().await
        }),
        None,
        "what is elsewhere is no event"
    );
}

#[test]
fn transactions_collide_when_others_change_what_they_saw_x11() {
    let fake = Fake::new();
    let mut tries = 0;
    run(
        &fake,
        xenstore::transaction(async |transaction| {
            tries += 1;
            let old = transaction.read("name").await.unwrap();
            if tries == 1 {
                fake.store().write("name", "other");
            }
            fake.store().write("/unrelated", "1");
            transaction.write("data/copy", &old).await
        }),
    )
    .unwrap();
    assert_eq!((tries, fake.store().text("data/copy").as_str()), (2, "other"));
    fake.store().collide(100);
    let always = run(&fake, xenstore::transaction(async |it| it.write("data/copy", b"").await));
    assert_eq!(always, Err(xenstore::Error::Collision));
    assert_eq!(fake.store().transactions(), 0);
    assert_eq!(fake.store().text("data/copy"), "other", "nothing of it came through");
}

#[test]
fn quotas_are_errors() {
    let fake = Fake::new();
    fake.store().set_quota(store::Quota { watches: 1, transactions: 0, nodes: 0, value: 3 });
    run(&fake, async {
        let _watch = xenstore::watch("data").await.unwrap();
        let refused = xenstore::Error::Refused;
        assert_eq!(xenstore::watch("name").await.unwrap_err(), refused(Errno::E2BIG));
        assert_eq!(xenstore::write("data/x", b"").await, Err(refused(Errno::ENOSPC)));
        let none = xenstore::transaction(async |_| Ok(())).await;
        assert_eq!(none, Err(refused(Errno::ENOSPC)));
    });
}

#[test]
fn xenstored_misbehaves_on_request_x2_x6_x15() {
    use store::Misdeed;
    for misdeed in [
        Misdeed::WrongId,
        Misdeed::WrongKind(77),
        Misdeed::WrongTransaction,
        Misdeed::Never,
        Misdeed::Truncated(0),
    ] {
        let fake = Fake::new();
        fake.store().misbehave_at(1, misdeed.clone());
        assert!(run(&fake, xenstore::read("domid")).is_ok());
        assert_eq!(try_run(&fake, xenstore::read("domid")), None, "{misdeed:?}");
    }
    let broken = |prepare: &dyn Fn(&store::Store<'_>)| {
        let fake = Fake::new();
        assert!(run(&fake, xenstore::read("domid")).is_ok());
        prepare(&fake.store());
        let result = run(&fake, xenstore::read("domid"));
        assert_eq!(result, Err(xenstore::Error::Broken));
    };
    broken(&|store| store.misbehave(Misdeed::Length(4097)));
    broken(&|store| store.set_error(1));
    broken(&|store| store.break_indices(0, 1025));
    broken(&|store| store.break_indices(1, 0));

    let fake = Fake::new();
    fake.store().misbehave_at(0, Misdeed::Twice);
    assert!(run(&fake, xenstore::read("domid")).is_ok());
    fake.store().misbehave_at(0, Misdeed::Refuse("EWHAT".into()));
    let error = run(&fake, xenstore::read("domid"));
    assert_eq!(error, Err(xenstore::Error::Refused(Errno::EINVAL)));
    for odd in [&b"data\0"[..], b"data\x002", b"data\x0099\0", b"/other\x001\0"] {
        fake.store().inject_event(odd);
    }
    assert!(run(&fake, xenstore::read("domid")).is_ok());
    assert_eq!(xenstore::stats().dropped, 5, "the copy and the odd events");
    fake.store().lose_events();
    assert!(run(&fake, xenstore::read("domid")).is_ok(), "polled here");
}

#[test]
fn answers_in_another_order_find_their_questions_x2() {
    let fake = Fake::new();
    fake.store().hold();
    let (mut name, mut id) = (pin!(xenstore::read("name")), pin!(xenstore::read("domid")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(name.as_mut().poll(&mut context).is_pending());
    assert!(id.as_mut().poll(&mut context).is_pending());
    while fake.step() {}
    fake.store().release_reversed();
    while fake.step() {}
    assert_eq!(id.as_mut().poll(&mut context), Poll::Ready(Ok(b"1".into())));
    assert_eq!(name.as_mut().poll(&mut context), Poll::Ready(Ok(b"guest".into())));
}

#[test]
fn a_domain_after_another_finds_nothing_of_it() {
    let page = |fake: &Fake| {
        let lent = ReadWriteGrant::new(DomId::DOM0, 1).unwrap();
        let watch = run(fake, xenstore::watch("a")).unwrap();
        let at = &raw const *crate::domain();
        assert_eq!(crate::gnttab::stats().used, 1);
        assert_eq!(xenstore::stats().watches, 1);
        drop((lent, watch));
        at
    };
    let first = page(&Fake::new());
    let fake = Fake::new();
    assert_eq!(crate::gnttab::stats(), crate::gnttab::Stats::default());
    assert_eq!(crate::evtchn::stats().open, 0);
    assert_eq!(fake.store().watches(), 0);
    assert_eq!(page(&fake), first, "a fuzzer's memory would grow without bound");
}

#[test]
fn an_offer_is_taken_or_taken_back_and_never_both() {
    const PEER: DomId = DomId(7);
    let fake = Fake::new();
    let write = |peer, reference| {
        super::with(|it| it.host.grants.copy_to(reference, peer, 0, &[1], &it.host.frames))
    };
    let mut offer = Offer::new(PEER).unwrap();
    let reference = offer.reference().unwrap();
    assert!(!offer.is_taken() && write(DomId(8), reference).is_err(), "it is for one domain");
    assert_eq!(write(PEER, reference), Ok(()));
    assert!(offer.is_taken());
    assert_eq!((offer.withdraw(), offer.withdraw()), (Some(false), Some(false)), "too late");

    let mut offer = Offer::new(PEER).unwrap();
    let reference = offer.reference().unwrap();
    assert_eq!((offer.withdraw(), offer.withdraw()), (Some(true), Some(true)));
    assert!(write(PEER, reference).is_err(), "too late");
    assert_eq!(offer.reference(), None);

    let offer = Offer::new(PEER).unwrap();
    let reference = offer.reference().unwrap();
    drop(offer);
    assert!(write(PEER, reference).is_err(), "one that is dropped is taken back");

    // One that is just being taken.
    let mut offer = Offer::new(PEER).unwrap();
    let reference = offer.reference().unwrap();
    let page = super::with(|it| it.host.grants.map(reference, PEER, true, &it.host.frames));
    assert_eq!(offer.withdraw(), None);
    page.unwrap().copy_in(0, &[1]);
    super::with(|it| it.host.grants.unmap(reference, true));
    assert_eq!(offer.withdraw(), Some(false));

    // One of a former domain.
    let mut offer = Offer::new(PEER).unwrap();
    fake.suspend(Some(DomId(3)));
    assert_eq!(offer.withdraw(), Some(true));
    drop(offer);
    fake.assert_no_leaks(&super::Baseline::default());
}

#[test]
fn what_another_domain_offers_is_taken_while_it_does() {
    let fake = Fake::new();
    let reference = GrantRef(9);
    assert!(take(DomId(7), reference).is_err());
    fake.show(DomId(7), reference, &[0; 4096]);
    assert!(take(DomId(8), reference).is_err());
    assert_eq!((take(DomId(7), reference), take(DomId(7), reference)), (Ok(()), Ok(())));
    let mut page = [9; 2];
    copy_from(DomId(7), &[reference], &mut page).unwrap();
    assert_eq!(page, [1, 0]);
}
