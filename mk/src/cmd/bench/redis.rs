//! `cargo mk bench redis`: the tests of redis, with the server as a guest and on Linux.
//!
//! The tests are Tcl, and run in dom0 in a root of Debian's packages: against redis-server of that
//! root as a guest of the app `linux`, and against the same as a process of dom0. What counts is
//! that each test has the same verdict with both.

use super::verdicts::{REDIS, Verdicts};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::disk::debian::Packages;
use crate::disk::{line, of_run};
use crate::ending::text;
use crate::image::xl;
use crate::project::Project;
use crate::ui::{Ui, out};
use anyhow::{Context, Result, bail, ensure};
use lab::{Disk, Guest, GuestSpec, Host};
use std::fs::{self, canonicalize};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

/// Runs the tests of redis, and compares the verdicts with those on Linux
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench redis ./redis-7.0.15 unit/type/list unit/expire\n\nThe source is \
that of the version that Debian has: `apt-get source redis`.\nTests that start servers of their own \
are left out, as for any server that is elsewhere, and so are slow\nones. The exit status is 1 when a \
verdict differs."
)]
pub(super) struct Args {
    /// The folder with the source
    folder: PathBuf,
    /// The units, such as unit/expire; without any, all
    #[arg(value_name = "UNIT")]
    units: Vec<String>,
    /// Writes what the tests print to `guest.txt` and `linux.txt` in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// The app that runs programs.
const APP: &str = "linux";
/// MiB of its domain.
const MIB: u32 = 384;
/// Time for all tests, and for the server to come up.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
const START: Duration = Duration::from_secs(120);
/// Where dom0 unpacks the root.
const ROOT: &str = "/tmp/suite";
/// What is installed: the server, and what the tests and its clients need.
const PACKAGES: &str =
    "debian:redis-server,redis-tools,tcl8.6,dash,coreutils,grep,sed,procps,findutils";
/// The server, as redis' own workflow starts it for tests from elsewhere.
const SERVER: &str = "redis-server --save '' --dir /tmp --protected-mode no \
--enable-protected-configs yes --enable-debug-command yes --enable-module-command yes";
const PORT: u16 = 6379;

/// Runs the command.
///
/// # Errors
/// When the root cannot be made, a host or a server does not come up, or the tests do not end.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let units: String = args.units.iter().map(|it| format!(" --single {it}")).collect();
    ensure!(args.units.iter().all(|it| it.chars().all(plain)), "{:?} are no units", args.units);
    let project = Project::find()?;
    let images = build::images(&project, &project.choose(&[APP.to_owned()])?, ui)?;
    let [image] = &images[..] else { bail!("{APP} was not built") };
    let mut options = boot::options(&project)?;
    let path = root(&project, args, ui)?;
    options.disks.push(Disk { path, read_only: true, sector: 512 });
    options.network = true;
    let host = Host::boot(&options, ui)?;
    unpack(&host)?;
    ui.step("running the tests with a guest");
    let mut guest = guest(&host, image)?;
    let ip = guest.vifs().first().and_then(|it| it.ip.clone()).context("it has no address")?;
    let said = test(&host, &ip, &units)?;
    let ended = guest.wait(Duration::ZERO, &mut |_| ())?.is_some();
    let console = text(guest.console());
    keep(args, "guest.txt", &said)?;
    ensure!(!ended, "the guest has ended:\n{console}");
    drop(guest);
    let ours = Verdicts::of(&said, REDIS);
    ensure!(!ours.is_empty(), "the tests say nothing with a guest:\n{said}\n{console}");
    ui.step("running them on Linux");
    let start = format!("chroot {ROOT} {SERVER} >{ROOT}/tmp/log 2>&1 &");
    host.shell(&format!("ip link set lo up\n{start}"))?.success()?;
    let said = test(&host, "127.0.0.1", &units)?;
    keep(args, "linux.txt", &said)?;
    let theirs = Verdicts::of(&said, REDIS);
    ui.done();
    host.shutdown()?;
    ensure!(!theirs.is_empty(), "the tests say nothing on Linux:\n{said}");
    let differs = ours.differences(&theirs);
    out(&format!("as a guest: {ours}\non Linux:   {theirs}\n{differs}"));
    Ok(u8::from(!differs.is_empty()))
}

fn keep(args: &Args, name: &str, said: &str) -> Result<()> {
    let Some(folder) = &args.keep else { return Ok(()) };
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    crate::project::write(&folder.join(name), said.as_bytes())
}

/// Makes the archive of packages and tests.
fn root(project: &Project, args: &Args, ui: &Ui) -> Result<PathBuf> {
    let source = canonicalize(&args.folder).with_context(|| args.folder.display().to_string())?;
    let tests = source.join("tests");
    let is_it = tests.join("test_helper.tcl").is_file();
    ensure!(is_it, "there is no {}/test_helper.tcl: is that the source?", tests.display());
    let over = tempfile::tempdir()?;
    let folder = over.path().join("suite");
    fs::create_dir(&folder)?;
    symlink(tests, folder.join("tests"))?;
    let packages = Packages::parse(PACKAGES).context("no packages")?;
    packages.archive_with(project, of_run(project, "redis.tar")?, vec![over.path().into()], ui)
}

/// Unpacks it in dom0, where the tests' programs are expected.
fn unpack(host: &Host) -> Result<()> {
    let script = format!(
        "mkdir {ROOT} && mount -t tmpfs tmpfs {ROOT} && cd {ROOT} && tar -xf {} || exit\n\
         mkdir -p proc dev tmp suite/tests/tmp && mount -t proc proc proc && mount -o bind /dev dev\n\
         echo '127.0.0.1 localhost' >etc/hosts\n\
         ln -s /usr/bin suite/src",
        Disk::in_dom0(0)
    );
    host.shell_within(&script, START)?.success()?;
    Ok(())
}

/// Starts the server as a guest.
fn guest(host: &Host, image: &Image) -> Result<Guest> {
    let overrides = vec![
        format!("memory={MIB}"),
        format!("extra={}", xl::quote(&format!("run=\"{SERVER}\""))),
        xl::list("disk", &[line("xvda", true, &Disk::in_dom0(0))]).context("no disk")?,
    ];
    let mut domain = host.create(&GuestSpec { overrides, ..GuestSpec::new(image.config()) })?;
    let ready = |it: &[u8]| String::from_utf8_lossy(it).contains("Ready to accept connections");
    let up = domain.wait_for(START, &mut |it| ready(it))?;
    ensure!(up, "redis does not come up:\n{}", text(domain.console()));
    Ok(domain)
}

/// What the tests print of the server at `ip`.
fn test(host: &Host, ip: &str, units: &str) -> Result<String> {
    let script = format!(
        "cd {ROOT}; chroot . sh -c 'cd /suite; exec tclsh8.6 tests/test_helper.tcl --host {ip} \
         --port {PORT} --tags -slow --durable{units}' </dev/null 2>&1; exit 0"
    );
    let output = host.shell_within(&script, PATIENCE)?.success()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
