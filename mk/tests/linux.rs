//! Apps with a network as processes of Linux, on a tap and by Linux's own sockets.

use std::path::Path;
use std::process::Command;

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
    } else if !runs("pkill", &["--version"]) {
        Some("there is no pkill (Debian's package procps)")
    } else {
        None
    }
}

#[test]
fn apps_serve_on_a_tap_and_by_sockets() {
    if let Some(what) = lacks() {
        eprintln!("skipped: {what}");
        return;
    }
    // Built before anything waits for them: how long that takes is nothing about the apps.
    for app in ["httpd", "ping"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-xenith"));
        let output = command.args(["run", app, "--on", "linux", "help"]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{app} cannot be built: {errors}");
    }
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
