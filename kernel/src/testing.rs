//! A simulated machine, for tests on a host: time that jumps, memory of any size, and
//! randomness that repeats.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use core::time::Duration;
//! use xenith::task::block_on;
//! use xenith::time::{Instant, sleep};
//!
//! xenith::testing::simulate_time();
//! let hour = Duration::from_secs(3600);
//! block_on(async {
//!     let begun = Instant::now();
//!     sleep(hour).await;
//!     assert_eq!(begun.elapsed(), hour);
//! });
//! ```

use crate::entropy::POOL;
use crate::machine;

/// Makes this thread's clock stand still while tasks run; when none can, it jumps to the
/// next timer.
pub fn simulate_time() {
    machine::simulate_time();
}

/// Makes this thread's machine say that it has `total` bytes of memory, instead of 0, for
/// tests of what is sized by that.
pub fn simulate_memory(total: usize) {
    machine::simulate_memory(total);
}

/// Makes this process's random numbers the same ones each time, for fuzzers, whose findings
/// have to happen again.
pub fn simulate_randomness() {
    machine::simulate_randomness();
    *POOL.lock() = None;
}
