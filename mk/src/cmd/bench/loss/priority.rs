//! Who goes first on a busy machine.
//!
//! Linux's TCP runs where the kernel hands frames over, which no program keeps waiting; ours runs
//! in the server's process, and stands still whenever others have the processors. So whoever is
//! measured goes before the rest of the machine, with either stack, and the cable before those.

use rustix::process::{Pid, setpriority_process};
use std::process::Command;

/// How urgent it is, as a priority of SCHED_FIFO (sched(7)).
#[derive(Clone, Copy, Debug)]
pub(super) enum Urgency {
    /// The server and the client.
    End = 1,
    /// The cable between them.
    Cable = 2,
}

/// Lets a process or a thread, and those that it starts from now on, go before others. Nothing
/// happens where the user has no right to that: figures of a busy machine vary more then.
pub(super) fn raise(which: Pid, urgency: Urgency) {
    let _ = setpriority_process(Some(which), -15);
    let (priority, which) = ((urgency as u8).to_string(), which.as_raw_nonzero().to_string());
    let _ = Command::new("chrt").args(["--fifo", "--pid", &priority, &which]).output();
}
