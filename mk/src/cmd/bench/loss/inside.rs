//! What runs within the namespaces.

use super::bed::{Bed, Program};
use super::cable::Lateness;
use super::flows::{self, PATIENCE};
use super::link::Faults;
use super::task::{self, Kind, Task};
use crate::ui::{Ui, out};
use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The programs.
    pub(super) transfer: PathBuf,
    pub(super) httpd: PathBuf,
    pub(super) runs: u32,
    pub(super) flows: u32,
    pub(super) seed: u64,
    pub(super) only: Option<String>,
    pub(super) brief: bool,
}

impl Plan {
    /// What is to be measured.
    pub(super) fn tasks(&self) -> Vec<Task> {
        let mut tasks = task::all(self.brief);
        let wanted = |it: &str| self.only.as_ref().is_none_or(|only| it.contains(only));
        tasks.retain(|task| wanted(&task.what));
        tasks
    }

    /// Bytes that are moved where it is much, and for how long at most.
    const fn much(&self) -> (u64, Duration) {
        if self.brief {
            (1 << 20, Duration::from_secs(5))
        } else {
            (4 << 20, Duration::from_secs(15))
        }
    }
}

/// What was found.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Found {
    /// Of each task, what was measured of ours and of Linux.
    pub(super) values: BTreeMap<String, [Vec<f64>; 2]>,
    /// Bytes that an idle connection holds of our process.
    pub(super) held: BTreeMap<String, Vec<f64>>,
    /// What the emulator can do, and how exact it was.
    pub(super) cable: String,
    pub(super) notes: Vec<String>,
}

/// What happens to all runs.
#[derive(Default)]
struct Seen {
    found: Found,
    lateness: Lateness,
}

/// How long the cable alone is measured.
const ALONE: Duration = Duration::from_secs(2);
/// Files of this process beside its connections.
const FILES: u64 = 200;
/// The link that is narrow, and what goes over it.
const NARROW: (u32, u64) = (1300, 100_000);
/// Short flows where it is to be brief.
const BRIEF: u32 = 8;
/// A larger share of frames lost outside of the cable is told of, in a million.
const ELSEWHERE: u64 = 10;
/// So late frames are told of, in microseconds: what is measured is then this machine's load.
const TOO_LATE: u64 = 2048;

/// Does it, and says what was found.
///
/// # Errors
/// When nothing can be measured.
pub(super) fn run(plan: &Plan, ui: &Ui) -> Result<()> {
    thread::spawn(|| {
        // Nothing is ever written: it ends with who started this.
        let _ = std::io::stdin().read(&mut [0]);
        // The kernel ends the others.
        std::process::exit(1);
    });
    // As many files as are allowed, for connections.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let (tasks, mut seen) = (plan.tasks(), Seen::default());
    ui.step("the cable alone");
    let alone = alone().context("the cable alone")?;
    let all = tasks.len() * plan.runs as usize;
    for round in 0..plan.runs {
        for (at, task) in tasks.iter().enumerate() {
            let done = round as usize * tasks.len() + at + 1;
            ui.step(&format!("{} ({done} of {all})", task.what));
            let mut said = Vec::new();
            // Neither is always the first.
            let first = round % 2 == 0;
            for ours in [first, !first] {
                let seed = plan.seed.wrapping_mul(1_000_003).wrapping_add(done as u64);
                let who = if ours { "Xenith" } else { "Linux" };
                match measure(plan, task, ours, seed, &mut seen) {
                    Ok(values) => {
                        let middle = super::percentile(&values, 50);
                        let middle = middle.first().copied().unwrap_or_default();
                        said.push(format!("{who} {}", super::number(middle)));
                        let both = seen.found.values.entry(task.what.clone()).or_default();
                        both[usize::from(!ours)].extend(values);
                    }
                    Err(error) => {
                        ui.warn(&format!("{}, {who}: {error:#}", task.what));
                        let what = &task.what;
                        seen.found.notes.push(format!("{what}, {who} left out once: {error:#}"));
                    }
                }
            }
            let unit =
                if matches!(task.kind, Kind::Flow(_) | Kind::Narrow) { "ms" } else { "Mbit/s" };
            ui.note(&format!("({done} of {all}) {}: {} {unit}", task.what, said.join(", ")));
        }
    }
    ui.done();
    let Seen { mut found, lateness } = seen;
    let late = [50, 99].map(|share| lateness.within(share));
    found.cable = format!(
        "alone carries {alone}; it was late by less than {} us for half of the frames, {} us for \
         99 %",
        late[0], late[1]
    );
    // What is brief is to show that all works, and a busy machine is no fault of it.
    if late[1] > TOO_LATE && !plan.brief {
        found
            .notes
            .push(format!("the cable was late by up to {} us: this machine is busy", late[1]));
    }
    out(&serde_json::to_string(&found)?);
    Ok(())
}

/// What the emulator carries between two ends of Linux's where it has no rate and no delay.
fn alone() -> Result<String> {
    let bed = Bed::new(None, Faults::default(), 1, None)?;
    let listener = bed.server(|| TcpListener::bind(("0.0.0.0", 7)))??;
    let bytes = thread::scope(|scope| {
        scope.spawn(|| flows::pour(&listener));
        bed.client(|| flows::drain(7, ALONE))?
    })?;
    let (did, _) = bed.end()?;
    let frames = did.counts.iter().map(|counts| counts.frames).sum::<u64>();
    let (bits, seconds) = (bytes as f64 * 8.0 / 1e6, ALONE.as_secs_f64());
    Ok(format!(
        "{} Mbit/s, {} frames/s",
        super::number(bits / seconds),
        super::number(frames as f64 / seconds)
    ))
}

/// Measures a task once: a value, or one of each flow.
fn measure(plan: &Plan, task: &Task, ours: bool, seed: u64, seen: &mut Seen) -> Result<Vec<f64>> {
    let many = ["connections=20000", "idle=3600"];
    let (path, arguments) = match task.kind {
        Kind::Out | Kind::In | Kind::Narrow => (&plan.transfer, &[][..]),
        Kind::Flow(_) => (&plan.httpd, &[][..]),
        Kind::Beside(_) => (&plan.httpd, &many[..]),
    };
    let narrow = (task.kind == Kind::Narrow).then_some(NARROW.0);
    let program = Some(Program { path, arguments, ours });
    // Connections are opened as fast as can be.
    let first = if matches!(task.kind, Kind::Beside(_)) { Faults::default() } else { task.faults };
    let bed = Bed::new(program, first, seed, narrow)?;
    let (bytes, limit) = plan.much();
    let rate = |(bytes, time): (u64, Duration)| bytes as f64 * 8.0 / 1e6 / time.as_secs_f64();
    let values = match task.kind {
        Kind::Out => vec![rate(bed.client(|| flows::take(bytes, limit))??)],
        Kind::In => vec![rate(bed.client(|| flows::give(bytes, limit, &bed.cable))??)],
        Kind::Narrow => {
            let (come, time) = bed.client(|| flows::take(NARROW.1, PATIENCE))??;
            vec![if come == NARROW.1 { time } else { PATIENCE }.as_secs_f64() * 1e3]
        }
        Kind::Flow(bytes) => {
            let flows = if plan.brief { BRIEF } else { plan.flows.div_ceil(plan.runs) };
            bed.client(|| flows::fetches(bytes, flows as usize))?
        }
        Kind::Beside(count) => {
            let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
            ensure!(most >= count as u64 + FILES, "no more than {most} files: ulimit -n 20000");
            let before = bed.memory()?;
            let held = bed.client(|| flows::open(count))??;
            let after = bed.memory()?;
            if ours && count > 0 {
                let each = after.saturating_sub(before) as f64 / count as f64;
                seen.found.held.entry(task.what.clone()).or_default().push(each);
            }
            bed.cable.set(task.faults);
            let rate = bed.client(|| flows::rate(1 << 20))?;
            drop(held);
            vec![rate]
        }
    };
    let (did, dropped) = bed.end()?;
    seen.lateness.extend(&did.lateness);
    let frames = did.counts.iter().map(|counts| counts.frames).sum::<u64>();
    if (dropped + did.refused) * 1_000_000 > frames * ELSEWHERE && !plan.brief {
        let who = if ours { "Xenith" } else { "Linux" };
        seen.found.notes.push(format!(
            "{}, {who}: of {frames} frames Linux dropped {dropped} before the cable and {} behind it",
            task.what, did.refused
        ));
    }
    Ok(values)
}
