//! `public/vcpu.h`: state and timers of virtual CPUs.

/// `VCPUOP_get_runstate_info`: returns how long a vCPU was in each state.
pub const VCPUOP_GET_RUNSTATE_INFO: u32 = 4;

/// `struct vcpu_runstate_info`: the time that a vCPU was in each state.
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

/// `VCPUOP_stop_periodic_timer`: stops the timer of 100 Hz that Xen starts with each PV guest's
/// vCPU.
pub const VCPUOP_STOP_PERIODIC_TIMER: u32 = 7;

/// `VCPUOP_set_singleshot_timer`: raises `VIRQ_TIMER` once.
pub const VCPUOP_SET_SINGLESHOT_TIMER: u32 = 8;

/// `struct vcpu_set_singleshot_timer`: the argument of [`VCPUOP_SET_SINGLESHOT_TIMER`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuSetSingleshotTimer {
    /// Deadline in ns of system time. One in the past fires at once.
    pub timeout_abs_ns: u64,
    /// `VCPU_SSHOTTMR_*`.
    pub flags: u32,
}
