//! `cargo mk bench boot`: starts of domains, and what images need.

use super::hosts::{Hosts, LIMIT};
use super::spread::Spread;
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::disk;
use crate::ending::{Ending, text};
use crate::image::xl;
use crate::project::{Guest, Project};
use crate::ui::{bytes, table};
use anyhow::{Context, Result, bail, ensure};
use lab::{Disk, GuestSpec, Host};
use serde::Serialize;
use std::fs::{self, File};
use std::time::{Duration, Instant};

/// The test guest that says how long it took to boot.
const GUEST: &str = "bench_boot";
/// What stands before the number on its console.
const MARK: &str = "bench: boot_ns=";
/// When a guest that has not crashed has booted, and waits for something.
const SETTLED: Duration = Duration::from_secs(6);
/// MiB that are tried, from the least on.
const MEMORIES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Bytes of the disk of those who want one.
const SCRATCH: u64 = 8 << 20;

/// What `bench boot` found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Boot {
    /// Instructions of guest CPU, Xen's work for it included, from unpause to the first byte.
    instructions: Spread,
    /// The same to the domain's end, after a sleep, as Xen tells it when the domain is gone.
    instructions_to_end: Spread,
    /// Milliseconds from calling `xl create` to the first byte.
    wall_ms: Spread,
    pub(super) images: Vec<Size>,
}

/// An image's size and what it needs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Size {
    name: String,
    bytes: u64,
    gz: u64,
    /// The least memory with which it booted as with what it asks for, of those tried.
    least_memory_mib: u64,
}

/// Measures starts, and the apps that are `wanted`.
pub(super) fn boot(
    project: &Project,
    wanted: impl Fn(&str) -> bool,
    starts: u32,
    hosts: &mut Hosts<'_>,
) -> Result<Boot> {
    let ui = hosts.ui;
    let mut guests: Vec<&Guest> = project.apps().filter(|app| wanted(&app.name)).collect();
    let bench = project.guests.iter().find(|guest| guest.name == GUEST);
    guests.push(bench.with_context(|| format!("this workspace has no test guest {GUEST}"))?);
    let images = build::images(project, &guests, ui)?;
    let bench = images.last().context("no image")?;

    let mut options = boot::options(project)?;
    // Apps that need a disk have this one.
    let path = options.run.join("scratch.img");
    File::create(&path)
        .and_then(|file| file.set_len(SCRATCH))
        .with_context(|| format!("cannot make {}", path.display()))?;
    options.disks = vec![Disk { path: path.clone(), read_only: false, sector: 512 }];
    let (mut wall, mut sizes) = (Vec::new(), Vec::new());
    hosts.with(&options, |host| {
        for number in 1..=starts {
            ui.step(&format!("time to the first byte ({number} of {starts})"));
            wall.push(wall_ms(host, bench)?);
        }
        for image in &images {
            ui.step(&format!("least memory of {}", image.name));
            sizes.push(Size {
                name: image.name.clone(),
                bytes: image.report.size,
                gz: image.report.gz,
                least_memory_mib: least_memory(host, image)?,
            });
        }
        Ok(())
    })?;

    options.icount = true;
    let (mut instructions, mut to_end) = (Vec::new(), Vec::new());
    hosts.with(&options, |host| {
        for number in 1..=starts {
            ui.step(&format!("instructions to the first byte ({number} of {starts})"));
            let (to_first_byte, all) = count_instructions(host, bench)?;
            instructions.push(to_first_byte);
            to_end.push(all);
        }
        Ok(())
    })?;
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
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
    let end = end.with_context(|| format!("{} did not end in time", image.name))?;
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

/// How a start went, as far as memory may decide over it: the ending, unless it is well or
/// still there, and what the app said of an error.
type Went = (Option<Ending>, Vec<String>);

/// Starts the image with `mib`, or with what it asks for, and with a disk if it wants one.
/// Nothing when it cannot be created, as is so with too little memory.
fn start(host: &Host, image: &Image, mib: Option<u64>) -> Result<Option<Went>> {
    let mut overrides: Vec<_> = mib.iter().map(|mib| format!("memory={mib}")).collect();
    let disks = image.manifest.disks();
    let disks: Vec<_> = disks.map(|(_, vdev)| disk::line(vdev, false, &Disk::in_dom0(0))).collect();
    overrides.extend(xl::list("disk", &disks));
    let spec = GuestSpec { overrides, ..GuestSpec::new(image.config()) };
    let Ok(mut domain) = host.create(&spec) else { return Ok(None) };
    let end = domain.wait(SETTLED, &mut |_| ())?;
    let ending = end.as_ref().map(Ending::of).filter(|ending| *ending != Ending::Poweroff);
    let console = text(end.as_ref().map_or(domain.console(), |end| &end.console));
    let errors = console.lines().filter(|line| line.starts_with("error: "));
    Ok(Some((ending, errors.map(str::to_owned).collect())))
}

/// The least memory with which the image boots as it does with what it asks for: an app may
/// end by itself, for want of an argument or of something on its disk.
fn least_memory(host: &Host, image: &Image) -> Result<u64> {
    let name = &image.name;
    let usual = start(host, image, None)?
        .with_context(|| format!("{name} cannot be created with the memory that it asks for"))?;
    if let (Some(ending @ (Ending::Crash(_) | Ending::Exit(101 | 139))), _) = usual {
        bail!("{name} {} with the memory that it asks for", ending.shown());
    }
    for &mib in MEMORIES {
        if start(host, image, Some(mib))?.as_ref() == Some(&usual) {
            return Ok(mib);
        }
    }
    bail!("{name} boots with none of {MEMORIES:?} MiB as it does with what it asks for")
}

pub(super) fn shown(boot: &Boot) -> String {
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
    fn the_guest_s_number_is_read() {
        assert_eq!(number_after("x\nbench: boot_ns=42\n", MARK), Some(42));
        assert_eq!(number_after("x bench: boot_ns=42\n", MARK), None);
        assert_eq!(number_after("bench: boot_ns=many\n", MARK), None);
    }
}
