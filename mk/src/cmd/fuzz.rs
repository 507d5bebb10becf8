//! `cargo mk fuzz`: feeds the parts that face a peer with what libFuzzer makes up.
//!
//! * [`build`]: the instrumented build, by the pinned stable compiler
//! * [`output`]: what libFuzzer prints, and what of it matters

mod build;
mod output;

use crate::project::Project;
use crate::ui::{Ui, bytes, out};
use anyhow::{Context, Result, bail, ensure};
use build::Built;
use console::style;
use output::Progress;
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Fuzzes drivers, the IP stack and servers with libFuzzer
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk fuzz\n  cargo mk fuzz netfront --seconds 600 --keep\n  \
cargo mk fuzz http --input target/fuzz/crashes/http/crash-0123\n\nTargets are the files in \
tests/fuzz/src/bin. Inputs that reach new code go to target/fuzz/corpus; those that are kept \
stand in tests/fuzz/corpus."
)]
pub(crate) struct Args {
    /// Targets; all if none is named
    targets: Vec<String>,
    /// How long each of them runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Keeps the smallest set of inputs that reach as much as all that were found
    #[arg(long, conflicts_with = "input")]
    keep: bool,
    /// Runs this input alone, to see a crash again
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// Where the targets stand.
const FOLDER: &str = "tests/fuzz";

/// Where in that folder.
const SOURCES: &str = "src/bin";

/// MiB that a target may use; more is a leak.
const MEMORY: u32 = 1024;

/// Seconds that one input may take; more is a hang.
const PATIENCE: u32 = 25;

/// Between two lines about how far it is.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// When the targets cannot be built or run; a crash is a status.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    let fuzz = Fuzz::find(&project)?;
    let targets = fuzz.choose(&args.targets)?;
    build::compiler().map_err(|why| anyhow::anyhow!(why))?;
    ui.step("building the targets");
    let built = build::build(&fuzz.folder, &fuzz.out, &targets, ui)?;
    ui.done();
    if !built.sanitizer {
        ui.warn("this toolchain has no AddressSanitizer: only panics and hangs are found");
    }
    if let Some(input) = &args.input {
        let [target] = &targets[..] else {
            bail!("which target is the input for? Name it before --input")
        };
        return fuzz.again(&built, target, input, ui);
    }
    let mut crashed = 0;
    for target in &targets {
        match fuzz.target(&built, target, args.seconds, ui)? {
            Outcome::Well(progress) => {
                out(&format!("{} {target:10} {progress}\n", style("ok   ").green()));
                if args.keep {
                    fuzz.keep(&built, target, ui)?;
                }
            }
            Outcome::Crash(report) => {
                crashed += 1;
                out(&format!("{} {target:10} {report}\n", style("CRASH").red()));
            }
        }
    }
    Ok(u8::from(crashed > 0))
}

/// The targets and their places.
struct Fuzz {
    /// The workspace that they stand in.
    folder: PathBuf,
    targets: Vec<String>,
    /// The corpora that are kept.
    kept: PathBuf,
    /// Everything that is not.
    out: PathBuf,
}

/// How a run ended.
enum Outcome {
    Well(Progress),
    /// What it said, where its input is, and how to see it again.
    Crash(String),
}

impl Fuzz {
    fn find(project: &Project) -> Result<Self> {
        let folder = project.root.join(FOLDER);
        ensure!(project.is_xenith() && folder.is_dir(), "there are no fuzz targets here");
        let targets = targets(&folder)?;
        let out = project.metadata.target_directory.join("fuzz").into();
        Ok(Self { targets, kept: folder.join("corpus"), folder, out })
    }

    fn choose(&self, names: &[String]) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(self.targets.clone());
        }
        for name in names {
            let list = self.targets.join(" ");
            ensure!(self.targets.contains(name), "there is no fuzz target {name}\ntargets: {list}");
        }
        Ok(names.to_vec())
    }

    /// A folder of `target`, which is there from then on.
    fn folder(&self, kind: &str, target: &str) -> Result<PathBuf> {
        let folder = self.out.join(kind).join(target);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// A command that runs `target`, without inputs.
    fn command(&self, built: &Built, target: &str) -> Result<Command> {
        let mut command = Command::new(built.program(target));
        let crashes = self.folder("crashes", target)?;
        command.arg(format!("-artifact_prefix={}/", crashes.display()));
        command.args([format!("-rss_limit_mb={MEMORY}"), format!("-timeout={PATIENCE}")]);
        // Simulated domains live as long as their thread.
        command.args(["-detect_leaks=0", "-len_control=10", "-max_len=2000"]);
        command.env("ASAN_OPTIONS", "detect_leaks=0:quarantine_size_mb=32");
        command.env("RUST_BACKTRACE", "1").stdin(Stdio::null());
        Ok(command)
    }

    /// Runs `target` with its corpora for a while.
    fn target(&self, built: &Built, target: &str, seconds: u64, ui: &Ui) -> Result<Outcome> {
        let mut command = self.command(built, target)?;
        command.arg(format!("-max_total_time={seconds}"));
        command.arg(self.folder("corpus", target)?);
        let kept = self.kept.join(target);
        command.args(kept.is_dir().then_some(kept));
        let mut begun = Instant::now();
        let (well, progress, said) = run_and_look(command, ui, |progress| {
            if begun.elapsed() >= PAUSE {
                begun = Instant::now();
                ui.note(&format!("{target:10} {progress}"));
            }
        })?;
        if well {
            return Ok(Outcome::Well(progress));
        }
        Ok(Outcome::Crash(output::report(target, &said)))
    }

    /// Runs one input.
    fn again(&self, built: &Built, target: &str, input: &Path, ui: &Ui) -> Result<u8> {
        ensure!(input.is_file(), "there is no file {}", input.display());
        let mut command = self.command(built, target)?;
        ui.command(command.arg(input));
        let status = command.status().context("cannot run the target")?;
        Ok(u8::from(!status.success()))
    }

    /// Makes the kept corpus of `target` the smallest that reaches as much as all inputs.
    fn keep(&self, built: &Built, target: &str, ui: &Ui) -> Result<()> {
        ui.step(&format!("{target}: choosing what to keep"));
        let (kept, merged) = (self.kept.join(target), self.folder("merged", target)?);
        clear(&merged)?;
        fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
        let mut command = self.command(built, target)?;
        // By code reached, not by how often: a corpus is for those who come later.
        command.args(["-set_cover_merge=1", "-use_counters=0"]).arg(&merged);
        command.args([&kept, &self.folder("corpus", target)?]);
        let (well, _, said) = run_and_look(command, ui, |_| {})?;
        ui.done();
        ensure!(well, "{target}: {}", output::report(target, &said));
        let (count, size) = replace(&kept, &merged)?;
        out(&format!("kept  {target:10} {count} inputs, {} bytes\n", bytes(size)));
        Ok(())
    }
}

/// The files in a folder. Folders in it are nobody's inputs here.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let what = || folder.display().to_string();
    let entries: Vec<_> = fs::read_dir(folder).and_then(Iterator::collect).with_context(what)?;
    let is_file = |it: &fs::DirEntry| it.file_type().is_ok_and(|it| it.is_file());
    Ok(entries.iter().filter(|it| is_file(it)).map(fs::DirEntry::path).collect())
}

/// Removes the files in a folder.
fn clear(folder: &Path) -> Result<()> {
    for path in files(folder)? {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Whether libFuzzer gave an input its name, which is the SHA-1 of what is in it. Those that people put
/// there have others.
fn is_found(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 40 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether it is what a process that was killed had written of an input, by the name that it has then.
fn is_left_over(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == PART) && is_found(&path.with_extension(""))
}

/// Behind the name of an input that is being written.
const PART: &str = "part";

/// Makes what libFuzzer has found of the inputs in `kept` that which is in `merged`, unless somebody put the
/// same there, which stays. Nothing is removed before all is there: how many that are, and their bytes.
fn replace(kept: &Path, merged: &Path) -> Result<(usize, u64)> {
    let load = |path: &PathBuf| fs::read(path).with_context(|| path.display().to_string());
    for path in files(kept)?.iter().filter(|path| is_left_over(path)) {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let (found, given): (Vec<_>, Vec<_>) = files(kept)?.into_iter().partition(|it| is_found(it));
    let given = given.iter().map(load).collect::<Result<HashSet<_>>>()?;
    let mut wanted = HashSet::new();
    for path in files(merged)? {
        let input = load(&path)?;
        if given.contains(&input) {
            continue;
        }
        let to = kept.join(path.file_name().context("an input has no name")?);
        // One that is half there has the name of another one.
        if fs::read(&to).ok().as_ref() != Some(&input) {
            let part = to.with_extension(PART);
            fs::write(&part, &input)
                .and_then(|()| fs::rename(&part, &to))
                .inspect_err(|_| drop(fs::remove_file(&part)))
                .with_context(|| format!("cannot write {}", to.display()))?;
        }
        wanted.insert(to);
    }
    for path in found.iter().filter(|path| !wanted.contains(*path)) {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let sizes = files(kept)?
        .iter()
        .map(|path| Ok(fs::metadata(path)?.len()))
        .collect::<Result<Vec<_>>>()?;
    Ok((sizes.len(), sizes.iter().sum()))
}

/// The names of the targets: cargo makes each file there a binary.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join(SOURCES);
    let files = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let paths = files.flatten().map(|file| file.path());
    let sources = paths.filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let mut names: Vec<_> =
        sources.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Runs a target: whether all went well, how far it came, and what it said besides.
fn run_and_look(
    mut command: Command,
    ui: &Ui,
    mut each: impl FnMut(&Progress),
) -> Result<(bool, Progress, Vec<String>)> {
    ui.command(&command);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let (mut progress, mut said) = (Progress::default(), Vec::new());
    let mut lines = BufReader::new(child.stderr.take().context("no output")?).split(b'\n');
    while let Some(Ok(line)) = lines.next() {
        let line = String::from_utf8_lossy(&line).into_owned();
        if progress.take(&line) {
            each(&progress);
        } else {
            said.push(line);
        }
    }
    let status = child.wait().context("cannot wait for the target")?;
    Ok((status.success(), progress, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_before_anything_is_removed() {
        let work = tempfile::tempdir().unwrap();
        let [kept, merged] = ["kept", "merged"].map(|name| work.path().join(name));
        let [old, new, both] = ["0", "a", "f"].map(|digit| digit.repeat(40));
        let put = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (name, text) in [
            (&*old, "old"),
            (&both, "both"),
            ("smuggled", "by a person"),
            ("crash-0123", "a crash"),
            ("folder/0", "in a folder"),
        ] {
            put(kept.join(name), text);
        }
        let seed = "1".repeat(40);
        for (name, text) in
            [(&*new, "new"), (&both, "both"), (&seed, "by a person"), ("folder/1", "")]
        {
            put(merged.join(name), text);
        }
        // What killed processes left: one of the new input, and one of another.
        for name in [&new, &old] {
            put(kept.join(format!("{name}.part")), "ne");
        }
        put(kept.join("by-hand.part"), "a seed");
        // What cannot be written in place of the new one: all stays.
        fs::create_dir(kept.join(&new)).unwrap();
        replace(&kept, &merged).unwrap_err();
        assert!(kept.join(&old).exists() && kept.join("crash-0123").exists());
        fs::remove_dir(kept.join(&new)).unwrap();
        let text =
            "new".len() + "both".len() + "by a person".len() + "a crash".len() + "a seed".len();
        assert_eq!(replace(&kept, &merged).unwrap(), (5, text as u64));
        let mut names: Vec<_> =
            fs::read_dir(&kept).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [&*new, "by-hand.part", "crash-0123", &both, "folder", "smuggled"]);
        clear(&merged).unwrap();
        assert_eq!(fs::read_dir(&merged).unwrap().count(), 1);
    }

    #[test]
    fn every_target_has_a_kept_corpus() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FOLDER);
        let targets = targets(&folder).unwrap();
        assert!(targets.contains(&"netfront".to_owned()), "{targets:?}");
        for target in targets {
            let kept = fs::read_dir(folder.join("corpus").join(&target));
            assert!(kept.is_ok_and(|mut it| it.next().is_some()), "{target} has no kept corpus");
        }
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("[[bin]]"), "a target is a file in {SOURCES} alone");
    }
}
