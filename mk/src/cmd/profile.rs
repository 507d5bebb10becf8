//! `cargo mk profile`: where a guest spends its time.
//!
//! QEMU is stopped again and again. When the processor is in the guest just then,
//! what it executes is written down, with the chain of calls that the frame
//! pointers tell. The host counts instructions meanwhile, so being stopped is
//! nothing that it could notice.

use super::build::{self, Optimize};
use super::run::lines;
use crate::boot;
use crate::disk::{self, Given};
use crate::ending::{Ending, is_up, text};
use crate::image::stack::Stack;
use crate::project::write;
use crate::symbols::{Place, Symbols};
use crate::ui::{Ui, out, table};
use anyhow::{Context, Result, bail, ensure};
use lab::{GuestSpec, Host, Probe, Registers};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Shows where an app's time goes, as a table and as a flame graph
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk profile httpd --load 'wrk -t1 -c10 -d5s http://$IP:80/health'\n  \
cargo mk profile linux --disk root=debian:busybox-static run='busybox seq 100000'\n\n\
The load runs in dom0 once the app listens, where $IP is the app's address; without one, the\n\
app is sampled from its start to its end. Beside the image then stand profile.folded, for\n\
other tools, and profile.svg, for a browser."
)]
pub(crate) struct Args {
    /// The app; without it, the app of the current folder
    #[arg(value_name = "APP")]
    app: Option<String>,
    /// Arguments for the app
    #[arg(value_name = "KEY=VALUE")]
    args: Vec<String>,
    /// A command to run in dom0; the app is sampled while it runs
    #[arg(long, value_name = "COMMAND")]
    load: Option<String>,
    /// What a disk of the app is, as for `cargo mk run`
    #[arg(long, value_name = "NAME=FILE|FOLDER|SIZE|debian:PACKAGE,...", value_parser = disk::parse)]
    disk: Vec<Given>,
    /// Memory of the domain in MiB, instead of what the manifest says
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    memory: Option<u64>,
    /// Samples for at most so long
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,
    /// Writes the flame graph to this file
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    #[command(flatten)]
    optimize: Optimize,
}

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(3);
/// The most calls in a chain.
const DEEPEST: usize = 64;
/// Functions in the table.
const SHOWN: usize = 20;
/// The first address of Xen and of Linux, where no guest of ours is.
const UPPER_HALF: u64 = 1 << 47;

/// What was seen.
#[derive(Default)]
struct Samples {
    /// Chains of calls from the outermost on, and how often each was seen.
    chains: BTreeMap<Vec<String>, u64>,
    /// Looks at which Xen or dom0 ran, or the processor slept.
    elsewhere: u64,
}

/// Runs the command.
///
/// # Errors
/// When the app does not build or serve, or the load fails.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = args.optimize.project()?;
    let (app, items) = project.name_and_items(args.app.as_ref(), &args.args);
    let chosen = project.choose(&app)?;
    let images = build::images(&project, &chosen, ui)?;
    let image = images.first().context("no image")?;
    let symbols = image.symbols(&project)?;
    let stack = symbols.stack().context("the image has no symbol for its stack")?;

    let mut options = boot::options(&project)?;
    (options.icount, options.debug) = (true, true);
    options.network = image.manifest.vifs() > 0 || args.load.is_some();
    let disks = disk::images(&project, &image.manifest, &args.disk, 0, ui)?;
    let disks = disk::attach(&disks, &mut options);
    let host = Host::boot(&options, ui)?;
    let mut overrides = lines(&items, args.memory)?;
    overrides.extend(disks);
    let mut domain = host.create(&GuestSpec { overrides, ..GuestSpec::new(image.config()) })?;
    let limit = Duration::from_secs(args.limit);
    let mut samples = Samples::default();
    let mut status = 0;
    match &args.load {
        Some(load) => {
            ui.step(&format!("waiting for {} to listen", image.name));
            let up = domain.wait_for(limit, &mut |it| is_up(&String::from_utf8_lossy(it)))?;
            let said = text(domain.console());
            ensure!(up, "{} never said \"listening\" or \"ready\":\n{said}", image.name);
            let ip = domain.vifs().first().and_then(|vif| vif.ip.clone()).unwrap_or_default();
            ui.step(&format!("sampling {} under {load}", image.name));
            let script = format!("IP={ip}\n{load}");
            let output = thread::scope(|scope| {
                let client = scope.spawn(|| host.shell_within(&script, limit * 2));
                let looked = samples.take(&host, &symbols, stack, limit, || client.is_finished());
                let output = client.join().map_err(|_| {
                    anyhow::anyhow!("the load's thread panicked: this is a bug of `cargo mk`")
                });
                looked.and(output?)
            })?;
            ui.note(&String::from_utf8_lossy(&output.success()?.stdout));
        }
        None => {
            ui.step(&format!("sampling {}", image.name));
            let watcher = thread::spawn(move || domain.wait(limit, &mut |_| ()));
            samples.take(&host, &symbols, stack, limit, || watcher.is_finished())?;
            let end = watcher.join().map_err(|_| {
                anyhow::anyhow!("the watching thread panicked: this is a bug of `cargo mk`")
            })??;
            // What was looked at is then how it failed.
            if let Some(end) = end.filter(|end| Ending::of(end).status() != 0) {
                let ending = Ending::of(&end);
                status = ending.status();
                ui.warn(&format!("{} {}:\n{}", image.name, ending.shown(), text(&end.console)));
            }
        }
    }
    ui.done();
    let seen: u64 = samples.chains.values().sum();
    if seen == 0 {
        bail!(
            "no sample was in {}, which slept or was there for too short a time: give it more to do, by \
             arguments or, if it listens, with --load",
            image.name
        );
    }
    let folded = samples.folded();
    let chart = args.chart.clone().unwrap_or_else(|| image.folder.join("profile.svg"));
    write(&image.folder.join("profile.folded"), folded.as_bytes())?;
    write(&chart, &flame_graph(&image.name, &folded)?)?;
    out(&samples.shown());
    out(&format!("{}\n", chart.display()));
    host.shutdown()?;
    Ok(status)
}

impl Samples {
    /// Looks until it is `over`.
    fn take(
        &mut self,
        host: &Host,
        symbols: &Symbols,
        stack: Stack,
        limit: Duration,
        over: impl Fn() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut probe = host.probe()?;
        while !over() && Instant::now() < deadline {
            probe.run_for(PERIOD)?;
            match addresses(&mut probe, symbols, stack)? {
                Some(addresses) => *self.chains.entry(chain(symbols, &addresses)).or_default() += 1,
                None => self.elsewhere += 1,
            }
        }
        Ok(())
    }

    /// A line for each chain, as flame graphs are made of.
    fn folded(&self) -> String {
        let lines =
            self.chains.iter().map(|(chain, count)| format!("{} {count}\n", chain.join(";")));
        lines.collect()
    }

    fn shown(&self) -> String {
        let all: u64 = self.chains.values().sum();
        let mut functions: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (chain, count) in &self.chains {
            if let Some(innermost) = chain.last() {
                functions.entry(innermost).or_default().0 += count;
            }
            // One that calls itself counts once.
            for name in chain.iter().collect::<BTreeSet<_>>() {
                functions.entry(name).or_default().1 += count;
            }
        }
        let mut sorted: Vec<_> = functions.into_iter().collect();
        sorted.sort_by_key(|(name, (own, total))| (u64::MAX - own, u64::MAX - total, *name));
        let percent = |count: u64| format!("{:.1} %", count as f64 * 100.0 / all.max(1) as f64);
        let head = ["function", "itself", "with what it calls"];
        let mut rows = vec![head.map(str::to_owned)];
        let shown = sorted.into_iter().take(SHOWN);
        rows.extend(shown.map(|(name, (own, total))| [name.into(), percent(own), percent(total)]));
        let looks = all + self.elsewhere;
        format!("{}\n{all} of {looks} samples were in the guest\n", table(&rows, &[1, 2]))
    }
}

/// The instruction and the return addresses of the guest, the innermost first;
/// nothing when something else runs.
fn addresses(probe: &mut Probe, symbols: &Symbols, stack: Stack) -> Result<Option<Vec<u64>>> {
    let Registers { instruction, stack: top, frame } = probe.registers()?;
    let end = stack.low + stack.size;
    // Other programs may have code there, and no other one has its stack there too.
    if instruction >= UPPER_HALF || !(stack.low..end).contains(&top) {
        return Ok(None);
    }
    if symbols.places(instruction).is_empty() {
        return Ok(None);
    }
    let inside = top..end;
    let mut read = |frame: u64| -> Result<Option<[u64; 2]>> {
        if !inside.contains(&frame) {
            return Ok(None);
        }
        let bytes = probe.memory(frame, 16)?;
        let (words, _) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        Ok(<[u64; 2]>::try_from(words).ok())
    };
    Ok(Some(walk(instruction, frame, &mut read)?))
}

/// Follows the frame pointers: at each stand the next one and a return address, which
/// `read` gives as far as it is on the stack.
fn walk(
    instruction: u64,
    mut frame: u64,
    read: &mut dyn FnMut(u64) -> Result<Option<[u64; 2]>>,
) -> Result<Vec<u64>> {
    let mut addresses = vec![instruction];
    while addresses.len() < DEEPEST {
        let Some([next, back]) = read(frame)?.filter(|[_, back]| *back != 0) else { break };
        // An address after a call: that of the call is what has a line.
        addresses.push(back - 1);
        if next <= frame {
            break;
        }
        frame = next;
    }
    Ok(addresses)
}

/// The functions there, inlined ones too, the outermost first.
fn chain(symbols: &Symbols, addresses: &[u64]) -> Vec<String> {
    let mut names = Vec::new();
    for &address in addresses {
        names.extend(symbols.places(address).into_iter().map(name));
    }
    names.reverse();
    names
}

/// What a place is called. Line tables give only bare names to what was inlined, which
/// the file then makes unique.
fn name(place: Place) -> String {
    let mut name = place.function.unwrap_or_else(|| "?".into());
    if let Some((file, _)) = place.line.as_deref().and_then(|line| line.rsplit_once(':'))
        && !name.contains("::")
    {
        let start = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
        name += &format!(" ({})", file.get(start..).unwrap_or(file));
    }
    // A semicolon separates functions from each other.
    name.replace(';', ":")
}

fn flame_graph(app: &str, folded: &str) -> Result<Vec<u8>> {
    let mut options = inferno::flamegraph::Options::default();
    options.title = format!("{app}: where its time goes");
    options.count_name = "samples".into();
    options.deterministic = true;
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg)?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_followed_as_far_as_they_lead() {
        let frames = [(0x1008, [0x1018, 0x30_0201]), (0x1018, [0x1010, 0x30_0101])];
        let walked = |frame, frames: &[(u64, [u64; 2])]| {
            let mut read = |at| Ok(frames.iter().find(|(place, _)| *place == at).map(|it| it.1));
            walk(0x30_0300, frame, &mut read).unwrap()
        };
        // The second one leads back down, and ends it.
        assert_eq!(walked(0x1008, &frames), [0x30_0300, 0x30_0200, 0x30_0100]);
        // One that is none, and one of the code that calls the first function.
        assert_eq!(walked(3, &frames), [0x30_0300]);
        assert_eq!(walked(0x1008, &[(0x1008, [0x1018, 0])]), [0x30_0300]);
    }

    #[test]
    fn what_was_inlined_is_called_by_its_file() {
        let place = |function: &str, line: &str| Place {
            function: Some(function.into()),
            line: Some(line.into()),
        };
        assert_eq!(name(place("poll", "smoltcp-0.13/src/wire/ip.rs:7")), "poll (wire/ip.rs)");
        assert_eq!(name(place("poll", "lib.rs:7")), "poll (lib.rs)");
        assert_eq!(name(place("a::poll", "b/lib.rs:7")), "a::poll");
        assert_eq!(name(Place::default()), "?");
    }

    #[test]
    fn functions_count_by_themselves_and_with_what_they_call() {
        let chain = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut samples = Samples { elsewhere: 6, ..Samples::default() };
        samples.chains.insert(chain(&["a", "b"]), 3);
        samples.chains.insert(chain(&["a"]), 1);
        assert_eq!(samples.folded(), "a 1\na;b 3\n");
        let shown = samples.shown();
        assert!(shown.contains("b         75.0 %              75.0 %\n"), "{shown}");
        assert!(shown.contains("a         25.0 %             100.0 %\n"), "{shown}");
        assert!(shown.contains("4 of 10 samples were in the guest"), "{shown}");
        let svg = String::from_utf8(flame_graph("x", &samples.folded()).unwrap()).unwrap();
        assert!(svg.contains("x: where its time goes") && svg.contains("b (3 samples"), "{svg}");
    }
}
