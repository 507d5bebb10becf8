//! `cargo mk bench brief`: every bench command once, so that none rots unseen.
//!
//! All of them share one host in real time and one where instructions are counted, and a
//! row that has no figure of ours, or a note that something was left out, is an error.
//! Left out are what is long by itself: 10 000 connections (`bench net`), the loads of
//! `bench net` and most ways of `bench block` where instructions are counted, more than
//! 64 MiB of memory (`bench machine`), the least memory of most apps (`bench boot`), and all
//! but one of each kind of `bench loss`, which is left out where it has no rights.

use super::hosts::Hosts;
use super::versus::Comparison;
use super::{block, crypto, faults, http, linux, loss, machine, net, starts, suspend, tls};
use crate::boot;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use lab::Options;
use std::fs;
use std::time::Instant;

/// Apps whose least memory is looked for: one that needs nothing, one that needs a disk, and
/// one that needs an argument.
const APPS: [&str; 3] = ["hello", "blkbench", "dns"];

/// Runs every bench command, and says how long each took.
///
/// # Errors
/// The first one that fails.
pub(super) fn brief(project: &Project, ui: &Ui) -> Result<String> {
    let options = boot::options(project)?;
    let of = |folder: &str, icount| {
        let run = options.run.join(folder);
        fs::create_dir_all(&run).with_context(|| format!("cannot make {}", run.display()))?;
        let (disks, network, cpu_times) = (block::disks(&run)?, true, true);
        Ok(Options { run, icount, disks, network, cpu_times, ..options.clone() })
    };
    let options: Result<_> = of("timed", false).and_then(|one| Ok([one, of("counted", true)?]));
    let options = options?;
    let disks = [options[0].disks.clone(), options[1].disks.clone()].concat();
    let mut hosts = Hosts::shared(options, ui);
    let mut took = Vec::new();
    let mut step = |what: &str, measure: &mut dyn FnMut(&mut Hosts<'_>) -> Result<()>| {
        let begun = Instant::now();
        measure(&mut hosts).with_context(|| format!("cargo mk bench {what}"))?;
        took.push(format!("{what} {:.0} s", begun.elapsed().as_secs_f64()));
        anyhow::Ok(())
    };
    step("boot", &mut |hosts| {
        let wanted = |name: &str| APPS.contains(&name);
        let boot = starts::boot(project, wanted, 1, hosts)?;
        ensure!(boot.images.len() > APPS.len(), "an app of {APPS:?} is missing");
        ensure!(!starts::shown(&boot).is_empty());
        Ok(())
    })?;
    step("machine", &mut |hosts| machine::brief(project, hosts))?;
    step("crypto", &mut |hosts| crypto::brief(project, hosts))?;
    step("suspend", &mut |hosts| suspend::brief(project, hosts))?;
    step("linux", &mut |hosts| whole(&linux::measure(project, &linux::Args::brief(), hosts)?))?;
    step("linux --servers", &mut |hosts| {
        whole(&linux::measure(project, &linux::Args::brief_servers(), hosts)?)
    })?;
    step("net", &mut |hosts| whole(&net::measure(project, &net::Args::brief(), hosts)?))?;
    step("tls", &mut |hosts| whole(&tls::measure(project, &tls::Args::brief(), hosts)?))?;
    step("block", &mut |hosts| whole(&block::measure(project, &block::Args::brief(), hosts)?))?;
    step("faults", &mut |hosts| {
        let (text, good) = faults::measure(project, &faults::Args::brief(), hosts)?;
        ensure!(good, "{text}");
        Ok(())
    })?;
    hosts.shutdown()?;
    let begun = Instant::now();
    http::brief(project, ui).context("cargo mk bench http")?;
    took.push(format!("http {:.0} s", begun.elapsed().as_secs_f64()));
    let begun = Instant::now();
    match loss::brief(project, ui).context("cargo mk bench loss")? {
        Ok(comparison) => {
            whole(&comparison).context("cargo mk bench loss")?;
            took.push(format!("loss {:.0} s", begun.elapsed().as_secs_f64()));
        }
        Err(why) => took.push(format!("loss left out: {why}")),
    }
    block::remove(&disks)?;
    Ok(took.join(", "))
}

/// Makes sure that nothing was left out, and that it can be shown in every way.
fn whole(comparison: &Comparison) -> Result<()> {
    ensure!(comparison.notes.is_empty(), "{}", comparison.notes.join("; "));
    ensure!(!comparison.rows.is_empty(), "nothing was measured");
    for row in &comparison.rows {
        ensure!(row.xenith.is_some(), "there is no figure of ours: {}", row.what);
    }
    comparison.render().map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::versus::tests::row;
    use super::super::versus::{Better, Row};
    use super::*;

    #[test]
    fn what_was_left_out_is_an_error() {
        let good = Comparison {
            title: "x",
            about: String::new(),
            rows: vec![row(Better::More, 1.0, 2.0)],
            counters: Vec::new(),
            notes: Vec::new(),
        };
        whole(&good).unwrap();
        let error = |it: Comparison| whole(&it).unwrap_err().to_string();
        assert_eq!(error(Comparison { rows: Vec::new(), ..good.clone() }), "nothing was measured");
        let notes = vec!["ping left out once: x".to_owned()];
        assert_eq!(error(Comparison { notes, ..good.clone() }), "ping left out once: x");
        let rows = vec![Row { xenith: None, ..row(Better::More, 1.0, 2.0) }];
        assert!(error(Comparison { rows, ..good }).contains("no figure of ours: ping"));
    }
}
