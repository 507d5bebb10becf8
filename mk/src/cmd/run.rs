//! `cargo mk run`: one guest, from its source to its end.
//!
//! * [`lab`], [`linux`] and [`xl`]: the three places to run it
//! * [`app`]: what stands on the command line for one app
//! * [`arguments`]: what of that is wrong
//! * [`control`]: what it is asked for from other terminals
//! * [`keys`]: what is typed
//! * [`publish`], [`tap`], [`watch`], [`process`]: what they share

mod app;
mod arguments;
pub(crate) mod control;
mod keys;
mod lab;
mod linux;
mod process;
mod publish;
mod tap;
mod watch;
mod xl;

use super::build::Optimize;
use crate::disk::{self, Given, SECTOR};
use crate::project::{Project, has_place};
use crate::saved::Saved;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

pub(crate) use app::{App, Around, check_memory, lines};
pub(crate) use watch::telling;
pub(crate) use xl::update;

/// Builds an app and runs it, by default on Xen in QEMU
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk run hello\n  cargo mk run hello \"greeting=Hello World\"\n  \
cargo mk run hello --on linux\n  cargo mk run httpd --publish 8080:80 --pcap httpd.pcap\n  \
cargo mk run httpd + fetch url=http://10.0.0.2/\n\nA lone + separates apps that run beside \
each other: the first one has the address\n10.0.0.2, the second one 10.0.0.3. What is for one app \
stands beside it, on its side\nof the +: --memory, --name, --publish, --pcap and --disk.\n\nThe exit status is 0 \
when the app ended well, its own when it failed, 101 when it\ncrashed, and 124 at the time limit; \
of several apps, that of the first that failed.\n\nFrom another terminal, `cargo mk save` \
puts a guest into a file, and `cargo mk migrate` moves it.\nThey know it by the name of its app, or by that of --name."
)]
pub(crate) struct Args {
    #[command(flatten)]
    app: App,
    /// Where to run it
    #[arg(long, value_enum, default_value = "xen-qemu", hide_default_value = true)]
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

/// What stands after a `+`.
#[derive(clap::Parser)]
#[command(
    name = "cargo mk run ... +",
    no_binary_name = true,
    disable_help_subcommand = true,
    after_help = "What is for all apps together stands before the first +: --on, --timeout, --net, --optimize \
and --verbose."
)]
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
    /// A domain of real Xen, in QEMU; this is the default
    XenQemu,
    /// A process of this machine
    Linux,
    /// A domain of the Xen host that this machine is
    Xl,
}

/// A time that a user wrote.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("{text} is not a time in seconds"))
}

/// Runs the command.
///
/// # Errors
/// When an app cannot be built or the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = args.optimize.project()?;
    for app in [&args.app].into_iter().chain(&args.others) {
        disk::check(&app.around.disk)?;
        if let Some(file) = &app.around.pcap {
            has_place(file).with_context(|| format!("--pcap {}", file.display()))?;
        }
    }
    let mut apps = Vec::new();
    for app in [&args.app].into_iter().chain(&args.others) {
        let (name, items) = app.name_and_items(&project);
        let guest = *project.choose(&name)?.first().context("no app")?;
        apps.push((app, guest, items));
    }
    if args.on != On::XenQemu {
        for (app, ..) in &apps {
            check(args.on, &app.around, &args.optimize)?;
        }
        let [(app, guest, items)] = &apps[..] else {
            bail!("several apps run side by side only with --on xen-qemu");
        };
        if args.on == On::Linux {
            return linux::run(&project, guest, items, app, args.net.as_deref(), args.timeout, ui);
        }
        ensure!(args.net.is_none(), "--net works only with --on linux");
        return xl::run(&project, guest, items, app, args.timeout, ui);
    }
    ensure!(
        args.net.is_none(),
        "--net works only with --on linux: a domain has a network interface of its own"
    );
    lab::run(&project, &apps, None, args.timeout, ui)
}

/// Refuses what has no effect where there is no Xen in QEMU.
fn check(on: On, around: &Around, optimize: &Optimize) -> Result<()> {
    ensure!(
        around.publish.is_empty() && around.pcap.is_none(),
        "--publish and --pcap need the network of --on xen-qemu"
    );
    ensure!(
        on != On::Linux || around.name.is_none(),
        "--name works only with domains: a process has a number"
    );
    ensure!(
        on != On::Linux || optimize.is_usual(),
        "--optimize works only with domains: a process is compiled for development"
    );
    if let Some(Given { name, sector, .. }) = around.disk.iter().find(|it| it.sector != SECTOR) {
        let whose = match on {
            On::Xl => "on a Xen host a disk has those of the block device that it is",
            _ => "a process's disk has sectors of 512 bytes",
        };
        bail!("{name}=...,{sector}: that size of sectors is for --on xen-qemu; {whose}");
    }
    Ok(())
}

/// Runs a guest whose memory is in `file`.
///
/// # Errors
/// When there is no such app, or the host does not come up.
pub(crate) fn go_on(
    saved: &Saved,
    around: &Around,
    file: &Path,
    timeout: Option<Duration>,
    ui: &Ui,
) -> Result<u8> {
    let project = Project::find()?;
    let (name, known) = (saved.name(), |app: &str| project.guests.iter().any(|it| it.name == app));
    // It may be called like another app.
    let by_image = known(saved.image());
    let app = if by_image { saved.image() } else { project.app_of(name) };
    ensure!(
        known(app),
        "{} holds the guest {name}, and this workspace has no app of that name: restore it where its \
         app is",
        file.display()
    );
    let mut around = around.clone();
    if by_image {
        around.name.get_or_insert_with(|| name.to_owned());
    }
    let app = App {
        app: Some(app.to_owned()),
        args: saved.arguments(),
        memory: Some(saved.memory()),
        around,
    };
    let (name, items) = app.name_and_items(&project);
    let guest = *project.choose(&name)?.first().context("no app")?;
    lab::run(&project, &[(&app, guest, items)], Some(file), timeout, ui)
}

/// Says what does not fit, and returns the exit status for that, which is that of the kernel.
fn refused(why: &str, ui: &Ui) -> u8 {
    ui.note(&format!("{} {why}", console::style("error:").for_stderr().red().bold()));
    2
}

impl Args {
    /// Adds what stands after each `+` of the command line.
    pub(crate) fn add(&mut self, others: Vec<Vec<OsString>>) {
        let parsed = others.into_iter().map(|words| Other::parse_from(words).app);
        self.others.extend(parsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        let parsed = |words: &[&str]| {
            let args = Command::try_parse_from([&["run"], words].concat()).unwrap().args;
            check(args.on, &args.app.around, &args.optimize).map_err(|error| error.to_string())
        };
        assert_eq!(parsed(&["kv", "--on", "linux", "--disk", "disk=64M"]), Ok(()));
        assert_eq!(parsed(&["kv", "--on", "xl", "--optimize", "speed"]), Ok(()));
        for (words, why) in [
            (&["kv", "--on", "linux", "--optimize", "speed"][..], "--optimize works only"),
            (&["kv", "--on", "linux", "--name", "a"], "--name works only"),
            (&["kv", "--on", "linux", "--disk", "disk=64M,4096"], "sectors of 512 bytes"),
            (&["kv", "--on", "xl", "--disk", "disk=64M,4096"], "of the block device"),
            (&["kv", "--on", "xl", "--publish", "80"], "--publish and --pcap"),
        ] {
            let error = parsed(words).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(seconds("soon").is_err() && seconds("-1").is_err());
    }
}
