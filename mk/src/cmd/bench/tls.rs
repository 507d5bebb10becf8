//! `cargo mk bench tls`: what TLS costs a server, beside nginx with OpenSSL on Linux as a guest.
//!
//! Both serve the same pages by the same keys to the same clients in dom0: OpenSSL's `s_time` for
//! connections, `h2load` for requests on those that are kept, curl for large bodies. A connection
//! has one request of 1 KiB. It is done twice: on a host in real time, for rates, and on one where
//! a nanosecond is an instruction.

mod load;
mod server;

use super::hosts::Hosts;
use super::versus::{Aim, Better, Comparison, Report, Row, Sample, number};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Result, bail};
use lab::{Host, Linux, Purpose};
use load::{About, BRIEF, Effort, FULL, KEEP, LOADS, PLAIN, QUICK};
use server::{Run, Side, prepare};

/// Compares with nginx on Linux
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk bench tls --counted --json tls.json\n\nInstructions are counted by \
QEMU, Xen's work for the guest included. It takes a quarter of an\nhour, with --counted --quick some \
minutes."
)]
pub(super) struct Args {
    #[command(flatten)]
    report: Report,
    /// Leaves Linux out
    #[arg(long)]
    alone: bool,
}

impl Args {
    /// All of it as briefly as can be, and without Linux.
    pub(super) const fn brief() -> Self {
        Self { report: Report::brief(), alone: true }
    }
}

/// The apps: by TLS, and without.
const APPS: [&str; 2] = ["https", "site"];
/// What a request by TLS may cost, in ones without.
const KEPT: f64 = 1.35;
/// What is measured in real time when it is to be brief.
const BRIEFLY: &str = "resumed";

/// What was measured of a load, of ours and of Linux: for each round, if it did not fail.
type Runs = [Vec<Option<Run>>; 2];

/// What is compared, and how.
struct Field<'a> {
    images: [&'a Image; 2],
    linux: Option<&'a Linux>,
    effort: Effort,
    report: &'a Report,
    notes: Vec<String>,
    ui: &'a Ui,
}

impl Field<'_> {
    /// Lets all clients at both, in turns.
    fn measure(&mut self, host: &Host, counted: bool) -> Result<Vec<Row>> {
        let Self { images, linux, effort, report, ui, .. } = *self;
        ui.step("starting the servers");
        prepare(host)?;
        let mut sides = vec![Side::ours(host, images)?];
        if let Some(linux) = linux {
            sides.push(Side::linux(host, linux)?);
        }
        sides.iter().try_for_each(|side| side.warm(host))?;
        let wanted = |about: &&About| match (counted, about.rate) {
            (true, _) => report.wants(about.each),
            (false, Some(what)) => report.wants(what) && (!report.brief || what.contains(BRIEFLY)),
            (false, None) => false,
        };
        let mut all: Vec<(&About, Runs)> = Vec::new();
        for about in LOADS.iter().filter(wanted) {
            let mut runs = Runs::default();
            for round in 1..=effort.rounds {
                ui.step(&format!("{} ({round} of {})", about.each, effort.rounds));
                for ((side, who), runs) in sides.iter().zip(["Xenith", "Linux"]).zip(&mut runs) {
                    match side.run(host, about, effort) {
                        Ok(run) => {
                            // It takes long: what is known is told at once.
                            let Run { rate, cost } = run;
                            ui.note(&format!(
                                "{who}: {} 1/s, {} ns each",
                                number(rate),
                                number(cost)
                            ));
                            runs.push(Some(run));
                        }
                        Err(error) => {
                            ui.warn(&format!("{}: {error:#}", about.each));
                            self.notes.push(format!("{} left out once: {error:#}", about.each));
                            runs.push(None);
                        }
                    }
                }
            }
            all.push((about, runs));
        }
        Ok(if counted { costs(&all) } else { rates(&all) })
    }
}

/// What each costs.
fn costs(all: &[(&About, Runs)]) -> Vec<Row> {
    let mut rows: Vec<Row> = all
        .iter()
        .map(|(about, runs)| {
            let [xenith, linux] = runs.each_ref().map(|runs| sample(runs, |run| run.cost));
            let what = format!("instructions a {}", about.each);
            Row { what, unit: "", better: Better::Less, xenith, linux, aim: about.aim }
        })
        .collect();
    let of = |wanted: &About| all.iter().find(|(about, _)| about.each == wanted.each);
    if let (Some((_, kept)), Some((_, plain))) = (of(&KEEP), of(&PLAIN)) {
        let times = |side: usize| {
            let rounds = kept[side].iter().zip(&plain[side]);
            let pairs = rounds.filter_map(|(kept, plain)| Some((kept.as_ref()?, plain.as_ref()?)));
            Sample::of(pairs.map(|(kept, plain)| kept.cost / plain.cost).collect())
        };
        rows.push(Row {
            what: format!("a {}, in ones without TLS", KEEP.each),
            unit: "x",
            better: Better::Less,
            xenith: times(0),
            linux: times(1),
            aim: Some(Aim::Figure(KEPT)),
        });
    }
    rows.retain(Row::has_figures);
    rows
}

/// How many there are a second.
fn rates(all: &[(&About, Runs)]) -> Vec<Row> {
    let rows = all.iter().filter_map(|(about, runs)| {
        let [xenith, linux] = runs.each_ref().map(|runs| sample(runs, |run| run.rate));
        let aim = Some(Aim::Ratio(1.0));
        Some(Row {
            what: about.rate?.into(),
            unit: "1/s",
            better: Better::More,
            xenith,
            linux,
            aim,
        })
    });
    rows.filter(Row::has_figures).collect()
}

fn sample(runs: &[Option<Run>], of: fn(&Run) -> f64) -> Option<Sample> {
    Sample::of(runs.iter().flatten().map(of).collect())
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
///
/// # Errors
/// As [`run`].
pub(super) fn measure(project: &Project, args: &Args, hosts: &mut Hosts<'_>) -> Result<Comparison> {
    let ui = hosts.ui;
    let images = build::images(project, &project.choose(&APPS.map(str::to_owned))?, ui)?;
    let [https, site] = &images[..] else { bail!("{APPS:?} were not built") };
    let prepare = || Linux::prepare(&boot::cache(project), Purpose::Net, ui);
    let linux = (!args.alone).then(prepare).transpose()?;
    let effort = match (args.report.brief, args.report.quick) {
        (true, _) => BRIEF,
        (_, true) => QUICK,
        _ => FULL,
    };
    let mut field = Field {
        images: [https, site],
        linux: linux.as_ref(),
        effort,
        report: &args.report,
        notes: Vec::new(),
        ui,
    };
    let mut options = boot::options(project)?;
    options.network = true;
    options.cpu_times = true;
    let mut rows = Vec::new();
    if !args.report.counted {
        rows.extend(hosts.with(&options, |host| field.measure(host, false))?);
    }
    options.icount = true;
    rows.extend(hosts.with(&options, |host| field.measure(host, true))?);
    Ok(Comparison {
        title: "Xenith and Linux as guests on one Xen host: TLS",
        about: "https and nginx with OpenSSL, TLS 1.3; one vCPU each; QEMU without KVM".into(),
        rows,
        counters: Vec::new(),
        notes: field.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(cost: f64) -> Option<Run> {
        Some(Run { rate: 1e6 / cost, cost })
    }

    fn runs(costs: [f64; 2]) -> Runs {
        costs.map(|cost| vec![one(cost)])
    }

    #[test]
    fn a_round_that_failed_is_left_out_of_what_is_held_against_each_other() {
        let kept = [vec![None, one(60.0), one(90.0)], vec![]];
        let plain = [vec![one(1.0), one(40.0), one(60.0)], vec![]];
        let rows = costs(&[(&KEEP, kept), (&PLAIN, plain)]);
        let [kept, plain, times] = &rows[..] else { panic!("{} rows", rows.len()) };
        let median = |row: &Row| row.xenith.as_ref().map(|it| it.median);
        assert_eq!([kept, plain, times].map(median), [75.0, 40.0, 1.5].map(Some));
        assert!(times.linux.is_none());
    }

    #[test]
    fn requests_by_tls_are_held_against_those_without() {
        let all = [(&KEEP, runs([54.0, 80.0])), (&PLAIN, runs([40.0, 50.0]))];
        let rows = costs(&all);
        let times = rows.last().expect("a row");
        assert_eq!(times.unit, "x");
        let median = |sample: &Option<Sample>| sample.as_ref().map(|it| it.median);
        assert_eq!((median(&times.xenith), median(&times.linux)), (Some(1.35), Some(1.6)));
        assert_eq!(costs(&all[..1]).len(), 1);
        assert_eq!(rates(&all).len(), 1);
    }
}
