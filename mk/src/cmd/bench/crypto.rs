//! `cargo mk bench crypto`: what cryptography costs, by the app `crypto`, which says so of itself.
//!
//! On a host that counts instructions a nanosecond is one of them. The guest runs with the
//! instructions that Xen shows, and without AVX; the same program runs as a process in dom0 of that
//! host, optimised for speed.

use super::hosts::{Hosts, LIMIT};
use crate::boot;
use crate::cmd::build::{self, Image};
use crate::ending::{Ending, text};
use crate::project::{Project, cargo, read};
use crate::ui::{Ui, out, table};
use anyhow::{Context, Result, ensure};
use lab::{GuestSpec, Host};
use serde::Serialize;
use std::process::Command;

/// The app.
const APP: &str = "crypto";

/// One thing that it measures.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    name: String,
    /// A byte, or what is done once.
    unit: String,
    instructions: f64,
    /// By what the processor has for it.
    by: String,
    without_avx: f64,
    process: f64,
}

/// Measures and prints.
///
/// # Errors
/// When a host does not come up or a guest does not behave.
pub(super) fn run(json: bool, ui: &Ui) -> Result<u8> {
    let rows = measure(&Project::find()?, 64, &mut Hosts::own(ui))?;
    out(&match json {
        true => format!("{}\n", serde_json::to_string_pretty(&rows)?),
        false => shown(&rows),
    });
    Ok(0)
}

/// Measures with a KiB.
///
/// # Errors
/// As [`run`].
pub(super) fn brief(project: &Project, hosts: &mut Hosts<'_>) -> Result<()> {
    let rows = measure(project, 1, hosts)?;
    ensure!(rows.iter().any(|row| row.unit == "byte") && !shown(&rows).is_empty());
    Ok(())
}

fn measure(project: &Project, kib: u32, hosts: &mut Hosts<'_>) -> Result<Vec<Row>> {
    let ui = hosts.ui;
    let images = build::images(project, &project.choose(&[APP.to_owned()])?, ui)?;
    let image = images.first().context("no image")?;
    ui.step("building crypto for dom0");
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--quiet", "--package", APP, "--bin", APP]);
    command.current_dir(&project.root);
    ui.command(&command);
    let built = command.status().context("cannot run cargo")?;
    ensure!(built.success(), "the build failed; the compiler's errors stand above");
    let process = read(project.metadata.target_directory.join("release").join(APP).as_std_path())?;

    let mut options = boot::options(project)?;
    options.icount = true;
    hosts.with(&options, |host| {
        ui.step("counting instructions in guests");
        let guest = lines(&guest(host, image, &format!("kib={kib}"))?);
        let plain = lines(&self::guest(host, image, &format!("kib={kib} avx=off"))?);
        ui.step("counting instructions in dom0");
        host.upload(&process, "/bench/crypto")?;
        let script = format!("chmod +x /bench/crypto && /bench/crypto kib={kib}; rm -r /bench");
        let said = host.shell_within(&script, LIMIT)?.success()?;
        let process = lines(&String::from_utf8_lossy(&said.stdout));
        ensure!(!guest.is_empty(), "the guest did not say what it measured");
        let found = guest.into_iter().map(|line| {
            let same = |lines: &[Line]| {
                let found = lines.iter().find(|other| other.name == line.name);
                found.map(|other| other.cost).with_context(|| format!("no figure of {}", line.name))
            };
            Ok(Row {
                without_avx: same(&plain)?,
                process: same(&process)?,
                name: line.name,
                unit: line.unit,
                instructions: line.cost,
                by: line.by,
            })
        });
        found.collect()
    })
}

/// Runs the guest to its end, and gives its console.
fn guest(host: &Host, image: &Image, args: &str) -> Result<String> {
    let overrides = vec![format!("extra=\"{args}\"")];
    let spec = GuestSpec { overrides, ..GuestSpec::new(image.config()) };
    let mut domain = host.create(&spec)?;
    let end = domain.wait(LIMIT, &mut |_| ())?.context("crypto did not end in time")?;
    let console = text(&end.console);
    let ending = Ending::of(&end);
    ensure!(ending == Ending::Poweroff, "crypto {}:\n{console}", ending.shown());
    Ok(console)
}

/// What the app says of one thing.
#[derive(Debug, PartialEq)]
struct Line {
    name: String,
    cost: f64,
    unit: String,
    by: String,
}

/// Reads lines such as `AES-128-GCM   5 vectors   4.60 ns a byte   AES-NI, PCLMULQDQ`.
fn lines(console: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (name, rest) = line.split_at_checked(20)?;
        let (_, rest) = rest.split_once(" vectors ")?;
        let (cost, rest) = rest.trim_start().split_once(" ns a ")?;
        let (unit, by) = rest.split_once(' ')?;
        Some(Line {
            name: name.trim_end().to_owned(),
            cost: cost.parse().ok()?,
            unit: unit.to_owned(),
            by: by.trim().to_owned(),
        })
    };
    console.lines().filter_map(line).collect()
}

fn shown(rows: &[Row]) -> String {
    let head = ["", "a", "guest", "avx=off", "process", "by"];
    let mut lines = vec![head.map(str::to_owned)];
    let figure = |unit: &str, value: f64| match unit {
        "byte" => format!("{value:.2}"),
        _ => format!("{:.0} k", value / 1000.0),
    };
    for row in rows {
        lines.push([
            row.name.clone(),
            row.unit.clone(),
            figure(&row.unit, row.instructions),
            figure(&row.unit, row.without_avx),
            figure(&row.unit, row.process),
            row.by.clone(),
        ]);
    }
    let what =
        "Instructions. process: the same program in dom0 of the same host, optimised for speed.\n";
    format!("{}{what}", table(&lines, &[2, 3, 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_app_are_read() {
        let said = "crypto: the processor has aes no-avx\n\
                    ChaCha20-Poly1305     6 vectors        14.43 ns a byte       AVX2\n\
                    ECDSA P-256, verify  12 vectors  1180000.00 ns a signature  portable code\n\
                    SHA-256              WRONG: FIPS 180-4  1.00 ns a byte  x\n";
        let line = |name: &str, cost, unit: &str, by: &str| Line {
            name: name.into(),
            cost,
            unit: unit.into(),
            by: by.into(),
        };
        let expected = [
            line("ChaCha20-Poly1305", 14.43, "byte", "AVX2"),
            line("ECDSA P-256, verify", 1_180_000.0, "signature", "portable code"),
        ];
        assert_eq!(lines(said), expected);
    }
}
