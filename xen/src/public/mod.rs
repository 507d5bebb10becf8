//! Layouts and constants of Xen's public headers, one file per header.
//!
//! What the `xen-sys` crate has right (event channels, scheduling, start_info,
//! shared_info) is re-exported from it; what it lacks stands here. Its
//! hypercall wrappers are not used: they pass the fifth argument in `r9`
//! instead of `r8` and drop errors.

pub mod callback;
pub mod elfnote;
pub mod grant_table;
pub mod io;
pub mod mmu;
pub mod vcpu;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

pub use xen_sys::{
    CONSOLEIO_write, EVTCHNOP_alloc_unbound, EVTCHNOP_bind_virq, EVTCHNOP_close, EVTCHNOP_send,
    EVTCHNOP_status, SCHEDOP_poll, SCHEDOP_shutdown, SCHEDOP_yield, SHUTDOWN_crash,
    SHUTDOWN_poweroff, SHUTDOWN_reboot, SHUTDOWN_suspend, SHUTDOWN_watchdog, SIF_INITDOMAIN,
    SIF_MOD_START_PFN, SIF_MULTIBOOT_MOD, SIF_PRIVILEGED, SIF_VIRT_P2M_4TOOLS, VIRQ_TIMER,
    evtchn_alloc_unbound, evtchn_bind_virq, evtchn_close, evtchn_send, evtchn_status, sched_poll,
    sched_shutdown, shared_info, start_info, vcpu_info, vcpu_time_info,
};
