//! A Xen PV domain as the machine.

pub mod console;
mod panic;
mod start;

pub use start::start;
pub(crate) use start::{command_line, idle, monotonic};
