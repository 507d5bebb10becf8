//! The machine that is a Xen PV domain.

mod clock;
pub mod console;
mod cpuid;
mod end;
mod entropy;
mod events;
mod heap;
mod info;
mod local;
mod paging;
mod panic;
mod report;
mod section;
mod start;
mod suspend;
mod traps;
pub(crate) mod user;
mod watchdog;
mod xstate;

pub(crate) use clock::{monotonic, wall_clock};
pub(crate) use end::{end, set_shutdown_reason, shut_down};
pub(crate) use entropy::{hardware_seed, jitter};
pub(crate) use events::{idle, poll_events};
pub(crate) use heap::mappings;
pub(crate) use info::{
    command_line, manifest, memory_left, memory_stats, open_store, raw_arguments,
};
pub(crate) use local::{Local, local};
pub(crate) use suspend::{offer_suspend, suspend};
pub(crate) use watchdog::start_watchdog;
pub(crate) use xstate::start_avx;

/// Returns `false`: it is the heap that says so.
pub(crate) const fn is_spent() -> bool {
    false
}
