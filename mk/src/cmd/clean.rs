//! `cargo mk clean`: removes what `cargo mk` made.

use crate::project::Project;
use crate::ui::Ui;
use crate::{boot, disk};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Removes images and the logs of runs
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk clean --lab\n\nDisks that `--disk NAME=SIZE` made stay, and those \
of domains that --on xl made, unless --disks\nis given, and so does what belongs to a run that has not ended. What cargo itself built goes with `cargo \
clean`."
)]
pub(crate) struct Args {
    /// Removes Xen, dom0 and their packages too, which are then fetched again
    #[arg(long)]
    lab: bool,
    /// Removes the disks too that `--disk NAME=SIZE` made, with what is on them, and those of domains that
    /// --on xl made
    #[arg(long)]
    disks: bool,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be removed.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    let lab = boot::cache(&project);
    let used: Vec<_> = entries(&boot::runs(&project))?;
    let used = used.into_iter().filter(|run| boot::is_alive(run));
    let mut stay: Vec<_> = used.chain([lab.clone()]).collect();
    for path in entries(&disk::kept(&project))? {
        let Some(why) = kept(&path, args.disks) else { continue };
        if !why.is_empty() {
            ui.note(&format!("{} stays: {why}", path.display()));
        }
        stay.push(path);
    }
    clear(&project.out, &stay)?;
    if args.lab {
        // Who is about to fetch it has this lock, and who waits for that one has the file open.
        let path = lab.join("lock");
        let lock = File::open(&path);
        if let Ok(lock) = &lock {
            let free = !matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
            ensure!(free, "another `cargo mk` is preparing Xen and dom0: wait until it is done");
        }
        clear(&lab, &[path])?;
    }
    Ok(0)
}

/// Why a file among the disks stays, where it does: as disks do for which nobody asks, or because a
/// run has it.
fn kept(path: &Path, disks: bool) -> Option<&'static str> {
    // In a folder are those of domains of this Xen host.
    let is_disk = path.is_dir() || path.extension().is_some_and(|it| it == "img");
    if is_disk && !disks {
        return Some("");
    }
    let file = File::open(path).ok()?;
    let used = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    used.then_some("a run uses it")
}

/// Removes what is in a folder, but for what shall stay.
fn clear(folder: &Path, stay: &[PathBuf]) -> Result<()> {
    for path in entries(folder)? {
        if stay.contains(&path) {
            continue;
        }
        match stay.iter().any(|it| it.starts_with(&path)) {
            true => clear(&path, stay)?,
            false => remove(&path)?,
        }
    }
    Ok(())
}

/// What is in a folder, if there is one.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| Ok(entry.context("cannot list what is there")?.path())).collect()
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("cannot remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_stay_that_nobody_asked_for_or_that_a_run_uses() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, archive) = (folder.path().join("a.img"), folder.path().join("a.tar"));
        let file = File::create(&disk).unwrap();
        fs::write(&archive, "").unwrap();
        assert_eq!(kept(folder.path(), false), Some(""));
        assert_eq!(kept(folder.path(), true), None);
        assert_eq!(kept(&disk, false), Some(""));
        assert_eq!(kept(&archive, false), None);
        assert_eq!(kept(&disk, true), None);
        file.try_lock().unwrap();
        assert_eq!(kept(&disk, true), Some("a run uses it"));
    }

    #[test]
    fn what_shall_stay_stays() {
        let work = tempfile::tempdir().unwrap();
        let out = work.path();
        for path in
            ["disks/a.img", "disks/a.tar", "hello/hello", "lab/xen", "run/1/log", "run/2/log"]
        {
            let path = out.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        clear(out, &["disks/a.img", "lab", "run/2"].map(|it| out.join(it))).unwrap();
        for (path, stays) in [
            ("disks/a.img", true),
            ("disks/a.tar", false),
            ("hello", false),
            ("lab/xen", true),
            ("run/1", false),
            ("run/2/log", true),
        ] {
            assert_eq!(out.join(path).exists(), stays, "{path}");
        }
        clear(&out.join("none"), &[]).unwrap();
    }
}
