//! The one vCPU: for how long it ran, its timers, and where events enter it.

use super::events::{self, VCPU};
use super::{Fake, set_tsc, with};
use crate::evtchn::PortNumber;
use crate::public::vcpu::{RUNSTATE_RUNNING, VcpuRunstateInfo};
use crate::public::{vcpu_info, vcpu_time_info};
use std::mem::offset_of;
use std::time::Duration;

/// The period of the timer that a PV guest is born with, in ns.
const TICK: u64 = 10_000_000;

/// What the hypervisor knows of it.
pub(super) struct Vcpu {
    /// System time, in ns.
    now: u64,
    /// For how long it ran, in ns.
    ran: u64,
    /// The timer that a PV guest is born with.
    pub(super) periodic: bool,
    /// `VCPUOP_set_singleshot_timer`.
    pub(super) timer: Option<u64>,
    /// `CALLBACKTYPE_event`.
    pub(super) entry: Option<u64>,
    /// The ports of the last `SCHEDOP_poll`.
    pub(super) polled: Vec<PortNumber>,
}

impl Default for Vcpu {
    fn default() -> Self {
        let (timer, entry, polled) = (None, None, Vec::new());
        Self { now: 0, ran: 0, periodic: true, timer, entry, polled }
    }
}

impl Vcpu {
    /// The vCPU is that of a new domain, and keeps what is in its registers.
    pub(super) fn renew(&mut self) {
        *self = Self { now: self.now, entry: self.entry, ..Self::default() };
    }

    /// `VCPUOP_get_runstate_info`.
    pub(super) fn runstate(&self) -> VcpuRunstateInfo {
        let mut info = VcpuRunstateInfo { state_entry_time: self.now, ..Default::default() };
        info.time[RUNSTATE_RUNNING] = self.ran;
        info
    }

    /// Lets time pass, with a clock of 1 GHz.
    fn pass(&mut self, time: u64) {
        self.now += time;
        let page = &crate::domain().shared_info;
        let record = VCPU + offset_of!(vcpu_info, time);
        page.store_u32(record + offset_of!(vcpu_time_info, tsc_to_system_mul), 1 << 31);
        page.store_u32(record + offset_of!(vcpu_time_info, tsc_shift), 1);
        set_tsc(self.now);
    }
}

/// Lets `time` ns pass, or less until the timer comes. Returns how many, and
/// whether it came.
fn pass(time: u64, running: bool) -> (u64, bool) {
    with(|state| {
        let vcpu = &mut state.host.vcpu;
        // The one that it is born with runs when it does.
        let periodic = (vcpu.periodic && running).then(|| (vcpu.now / TICK + 1) * TICK);
        let next = vcpu.timer.into_iter().chain(periodic).min();
        let rest = next.map(|deadline| deadline.saturating_sub(vcpu.now));
        let passed = rest.unwrap_or(time).min(time);
        vcpu.pass(passed);
        vcpu.ran += if running { passed } else { 0 };
        let came = rest.is_some_and(|rest| rest <= time);
        if came {
            vcpu.timer = vcpu.timer.filter(|&deadline| deadline > vcpu.now);
            state.host.events.timer().into_iter().for_each(events::raise);
        }
        (passed, came)
    })
}

impl Fake {
    /// Runs the vCPU until an upcall is due, for `time` at most. Returns how long it ran, or
    /// `None` if no upcall was due.
    pub fn run_until_upcall(&self, time: Duration) -> Option<Duration> {
        let mut rest = time.as_nanos() as u64;
        loop {
            let (passed, came) = pass(rest, true);
            rest -= passed;
            if self.wants_upcall() {
                return Some(time - Duration::from_nanos(rest));
            }
            if !came {
                return None;
            }
        }
    }

    /// Pauses the domain for `time`. Timers keep running.
    pub fn pause(&self, time: Duration) {
        let mut rest = time.as_nanos() as u64;
        while rest > 0 {
            rest -= pass(rest, false).0;
        }
    }

    /// Resets the run time of the vCPU, as a migration to another host does.
    pub fn forget_runstate(&self) {
        with(|state| state.host.vcpu.ran = 0);
    }

    /// Returns whether an upcall is due: an event is pending and upcalls are not masked.
    #[must_use]
    pub fn wants_upcall(&self) -> bool {
        crate::domain().shared_info.load_u32(VCPU) & 0xFFFF == 1
    }

    /// Returns the address that the guest registered for upcalls.
    #[must_use]
    pub fn event_entry(&self) -> Option<u64> {
        with(|state| state.host.vcpu.entry)
    }

    /// Returns whether the periodic timer of 100 Hz runs.
    #[must_use]
    pub fn has_periodic_timer(&self) -> bool {
        with(|state| state.host.vcpu.periodic)
    }

    /// Returns the ports of the last `SCHEDOP_poll`.
    #[must_use]
    pub fn polled(&self) -> Vec<PortNumber> {
        with(|state| state.host.vcpu.polled.clone())
    }
}
