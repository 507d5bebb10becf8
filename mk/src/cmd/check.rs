//! `cargo mk check`: everything that must hold before a change goes in.

use super::book;
use super::build;
use super::test::{self, Gate, Tally, Told, lock};
use super::tidy;
use crate::boot;
use crate::guest::Guests;
use crate::project::{Goal, Project, cargo};
use crate::ui::{Ui, bytes, out};
use anyhow::{Context, Result, bail, ensure};
use console::style;
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Instant;

/// Checks everything: format, lints, tests, documentation, invariants, images, guests
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk check\n\nThis is all that CI does. What fails is shown in \
full, and once more at the end; the rest goes on."
)]
pub(crate) struct Args {
    /// Leaves out the guests on Xen
    #[arg(long)]
    fast: bool,
}

/// What became of the steps.
struct Steps<'a> {
    ui: &'a Ui,
    tally: Mutex<Tally>,
    told: Mutex<Told>,
}

/// Runs the command.
///
/// # Errors
/// When the workspace cannot be read.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    let steps = Steps { ui, tally: Mutex::default(), told: Mutex::default() };
    // Two cores: while one emulates Xen, the other compiles for the host, and after that emulates
    // another Xen. The host's QEMU belongs to the thread that booted it, so that is this one.
    let done = Gate::default();
    let (built, images) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (_done, images) = (done.at_end(), images);
            host_steps(&project, &steps);
            if project.is_xenith() {
                match images.recv().unwrap_or(Err("there are no images")) {
                    Ok(()) => lab_step(&project, &steps),
                    Err(why) => steps.skip(LAB, why),
                }
            }
        });
        guest_steps(&project, args, built, &done, &steps);
    });
    let tally = *lock(&steps.tally);
    out(&format!("{}\n{tally}\n", lock(&steps.told).again()));
    Ok(u8::from(tally.failed > 0))
}

/// What needs the host's toolchain only, in the order of how soon it fails.
fn host_steps(project: &Project, steps: &Steps<'_>) {
    let cargo = |arguments: &str| {
        let mut command = Command::new(cargo());
        command.args(arguments.split(' ')).current_dir(&project.root);
        command
    };
    steps.step("format", || {
        if project.is_xenith() {
            // A workspace of its own.
            capture(steps.ui, cargo("fmt --manifest-path tests/fuzz/Cargo.toml --check"))?;
        }
        capture(steps.ui, cargo("fmt --all --check")).map(one)
    });
    if project.is_xenith() {
        steps.step("invariants", || match tidy::check(project)? {
            true => Ok(one(String::new())),
            false => bail!("see above"),
        });
    }
    let clippy = "clippy --workspace --all-targets --quiet";
    steps.step("lints, host", || capture(steps.ui, cargo(clippy)).map(one));
    steps.step("tests, host", || {
        let mut command = cargo("test --workspace --no-fail-fast");
        if project.is_xenith() {
            // File systems are made and checked by Linux's own tools.
            if let Some(folder) = lab::tools(&boot::cache(project), steps.ui)? {
                let path = std::env::var("PATH").unwrap_or_default();
                command.env("PATH", format!("{path}:{}", folder.display()));
            }
        }
        capture(steps.ui, command).map(|text| tests_in(&text))
    });
    if project.is_xenith() {
        if miri_is_there() {
            steps.step("unsafe code, Miri", || miri(project, steps.ui));
        } else {
            steps.skip("unsafe code, Miri", MIRI_MISSING);
        }
    }
    steps.step("docs, host", || {
        let mut command = cargo("doc --no-deps --quiet");
        match project.is_xenith() {
            true => command.args(project.published().flat_map(|name| ["--package", name])),
            false => command.arg("--workspace"),
        };
        capture(steps.ui, command.env("RUSTDOCFLAGS", "--deny warnings")).map(one)
    });
    if project.is_xenith() {
        match book::obstacle(project) {
            Some(why) => steps.skip("book", &why),
            None => drop(steps.step("book", || book::build(project, steps.ui).map(|_| one("")))),
        }
        steps.step("packages", || {
            // That each is whole, a release proves: building them takes minutes.
            let mut command = cargo("package --quiet --offline --allow-dirty --no-verify");
            command.args(project.published().flat_map(|name| ["--package", name]));
            capture(steps.ui, command).map(one)
        });
        match deny_is_there() {
            true => drop(steps.step("dependencies", || deny(project, steps.ui))),
            false => steps.skip("dependencies", DENY_MISSING),
        }
    }
}

/// Why the step is left out where it is: a component of the nightly toolchain
/// is nothing that a check should install.
const MIRI_MISSING: &str =
    "not installed; `rustup component add miri rust-src --toolchain nightly` installs it";

/// The tests that go through unsafe code: all of `xen`, and the tasks and the
/// lists of the heap in `kernel`. Left out are the one that loom already interprets, and the one
/// that needs a clock that runs.
const MIRI: [&[&str]; 2] = [
    &["--package", "xenith-xen", "--lib", "--", "--skip", "interleaving"],
    &["--package", "xenith-kernel", "--lib", "--", "task::", "lists::", "--skip", "busy"],
];

/// Why the step is left out where it is.
const DENY_MISSING: &str = "not installed; `cargo install --locked cargo-deny` installs it";

fn deny_is_there() -> bool {
    let output = Command::new(cargo()).args(["deny", "--version"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Has cargo-deny check licences, duplicates, sources and advisories. Without a network it compares
/// with the advisories that were fetched last; without any, those are skipped.
fn deny(project: &Project, ui: &Ui) -> Result<(Tally, String)> {
    let deny = |words: &str| {
        let mut command = Command::new(cargo());
        command.arg("deny").args(words.split(' ')).current_dir(&project.root);
        capture(ui, command)
    };
    deny("--offline check bans licenses sources")?;
    let Err(error) = deny("check advisories") else { return Ok(one("")) };
    if was_compared(&format!("{error:#}")) {
        return Err(error);
    }
    match deny("--offline check advisories") {
        Ok(_) => Ok(one("with the advisories that were fetched last: there is no network")),
        Err(error) if was_compared(&format!("{error:#}")) => Err(error),
        Err(_) => {
            let note = "not compared with advisories: their database cannot be fetched";
            Ok((Tally { passed: 1, skipped: 1, ..Tally::default() }, note.to_owned()))
        }
    }
}

/// Whether cargo-deny came to a verdict on advisories. It does not without their database, which
/// says nothing about the dependencies.
fn was_compared(output: &str) -> bool {
    output.contains("advisories FAILED")
}

fn miri_is_there() -> bool {
    let output = Command::new("rustup")
        .args(["component", "list", "--installed", "--toolchain", "nightly"])
        .stdin(Stdio::null())
        .output();
    let installed = output.map(|output| output.stdout).unwrap_or_default();
    let installed = String::from_utf8_lossy(&installed).into_owned();
    let has = |name: &str| installed.lines().any(|line| line.starts_with(name));
    has("miri") && has("rust-src")
}

/// Runs the tests of [`MIRI`] in Miri, which finds undefined behaviour.
fn miri(project: &Project, ui: &Ui) -> Result<(Tally, String)> {
    let mut tally = Tally::default();
    for arguments in MIRI {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo", "miri", "test"]).args(arguments);
        command.current_dir(&project.root);
        // Simulated domains live until the end, and the fake hypervisor takes
        // pointers as the numbers that a hypercall's registers hold.
        command.env("MIRIFLAGS", "-Zmiri-ignore-leaks -Zmiri-permissive-provenance");
        // A nightly compiler may warn of more than the pinned one.
        command.env("RUSTFLAGS", "--cap-lints=warn");
        command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        tally.add(tests_in(&capture(ui, command)?).0);
    }
    Ok((tally, String::new()))
}

/// The step besides the guests that boots Xen.
const LAB: &str = "the lab itself";

/// Tests the host that guests run on.
fn lab_step(project: &Project, steps: &Steps<'_>) {
    steps.step(LAB, || {
        let mut command = Command::new(cargo());
        // Guests run besides, so that one more host at a time is enough.
        command.args(["test", "--package", "xenith-lab", "--test", "on_xen", "--"]);
        command.arg("--test-threads=1");
        capture(steps.ui, command.current_dir(&project.root)).map(|text| tests_in(&text))
    });
}

/// What is compiled for the guest target, and what runs on Xen: on a second host as well from when
/// `second` is open. Says to `built` whether there are images for Xen, and if not, why.
fn guest_steps(
    project: &Project,
    args: &Args,
    built: mpsc::Sender<Result<(), &'static str>>,
    second: &Gate,
    steps: &Steps<'_>,
) {
    let well = steps.step("images", || {
        let apps: Vec<_> = project.apps().collect();
        let images = build::images(project, &apps, steps.ui)?;
        let large = images.iter().filter_map(|image| image.report.too_large());
        let large: Vec<_> = large.collect();
        ensure!(large.is_empty(), "{}", large.join("\n"));
        let sizes = images.iter().map(|image| {
            let limit =
                image.report.limit.map_or("no limit".into(), |it| format!("of {}", bytes(it)));
            format!("{} {} {limit}", image.name, bytes(image.report.size))
        });
        Ok(one(sizes.collect::<Vec<_>>().join("; ")))
    });
    steps.step("lints, guest", || {
        let mut command = Guests::new(project, Goal::Size, steps.ui)?.cargo("clippy");
        command.current_dir(&project.root).arg("--quiet");
        for package in project.guest_packages() {
            command.args(["--package", package]);
        }
        capture(steps.ui, &mut command).map(one)
    });
    if project.is_xenith() {
        // What stands behind `cfg(target_os = "xen")` has links of its own.
        steps.step("docs, guest", || {
            let mut command = Guests::new(project, Goal::Size, steps.ui)?.cargo("doc");
            command.args(["--no-deps", "--lib", "--quiet"]).current_dir(&project.root);
            let published: Vec<_> = project.published().collect();
            for package in project.guest_packages().filter(|it| published.contains(it)) {
                command.args(["--package", package]);
            }
            capture(steps.ui, command.env("RUSTDOCFLAGS", "--deny warnings")).map(one)
        });
    }
    let there_are = match (args.fast, well) {
        (true, _) => Err("--fast"),
        (false, false) => Err("the images failed"),
        (false, true) => Ok(()),
    };
    // Who hears it may have ended.
    let _ = built.send(there_are);
    if let Err(why) = there_are {
        return steps.skip("guests on Xen", why);
    }
    steps.step("guests on Xen", || {
        let (tally, told) = test::test(project, &test::Args::of_check(), Some(second), steps.ui)?;
        lock(&steps.told).add(told);
        Ok((tally, String::new()))
    });
}

/// A step that counts as one.
fn one(note: impl Into<String>) -> (Tally, String) {
    let note: String = note.into();
    // Output of a command that went well is of no interest.
    let note = if note.contains('\n') { String::new() } else { note };
    (Tally { passed: 1, ..Tally::default() }, note)
}

impl Steps<'_> {
    /// Does a step, counts it, and says how it went.
    fn step(&self, name: &str, action: impl FnOnce() -> Result<(Tally, String)>) -> bool {
        if !self.ui.is_terminal() {
            self.ui.note(name);
        }
        let start = Instant::now();
        let (tally, note) = action().unwrap_or_else(|error| {
            (Tally { failed: 1, ..Tally::default() }, format!("{error:#}"))
        });
        lock(&self.tally).add(tally);
        let well = tally.failed == 0;
        let word = if well { style("ok   ").green() } else { style("FAIL ").red() };
        let counted = match tally.all() {
            1 => String::new(),
            _ => format!("{tally}  "),
        };
        let seconds = start.elapsed().as_secs_f64();
        let line = format!("{word} {name:17} {seconds:6.1} s  {counted}{note}");
        let line = line.trim_end().to_owned() + "\n";
        self.ui.above(|| out(&line));
        if !well {
            lock(&self.told).failures.push(line);
        }
        well
    }

    fn skip(&self, name: &str, why: &str) {
        lock(&self.tally).skipped += 1;
        let word = style("skip ").yellow();
        self.ui.above(|| out(&format!("{word} {name:17}           {why}\n")));
    }
}

/// Runs a command and gives what it printed.
fn capture(ui: &Ui, mut command: impl std::borrow::BorrowMut<Command>) -> Result<String> {
    let command = command.borrow_mut();
    ui.command(command);
    let output = command.stdin(Stdio::null()).output().context("cannot run cargo")?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text += &String::from_utf8_lossy(&output.stderr);
        bail!("{}\n{}", crate::ui::shown(command), text.trim_end());
    }
    Ok(text)
}

/// Adds up the lines in which cargo's test harness says how many passed.
fn tests_in(output: &str) -> (Tally, String) {
    let mut tally = Tally::default();
    for line in output.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        for part in line.split(['.', ';']) {
            let Some((count, what)) = part.trim().split_once(' ') else { continue };
            let Ok(count) = count.parse::<usize>() else { continue };
            match what {
                "passed" => tally.passed += count,
                "failed" => tally.failed += count,
                "ignored" => tally.skipped += count,
                _ => {}
            }
        }
    }
    (tally, String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_network_fails_no_audit() {
        for error in [
            "[ERROR] failed to fetch advisory database https://github.com/RustSec/advisory-db",
            "[ERROR] failed to get 'FETCH_HEAD' metadata: failed to get HEAD timestamp",
        ] {
            assert!(!was_compared(error));
        }
        assert!(was_compared("error[vulnerability]: a crate\nadvisories FAILED"));
    }

    #[test]
    fn cargo_s_results_are_added_up() {
        let output = "running 2 tests\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; \
            0 measured; 0 filtered out; finished in 0.01s\n\ntest result: FAILED. 3 passed; 4 failed; \
            0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let (tally, _) = tests_in(output);
        assert_eq!(tally, Tally { passed: 5, failed: 4, skipped: 1 });
    }
}
