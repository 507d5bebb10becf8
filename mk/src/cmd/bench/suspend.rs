//! `cargo mk bench suspend`: what a guest's save, restore and update cost, and its clients.
//!
//! On a host that counts instructions a nanosecond is one of them, so that what a client waits for
//! is counted as well. Each stage prints what it found at once. Domains are made by scripts of dom0,
//! as most of what is measured is between two of them.

mod held;

use super::figures::{Figures, figure, figures};
use super::hosts::Hosts;
use super::versus::{Aim, Better, Row, Sample, number};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::project::{Project, read};
use crate::ui::{Ui, bytes, out, table};
use anyhow::{Context, Result, bail, ensure};
use held::Held;
use lab::{Disk, Host, Options};
use serde::Serialize;
use std::fs::{self, File};
use std::time::Duration;

/// The app that is saved and updated, and the guest that knows what is in its memory.
const APP: &str = "httpd";
const FILLED: &str = "suspended";
/// MiB of which a file is looked at.
const MEMORIES: &[u32] = &[4, 64, 1000, 1500, 2100];
/// Time for a stage.
const PATIENCE: Duration = Duration::from_secs(1200);
const MAC: &str = "00:16:3e:00:ff:01";

/// The command that runs a script of ours in Python, with Xen's module.
const PYTHON: &str = "PYTHONPATH=$(echo /usr/lib/xen-*/lib/python) python3 -S";

const BODIES: &str = include_str!("suspend/bodies.sh");
const CYCLE: &str = include_str!("suspend/cycle.py");
const FRAMES: &str = include_str!("suspend/frames.py");
const UPDATE: &str = include_str!("suspend/update.sh");

/// Measures save, restore and update
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench suspend --only bodies --cycles 1000\n\nInstructions are counted by QEMU, \
Xen's work for the guest included. Files of 2100 MiB need as\nmuch memory and as much room on the disk."
)]
pub(super) struct Args {
    /// Prints JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Only this stage
    #[arg(long)]
    only: Option<Stage>,
    /// How often to save and restore
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How often to save and restore while bodies are on their way
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// A guest of 4 MiB is saved and restored
    Cycle,
    /// It is replaced by itself while wrk asks
    Update,
    /// Which pages files hold, by memory
    Files,
    /// Bodies are on their way while it is saved and restored, in real time
    Bodies,
}

/// What is counted of a cycle, by what `cycle.py` calls it, and what is to be reached.
const COUNTED: &[(&str, &str, Option<f64>)] = &[
    ("guest_suspends", "guest: from the request to be suspended until it is", None),
    ("guest_answers", "guest: from there to its first answer, as another domain", None),
    ("guest", "guest: all of a save and restore, with a second of peace after it", Some(1e6)),
    ("downtime", "downtime without the toolstack's: unpause to the first answer", Some(30e6)),
    ("guest_cancelled", "guest: goes on as the same domain, and a second of peace", None),
    ("cancelled_downtime", "downtime of that: unpause to the first answer", None),
    ("save", "toolstack: xl save", None),
    ("restore", "toolstack: xl restore", None),
];

/// The most that a client waits during an update, in instructions.
const STALL: f64 = 50e6;

/// What a file of `xl save` holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Saved {
    memory_mib: u32,
    bytes: f64,
    pages: f64,
    /// Pages that are in it more than once.
    twice: f64,
}

impl Saved {
    /// Reads what `frames.py` says.
    ///
    /// # Errors
    /// When a page is missing, or there twice.
    fn of(memory_mib: u32, said: &Figures) -> Result<Self> {
        let at = |key| figure(said, key);
        let all = f64::from(memory_mib) * 256.0;
        let (pages, twice, last) = (at("pages")?, at("twice")?, at("last")?);
        ensure!(
            pages == all && twice == 0.0 && last == all - 1.0,
            "of {all} pages of {memory_mib} MiB the file holds {pages}, the last of which is {last}, and \
             {twice} more than once"
        );
        Ok(Self { memory_mib, bytes: at("bytes")?, pages, twice })
    }
}

/// What `bench suspend` found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Suspend {
    rows: Vec<Row>,
    files: Vec<Saved>,
    /// After so many cycles with bodies on their way.
    held: Vec<Held>,
}

/// Measures and prints.
///
/// # Errors
/// When a host does not come up, a guest does not behave, a request fails or a page is missing.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let found = measure(&Project::find()?, args, MEMORIES, &mut Hosts::own(ui))?;
    out(&match args.json {
        true => format!("{}\n", serde_json::to_string_pretty(&found)?),
        false => shown(&found),
    });
    Ok(0)
}

/// Saves and restores once.
///
/// # Errors
/// As [`run`].
pub(super) fn brief(project: &Project, hosts: &mut Hosts<'_>) -> Result<()> {
    let args = Args { json: false, only: Some(Stage::Cycle), rounds: 1, cycles: 1 };
    let found = measure(project, &args, &[], hosts)?;
    ensure!(!shown(&found).is_empty() && found.rows.len() == COUNTED.len());
    Ok(())
}

fn measure(
    project: &Project,
    args: &Args,
    memories: &[u32],
    hosts: &mut Hosts<'_>,
) -> Result<Suspend> {
    let ui = hosts.ui;
    let names = [APP, FILLED].map(str::to_owned);
    let images = build::images(project, &project.choose(&names)?, ui)?;
    let [app, filled] = &images[..] else { bail!("{APP} and {FILLED} were not built") };
    let wants = |stage| args.only.is_none_or(|only| only == stage);
    let mut found = Suspend::default();
    let mut options = boot::options(project)?;
    options.network = true;
    options.cpu_times = true;
    if wants(Stage::Cycle) || wants(Stage::Update) {
        // Else the scheduler lets who has just become runnable wait for a millisecond.
        let xen = vec!["sched=credit".to_owned(), "sched_ratelimit_us=0".to_owned()];
        let options = Options { icount: true, xen, ..options.clone() };
        hosts.with(&options, |host| {
            let guest = Guest::start(host, app)?;
            if wants(Stage::Cycle) {
                ui.step("counting instructions of a save and restore");
                found.rows.extend(guest.cycle(args.rounds, ui)?);
            }
            if wants(Stage::Update) {
                ui.step("an update while wrk asks");
                found.rows.extend(guest.update(ui)?);
            }
            guest.end()
        })?;
    }
    if wants(Stage::Bodies) {
        found.held = hosts.with(&options, |host| {
            let guest = Guest::start(host, app)?;
            let held = held::measure(&guest, args.cycles, ui)?;
            guest.end()?;
            Ok(held)
        })?;
    }
    if wants(Stage::Files)
        && let Some(&most) = memories.iter().max()
    {
        options.memory = options.memory.max(most + most / 64 + 64);
        let path = options.run.join("saved.img");
        File::create(&path)
            .and_then(|file| file.set_len(u64::from(most + most / 64 + 64) << 20))
            .with_context(|| format!("cannot make {}", path.display()))?;
        options.disks = vec![Disk { path: path.clone(), read_only: false, sector: 512 }];
        let measured = hosts.with(&options, |host| {
            host.upload(&read(&filled.file())?, "/bench/guest")?;
            host.upload(FRAMES.as_bytes(), "/bench/frames.py")?;
            for &mib in memories {
                ui.step(&format!("the pages in a file of {mib} MiB"));
                let saved = saved(host, mib)?;
                ui.note(&line(&saved));
                found.files.push(saved);
            }
            Ok(())
        });
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        measured?;
    }
    Ok(found)
}

/// A guest that serves, made by a script.
struct Guest<'a> {
    host: &'a Host,
    ip: String,
    _number: lab::Number,
}

impl<'a> Guest<'a> {
    /// Starts it, with dom0 knowing its address, so that nobody asks for that.
    fn start(host: &'a Host, image: &Image) -> Result<Self> {
        host.upload(&read(&image.file())?, "/bench/guest")?;
        host.upload(CYCLE.as_bytes(), "/bench/cycle.py")?;
        let number = host.number()?;
        let guest = Self { host, ip: number.ip(), _number: number };
        guest.script(
            "xl create -q -e /dev/null \"name='$NAME'\" \"kernel='/bench/guest'\" memory=4 \
             \"extra='ip=$IP/24'\" \"tsc_mode='native'\" \"vif=['mac=$MAC,bridge=xenbr0']\" || exit\n\
             /usr/sbin/ip neigh replace $IP lladdr $MAC dev xenbr0 nud permanent\n\
             until curl -sf -o /dev/null -m 1 http://$IP/health; do sleep 0.1; done\nsleep 1",
        )?;
        Ok(guest)
    }

    /// Runs a script of dom0 with this guest, and returns what it says.
    fn script(&self, script: &str) -> Result<String> {
        let script = format!("NAME=measured IP={} MAC={MAC}\n{script}", self.ip);
        let output = self.host.shell_within(&script, PATIENCE)?.success()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Saves and restores it.
    fn cycle(&self, rounds: u32, ui: &Ui) -> Result<Vec<Row>> {
        let said = self.script(&format!("{PYTHON} /bench/cycle.py $NAME $IP {rounds}"))?;
        let rows = COUNTED.iter().map(|&(key, what, aim)| {
            let row = row(what, "instructions", every(&said, key), aim);
            ensure!(row.has_figures(), "dom0 did not say `{key}`:\n{said}");
            ui.note(&told(&row));
            Ok(row)
        });
        rows.collect()
    }

    /// Replaces it by itself.
    fn update(&self, ui: &Ui) -> Result<Vec<Row>> {
        let said = self.script(UPDATE)?;
        let seen = Wrk::read(&said).with_context(|| format!("wrk said:\n{said}"))?;
        ensure!(seen.failed.is_none(), "requests failed during the update:\n{said}");
        let again = every(&said, "again");
        let rows = vec![
            row("update: requests that failed", "", vec![0.0], Some(0.0)),
            row("update: requests that were answered", "", vec![seen.requests], None),
            row(
                "update: the longest wait for an answer",
                "instructions",
                vec![seen.longest],
                Some(STALL),
            ),
            row("update: segments that clients sent again", "", again, None),
        ];
        rows.iter().for_each(|row| ui.note(&told(row)));
        Ok(rows)
    }

    fn end(self) -> Result<()> {
        self.script("xl destroy $NAME\n/usr/sbin/ip neigh del $IP dev xenbr0\nrm -r /bench")?;
        Ok(())
    }
}

/// Saves a guest of so much memory, looks at the file, and lets the guest look at its memory when
/// it is restored.
fn saved(host: &Host, mib: u32) -> Result<Saved> {
    let file = Disk::in_dom0(0);
    let script = format!(
        "log=/var/log/xen/console/guest-saved{mib}.log\n\
         says() {{ for _ in $(seq 600); do grep -q \"$1\" $log && return; \
         grep -q '^verdict: fail' $log && break; sleep 1; done; tail $log >&2; exit 1; }}\n\
         xl create -q -e /dev/null \"name='saved{mib}'\" \"kernel='/bench/guest'\" memory={mib} \
         \"tsc_mode='native'\" >&2 || exit\n\
         says '^ready'\nsleep 1\n\
         xl save saved{mib} {file} >&2 || exit\n\
         python3 -S /bench/frames.py {file} || exit\n\
         xl restore -e {file} >&2 || exit\n\
         says '^generation 1, memory true'\n\
         xl shutdown -w saved{mib} >&2\nsays '^verdict: pass'\nxl destroy saved{mib} 2>/dev/null\nexit 0"
    );
    let output = host.shell_within(&script, PATIENCE)?.success()?;
    Saved::of(mib, &figures(&String::from_utf8_lossy(&output.stdout)))
}

/// All figures of that name, in the order in which they were said.
fn every(said: &str, key: &str) -> Vec<f64> {
    said.lines().filter_map(|line| figures(line).get(key).copied()).collect()
}

fn row(what: &str, unit: &'static str, figures: Vec<f64>, aim: Option<f64>) -> Row {
    Row {
        what: what.into(),
        unit,
        better: Better::Less,
        xenith: Sample::of(figures),
        linux: None,
        aim: aim.map(Aim::Figure),
    }
}

/// What wrk saw.
#[derive(Debug, PartialEq)]
struct Wrk {
    requests: f64,
    /// The longest wait for an answer, in ns.
    longest: f64,
    /// What it says of failures.
    failed: Option<String>,
}

impl Wrk {
    fn read(said: &str) -> Option<Self> {
        let line = |what: &str| said.lines().find(|line| line.contains(what));
        let requests = line(" requests in ")?.split_whitespace().next()?.parse().ok()?;
        // Its average, deviation and the most; then how many were near the average.
        let latency = said.lines().find(|line| line.trim_start().starts_with("Latency  "))?;
        let longest = nanoseconds(latency.split_whitespace().nth(3)?)?;
        let failed = line("Socket errors").or_else(|| line("Non-2xx")).map(str::to_owned);
        Some(Self { requests, longest, failed })
    }
}

/// Reads a time as wrk writes it, such as `1.23ms`.
fn nanoseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9)];
    let (digits, scale) =
        units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    digits.parse::<f64>().ok().map(|it| it * scale)
}

/// A figure as it is told at once.
fn told(row: &Row) -> String {
    let figure = row.xenith.as_ref().map_or_else(|| "-".into(), |it| number(it.median));
    format!("{}: {figure} {}", row.what, row.unit)
}

fn line(saved: &Saved) -> String {
    let Saved { memory_mib, bytes: length, pages, twice } = saved;
    format!(
        "{memory_mib} MiB: {pages} pages, {twice} of them twice, in {} bytes",
        bytes(*length as u64)
    )
}

fn shown(found: &Suspend) -> String {
    let head = ["median", "unit", "Xenith", "least", "most", "aim"];
    let mut rows = vec![head.map(str::to_owned)];
    for row in &found.rows {
        let Some(sample) = &row.xenith else { continue };
        rows.push([
            row.what.clone(),
            row.unit.into(),
            number(sample.median),
            number(sample.least),
            number(sample.most),
            row.verdict(),
        ]);
    }
    let mut text = if rows.len() > 1 { table(&rows, &[2, 3, 4]) } else { String::new() };
    for saved in &found.files {
        text += &format!("{}\n", line(saved));
    }
    for held in &found.held {
        text += &format!("{held}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let said = "Running 4s test @ http://10.0.0.2/\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                    Latency     1.23ms    4.56ms  50.20ms   97.10%\n    Req/Sec     3.00k   100.00     4.00k    70.00%\n  \
                    Latency Distribution\n     50%    1.00ms\n  12000 requests in 4.00s, 2.40MB read\n";
        let seen = |failed| Wrk { requests: 12000.0, longest: 50.2e6, failed };
        assert_eq!(Wrk::read(said), Some(seen(None)));
        let errors = "  Socket errors: connect 0, read 3, write 0, timeout 0";
        assert_eq!(Wrk::read(&format!("{said}{errors}\n")), Some(seen(Some(errors.to_owned()))));
        let times = ["900us", "1.5s", "2m", "3"].map(nanoseconds);
        assert_eq!(times, [Some(9e5), Some(1.5e9), Some(120e9), None]);
    }

    #[test]
    fn a_page_that_is_missing_or_there_twice_is_an_error() {
        let of = |pages: u32, twice: u32, last: u32| {
            let said = format!(
                "bench: pages={pages}\nbench: twice={twice}\nbench: last={last}\nbench: bytes=9\n"
            );
            Saved::of(4, &figures(&said)).is_ok()
        };
        assert!(of(1024, 0, 1023));
        assert!(!of(1023, 0, 1023) && !of(1024, 1, 1023) && !of(1024, 0, 1024));
    }

    #[test]
    fn every_round_counts() {
        let said = "bench: a=1\nbench: b=5\nbench: a=3\n";
        assert_eq!(every(said, "a"), [1.0, 3.0]);
        let row = row("x", "instructions", every(said, "a"), Some(1.0));
        assert_eq!(
            (told(&row), row.verdict()),
            ("x: 2 instructions".into(), "at most 1: MISSED".into())
        );
    }
}
