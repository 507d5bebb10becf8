//! `public/vcpu.h`: what a guest may ask about its virtual CPUs, and their timers.

/// `VCPUOP_get_runstate_info`: how long a vCPU was in which state.
pub const VCPUOP_GET_RUNSTATE_INFO: u32 = 4;

/// `vcpu_runstate_info`: the time a vCPU spent in each state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VcpuRunstateInfo {
    /// The state now: 0 running, 1 runnable, 2 blocked, 3 offline.
    pub state: i32,
    /// System time at which that state began, in ns.
    pub state_entry_time: u64,
    /// Time in each state since the vCPU was created, in ns.
    pub time: [u64; 4],
}

/// Index of the running state in [`VcpuRunstateInfo::time`].
pub const RUNSTATE_RUNNING: usize = 0;

/// `VCPUOP_stop_periodic_timer`: stops the timer that Xen starts with a PV
/// guest's vCPU, 100 times a second.
pub const VCPUOP_STOP_PERIODIC_TIMER: u32 = 7;

/// `VCPUOP_set_singleshot_timer`: raises `VIRQ_TIMER` once.
pub const VCPUOP_SET_SINGLESHOT_TIMER: u32 = 8;

/// `vcpu_set_singleshot_timer`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuSetSingleshotTimer {
    /// When, in ns of system time. In the past, it is at once.
    pub timeout_abs_ns: u64,
    /// `VCPU_SSHOTTMR_*`.
    pub flags: u32,
}
