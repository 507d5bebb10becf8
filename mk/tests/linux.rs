//! Apps with a network as processes of Linux, on a tap and by Linux's own sockets.

use rustix::process::{Pid, Signal, kill_process};
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
        // Free a moment ago.
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-xenith"));
        command.args(["run", "httpd", &format!("port={port}"), "--on", "linux"]);
        command.args(limit.into_iter().flat_map(|limit| ["--timeout", limit]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        drop(soon(&format!("{what}: it does not listen"), connect));
        kill_process(Pid::from_child(&run), signal).unwrap();
        let ended = ended(&mut run);
        assert_eq!(ended.code(), status, "{what}: {ended}");
        // Where the status is the app's, the port is free by then.
        let gone = || connect().is_none().then_some(());
        match status {
            Some(_) => assert_eq!(gone(), Some(()), "{what}: the app goes on"),
            None => soon(&format!("{what}: the app goes on"), gone),
        }
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
