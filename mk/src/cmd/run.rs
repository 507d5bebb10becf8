//! `cargo mk run`: one guest, from its source to its end.

use super::build::{self, Image};
use crate::boot;
use crate::ending::{Ending, LineFeeds, TIMEOUT, exit_status};
use crate::explain::explain;
use crate::image::xl;
use crate::lab::{Guest as Domain, GuestSpec, Input};
use crate::names::{Names, addition, named};
use crate::project::{Guest, Project, cargo};
use crate::symbols::Symbols;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use console::style;
use rustix::termios::tcgetpgrp;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Builds an app and runs it, by default on Xen in QEMU
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk run hello\n  cargo mk run hello \"greeting=Hello World\"\n  \
cargo mk run hello --on linux\n\nThe exit status is 0 when the app ended well, its own when it \
failed, 101 when it\ncrashed, and 124 at the time limit."
)]
pub(crate) struct Args {
    /// The app; without it, the app of the current folder
    #[arg(value_name = "APP")]
    app: Option<String>,
    /// Arguments for the app; `help` lists them
    #[arg(value_name = "KEY=VALUE")]
    args: Vec<String>,
    /// Where to run it
    #[arg(long, value_enum, default_value = "xen-qemu")]
    on: On,
    /// Memory of the domain in MiB, instead of what the manifest says
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    memory: Option<u64>,
    /// Ends the run after that time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

/// Where an app can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// A domain of real Xen, in QEMU
    XenQemu,
    /// A process of this machine
    Linux,
    /// A domain of the Xen host that this machine is
    Xl,
}

/// A time that a user wrote.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("{text} is no time"))
}

/// As good as no limit.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs the command.
///
/// # Errors
/// When the app cannot be built or the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    let (app, items) = args.app_and_items(&project);
    let guests = project.choose(&app)?;
    let guest = *guests.first().context("no app")?;
    match args.on {
        On::Linux => return on_linux(&project, guest, &items, args, ui),
        On::Xl => require_xl()?,
        On::XenQemu => {}
    }
    let overrides = overrides(&items, args.memory)?;
    let images = build::images(&project, &[guest], ui)?;
    let image = images.first().context("no image")?;
    check_memory(image, args.memory)?;
    if args.on == On::Xl {
        return on_xl(image, &project, &overrides, args, ui);
    }
    let host = boot::host(&project, false, ui)?;
    let spec = GuestSpec { overrides, ..GuestSpec::new(image.config()) };
    let mut domain = host.create(&spec)?;
    watch(&mut domain, &image.name, &image.symbols(&project)?, args.timeout, ui)
}

impl Args {
    /// The first word is the app unless it can only be an argument.
    fn app_and_items(&self, project: &Project) -> (Vec<String>, Vec<String>) {
        let mut app: Vec<_> = self.app.iter().cloned().collect();
        let mut items = self.args.clone();
        let is_item = |word: &String| {
            let known = project.guests.iter().any(|guest| guest.name == *word);
            !known && (word.contains('=') || word == "help")
        };
        if app.first().is_some_and(is_item) {
            items.insert(0, app.remove(0));
        }
        (app, items)
    }
}

/// The lines by which `xl create` changes the configuration.
fn overrides(items: &[String], memory: Option<u64>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if !items.is_empty() {
        lines.push(format!("extra={}", xl::quote(&xl::command_line(items)?)));
    }
    lines.extend(memory.map(|mib| format!("memory={mib}")));
    Ok(lines)
}

/// Refuses less memory than the domain builder can do with.
pub(crate) fn check_memory(image: &Image, memory: Option<u64>) -> Result<()> {
    let least = image.report.least_mib;
    if let Some(memory) = memory {
        ensure!(
            memory >= least,
            "{} cannot be started with {memory} MiB: its image needs at least {least}",
            image.name
        );
    }
    Ok(())
}

/// Shows the domain's console until its end or the time limit.
fn watch(
    domain: &mut Domain,
    name: &str,
    symbols: &Symbols,
    timeout: Option<Duration>,
    ui: &Ui,
) -> Result<u8> {
    forward_input(domain);
    let start = Instant::now();
    let mut console = Console::new(symbols);
    let mut sink = |bytes: &[u8]| show(&console.text(bytes));
    let end = domain.wait(timeout.unwrap_or(FOREVER), &mut sink)?;
    let after = start.elapsed().as_secs_f64();
    let Some(end) = end else {
        ui.note(&headline(name, &format!("still running after {after:.1} s, and ended"), TIMEOUT));
        match domain.registers() {
            Ok(registers) => ui.note(named(&registers, symbols).trim_end()),
            Err(error) => ui.warn(&format!("its registers cannot be shown: {error:#}")),
        }
        return Ok(TIMEOUT);
    };
    let ending = Ending::of(&end);
    if !matches!(ending, Ending::Poweroff | Ending::Exit(_)) {
        for line in telling(&end.hypervisor_log) {
            ui.note(&format!("{line}{}", addition(line, symbols)));
        }
    }
    if let Some(why) = explain(&end, symbols) {
        ui.note(&format!("{name}: {why}"));
    }
    let what = format!("{} after {after:.1} s", ending.shown());
    ui.note(&headline(name, &what, ending.status()));
    Ok(ending.status())
}

/// A console as it is shown: with plain line feeds, and with names in reports.
struct Console<'a> {
    line_feeds: LineFeeds,
    names: Names<'a>,
}

impl<'a> Console<'a> {
    fn new(symbols: &'a Symbols) -> Self {
        Self { line_feeds: LineFeeds::default(), names: Names::new(symbols) }
    }

    fn text(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (mut plain, mut text) = (Vec::new(), Vec::new());
        self.line_feeds.feed(bytes, &mut plain);
        self.names.feed(&plain, &mut text);
        text
    }
}

/// The lines of a register dump without those of an empty stack.
pub(crate) fn telling(log: &[String]) -> impl Iterator<Item = &String> {
    log.iter().filter(|line| {
        let words = line.strip_prefix("(XEN)").unwrap_or(line).split_whitespace();
        words.clone().next().is_none() || words.clone().any(|word| word.contains(|c| c != '0'))
    })
}

/// The line that says how a run ended.
fn headline(name: &str, what: &str, status: u8) -> String {
    let what = style(what).for_stderr();
    let what = if status == 0 { what.green() } else { what.red() };
    format!("{name}: {what}")
}

/// Prints console output. When nobody reads it any more, the run is over.
fn show(text: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(text).and_then(|()| stdout.flush()).is_err() {
        // As for a process that SIGPIPE ends. QEMU ends with this process.
        std::process::exit(128 + 13);
    }
}

/// Passes standard input on to the guest's console, from a thread that lives
/// as long as this process.
fn forward_input(domain: &Domain) {
    // In the background, reading the terminal would stop this process.
    let stdin = rustix::stdio::stdin();
    let background = tcgetpgrp(stdin).is_ok_and(|group| group != rustix::process::getpgrp());
    if background {
        return;
    }
    let input = domain.input();
    thread::spawn(move || -> Result<()> {
        let mut input: Input = input?;
        let mut buffer = [0; 1024];
        loop {
            let count = std::io::stdin().read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            input.write_all(&buffer[..count])?;
        }
    });
}

/// Runs the app as a process of this machine.
fn on_linux(
    project: &Project,
    guest: &Guest,
    items: &[String],
    args: &Args,
    ui: &Ui,
) -> Result<u8> {
    ensure!(args.memory.is_none(), "--memory is for domains: a process takes what it needs");
    let call = |verb: &str| {
        let mut command = Command::new(cargo());
        command.args([verb, "--quiet", "--package", &guest.package, "--bin", &guest.name]);
        command.current_dir(&project.root);
        command
    };
    // Compiling does not count as running.
    let mut command = call("build");
    ui.command(&command);
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "{}: the build failed, see above", guest.name);
    let mut command = call("run");
    command.arg("--").args(items);
    ui.command(&command);
    let start = Instant::now();
    let child = command.spawn().context("cannot run cargo")?;
    let Some(status) = wait(child, args.timeout)? else {
        ui.note(&headline(&guest.name, "still running at the time limit, and ended", TIMEOUT));
        return Ok(TIMEOUT);
    };
    let code = code(status);
    let after = start.elapsed().as_secs_f64();
    let what = if code == 0 { "ended well".into() } else { format!("exit status {code}") };
    ui.note(&headline(&guest.name, &format!("{what} after {after:.1} s"), code));
    Ok(code)
}

/// A process's exit status in a shell's way.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Waits for a process; one that takes too long is ended.
fn wait(mut child: Child, timeout: Option<Duration>) -> Result<Option<ExitStatus>> {
    let Some(timeout) = timeout else { return Ok(Some(child.wait()?)) };
    let deadline = Instant::now() + timeout;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Makes sure that this machine is a Xen host and that we may use it.
fn require_xl() -> Result<()> {
    let other = "`--on xen-qemu`, the default, takes no Xen host";
    let output = match Command::new("xl").arg("info").output() {
        Ok(output) => output,
        Err(_) => bail!("there is no `xl` here, so this is not a Xen host; {other}"),
    };
    ensure!(
        output.status.success(),
        "`xl info` fails, so this is not dom0 of a Xen host or you are not root; {other}\n{}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// Runs the image on this Xen host.
fn on_xl(
    image: &Image,
    project: &Project,
    overrides: &[String],
    args: &Args,
    ui: &Ui,
) -> Result<u8> {
    let symbols = image.symbols(project)?;
    let mut command = Command::new("xl");
    command.args(["create", "-c"]).arg(format!("{}.xl", image.name)).args(overrides);
    command.current_dir(&image.folder).stdout(Stdio::piped());
    ui.command(&command);
    let mut child = command.spawn().context("cannot run xl")?;
    let mut stdout = child.stdout.take().context("xl has no output")?;
    // What it prints goes to the user as it comes, and is kept for its end.
    let reader = thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        let mut console = Console::new(&symbols);
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            let text = console.text(&buffer[..count]);
            show(&text);
            all.extend(text);
        }
        all
    });
    let start = Instant::now();
    let Some(status) = wait(child, args.timeout)? else {
        let mut destroy = Command::new("xl");
        destroy.args(["destroy", &image.manifest.name]);
        ui.command(&destroy);
        destroy.status().context("cannot run xl destroy")?;
        ui.note(&headline(&image.name, "still running at the time limit, and destroyed", TIMEOUT));
        return Ok(TIMEOUT);
    };
    let console = reader.join().unwrap_or_default();
    let code = exit_status(&console).unwrap_or_else(|| code(status));
    let after = start.elapsed().as_secs_f64();
    let what = if code == 0 { "the console closed".into() } else { format!("exit status {code}") };
    ui.note(&headline(&image.name, &format!("{what} after {after:.1} s"), code));
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_xl_and_the_guest_in_their_quotings() {
        let items = ["greeting=Hello World".to_owned(), "n=1".to_owned()];
        assert_eq!(
            overrides(&items, Some(8)).unwrap(),
            [r#"extra="\"greeting=Hello World\" n=1""#, "memory=8"]
        );
        assert!(overrides(&[], None).unwrap().is_empty());
    }

    #[test]
    fn an_empty_stack_tells_nothing() {
        let log = ["(XEN) rip: 0", "(XEN)    0000 0000", "(XEN)    0000 1000"].map(str::to_owned);
        assert_eq!(telling(&log).collect::<Vec<_>>(), [&log[0], &log[2]]);
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(seconds("soon").is_err() && seconds("-1").is_err());
    }

    #[test]
    fn a_process_has_an_exit_status_in_the_shell_s_way() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(6)), 134);
    }
}
