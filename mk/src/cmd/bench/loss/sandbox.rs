//! Namespaces for all that is measured: nothing of it is seen outside, and nothing of it is left.

use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;
use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What runs something in namespaces of its own: of the network, so that this machine's stays as
/// it is; of processes, so that the kernel ends those that are left; of users, for who is not root.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--");
    command
}

/// Makes sure that there are rights and programs for it.
///
/// # Errors
/// When there are not, with a remedy.
pub(super) fn check() -> Result<()> {
    for (program, from) in [("unshare", "util-linux"), ("ip", "iproute2")] {
        let there = Command::new(program).arg("-V").output().is_ok();
        ensure!(there, "there is no `{program}`: install {from}");
    }
    File::options().read(true).write(true).open("/dev/net/tun").context(
        "no rights to /dev/net/tun, by which a program is a network interface (modprobe tun; in a \
         container, --device /dev/net/tun)",
    )?;
    let mut command = unshare();
    let makes = "ip link add br0 type bridge && ip tuntap add tap0 mode tap";
    let output = command.args(["sh", "-c", makes]).output()?;
    if !output.status.success() {
        let remedy = if geteuid().is_root() {
            "in a container, give it --privileged"
        } else {
            "run it as root, or let users make namespaces: sysctl \
             kernel.apparmor_restrict_unprivileged_userns=0 kernel.unprivileged_userns_clone=1, \
             whichever there is"
        };
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("no rights to make network namespaces ({why}): {remedy}");
    }
    Ok(())
}

/// Returns where this program is. A check builds it anew while it runs, in its place: Linux then
/// says that it was deleted, and what stands there now is the same program.
fn this_program() -> Result<PathBuf> {
    let path = env::current_exe().context("cannot find this program")?;
    Ok(match path.to_string_lossy().strip_suffix(" (deleted)") {
        Some(again) if !path.exists() => PathBuf::from(again),
        _ => path,
    })
}

/// Runs this program with these words in namespaces of its own: what it says.
///
/// # Errors
/// When it fails.
pub(super) fn run(words: &[&str], ui: &Ui) -> Result<String> {
    let mut command = unshare();
    command.arg(this_program()?).args(words);
    // Its end of the pipe ends with this process, however that does.
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    ui.command(&command);
    let mut child = command.spawn().context("cannot run unshare")?;
    let alive = child.stdin.take();
    let mut said = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut said)?;
    let status = child.wait()?;
    drop(alive);
    ensure!(status.success(), "the process in the namespaces failed, see above");
    Ok(said)
}
