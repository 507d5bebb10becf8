//! `cargo mk bench machine`: what the machine beneath an app costs.
//!
//! On a host that counts instructions a nanosecond is one of them, so what test
//! guests say of themselves does not vary with this machine. The same program
//! runs as a process in dom0 of that host, where its instructions are counted
//! in the same way, and on this machine, where they take time.

use super::figures::{Figures, figure, figures};
use super::hosts::{Hosts, LIMIT};
use super::spread::Spread;
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::ending::{Ending, text};
use crate::project::{Project, cargo, read};
use crate::ui::{Ui, bytes, out, table};
use anyhow::{Context, Result, ensure};
use lab::{GuestSpec, Host};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Starts of which each figure that varies is the median.
const STARTS: usize = 5;
/// MiB with which a guest is booted.
const MEMORIES: &[u64] = &[1, 4, 64, 512, 2048];
/// MiB of which a guest touches every page.
const TOUCHED: &[u64] = &[64, 512];
/// The most instructions that a start may take until it is idle.
const AIM: u64 = 150_000;
/// How much more the most expensive start may take than the cheapest, in percent.
const FLAT: u64 = 10;
/// MiB that this machine needs besides the guests.
const REST: u64 = 1024;
/// Instructions that Mini-OS takes to map a page: 225 k for each MiB.
const MINI_OS: u64 = 878;

/// What is measured from within, and what it is.
const COSTS: &[(&str, &str)] = &[
    ("heap_16_ns", "heap: allocate and free 16 bytes"),
    ("heap_64_ns", "heap: allocate and free 64 bytes"),
    ("heap_512_ns", "heap: allocate and free 512 bytes"),
    ("heap_4096_ns", "heap: allocate and free 4096 bytes"),
    ("heap_mixed_ns", "heap: replace one of 256 blocks of 16 to 1024 bytes"),
    ("task_ns", "task: spawn, wake, complete, join"),
    ("yield_ns", "task: yield"),
    ("clock_ns", "time: read the clock"),
    ("timer_late_ns", "time: a sleep of 1 ms ends too late by"),
    ("hypercall_yield_ns", "hypercall: sched_op yield"),
    ("hypercall_runstate_ns", "hypercall: vcpu_op get_runstate_info"),
    ("user_call_ns", "user mode: a call that does nothing"),
    ("user_thread_ns", "user mode: the same by two threads in turn"),
    ("user_space_ns", "user mode: the same by two programs in turn"),
    ("user_fault_ns", "user mode: first touch of a page"),
    ("user_unmap_ns", "user mode: remove a page"),
    ("user_new_ns", "user mode: make and drop a program of three pages"),
];

/// What `bench machine` found.
#[derive(Clone, Debug, Serialize)]
struct Machine {
    boot: Vec<Boot>,
    touch: Vec<Touch>,
    costs: Vec<Cost>,
    images: Vec<Size>,
    /// What was left out, and why.
    notes: Vec<String>,
}

/// Starts with some amount of memory.
#[derive(Clone, Debug, Serialize)]
struct Boot {
    memory_mib: u64,
    /// Guest CPU from unpause until its first line is written.
    to_first_line: Spread,
    /// The same until it was idle, and woke up from that.
    instructions: Spread,
    hypercalls: u64,
}

/// Writing to every page of the heap once.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Touch {
    memory_mib: u64,
    pages: f64,
    instructions_per_page: f64,
    hypercalls_per_2_mib: f64,
}

/// One thing, done in three places.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Cost {
    key: String,
    what: String,
    guest_instructions: f64,
    /// In a process of dom0, on the same host.
    linux_instructions: Option<f64>,
    /// In a process of this machine.
    linux_ns: Option<f64>,
}

impl Cost {
    /// How many times as many the guest does with the same instructions.
    fn ratio(&self) -> Option<f64> {
        Some(self.linux_instructions? / self.guest_instructions)
    }
}

#[derive(Clone, Debug, Serialize)]
struct Size {
    name: String,
    bytes: u64,
    limit: Option<u64>,
}

/// Measures and prints.
///
/// # Errors
/// When a host does not come up or a guest does not behave.
pub(super) fn run(json: bool, ui: &Ui) -> Result<u8> {
    let machine = measure(&Project::find()?, (MEMORIES, TOUCHED, STARTS), &mut Hosts::own(ui))?;
    out(&match json {
        true => format!("{}\n", serde_json::to_string_pretty(&machine)?),
        false => shown(&machine),
    });
    Ok(0)
}

/// Measures all there is once, with little memory.
///
/// # Errors
/// When something of it is left out.
pub(super) fn brief(project: &Project, hosts: &mut Hosts<'_>) -> Result<()> {
    let machine = measure(project, (&[1, 64], &[64], 1), hosts)?;
    ensure!(machine.notes.is_empty(), "{}", machine.notes.join("; "));
    // A process makes no hypercalls, and has no user mode below it.
    let own = |key: &str| key.starts_with("hypercall") || key.starts_with("user");
    let mut costs = machine.costs.iter().filter(|cost| !own(&cost.key));
    let missing = costs.find(|cost| cost.linux_instructions.is_none());
    ensure!(missing.is_none(), "there is no figure of Linux: {missing:?}");
    ensure!(!shown(&machine).is_empty());
    Ok(())
}

/// Measures with the amounts of memory to boot with and to touch, in MiB, each start so often.
fn measure(
    project: &Project,
    (memories, touched, starts): (&[u64], &[u64], usize),
    hosts: &mut Hosts<'_>,
) -> Result<Machine> {
    let ui = hosts.ui;
    let names = ["noop", "hello", "bench_boot", "bench_machine"].map(str::to_owned);
    let images = build::images(project, &project.choose(&names)?, ui)?;
    let image = |name| images.iter().find(|image| image.name == name).context("no image");
    let (bench_boot, bench) = (image("bench_boot")?, image("bench_machine")?);
    let process = process(project, ui)?;
    let sizes = images.iter().take(2).map(|image| Size {
        name: image.name.clone(),
        bytes: image.report.size,
        limit: image.report.limit,
    });
    let mut machine = Machine {
        boot: Vec::new(),
        touch: Vec::new(),
        costs: Vec::new(),
        images: sizes.collect(),
        notes: Vec::new(),
    };

    let linux = times(&process, starts, ui)?;
    let mut options = boot::options(project)?;
    options.icount = true;
    let free = available_mib();
    let fitting: Vec<u64> =
        memories.iter().copied().filter(|mib| free.is_none_or(|free| mib + REST <= free)).collect();
    for mib in memories.iter().filter(|mib| !fitting.contains(mib)) {
        let free = free.unwrap_or_default();
        machine.notes.push(format!("{mib} MiB left out: this machine has {free} MiB free"));
    }
    let most = fitting.last().copied().unwrap_or(0);
    // For each domain Xen and its tools take a little more than its memory.
    options.memory = options.memory.max(u32::try_from(most + most / 64 + 64)?);
    let (in_guest, in_dom0) = hosts.with(&options, |host| {
        for &mib in &fitting {
            ui.step(&format!("{starts} starts with {mib} MiB"));
            machine.boot.push(boots(host, bench_boot, mib, starts)?);
        }
        for &mib in touched.iter().filter(|mib| fitting.contains(mib)) {
            ui.step(&format!("touching {mib} MiB"));
            let figures = guest(host, bench, Some(mib), "rounds=1 touch=on")?;
            machine.touch.push(touch(mib, &figures)?);
        }
        ui.step("counting instructions in a guest");
        let in_guest = guest(host, bench, None, "rounds=10000")?;
        ui.step("counting instructions in dom0");
        let in_dom0 = in_dom0(host, &process).unwrap_or_else(|error| {
            machine.notes.push(format!("the process in dom0 left out: {error:#}"));
            Figures::new()
        });
        Ok((in_guest, in_dom0))
    })?;
    for &(key, what) in COSTS {
        machine.costs.push(Cost {
            key: key.trim_end_matches("_ns").to_owned(),
            what: what.to_owned(),
            guest_instructions: figure(&in_guest, key)?,
            linux_instructions: in_dom0.get(key).copied(),
            linux_ns: linux.get(key).copied(),
        });
    }
    Ok(machine)
}

/// Runs the guest to its end.
fn guest(host: &Host, image: &Image, mib: Option<u64>, args: &str) -> Result<Figures> {
    let mut overrides: Vec<_> = mib.iter().map(|mib| format!("memory={mib}")).collect();
    if !args.is_empty() {
        overrides.push(format!("extra=\"{args}\""));
    }
    let spec = GuestSpec { overrides, ..GuestSpec::new(image.config()) };
    let mut domain = host.create(&spec)?;
    let end = domain.wait(LIMIT, &mut |_| ())?;
    let end = end.with_context(|| format!("{} did not end in time", image.name))?;
    let console = text(&end.console);
    let ending = Ending::of(&end);
    ensure!(ending == Ending::Poweroff, "{} {}:\n{console}", image.name, ending.shown());
    Ok(figures(&console))
}

/// Starts with `mib` of memory.
fn boots(host: &Host, image: &Image, mib: u64, starts: usize) -> Result<Boot> {
    let (mut lines, mut all, mut hypercalls) = (Vec::new(), Vec::new(), 0);
    for _ in 0..starts {
        let figures = guest(host, image, Some(mib), "")?;
        lines.push(figure(&figures, "line_ns")? as u64);
        all.push(figure(&figures, "idle_ns")? as u64);
        hypercalls = figure(&figures, "boot_hypercalls")? as u64;
    }
    let (to_first_line, instructions) = (Spread::of(lines), Spread::of(all));
    Ok(Boot { memory_mib: mib, to_first_line, instructions, hypercalls })
}

fn touch(memory_mib: u64, figures: &Figures) -> Result<Touch> {
    let pages = figure(figures, "touched_pages")?;
    let hypercalls = figure(figures, "touch_hypercalls")?;
    Ok(Touch {
        memory_mib,
        pages,
        instructions_per_page: figure(figures, "touch_page_ns")?,
        hypercalls_per_2_mib: hypercalls * 512.0 / pages.max(1.0),
    })
}

/// Builds the same program for this machine, as fast as it can be.
fn process(project: &Project, ui: &Ui) -> Result<PathBuf> {
    ui.step("building bench_machine for this machine");
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--quiet", "--package", "xenith-tests"]);
    command.args(["--bin", "bench_machine"]).current_dir(&project.root);
    ui.command(&command);
    ensure!(
        command.status().context("cannot run cargo")?.success(),
        "the build failed; the compiler's errors stand above"
    );
    Ok(project.metadata.target_directory.join("release/bench_machine").into())
}

/// Runs it here: the medians of `starts` runs.
fn times(process: &Path, starts: usize, ui: &Ui) -> Result<Figures> {
    ui.step("measuring times on this machine");
    let mut runs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..starts {
        let output = Command::new(process).arg("rounds=200000").output();
        let output = output.with_context(|| format!("cannot run {}", process.display()))?;
        ensure!(output.status.success(), "{}: {}", process.display(), output.status);
        for (key, value) in figures(&String::from_utf8_lossy(&output.stdout)) {
            runs.entry(key).or_default().push(value);
        }
    }
    Ok(runs.into_iter().map(|(key, values)| (key, median(values))).collect())
}

/// Runs it as a process of dom0.
fn in_dom0(host: &Host, process: &Path) -> Result<Figures> {
    let path = "/bench/bench_machine";
    host.upload(&read(process)?, path)?;
    let script = format!("chmod +x {path} && {path} rounds=10000; rm -r /bench");
    let output = host.shell_within(&script, Duration::from_secs(120))?.success()?;
    Ok(figures(&String::from_utf8_lossy(&output.stdout)))
}

/// Of at least one value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The memory that this machine has to give.
pub(crate) fn available_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

/// Whether the starts are as alike as they should be: the difference of the
/// cheapest and the most expensive, in percent.
fn spread_percent(boot: &[Boot]) -> f64 {
    let medians = boot.iter().map(|boot| boot.instructions.median);
    match (medians.clone().min(), medians.max()) {
        (Some(least @ 1..), Some(most)) => (most - least) as f64 * 100.0 / least as f64,
        _ => 0.0,
    }
}

const fn met(aim: bool) -> &'static str {
    if aim { "met" } else { "MISSED" }
}

fn shown(machine: &Machine) -> String {
    let mut text = boot_shown(&machine.boot);
    let head = ["every page touched", "pages", "instructions a page", "hypercalls for 2 MiB"];
    let mut rows = vec![head.map(str::to_owned)];
    for touch in &machine.touch {
        let Touch { memory_mib, pages, instructions_per_page, hypercalls_per_2_mib } = touch;
        rows.push([
            format!("with {memory_mib} MiB"),
            bytes(*pages as u64),
            format!("{instructions_per_page:.1}"),
            format!("{hypercalls_per_2_mib:.2}"),
        ]);
    }
    rows.push(["Mini-OS, measured earlier".into(), "".into(), bytes(MINI_OS), "".into()]);
    text += &format!("\n{}", table(&rows, &[1, 2, 3]));

    let head = ["one of", "guest, instr.", "Linux, instr.", "guest's rate", "Linux here, ns"];
    let mut rows = vec![head.map(str::to_owned)];
    let tenths = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
    for cost in &machine.costs {
        let heap = cost.key.starts_with("heap");
        let ratio = cost.ratio().filter(|_| heap).map(|ratio| format!("{ratio:.2} x"));
        rows.push([
            cost.what.clone(),
            tenths(Some(cost.guest_instructions)),
            tenths(cost.linux_instructions),
            ratio.unwrap_or_default(),
            tenths(cost.linux_ns),
        ]);
    }
    text += &format!("\n{}", table(&rows, &[1, 2, 3, 4]));
    text += "Linux: the same program as a process with the system allocator, in dom0 of the same host \
             (instructions)\nand on this machine (ns). guest's rate: pairs that the guest does with the \
             instructions of one of Linux.\n";

    let head = ["image", "bytes", "limit", "aim"];
    let mut rows = vec![head.map(str::to_owned)];
    for Size { name, bytes: size, limit } in &machine.images {
        let aim = limit.map_or("", |limit| met(*size <= limit));
        rows.push([name.clone(), bytes(*size), limit.map_or("-".into(), bytes), aim.into()]);
    }
    text += &format!("\n{}", table(&rows, &[1, 2]));
    for note in &machine.notes {
        text += &format!("note: {note}\n");
    }
    text
}

fn boot_shown(boot: &[Boot]) -> String {
    let head = ["start", "to the first line", "until idle, awake again", "hypercalls", "aim"];
    let mut rows = vec![head.map(str::to_owned)];
    for Boot { memory_mib, to_first_line, instructions, hypercalls } in boot {
        rows.push([
            format!("with {memory_mib} MiB"),
            bytes(to_first_line.median),
            bytes(instructions.median),
            hypercalls.to_string(),
            format!("at most {}: {}", bytes(AIM), met(instructions.median <= AIM)),
        ]);
    }
    let percent = spread_percent(boot);
    rows.push([
        "most expensive over cheapest".into(),
        String::new(),
        format!("{percent:.1} %"),
        String::new(),
        format!("at most {FLAT} %: {}", met(percent <= FLAT as f64)),
    ]);
    table(&rows, &[1, 2, 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(memory_mib: u64, median: u64) -> Boot {
        let spread = Spread::of(vec![median]);
        Boot { memory_mib, to_first_line: spread.clone(), instructions: spread, hypercalls: 8 }
    }

    #[test]
    fn touching_counts_by_page_and_by_2_mib() {
        let said = figures(
            "bench: touch_page_ns=99.5\nbench: touched_pages=5120.0\nbench: touch_hypercalls=40.0\n",
        );
        let touch = touch(64, &said).unwrap();
        assert_eq!((touch.instructions_per_page, touch.hypercalls_per_2_mib), (99.5, 4.0));
    }

    #[test]
    fn aims_are_held_against_the_figures() {
        let text = boot_shown(&[boot(1, 100_000), boot(512, 150_001)]);
        assert!(text.contains("100 000           8  at most 150 000: met"), "{text}");
        assert!(text.contains("150 001           8  at most 150 000: MISSED"), "{text}");
        assert!(text.contains("50.0 %              at most 10 %: MISSED"), "{text}");
        assert_eq!(spread_percent(&[]), 0.0);
    }

    #[test]
    fn a_ratio_needs_both() {
        let mut cost = Cost {
            key: "heap_64".into(),
            what: String::new(),
            guest_instructions: 50.0,
            linux_instructions: Some(100.0),
            linux_ns: None,
        };
        assert_eq!(cost.ratio(), Some(2.0));
        cost.linux_instructions = None;
        assert_eq!(cost.ratio(), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
