//! Detects a guest that hangs, by the time for which its vCPU ran.
//!
//! Xen's own watchdog (`SCHEDOP_watchdog`) also counts while the domain is paused, so it would end
//! a domain that a debugger or a copy of its memory pauses. This one is a timer of the vCPU
//! (`VIRQ_TIMER`), the only event that interrupts the guest. When it fires,
//! `VCPUOP_get_runstate_info` says for how long the vCPU ran: time when the domain is paused, or
//! when its processor is in use by others, does not count.
//!
//! The guest counts the turns of its main loop, and each time the timer fires the count is
//! compared with the last one. If it did not change while the vCPU ran for the limit, the guest
//! hangs. The timer fires at every half of the limit, so a hang is found after one to one and a
//! half times the limit.

use crate::Errno;
use crate::evtchn::{PortNumber, mask_word, pending_word, unmask_port};
use crate::hypercall::{
    callback_op_register_event, event_channel_op_bind_virq, vcpu_op_get_runstate_info,
    vcpu_op_set_singleshot_timer, vcpu_op_stop_periodic_timer,
};
use crate::public::VIRQ_TIMER;
use crate::public::vcpu::RUNSTATE_RUNNING;
use crate::time::system_time;
use crate::upcall;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// Runs a watchdog.
#[derive(Debug)]
pub struct Watchdog {
    /// In ns.
    limit: u64,
    port: PortNumber,
    /// The guest's count of turns when it last changed.
    turns: u64,
    /// The time that the vCPU had run by then, in ns.
    ran: u64,
    /// How often the timer fired. The first time it is the periodic timer that Xen starts with
    /// each PV guest's vCPU: using that one saves two hypercalls at boot.
    fired: u64,
}

/// Reports a hang: the time that the vCPU ran since the last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hang(pub Duration);

/// Returns the time that the vCPU ran since it was created, in ns.
fn ran() -> Result<u64, Errno> {
    Ok(vcpu_op_get_runstate_info(0)?.time[RUNSTATE_RUNNING])
}

/// Makes `port` the timer's, and the only one that is not masked.
fn unmask_only(port: PortNumber) {
    // Mask the ports that the domain builder made, which are in the first word. Others are
    // masked when they are opened.
    let own = if port.word() == 0 { port.bit() } else { 0 };
    crate::domain().shared_info.set_bits(mask_word(0), !own);
    unmask_port(port);
    crate::domain().events.timer.store(port.0, Ordering::Relaxed);
}

impl Watchdog {
    /// Makes a watchdog. Once upcalls are [unmasked](unmask), Xen enters the guest at address
    /// `entry` whenever the timer fires; the code there calls [`check`](Self::check).
    ///
    /// # Errors
    /// Xen's, if it refuses the port or the entry.
    ///
    /// # Safety
    /// As [`callback_op_register_event`]. There is one watchdog at a time.
    pub unsafe fn start(limit: Duration, entry: u64) -> Result<Self, Errno> {
        let port = event_channel_op_bind_virq(VIRQ_TIMER, 0)?;
        // SAFETY: passed on.
        unsafe { callback_op_register_event(entry) }?;
        unmask_only(port);
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { limit, port, turns: 0, ran: 0, fired: 0 })
    }

    /// Goes on in a new domain, which has the entry but no port for the timer. Its vCPU is as young
    /// as it is.
    ///
    /// # Errors
    /// Xen's, if it refuses the port. Nothing is watched then.
    pub fn resume(&mut self) -> Result<(), Errno> {
        self.port = event_channel_op_bind_virq(VIRQ_TIMER, 0)?;
        unmask_only(self.port);
        (self.turns, self.ran, self.fired) = (0, 0, 0);
        Ok(())
    }

    /// Sets the timer to fire in `wait` ns.
    fn set(&self, wait: u64) -> Result<(), Errno> {
        let now = system_time(&crate::domain().shared_info);
        // Xen's times are signed.
        vcpu_op_set_singleshot_timer(0, now.saturating_add(wait).min(u64::MAX >> 1))
    }

    /// Checks whether the guest hangs, and sets the timer again if not. `turns` is the guest's
    /// count of turns. Call it from the upcall handler; returns `None` also if another event
    /// caused the upcall.
    pub fn check(&mut self, turns: u64) -> Option<Hang> {
        let page = &crate::domain().shared_info;
        upcall::acknowledge(page);
        let bit = self.port.bit();
        if page.take_bits(pending_word(self.port.word()), bit) == 0 {
            return None;
        }
        self.fired = self.fired.wrapping_add(1);
        if self.fired == 1 {
            // If it cannot be stopped, it costs time and does no other harm.
            let _ = vcpu_op_stop_periodic_timer(0);
        }
        // Without the time there is nothing to compare, so no hang is reported.
        let ran = ran().unwrap_or(0);
        if turns != self.turns || ran < self.ran {
            (self.turns, self.ran) = (turns, ran);
        }
        let passed = ran - self.ran;
        if passed >= self.limit {
            return Some(Hang(Duration::from_nanos(passed)));
        }
        // If the timer cannot be set, the guest goes on without a watchdog.
        let _ = self.set((self.limit - passed).min(self.limit / 2));
        None
    }
}

/// Unmasks upcalls. The watchdog must be where its entry finds it: an entry that finds none
/// cannot clear the event, and would be entered again for ever.
pub fn unmask() {
    upcall::unmask(&crate::domain().shared_info);
}

/// Stops the watchdog by masking upcalls. Does nothing before boot has mapped the shared info
/// page.
pub fn stop() {
    if let Some(domain) = crate::attached() {
        upcall::mask(&domain.shared_info);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::{Port, scan, stats};
    use crate::fake::Fake;

    const SECOND: Duration = Duration::from_secs(1);

    /// A watchdog of 2 s.
    fn watchdog() -> Watchdog {
        // SAFETY: the fake enters nothing.
        let watchdog = unsafe { Watchdog::start(SECOND * 2, 0x30_0000) }.unwrap();
        unmask();
        watchdog
    }

    /// The hang that the watchdog finds within `time`, if it comes; else nothing.
    fn within(fake: &Fake, watchdog: &mut Watchdog, time: Duration, turns: u64) -> Option<Hang> {
        let mut rest = time;
        while let Some(passed) = fake.run_until_upcall(rest) {
            rest -= passed;
            if let Some(hang) = watchdog.check(turns) {
                return Some(hang);
            }
        }
        None
    }

    #[test]
    fn tasks_that_never_yield_are_found_between_once_and_one_and_a_half_times_the_limit() {
        let fake = Fake::new();
        let mut watchdog = watchdog();
        assert_eq!(fake.event_entry(), Some(0x30_0000));
        assert_eq!(within(&fake, &mut watchdog, SECOND / 50, 0), None);
        assert!(!fake.has_periodic_timer());
        for turns in 1..10 {
            assert_eq!(within(&fake, &mut watchdog, SECOND * 3 / 2, turns), None);
        }
        let Hang(time) = within(&fake, &mut watchdog, SECOND * 3, 9).unwrap();
        assert!(SECOND * 2 <= time && time <= SECOND * 3, "{time:?}");
    }

    #[test]
    fn a_pause_of_any_length_does_not_count() {
        let fake = Fake::new();
        let mut watchdog = watchdog();
        // Some work before the pause, and after it.
        assert_eq!(within(&fake, &mut watchdog, SECOND * 19 / 10, 0), None);
        for seconds in [5, 40, 100_000] {
            fake.pause(SECOND * seconds);
            assert!(watchdog.check(0).is_none());
            assert_eq!(within(&fake, &mut watchdog, SECOND / 100, 0), None);
        }
        let Hang(time) = within(&fake, &mut watchdog, SECOND, 0).unwrap();
        assert_eq!(time, SECOND * 2);
    }

    /// The timer that a vCPU is born with may come at any time.
    #[test]
    fn what_comes_while_it_is_made_waits_and_is_not_lost() {
        let fake = Fake::new();
        fake.raise(PortNumber(1));
        // SAFETY: the fake enters nothing.
        let mut watchdog = unsafe { Watchdog::start(SECOND * 2, 0x30_0000) }.unwrap();
        assert_eq!(fake.run_until_upcall(SECOND), None, "events are masked");
        unmask();
        assert!(fake.wants_upcall());
        assert_eq!(watchdog.check(0), None);
        assert!(!fake.wants_upcall());
        assert!(within(&fake, &mut watchdog, SECOND * 3, 0).is_some());
    }

    /// The port may be masked when it is bound, and Xen raises no upcall for one that is pending
    /// already.
    #[test]
    fn what_came_while_its_port_was_masked_is_not_lost() {
        let fake = Fake::new();
        crate::domain().shared_info.set_bits(mask_word(0), !0);
        fake.raise(PortNumber(3));
        assert!(!fake.wants_upcall());
        let mut watchdog = watchdog();
        assert!(fake.wants_upcall());
        assert_eq!(watchdog.check(0), None);
        assert!(!fake.wants_upcall());
        assert!(within(&fake, &mut watchdog, SECOND * 3, 0).is_some());
    }

    #[test]
    fn a_new_domain_begins_to_count_anew() {
        let fake = Fake::new();
        let mut watchdog = watchdog();
        assert_eq!(within(&fake, &mut watchdog, SECOND * 3 / 2, 0), None);
        fake.forget_runstate();
        assert_eq!(within(&fake, &mut watchdog, SECOND * 3 / 2, 0), None);
    }

    #[test]
    fn no_other_port_interrupts_and_none_is_lost() {
        let fake = Fake::new();
        let early = Port::adopt(PortNumber(66)).unwrap();
        fake.raise(PortNumber(66));
        let mut watchdog = watchdog();
        assert!(!fake.wants_upcall());
        let late = Port::adopt(PortNumber(9)).unwrap();
        fake.raise(PortNumber(9));
        assert!(!fake.wants_upcall());
        scan();
        assert_eq!(stats().events, 2);
        // A port that nobody opened may enter once. That harms nobody.
        fake.raise(PortNumber(4000));
        assert!(fake.wants_upcall());
        assert_eq!(watchdog.check(0), None);
        fake.raise(PortNumber(4000));
        assert!(!fake.wants_upcall());
        stop();
        assert_eq!(fake.run_until_upcall(SECOND * 9), None);
        drop((early, late));
    }

    #[test]
    fn nonsense_of_the_user_does_not_overflow() {
        let fake = Fake::new();
        // SAFETY: the fake enters nothing.
        let mut watchdog =
            unsafe { Watchdog::start(Duration::from_secs(u32::MAX.into()), 1) }.unwrap();
        assert_eq!(within(&fake, &mut watchdog, SECOND * 100_000, 0), None);
    }
}
