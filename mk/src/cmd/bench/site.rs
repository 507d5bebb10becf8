//! `site`, which serves files from a disk, beside `httpd`, which has what it serves in
//! memory: what a disk costs once the files are cached. A part of `bench block`.

use super::versus::{Aim, Better, Row, Sample};
use crate::cmd::build::Image;
use crate::disk;
use crate::ending::{is_up, text};
use crate::image::xl;
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use lab::{Disk, Guest as Domain, GuestSpec, Host};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The apps.
pub(super) const APPS: [&str; 2] = ["site", "httpd"];
/// What is compared.
pub(super) const WHAT: &str = "site with a cached file of 1 MiB over httpd from memory";
/// What both have at the same path.
const FILE: &str = "bytes/1048576";
/// MiB of each guest.
const MEMORY: u32 = 64;
/// Time for a guest to come up, and for a client to be done.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the disk's image at `path`: an archive with a file of 1 MiB.
pub(super) fn fill(path: &Path) -> Result<()> {
    let folder = path.with_extension("folder");
    let file = folder.join(FILE);
    let made = || format!("cannot make {}", file.display());
    fs::create_dir_all(file.parent().context("no folder")?).with_context(made)?;
    fs::write(&file, vec![b'x'; 1 << 20]).with_context(made)?;
    disk::pack(&folder, path, &[])?;
    fs::remove_dir_all(&folder).with_context(made)
}

/// A guest that serves.
struct Server {
    domain: Domain,
    ip: String,
}

/// MiB a second, and processor time of the guest for each in ns.
#[derive(Clone, Copy)]
struct Run {
    rate: f64,
    cost: f64,
}

impl Server {
    fn start(host: &Host, image: &Image, disk: Option<usize>) -> Result<Server> {
        let number = Arc::new(host.number()?);
        let ip = number.ip();
        let extra = format!("extra=\"ip={ip}/24 gateway=10.0.0.1\"");
        let mut overrides = vec![format!("memory={MEMORY}"), extra];
        if let Some(index) = disk {
            let items = [disk::line("xvda", true, &Disk::in_dom0(index))];
            overrides.push(xl::list("disk", &items).context("no disk")?);
        }
        let spec = GuestSpec { overrides, number: Some(number), ..GuestSpec::new(image.config()) };
        let mut domain = host.create(&spec)?;
        let up = domain.wait_for(PATIENCE, &mut |it| is_up(&text(it)))?;
        ensure!(up, "{} does not come up:\n{}", domain.name(), text(domain.console()));
        Ok(Server { domain, ip })
    }

    fn once(&self, host: &Host) -> Result<Run> {
        let script = format!(
            "cpu-time {id}\nwrk -t1 -c1 -d2s http://{ip}:80/{FILE}\ncpu-time {id}",
            id = self.domain.id(),
            ip = self.ip,
        );
        let output = host.shell_within(&script, PATIENCE)?.success()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        read(&said).with_context(|| format!("wrk said:\n{said}"))
    }
}

/// What wrk says between two processor times.
fn read(said: &str) -> Option<Run> {
    let before: f64 = said.lines().next()?.trim().parse().ok()?;
    let after: f64 = said.lines().last()?.trim().parse().ok()?;
    if ["Non-2xx", "Socket errors"].iter().any(|it| said.contains(it)) {
        return None;
    }
    let line = said.lines().find(|line| line.contains(" requests in "))?;
    let (count, rest) = line.trim().split_once(" requests in ")?;
    let (time, _) = rest.split_once("s,")?;
    let (count, seconds): (f64, f64) = (count.parse().ok()?, time.parse().ok()?);
    (count > 0.0).then(|| Run { rate: count / seconds, cost: (after - before) / count })
}

/// Lets wrk at both in turns, `rounds` times: the rows that come of it, of a host where
/// instructions are counted or not.
pub(super) fn rows(
    host: &Host,
    [site, httpd]: [&Image; 2],
    disk: usize,
    (rounds, counted): (usize, bool),
    ui: &Ui,
) -> Result<Vec<Row>> {
    let servers = [Server::start(host, site, Some(disk))?, Server::start(host, httpd, None)?];
    // The first time the file comes from the disk.
    servers.iter().try_for_each(|server| server.once(host).map(drop))?;
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        ui.step(&format!("site beside httpd ({round} of {rounds})"));
        let [site, httpd] = [servers[0].once(host)?, servers[1].once(host)?];
        ratios.push(if counted { httpd.cost / site.cost } else { site.rate / httpd.rate });
    }
    let what = if counted { "MiB an instruction" } else { "MiB a second" };
    Ok(vec![Row {
        what: format!("{WHAT}: {what}"),
        unit: "x",
        better: Better::More,
        xenith: Sample::of(ratios),
        linux: None,
        aim: Some(Aim::Figure(0.9)),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read_between_two_times() {
        let said = "1000\nRunning 2s test\n  40 requests in 2.00s, 40.01MB read\nTransfer\n5000\n";
        let run = read(said).expect("figures");
        assert_eq!((run.rate, run.cost), (20.0, 100.0));
        assert!(read(&said.replace("Transfer", "  Non-2xx or 3xx responses: 1")).is_none());
        assert!(read("1000\n5000\n").is_none());
    }
}
