//! `cargo mk book`: builds the book in `docs/`.

use crate::project::{Project, cargo};
use crate::ui::{Ui, out, shown};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds the book in docs/
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk book --open\n\nThe first time, mdbook is built below \
target/tools, which takes a minute or two and the network."
)]
pub(crate) struct Args {
    /// Opens it in a browser
    #[arg(long)]
    open: bool,
}

/// The version of mdbook that the book is written for.
const VERSION: &str = "0.5.4";

/// Runs the command.
///
/// # Errors
/// When mdbook cannot be had, or refuses the book.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    let page = build(&project, ui)?;
    ui.done();
    out(&format!("{}\n", page.display()));
    if args.open {
        let status = Command::new("xdg-open").arg(&page).status();
        let status = status.context("cannot run xdg-open: open the page above by hand")?;
        ensure!(status.success(), "xdg-open found no browser: open the page above by hand");
    }
    Ok(0)
}

/// Builds the book and returns its first page.
///
/// # Errors
/// When mdbook cannot be had, refuses the book, or warns of something in it.
pub(crate) fn build(project: &Project, ui: &Ui) -> Result<PathBuf> {
    ensure!(project.is_xenith(), "the book is Xenith's own: call it in Xenith's repository");
    let mdbook = tool(project, ui)?;
    let folder = project.root.join("docs");
    let made = project.metadata.target_directory.join("book");
    let mut command = Command::new(mdbook);
    command.arg("build").arg(&folder).arg("--dest-dir").arg(&made).stdin(Stdio::null());
    ui.command(&command);
    let output = command.output().context("cannot run mdbook")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It goes on where a file to include is missing.
    if !output.status.success() || said.contains("WARN") || said.contains("ERROR") {
        bail!("{}\n{}", shown(&command), said.trim_end());
    }
    let page = made.join("index.html");
    ensure!(page.is_file(), "mdbook made no {page}");
    Ok(page.into())
}

/// Why `cargo mk check` does not build it, if it does not: mdbook takes minutes itself.
pub(crate) fn obstacle(project: &Project) -> Option<String> {
    let missing =
        || format!("there is no mdbook {VERSION}; `cargo mk book` builds it, and the book");
    installed(project).is_none().then(missing)
}

/// mdbook, where this machine has this version of it.
fn installed(project: &Project) -> Option<PathBuf> {
    let own = project.metadata.target_directory.join("tools/bin/mdbook");
    [own.into(), PathBuf::from("mdbook")].into_iter().find(|program| {
        let output = Command::new(program).arg("--version").output();
        let said = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        said.is_ok_and(|said| said.trim_end() == format!("mdbook v{VERSION}"))
    })
}

/// mdbook, built from its package where this machine does not have this version.
fn tool(project: &Project, ui: &Ui) -> Result<PathBuf> {
    if let Some(program) = installed(project) {
        return Ok(program);
    }
    let own = project.metadata.target_directory.join("tools");
    ui.step(&format!("building mdbook {VERSION}, the first time only"));
    let mut command = Command::new(cargo());
    // Without its server and its search; and it need not be fast.
    command.args(["install", "mdbook", "--locked", "--no-default-features", "--debug", "--force"]);
    command.args(["--version", VERSION]).arg("--root").arg(&own);
    command.arg("--target-dir").arg(own.join("build")).stdin(Stdio::null());
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    ui.command(&command);
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut said = Vec::new();
    let lines = BufReader::new(child.stderr.take().context("no output")?).split(b'\n');
    for line in lines.map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        ui.detail(format!("mdbook {VERSION}: {line}"));
        said.push(line);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    let tail = said.split_off(said.len().saturating_sub(12)).join("\n");
    ensure!(status.success(), "{}\n{tail}\n{HOW}", shown(&command));
    // What it was made from is of no use any more.
    let _ = std::fs::remove_dir_all(own.join("build"));
    Ok(own.join("bin/mdbook").into())
}

/// What to do where mdbook could not be built.
const HOW: &str = "mdbook is needed to build the book, and cargo fetches it from the registry: \
try again with a network, or put this version of it on the PATH";
