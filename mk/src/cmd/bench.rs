//! `cargo mk bench`: what Xenith costs, in numbers that noise cannot touch.

mod block;
mod chart;
mod faults;
mod http;
mod machine;
mod net;
mod site;
mod versus;

use super::build::{self, Image};
use crate::boot;
use crate::ending::{Ending, text};
use crate::lab::{GuestSpec, Host};
use crate::project::{Guest, Project};
use crate::ui::{Ui, bytes, out, table};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Measures what Xenith costs
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo mk bench boot --json")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Booting: instructions and time to the first console byte, image sizes, least memory
    #[command(
        after_help = "Example:\n  cargo mk bench boot --starts 3\n\nInstructions are counted by QEMU \
and do not vary; times do. Each is the median of all starts,\nwith the least and the most."
    )]
    Boot {
        /// Prints JSON instead of a table
        #[arg(long)]
        json: bool,
        /// How often to start
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        starts: u32,
    },
    /// The network, beside Linux as a guest: throughput, requests, round trips, their cost
    Net(net::Args),
    /// A disk, beside Linux as a guest: throughput, requests, flushes, their cost
    Block(block::Args),
    /// Streams through a network that loses, reorders and repeats packets: what arrives is compared
    Faults(faults::Args),
    /// Requests by the grammar of HTTP, and against it: how many are answered as the RFCs say
    Http(http::Args),
    /// The machine beneath an app: boot by memory, heap, tasks, time, hypercalls
    #[command(
        after_help = "Example:\n  cargo mk bench machine --json\n\nInstructions are counted by QEMU, \
Xen's work for the guest included. It takes some minutes."
    )]
    Machine {
        /// Prints JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// The test guest that says how long it took to boot.
const GUEST: &str = "bench_boot";
/// What stands before the number on its console.
const MARK: &str = "bench: boot_ns=";
/// Time for a guest's run, which is slow where instructions are counted.
const LIMIT: Duration = Duration::from_secs(120);
/// When a guest that has not crashed has booted, and waits for something.
const SETTLED: Duration = Duration::from_secs(6);
/// MiB that are tried, from the least on.
const MEMORIES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// What `bench boot` found.
#[derive(Clone, Debug, Serialize)]
struct Boot {
    /// Instructions of guest CPU, Xen's work for it included, from unpause to the first byte.
    instructions: Spread,
    /// The same to the domain's end, after a sleep, as Xen tells it when the domain is gone.
    instructions_to_end: Spread,
    /// Milliseconds from calling `xl create` to the first byte.
    wall_ms: Spread,
    images: Vec<Size>,
}

/// The middle and the ends of several measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Spread {
    median: u64,
    least: u64,
    most: u64,
    all: Vec<u64>,
}

/// An image's size and what it needs.
#[derive(Clone, Debug, Serialize)]
struct Size {
    name: String,
    bytes: u64,
    gz: u64,
    /// The least memory with which it booted, of those tried.
    least_memory_mib: u64,
}

impl Spread {
    /// Of at least one value.
    fn of(all: Vec<u64>) -> Self {
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let median = u64::midpoint(at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2));
        Self { median, least: at(0), most: at(sorted.len().saturating_sub(1)), all }
    }

    fn row(&self, what: &str) -> [String; 4] {
        [what.to_owned(), bytes(self.median), bytes(self.least), bytes(self.most)]
    }
}

/// Runs the command.
///
/// # Errors
/// When a host does not come up or a guest does not behave.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let (json, starts) = match &args.what {
        What::Boot { json, starts } => (*json, *starts),
        What::Machine { json } => return machine::run(*json, ui),
        What::Net(args) => return net::run(args, ui),
        What::Block(args) => return block::run(args, ui),
        What::Faults(args) => return faults::run(args, ui),
        What::Http(args) => return http::run(args, ui),
    };
    let project = Project::find()?;
    let boot = boot(&project, starts, ui)?;
    if json {
        out(&format!("{}\n", serde_json::to_string_pretty(&boot)?));
    } else {
        out(&shown(&boot));
    }
    Ok(0)
}

fn boot(project: &Project, starts: u32, ui: &Ui) -> Result<Boot> {
    let mut guests: Vec<&Guest> = project.apps().collect();
    let bench = project.guests.iter().find(|guest| guest.name == GUEST);
    guests.push(bench.with_context(|| format!("this workspace has no test guest {GUEST}"))?);
    let images = build::images(project, &guests, ui)?;
    let bench = images.last().context("no image")?;

    let mut options = boot::options(project)?;
    let host = Host::boot(&options, ui)?;
    let mut wall = Vec::new();
    for number in 1..=starts {
        ui.step(&format!("time to the first byte ({number} of {starts})"));
        wall.push(wall_ms(&host, bench)?);
    }
    let mut sizes = Vec::new();
    for image in &images {
        ui.step(&format!("least memory of {}", image.name));
        sizes.push(Size {
            name: image.name.clone(),
            bytes: image.report.size,
            gz: image.report.gz,
            least_memory_mib: least_memory(&host, image)?,
        });
    }
    ui.done();
    host.shutdown()?;

    options.icount = true;
    let host = Host::boot(&options, ui)?;
    let (mut instructions, mut to_end) = (Vec::new(), Vec::new());
    for number in 1..=starts {
        ui.step(&format!("instructions to the first byte ({number} of {starts})"));
        let (to_first_byte, all) = count_instructions(&host, bench)?;
        instructions.push(to_first_byte);
        to_end.push(all);
    }
    ui.done();
    host.shutdown()?;
    Ok(Boot {
        instructions: Spread::of(instructions),
        instructions_to_end: Spread::of(to_end),
        wall_ms: Spread::of(wall),
        images: sizes,
    })
}

/// Milliseconds until the guest's first byte is here.
fn wall_ms(host: &Host, image: &Image) -> Result<u64> {
    let start = Instant::now();
    let mut domain = host.create(&GuestSpec::new(image.config()))?;
    let mut first = None;
    let end = domain.wait(LIMIT, &mut |bytes| {
        if !bytes.is_empty() {
            first.get_or_insert_with(|| start.elapsed());
        }
    })?;
    ensure!(end.is_some(), "{} hangs", image.name);
    let first = first.with_context(|| format!("{} wrote nothing", image.name))?;
    Ok(u64::try_from(first.as_millis())?)
}

/// CPU time on a host where it counts instructions: to the first byte, as the
/// guest reads it from Xen, and to the end, as dom0 does.
fn count_instructions(host: &Host, image: &Image) -> Result<(u64, u64)> {
    let mut domain = host.create(&GuestSpec::new(image.config()))?;
    let end = domain.wait(LIMIT, &mut |_| ())?;
    let end = end.with_context(|| format!("{} hangs", image.name))?;
    let console = text(&end.console);
    let to_first_byte = number_after(&console, MARK)
        .with_context(|| format!("{} did not say `{MARK}`:\n{console}", image.name))?;
    let all = end.cpu_time.context("Xen does not tell the domain's CPU time")?;
    Ok((to_first_byte, u64::try_from(all.as_nanos())?))
}

/// The number that stands after `mark` on a line of its own.
fn number_after(console: &str, mark: &str) -> Option<u64> {
    console.lines().find_map(|line| line.strip_prefix(mark)?.trim().parse().ok())
}

/// The least memory with which the image really boots.
fn least_memory(host: &Host, image: &Image) -> Result<u64> {
    for &mib in MEMORIES {
        let overrides = vec![format!("memory={mib}")];
        let spec = GuestSpec { overrides, ..GuestSpec::new(image.config()) };
        // With too little, `xl create` fails.
        let Ok(mut domain) = host.create(&spec) else { continue };
        let end = domain.wait(SETTLED, &mut |_| ())?;
        if end.is_none_or(|end| Ending::of(&end) == Ending::Poweroff) {
            return Ok(mib);
        }
    }
    bail!("{} crashes with any memory", image.name)
}

fn shown(boot: &Boot) -> String {
    let head = ["start of a domain", "median", "least", "most"];
    let rows = [
        head.map(str::to_owned),
        boot.instructions.row("instructions of its CPU, from unpause to the first console byte"),
        boot.instructions_to_end.row("the same to its end, after a sleep and two more lines"),
        boot.wall_ms.row("ms of wall time, from xl create to the first console byte"),
    ];
    let mut text = table(&rows, &[1, 2, 3]);
    let head = ["image", "bytes", "gz", "least memory, MiB"];
    let mut rows = vec![head.map(str::to_owned)];
    for size in &boot.images {
        let Size { name, bytes: size, gz, least_memory_mib } = size;
        rows.push([name.clone(), bytes(*size), bytes(*gz), least_memory_mib.to_string()]);
    }
    text.push('\n');
    text += &table(&rows, &[1, 2, 3]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = Spread::of(vec![30, 10, 20]);
        assert_eq!((spread.median, spread.least, spread.most), (20, 10, 30));
        assert_eq!(Spread::of(vec![10, 20]).median, 15);
        assert_eq!(Spread::of(vec![7]).median, 7);
    }

    #[test]
    fn the_guest_s_number_is_read() {
        assert_eq!(number_after("x\nbench: boot_ns=42\n", MARK), Some(42));
        assert_eq!(number_after("x bench: boot_ns=42\n", MARK), None);
        assert_eq!(number_after("bench: boot_ns=many\n", MARK), None);
    }
}
