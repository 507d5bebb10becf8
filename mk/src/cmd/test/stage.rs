//! What stands around a test guest: scripts in dom0, and other guests.

use super::job::Job;
use crate::cmd::symbolize;
use crate::directives::{Cycles, Run, Script, Then};
use crate::disk::debian::Packages;
use crate::disk::{self, Given};
use crate::ending::{Ending, is_up, text};
use crate::image::xl;
use crate::program;
use crate::project::{Guest, Project, read};
use crate::ui::Ui;
use anyhow::{Context, Result, anyhow, bail, ensure};
use lab::{Disk, Guest as Domain, GuestSpec, Host, Number};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Exit status of timeout(1) when the time was over.
const OVER: i32 = 124;
/// How much longer than its script dom0 may take.
const GRACE: Duration = Duration::from_secs(20);

/// The surroundings of one run. What runs in dom0 for it ends with this value.
pub(super) struct Stage<'a> {
    host: &'a Host,
    job: &'a Job<'a>,
    /// Of the guest, and of those beside it: so its address is the first one.
    numbers: Vec<Arc<Number>>,
    others: Vec<Domain>,
    /// The items for xl, and the variables that say where the images are.
    disks: Vec<String>,
    names: String,
}

impl<'a> Stage<'a> {
    /// Does what comes before the guest.
    pub(super) fn set(host: &'a Host, job: &'a Job<'a>) -> Result<Stage<'a>> {
        let numbers = (0..=job.with.len()).map(|_| host.number().map(Arc::new));
        let numbers = numbers.collect::<Result<_>>()?;
        let (disks, names) = make_disks(host, job)?;
        make_programs(host, job)?;
        let mut stage = Stage { host, job, numbers, others: Vec::new(), disks, names };
        for script in &job.run.before {
            let ip = stage.number().ip();
            stage.script("a script in dom0", script, &format!("IP={ip}"))?;
        }
        for ((image, args), number) in job.with.iter().zip(&stage.numbers[1..]) {
            let overrides = args.iter().map(|args| format!("extra={}", xl::quote(args))).collect();
            let number = Some(Arc::clone(number));
            let spec = GuestSpec { overrides, number, ..GuestSpec::new(image.config()) };
            let mut other = host.create(&spec)?;
            let when = job.run.with_when.as_deref();
            wait_for(&mut other, when, job.run.timeout, "those beside it")?;
            stage.others.push(other);
        }
        Ok(stage)
    }

    /// The setting for the guest's disks, if it has some.
    pub(super) fn disks(&self) -> Option<String> {
        xl::list("disk", &self.disks)
    }

    /// The number that the guest is to have.
    pub(super) fn number(&self) -> Arc<Number> {
        Arc::clone(&self.numbers[0])
    }

    /// Runs the clients once the guest says that it is ready for them, and then
    /// sees to its end.
    pub(super) fn clients(&self, domain: &mut Domain) -> Result<()> {
        let run = &self.job.run;
        if run.clients.is_empty() && run.cycles.is_none() && run.core.is_empty() {
            return Ok(());
        }
        wait_for(domain, run.client_when.as_deref(), run.timeout, "its clients")?;
        let mut names = names("", domain);
        for (other, number) in self.others.iter().zip(1..) {
            let prefix = if number == 1 { "WITH_".into() } else { format!("WITH{number}_") };
            names += &self::names(&prefix, other);
        }
        let served = || run.clients.iter().try_for_each(|it| self.script("a client", it, &names));
        match &run.cycles {
            Some(cycles) => self.cycled(cycles, domain.name(), served)?,
            None => served()?,
        }
        self.core(domain)?;
        match run.then {
            // One that has ended by itself need not be asked.
            Then::Shutdown => drop(domain.shut_down()),
            Then::Destroy => drop(domain.destroy_later()),
            Then::Wait => {}
        }
        Ok(())
    }

    /// Dumps the guest's memory, and looks at what it tells.
    fn core(&self, domain: &Domain) -> Result<()> {
        let Job { run, image, name, .. } = self.job;
        if run.core.is_empty() {
            return Ok(());
        }
        // Nothing but the file on standard output.
        let script = format!(
            "xl dump-core {} {CORE} >&2 && cat {CORE}\nstatus=$?\nrm -f {CORE}\nexit $status",
            domain.name()
        );
        let core = self.host.shell_within(&script, run.timeout + GRACE)?.success()?.stdout;
        let told = symbolize::core::report(&core, name, &image.debug(), &self.job.symbols)?;
        for text in &run.core {
            ensure!(told.contains(text), "its memory does not tell {text:?}:\n{told}");
        }
        Ok(())
    }

    /// Takes the guest called `name` through its cycles while `served` runs.
    fn cycled(&self, cycles: &Cycles, name: &str, served: impl Fn() -> Result<()>) -> Result<()> {
        let limit = self.job.run.timeout;
        self.host.shell("touch /run/lab/cycling")?.success()?;
        let script = format!("cycles {name} {} {} 2>&1", cycles.count, cycles.how.join(" "));
        thread::scope(|scope| {
            let cycles = scope.spawn(|| self.host.shell_within(&script, limit + GRACE));
            let served = served();
            if served.is_err() {
                // There is nobody left for whom it goes on.
                self.host.shell("rm -f /run/lab/cycling")?;
            }
            let output =
                cycles.join().map_err(|_| anyhow!("the thread of the cycles panicked"))??;
            served?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status == 0, "the cycles failed: {}", said.trim());
            Ok(())
        })
    }

    /// Says which guest beside it has failed.
    pub(super) fn others_are_well(&mut self) -> Result<()> {
        for other in &mut self.others {
            if let Some(end) = other.wait(Duration::ZERO, &mut |_| ())? {
                let ending = Ending::of(&end);
                ensure!(
                    ending == Ending::Poweroff,
                    "{}, beside it, {}:\n{}",
                    other.name(),
                    ending.shown(),
                    text(&end.console).trim_end()
                );
            }
        }
        Ok(())
    }

    /// Runs a script in dom0, where every command of it has to succeed.
    fn script(&self, what: &str, script: &Script, names: &str) -> Result<()> {
        let text = match script {
            Script::Text(text) => text.clone(),
            Script::File(file) => {
                let path = place_of(self.job.guest, file, "script")?;
                String::from_utf8(read(&path)?)
                    .with_context(|| format!("{} is not text", path.display()))?
            }
        };
        let limit = self.job.run.timeout;
        let disks = &self.names;
        let quoted = text.replace('\'', "'\\''");
        let command = format!("{disks}{names} stage {} '{quoted}'", limit.as_secs());
        let output = self.host.shell_within(&command, limit + GRACE)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let shown = match script {
            Script::Text(text) => text.trim(),
            Script::File(file) => file,
        };
        let shown = shown.lines().next().unwrap_or_default();
        match output.status {
            0 => Ok(()),
            OVER => {
                bail!("{what} ({shown}) took longer than {limit:?}; its output:\n{}", said.trim())
            }
            status => bail!("{what} ({shown}) failed with status {status}:\n{}", said.trim()),
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.others.clear();
        let run = &self.job.run;
        if !run.before.is_empty() || !run.clients.is_empty() {
            // When dom0 is gone, so is what ran there.
            let _ = self.host.shell("unstage");
        }
        if !self.disks.is_empty() {
            let _ = self.host.shell(&format!("/usr/sbin/losetup -D; rm -rf {DISKS}"));
        }
        if !run.programs.is_empty() {
            let _ = self.host.shell(&format!("rm -rf {PROGRAMS}"));
        }
    }
}

/// Removes what the tests of one guest left in dom0's /tmp, where they share what takes long to
/// make.
pub(super) fn clear(host: &Host) {
    // When dom0 is gone, so is what was there.
    let _ = host.shell("unstage all");
}

/// Where in dom0 the disks of a test are.
const DISKS: &str = "/disks";

/// The name of the disk that dom0 has, and no guest.
const FOR_DOM0: &str = "dom0";

/// Where in dom0 its memory is put.
const CORE: &str = "/tmp/core";

/// Where in dom0 its programs are.
const PROGRAMS: &str = "/programs";

/// Makes the archives that a test's disks are of Debian's packages, and adds them to dom0's disks:
/// so nothing of them is copied. For each disk of the test: what dom0 calls it, if it is one.
pub(super) fn attach(
    project: &Project,
    guest: &Guest,
    test: &str,
    run: &Run,
    disks: &mut Vec<Disk>,
    ui: &Ui,
) -> Result<Vec<Option<String>>> {
    let mut attach = |given: &Given| {
        let Some(packages) = Packages::parse(&given.source) else { return Ok(None) };
        let own = disk::of_run(project, &format!("{test}-{}.tar", given.name))?;
        let find = |folder: &str| place_of(guest, folder, "folder for a root");
        let path = packages.archive(project, own, find, ui)?;
        let new = Disk { path, read_only: true, sector: given.sector };
        let index = disks.iter().position(|disk| *disk == new).unwrap_or(disks.len());
        if index == disks.len() {
            disks.push(new);
        }
        Ok(Some(Disk::in_dom0(index)))
    };
    run.disks.iter().map(&mut attach).collect()
}

/// Makes the guest's disks in dom0: the items for xl, and the variables for scripts.
fn make_disks(host: &Host, job: &Job<'_>) -> Result<(Vec<String>, String)> {
    let (mut items, mut names) = (Vec::new(), String::new());
    for ((given, target), number) in job.run.disks.iter().zip(&job.targets).zip(0..) {
        let Given { name, source, read_only, sector } = given;
        if name == FOR_DOM0 {
            let root = target.as_ref().context("what dom0 gets is debian:PACKAGE,...")?;
            names += &format!("ROOT={root} ");
            continue;
        }
        let vdev = disk::which(&job.image.manifest, name)?;
        let mut file = format!("{DISKS}/{vdev}");
        let mut read_only = *read_only;
        if let Some(target) = target {
            (file, read_only) = (target.clone(), true);
        } else if let Some(size) = disk::size(source) {
            let script = format!("mkdir -p {DISKS} && truncate -s {size} {file}");
            host.shell(&script)?.success()?;
        } else {
            let path = place_of(job.guest, source, "file or folder for a disk")?;
            let bytes = if path.is_dir() {
                read_only = true;
                disk::packed(&path)?
            } else {
                read(&path)?
            };
            host.upload(&bytes, &file)?;
        }
        let attached = target.is_some();
        let mut target = file.clone();
        if *sector != 512 && !attached {
            let script = format!("/usr/sbin/losetup -b {sector} -f --show {file}");
            let output = host.shell(&script)?.success()?;
            target = String::from_utf8_lossy(&output.stdout).trim().into();
        }
        items.push(disk::line(&vdev, read_only, &target));
        let suffix = if number == 0 { String::new() } else { number.to_string() };
        names += &format!("DISK{suffix}={file} VDEV{suffix}={vdev} TARGET{suffix}={target} ");
    }
    Ok((items, names))
}

/// Compiles the test's programs, and brings them to dom0.
fn make_programs(host: &Host, job: &Job<'_>) -> Result<()> {
    for source in &job.run.programs {
        let path = place_of(job.guest, source, "program")?;
        let file = format!("{PROGRAMS}/{}", source.trim_end_matches(".c"));
        host.upload(&program::compiled(&path)?, &file)?;
        host.shell(&format!("chmod 755 {file}"))?.success()?;
    }
    Ok(())
}

/// Waits until the console holds the text, or by default until the guest says
/// that it serves.
fn wait_for(domain: &mut Domain, when: Option<&str>, limit: Duration, whom: &str) -> Result<()> {
    let up = |console: &[u8]| {
        let console = String::from_utf8_lossy(console);
        when.map_or_else(|| is_up(&console), |when| console.contains(when))
    };
    let is_ready = domain.wait_for(limit, &mut |console| up(console))?;
    let said = match when {
        Some(when) => format!("{when:?}"),
        None => "\"listening\" or \"ready\"".into(),
    };
    ensure!(
        is_ready,
        "{} never printed {said}, for which {whom} waited; its console:\n{}",
        domain.name(),
        text(domain.console()).trim_end()
    );
    Ok(())
}

/// The variables by which scripts find a guest.
fn names(prefix: &str, domain: &Domain) -> String {
    let mut names = format!("{prefix}GUEST={} {prefix}NAME={} ", domain.id(), domain.name());
    for (index, vif) in domain.vifs().iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { index.to_string() };
        for (name, value) in [
            ("IP", vif.ip.as_deref().unwrap_or_default()),
            ("MAC", &vif.mac),
            ("VIF", &domain.interface(index)),
            ("BRIDGE", &vif.bridge),
        ] {
            names += &format!("{prefix}{name}{suffix}={value} ");
        }
    }
    names
}

/// What a directive names: beside the source, or else beside the package's manifest.
fn place_of(guest: &Guest, name: &str, what: &str) -> Result<PathBuf> {
    let beside = guest.source.parent().unwrap_or(&guest.folder);
    let places = [beside.join(name), guest.folder.join(name)];
    let found = places.iter().find(|path| path.exists());
    let [first, second] = places.each_ref().map(|path| path.display().to_string());
    found.cloned().with_context(|| format!("there is no {what} {first}, nor {second}"))
}
