//! Ends what the domain has of Xen's and xenstored's before it is suspended, and begins it anew.
//!
//! A suspended domain goes on in one of two ways. If its suspension was cancelled (`xl save -c`, a
//! migration that failed), it is the domain that it was: ports, grants and watches are as before.
//! Else its memory is that of another domain, and all of these are gone: a new
//! [generation](crate::generation) begins. `kernel` saves what the machine has, such as the page
//! tables; this is what every guest has.

use crate::PortNumber;
use crate::generation::Generation;
use crate::{evtchn, gnttab, xenstore};

/// Unmaps the frames that are Xen's, but for the shared info page. Nothing may be granted or revoked
/// until one of the two functions below is called.
pub fn prepare() {
    gnttab::suspend();
}

/// Maps them again: nothing has changed.
///
/// # Errors
/// Xen's, none of which is expected. Nothing can be granted then.
pub fn cancel() -> Result<(), gnttab::Error> {
    gnttab::resume(false)
}

/// Begins a new generation, in which xenstored's port is `store`: forgets all ports, empties the grant
/// table, and asks xenstored for all watches again, each of which fires. Questions that it has not
/// answered are asked again; changes fail with `EAGAIN`.
///
/// # Errors
/// Xen's, if it gives the new domain a smaller grant table. That begins empty then, and grows.
pub fn renew(store: PortNumber) -> Result<(), gnttab::Error> {
    Generation::begin();
    evtchn::forget();
    let result = gnttab::resume(true);
    xenstore::reattach(store);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::Port;
    use crate::fake::Fake;
    use crate::fake::store::Misdeed;
    use crate::fake::tests::{run, try_run};
    use crate::gnttab::{ReadWriteGrant, ShownPages};
    use crate::xenbus::{Frontend, XenbusState};
    use crate::xenstore::{Error, quiet, read, transaction, watch, write};
    use crate::{DomId, Errno};
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    /// Another domain, and one of the same id on another host.
    const NEW: [DomId; 2] = [DomId(2), DomId(1)];

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_port_of_a_former_domain_touches_none_of_the_new_one() {
        for new in NEW {
            let fake = Fake::new();
            let old = Port::alloc(DomId::DOM0).unwrap();
            let woken = Arc::new(Count::default());
            old.wait(&Waker::from(woken.clone()));
            fake.suspend(Some(new));
            assert_eq!(woken.0.load(Ordering::Relaxed), 1, "who waits has to look again");
            let port = Port::alloc(DomId::DOM0).unwrap();
            assert_eq!(port.number(), old.number(), "numbers are given out anew");
            port.wait(&Waker::from(woken.clone()));
            old.wake();
            assert_eq!(old.notify(), Err(Errno::EINVAL));
            assert!(!old.is_bound());
            old.mask();
            drop(old);
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            assert_eq!((fake.closed(), fake.notifications(port.number())), (vec![], 0));
            fake.raise(port.number());
            evtchn::scan();
            assert_eq!(woken.0.load(Ordering::Relaxed), 2, "it is neither masked nor forgotten");
        }
    }

    /// The new domain's device has the same path, and its back end would believe what it reads there.
    #[test]
    fn a_front_end_of_a_former_domain_tells_nothing_to_the_back_end_of_the_new_one() {
        for new in NEW {
            let fake = Fake::new();
            let _ = fake.blkback(51712);
            let front = run(&fake, Frontend::find("vbd", "51712")).unwrap();
            run(&fake, front.announce(XenbusState::Initialising)).unwrap();
            fake.suspend(Some(new));
            let state =
                || fake.store().read(&format!("/local/domain/{}/device/vbd/51712/state", new.0));
            let before = state();
            let told = run(&fake, front.announce(XenbusState::Connected));
            assert_eq!(told, Err(Error::Refused(Errno::EAGAIN)));
            let told =
                run(&fake, front.announce_with(XenbusState::Initialised, &[("ring-ref", 8)]));
            assert_eq!(told, Err(Error::Refused(Errno::EAGAIN)));
            assert_eq!(state(), before);
        }
    }

    #[test]
    fn a_grant_of_a_former_domain_revokes_none_of_the_new_one() {
        for new in NEW {
            let fake = Fake::new();
            let old = ReadWriteGrant::new(DomId::DOM0, 3).unwrap();
            let shown = ShownPages::copy(&[7; 100]).unwrap();
            assert!(shown.show(DomId::DOM0).is_some());
            fake.suspend(Some(new));
            assert_eq!(gnttab::stats().used, 0);
            assert!(shown.show(DomId::DOM0).is_none(), "it is copied from then on");
            let grant = ReadWriteGrant::new(DomId::DOM0, 3).unwrap();
            assert_eq!(grant.references(), old.references(), "numbers are given out anew");
            drop((old, shown));
            assert_eq!(gnttab::stats().used, 3);
            fake.write_lent(DomId::DOM0, grant.reference(), 0, b"still granted");
        }
    }

    #[test]
    fn after_a_suspension_that_was_cancelled_all_is_as_before() {
        let fake = Fake::new();
        let port = Port::alloc(DomId::DOM0).unwrap();
        let grant = ReadWriteGrant::new(DomId::DOM0, 1).unwrap();
        let watch = run(&fake, watch("data")).unwrap();
        run(&fake, watch.changed()).unwrap();
        let before = fake.baseline();
        fake.suspend(None);
        assert_eq!(fake.baseline(), before);
        assert_eq!(try_run(&fake, watch.changed()), None);
        assert_eq!(port.notify(), Ok(()));
        fake.write_lent(DomId::DOM0, grant.reference(), 0, b"still granted");
    }

    #[test]
    fn the_table_of_a_new_domain_is_as_large_and_all_of_it_is_free() {
        let fake = Fake::new();
        let grants: Vec<_> =
            (0..9).map(|_| ReadWriteGrant::new(DomId::DOM0, 200).unwrap()).collect();
        let all = gnttab::stats();
        fake.suspend(Some(DomId(2)));
        let now = gnttab::stats();
        assert_eq!((now.used, now.free), (0, all.used + all.free));
        drop(grants);
        assert_eq!(gnttab::stats(), now);
        // Where Xen gives a smaller one, it begins with none and grows as it is used.
        fake.limit_grant_frames(1);
        prepare();
        assert!(renew(PortNumber(1)).is_err());
        assert_eq!(gnttab::stats().free, 0);
        let grant = ReadWriteGrant::new(DomId::DOM0, 1).unwrap();
        fake.write_lent(DomId::DOM0, grant.reference(), 0, b"granted");
    }

    #[test]
    fn watches_are_set_again_and_fire_once() {
        for new in NEW {
            let fake = Fake::new();
            let watch = run(&fake, watch("data")).unwrap();
            run(&fake, watch.changed()).unwrap();
            fake.suspend(Some(new));
            run(&fake, watch.changed()).unwrap();
            run(&fake, quiet()).unwrap();
            assert_eq!(fake.store().watches(), 1);
            // The new xenstored's first event of it.
            let _ = try_run(&fake, watch.changed());
            fake.store().write(&format!("/local/domain/{new}/data/x"), "1");
            run(&fake, watch.changed()).unwrap();
            drop(watch);
            run(&fake, quiet()).unwrap();
            assert_eq!(fake.store().watches(), 0);
        }
    }

    #[test]
    fn a_question_is_asked_again_and_a_change_is_not_made_twice() {
        let fake = Fake::new();
        run(&fake, write("data/x", b"old")).unwrap();
        fake.store().hold();
        let asked = read("data/x");
        let dropped = read("data/y");
        let changed = write("data/z", b"1");
        assert_eq!(try_run(&fake, quiet()), None);
        drop(dropped);
        fake.store().release();
        fake.suspend(Some(DomId(2)));
        fake.store().write("/local/domain/2/data/x", "new");
        assert_eq!(run(&fake, changed), Err(Error::Refused(Errno::EAGAIN)));
        let answer = run(&fake, asked);
        assert!(answer != Ok(b"old".to_vec()), "{answer:?}");
        run(&fake, quiet()).unwrap();
        assert_eq!(xenstore::stats().waiting, 0);
    }

    #[test]
    fn a_watch_that_is_being_set_is_set_in_the_new_domain() {
        let fake = Fake::new();
        run(&fake, write("data", b"1")).unwrap();
        fake.store().hold();
        let mut setting = std::pin::pin!(watch("data"));
        assert!(try_run(&fake, setting.as_mut()).is_none());
        fake.store().release();
        fake.suspend(Some(DomId(2)));
        let watch = run(&fake, setting).unwrap();
        run(&fake, watch.changed()).unwrap();
        run(&fake, quiet()).unwrap();
        assert_eq!(fake.store().watches(), 1);
    }

    #[test]
    fn a_watch_that_is_refused_in_the_new_domain_says_so() {
        let fake = Fake::new();
        let watch = run(&fake, watch("data")).unwrap();
        run(&fake, watch.changed()).unwrap();
        let refusal = Misdeed::Refuse("E2BIG".into());
        fake.suspend_and(Some(DomId(2)), || fake.store().misbehave_at(0, refusal));
        // What may have changed meanwhile is told first.
        let error = (0..5).find_map(|_| run(&fake, watch.changed()).err());
        assert_eq!(error, Some(Error::Refused(Errno::E2BIG)));
        drop(watch);
    }

    #[test]
    fn a_transaction_begins_again_in_the_new_domain() {
        let fake = Fake::new();
        let tries = Cell::new(0);
        let result = run(
            &fake,
            transaction(async |transaction| {
                tries.set(tries.get() + 1);
                transaction.write("data/x", b"1").await?;
                if tries.get() == 1 {
                    fake.suspend(Some(DomId(2)));
                }
                transaction.write("data/y", b"2").await
            }),
        );
        assert_eq!((result, tries.get()), (Ok(()), 2));
        assert_eq!(fake.store().transactions(), 0);
        assert_eq!(fake.store().text("/local/domain/2/data/y"), "2");
    }
}
