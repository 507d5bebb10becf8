//! `cargo mk bench linux`: what a program pays as a guest, beside Linux.
//!
//! The same binary, `linux/costs.c`, runs in the app `linux` and in dom0, which is Linux as a
//! paravirtualised guest of the same Xen. What it says of itself is instructions where they are
//! counted, Xen's for it included, and else time. [`servers`] compares servers of Debian's.

mod least;
mod servers;

use super::figures::{Figures, figure, figures};
use super::hosts::Hosts;
use super::versus::{Aim, Better, Comparison, Report, Row, Sample, number};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::disk;
use crate::ending::{Ending, text};
use crate::image::xl;
use crate::program::compiled;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use lab::{GuestSpec, Host};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// Compares with Linux
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench linux --counted --only touch\n\nInstructions are \
counted by QEMU, Xen's work for the program included."
)]
pub(super) struct Args {
    #[command(flatten)]
    report: Report,
    /// Compares redis and nginx with themselves on Linux as a guest, instead of system calls
    #[arg(long, conflicts_with = "memory")]
    servers: bool,
    /// Looks for the least memory in which programs run, instead
    #[arg(long)]
    memory: bool,
}

impl Args {
    /// A few of the calls, and neither starts nor memory, for which guests are created.
    pub(super) const fn brief() -> Self {
        Self { report: Report::brief(), servers: false, memory: false }
    }

    /// One of the loads, at ours alone.
    pub(super) const fn brief_servers() -> Self {
        Self { report: Report::brief(), servers: true, memory: false }
    }
}

/// The app that runs programs.
const APP: &str = "linux";
/// What is measured from within: as the program calls it, what it is, and what it may take.
const COSTS: &[(&str, &str, Aim)] = &[
    ("call", "a call that does nothing (getppid)", Aim::Figure(1_100.0)),
    ("clock", "clock_gettime by the vDSO", Aim::Figure(120.0)),
    ("read_byte", "read a byte of /dev/zero", Aim::Figure(1_347.0)),
    ("read_page", "read 4 KiB of /dev/zero", Aim::Ratio(1.0)),
    ("touch", "first touch of a page", Aim::Figure(4_500.0)),
    ("touch_file", "first touch of a page of a file", Aim::Figure(5_000.0)),
    ("protect", "mprotect a page", Aim::Ratio(1.0)),
    ("unmap", "munmap a page", Aim::Ratio(1.0)),
    ("pipe", "write a byte to a pipe and read it", Aim::Ratio(1.0)),
    ("pipe_threads", "to another thread and back, by pipes", Aim::Ratio(1.0)),
    ("futex_threads", "to another thread and back, by a futex", Aim::Ratio(1.0)),
    ("thread", "pthread_create and pthread_join", Aim::Ratio(1.0)),
    ("fork_exit", "fork, exit, wait", Aim::Ratio(1.0)),
    ("fork_exec", "fork, exec, exit, wait", Aim::Ratio(1.0)),
    ("spawn", "posix_spawn, exit, wait", Aim::Ratio(1.0)),
];
/// What is measured in brief.
const BRIEF: [&str; 3] = [CALL, "touch", "pipe_threads"];
/// What is measured once more with page tables that Xen switches on each entry.
const CALL: &str = "call";
/// What costs are called that are not the program's.
const START: &str = "from unpause to the domain's end, a program that ends at once";
const IMAGE: &str = "image for all programs";
/// Where the program is, in dom0 and in the guest.
const PROGRAM: &str = "/bin/costs";
/// The disk of the guest, in dom0.
const ROOT: &str = "/tmp/bench-linux.tar";
/// MiB of the guest that is measured.
const MIB: u64 = 64;
/// Time for all that the program measures.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the command.
///
/// # Errors
/// When a host does not come up or a guest does not work.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    measure(&args.report.optimize.project()?, args, &mut Hosts::own(ui))?.report(&args.report)?;
    Ok(0)
}

/// Measures on hosts of `hosts`.
///
/// # Errors
/// As [`run`].
pub(super) fn measure(project: &Project, args: &Args, hosts: &mut Hosts<'_>) -> Result<Comparison> {
    let (ui, report) = (hosts.ui, &args.report);
    let images = build::images(project, &project.choose(&[APP.to_owned()])?, ui)?;
    let [image] = &images[..] else { bail!("{APP} was not built") };
    if args.servers {
        return Ok(Comparison {
            title: "Debian's redis and nginx as guests on one Xen host: on Xenith and on Linux",
            about: "clients in dom0; QEMU without KVM".into(),
            rows: servers::rows(project, image, report, hosts)?,
            counters: Vec::new(),
            notes: Vec::new(),
        });
    }
    if args.memory {
        let (rows, notes) = least::rows(project, image, report, ui)?;
        return Ok(Comparison {
            title: "The least memory of Linux programs as guests of Xenith",
            about: "the domain's, in steps of 1 MiB".into(),
            rows,
            counters: Vec::new(),
            notes,
        });
    }
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("costs.c");
    fs::write(&source, include_str!("linux/costs.c"))?;
    let program = compiled(&source)?;
    let mut options = boot::options(project)?;
    options.network = true;
    let mut rows = Vec::new();
    let rounds = if report.quick { 100 } else { 1000 };
    let clocks: &[bool] = if report.counted || report.brief { &[true] } else { &[false, true] };
    for &icount in clocks {
        options.icount = icount;
        rows.extend(hosts.with(&options, |host| {
            install(host, &program)?;
            let mut rows = costs(host, image, (rounds, icount), report, ui)?;
            if icount && !report.brief {
                rows.extend(starts(host, image, report, ui)?);
            }
            Ok(rows)
        })?);
    }
    // Those that are shared were booted without.
    if !report.brief && report.wants(CALL) {
        options.xen = vec!["xpti=dom0,domu".to_owned()];
        let [ours, theirs] = hosts.with(&options, |host| {
            install(host, &program)?;
            ui.step("counting instructions under XPTI");
            let arguments = format!("{rounds} {CALL}");
            Ok([in_guest(host, image, &arguments)?, in_dom0(host, &arguments)?])
        })?;
        let name = format!("{CALL}_ns");
        let what = format!("{} under XPTI", COSTS[0].1);
        let samples = (sample(figure(&ours, &name)?), theirs.get(&name).and_then(|it| sample(*it)));
        rows.push(row(what, "instr.", samples, Aim::Ratio(1.0)));
    }
    if report.wants(IMAGE) {
        let size = sample(image.report.size as f64);
        rows.push(row(IMAGE.into(), "bytes", (size, None), Aim::Figure(480.0 * 1024.0)));
    }
    Ok(Comparison {
        title: "A Linux program as a guest of Xenith, and on Linux",
        about: format!(
            "the same static binary in a guest of {MIB} MiB and in dom0, on one Xen host; QEMU without KVM"
        ),
        rows,
        counters: Vec::new(),
        notes: Vec::new(),
    })
}

fn sample(value: f64) -> Option<Sample> {
    Sample::of(vec![value])
}

/// A cost, of ours and of Linux.
fn row(
    what: String,
    unit: &'static str,
    (xenith, linux): (Option<Sample>, Option<Sample>),
    aim: Aim,
) -> Row {
    Row { what, unit, better: Better::Less, xenith, linux, aim: Some(aim) }
}

/// Brings the program to dom0, by itself and in a root for guests.
fn install(host: &Host, program: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(PROGRAM.trim_start_matches('/'));
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(&path, program)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    host.upload(&disk::packed(folder.path())?, ROOT)?;
    host.upload(program, PROGRAM)?;
    host.shell(&format!("chmod 755 {PROGRAM}"))?.success()?;
    Ok(())
}

/// What the program says of itself in both, each in `rounds` rounds, by instructions or by time.
fn costs(
    host: &Host,
    image: &Image,
    (rounds, icount): (u32, bool),
    report: &Report,
    ui: &Ui,
) -> Result<Vec<Row>> {
    let is_wanted = |name: &str, what: &str| {
        if report.brief { BRIEF.contains(&name) } else { report.wants(what) }
    };
    let wanted: Vec<_> = COSTS.iter().filter(|(name, what, _)| is_wanted(name, what)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let names = wanted.iter().map(|(name, ..)| format!(" {name}"));
    let arguments = format!("{rounds}{}", names.collect::<String>());
    let how = if icount { "counting instructions" } else { "measuring times" };
    ui.step(&format!("{how} in a guest"));
    let ours = in_guest(host, image, &arguments)?;
    ui.step(&format!("{how} in dom0"));
    let theirs = in_dom0(host, &arguments)?;
    let unit = if icount { "instr." } else { "ns" };
    let rows = wanted.into_iter().map(|(name, what, aim)| {
        let name = format!("{name}_ns");
        let samples = (sample(figure(&ours, &name)?), sample(figure(&theirs, &name)?));
        // It takes long: what is known is told at once.
        let told = |it: &Option<Sample>| it.as_ref().map_or("-".into(), |it| number(it.median));
        ui.note(&format!("{what}: {} and {} {unit}", told(&samples.0), told(&samples.1)));
        // Figures to be reached are of instructions.
        let aim = if icount { *aim } else { Aim::Ratio(1.0) };
        Ok(row((*what).to_owned(), unit, samples, aim))
    });
    rows.collect()
}

/// What a start costs.
fn starts(host: &Host, image: &Image, report: &Report, ui: &Ui) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if report.wants(START) {
        ui.step("counting the instructions of a start");
        let (_, instructions) = guest(host, image, MIB, "exit", PATIENCE)?;
        let samples = (sample(instructions.context("Xen does not tell the time")?), None);
        rows.push(row(START.into(), "instr.", samples, Aim::Figure(1e6)));
    }
    Ok(rows)
}

/// Runs the program as a guest.
fn in_guest(host: &Host, image: &Image, arguments: &str) -> Result<Figures> {
    Ok(figures(&guest(host, image, MIB, arguments, PATIENCE)?.0))
}

/// What it prints as a guest, and the guest's processor time in ns.
fn guest(
    host: &Host,
    image: &Image,
    mib: u64,
    arguments: &str,
    limit: Duration,
) -> Result<(String, Option<f64>)> {
    let items = [disk::line("xvda", true, ROOT)];
    let overrides = vec![
        format!("memory={mib}"),
        format!("extra={}", xl::quote(&format!("run=\"{PROGRAM} {arguments}\""))),
        xl::list("disk", &items).context("no disk")?,
    ];
    let mut domain = host.create(&GuestSpec { overrides, ..GuestSpec::new(image.config()) })?;
    let end = domain.wait(limit, &mut |_| ())?.context("it did not end in time")?;
    let (console, ending) = (text(&end.console), Ending::of(&end));
    ensure!(ending == Ending::Poweroff, "{} {}:\n{console}", image.name, ending.shown());
    Ok((console, end.cpu_time.map(|time| time.as_nanos() as f64)))
}

/// Runs it as a process of dom0.
fn in_dom0(host: &Host, arguments: &str) -> Result<Figures> {
    let output = host.shell_within(&format!("{PROGRAM} {arguments}"), PATIENCE)?.success()?;
    Ok(figures(&String::from_utf8_lossy(&output.stdout)))
}
