//! An app as a process of this machine.

use super::app::App;
use super::process::{code, wait_passing};
use super::watch::headline;
use super::{arguments, refused, tap};
use crate::ending::TIMEOUT;
use crate::guest::{compile, messages};
use crate::image::elf::Elf;
use crate::image::manifest;
use crate::project::{Guest, Project, cargo, read};
use crate::ui::Ui;
use crate::{boot, disk};
use anyhow::{Context, Result, bail, ensure};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs the app as a process of this machine.
pub(super) fn run(
    project: &Project,
    guest: &Guest,
    items: &[String],
    app: &App,
    net: Option<&str>,
    timeout: Option<Duration>,
    ui: &Ui,
) -> Result<u8> {
    ensure!(
        app.memory.is_none(),
        "--memory works only with domains: a process takes what it needs"
    );
    for tap in net.iter().flat_map(|taps| taps.split(',')) {
        if let Err(why) = tap::check(tap) {
            return Ok(refused(&why, ui));
        }
    }
    // Compiling does not count as running.
    ui.step(&format!("building {}", guest.name));
    let mut command = Command::new(cargo());
    command.args(["build", "--package", &guest.package, "--bin", &guest.name]).args(messages(ui));
    command.current_dir(&project.root);
    let files = compile(command, &[&guest.name], ui)?;
    ui.done();
    let linked = read(&files[&guest.name])?;
    let manifest = manifest(&Elf::parse(&linked)?)?;
    if let Err(why) = arguments::check(&manifest, items) {
        return Ok(refused(&why, ui));
    }
    let mut command = match timeout {
        None => Command::new(cargo()),
        // Whatever ends this process asks the app for its end too.
        Some(_) => {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "TERM", "--"]).arg(cargo());
            command
        }
    };
    command.args(["run", "--quiet", "--package", &guest.package, "--bin", &guest.name]);
    command.current_dir(&project.root).arg("--").args(items);
    let disks = disk::images(project, &manifest, &app.around.disk, 0, ui)?;
    // What is in use is said as elsewhere; the app locks them itself.
    drop(disk::lock(&disks)?);
    for image in disks {
        let path = image.path.canonicalize().context("cannot find the disk's file")?;
        // Read by `devices`, block/file.rs there.
        command.env(format!("XENITH_DISK_{}", image.vdev), path);
        if image.read_only {
            command.env(format!("XENITH_DISK_{}_READ_ONLY", image.vdev), "1");
        }
    }
    // Read by `devices`, net/tap.rs there.
    command.env("XENITH_NET", net.unwrap_or_default());
    ui.command(&command);
    let Some(timeout) = timeout else {
        // This process becomes cargo, and cargo the app: signals and the status are the app's own.
        boot::pass_on()?;
        bail!("cannot run cargo: {}", command.exec());
    };
    let start = Instant::now();
    let Some(status) = wait_passing(command, timeout)? else {
        ui.note(&headline(
            &guest.name,
            "timed out: still running at the time limit, and killed",
            TIMEOUT,
        ));
        return Ok(TIMEOUT);
    };
    let code = code(status);
    let after = start.elapsed().as_secs_f64();
    let what = if code == 0 { "ended well".into() } else { format!("exit status {code}") };
    ui.note(&headline(&guest.name, &format!("{what} after {after:.1} s"), code));
    Ok(code)
}
