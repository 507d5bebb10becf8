//! The machine beneath: a Xen PV domain, or a Linux process that plays the
//! part of one. Both offer the same functions:
//!
//! * `command_line`: the app's arguments
//! * `monotonic`: ns of a clock that may step back a little between readings
//! * `idle`: waits until a device or the clock may have something new
//! * `exit`: the end
//! * `console`: the byte streams that every machine has, before any device
//! * `__entry!`: how the app's `run` is started

#[cfg(not(target_os = "xen"))]
mod linux;
#[cfg(target_os = "xen")]
mod xen;

#[cfg(not(target_os = "xen"))]
use linux as here;
#[cfg(target_os = "xen")]
use xen as here;

pub use here::{console, start};
pub(crate) use here::{idle, monotonic};

use crate::args::{Args, Help};
use crate::exit::Exit;
use crate::text::EscapeControls;
use core::fmt::{self, Display, Write};

/// The arguments of this start.
///
/// # Errors
/// The exit status when they make no sense, or when the user only asked for help.
pub fn args(help: &Help) -> Result<Args, Exit> {
    let args = here::command_line().and_then(Args::new).map_err(|error| usage(&error))?;
    if args.wants_help() {
        help.print(line);
        return Err(Exit::SUCCESS);
    }
    Ok(args)
}

/// Says what is wrong with the arguments or the devices.
pub fn usage(error: &dyn Display) -> Exit {
    line(format_args!("error: {error} (the argument `help` lists what there is)"));
    Exit::USAGE
}

/// Prints a line of the kernel's own. It never waits: what the console has no
/// room for is dropped and counted (rule K2).
pub fn line(text: fmt::Arguments<'_>) {
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
