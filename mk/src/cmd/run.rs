//! `cargo mk run`: one guest, from its source to its end.

mod publish;
mod tap;
mod watch;

use super::build::{self, Image, Optimize};
use crate::boot;
use crate::disk::{self, Given};
use crate::ending::{TIMEOUT, exit_status};
use crate::image::elf::Elf;
use crate::image::{manifest, xl};
use crate::project::{Guest, Project, cargo, read};
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use lab::{self, Disk, GuestSpec, Host, Options};
use publish::Publish;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use watch::{Console, Running, headline, show, watch_all};

pub(crate) use watch::telling;

/// Builds an app and runs it, by default on Xen in QEMU
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk run hello\n  cargo mk run hello \"greeting=Hello World\"\n  \
cargo mk run hello --on linux\n  cargo mk run httpd --publish 8080:80 --pcap httpd.pcap\n  \
cargo mk run echo-server + fetch url=http://10.0.0.2/\n\nA lone + separates apps that run beside \
each other: the first one has the address\n10.0.0.2, the second one 10.0.0.3. What is for one app \
stands beside it, on its side\nof the +: --memory, --publish, --pcap and --disk.\n\nThe exit status is 0 \
when the app ended well, its own when it failed, 101 when it\ncrashed, and 124 at the time limit; \
of several apps, that of the first that failed."
)]
pub(crate) struct Args {
    #[command(flatten)]
    app: App,
    /// Where to run it
    #[arg(long, value_enum, default_value = "xen-qemu")]
    on: On,
    /// Ends the run after that time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// With --on linux: the tap interface that the app uses as its network, several with
    /// commas between. Without it, an app that asks for IP gets Linux's own sockets
    #[arg(long, value_name = "TAP")]
    net: Option<String>,
    #[command(flatten)]
    optimize: Optimize,
    /// What stands after each lone `+`
    #[arg(skip)]
    others: Vec<App>,
}

/// One app of a run.
#[derive(Clone, Debug, clap::Args)]
struct App {
    /// The app; without it, the app of the current folder
    #[arg(value_name = "APP")]
    app: Option<String>,
    /// Arguments for the app; `help` lists them
    #[arg(value_name = "KEY=VALUE")]
    args: Vec<String>,
    /// Memory of the domain in MiB, instead of what the manifest says
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    memory: Option<u64>,
    /// Leads a port of this machine to one of the guest; may be given several times.
    /// Without it, an app with an argument `port` gets a port of 127.0.0.1
    #[arg(long, value_name = "[ADDRESS:][PORT:]GUEST-PORT[/udp]", value_parser = publish::parse)]
    publish: Vec<Publish>,
    /// Records the guest's frames into a file for tcpdump or Wireshark; those of a
    /// second interface into FILE.1
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// What a disk of the app is: a file or block device, a folder that is packed into a
    /// tar archive, or the size of an empty image, which stays below target/xenith/disks
    /// from run to run. With ,ro behind it the guest cannot write; with ,4096 sectors are
    /// of that size
    #[arg(long, value_name = "NAME=FILE|FOLDER|SIZE", value_parser = disk::parse)]
    disk: Vec<Given>,
}

/// What stands after a `+`.
#[derive(clap::Parser)]
#[command(name = "cargo mk run ... +", no_binary_name = true, disable_help_subcommand = true)]
struct Other {
    #[command(flatten)]
    app: App,
}

/// Splits a command line at each lone `+`.
pub(crate) fn split(words: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<Vec<OsString>>) {
    let words: Vec<_> = words.collect();
    let is_run = words.iter().skip(1).find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    if is_run.is_none_or(|word| word != "run") {
        return (words, Vec::new());
    }
    let mut parts = words.split(|word| word == "+").map(<[_]>::to_vec);
    (parts.next().unwrap_or_default(), parts.collect())
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

/// Runs the command.
///
/// # Errors
/// When an app cannot be built or the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = args.optimize.project()?;
    let mut apps = Vec::new();
    for app in [&args.app].into_iter().chain(&args.others) {
        let (name, items) = app.name_and_items(&project);
        let guest = *project.choose(&name)?.first().context("no app")?;
        apps.push((app, guest, items));
    }
    if args.on != On::XenQemu {
        for (app, ..) in &apps {
            ensure!(
                app.publish.is_empty() && app.pcap.is_none(),
                "--publish and --pcap are for the lab's network, that of --on xen-qemu"
            );
        }
        let [(app, guest, items)] = &apps[..] else {
            bail!("several apps beside each other run with --on xen-qemu only");
        };
        if args.on == On::Linux {
            return on_linux(&project, guest, items, args, ui);
        }
        require_xl()?;
        ensure!(args.net.is_none(), "--net is for --on linux");
        let images = build::images(&project, &[guest], ui)?;
        let image = images.first().context("no image")?;
        check_memory(image, app.memory)?;
        let mut overrides = overrides(items, app.memory)?;
        let disks = disk::images(&project, &image.manifest, &app.disk, 0)?;
        let disks = disks.iter().map(|disk| {
            let path = disk.path.canonicalize().context("cannot find the disk's file")?;
            Ok(disk.xl(&path.display().to_string()))
        });
        overrides.extend(xl::list("disk", &disks.collect::<Result<Vec<_>>>()?));
        return on_xl(image, &project, &overrides, args, ui);
    }
    ensure!(args.net.is_none(), "--net is for --on linux: a domain has its own network interface");
    in_lab(&project, &apps, args.timeout, ui)
}

/// Runs apps on one Xen host in QEMU.
fn in_lab(
    project: &Project,
    apps: &[(&App, &Guest, Vec<String>)],
    timeout: Option<Duration>,
    ui: &Ui,
) -> Result<u8> {
    let mut guests: Vec<&Guest> = Vec::new();
    for (_, guest, _) in apps {
        if guests.iter().all(|other| other.name != guest.name) {
            guests.push(guest);
        }
    }
    let images = build::images(project, &guests, ui)?;
    let mut planned = Vec::new();
    let mut options = boot::options(project)?;
    for ((app, guest, items), index) in apps.iter().zip(0..) {
        let image = images.iter().find(|image| image.name == guest.name).context("no image")?;
        check_memory(image, app.memory)?;
        let mut overrides = overrides(items, app.memory)?;
        let twins = apps[..usize::from(index)].iter().filter(|other| other.1.name == guest.name);
        let disks = disk::images(project, &image.manifest, &app.disk, twins.count())?;
        overrides.extend(attach(&disks, &mut options));
        let vifs = image.manifest.vifs();
        ensure!(
            app.pcap.is_none() || vifs > 0,
            "{} has no network interface: --pcap has nothing to record",
            image.name
        );
        let forwards = publish::forwards(&app.publish, image, items, &lab::address(index))?;
        options.network |= vifs > 0;
        options.forwards.extend(forwards.iter().cloned());
        planned.push((app, image, overrides, forwards));
    }
    let host = Host::boot(&options, ui)?;
    ui.done();
    // Taken before any is created, so that they are in the order of the apps.
    let numbers = apps.iter().map(|_| Ok(Some(Arc::new(host.number()?))));
    let numbers: Vec<_> = numbers.collect::<Result<_>>()?;
    let mut running = Vec::new();
    for ((app, image, overrides, forwards), number) in planned.into_iter().zip(numbers) {
        let paused = app.pcap.is_some();
        let spec = GuestSpec { overrides, paused, number, ..GuestSpec::new(image.config()) };
        let domain = host.create(&spec)?;
        let mut captures = Vec::new();
        for (path, index) in
            app.pcap.iter().flat_map(|path| pcaps(path, domain.vifs().len())).zip(0..)
        {
            captures.push(domain.capture(index, &path)?);
        }
        if paused {
            domain.unpause()?;
        }
        let symbols = image.symbols(project)?;
        running.push(Running { domain, symbols, captures, forwards });
    }
    watch_all(running, timeout, ui)
}

/// Gives dom0 the images as disks of its own, and says so to xl.
fn attach(images: &[disk::Image], options: &mut Options) -> Option<String> {
    let item = |image: &disk::Image| {
        let target = Disk::in_dom0(options.disks.len());
        let path = image.path.clone();
        let (read_only, sector) = (image.read_only, image.sector);
        options.disks.push(Disk { path, read_only, sector });
        image.xl(&target)
    };
    xl::list("disk", &images.iter().map(item).collect::<Vec<_>>())
}

/// The files for a guest's interfaces: the first has the name as it was given.
fn pcaps(path: &Path, count: usize) -> impl Iterator<Item = PathBuf> {
    (0..count).map(|index| match index {
        0 => path.to_owned(),
        index => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{index}"));
            name.into()
        }
    })
}

impl Args {
    /// Adds what stands after each `+` of the command line.
    pub(crate) fn add(&mut self, others: Vec<Vec<OsString>>) {
        let parsed = others.into_iter().map(|words| Other::parse_from(words).app);
        self.others.extend(parsed);
    }
}

impl App {
    /// The first word is the app unless it can only be an argument.
    fn name_and_items(&self, project: &Project) -> (Vec<String>, Vec<String>) {
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

/// Runs the app as a process of this machine.
fn on_linux(
    project: &Project,
    guest: &Guest,
    items: &[String],
    args: &Args,
    ui: &Ui,
) -> Result<u8> {
    ensure!(args.app.memory.is_none(), "--memory is for domains: a process takes what it needs");
    for tap in args.net.iter().flat_map(|taps| taps.split(',')) {
        if let Err(why) = tap::check(tap) {
            ui.note(&format!("{} {why}", console::style("error:").for_stderr().red().bold()));
            return Ok(2);
        }
    }
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
    let file = project.metadata.target_directory.join("debug").join(&guest.name);
    let linked = read(file.as_std_path())?;
    let manifest = manifest(&Elf::parse(&linked)?)?;
    let mut command = call("run");
    command.arg("--").args(items);
    for image in disk::images(project, &manifest, &args.app.disk, 0)? {
        let path = image.path.canonicalize().context("cannot find the disk's file")?;
        // Read by `devices`, block/file.rs there.
        command.env(format!("XENITH_DISK_{}", image.vdev), path);
        if image.read_only {
            command.env(format!("XENITH_DISK_{}_READ_ONLY", image.vdev), "1");
        }
    }
    // Read by `devices`, net/tap.rs there.
    command.env("XENITH_NET", args.net.as_deref().unwrap_or_default());
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
