//! Processes of this machine, and how they end.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::stdin;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
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

/// How long it may take to send a signal to all processes of a group, one by one.
const ONE_BY_ONE: Duration = Duration::from_millis(500);

/// Runs a process, which is ended when it takes too long. It gets the requests to end that this one gets,
/// and each kind of them once: a second one would end it at once.
pub(super) fn wait_passing(mut command: Command, timeout: Duration) -> Result<Option<ExitStatus>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    // What is typed reaches the group that has the terminal, and nobody else in the background.
    let has_terminal = tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp());
    if !has_terminal {
        command.process_group(0);
    }
    let program = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let id = Pid::from_child(&child);
    let mut witness = Witness::of((!has_terminal).then_some(id)).ok();
    // What came, when, and whether it was passed on.
    let mut asked: Vec<(Signal, Instant, bool)> = Vec::new();
    wait_for(&mut child, timeout, || {
        for signal in signals.pending().filter_map(Signal::from_named_raw) {
            if asked.iter().all(|it| it.0 != signal) {
                asked.push((signal, Instant::now(), false));
            }
        }
        for (signal, since, done) in &mut asked {
            if *done || since.elapsed() < ONE_BY_ONE {
                continue;
            }
            *done = true;
            if !witness.as_mut().is_some_and(|it| it.has_seen(*signal)) {
                // It may have ended meanwhile.
                let _ = kill_process(id, *signal);
            }
        }
    })
}

/// A process that goes by each signal, in the group and the control group of another one: by its end it is
/// known that a signal was for all of those, and so for the other one too.
struct Witness(Child);

impl Witness {
    /// Starts one, in `group` or in that of this process.
    fn of(group: Option<Pid>) -> Result<Self> {
        let mut command = Command::new("cat");
        if let Some(group) = group {
            command.process_group(group.as_raw_pid());
        }
        // Its input ends with this process, however that ends.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    fn has_seen(&mut self, signal: Signal) -> bool {
        let status = self.0.try_wait().ok().flatten();
        status.is_some_and(|status| status.signal() == Some(signal.as_raw()))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::kill_process_group;

    #[test]
    fn a_process_has_an_exit_status_in_the_shell_s_way() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(6)), 134);
    }

    #[test]
    fn a_witness_goes_by_the_signal_that_its_group_gets() {
        let mut leader = Command::new("cat");
        leader.process_group(0).stdin(Stdio::piped());
        let mut leader = leader.spawn().unwrap();
        let group = Pid::from_child(&leader);
        let mut witness = Witness::of(Some(group)).unwrap();
        assert!(!witness.has_seen(Signal::TERM));
        kill_process_group(group, Signal::TERM).unwrap();
        assert_eq!(leader.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
        let start = Instant::now();
        while !witness.has_seen(Signal::TERM) {
            assert!(start.elapsed() < Duration::from_secs(10));
            thread::sleep(POLL);
        }
        assert!(!witness.has_seen(Signal::INT));
    }
}
