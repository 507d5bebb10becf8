//! What stands around a test guest: scripts in dom0, and other guests.

use super::Job;
use crate::directives::{Script, Then};
use crate::ending::{Ending, is_up, text};
use crate::image::xl;
use crate::lab::{Guest as Domain, GuestSpec, Host, Number};
use crate::project::{Guest, read};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::sync::Arc;
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
}

impl<'a> Stage<'a> {
    /// Does what comes before the guest.
    pub(super) fn set(host: &'a Host, job: &'a Job<'a>) -> Result<Stage<'a>> {
        let numbers = (0..=job.with.len()).map(|_| host.number().map(Arc::new));
        let numbers = numbers.collect::<Result<_>>()?;
        let mut stage = Stage { host, job, numbers, others: Vec::new() };
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

    /// The number that the guest is to have.
    pub(super) fn number(&self) -> Arc<Number> {
        Arc::clone(&self.numbers[0])
    }

    /// Runs the clients once the guest says that it is ready for them, and then
    /// sees to its end.
    pub(super) fn clients(&self, domain: &mut Domain) -> Result<()> {
        let run = &self.job.run;
        if run.clients.is_empty() {
            return Ok(());
        }
        wait_for(domain, run.client_when.as_deref(), run.timeout, "its clients")?;
        let mut names = names("", domain);
        for (other, number) in self.others.iter().zip(1..) {
            let prefix = if number == 1 { "WITH_".into() } else { format!("WITH{number}_") };
            names += &self::names(&prefix, other);
        }
        for client in &run.clients {
            self.script("a client", client, &names)?;
        }
        match run.then {
            // One that has ended by itself need not be asked.
            Then::Shutdown => drop(domain.shut_down()),
            Then::Destroy => drop(domain.destroy_later()),
            Then::Wait => {}
        }
        Ok(())
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
                let path = file_of(self.job.guest, file)?;
                String::from_utf8(read(&path)?)
                    .with_context(|| format!("{} is not text", path.display()))?
            }
        };
        let limit = self.job.run.timeout;
        let quoted = text.replace('\'', "'\\''");
        let command = format!("{names} stage {} '{quoted}'", limit.as_secs());
        let output = self.host.shell_within(&command, limit + GRACE)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let shown = match script {
            Script::Text(text) => text.trim(),
            Script::File(file) => file,
        };
        let shown = shown.lines().next().unwrap_or_default();
        match output.status {
            0 => Ok(()),
            OVER => bail!("{what} ({shown}) took longer than {limit:?}; it said:\n{}", said.trim()),
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
    }
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
        "{} never said {said}, for which {whom} waited; it said:\n{}",
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

/// A script's file: beside the source, or else beside the package's manifest.
fn file_of(guest: &Guest, file: &str) -> Result<PathBuf> {
    let beside = guest.source.parent().unwrap_or(&guest.folder);
    let places = [beside.join(file), guest.folder.join(file)];
    let found = places.iter().find(|path| path.is_file());
    let [first, second] = places.each_ref().map(|path| path.display().to_string());
    found.cloned().with_context(|| format!("there is no script {first}, nor {second}"))
}
