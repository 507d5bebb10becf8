//! `cargo mk test`: guests that test from within, or that clients in dom0 test.

mod job;
mod runs;
mod stage;

use super::build;
use super::run::{check_memory, telling};
use crate::boot;
use crate::directives::{Part, Run, default_run, parse};
use crate::ending::{Ending, text};
use crate::explain::explain;
use crate::image::xl;
use crate::judge::{Outcome, Verdict, judge};
use crate::names::named;
use crate::project::{Guest, Project, read};
use crate::ui::{Ui, out};
use anyhow::{Context, Result, bail};
use console::style;
use job::Job;
use lab::{Disk, GuestSpec, Host, Options};
pub(crate) use runs::{Gate, lock};
use runs::{Worker, run_all};
use stage::Stage;
use std::io::Write;
use std::time::Duration;

/// Lines of a console that are shown when something failed.
const SHOWN_LINES: usize = 40;

/// Runs test guests on Xen in QEMU
#[derive(clap::Args, Default)]
#[command(
    after_help = "Example:\n  cargo mk test console\n\nWhat is expected of a guest stands in \
`//! test:` lines at the top of its file: of each\nguest in tests/src/bin, and of apps in their \
src/main.rs."
)]
pub(crate) struct Args {
    /// Runs only the tests whose names contain one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,

    /// Passes another argument to Xen, such as xpti=dom0,domu; any number of times
    #[arg(long = "xen", value_name = "ARGUMENT")]
    xen: Vec<String>,

    /// Runs the tests that are left out otherwise, as they take minutes, and none but them
    #[arg(long)]
    long: bool,

    /// Runs none but the tests that are a part of `cargo mk check`
    #[arg(long, conflicts_with = "long")]
    check: bool,

    /// Runs tests on a second host as well, from the last one on, for a machine with processors to spare
    #[arg(long)]
    two_hosts: bool,
}

/// How many runs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Args {
    /// Those of `cargo mk check`.
    pub(crate) fn of_check() -> Self {
        Self { check: true, ..Self::default() }
    }
}

/// Runs the command.
///
/// # Errors
/// When a guest does not compile or the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let second = Gate::default();
    second.open();
    let second = args.two_hosts.then_some(&second);
    let (tally, mut told) = test(&Project::find()?, args, second, ui)?;
    // Of what was printed in full above, the first line: which ones they were, and why.
    for text in &mut told.failures {
        text.truncate(text.find('\n').map_or(text.len(), |end| end + 1));
    }
    if tally.all() == 1 {
        told.failures.clear();
    }
    out(&format!("{}\n{tally}\n", told.again()));
    Ok(u8::from(tally.failed > 0))
}

/// What is told of tests at the end of a long output.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What was printed of those that failed.
    pub(crate) failures: Vec<String>,
    /// Lines of those that ended a host, and passed on another one: they are no failures, and may be
    /// why it ended.
    pub(crate) suspicious: Vec<String>,
}

impl Told {
    /// Notes what became of a test, of which `text` was printed last. `ended` says whether a host
    /// ended under it before.
    fn note(&mut self, name: &str, text: &str, failed: bool, ended: bool) {
        if failed {
            self.failures.push(text.to_owned());
        } else if ended {
            self.suspicious.push(format!("       {name}\n"));
        }
    }

    /// Adds what another one tells.
    pub(crate) fn add(&mut self, other: Self) {
        self.failures.extend(other.failures);
        self.suspicious.extend(other.suspicious);
    }

    /// All of it, once more.
    pub(crate) fn again(&self) -> String {
        let part = |title, lines: &[String]| match lines {
            [] => String::new(),
            lines => format!("\n{title}:\n{}", lines.concat()),
        };
        let suspicious =
            part("suspicious, as a host ended under them before they passed", &self.suspicious);
        suspicious + &part("failed", &self.failures)
    }
}

/// Runs the tests and prints what became of each, from when `second` is open on two hosts; gives
/// what is to be told of them at the end.
///
/// # Errors
/// When a guest does not compile or the host does not come up.
pub(crate) fn test(
    project: &Project,
    args: &Args,
    second: Option<&Gate>,
    ui: &Ui,
) -> Result<(Tally, Told)> {
    let planned = plan(project, args)?;
    if planned.is_empty() {
        bail!("{}", nothing(project, args)?);
    }
    let mut guests: Vec<&Guest> = Vec::new();
    for (guest, run) in &planned {
        let beside = run.with.iter().map(|with| with.app.clone()).collect::<Vec<_>>();
        let beside = if beside.is_empty() { Vec::new() } else { project.choose(&beside)? };
        for guest in [*guest].into_iter().chain(beside) {
            if guests.iter().all(|other| other.name != guest.name) {
                guests.push(guest);
            }
        }
    }
    let images = build::images(project, &guests, ui)?;
    let mut jobs = Vec::new();
    let mut roots: Vec<Disk> = Vec::new();
    for (guest, run) in planned {
        let image = |name: &str| images.iter().find(|image| image.name == name).context("no image");
        let with = run.with.iter().map(|with| Ok((image(&with.app)?, with.args.clone())));
        let with = with.collect::<Result<_>>()?;
        let image = image(&guest.name)?;
        check_memory(image, run.memory)?;
        let symbols = image.symbols(project)?;
        let name = full_name(guest, &run);
        let targets = stage::attach(project, guest, &name, &run, &mut roots, ui)?;
        jobs.push(Job { name, guest, image, with, run, targets, symbols });
    }
    let network = jobs.iter().any(|job| job.run.uses_network() || job.image.manifest.vifs() > 0);
    let xen = args.xen.clone();
    let options = Options { network, xen, disks: roots, ..boot::options(project)? };
    let boot = |worker: Worker| {
        // Hosts that run at the same time have a folder each.
        let run = match worker {
            Worker::First => options.run.clone(),
            Worker::Second => options.run.join("second"),
        };
        Host::boot(&Options { run, ..options.clone() }, ui)
    };
    run_all(&boot, &jobs, second, ui)
}

/// Says why there is nothing to run.
fn nothing(project: &Project, args: &Args) -> Result<String> {
    let kind = if args.long { "long tests" } else { "tests" };
    if args.filters.is_empty() {
        return Ok(format!("there are no {kind}: no main file has a `//! test:` line for one"));
    }
    let mut text = format!(
        "no {} has a name that contains {}",
        &kind[..kind.len() - 1],
        args.filters.join(" or ")
    );
    let others = Args { long: !args.long, filters: args.filters.clone(), ..Args::default() };
    if !plan(project, &others)?.is_empty() {
        let with = if args.long { "without" } else { "with" };
        text += &format!("; of those that run {with} --long, one has");
    }
    Ok(text)
}

/// All runs of all guests that `args` let through.
fn plan<'a>(project: &'a Project, args: &Args) -> Result<Vec<(&'a Guest, Run)>> {
    let mut planned = Vec::new();
    for guest in &project.guests {
        let source = String::from_utf8_lossy(&read(&guest.source)?).into_owned();
        let mut runs =
            parse(&source, guest.test).with_context(|| guest.source.display().to_string())?;
        if runs.is_empty() && guest.test {
            runs.push(default_run());
        }
        planned.extend(runs.into_iter().map(|run| (guest, run)));
    }
    planned.retain(|(guest, run)| {
        let name = full_name(guest, run);
        let chosen = args.filters.is_empty() || args.filters.iter().any(|it| name.contains(it));
        chosen
            && match run.part {
                Part::Check => !args.long,
                Part::Test => !args.long && !args.check,
                Part::Long => args.long,
            }
    });
    Ok(planned)
}

/// Such as `memory(64)`.
fn full_name(guest: &Guest, run: &Run) -> String {
    match &run.name {
        Some(name) => format!("{}({name})", guest.name),
        None => guest.name.clone(),
    }
}

impl Tally {
    /// How many there were.
    pub(crate) const fn all(self) -> usize {
        self.passed + self.failed + self.skipped
    }

    /// Adds another one's numbers.
    pub(crate) const fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    fn count(&mut self, done: &Result<(Outcome, Verdict)>) {
        match done {
            Ok((_, Verdict::Pass)) => self.passed += 1,
            Ok((_, Verdict::Skip(_))) => self.skipped += 1,
            _ => self.failed += 1,
        }
    }
}

/// Creates the guest, waits for its end and judges it.
fn run_one(host: &Host, job: &Job<'_>) -> Result<(Outcome, Verdict)> {
    let mut overrides = Vec::new();
    overrides.extend(job.run.args.as_ref().map(|args| format!("extra={}", xl::quote(args))));
    overrides.extend(job.run.memory.map(|mib| format!("memory={mib}")));
    overrides.extend(job.run.config.iter().cloned());
    let mut stage = Stage::set(host, job)?;
    overrides.extend(stage.disks());
    let number = Some(stage.number());
    let spec = GuestSpec { overrides, number, ..GuestSpec::new(job.image.config()) };
    let mut domain = host.create(&spec)?;
    if let Some(input) = &job.run.input {
        domain.input()?.write_all(input.as_bytes()).context("cannot type at the console")?;
    }
    let served = stage.clients(&mut domain);
    // When its clients failed, nobody waits for it to end well.
    let limit = if served.is_ok() { job.run.timeout } else { Duration::ZERO };
    let end = domain.wait(limit, &mut |_| ())?;
    let served = served.and_then(|()| stage.others_are_well());
    let mut outcome = match end {
        Some(end) => Outcome {
            ending: Some(Ending::of(&end)),
            console: text(&end.console),
            hypervisor: telling(&end.hypervisor_log).map(|line| format!("{line}\n")).collect(),
            explanation: explain(&end, &job.symbols),
        },
        None => Outcome {
            ending: None,
            console: text(domain.console()),
            hypervisor: domain.registers().unwrap_or_else(|error| format!("{error:#}")),
            explanation: None,
        },
    };
    outcome.console = named(&outcome.console, &job.symbols);
    outcome.hypervisor = named(&outcome.hypervisor, &job.symbols);
    let verdict = match (judge(&job.run, &outcome), served) {
        (verdict, Ok(())) => verdict,
        (Verdict::Crash(why), Err(error)) => Verdict::Crash(format!("{why}; {error:#}")),
        (_, Err(error)) => Verdict::Fail(format!("{error:#}")),
    };
    Ok((outcome, verdict))
}

/// The line of a run, and below it what explains a failure.
fn shown(job: &Job<'_>, done: &Result<(Outcome, Verdict)>, time: Duration, width: usize) -> String {
    let (word, why) = match done {
        Ok((_, Verdict::Pass)) => (style("pass ").green(), String::new()),
        Ok((_, Verdict::Skip(why))) => (style("skip ").yellow(), why.clone()),
        Ok((_, Verdict::Fail(why))) => (style("fail ").red(), why.clone()),
        Ok((_, Verdict::Crash(why))) => (style("crash").red(), why.clone()),
        Err(error) => (style("error").red(), format!("{error:#}")),
    };
    let seconds = time.as_secs_f64();
    let line = format!("{word}  {:width$}  {seconds:5.1} s  {why}", job.name);
    let mut text = line.trim_end().to_owned() + "\n";
    if let Ok((outcome, Verdict::Fail(_) | Verdict::Crash(_))) = done {
        text += &quoted("console", &outcome.console);
        text += &quoted("hypervisor", &outcome.hypervisor);
        if let Some(why) = &outcome.explanation {
            text += &quoted("that means", why);
        }
    }
    text
}

/// The last lines of `text`, set off.
fn quoted(what: &str, text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    if lines.is_empty() {
        return format!("       {what}: nothing\n");
    }
    let skipped = lines.len().saturating_sub(SHOWN_LINES);
    let mut quoted = match skipped {
        0 => format!("       {what}:\n"),
        _ => format!("       {what}, after {skipped} lines:\n"),
    };
    for line in &lines[skipped..] {
        quoted += &format!("       | {line}\n");
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_passed_after_it_ended_a_host_is_told_of() {
        let mut told = Told::default();
        assert_eq!(told.again(), "");
        told.note("httpd(ends)", "pass   httpd(ends)  1.0 s\n", false, false);
        assert_eq!(told.again(), "");
        told.note("kv", "pass   kv  1.0 s\n", false, true);
        told.note("site", "fail   site  1.0 s  it ended\n", true, true);
        let expected = "\nsuspicious, as a host ended under them before they passed:\n       kv\n\
                        \nfailed:\nfail   site  1.0 s  it ended\n";
        assert_eq!(told.again(), expected);
        let mut all = Told { failures: vec!["fail   book\n".into()], ..Told::default() };
        all.add(told);
        assert!(
            all.again().ends_with(":\nfail   book\nfail   site  1.0 s  it ended\n"),
            "{}",
            all.again()
        );
    }
}
