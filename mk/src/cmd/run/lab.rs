//! Apps as domains of a real Xen in QEMU.

use super::app::{App, check_memory, overrides};
use super::control::{Control, Known};
use super::publish::{self, Asking};
use super::watch::{Running, watch_all};
use super::{arguments, refused};
use crate::cmd::build;
use crate::project::{Guest, Project};
use crate::symbols::Latest;
use crate::ui::Ui;
use crate::{boot, disk, toolstack};
use anyhow::{Context, Result, ensure};
use lab::{GuestSpec, HOST_MEMORY, Host, Options, address};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs apps on one Xen host in QEMU; the first one goes on with the memory in `saved`, if that is
/// given.
pub(super) fn run(
    project: &Project,
    apps: &[(&App, &Guest, Vec<String>)],
    saved: Option<&Path>,
    timeout: Option<Duration>,
    ui: &Ui,
) -> Result<u8> {
    let mut guests: Vec<&Guest> = Vec::new();
    for (_, guest, _) in apps {
        if guests.iter().all(|other| other.name != guest.name) {
            guests.push(guest);
        }
    }
    // What is saved was built before: the same is asked for by no change in its source since.
    let last = match (saved, &guests[..]) {
        (Some(_), [guest]) => build::last(project, guest),
        _ => None,
    };
    let images = match last {
        Some(image) => vec![image],
        None => build::images(project, &guests, ui)?,
    };
    let (mut planned, mut asking, mut records) = (Vec::new(), Vec::new(), Vec::new());
    // It ends with this process, and with its guests.
    let mut options = Options { lifetime: None, ..boot::options(project)? };
    for ((app, guest, items), index) in apps.iter().zip(0..) {
        let image = images.iter().find(|image| image.name == guest.name).context("no image")?;
        check_memory(image, app.memory)?;
        // One that goes on has its arguments already.
        let goes_on = saved.is_some() && index == 0;
        if !goes_on && let Err(why) = arguments::check(&image.manifest, items) {
            return Ok(refused(&why, ui));
        }
        let mut overrides = overrides(image, items, app.memory, app.around.name.as_deref())?;
        let twins = apps[..usize::from(index)].iter().filter(|other| other.1.name == guest.name);
        let disks = disk::images(project, &image.manifest, &app.around.disk, twins.count(), ui)?;
        overrides.extend(disk::attach(&disks, &mut options));
        let vifs = image.manifest.vifs();
        ensure!(
            app.around.pcap.is_none() || vifs > 0,
            "{} has no network interface: --pcap has nothing to record",
            image.name
        );
        options.network |= vifs > 0;
        records.extend(app.around.pcap.iter().flat_map(|path| pcaps(path, vifs)));
        asking.push(Asking {
            publish: &app.around.publish,
            name: &image.name,
            manifest: &image.manifest,
            items,
            ip: address(index),
        });
        planned.push((app, image, overrides));
    }
    let disks = options.disks.iter().map(|disk| disk.path.as_path());
    check_records(&records, &disks.chain(saved).collect::<Vec<_>>())?;
    let wanted = planned.iter().map(|(app, image, _)| app.memory.unwrap_or(image.report.asked_mib));
    make_room(wanted.sum(), memory(), &mut options)?;
    let forwards = publish::plan(&asking)?;
    publish::elsewhere(&asking, &forwards).iter().for_each(|line| ui.warn(line));
    options.forwards = forwards.concat();
    let host = Host::boot(&options, ui)?;
    ui.done();
    let control = Control::open(&options.run)?;
    // Taken before any is created, so that they are in the order of the apps.
    let numbers = apps.iter().map(|_| Ok(Some(Arc::new(host.number()?))));
    let numbers: Vec<_> = numbers.collect::<Result<_>>()?;
    let mut running = Vec::new();
    let planned = planned.into_iter().zip(forwards).zip(numbers);
    for (((app, image, overrides), forwards), number) in planned {
        let paused = app.around.pcap.is_some();
        let saved = saved.filter(|_| running.is_empty()).map(Path::to_owned);
        let spec = GuestSpec { overrides, paused, number, saved, ..GuestSpec::new(image.config()) };
        let domain = host.create(&spec).map_err(|error| toolstack::told(error, &image.name, ui))?;
        let mut captures = Vec::new();
        for (path, index) in
            app.around.pcap.iter().flat_map(|path| pcaps(path, domain.vifs().len())).zip(0..)
        {
            captures.push(domain.capture(index, &path)?);
        }
        if paused {
            domain.unpause()?;
        }
        // A disk that is made of a folder may hold programs.
        let folders = app.around.disk.iter().map(|it| PathBuf::from(&it.source));
        let programs = folders.filter(|it| it.is_dir()).collect();
        let symbols = image.symbols(project)?.with_programs(programs);
        let (symbols, terminal) = (Arc::new(Latest::new(symbols)), image.report.terminal);
        running.push(Running { domain, symbols, terminal, captures, forwards });
    }
    let known = running.iter().zip(apps).map(|(it, (_, guest, _))| Known {
        name: it.domain.name().to_owned(),
        app: guest.name.clone(),
        at: it.forwards.iter().map(|forward| publish::shown(forward, it.domain.name())).collect(),
    });
    let known: Vec<_> = known.collect();
    let symbols = running.iter().map(|it| (it.domain.name().to_owned(), Arc::clone(&it.symbols)));
    let symbols = symbols.collect();
    thread::scope(|scope| {
        scope.spawn(|| control.serve(&host, &known, &symbols));
        let status = watch_all(running, timeout, ui);
        control.close();
        status
    })
}

/// Gives the host room for guests of `wanted` MiB together. Only what they touch is taken of this
/// machine, which has to have as much.
fn make_room(wanted: u64, has: Option<u64>, options: &mut Options) -> Result<()> {
    let own = u64::from(HOST_MEMORY);
    let has = has.unwrap_or(0).saturating_sub(own).max(options.memory.into());
    ensure!(
        wanted <= has,
        "all guests together are to have {wanted} MiB of memory, and this machine has {has} for them, \
         beside {own} for dom0 and Xen: give them less with --memory"
    );
    options.memory = options.memory.max(wanted.try_into()?);
    Ok(())
}

/// The memory of this machine in MiB, if it says that.
fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
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

/// What a file is, however it is named.
#[derive(PartialEq, Eq)]
enum Identity {
    /// Its file system and its number there.
    File(u64, u64),
    /// A block device.
    Device(u64),
    /// One that is yet to be made, in that folder.
    New(PathBuf, OsString),
}

impl Identity {
    /// Of what keeps what is written to it: a pipe may be several guests'.
    fn of(path: &Path) -> Option<Self> {
        let Ok(there) = fs::metadata(path) else {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
            return Some(Self::New(folder, path.file_name()?.to_owned()));
        };
        if there.file_type().is_block_device() {
            return Some(Self::Device(there.rdev()));
        }
        there.is_file().then(|| Self::File(there.dev(), there.ino()))
    }
}

/// Refuses to record frames into a file that this run uses for something else, which would be lost.
fn check_records(records: &[PathBuf], used: &[&Path]) -> Result<()> {
    let used: Vec<_> = used.iter().filter_map(|path| Identity::of(path)).collect();
    let mut before = Vec::new();
    for path in records {
        let Some(identity) = Identity::of(path) else { continue };
        let shown = path.display();
        ensure!(
            !used.contains(&identity),
            "--pcap: {shown} is a disk or the saved guest of this run, which the frames would overwrite"
        );
        ensure!(
            !before.contains(&identity),
            "--pcap: the frames of two interfaces would go to {shown} (those of a second one go to FILE.1): \
             give each app a file of its own"
        );
        before.push(identity);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn frames_overwrite_nothing_of_their_own_run() {
        let work = tempfile::tempdir().unwrap();
        let at = |name: &str| work.path().join(name);
        fs::write(at("disk.img"), "precious").unwrap();
        fs::hard_link(at("disk.img"), at("link")).unwrap();
        symlink(work.path(), at("folder")).unwrap();
        let check = |apps: &[(&str, usize)]| {
            let records =
                apps.iter().flat_map(|&(name, count)| pcaps(&at(name), count).collect::<Vec<_>>());
            check_records(&records.collect::<Vec<_>>(), &[&at("disk.img")])
        };
        for apps in [&[("a", 2), ("b", 2)][..], &[("/dev/null", 1), ("/dev/null", 1)]] {
            check(apps).unwrap();
        }
        for (apps, why) in [
            (&[("a", 1), ("a", 1)][..], "two interfaces"),
            (&[("a", 1), ("folder/a", 1)], "two interfaces"),
            (&[("a", 2), ("a.1", 1)], "two interfaces"),
            (&[("a", 1), ("disk.img", 1)], "would overwrite"),
            (&[("folder/link", 1)], "would overwrite"),
        ] {
            let error = check(apps).unwrap_err().to_string();
            assert!(error.contains(why), "{apps:?}: {error}");
        }
        assert_eq!(fs::read(at("disk.img")).unwrap(), b"precious");
    }

    #[test]
    fn a_host_has_room_for_its_guests_or_there_is_an_error() {
        let mut options = Options::new("cache", "run");
        let usual = options.memory;
        make_room(8, Some(4096), &mut options).unwrap();
        assert_eq!(options.memory, usual);
        make_room(3456, Some(4096), &mut options).unwrap();
        assert_eq!(options.memory, 3456);
        let error = make_room(3457, Some(4096), &mut options).unwrap_err().to_string();
        assert!(
            error.contains("3457 MiB of memory, and this machine has 3456 for them"),
            "{error}"
        );
        assert!(make_room(u64::MAX, None, &mut options).is_err());
        assert!(memory().is_some_and(|mib| mib > 0));
    }
}
