//! Sets the timer of the vCPU (`VIRQ_TIMER`) for time slices, beside the
//! [watchdog](crate::watchdog), whose timer it is as well.
//!
//! There is one timer. Where a watchdog runs, it checks each time that the timer fires, and sets
//! it again for itself; one that fires early for a slice does it no harm.

use crate::Errno;
use crate::evtchn::{PortNumber, take_pending, unmask_port};
use crate::hypercall::{
    event_channel_op_bind_virq, vcpu_op_set_singleshot_timer, vcpu_op_stop_periodic_timer,
};
use crate::public::VIRQ_TIMER;
use crate::time::system_time;
use core::sync::atomic::Ordering;

/// Makes the timer usable: with the watchdog's port, or with a new one, which raises upcalls from
/// then on.
///
/// # Errors
/// Xen's, if it refuses the port.
pub fn open() -> Result<(), Errno> {
    let domain = crate::domain();
    if !is_open() {
        let port = event_channel_op_bind_virq(VIRQ_TIMER, 0)?;
        vcpu_op_stop_periodic_timer(0)?;
        unmask_port(port);
        domain.events.timer.store(port.0, Ordering::Relaxed);
    }
    Ok(())
}

/// Returns whether the timer is usable.
#[must_use]
pub fn is_open() -> bool {
    timer().0 != 0
}

/// Lets the timer fire once in `wait` ns.
///
/// # Errors
/// Those of Xen; none is expected.
pub fn set(wait: u64) -> Result<(), Errno> {
    let now = system_time(&crate::domain().shared_info);
    // Xen's times are signed.
    vcpu_op_set_singleshot_timer(0, now.saturating_add(wait).min(u64::MAX >> 1))
}

/// Returns whether the timer has fired since it was last taken, by this or by the watchdog.
#[must_use]
pub fn has_fired() -> bool {
    take_pending(timer(), false)
}

/// Takes that it has fired, for a guest without a watchdog.
pub fn take() {
    take_pending(timer(), true);
}

fn timer() -> PortNumber {
    PortNumber(crate::domain().events.timer.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::mask_word;
    use crate::fake::Fake;
    use crate::upcall;
    use crate::watchdog::{self, Watchdog};
    use core::time::Duration;

    const SLICE: Duration = Duration::from_millis(10);

    #[test]
    fn a_slice_ends_once() {
        let fake = Fake::new();
        open().unwrap();
        open().unwrap();
        assert!(!fake.has_periodic_timer());
        let page = &crate::domain().shared_info;
        upcall::unmask(page);
        set(10_000_000).unwrap();
        assert_eq!(fake.run_until_upcall(SLICE / 2), None);
        assert!(!has_fired());
        assert_eq!(fake.run_until_upcall(SLICE), Some(SLICE / 2));
        assert!(has_fired());
        upcall::acknowledge(page);
        take();
        assert!(!has_fired());
        assert_eq!(fake.run_until_upcall(SLICE * 100), None);
    }

    #[test]
    fn a_slice_ends_also_if_the_timer_fired_while_its_port_was_masked() {
        let fake = Fake::new();
        let page = &crate::domain().shared_info;
        page.set_bits(mask_word(0), !0);
        fake.raise(PortNumber(3));
        open().unwrap();
        assert!(upcall::is_pending(page) && has_fired());
        upcall::acknowledge(page);
        take();
        upcall::unmask(page);
        set(10_000_000).unwrap();
        assert_eq!(fake.run_until_upcall(SLICE), Some(SLICE));
    }

    #[test]
    fn slices_neither_hide_a_hang_nor_make_one_up() {
        let fake = Fake::new();
        let limit = SLICE * 200;
        // SAFETY: the fake enters nothing.
        let mut watchdog = unsafe { Watchdog::start(limit, 1) }.unwrap();
        watchdog::unmask();
        open().unwrap();
        let mut run = |turns: u64, slices: u32| {
            (0..slices).find_map(|_| {
                set(10_000_000).unwrap();
                fake.run_until_upcall(SLICE).unwrap();
                assert!(has_fired());
                watchdog.check(turns)
            })
        };
        for turns in 1..5 {
            assert_eq!(run(turns, 150), None);
        }
        let watchdog::Hang(time) = run(4, 250).unwrap();
        assert!(time >= limit && time <= limit + SLICE * 2, "{time:?}");
    }
}
