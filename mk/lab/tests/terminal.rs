//! What becomes of a terminal while keys go elsewhere: a pseudoterminal, and this test once more
//! as the program on it.

use std::fs::File;
use std::io::{Read, Write, stdin};
use std::os::fd::OwnedFd;
use std::panic;
use std::process::{Child, Command, Stdio, abort};

use lab::terminal::{Raw, restore};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OutputModes, Termios, tcgetattr, tcgetpgrp};

/// Says to this program that it is the one on the terminal, and how it is to end.
const ROLE: &str = "XENITH_TERMINAL";

/// A program on a terminal of its own.
struct Run {
    master: File,
    /// Keeps what the terminal is set to.
    slave: OwnedFd,
    /// What it was set to before the program began.
    before: Termios,
    child: Child,
}

impl Run {
    fn start(role: &str) -> Run {
        Run::start_in("exec \"$0\" --exact program --nocapture", role)
    }

    /// Starts a shell, whose script has the program as `$0`.
    fn start_in(script: &str, role: &str) -> Run {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        // It is the terminal's only session.
        let child = Command::new("setsid")
            .args(["--ctty", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .env(ROLE, role)
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Run { master: master.into(), slave, before, child }
    }

    /// Reads what the program says, up to `word`.
    fn read(&mut self, word: &str) {
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(word.as_bytes()) {
            self.master.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
    }

    fn settings(&self) -> Termios {
        tcgetattr(&self.slave).unwrap()
    }

    fn is_raw(&self) -> bool {
        let keys = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        self.settings().local_modes.intersection(keys).is_empty()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

#[test]
fn keys_pass_and_lines_are_shown_as_before() {
    let mut run = Run::start("drop");
    run.read("is raw\r\n");
    assert!(run.is_raw());
    assert!(run.settings().output_modes.contains(OutputModes::OPOST));
    run.master.write_all(b"\x03\x1a\x04\r").unwrap();
    run.read("[3, 26, 4, 13]\r\n");
    assert!(run.child.wait().unwrap().success());
    assert_eq!(run.settings().local_modes, run.before.local_modes);
    assert_eq!(run.settings().input_modes, run.before.input_modes);
}

#[test]
fn it_is_as_before_however_the_program_ends() {
    for (role, signal) in [
        ("panic", None),
        ("abort", None),
        ("exit", None),
        ("wait", Some(Signal::TERM)),
        ("wait", Some(Signal::HUP)),
        ("wait", Some(Signal::INT)),
        ("wait", Some(Signal::QUIT)),
    ] {
        let mut run = Run::start(role);
        run.read("is raw\r\n");
        assert!(run.is_raw(), "{role}");
        match signal {
            Some(signal) => run.signal(signal),
            None => run.master.write_all(b"abcd").unwrap(),
        }
        assert!(!run.child.wait().unwrap().success(), "{role}");
        assert_eq!(run.settings().local_modes, run.before.local_modes, "{role} {signal:?}");
    }
}

#[test]
fn it_is_raw_again_when_a_stopped_program_goes_on() {
    let mut run = Run::start("drop");
    run.read("is raw\r\n");
    for _ in 0..2 {
        run.signal(Signal::TSTP);
        let stopped = rustix::process::WaitOptions::UNTRACED;
        let child = Some(Pid::from_child(&run.child));
        let (_, status) = rustix::process::waitpid(child, stopped).unwrap().unwrap();
        assert!(status.stopped());
        assert!(!run.is_raw());
        run.signal(Signal::CONT);
        while !run.is_raw() {
            std::thread::yield_now();
        }
    }
    run.master.write_all(b"abcd").unwrap();
    assert!(run.child.wait().unwrap().success());
}

#[test]
fn a_job_that_ends_in_the_background_is_not_stopped() {
    let job = "set -m; \"$0\" --exact program --nocapture; bg; wait";
    let mut run = Run::start_in(job, "background");
    run.read("is raw\r\n");
    run.read("is over\r\n");
    assert!(!run.is_raw());
    assert!(run.child.wait().unwrap().success());
}

/// No test of its own: the program on the terminal.
#[test]
fn program() {
    let Ok(role) = std::env::var(ROLE) else { return };
    if role == "abort" {
        // As where panics abort, which those of tests do not.
        panic::set_hook(Box::new(|_| abort()));
    }
    let raw = Raw::new(true).unwrap();
    say("is raw\n");
    if role == "background" {
        kill_process(getpid(), Signal::TSTP).unwrap();
        while tcgetpgrp(stdin()).unwrap() == getpgrp() {
            std::thread::yield_now();
        }
        drop(raw);
        return say("is over\n");
    }
    let mut keys = [0; 4];
    stdin().read_exact(&mut keys).unwrap();
    match &*role {
        "panic" | "abort" => panic!("as asked"),
        "exit" => {
            restore();
            std::process::exit(1);
        }
        _ => say(&format!("{keys:?}\n")),
    }
    drop(raw);
}

fn say(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).unwrap();
}
