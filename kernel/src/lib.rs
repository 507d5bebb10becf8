//! The kernel: what every Xenith app stands on, whatever machine is below.
//!
//! An app is a library whose `start` function takes typed devices and typed
//! arguments; its `main.rs` is one [`unikernel!`] that names them. The macro
//! opens the devices, parses the arguments, runs `start`, and ends the domain
//! with what `start` returned. The same list stands as an ELF note in the
//! image, from which `cargo mk` makes the domain's configuration.
//!
//! * [`unikernel!`]: the manifest and the wiring of an app
//! * [`task`]: futures, and the loop that runs them
//! * [`sync`]: channels, mutexes and signals between tasks
//! * [`time`]: the clocks, sleeping, intervals and timeouts
//! * [`calendar`]: days and dates
//! * [`memory`]: what memory is used for
//! * [`metrics`](mod@metrics): numbers about the running machine
//! * [`args`]: the typed arguments of the command line
//! * [`entropy`]: random bytes that may choose keys
//! * [`log`](mod@log): the sink of the `log` crate, and its levels
//! * [`shutdown`]: when the toolstack asks the machine to end
//! * [`exit`]: how an app ends
//! * [`println!`]: lines on the console
//! * `testing`: a simulated machine, for tests on a host
//! * [`text`]: untrusted bytes made printable
//! * [`Device`]: what an app's manifest may name as one
//! * [`manifest`]: the ELF note
//! * [`machine`]: Xen, or a Linux process that plays the part of one, for drivers
//!
//! There is one vCPU and no preemption: code runs until it awaits. The kernel
//! knows no device; devices are built on [`machine`] by the crate above. `machine` is the
//! ground, which imports nothing that stands on it; the roof is what [`unikernel!`] calls.

#![cfg_attr(target_os = "xen", no_std)]

extern crate alloc;

pub mod args;
pub mod calendar;
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
pub mod sync;
pub mod task;
#[cfg(not(target_os = "xen"))]
pub mod testing;
pub mod text;
pub mod time;
mod unikernel;
mod value;

pub use device::Device;
pub use exit::Exit;
pub use shutdown::requested as shutdown_requested;
