//! Provides what every Xenith app needs, on any machine: tasks, time, memory, log, arguments,
//! randomness and the end.
//!
//! An app is a library with an async function, mostly called `start`, that takes typed devices
//! and typed arguments. Its `main.rs` is one [`unikernel!`], the *manifest*, which names them.
//! The macro parses the arguments, opens the devices, runs `start`, and ends the domain with the
//! status that `start` returned. The manifest is also an ELF note in the image, from which
//! `cargo mk` makes the domain's configuration.
//!
//! * [`unikernel!`]: the manifest of an app
//! * [`task`]: tasks and the executor
//! * [`sync`]: channels, mutexes and signals between tasks
//! * [`time`]: clocks, sleep, intervals and timeouts
//! * [`calendar`]: dates of the Gregorian calendar
//! * [`memory`]: memory statistics and fallible allocation
//! * [`metrics`](mod@metrics): numbers about the running machine
//! * [`args`]: typed arguments from the command line
//! * [`entropy`]: cryptographically secure random bytes
//! * [`log`](mod@log): the output of the `log` crate, and its levels
//! * [`shutdown`]: requests of the toolstack to end
//! * [`suspend`]: being saved, restored, copied and moved to another host
//! * [`update`]: being replaced by a new image, which goes on with what this one keeps
//! * [`exit`]: exit statuses
//! * [`println!`]: lines on the console
//! * `testing`: a simulated machine, for tests on a host
//! * [`user`]: programs in user mode
//! * [`text`]: escaping of untrusted text
//! * [`Device`]: the trait of what a manifest can name as a device
//! * [`manifest`]: the format of the ELF note
//! * [`machine`]: the Xen domain or Linux process below, for drivers
//!
//! There is one vCPU and no preemption: a task runs until it awaits. The kernel contains no
//! devices; the crates above build them on [`machine`], which imports nothing of the rest of the
//! kernel.
//!
//! Rules with a letter and a number, such as K2, are those of `docs/src/rules.md`.

#![cfg_attr(target_os = "xen", no_std)]

extern crate alloc;

pub mod args;
pub mod calendar;
pub mod clock;
mod command_line;
#[doc(hidden)]
pub mod common;
pub mod device;
pub mod entropy;
pub mod exit;
pub mod lists;
pub mod log;
pub mod machine;
pub mod manifest;
pub mod memory;
pub mod metrics;
#[doc(hidden)]
pub mod print;
pub mod shutdown;
#[doc(hidden)]
pub mod start;
pub mod suspend;
pub mod sync;
pub mod task;
#[cfg(not(target_os = "xen"))]
pub mod testing;
pub mod text;
pub mod time;
mod unikernel;
pub mod update;
pub mod user;
mod value;

pub use device::Device;
pub use exit::Exit;
pub use shutdown::requested as shutdown_requested;
