//! An app as a domain of the Xen host that this machine is.

use super::app::{App, check_memory, overrides};
use super::arguments;
use super::control::{self, Request};
use super::process::{code, wait};
use super::refused;
use super::watch::{Console, KEPT, headline, show};
use crate::cmd::build;
use crate::disk;
use crate::ending::{CRASH, TIMEOUT, exit_status};
use crate::image::xl;
use crate::project::{Guest, Project};
use crate::symbols::Latest;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Makes sure that this machine is a Xen host and that we may use it.
fn require_xl() -> Result<()> {
    let other = "`--on xen-qemu`, the default, takes no Xen host";
    let output = match Command::new("xl").arg("info").output() {
        Ok(output) => output,
        Err(_) => bail!("there is no `xl` here, so this is not a Xen host; {other}"),
    };
    ensure!(
        output.status.success(),
        "`xl info` fails, so this is not dom0 of a Xen host or you are not root; {other}\n{}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// Whether this Xen host has a domain of that name.
fn is_there(name: &str) -> bool {
    Command::new("xl").args(["domid", name]).output().is_ok_and(|it| it.status.success())
}

/// Runs the app on this Xen host.
pub(super) fn run(
    project: &Project,
    guest: &Guest,
    items: &[String],
    app: &App,
    timeout: Option<Duration>,
    ui: &Ui,
) -> Result<u8> {
    require_xl()?;
    let images = build::images(project, &[guest], ui)?;
    let image = images.first().context("no image")?;
    check_memory(image, app.memory)?;
    if let Err(why) = arguments::check(&image.manifest, items) {
        return Ok(refused(&why, ui));
    }
    let own_name = app.around.name.as_deref();
    let mut overrides = overrides(image, items, app.memory, own_name)?;
    let name = own_name.unwrap_or(&image.manifest.name);
    ensure!(
        !is_there(name),
        "this Xen host has a domain {name}: end it (`xl shutdown {name}`), or give this one another name by \
         --name"
    );
    let mut disks = disk::images(project, &image.manifest, &app.around.disk, 0, ui)?;
    // As long as this process follows the domain, which may go on; and before they are where another run of
    // that name looks.
    let _locked = disk::lock(&disks)?;
    disk::keep_for(name, project, &mut disks)?;
    let disks = disks.iter().map(|disk| {
        disk.check_whole()?;
        let path = disk.path.canonicalize().context("cannot find the disk's file")?;
        Ok(disk.xl(&path.display().to_string()))
    });
    overrides.extend(xl::list("disk", &disks.collect::<Result<Vec<_>>>()?));
    let symbols = Latest::new(image.symbols(project)?);
    let mut command = Command::new("xl");
    command.args(["create", "-c"]).arg(format!("{}.xl", image.name)).args(overrides);
    command.current_dir(&image.folder).stdout(Stdio::piped());
    ui.command(&command);
    let mut child = command.spawn().context("cannot run xl")?;
    let mut stdout = child.stdout.take().context("xl has no output")?;
    // What it prints goes to the user as it comes, and the last of it is kept for its end.
    let reader = thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        let mut console = Console::new(&symbols);
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            let text = console.text(&buffer[..count]);
            show(&text);
            all.extend(text);
            if all.len() > 2 * KEPT {
                all.drain(..all.len() - KEPT);
            }
        }
        all
    });
    let start = Instant::now();
    let Some(status) = wait(child, timeout)? else {
        let mut destroy = Command::new("xl");
        destroy.args(["destroy", name]);
        ui.command(&destroy);
        destroy.status().context("cannot run xl destroy")?;
        ui.note(&headline(
            &image.name,
            "timed out: still running at the time limit, and destroyed",
            TIMEOUT,
        ));
        return Ok(TIMEOUT);
    };
    let console = reader.join().unwrap_or_default();
    let after = start.elapsed().as_secs_f64();
    // `xl` waits for the domain's end in a process of its own, which writes down how that was.
    let log = fs::read_to_string(format!("/var/log/xen/xl-{name}.log"));
    let (what, code) = match (exit_status(&console), code(status), reason(&log.unwrap_or_default()))
    {
        (Some(code), ..) | (None, code @ 1.., _) => (format!("exit status {code}"), code),
        (None, _, Some(POWEROFF)) => ("powered off".into(), 0),
        (None, _, Some(reason)) if CRASHES.contains(&reason) => {
            (format!("crashed (xl says: reason code {reason})"), CRASH)
        }
        // It was destroyed, saved or restarted, or goes on without this console.
        (None, code, _) => ("the console closed".into(), code),
    };
    ui.note(&headline(&image.name, &format!("{what} after {after:.1} s"), code));
    Ok(code)
}

/// `SHUTDOWN_poweroff` of Xen's `public/sched.h`.
const POWEROFF: u32 = 0;

/// `SHUTDOWN_crash` and `SHUTDOWN_watchdog`.
const CRASHES: [u32; 2] = [3, 4];

/// The reason for which a domain shut down, as the process of `xl` that waits for that wrote it down.
fn reason(log: &str) -> Option<u32> {
    let line = log.lines().rev().find(|line| line.contains("has shut down, reason code "))?;
    line.rsplit_once("reason code ")?.1.split_whitespace().next()?.parse().ok()
}

/// Replaces the domain of an app, on this Xen host or of a run on Xen in QEMU, by a new image that
/// goes on with its service.
pub(crate) fn update(
    project: &Project,
    app: &str,
    items: &[String],
    memory: Option<u64>,
    ui: &Ui,
) -> Result<u8> {
    let on_xen = require_xl().is_ok();
    // On Xen in QEMU the run knows which app its guest is.
    let found = if on_xen { None } else { Some(control::find(project, app)?) };
    let known = found.as_ref().map_or_else(|| project.app_of(app), |it| &it.guest.app);
    let guest = *project.choose(&[known.to_owned()])?.first().context("no app")?;
    let images = build::images(project, &[guest], ui)?;
    let image = images.first().context("no image")?;
    check_memory(image, memory)?;
    if let Err(why) = arguments::check(&image.manifest, items) {
        return Ok(refused(&why, ui));
    }
    let overrides = overrides(image, items, memory, None)?;
    if let Some(found) = found {
        let [config, debug] = [image.config(), image.debug()].map(std::path::absolute);
        let (config, debug) = (config?, debug?);
        ui.step(&format!("replacing {}", found.guest.name));
        // It waits for no request as long as a build takes.
        let found = control::find(project, &found.exactly())?;
        found.ask(|guest| Request::Update { guest, config, debug, overrides }, ui)?;
        ui.done();
        ui.note(&headline(&image.name, "the new image serves", 0));
        return Ok(0);
    }
    // One of several has a number behind that.
    let name = image.manifest.name.clone() + &app[known.len()..];
    let mut command = Command::new("sh");
    command.args(["-c", lab::UPDATE, "update", &name]);
    command.arg(format!("{}.xl", image.name)).args(overrides);
    command.current_dir(&image.folder);
    ui.command(&command);
    let status = command.status().context("cannot run sh")?;
    let what = if status.success() { "the new image serves" } else { "not replaced" };
    ui.note(&headline(&image.name, what, code(status)));
    Ok(code(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_xl_says_how_a_domain_ended() {
        let log = |code| {
            format!(
                "Waiting for domain hello (domid 5) to die [pid 1912]\nDomain 5 has shut down, reason \
                 code {code} 0x{code:x}\nAction for shutdown reason code {code} is destroy\nDomain 5 \
                 needs to be cleaned up: destroying the domain\nDone. Exiting now\n"
            )
        };
        assert_eq!(reason(&log(0)), Some(POWEROFF));
        assert_eq!(reason(&log(3)), Some(3));
        assert_eq!(reason("Domain 5 has been destroyed.\n"), None);
        assert_eq!(reason(""), None);
    }
}
