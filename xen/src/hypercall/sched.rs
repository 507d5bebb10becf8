//! Makes the calls about the domain and its vCPU: scheduling, timers, exceptions, the callback for
//! events, and the emergency console.

use super::{address, hypercall};
use crate::Errno;
use crate::evtchn::PortNumber;
use crate::public::callback::{CALLBACKOP_REGISTER, CALLBACKTYPE_EVENT, CallbackRegister};
use crate::public::mmu::TrapInfo;
use crate::public::vcpu::{
    VCPUOP_GET_RUNSTATE_INFO, VCPUOP_SET_SINGLESHOT_TIMER, VCPUOP_STOP_PERIODIC_TIMER,
    VcpuRunstateInfo, VcpuSetSingleshotTimer,
};
use crate::public::{
    CONSOLEIO_write, SCHEDOP_poll, SCHEDOP_shutdown, SCHEDOP_yield, SHUTDOWN_suspend, sched_poll,
    sched_shutdown,
};
use xen_sys::{
    __HYPERVISOR_callback_op, __HYPERVISOR_console_io, __HYPERVISOR_sched_op,
    __HYPERVISOR_set_trap_table, __HYPERVISOR_vcpu_op,
};

/// Yields the processor to other vCPUs (`SCHEDOP_yield`).
pub fn sched_op_yield() {
    // SAFETY: takes no argument and touches no memory.
    let result = unsafe { hypercall::<__HYPERVISOR_sched_op>([u64::from(SCHEDOP_yield), 0, 0, 0]) };
    debug_assert!(result.is_ok());
}

/// Blocks the vCPU until one of `ports` is pending, masked or not, or until `deadline`
/// (`SCHEDOP_poll`). `deadline` is in ns of system time; 0 means none. With several ports, or
/// none, an event on any port of the domain ends the wait. A deadline that Xen's signed times
/// cannot hold is the last that they can.
///
/// # Errors
/// `EINVAL` for more than 128 ports or a port that does not exist.
pub fn sched_op_poll(ports: &mut [PortNumber], deadline: u64) -> Result<(), Errno> {
    let mut arg = sched_poll {
        ports: ports.as_mut_ptr().cast(),
        nr_ports: ports.len() as u32,
        timeout: deadline.min(u64::MAX >> 1),
    };
    // SAFETY: Xen reads `arg` and the `nr_ports` ports behind it; both outlive the call.
    unsafe {
        hypercall::<__HYPERVISOR_sched_op>([u64::from(SCHEDOP_poll), address(&mut arg), 0, 0])
    }
    .map(drop)
}

/// Ends this domain (`SCHEDOP_shutdown`). `reason` is one of the `SHUTDOWN_*` of
/// [`public`](crate::public), which the toolstack acts on (`on_crash` and the like).
pub fn sched_op_shutdown(reason: u32) -> ! {
    let mut arg = sched_shutdown { reason };
    loop {
        // SAFETY: Xen reads `arg`, which outlives the call.
        let _ = unsafe {
            hypercall::<__HYPERVISOR_sched_op>([
                u64::from(SCHEDOP_shutdown),
                address(&mut arg),
                0,
                0,
            ])
        };
    }
}

/// Suspends this domain (`SCHEDOP_shutdown` with `SHUTDOWN_suspend`), until the toolstack resumes
/// it or another domain goes on in its place. `start_info` is the machine frame of `start_info`,
/// which the toolstack fills in for that one. Returns whether this is still the same domain.
///
/// # Safety
/// The caller expects all of the domain's connections to Xen to be gone, and has unmapped what is
/// Xen's.
///
/// # Errors
/// Xen's, if it does not suspend the domain; none is expected.
pub unsafe fn sched_op_suspend(start_info: u64) -> Result<bool, Errno> {
    let mut arg = sched_shutdown { reason: SHUTDOWN_suspend };
    let args = [u64::from(SCHEDOP_shutdown), address(&mut arg), start_info, 0];
    // SAFETY: Xen reads `arg`, which outlives the call; what changes meanwhile is the caller's
    // promise.
    unsafe { hypercall::<__HYPERVISOR_sched_op>(args) }.map(|cancelled| cancelled == 1)
}

/// Returns how long vCPU `vcpu` was in each state (`VCPUOP_get_runstate_info`).
///
/// # Errors
/// `ENOENT` when there is no such vCPU.
pub fn vcpu_op_get_runstate_info(vcpu: u32) -> Result<VcpuRunstateInfo, Errno> {
    let mut info = VcpuRunstateInfo::default();
    // SAFETY: Xen writes one `vcpu_runstate_info`, whose layout `info` has.
    unsafe {
        hypercall::<__HYPERVISOR_vcpu_op>([
            u64::from(VCPUOP_GET_RUNSTATE_INFO),
            u64::from(vcpu),
            address(&mut info),
            0,
        ])
    }
    .map(|_| info)
}

/// Stops the periodic timer of vCPU `vcpu`, which Xen starts at 100 Hz with each PV guest
/// (`VCPUOP_stop_periodic_timer`).
///
/// # Errors
/// `ENOENT` when there is no such vCPU.
pub fn vcpu_op_stop_periodic_timer(vcpu: u32) -> Result<(), Errno> {
    // SAFETY: takes no argument and touches no memory.
    unsafe {
        hypercall::<__HYPERVISOR_vcpu_op>([
            u64::from(VCPUOP_STOP_PERIODIC_TIMER),
            u64::from(vcpu),
            0,
            0,
        ])
    }
    .map(drop)
}

/// Sets the timer of vCPU `vcpu`, which raises `VIRQ_TIMER` once at `deadline`, in ns of system
/// time (`VCPUOP_set_singleshot_timer`). A deadline in the past raises it at once. Pausing the
/// domain does not stop the timer.
///
/// # Errors
/// `EINVAL` for another vCPU than the caller's.
pub fn vcpu_op_set_singleshot_timer(vcpu: u32, deadline: u64) -> Result<(), Errno> {
    let mut arg = VcpuSetSingleshotTimer { timeout_abs_ns: deadline, flags: 0 };
    // SAFETY: Xen reads `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_vcpu_op>([
            u64::from(VCPUOP_SET_SINGLESHOT_TIMER),
            u64::from(vcpu),
            address(&mut arg),
            0,
        ])
    }
    .map(drop)
}

/// Sets the handlers of exceptions (`HYPERVISOR_set_trap_table`).
///
/// # Safety
/// The last entry's address is 0; the other addresses are handlers that accept the frame that
/// Xen pushes (`public/arch-x86/xen-x86_64.h`).
///
/// # Errors
/// `EPERM` for a selector that a guest may not use.
pub unsafe fn set_trap_table(table: &[TrapInfo]) -> Result<(), Errno> {
    // SAFETY: Xen reads the table up to the entry with address 0.
    unsafe { hypercall::<__HYPERVISOR_set_trap_table>([table.as_ptr() as u64, 0, 0, 0]) }.map(drop)
}

/// Sets the address of the upcall handler, which Xen enters when an event is pending and
/// upcalls are not masked (`CALLBACKOP_register` of `CALLBACKTYPE_event`).
///
/// # Safety
/// The code at `entry` saves and restores all registers that it uses, and if it returns, does so
/// by `hypercall_iret`.
///
/// # Errors
/// `EINVAL` for an address that is not canonical.
pub unsafe fn callback_op_register_event(entry: u64) -> Result<(), Errno> {
    let mut arg = CallbackRegister { kind: CALLBACKTYPE_EVENT, flags: 0, address: entry };
    // SAFETY: Xen reads `arg`, which outlives the call; the entry is valid by contract.
    unsafe {
        hypercall::<__HYPERVISOR_callback_op>([
            u64::from(CALLBACKOP_REGISTER),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(drop)
}

/// Prints on the hypervisor's own console (`CONSOLEIO_write`). For reports that have nowhere else
/// to go: only builds of Xen with `CONFIG_VERBOSE_DEBUG` let a guest do so.
///
/// # Errors
/// `EPERM` if the guest may not.
pub fn console_io_write(text: &[u8]) -> Result<(), Errno> {
    // SAFETY: Xen reads `text.len()` bytes behind the pointer.
    unsafe {
        hypercall::<__HYPERVISOR_console_io>([
            u64::from(CONSOLEIO_write),
            text.len() as u64,
            text.as_ptr() as u64,
            0,
        ])
    }
    .map(drop)
}
