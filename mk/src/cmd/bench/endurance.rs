//! `cargo mk bench endurance`: programs of Linux under load for long, and their guests' memory.
//!
//! redis has another guest as its client, with redis-benchmark; nginx has wrk in dom0. Both say
//! every few seconds how much memory their machines have free. Beside them one makes processes and
//! threads by the thousand. In none of them may the free memory sink.

use crate::boot;
use crate::cmd::build::{self, Image};
use crate::disk::debian::Packages;
use crate::disk::{self, line, of_run};
use crate::ending::{Ending, text};
use crate::image::xl;
use crate::program::compiled;
use crate::project::Project;
use crate::ui::{Ui, out, table};
use anyhow::{Context, Result, bail, ensure};
use lab::{Disk, Guest, GuestSpec, Host};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Runs Linux programs under load for long, and sees that their memory stays
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench endurance --minutes 5\n\nThe exit status is 1 when the \
free memory of a guest sinks."
)]
pub(super) struct Args {
    /// How long redis and nginx are under load
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: u64,
    /// How many processes are made, and how many threads, one after another
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

/// The app that runs programs.
const APP: &str = "linux";
/// MiB of each guest's domain.
const MIB: u32 = 96;
/// Threads that there are at once.
const AT_ONCE: u32 = 1000;
/// Requests of each kind that redis gets before those of the next: few enough that each fifth of the
/// time has all kinds, as they fill and empty a list.
const ROUND: u32 = 2000;
/// KiB that free memory may sink by: caches and heaps are not full at the beginning.
const SLACK: u64 = 1024;
/// What the shell of a guest runs beside its server.
const WATCH: &str = "while sleep 2; do grep MemFree: /proc/meminfo; done &";
/// What is installed for all of them.
const PACKAGES: &str = "debian:redis-server,redis-tools,nginx,iproute2-,dash,coreutils,grep";
/// Where the second root is, in dom0.
const PROGRAM: &str = "/tmp/endurance.tar";
/// Time for processes and threads.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Runs the command.
///
/// # Errors
/// When a host does not come up, or a program does not do its work.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    let images = build::images(&project, &project.choose(&[APP.to_owned()])?, ui)?;
    let [image] = &images[..] else { bail!("{APP} was not built") };
    let packages = Packages::parse(PACKAGES).context("no packages")?;
    let here = |folder: &str| Ok(PathBuf::from(folder));
    let path = packages.archive(&project, of_run(&project, "endurance.tar")?, here, ui)?;
    let mut options = boot::options(&project)?;
    options.disks.push(Disk { path, read_only: true, sector: 512 });
    options.network = true;
    let host = Host::boot(&options, ui)?;
    ui.step("making processes and threads");
    let mut rows = processes(&host, image, args.count)?;
    rows.extend(servers(&host, image, Duration::from_secs(60 * args.minutes), ui)?);
    ui.done();
    host.shutdown()?;
    out(&shown(&rows));
    Ok(u8::from(!rows.iter().all(Row::is_flat)))
}

/// What memory was free early and late, in KiB.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    what: String,
    early: u64,
    late: u64,
}

impl Row {
    const fn is_flat(&self) -> bool {
        self.late + SLACK >= self.early
    }
}

fn shown(rows: &[Row]) -> String {
    let head = ["", "free before, KiB", "free after, KiB", ""].map(str::to_owned);
    let line = |row: &Row| {
        let verdict = if row.is_flat() { "flat" } else { "it sinks" };
        [row.what.clone(), row.early.to_string(), row.late.to_string(), verdict.to_owned()]
    };
    let all: Vec<_> = [head].into_iter().chain(rows.iter().map(line)).collect();
    table(&all, &[1, 2])
}

/// Creates a guest with `command` and the disk `target`.
fn guest(host: &Host, image: &Image, target: &str, command: &str) -> Result<Guest> {
    let overrides = vec![
        format!("memory={MIB}"),
        format!("extra={}", xl::quote(&xl::command_line(&[format!("run={command}")])?)),
        xl::list("disk", &[line("xvda", true, target)]).context("no disk")?,
    ];
    host.create(&GuestSpec { overrides, ..GuestSpec::new(image.config()) })
}

/// Processes and threads: one guest, which says by itself what is free.
fn processes(host: &Host, image: &Image, count: u32) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("endurance.c");
    fs::write(&source, include_str!("endurance/endurance.c"))?;
    let root = folder.path().join("root");
    fs::create_dir(&root)?;
    let program = root.join("endurance");
    fs::write(&program, compiled(&source)?)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    host.upload(&disk::packed(&root)?, PROGRAM)?;
    let command = format!("/endurance {count} {count} {AT_ONCE}");
    let mut domain = guest(host, image, PROGRAM, &command)?;
    let end = domain.wait(PATIENCE, &mut |_| ())?.context("it did not end in time")?;
    let (console, ending) = (text(&end.console), Ending::of(&end));
    ensure!(ending == Ending::Poweroff, "{APP} {}:\n{console}", ending.shown());
    let free = |what: &str| {
        let line = console.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
        line.and_then(|it| it.split(' ').next()?.parse::<u64>().ok())
            .with_context(|| format!("it does not say {what:?}:\n{console}"))
    };
    let before = free("before")?;
    let row = |(what, said): (String, &str)| Ok(Row { what, early: before, late: free(said)? });
    let all = [
        (format!("{count} processes"), "forks"),
        (format!("{count} threads"), "threads"),
        (format!("{AT_ONCE} threads at once"), "at once"),
    ];
    all.into_iter().map(row).collect()
}

/// redis and nginx under load. nginx's log would be in memory, and is nowhere.
fn servers(host: &Host, image: &Image, time: Duration, ui: &Ui) -> Result<Vec<Row>> {
    let target = Disk::in_dom0(0);
    let start = |command: &str| guest(host, image, &target, command);
    let mut redis = start(&format!(
        "sh -c '{WATCH} exec redis-server --protected-mode no --save 5 100 --dir /tmp'"
    ))?;
    let mut nginx = start(&format!(
        "sh -c '{WATCH} cd /etc/nginx; mkdir -p /var/www/html; echo hello >/var/www/html/index.html; \
         ln -s ../sites-available/default sites-enabled; ln -sf /dev/null /var/log/nginx/access.log; \
         exec nginx -g \"daemon off; error_log stderr;\"'"
    ))?;
    for (domain, says) in [(&mut redis, "Ready to accept connections"), (&mut nginx, "MemFree")] {
        let ready = |console: &[u8]| String::from_utf8_lossy(console).contains(says);
        let up = domain.wait_for(Duration::from_secs(120), &mut |it| ready(it))?;
        ensure!(up, "a server does not come up:\n{}", text(domain.console()));
    }
    let ip = |domain: &Guest| domain.vifs().first().and_then(|vif| vif.ip.clone());
    let (redis_ip, nginx_ip) = (ip(&redis).context("no address")?, ip(&nginx).context("none")?);
    let mut client = start(&format!(
        "redis-benchmark -h {redis_ip} -q -l -n {ROUND} -c 20 -r 1000 -d 100 -t \
         set,get,incr,lpush,lpop,hset"
    ))?;
    let begun = Instant::now();
    let minute = Duration::from_secs(60);
    let mut served = 0;
    while begun.elapsed() < time {
        let left = (time.saturating_sub(begun.elapsed())).min(minute).max(Duration::from_secs(2));
        ui.step(&format!("redis and nginx under load for {} s", begun.elapsed().as_secs()));
        let load = format!("wrk -t1 -c10 -d{} http://{nginx_ip}:80/", left.as_secs());
        let output = host.shell_within(&load, left + minute)?.success()?;
        served += requests(&String::from_utf8_lossy(&output.stdout))?;
        for (domain, name) in
            [(&mut redis, "redis"), (&mut nginx, "nginx"), (&mut client, "its client")]
        {
            let ended = domain.wait(Duration::ZERO, &mut |_| ())?.is_some();
            ensure!(!ended, "{name} has ended:\n{}", text(domain.console()));
        }
    }
    ui.done();
    let said = text(client.console());
    let tests = said.matches("requests per second").count();
    ensure!(tests > 0, "redis-benchmark finished nothing:\n{said}");
    ui.note(&format!("nginx served {served} requests, and redis {tests} times {ROUND}"));
    [("redis", &redis), ("nginx", &nginx)]
        .into_iter()
        .map(|(name, domain)| watched(name, &text(domain.console())))
        .collect()
}

/// How many requests wrk says that there were.
fn requests(said: &str) -> Result<u64> {
    let line = said.lines().find_map(|line| line.trim().split_once(" requests in "));
    let count = line.and_then(|(count, _)| count.parse().ok());
    ensure!(!said.contains("Non-2xx"), "nginx refused some:\n{said}");
    count.filter(|count| *count > 0).with_context(|| format!("nginx served nothing:\n{said}"))
}

/// What was free in the second fifth and in the last one: in the first one caches fill. The most of
/// each, since work in progress needs memory as well.
fn watched(name: &str, console: &str) -> Result<Row> {
    let free = console.lines().filter_map(|line| {
        let rest = line.strip_prefix("MemFree:")?.trim();
        rest.strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    let free: Vec<u64> = free.collect();
    let fifth = free.len() / 5;
    ensure!(fifth > 0, "{name} says too little of its memory:\n{console}");
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    let (early, late) = (most(&free[fifth..2 * fifth]), most(&free[free.len() - fifth..]));
    Ok(Row { what: format!("{name} under load"), early, late })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_sinks_is_found() {
        let said = |free: &[u64]| {
            free.iter().map(|it| format!("MemFree:   {it} kB\nnoise\n")).collect::<String>()
        };
        let flat = watched("a", &said(&[9000, 5000, 4000, 4900, 5000])).unwrap();
        assert_eq!((flat.early, flat.late, flat.is_flat()), (5000, 5000, true));
        let sinks = watched("a", &said(&[9000, 5000, 4000, 3900, 3900])).unwrap();
        assert!(!sinks.is_flat() && shown(&[sinks]).contains("it sinks"));
        assert!(watched("a", &said(&[1, 2, 3])).is_err());
    }

    #[test]
    fn requests_are_counted() {
        assert_eq!(requests("Running\n  1234 requests in 10.00s, 1MB read\n").unwrap(), 1234);
        assert!(requests("  9 requests in 1s\n  Non-2xx or 3xx responses: 9\n").is_err());
        assert!(requests("").is_err());
    }
}
