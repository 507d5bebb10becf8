//! `cargo mk bench busybox`: the tests of busybox, as a guest and on Linux.
//!
//! The same root, of Debian's package and of the tests from its source, runs in the app `linux`
//! and in dom0. What counts is that each test has the same verdict in both.

use super::verdicts::{BUSYBOX, Verdicts};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::disk::debian::Packages;
use crate::disk::{line, of_run};
use crate::ending::text;
use crate::image::xl;
use crate::project::Project;
use crate::ui::{Ui, out};
use anyhow::{Context, Result, bail, ensure};
use lab::{Disk, GuestSpec, Host};
use std::fs::{self, canonicalize};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs the tests of busybox, and compares the verdicts with those on Linux
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench busybox ./busybox-1.35.0 sed awk\n\nThe source is that of the \
version that Debian has: `apt-get source busybox`.\nThe exit status is 1 when a verdict differs."
)]
pub(super) struct Args {
    /// The folder with the source
    folder: PathBuf,
    /// The applets; without any, all whose tests need no mount
    #[arg(value_name = "APPLET")]
    names: Vec<String>,
}

/// The app that runs programs.
const APP: &str = "linux";
/// MiB of its domain.
const MIB: u32 = 320;
/// Time for all tests of a suite.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);
/// Where dom0 unpacks the root.
const ROOT: &str = "/tmp/suite";

/// What is installed: its shell has the others within itself.
const PACKAGES: &str = "debian:busybox-static";
/// How Debian has configured it says which tests are about it.
const CONFIGURATION: [&str; 2] = ["debian/config/os/linux", "debian/config/pkg/static"];

/// Puts what is needed of `source` into a folder that is laid over the root, with the script that
/// runs it for the applets `names`.
fn lay(source: &Path, folder: &Path, names: &str) -> Result<()> {
    let tests = source.join("testsuite");
    ensure!(tests.is_dir(), "there is no {}: is that the source?", tests.display());
    symlink(tests, folder.join("testsuite"))?;
    let parts = CONFIGURATION.iter().filter_map(|it| fs::read(source.join(it)).ok());
    fs::write(folder.join("config"), parts.collect::<Vec<_>>().concat())?;
    let script = format!(
        "mkdir -p /tmp/suite && cd /tmp/suite && cp /bin/busybox . && cp /suite/config .config\n\
         cp -r /suite/testsuite . && cd testsuite && rm -f mount.tests\n\
         bindir=/tmp/suite tsdir=/tmp/suite/testsuite sh ./runtest {names}\n"
    );
    fs::write(folder.join("run"), script)?;
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// When the root cannot be made, a host does not come up, or the tests do not end.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    let images = build::images(&project, &project.choose(&[APP.to_owned()])?, ui)?;
    let [image] = &images[..] else { bail!("{APP} was not built") };
    let mut options = boot::options(&project)?;
    let path = root(&project, args, ui)?;
    options.disks.push(Disk { path, read_only: true, sector: 512 });
    options.network = true;
    let host = Host::boot(&options, ui)?;
    ui.step("running the tests as a guest");
    let said = in_guest(&host, image)?;
    let ours = Verdicts::of(&said, BUSYBOX);
    ensure!(!ours.is_empty(), "the tests say nothing as a guest:\n{said}");
    ui.step("running them on Linux");
    let theirs = Verdicts::of(&in_dom0(&host)?, BUSYBOX);
    ui.done();
    host.shutdown()?;
    ensure!(!theirs.is_empty(), "the tests say nothing on Linux");
    let differs = ours.differences(&theirs);
    out(&format!("as a guest: {ours}\non Linux:   {theirs}\n{differs}"));
    Ok(u8::from(!differs.is_empty()))
}

/// Makes the archive of packages, tests and the script that runs them.
fn root(project: &Project, args: &Args, ui: &Ui) -> Result<PathBuf> {
    let source = canonicalize(&args.folder).with_context(|| args.folder.display().to_string())?;
    let over = tempfile::tempdir()?;
    let folder = over.path().join("suite");
    fs::create_dir(&folder)?;
    let names = args.names.join(" ");
    let plain = |c: char| c.is_ascii_alphanumeric() || " /_-.".contains(c);
    ensure!(names.chars().all(plain), "{names:?} are no names of tests");
    lay(&source, &folder, &names)?;
    let packages = Packages::parse(PACKAGES).context("no packages")?;
    packages.archive_with(project, of_run(project, "suite.tar")?, vec![over.path().into()], ui)
}

/// What the tests print as a guest.
fn in_guest(host: &Host, image: &Image) -> Result<String> {
    let overrides = vec![
        format!("memory={MIB}"),
        // The console is no file for tests that read what is typed.
        format!("extra={}", xl::quote("run=\"sh -c 'sh /suite/run </dev/null; exit 0'\"")),
        xl::list("disk", &[line("xvda", true, &Disk::in_dom0(0))]).context("no disk")?,
    ];
    let mut domain = host.create(&GuestSpec { overrides, ..GuestSpec::new(image.config()) })?;
    let end = domain.wait(PATIENCE, &mut |_| ())?.context("the tests did not end in time")?;
    Ok(text(&end.console))
}

/// What they print in dom0.
fn in_dom0(host: &Host) -> Result<String> {
    let script = format!(
        "mkdir {ROOT} && mount -t tmpfs tmpfs {ROOT} && cd {ROOT} && tar -xf {} || exit\n\
         mkdir -p proc dev sys tmp run && mount -t proc proc proc && mount -o bind /dev dev\n\
         mount -t tmpfs tmpfs tmp\n\
         chroot . /bin/sh /suite/run </dev/null 2>&1\n\
         umount tmp dev proc; cd /; umount {ROOT}; exit 0",
        Disk::in_dom0(0)
    );
    let output = host.shell_within(&script, PATIENCE)?.success()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
