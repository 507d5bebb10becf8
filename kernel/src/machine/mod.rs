//! Abstracts the machine: a Xen PV domain, or a Linux process in its place.
//!
//! The public items are for drivers. [`console`] transfers bytes to and from the console, which
//! every machine has before any device. On Linux, `watch` lets tasks wait for file descriptors,
//! and `ioctl` makes the system calls that have no safe function. Apps need none of this.
//!
//! This module imports nothing of the rest of the kernel (tasks, time, arguments). Both machines
//! offer the kernel the same functions, which take and return numbers, bytes and wakers:
//!
//! * `monotonic`, `wall_clock`: the clocks, in ns and as the time since 1970
//! * `poll_events`, `idle`: wake tasks for which there are events, now or after waiting
//! * `local!`: declares a static of which every machine has its own
//! * `line`, `end`: print a line of the kernel's own, and end with a status
//! * `raw_arguments`, `command_line`, `manifest`: the arguments and the manifest of the program
//! * `memory_stats`, `memory_left`, `mappings`: the use of memory
//! * `is_spent`: whether a test says that there is no memory at all
//! * `hardware_seed`, `jitter`: sources of randomness
//! * `start_avx`: enables the wider registers of the processor
//! * `start_watchdog`: ends a machine whose tasks never await
//! * `offer_suspend`, `suspend`: be saved, and go on as another domain; on Xen alone
//! * `__entry!`: defines the entry of the program, and its stack if it asks for one

#[cfg(not(target_os = "xen"))]
mod linux;
pub(crate) mod program;
#[cfg(target_os = "xen")]
mod xen;

#[cfg(not(target_os = "xen"))]
use linux as here;
#[cfg(target_os = "xen")]
use xen as here;

pub use here::console;
#[cfg(not(target_os = "xen"))]
pub(crate) use here::play;
#[cfg(target_os = "xen")]
pub(crate) use here::{Local, offer_suspend, open_store, set_shutdown_reason, shut_down, suspend};
pub(crate) use here::{
    command_line, end, hardware_seed, idle, is_spent, jitter, local, manifest, mappings,
    memory_left, memory_stats, monotonic, poll_events, raw_arguments, start_avx, start_watchdog,
    user, wall_clock,
};
#[cfg(not(target_os = "xen"))]
pub use here::{enter, ioctl, watch};
#[cfg(not(target_os = "xen"))]
pub(crate) use here::{simulate_memory, simulate_memory_use, simulate_randomness, simulate_time};

use crate::text::EscapeControls;
use core::fmt::{self, Write};

/// The exit status after a panic: that of a Rust process.
pub(crate) const PANIC: u8 = 101;

/// The exit status after an exception of the processor: that of a shell for a process that SIGSEGV
/// ended.
pub(crate) const FAULT: u8 = 139;

/// Reports the use of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Memory of the machine.
    pub total: usize,
    /// Memory that is mapped. The heap maps the rest when it needs it.
    pub mapped: usize,
    /// Size of the heap, with what is free in it.
    pub heap: usize,
    /// Memory that is allocated from the heap.
    pub allocated: usize,
    /// Page tables that were made since boot.
    pub tables: usize,
    /// Number of allocations that are not freed.
    pub allocations: usize,
    /// Number of allocations that failed, since boot.
    pub failures: usize,
}

/// Describes a range of mapped addresses with equal protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first address.
    pub start: usize,
    /// The first address after it.
    pub end: usize,
    /// Whether it is writable.
    pub write: bool,
    /// Whether it is executable.
    pub execute: bool,
}

/// Prints a line of the kernel's own. Never waits: what the console has no room for is dropped and
/// counted (rule K2).
pub(crate) fn line(text: fmt::Arguments<'_>) {
    line_to(console::Sink::Lossy, text);
}

/// Prints a line with control bytes escaped (rule K5).
fn line_to(sink: console::Sink, text: fmt::Arguments<'_>) {
    let mut sink = EscapeControls(sink);
    // The sink never fails.
    let _ = sink.write_fmt(text);
    let _ = sink.0.write_str("\n");
}

/// Prints the exit status, unless it is 0.
fn last_line(sink: console::Sink, status: u8) {
    if status != 0 {
        line_to(sink, format_args!("xenith: exit status {status}"));
    }
}
