//! Processes of this machine, and how they end.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use std::io::stdin;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// A process's exit status in a shell's way.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Waits for a process; one that takes too long is ended.
pub(super) fn wait(mut child: Child, timeout: Option<Duration>) -> Result<Option<ExitStatus>> {
    match timeout {
        Some(timeout) => wait_for(&mut child, timeout, || ()),
        None => Ok(Some(child.wait()?)),
    }
}

/// How often it is looked for the end of a process.
const POLL: Duration = Duration::from_millis(20);

fn wait_for(
    child: &mut Child,
    timeout: Duration,
    mut meanwhile: impl FnMut(),
) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < timeout {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        meanwhile();
        thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Runs a process, which is ended when it takes too long. It gets the requests to end that this one gets,
/// and each of them once: a second one would end it at once.
pub(super) fn wait_passing(mut command: Command, timeout: Duration) -> Result<Option<ExitStatus>> {
    let mut signals = SignalsInfo::<WithRawSiginfo>::new([SIGINT, SIGTERM])?;
    // What is typed reaches the group that has the terminal. Elsewhere, what is sent to a whole group
    // reaches this process alone.
    let has_terminal = tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp());
    if !has_terminal {
        command.process_group(0);
    }
    let program = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let id = Pid::from_child(&child);
    wait_for(&mut child, timeout, || {
        for signal in signals.pending() {
            // Above 0 it is the kernel's, for a key: that the process got as well.
            let typed = has_terminal && signal.si_code > 0;
            if !typed && let Some(signal) = Signal::from_named_raw(signal.si_signo) {
                // It may have ended meanwhile.
                let _ = kill_process(id, signal);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_an_exit_status_in_the_shell_s_way() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(6)), 134);
    }
}
