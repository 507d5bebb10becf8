//! The ground: a Xen PV domain, or a Linux process that plays the part of one. It deals in
//! numbers, bytes and wakers, and imports nothing that stands on it: no tasks, no time, no
//! arguments. Both machines offer the kernel the same:
//!
//! * `monotonic`, `wall_clock`: the clocks, in ns and as the time since 1970
//! * `look`, `idle`: for news from devices, without waiting and until a moment
//! * `local!`: a static of which every machine has one
//! * `line`, `end`: a line of the kernel's own, and the last one
//! * `raw_arguments`, `command_line`, `manifest`: what the program was given
//! * `memory_stats`, `memory_left`, `mappings`: what memory is used for
//! * `hardware_seed`, `jitter`: what randomness is made of
//! * `start_watchdog`: ends a machine whose tasks never await
//! * `__entry!`: how the app is entered
//!
//! What is public is for drivers. [`console`] has the byte streams that every machine has
//! before any device. On Linux, `watch` has file
//! descriptors that tasks wait for, and `ioctl` what needs a system call without a safe
//! function. Apps, their tests and [`unikernel!`](crate::unikernel) need none of it.

#[cfg(not(target_os = "xen"))]
mod linux;
#[cfg(target_os = "xen")]
mod xen;

#[cfg(not(target_os = "xen"))]
use linux as here;
#[cfg(target_os = "xen")]
use xen as here;

pub use here::console;
#[cfg(target_os = "xen")]
pub(crate) use here::{Local, end_for, open_store, set_reason};
pub(crate) use here::{
    command_line, end, hardware_seed, idle, jitter, local, look, manifest, mappings, memory_left,
    memory_stats, monotonic, raw_arguments, start_watchdog, wall_clock,
};
#[cfg(not(target_os = "xen"))]
pub use here::{enter, ioctl, watch};
#[cfg(not(target_os = "xen"))]
pub(crate) use here::{simulate_memory, simulate_randomness, simulate_time};

use crate::text::EscapeControls;
use core::fmt::{self, Write};

/// The exit status of code that panicked: that of a Rust process.
pub(crate) const PANIC: u8 = 101;

/// The exit status after an exception of the processor: a shell's for a process that ended
/// by SIGSEGV.
pub(crate) const FAULT: u8 = 139;

/// Where memory went, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the machine has.
    pub total: usize,
    /// What is mapped; the heap maps the rest when it needs it.
    pub mapped: usize,
    /// What the heap has to give, allocated or not.
    pub heap: usize,
    /// What is allocated from the heap.
    pub allocated: usize,
    /// What holds page tables that were made since boot.
    pub tables: usize,
    /// Allocations that are alive.
    pub allocations: usize,
    /// Allocations that could not be served.
    pub failures: usize,
}

/// A range of addresses that is mapped the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first address.
    pub start: usize,
    /// The first address behind it.
    pub end: usize,
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
}

/// Prints a line of the kernel's own. It never waits: what the console has no
/// room for is dropped and counted (rule K2).
pub(crate) fn line(text: fmt::Arguments<'_>) {
    line_to(console::Sink::Lossy, text);
}

/// Prints a line with control bytes escaped (rule K5).
fn line_to(sink: console::Sink, text: fmt::Arguments<'_>) {
    let mut sink = EscapeControls(sink);
    // The sink deals with what goes wrong.
    let _ = sink.write_fmt(text);
    let _ = sink.0.write_str("\n");
}

/// Says how the run ended, unless all is well.
fn last_line(sink: console::Sink, status: u8) {
    if status != 0 {
        line_to(sink, format_args!("xenith: exit status {status}"));
    }
}
