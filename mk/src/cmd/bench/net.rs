//! `cargo mk bench net`: the network beside Linux as a guest.
//!
//! Both are created by the same xl with the same memory and one virtual processor,
//! on one bridge, and take turns with the same clients in dom0. It is done twice:
//! on a host in real time, for rates and for processor time as a ratio, and on one
//! where a nanosecond is an instruction, for costs that noise cannot touch.

mod load;
mod scale;
mod server;

use super::hosts::Hosts;
use super::versus::{Aim, Better, Comparison, Report, Row, Sample, number};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, bail};
use lab::{Host, Linux, Purpose};
use load::{About, BRIEF, Effort, FULL, LOADS, Load, QUICK};
use server::{Kind, Run, STREAMS, Server};
use std::collections::BTreeMap;

/// Compares with Linux
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench net --chart net.svg\n\nInstructions are counted by QEMU, \
Xen's work for the guest included. It takes a quarter of an\nhour, with --quick some minutes."
)]
pub(super) struct Args {
    #[command(flatten)]
    report: Report,
    /// Memory of each guest, in MiB
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(64..=768))]
    memory: u64,
    /// Leaves Linux out
    #[arg(long)]
    alone: bool,
}

impl Args {
    /// All of it as briefly as can be.
    pub(super) const fn brief() -> Self {
        Self { report: Report::brief(), memory: 256, alone: false }
    }
}

/// The app that answers HTTP and ping.
const WEB: &str = "httpd";
/// The app that speaks as iperf3 does.
const IPERF: &str = "iperf";
/// A row.
const LEAST: &str = "least memory";
/// What is measured where instructions are counted when it is to be brief.
const PING: &str = "ping";
/// The least memory of Linux is looked for between these.
const LINUX_MIB: (u64, u64) = (64, 192);
/// What of ours is tried, in MiB.
const OUR_MIB: [u64; 8] = [1, 2, 3, 4, 5, 6, 8, 16];

/// The guests of one host.
struct Guests<'a> {
    host: &'a Host,
    web: Server,
    bulk: Server,
    /// None where ours is measured alone.
    linux: Option<Server>,
    effort: Effort,
    report: &'a Report,
    /// Instructions are counted.
    counted: bool,
}

/// What was measured, of ours and of Linux.
type Figures = BTreeMap<(Load, bool), Vec<Run>>;

/// What our own counters say, of a packet or a request.
type Counters = Vec<(String, f64)>;

impl Guests<'_> {
    /// Which of ours takes a load.
    fn ours(&self, load: Load) -> &Server {
        match load {
            Load::BulkIn | Load::BulkOut => &self.bulk,
            _ => &self.web,
        }
    }

    /// The loads that are wanted.
    fn loads(&self) -> impl Iterator<Item = &'static About> {
        LOADS.iter().filter(|about| match self.counted {
            true => self.report.wants_counted(about.what, PING),
            false => self.report.wants(about.what),
        })
    }

    /// Lets all clients at both, in turns.
    fn measure(&self, rounds: usize, ui: &Ui, notes: &mut Vec<String>) -> Figures {
        let mut figures = Figures::new();
        for round in 1..=rounds {
            for About { load, what, unit, .. } in self.loads() {
                ui.step(&format!("{what} ({round} of {rounds})"));
                let linux = self.linux.iter().map(|it| (false, it));
                for (ours, server) in core::iter::once((true, self.ours(*load))).chain(linux) {
                    match server.run(self.host, *load, self.effort) {
                        Ok(run) => {
                            // It takes long: what is known is told at once.
                            let who = if ours { "Xenith" } else { "Linux" };
                            let rate = run.rate.map_or_else(|| "-".into(), number);
                            ui.note(&format!("{who}: {rate} {unit}, {} ns each", number(run.cost)));
                            figures.entry((*load, ours)).or_default().push(run);
                        }
                        Err(error) => {
                            ui.warn(&format!("{what}: {error:#}"));
                            notes.push(format!("{what} left out once: {error:#}"));
                        }
                    }
                }
            }
        }
        figures
    }

    /// What a packet costs by our own counters, under some loads.
    fn counters(&self) -> Result<Counters> {
        let mut all = Vec::new();
        for (load, what) in [
            (Load::KeepAlive, "keep-alive"),
            (Load::NewConnection, "new connections"),
            (Load::BigBody, "1 MiB bodies"),
            (Load::Ping, "ping"),
        ] {
            if self.loads().all(|about| about.load != load) {
                continue;
            }
            let before = self.web.metrics(self.host)?;
            self.web.run(self.host, load, self.effort)?;
            let after = self.web.metrics(self.host)?;
            let grown = |name: &str| Some(after.get(name)? - before.get(name)?);
            let frames = grown("net_received_frames").unwrap_or_default()
                + grown("net_transmitted_frames").unwrap_or_default();
            for name in ["hypercalls", "notifications", "grant_operations", "events", "waits"] {
                if let Some(count) = grown(name) {
                    let name = name.replace('_', " ");
                    all.push((format!("{name} a packet, {what}"), count / frames.max(1.0)));
                }
            }
            if load != Load::Ping {
                let requests = grown("http_requests").unwrap_or_default();
                all.push((format!("packets a request, {what}"), frames / requests.max(1.0)));
            }
        }
        Ok(all)
    }
}

/// What is compared, and how.
struct Field<'a> {
    web: &'a Image,
    bulk: &'a Image,
    linux: Option<&'a Linux>,
    memory: u64,
    effort: Effort,
    report: &'a Report,
    notes: Vec<String>,
    ui: &'a Ui,
}

impl<'a> Field<'a> {
    const fn ours(&self) -> Kind<'a> {
        Kind::Xenith(self.web)
    }

    fn theirs(&self) -> Option<Kind<'a>> {
        self.linux.map(Kind::Linux)
    }

    fn start<'h>(&self, host: &'h Host, effort: Effort, counted: bool) -> Result<Guests<'h>>
    where
        'a: 'h,
    {
        self.ui.step("starting both guests");
        let start = |kind: Kind<'_>| kind.start(host, self.memory);
        let (web, bulk) = (start(self.ours())?, start(Kind::Xenith(self.bulk))?);
        let linux = self.theirs().map(start).transpose()?;
        Ok(Guests { host, web, bulk, linux, effort, report: self.report, counted })
    }

    /// What real time tells, and our own counters.
    fn timed(&mut self, host: &Host) -> Result<(Vec<Row>, Counters)> {
        let guests = self.start(host, self.effort, false)?;
        let figures = guests.measure(self.effort.rounds, self.ui, &mut self.notes);
        let mut rows = rate_rows(&figures);
        rows.extend(cost_rows(&figures, "guest CPU time a", "ns", false));
        self.ui.step("our own counters");
        let counters = guests.counters().unwrap_or_else(|error| {
            self.notes.push(format!("our own counters left out: {error:#}"));
            Vec::new()
        });
        drop(guests);
        if self.report.wants(LEAST) {
            self.ui.step(LEAST);
            let theirs = self.theirs().map(|it| least_of_linux(host, it, self.effort.step));
            rows.push(whole(least_of_ours(host, self.ours())?, theirs.transpose()?, LEAST, "MiB"));
        }
        Ok((rows, counters))
    }

    /// What counted instructions tell.
    fn counted(&mut self, host: &Host) -> Result<Vec<Row>> {
        let guests = self.start(host, self.effort.when_counted(), true)?;
        let figures = guests.measure(self.effort.counted, self.ui, &mut self.notes);
        let mut rows = cost_rows(&figures, "guest instructions a", "", true);
        drop(guests);
        // With intervals below 10 ms ping spins, and no guest would get the processor.
        for (what, client, aim) in [
            ("ping", "/usr/sbin/ping -q -c 1 -i 0.02 -w 100 $IP", Some(Aim::Figure(400e3))),
            (
                "HTTP request",
                "until curl -sf -o /dev/null --connect-timeout 0.1 -m 1 http://$IP/bytes/1024; do \
                 sleep 0.05; done",
                None,
            ),
        ] {
            let name = format!("instructions to the first {what}");
            if !self.report.wants_counted(&name, PING) {
                continue;
            }
            self.ui.step(&format!("unpause to the first answered {what}"));
            let mut samples = [Vec::new(), Vec::new()];
            for _ in 0..self.effort.counted {
                let kinds = core::iter::once(self.ours()).chain(self.theirs());
                for (kind, samples) in kinds.zip(&mut samples) {
                    match kind.first_answer(host, self.memory, client) {
                        Ok(cpu) => samples.push(cpu),
                        Err(error) => {
                            self.notes.push(format!("the first {what} left out once: {error:#}"));
                        }
                    }
                }
            }
            let [xenith, linux] = samples.map(Sample::of);
            rows.push(Row { what: name, unit: "", better: Better::Less, xenith, linux, aim });
        }
        if self.report.wants_counted(scale::WHAT, PING) {
            match scale::rows(host, self.ours(), self.ui) {
                Ok(more) => rows.extend(more),
                Err(error) => self.notes.push(format!("many connections left out: {error:#}")),
            }
        }
        Ok(rows)
    }
}

/// Runs the command.
///
/// # Errors
/// When a host does not come up or a guest does not serve.
pub(super) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    measure(&args.report.optimize.project()?, args, &mut Hosts::own(ui))?.report(&args.report)?;
    Ok(0)
}

/// Measures on hosts of `hosts`.
pub(super) fn measure(project: &Project, args: &Args, hosts: &mut Hosts<'_>) -> Result<Comparison> {
    let ui = hosts.ui;
    let effort = match (args.report.brief, args.report.quick) {
        (true, _) => BRIEF,
        (_, true) => QUICK,
        _ => FULL,
    };
    let mut notes = Vec::new();
    let iperf = project.guests.iter().any(|guest| guest.name == IPERF);
    if !iperf {
        notes.push(format!("no app {IPERF}: nc at {STREAMS} instead, and so no rates of bulk"));
    }
    let names = [WEB, if iperf { IPERF } else { STREAMS }].map(str::to_owned);
    let images = build::images(project, &project.choose(&names)?, ui)?;
    let web = images.first().context("no image")?;
    let bulk = images.get(1).context("no image")?;
    let prepare = || Linux::prepare(&boot::cache(project), Purpose::Net, ui);
    let linux = (!args.alone).then(prepare).transpose()?;
    let mut field = Field {
        web,
        bulk,
        linux: linux.as_ref(),
        memory: args.memory,
        effort,
        report: &args.report,
        notes,
        ui,
    };
    let mut options = boot::options(project)?;
    options.network = true;
    options.cpu_times = true;
    let (mut rows, mut counters) = (Vec::new(), Vec::new());
    if !args.report.counted {
        let (timed, counted) = hosts.with(&options, |host| field.timed(host))?;
        rows.extend(timed);
        counters.extend(counted);
    }
    options.icount = true;
    rows.extend(hosts.with(&options, |host| field.counted(host))?);

    let theirs = linux.as_ref().map(Linux::bytes).transpose()?;
    rows.push(whole(web.report.gz, theirs, "image, compressed", "B"));
    Ok(Comparison {
        title: "Xenith and Linux as guests on one Xen host: the network",
        about: format!(
            "httpd and nginx, iperf3 to both; one vCPU and {} MiB each; QEMU without KVM",
            args.memory
        ),
        rows,
        counters,
        notes: field.notes,
    })
}

/// A row of what was looked at once, of ours and of Linux.
fn whole(xenith: u64, linux: Option<u64>, what: &str, unit: &'static str) -> Row {
    let sample = |value: u64| Sample::of(vec![value as f64]);
    let (xenith, linux) = (sample(xenith), linux.and_then(sample));
    Row { what: what.into(), unit, better: Better::Less, xenith, linux, aim: None }
}

/// The rates of what was measured.
fn rate_rows(figures: &Figures) -> Vec<Row> {
    let rows = LOADS.iter().map(|about| Row {
        what: about.what.into(),
        unit: about.unit,
        better: about.better,
        xenith: sample(figures, about.load, true, |run| run.rate),
        linux: sample(figures, about.load, false, |run| run.rate),
        aim: about.rate_aim,
    });
    rows.filter(Row::has_figures).collect()
}

/// What each costs. Aims are of instructions.
fn cost_rows(figures: &Figures, what: &str, unit: &'static str, aims: bool) -> Vec<Row> {
    let rows = LOADS.iter().map(|about| Row {
        what: format!("{what} {}", about.each),
        unit,
        better: Better::Less,
        xenith: sample(figures, about.load, true, |run| Some(run.cost)),
        linux: sample(figures, about.load, false, |run| Some(run.cost)),
        aim: about.cost_aim.filter(|_| aims),
    });
    rows.filter(Row::has_figures).collect()
}

fn sample(
    figures: &Figures,
    load: Load,
    ours: bool,
    of: fn(&Run) -> Option<f64>,
) -> Option<Sample> {
    Sample::of(figures.get(&(load, ours))?.iter().filter_map(of).collect())
}

fn least_of_ours(host: &Host, kind: Kind<'_>) -> Result<u64> {
    for mib in OUR_MIB {
        if kind.answers(host, mib)? {
            return Ok(mib);
        }
    }
    bail!("{WEB} answers with none of {OUR_MIB:?} MiB")
}

/// Bisects: what needs seconds to fail is not tried at each size.
fn least_of_linux(host: &Host, kind: Kind<'_>, step: u64) -> Result<u64> {
    let (mut low, mut high) = LINUX_MIB;
    while high - low > step {
        let middle = (low + high) / 2 / step * step;
        if kind.answers(host, middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(high)
}
