//! Boots the lab for a command: its folders, and its progress on the screen.

use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, bail};
use lab::{Host, Options, Progress};
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let runs = runs(project);
    if let Some(run) = own.iter().find(|run| run.folder.parent() == Some(&runs)) {
        return Ok(run.folder.clone());
    }
    let run =
        Run::begin(&runs).with_context(|| format!("cannot make a folder in {}", runs.display()))?;
    let folder = run.folder.clone();
    own.push(run);
    Ok(folder)
}

/// The folders of this process.
static OWN: Mutex<Vec<Run>> = Mutex::new(Vec::new());

/// Keeps the folders of this process for the program that it becomes, as long as that runs.
///
/// # Errors
/// When Linux refuses that.
pub(crate) fn pass_on() -> Result<()> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).iter().try_for_each(Run::pass_on)
}

/// The folder of a run, which is locked as long as that has not ended.
struct Run {
    folder: PathBuf,
    lock: File,
}

impl Run {
    /// Makes one, and removes those of runs that have ended. They stay that long so that a failed
    /// run's logs can be read.
    fn begin(runs: &Path) -> Result<Self> {
        // A folder is not locked yet when it is made.
        let _alone = hold(runs)?;
        for entry in fs::read_dir(runs)?.flatten() {
            if !is_alive(&entry.path()) {
                // What is another user's stays, and is in nobody's way.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        // Processes of other containers may have the same number.
        let process = std::process::id();
        let others = (2..).map(|number| format!("{process}-{number}"));
        for name in [process.to_string()].into_iter().chain(others) {
            let folder = runs.join(name);
            // It may hold copies of keys.
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => {
                    made?;
                    let lock = File::open(&folder)?;
                    // A file system without locks has none to heed.
                    let _ = lock.lock();
                    return Ok(Self { folder, lock });
                }
            }
        }
        bail!("there are too many")
    }

    /// Has programs that are started inherit the lock.
    fn pass_on(&self) -> Result<()> {
        Ok(fcntl_setfd(&self.lock, FdFlags::empty())?)
    }
}

/// Keeps runs from beginning in this folder, which is there from then on, as long as what is returned lives.
///
/// # Errors
/// When the folder cannot be made or opened.
pub(crate) fn hold(runs: &Path) -> std::io::Result<File> {
    fs::create_dir_all(runs)?;
    let folder = File::open(runs)?;
    // A file system without locks has none to heed.
    let _ = folder.lock();
    Ok(folder)
}

/// Whether the run that has this folder has not ended, or that cannot be known: it may be another user's.
pub(crate) fn is_alive(run: &Path) -> bool {
    let folder = match File::open(run) {
        Ok(folder) => folder,
        Err(error) => return error.kind() != ErrorKind::NotFound,
    };
    match folder.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        // Where there are no locks, its process may be there.
        Err(TryLockError::Error(_)) => {
            let process = run.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let process = process.split('-').next().unwrap_or_default();
            Path::new("/proc").join(process).exists()
        }
    }
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

/// Waits some seconds until something is so. What another thread forks holds locks and descriptors of all
/// tests, until it has become its program.
#[cfg(test)]
pub(crate) fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    for _ in 0..1000 {
        if is_so() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn folders_of_runs_that_have_ended_are_removed() {
        let work = tempfile::tempdir().unwrap();
        let runs = work.path().join("run");
        let first = Run::begin(&runs).unwrap();
        fs::write(first.folder.join("control"), "").unwrap();
        // One of a process of the same number, as in another container.
        let second = Run::begin(&runs).unwrap();
        assert_ne!(first.folder, second.folder);
        assert!(first.folder.join("control").exists());
        assert!(is_alive(&first.folder) && is_alive(&second.folder));
        let folders = [&first, &second].map(|run| run.folder.clone());
        drop((first, second));
        assert!(soon(|| !folders.iter().any(|it| is_alive(it))));
        let third = Run::begin(&runs).unwrap();
        assert_eq!(fs::read_dir(&runs).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&third.folder).unwrap().count(), 0);
        assert!(!is_alive(&runs.join("none")));
    }

    #[test]
    fn what_cannot_be_removed_is_in_no_run_s_way() {
        let work = tempfile::tempdir().unwrap();
        let runs = work.path().join("run");
        fs::create_dir_all(&runs).unwrap();
        // It is no folder, and the other one cannot be opened, whoever looks.
        fs::write(runs.join("1"), "").unwrap();
        symlink("2", runs.join("2")).unwrap();
        assert!(is_alive(&runs.join("2")));
        let run = Run::begin(&runs).unwrap();
        assert!(run.folder.exists() && runs.join("1").exists());
        assert!(runs.join("2").symlink_metadata().is_ok());
    }

    #[test]
    fn no_run_begins_while_its_folder_is_held() {
        let work = tempfile::tempdir().unwrap();
        let runs = work.path().join("run");
        let held = hold(&runs).unwrap();
        let run = thread::spawn({
            let runs = runs.clone();
            move || Run::begin(&runs).unwrap()
        });
        thread::sleep(Duration::from_millis(100));
        assert_eq!(fs::read_dir(&runs).unwrap().count(), 0);
        drop(held);
        assert!(run.join().unwrap().folder.exists());
    }

    /// Where the other process of the test below makes its folder.
    const RUNS: &str = "XENITH_TEST_RUNS";

    #[test]
    fn the_folder_of_a_run_stays_as_long_as_the_program_that_got_it() {
        if let Some(runs) = std::env::var_os(RUNS) {
            let run = Run::begin(Path::new(&runs)).unwrap();
            run.pass_on().unwrap();
            panic!("{}", Command::new("cat").exec());
        }
        let work = tempfile::tempdir().unwrap();
        let runs = work.path().join("run");
        // In a process of its own: those that other tests start would get the lock as well.
        let name = thread::current().name().unwrap().to_owned();
        let mut program = Command::new(std::env::current_exe().unwrap())
            .args([&name, "--exact", "--nocapture"])
            .env(RUNS, &runs)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let command = format!("/proc/{}/comm", program.id());
        let is_cat = || fs::read_to_string(&command).is_ok_and(|it| it.trim() == "cat");
        assert!(soon(is_cat));
        let folder = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
        assert!(is_alive(&folder));
        drop(program.stdin.take());
        program.wait().unwrap();
        assert!(soon(|| !is_alive(&folder)));
    }
}
