//! A Xen PV domain as the machine.

mod clock;
pub mod console;
mod entropy;
mod heap;
mod metrics;
mod paging;
mod panic;
mod shutdown;
mod start;
mod traps;
mod watchdog;

pub(crate) use clock::{monotonic, wall_clock};
pub(crate) use entropy::{entropy_pool, hardware_seed, jitter};
pub(crate) use heap::mappings;
pub(crate) use metrics::metrics;
pub use shutdown::serve as serve_shutdown;
pub(crate) use shutdown::shutdown_requested;
pub(crate) use start::{
    command_line, ending, idle, look, manifest, memory_left, memory_stats, queue, raw_arguments,
    ready, timers,
};
pub use start::{open_store, start};
pub(crate) use watchdog::start_watchdog;
