//! The machine beneath: a Xen PV domain, or a Linux process that plays the
//! part of one. Both offer the same functions:
//!
//! * `command_line`, `raw_arguments`: the app's arguments
//! * `monotonic`, `wall_clock`: the clocks
//! * `queue`, `ready`, `timers`: the tasks that are ready, and those that wait for a moment
//! * `look`, `idle`: for news from devices, without and with waiting
//! * `start`: runs the app, and ends
//! * `console`: the byte streams that every machine has, before any device
//! * `memory_stats`, `memory_left`, `mappings`: what memory is used for
//! * `manifest`: the text of the program's manifest
//! * `hardware_seed`, `jitter`: what randomness is made of
//! * `ending`: how far the machine is from its end
//! * `start_watchdog`: ends a machine whose tasks never await
//! * `__entry!`: how the app's `run` is started
//!
//! Linux has two more, which devices of a process stand on: `watch`, file descriptors
//! that tasks wait for, and `tap`.

#[cfg(not(target_os = "xen"))]
mod linux;
#[cfg(target_os = "xen")]
mod xen;

#[cfg(not(target_os = "xen"))]
use linux as here;
#[cfg(target_os = "xen")]
use xen as here;

#[cfg(target_os = "xen")]
pub use here::open_store;
pub use here::{console, start};
#[cfg(target_os = "xen")]
pub(crate) use here::{end_for, set_reason};
pub(crate) use here::{
    ending, hardware_seed, idle, jitter, look, manifest, mappings, memory_left, memory_stats,
    monotonic, queue, ready, start_watchdog, timers, wall_clock,
};
#[cfg(not(target_os = "xen"))]
pub(crate) use here::{simulate_memory, simulate_randomness, simulate_time};
#[cfg(not(target_os = "xen"))]
pub use here::{tap, watch};

use crate::args::{Args, Help};
use crate::common;
use crate::exit::{Exit, usage};
use crate::text::EscapeControls;
use core::fmt::{self, Write};

/// The arguments of this start.
///
/// # Errors
/// The exit status when they make no sense, or when the user only asked for help.
pub fn args(help: &Help) -> Result<Args, Exit> {
    let mut args = here::command_line().and_then(Args::new).map_err(|error| usage(&error))?;
    if args.wants_help() {
        help.print(line);
        common::print(line);
        return Err(Exit::SUCCESS);
    }
    common::settle(&mut args).map_err(|error| usage(&error))?;
    Ok(args)
}

/// The arguments of an app that takes none.
///
/// # Errors
/// The exit status when there are some; asking for help is well.
pub fn no_args(help: &Help) -> Result<Args, Exit> {
    let given = here::raw_arguments();
    if given.is_empty() {
        return Ok(Args::default());
    }
    help.print(line);
    Err(if given == b"help" { Exit::SUCCESS } else { Exit::USAGE })
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
fn last_line(sink: console::Sink, exit: Exit) {
    if exit != Exit::SUCCESS {
        line_to(sink, format_args!("xenith: exit status {}", exit.0));
    }
}
