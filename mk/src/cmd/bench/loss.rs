//! `cargo mk bench loss`: TCP through a cable that loses, delays and reorders: our stack beside
//! Linux's, under the same program.
//!
//! A server runs as a process of this machine, once on our stack by a tap, once on Linux's
//! sockets; its client is Linux, and between them is a cable emulator. All of it is in network
//! namespaces below one process that has namespaces of its own for processes and the network:
//! however that process ends, the kernel ends what it started, and what this machine's network
//! is stays untouched. It ends when its standard input does, and so with who started it.

mod bed;
mod cable;
mod flows;
mod inside;
mod link;
mod priority;
mod sandbox;
mod task;

use super::versus::{Aim, Better, Comparison, Report, Row, Sample, number};
use crate::project::{Project, cargo};
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use inside::{Found, Plan};
use std::path::PathBuf;
use std::process::Command;
use task::{Kind, Task};

/// Compares TCP with Linux's through a cable with faults
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk bench loss --only 'out, 20 ms' --runs 1\n  cargo mk bench \
loss --json loss.json --chart loss.svg\n\nThe servers are processes of this machine, in network \
namespaces that end with the command: as root,\nor where users may make namespaces. All of it \
takes an hour and a half, --brief half a minute."
)]
pub(super) struct Args {
    /// Writes the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the ratios into this file as SVG
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// How often each is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Short flows of each kind, in all runs together
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    flows: u32,
    /// What the faults depend on
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measures only what has this in its name, such as "20 ms, 1 % lost"
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One of each kind, once
    #[arg(long)]
    brief: bool,
    /// What the process within the namespaces is to do
    #[arg(long, hide = true)]
    inside: Option<String>,
}

/// A cell is to reach so much of Linux, and the middle of all of them so much.
const CELL: f64 = 0.9;
const MIDDLE: f64 = 1.0;
/// Beside others that are idle a connection is to be as fast as so much of it alone.
const BESIDE: f64 = 0.8;
/// An idle connection may hold so many bytes, where there are so many.
const IDLE: f64 = 4096.0;
const MANY: usize = 10_000;

/// Runs the command.
///
/// # Errors
/// When there are no rights to it, or nothing could be measured.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    if let Some(plan) = &args.inside {
        inside::run(&serde_json::from_str(plan)?, ui)?;
        return Ok(0);
    }
    let project = Project::find()?;
    measure(&project, args, ui)?.report(&Report::to(args.json.clone(), args.chart.clone()))?;
    Ok(0)
}

/// Measures one of each kind; nothing where there are no rights to it, and why.
///
/// # Errors
/// Those of [`run`].
pub(super) fn brief(project: &Project, ui: &Ui) -> Result<Result<Comparison, String>> {
    if let Err(error) = sandbox::check() {
        return Ok(Err(format!("{error:#}")));
    }
    let (runs, flows, seed, brief) = (1, 1, 1, true);
    let args = Args { json: None, chart: None, runs, flows, seed, only: None, brief, inside: None };
    measure(project, &args, ui).map(Ok)
}

/// Measures within the namespaces.
fn measure(project: &Project, args: &Args, ui: &Ui) -> Result<Comparison> {
    sandbox::check()?;
    ensure!(project.is_xenith(), "`bench loss` needs a checkout of Xenith: its servers are there");
    let plan = Plan {
        transfer: built(project, "xenith-tests", "transfer", ui)?,
        httpd: built(project, "httpd", "httpd", ui)?,
        runs: if args.brief { 1 } else { args.runs },
        flows: args.flows,
        seed: args.seed,
        only: args.only.clone(),
        brief: args.brief,
    };
    let tasks = plan.tasks();
    ensure!(!tasks.is_empty(), "nothing is named so");
    ui.done();
    let said = sandbox::run(&["bench", "loss", "--inside", &serde_json::to_string(&plan)?], ui)?;
    let found: Found = serde_json::from_str(&said).context("nothing was measured")?;
    Ok(Comparison {
        title: "TCP through a cable with faults: Xenith's stack and Linux's",
        about: format!(
            "the same servers on both, a client of Linux, CUBIC; 200 Mbit/s, a queue of 1 000 \
             frames; seed {}\nthe cable {}",
            plan.seed, found.cable
        ),
        rows: rows(&tasks, &found),
        counters: Vec::new(),
        notes: found.notes,
    })
}

/// Builds a program as it is used.
fn built(project: &Project, package: &str, name: &str, ui: &Ui) -> Result<PathBuf> {
    ui.step(&format!("building {name} as a program of this machine"));
    let mut command = Command::new(cargo());
    command.args(["build", "--quiet", "--release", "--package", package, "--bin", name]);
    command.current_dir(&project.root);
    ui.command(&command);
    let built = command.status().context("cannot run cargo")?.success();
    ensure!(built, "{name}: the build failed");
    Ok(project.metadata.target_directory.join("release").join(name).into())
}

/// What was found, as rows.
fn rows(tasks: &[Task], found: &Found) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut ratios, mut alone) = (Vec::new(), None);
    for Task { what, kind, .. } in tasks {
        let Some([xenith, linux]) = found.values.get(what).cloned() else { continue };
        let row = |what: String, unit, better, aim, [xenith, linux]: [Vec<f64>; 2]| {
            let (xenith, linux) = (Sample::of(xenith), Sample::of(linux));
            Row { what, unit, better, xenith, linux, aim }
        };
        match kind {
            Kind::Out | Kind::In => {
                let aim = Some(Aim::Ratio(CELL));
                let row = row(what.clone(), "Mbit/s", Better::More, aim, [xenith, linux]);
                ratios.extend(row.ratio());
                rows.push(row);
            }
            Kind::Flow(_) => {
                for share in [50, 99] {
                    let both = [&xenith, &linux].map(|all| percentile(all, share));
                    let (aim, name) = (Some(Aim::Ratio(1.0)), format!("{what}, p{share}"));
                    rows.push(row(name, "ms", Better::Less, aim, both));
                }
            }
            Kind::Beside(count) => {
                let aim = alone.map(|alone: f64| Aim::Figure(alone * BESIDE));
                let rate = row(what.clone(), "Mbit/s", Better::More, aim, [xenith, linux]);
                if *count == 0 {
                    alone = rate.xenith.as_ref().map(|xenith| xenith.median);
                }
                rows.push(rate);
                if let Some(held) = found.held.get(what) {
                    let aim = (*count >= MANY).then_some(Aim::Figure(IDLE));
                    let name = format!("memory of one of {count}");
                    let held = [held.clone(), Vec::new()];
                    rows.push(row(name, "B", Better::Less, aim, held));
                }
            }
            Kind::Narrow => {
                rows.push(row(what.clone(), "ms", Better::Less, None, [xenith, linux]));
            }
        }
    }
    if ratios.len() > 1 {
        let (what, xenith) = ("the ratio, the middle of all rates".into(), Sample::of(ratios));
        let aim = Some(Aim::Figure(MIDDLE));
        rows.push(Row { what, unit: "", better: Better::More, xenith, linux: None, aim });
    }
    rows
}

/// What so many percent are at most; nothing of nothing.
fn percentile(all: &[f64], share: usize) -> Vec<f64> {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * share).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().into_iter().collect()
}
