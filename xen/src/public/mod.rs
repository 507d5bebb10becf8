//! Declares the layouts and constants of Xen's public headers, one module per header.
//!
//! Names and meanings are those of the headers, `xen/include/public` in Xen's sources; each item
//! says which one it is. Fields without a unit have that of the header.
//!
//! Event channels, scheduling, `start_info` and `shared_info` are re-exported from the crate
//! `xen-sys`; the rest is declared here. The hypercall wrappers of `xen-sys` are not used: they
//! pass the fifth argument in `r9` instead of `r8`, and drop errors.

pub mod callback;
pub mod elfnote;
pub mod grant_table;
pub mod io;
pub mod mmu;
pub mod user;
pub mod vcpu;

/// Size of a page in bytes.
pub const PAGE_SIZE: usize = 4096;

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

pub use xen_sys::{
    CONSOLEIO_write, EVTCHNOP_alloc_unbound, EVTCHNOP_bind_virq, EVTCHNOP_close, EVTCHNOP_send,
    EVTCHNOP_status, SCHEDOP_poll, SCHEDOP_shutdown, SCHEDOP_yield, SHUTDOWN_crash,
    SHUTDOWN_poweroff, SHUTDOWN_reboot, SHUTDOWN_suspend, SHUTDOWN_watchdog, SIF_INITDOMAIN,
    SIF_MOD_START_PFN, SIF_MULTIBOOT_MOD, SIF_PRIVILEGED, SIF_VIRT_P2M_4TOOLS, VIRQ_TIMER,
    arch_shared_info, evtchn_alloc_unbound, evtchn_bind_virq, evtchn_close, evtchn_send,
    evtchn_status, sched_poll, sched_shutdown, shared_info, start_info, vcpu_info, vcpu_time_info,
};
