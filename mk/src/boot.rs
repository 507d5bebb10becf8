//! Boots the lab for a command: its folders, and its progress on the screen.

use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result};
use lab::{Host, Options, Progress};
use std::fs;
use std::path::{Path, PathBuf};

impl Progress for Ui {
    fn step(&self, what: &str) {
        Self::step(self, what);
    }

    fn bytes(&self, done: u64, total: u64) {
        Self::bytes(self, done, total);
    }

    fn note(&self, line: &str) {
        Self::note(self, line);
    }
}

/// Where the lab keeps what it made: with Xenith itself, so that apps in
/// repositories of their own share it, unless cargo was told of another place. A Xenith of
/// a registry or of git is no place to write to, so that is a folder of the user's then.
pub(crate) fn cache(project: &Project) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(_) => project.out.join("lab"),
        None if project.from_folder => project.xenith.join("target/xenith/lab"),
        None => caches().map_or_else(|| project.out.join("lab"), |it| it.join("xenith/lab")),
    }
}

/// The user's folder for what can be made again.
fn caches() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))
}

/// The usual options for a host of this command.
///
/// # Errors
/// When the folder for its run cannot be made.
pub(crate) fn options(project: &Project) -> Result<Options> {
    Ok(Options::new(cache(project), run_folder(project)?))
}

/// Where the folders of runs are.
pub(crate) fn runs(project: &Project) -> PathBuf {
    project.out.join("run")
}

/// The folder of this run, which no other one uses.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn run_folder(project: &Project) -> Result<PathBuf> {
    let runs = runs(project);
    forget_old_runs(&runs);
    let run = runs.join(std::process::id().to_string());
    fs::create_dir_all(&run).with_context(|| format!("cannot make {}", run.display()))?;
    Ok(run)
}

/// Whether the process whose run has this folder is still there.
pub(crate) fn is_alive(run: &Path) -> bool {
    run.file_name().is_some_and(|process| Path::new("/proc").join(process).exists())
}

/// Boots a host, with or without a network for guests.
///
/// # Errors
/// When it does not come up; its console is then in the run's folder.
pub(crate) fn host(project: &Project, network: bool, ui: &Ui) -> Result<Host> {
    let host = Host::boot(&Options { network, ..options(project)? }, ui)?;
    ui.done();
    Ok(host)
}

/// Removes the folders of runs whose process is gone. They stay that long so
/// that a failed run's logs can be read.
fn forget_old_runs(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        if !is_alive(&entry.path()) {
            // Another process may do the same.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
