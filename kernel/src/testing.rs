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
use crate::suspend::{Outcome, carry_out};
use crate::user::{Context, Exit, Space};

/// Makes this thread's clock stand still while tasks run, and jump to the next timer when none is
/// ready. If there is none either, `block_on` panics.
pub fn simulate_time() {
    machine::simulate_time();
}

/// Makes this thread's machine report `total` bytes of memory instead of 0, to test what is
/// sized by that.
pub fn simulate_memory(total: usize) {
    machine::simulate_memory(total);
}

/// Makes this thread's machine report that `used` bytes of its memory are used, to test what is
/// refused when there is little. Where that is all of it, no task can be
/// [tried](crate::task::try_spawn).
pub fn simulate_memory_use(used: usize) {
    machine::simulate_memory_use(used);
}

/// Makes this process's random numbers the same in each run, so that findings of fuzzers can be
/// reproduced.
pub fn simulate_randomness() {
    machine::simulate_randomness();
    *POOL.lock() = None;
}

/// Starts the log as the start of an app does, with `levels` as of the argument `log=`, to test who
/// takes [its lines](crate::log::Lines).
///
/// # Panics
/// If `levels` is malformed.
pub fn start_log(levels: &'static str) {
    crate::log::start(crate::args::Value::parse(levels).expect("these are levels"));
}

/// Suspends the machine as a request of the toolstack does: waits for all
/// [participants](crate::suspend::Participant), calls `suspend`, and tells what became of it.
pub async fn suspend(suspend: impl FnOnce() -> Outcome) -> Outcome {
    carry_out(async || suspend()).await
}

/// Makes `program` what every [`Space`] of this thread runs, until it is called again. It is
/// called for each [`Space::run`], changes memory and registers as a program would, and returns
/// why the program stops.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use xenith::user::{Context, Exit, Space};
///
/// xenith::testing::play(|_space, thread| {
///     thread.registers_mut().rax += 1;
///     Exit::Call
/// });
/// let mut thread = Context::new(0, 0).unwrap();
/// let mut space = Space::new().unwrap();
/// assert_eq!(space.run(&mut thread), Ok(Exit::Call));
/// assert_eq!(space.run(&mut thread), Ok(Exit::Call));
/// assert_eq!(thread.registers().rax, 2);
/// ```
pub fn play(program: impl FnMut(&mut Space, &mut Context) -> Exit + 'static) {
    machine::play(Box::new(program));
}
