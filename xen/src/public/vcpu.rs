//! `public/vcpu.h`: what a guest may ask about its virtual CPUs.

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
