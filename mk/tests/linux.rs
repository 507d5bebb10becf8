//! Apps with a network as processes of Linux, on a tap and by Linux's own sockets.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Why this machine cannot run the test, if it cannot.
fn lacks() -> Option<&'static str> {
    let runs = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !Path::new("/dev/net/tun").exists() {
        Some("there is no /dev/net/tun (modprobe tun)")
    } else if !runs("unshare", &["--net", "--mount", "--pid", "--fork", "true"]) {
        Some("no network namespace can be made: that takes root")
    } else if !runs("curl", &["--version"]) {
        Some("there is no curl")
    } else if !runs("ip", &["-V"]) {
        Some("there is no ip (Debian's package iproute2)")
    } else {
        None
    }
}

/// Builds apps before anything waits for them: how long that takes is nothing about the apps.
fn build(apps: &[&str]) {
    for app in apps {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-xenith"));
        let output = command.args(["run", app, "--on", "linux", "help"]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{app} cannot be built: {errors}");
    }
}

/// Waits for a minute at most.
fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(50));
    }
}

fn ended(run: &mut Child) -> ExitStatus {
    soon("the command does not end", || run.try_wait().unwrap())
}

/// `cargo mk run httpd` as a process of Linux, which ends with this value.
struct Httpd {
    run: Child,
    port: u16,
}

impl Httpd {
    /// Starts it, and waits until it has answered a client: it takes requests to end by then.
    fn start(limit: Option<&str>, what: &str) -> Self {
        // Free a moment ago.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-xenith"));
        command.args(["run", "httpd", &format!("port={port}"), "--on", "linux"]);
        command.args(limit.into_iter().flat_map(|limit| ["--timeout", limit]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let httpd = Self { run: command.spawn().unwrap(), port };
        let answers = || {
            let mut client = httpd.connect()?;
            client.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
            let mut answer = String::new();
            client.read_to_string(&mut answer).ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        };
        soon(&format!("{what}: it does not answer"), answers);
        httpd
    }

    fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()
    }

    /// All processes that it is made of.
    fn processes(&self) -> Vec<Pid> {
        let mut all = vec![Pid::from_child(&self.run)];
        let mut next = 0;
        while let Some(process) = all.get(next).map(|it| it.as_raw_pid()) {
            let of = format!("/proc/{process}/task/{process}/children");
            let children = fs::read_to_string(of).unwrap_or_default();
            all.extend(
                children.split_whitespace().filter_map(|it| Pid::from_raw(it.parse().ok()?)),
            );
            next += 1;
        }
        all
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        // It has ended as a rule.
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

#[test]
fn what_ends_the_command_ends_its_app() {
    build(&["httpd"]);
    for (limit, signal, status) in [
        (None, Signal::TERM, Some(0)),
        (None, Signal::INT, Some(0)),
        (Some("300"), Signal::TERM, Some(0)),
        (Some("300"), Signal::INT, Some(0)),
        (Some("300"), Signal::KILL, None),
        (Some("300"), Signal::HUP, None),
    ] {
        let what = format!("{signal:?}, --timeout {limit:?}");
        let mut httpd = Httpd::start(limit, &what);
        kill_process(Pid::from_child(&httpd.run), signal).unwrap();
        let ended = ended(&mut httpd.run);
        assert_eq!(ended.code(), status, "{what}: {ended}");
        // Where the status is the app's, the port is free by then.
        let gone = || httpd.connect().is_none().then_some(());
        match status {
            Some(_) => assert_eq!(gone(), Some(()), "{what}: the app goes on"),
            None => soon(&format!("{what}: the app goes on"), gone),
        }
    }
}

#[test]
fn what_all_processes_of_a_command_get_its_app_gets_once() {
    build(&["httpd"]);
    // As systemd ends a service, and for as long as a client keeps the app from its end.
    for signal in [Signal::TERM, Signal::INT] {
        let what = format!("{signal:?} for all");
        let mut httpd = Httpd::start(Some("300"), &what);
        let mut client = httpd.connect().unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        // The app has this client once it has answered.
        assert!(client.read(&mut [0; 4096]).unwrap() > 0, "{what}");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
        let mut processes = httpd.processes();
        // Those last that wait for others.
        processes.reverse();
        assert!(processes.len() > 1, "{what}: {processes:?}");
        for process in processes {
            // It may go with another one.
            let _ = kill_process(process, signal);
        }
        sleep(Duration::from_secs(1));
        assert_eq!(httpd.run.try_wait().unwrap(), None, "{what}: it waits for no client");
        client.write_all(b"\r\n").unwrap();
        drop(client);
        let ended = ended(&mut httpd.run);
        assert_eq!(ended.code(), Some(0), "{what}: {ended}");
    }
}

#[test]
fn apps_serve_on_a_tap_and_by_sockets() {
    if let Some(what) = lacks() {
        eprintln!("skipped: {what}");
        return;
    }
    build(&["httpd", "ping"]);
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/linux.sh"))
        .env("MK", env!("CARGO_BIN_EXE_cargo-xenith"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.ends_with("done\n"), "{text}\n{errors}");
}
