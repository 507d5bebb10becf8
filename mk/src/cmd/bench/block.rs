//! `cargo mk bench block`: a disk beside Linux as a guest.
//!
//! Both have the same disk of dom0, a file of this machine that QEMU hands through,
//! one after the other: the test guest `bench_block` and fio in Linux.

use super::hosts::Hosts;
use super::site;
use super::versus::{Aim, Better, Comparison, Report, Row, Sample, number};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::disk;
use crate::ending::{Ending, is_up, text};
use crate::image::xl;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use lab::{Disk, Guest as Domain, GuestSpec, Host, Linux, Purpose};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Compares with Linux
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench block --chart block.svg\n\nInstructions are counted by \
QEMU, Xen's work for the guest included."
)]
pub(super) struct Args {
    #[command(flatten)]
    report: Report,
    /// Memory of each guest, in MiB; fio's libraries alone are 84
    #[arg(long, default_value_t = 384, value_parser = clap::value_parser!(u64).range(384..=768))]
    memory: u64,
}

impl Args {
    /// All of it as briefly as can be.
    pub(super) const fn brief() -> Self {
        Self { report: Report::brief(), memory: 384 }
    }
}

/// The test guest that works on a disk.
const GUEST: &str = "bench_block";
/// What stands before each figure on its console.
const MARK: &str = "bench: ";
/// What is measured where instructions are counted when it is to be brief.
const BRIEF: &str = "random read of 4 KiB, one at a time";
/// Bytes of the disk.
const DISK: u64 = 64 << 20;
/// Time for a guest to come up, and for a run.
const PATIENCE: Duration = Duration::from_secs(300);
/// Requests of the run whose cost is taken off, as it is that of starting fio.
const FEW: u32 = 32;

/// One way to use the disk.
struct Way {
    what: &'static str,
    /// What the test guest calls it, and what fio does.
    op: &'static str,
    fio: &'static str,
    bytes: u32,
    depth: u32,
    requests: u32,
}

const WAYS: [Way; 7] = [
    Way { op: "read", fio: "read", ..way("sequential read", 1 << 20, 4, 128) },
    Way { op: "write", fio: "write", ..way("sequential write", 1 << 20, 4, 128) },
    Way {
        op: "randread",
        fio: "randread",
        ..way("random read of 4 KiB, one at a time", 4096, 1, 1000)
    },
    Way {
        op: "randread",
        fio: "randread",
        ..way("random read of 4 KiB, 32 at a time", 4096, 32, 2000)
    },
    Way {
        op: "randwrite",
        fio: "randwrite",
        ..way("random write of 4 KiB, one at a time", 4096, 1, 1000)
    },
    Way {
        op: "randwrite",
        fio: "randwrite",
        ..way("random write of 4 KiB, 32 at a time", 4096, 32, 2000)
    },
    Way { op: "flush", fio: "write --fsync=1", ..way("write of 4 KiB and flush", 4096, 1, 200) },
];

const fn way(what: &'static str, bytes: u32, depth: u32, requests: u32) -> Way {
    Way { what, op: "", fio: "", bytes, depth, requests }
}

impl Way {
    const fn is_large(&self) -> bool {
        self.bytes >= 1 << 20
    }

    /// Of what its cost is, and its rate.
    const fn each(&self) -> &'static str {
        if self.is_large() { "MiB" } else { "request" }
    }

    const fn unit(&self) -> &'static str {
        if self.is_large() { "MiB/s" } else { "1/s" }
    }
}

/// One run.
#[derive(Clone, Debug)]
struct Run {
    rate: f64,
    /// Processor time of the guest for each, in ns.
    cost: f64,
    /// What was counted for each, by name.
    counters: BTreeMap<String, f64>,
}

/// Runs the command.
///
/// # Errors
/// When a host does not come up or a guest does not work.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    measure(&args.report.optimize.project()?, args, &mut Hosts::own(ui))?.report(&args.report)?;
    Ok(0)
}

/// Makes the disks that are measured: one to work on, and one that `site` serves.
///
/// # Errors
/// When they cannot be written.
pub(super) fn disks(run: &Path) -> Result<Vec<Disk>> {
    let (path, folder) = (run.join("disk.img"), run.join("site.img"));
    fill(&path)?;
    site::fill(&folder)?;
    Ok(vec![
        Disk { path, read_only: false, sector: 512 },
        Disk { path: folder, read_only: true, sector: 512 },
    ])
}

/// Removes them.
///
/// # Errors
/// When they cannot be.
pub(super) fn remove(disks: &[Disk]) -> Result<()> {
    disks.iter().try_for_each(|disk| {
        let path = &disk.path;
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
    })
}

/// Measures on hosts of `hosts`.
pub(super) fn measure(project: &Project, args: &Args, hosts: &mut Hosts<'_>) -> Result<Comparison> {
    let ui = hosts.ui;
    let (rounds, counted) = if args.report.quick { (1, 1) } else { (3, 2) };
    let names = [GUEST, site::APPS[0], site::APPS[1]].map(str::to_owned);
    let images = build::images(project, &project.choose(&names)?, ui)?;
    let [image, site, httpd] = &images[..] else { bail!("not all images were built") };
    let linux = Linux::prepare(&boot::cache(project), Purpose::Block, ui)?;
    let mut options = boot::options(project)?;
    options.cpu_times = true;
    let own = !hosts.have_disks();
    if own {
        options.disks = disks(&options.run)?;
    }
    options.network = true;
    let (mut rows, mut counters, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let clocks: &[bool] = if args.report.counted { &[true] } else { &[false, true] };
    for &icount in clocks {
        options.icount = icount;
        hosts.with(&options, |host| {
            let rounds = if icount { counted } else { rounds };
            let mut server = None;
            let wanted = |way: &&Way| match icount {
                true => args.report.wants_counted(way.what, BRIEF),
                false => args.report.wants(way.what),
            };
            for way in WAYS.iter().filter(wanted) {
                let server = match &mut server {
                    Some(server) => server,
                    none => {
                        ui.step("starting Linux");
                        none.insert(Server::start(host, &linux, args.memory)?)
                    }
                };
                let mut missed = |who: &str, error: anyhow::Error| {
                    ui.warn(&format!("{who}: {}: {error:#}", way.what));
                    notes.push(format!("{who}: {} left out once: {error:#}", way.what));
                };
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                for round in 1..=rounds {
                    ui.step(&format!("{} ({round} of {rounds})", way.what));
                    match ours_once(host, image, way, args.memory) {
                        Ok(run) => ours.push(run),
                        Err(error) => missed("Xenith", error),
                    }
                    match server.once(host, way) {
                        Ok(run) => theirs.push(run),
                        Err(error) => missed("Linux", error),
                    }
                }
                let sample =
                    |runs: &[Run], of: fn(&Run) -> f64| Sample::of(runs.iter().map(of).collect());
                let row = |what: String, unit, better, of: fn(&Run) -> f64, aim| Row {
                    what,
                    unit,
                    better,
                    xenith: sample(&ours, of),
                    linux: sample(&theirs, of),
                    aim: Some(Aim::Ratio(aim)),
                };
                // It takes long: what is known is told at once.
                let told = |runs: &[Run]| match sample(
                    runs,
                    if icount { |it| it.cost } else { |it| it.rate },
                ) {
                    Some(sample) => number(sample.median),
                    None => "-".into(),
                };
                let unit = if icount { "instructions each" } else { way.unit() };
                ui.note(&format!("{}: {} and {} {unit}", way.what, told(&ours), told(&theirs)));
                let each = format!("a {}: {}", way.each(), way.what);
                if icount {
                    let what = format!("guest instructions {each}");
                    rows.push(row(what, "", Better::Less, |run| run.cost, 0.5));
                } else {
                    rows.push(row(way.what.into(), way.unit(), Better::More, |run| run.rate, 1.0));
                    let counted = ours.first().map(|run| run.counters.clone()).unwrap_or_default();
                    counters.extend(
                        counted.into_iter().map(|(name, count)| (format!("{name} {each}"), count)),
                    );
                }
            }
            drop(server);
            if args.report.wants(site::WHAT) {
                match site::rows(host, [site, httpd], 1, (rounds, icount), ui) {
                    Ok(more) => rows.extend(more),
                    Err(error) => notes.push(format!("site left out: {error:#}")),
                }
            }
            Ok(())
        })?;
    }
    if own {
        remove(&options.disks)?;
    }
    Ok(Comparison {
        title: "Xenith and Linux as guests on one Xen host: a disk",
        about: format!(
            "bench_block and fio (libaio, direct); one vCPU and {} MiB each; QEMU without KVM",
            args.memory
        ),
        rows,
        counters,
        notes,
    })
}

/// Writes every byte of the disk's file, so that no read meets a hole.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..DISK / piece.len() as u64 {
        file.write_all(&piece).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The setting for a guest's disk.
fn disk_setting() -> Result<String> {
    let items = [disk::line("xvda", false, &Disk::in_dom0(0))];
    xl::list("disk", &items).context("no disk")
}

/// Starts ours, which ends when it is done.
fn ours_once(host: &Host, image: &Image, way: &Way, mib: u64) -> Result<Run> {
    let Way { op, bytes, depth, requests, .. } = way;
    let extra = format!("op={op} bytes={bytes} depth={depth} count={requests} overwrite=yes");
    let overrides = vec![format!("memory={mib}"), format!("extra=\"{extra}\""), disk_setting()?];
    let mut domain = host.create(&GuestSpec { overrides, ..GuestSpec::new(image.config()) })?;
    let end = domain.wait(PATIENCE, &mut |_| ())?.context("it did not end in time")?;
    let console = text(&end.console);
    ensure!(Ending::of(&end) == Ending::Poweroff, "{}:\n{console}", Ending::of(&end).shown());
    read_ours(&console, way).with_context(|| format!("it said:\n{console}"))
}

fn read_ours(console: &str, way: &Way) -> Option<Run> {
    let lines = console.lines().filter_map(|line| line.strip_prefix(MARK)?.split_once('='));
    let mut said: BTreeMap<String, f64> = lines
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect();
    let each = said.remove("ops")? * if way.is_large() { f64::from(way.bytes >> 20) } else { 1.0 };
    let (ns, cpu) = (said.remove("ns")?, said.remove("cpu_ns")?);
    let counters =
        said.into_iter().map(|(name, count)| (name.replace('_', " "), count / each)).collect();
    Some(Run { rate: each * 1e9 / ns, cost: cpu / each, counters })
}

/// Linux, which takes commands by its console.
struct Server {
    domain: Domain,
    done: usize,
    /// What starting and ending fio costs for a way, in ns, once that is known.
    base: BTreeMap<&'static str, f64>,
}

impl Server {
    fn start(host: &Host, linux: &Linux, mib: u64) -> Result<Server> {
        let overrides = vec![
            format!("memory={mib}"),
            "extra=\"quiet mitigations=off\"".into(),
            disk_setting()?,
        ];
        let mut domain = host.create(&GuestSpec { overrides, ..GuestSpec::new(linux.config()) })?;
        let up = domain.wait_for(PATIENCE, &mut |it| is_up(&String::from_utf8_lossy(it)))?;
        ensure!(up, "{} does not come up:\n{}", domain.name(), text(domain.console()));
        Ok(Server { domain, done: 0, base: BTreeMap::new() })
    }

    /// Processor time so far, in ns.
    fn cpu_time(&self, host: &Host) -> Result<f64> {
        let output = host.shell(&format!("cpu-time {}", self.domain.id()))?.success()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    }

    fn once(&mut self, host: &Host, way: &Way) -> Result<Run> {
        let base = match self.base.get(way.what) {
            Some(base) => *base,
            None => {
                let (cpu, _) = self.fio(host, way, FEW)?;
                *self.base.entry(way.what).or_insert(cpu)
            }
        };
        let (cpu, rate) = self.fio(host, way, way.requests + FEW)?;
        let each =
            f64::from(way.requests) * if way.is_large() { f64::from(way.bytes >> 20) } else { 1.0 };
        Ok(Run { rate, cost: (cpu - base) / each, counters: BTreeMap::new() })
    }

    /// Lets fio make requests: the guest's processor time in ns, and the rate.
    fn fio(&mut self, host: &Host, way: &Way, requests: u32) -> Result<(f64, f64)> {
        let Way { fio, bytes, depth, .. } = way;
        // Beyond the end of the disk it begins anew; and it is not to read the clock for
        // each request, which ours does not either.
        let all = u64::from(*bytes) * u64::from(requests);
        let command = format!(
            "fio --name=x --filename=/dev/xvda --direct=1 --ioengine=libaio --minimal --rw={fio} \
             --bs={bytes} --iodepth={depth} --size={DISK} --io_size={all} --norandommap \
             --gtod_reduce=1\n"
        );
        let before = self.cpu_time(host)?;
        self.domain.input()?.write_all(command.as_bytes())?;
        self.done += 1;
        let done = self.done;
        let over = |console: &[u8]| text(console).matches("linux: status ").count() >= done;
        ensure!(
            self.domain.wait_for(PATIENCE, &mut |console| over(console))?,
            "fio did not end in time"
        );
        let after = self.cpu_time(host)?;
        let console = text(self.domain.console());
        let Some(rate) = fio_rate(&console, way) else {
            let said: Vec<_> = console.lines().rev().take(5).collect();
            bail!("fio said {said:?}");
        };
        Ok((after - before, rate))
    }
}

/// The rate in the last line that fio wrote in its terse format.
fn fio_rate(console: &str, way: &Way) -> Option<f64> {
    let line = console.lines().rev().find(|line| line.starts_with("3;fio-"))?;
    let fields: Vec<&str> = line.split(';').collect();
    // Reads are told first, from the sixth field on, writes 41 fields later: KiB in
    // all, KiB a second, requests a second.
    let first = if way.op.ends_with("read") { 5 } else { 46 };
    let at = if way.is_large() { first + 1 } else { first + 2 };
    let rate: f64 = fields.get(at)?.parse().ok()?;
    Some(if way.is_large() { rate / 1024.0 } else { rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_figures_are_for_each() {
        let said =
            "bench: ops=128\nbench: ns=2000000000\nbench: cpu_ns=1280\nbench: hypercalls=64\n";
        let run = read_ours(said, &WAYS[0]).unwrap();
        assert_eq!((run.rate, run.cost), (64.0, 10.0));
        assert_eq!(run.counters, [("hypercalls".to_owned(), 0.5)].into());
        assert!(read_ours("bench: ops=1\n", &WAYS[0]).is_none());
    }

    #[test]
    fn fio_is_read_by_its_fields() {
        let fields: Vec<String> = (5..60).map(|it| it.to_string()).collect();
        let said = format!("x\n3;fio-3.33;x;0;0;{}\nlinux: status 0\n", fields.join(";"));
        assert_eq!(fio_rate(&said, &WAYS[2]), Some(7.0));
        assert_eq!(fio_rate(&said, &WAYS[4]), Some(48.0));
        assert_eq!(fio_rate(&said, &WAYS[1]), Some(47.0 / 1024.0));
        assert_eq!(fio_rate("3;fio-3.33;x", &WAYS[1]), None);
    }
}
