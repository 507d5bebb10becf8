//! A Xen PV domain as the machine.

mod clock;
pub mod console;
mod entropy;
mod heap;
mod paging;
mod panic;
mod start;
mod traps;
mod watchdog;

pub(crate) use clock::{monotonic, wall_clock};
pub(crate) use entropy::{hardware_seed, jitter};
pub(crate) use heap::mappings;
pub(crate) use start::{
    command_line, end_for, ending, idle, look, manifest, memory_left, memory_stats, queue,
    raw_arguments, ready, set_reason, timers,
};
pub use start::{open_store, start};
pub(crate) use watchdog::start_watchdog;
