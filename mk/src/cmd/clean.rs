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
    let [runs, disks] = [boot::runs(&project), disk::kept(&project)];
    // Until all is done: a run that begins meanwhile would use what is being removed.
    let _alone = boot::hold(&runs).with_context(|| format!("cannot lock {}", runs.display()))?;
    let used: Vec<_> = entries(&runs)?.into_iter().filter(|run| boot::is_alive(run)).collect();
    clear(&runs, &used)?;
    // With its folder, those that wait would lose each other.
    let mut stay = vec![lab.clone(), runs];
    for (path, why) in kept_in(&disks, args.disks)? {
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

/// The files among the disks that stay, and why. In folders are those of domains of this Xen host.
fn kept_in(folder: &Path, disks: bool) -> Result<Vec<(PathBuf, &'static str)>> {
    let mut kept_ones = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            let below = entries(&path)?.into_iter();
            kept_ones.extend(below.filter_map(|it| kept(&it, true, disks).map(|why| (it, why))));
        } else {
            let is_disk = path.extension().is_some_and(|it| it == "img");
            kept_ones.extend(kept(&path, is_disk, disks).map(|why| (path, why)));
        }
    }
    Ok(kept_ones)
}

/// Why a file stays, where it does: as disks do for which nobody asks, or because a run has it or may have.
fn kept(path: &Path, is_disk: bool, disks: bool) -> Option<&'static str> {
    if is_disk && !disks {
        return Some("");
    }
    match File::open(path).map(|file| file.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => Some("a run uses it"),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Some("it cannot be opened, so that a run of another user may use it")
        }
        _ => None,
    }
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
    use std::os::unix::fs::symlink;

    #[test]
    fn disks_stay_that_nobody_asked_for_or_that_a_run_uses_or_may_use() {
        let work = tempfile::tempdir().unwrap();
        let disks = work.path().join("disks");
        let names = ["a.img", "a.tar", "b.img", "domains/one.tar", "domains/two.tar"];
        let [_, _, free, _, free_one] = names.map(|name| {
            let path = disks.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        });
        let kept = |all| {
            let mut kept = kept_in(&disks, all).unwrap();
            kept.sort();
            kept.into_iter()
                .map(|(path, why)| (path.strip_prefix(&disks).unwrap().display().to_string(), why))
                .collect::<Vec<_>>()
        };
        let expected = |list: &[(&str, &'static str)]| {
            list.iter().map(|&(name, why)| (name.to_owned(), why)).collect::<Vec<_>>()
        };
        let are_disks = [names[0], names[2], names[3], names[4]].map(|name| (name, ""));
        assert_eq!(kept(false), expected(&are_disks));
        // Looking locks a file for a moment, which another thread's child makes a longer one.
        let soon_kept = |list: &[_]| {
            assert!(boot::soon(|| kept(true) == list), "{:?}, not {list:?}", kept(true));
        };
        soon_kept(&[]);
        let used = [names[0], names[3]].map(|name| File::open(disks.join(name)).unwrap());
        assert!(boot::soon(|| used.iter().all(|it| it.try_lock().is_ok())));
        let why = "a run uses it";
        soon_kept(&expected(&[(names[0], why), (names[3], why)]));
        // As one of root's, which no test can make that root runs.
        symlink("c.img", disks.join("c.img")).unwrap();
        let other = "it cannot be opened, so that a run of another user may use it";
        let all = expected(&[(names[0], why), ("c.img", other), (names[3], why)]);
        soon_kept(&all);
        let stay: Vec<_> = all.iter().map(|(name, _)| disks.join(name)).collect();
        clear(work.path(), &stay).unwrap();
        assert!(!free.exists() && !free_one.exists());
        soon_kept(&all);
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
