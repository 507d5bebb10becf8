//! `cargo mk bench faults`: streams of any length through a network with faults.
//!
//! The test guest `transfer` takes and makes them; at the other end is a host of dom0's
//! own behind a faulty cable (`scripts/dom0/faulty-host`). Both say the SHA-256.

use super::hosts::Hosts;
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::ending::{is_up, text};
use crate::project::Project;
use crate::ui::{Ui, bytes, out, table};
use anyhow::{Context, Result, bail, ensure};
use lab::{Guest, GuestSpec, Host, Options};
use std::thread;
use std::time::Duration;

/// Sends streams through a network with faults, both ways
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench faults --size 64 --fault 'loss 3%' --args net.tso=off\n\nThe SHA-256 \
of what was sent and of what arrived are compared. All of it takes some twenty minutes, and \
much longer where more is lost."
)]
pub(super) struct Args {
    /// MiB in each direction over IPv4
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    size: u64,
    /// MiB in each direction over IPv6
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(0..=1 << 20))]
    size6: u64,
    /// What the cable does both ways, as netem has it
    #[arg(long, default_value = FAULT)]
    fault: String,
    /// More arguments of the guest, such as net.tso=off
    #[arg(long, default_value = "")]
    args: String,
}

impl Args {
    /// All of it as briefly as can be.
    pub(super) fn brief() -> Self {
        Self { size: 1, size6: 1, fault: FAULT.into(), args: String::new() }
    }
}

/// What the cable does unless told otherwise.
const FAULT: &str = "delay 1ms reorder 5% 50% loss 0.1% duplicate 1%";
/// The test guest.
const GUEST: &str = "transfer";
/// Its address of IPv6.
const IPV6: &str = "fd00::2";
/// What stands before how far it is.
const MARK: &str = "transfer: ";
/// How often is said how far it is.
const LOOK: Duration = Duration::from_millis(500);
/// Time for the guest to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// A MiB may take this long, and all of it so much more.
const SLOWEST: Duration = Duration::from_secs(30);

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    bytes: u64,
    centiseconds: u64,
    here: String,
    there: String,
}

impl Moved {
    /// Reads what `faulty-host` says.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            bytes: words.next()?.parse().ok()?,
            centiseconds: words.next()?.parse().ok()?,
            here: words.next()?.to_owned(),
            there: words.next()?.to_owned(),
        })
    }

    fn seconds(&self) -> f64 {
        self.centiseconds as f64 / 100.0
    }
}

/// Runs the command. 1 when something else arrived than was sent.
///
/// # Errors
/// When the host or the guest does not come up, or a stream comes to no end.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let (text, good) = measure(&Project::find()?, args, &mut Hosts::own(ui))?;
    out(&text);
    Ok(u8::from(!good))
}

/// Measures on a host of `hosts`: what is to be shown, and whether all arrived as it was sent.
pub(super) fn measure(
    project: &Project,
    args: &Args,
    hosts: &mut Hosts<'_>,
) -> Result<(String, bool)> {
    let ui = hosts.ui;
    let images = build::images(project, &project.choose(&[GUEST.to_owned()])?, ui)?;
    let image = images.first().context("no image")?;
    let options = Options { network: true, ..boot::options(project)? };
    hosts.with(&options, |host| streams(host, image, args, ui))
}

/// Lets the streams run.
fn streams(host: &Host, image: &Image, args: &Args, ui: &Ui) -> Result<(String, bool)> {
    let number = host.number()?.into();
    let mut spec = GuestSpec { number: Some(number), ..GuestSpec::new(image.config()) };
    let ip = spec.number.as_ref().context("no number")?.ip();
    spec.overrides = vec![format!("extra=\"ip={ip}/24,{IPV6}/64 {}\"", args.args)];
    let mut guest = host.create(&spec)?;
    let up = guest.wait_for(PATIENCE, &mut |it| is_up(&String::from_utf8_lossy(it)))?;
    ensure!(up, "{GUEST} does not come up:\n{}", text(guest.console()));
    host.shell("faulty-host up")?.success()?;

    let head = ["stream", "bytes", "s", "MB/s", "SHA-256 at both ends"].map(str::to_owned);
    let (mut streams, mut good) = (vec![head], true);
    let head = ["way", "packets", "lost", "reordered", "repeated"].map(str::to_owned);
    let mut cable = vec![head];
    for (version, to, size) in [("IPv4", &*ip, args.size), ("IPv6", IPV6, args.size6)] {
        if size == 0 {
            continue;
        }
        let begin = format!("faulty-host cable {} {}", guest.interface(0), args.fault);
        host.shell(&begin)?.success()?;
        for way in ["in", "out"] {
            let what = format!("{version} {way}");
            ui.step(&format!("{size} MiB by {what}"));
            let moved = stream(host, &mut guest, way, to, size, ui)?;
            let same = moved.here == moved.there && moved.bytes == size << 20;
            good &= same;
            let sums = if same { moved.here.clone() } else { "DIFFERENT".into() };
            let rate = moved.bytes as f64 / 1e6 / moved.seconds().max(0.01);
            let seconds = format!("{:.1}", moved.seconds());
            streams.push([what, bytes(moved.bytes), seconds, format!("{rate:.2}"), sums]);
            if !same {
                ui.warn(&format!("{way}: {} in dom0, {} in the guest", moved.here, moved.there));
            }
        }
        let output = host.shell("faulty-host counts")?.success()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [way, rest @ ..] = &words[..] else { bail!("dom0 said {line:?}") };
            let [packets, lost, reordered, repeated] = rest else { bail!("dom0 said {line:?}") };
            let way = format!("{version} {way}");
            cable.push([
                way,
                (*packets).into(),
                (*lost).into(),
                (*reordered).into(),
                (*repeated).into(),
            ]);
        }
    }
    let text = format!(
        "Streams into the guest and out of it: {}\n\n{}\n{}",
        args.fault,
        table(&streams, &[1, 2, 3]),
        table(&cable, &[1, 2, 3, 4])
    );
    Ok((text, good))
}

/// Lets a stream run, and says how far it is.
fn stream(host: &Host, guest: &mut Guest, way: &str, to: &str, mib: u64, ui: &Ui) -> Result<Moved> {
    let script = format!("faulty-host {way} {to} {}", mib << 20);
    let limit = PATIENCE + SLOWEST * u32::try_from(mib)?;
    let before = guest.console().len();
    thread::scope(|scope| {
        let client = scope.spawn(|| host.shell_within(&script, limit));
        while !client.is_finished() {
            let alive = guest.wait_for(LOOK, &mut |_| client.is_finished());
            if alive.is_err() {
                break;
            }
            // A guest that has ended lets nobody wait.
            thread::sleep(LOOK / 10);
            ui.bytes(progress(&text(&guest.console()[before..])), mib << 20);
        }
        let output =
            client.join().map_err(|_| anyhow::anyhow!("the client's thread panicked"))??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // Its status says the same as the sums.
        Moved::parse(&said).with_context(|| {
            format!("{script}: {said}{}\n{}", output.stderr, text(guest.console()))
        })
    })
}

/// The last number of bytes that the guest told of.
fn progress(console: &str) -> u64 {
    let told = |line: &str| line.strip_prefix(MARK)?.strip_suffix(" bytes")?.parse().ok();
    console.lines().rev().find_map(told).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read() {
        let moved = Moved::parse("1048576 250 ab cd\n").unwrap();
        assert_eq!((moved.bytes, moved.seconds()), (1 << 20, 2.5));
        assert_eq!((&*moved.here, &*moved.there), ("ab", "cd"));
        assert_eq!(Moved::parse("1048576 250 ab"), None);
        assert_eq!(progress("transfer: 5 bytes\ntransfer: 7 bytes\ntransfer: took 7 ab\n"), 7);
        assert_eq!(progress("transfer: listening\n"), 0);
    }
}
