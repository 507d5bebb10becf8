//! The instrumented build. The flags are those that cargo-fuzz passes to a nightly
//! compiler; the pinned stable one takes them as well when it is told to.

use crate::project::cargo;
use crate::ui::Ui;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Coverage of edges and comparisons, for libFuzzer to follow.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// What was built.
pub(super) struct Built {
    folder: PathBuf,
    /// Whether accesses to memory are checked.
    pub(super) sanitizer: bool,
}

impl Built {
    /// The program of a target.
    pub(super) fn program(&self, target: &str) -> PathBuf {
        self.folder.join(target)
    }
}

/// Looks for the compiler that builds libFuzzer itself.
///
/// # Errors
/// With what is missing and what to do.
pub(super) fn compiler() -> Result<(), String> {
    let name = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let found = Command::new(&name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if found {
        return Ok(());
    }
    Err(format!("there is no C++ compiler ({name}) to build libFuzzer with: apt-get install g++"))
}

/// Builds `targets` of the workspace in `folder` into `out`.
///
/// # Errors
/// When that fails, with what cargo says.
pub(super) fn build(folder: &Path, out: &Path, targets: &[String], ui: &Ui) -> Result<Built> {
    let (host, sysroot) = rustc()?;
    let runtime = format!("lib/rustlib/{host}/lib/librustc-stable_rt.asan.a");
    let sanitizer = Path::new(&sysroot).join(runtime).exists();
    let mut flags = FLAGS.to_vec();
    flags.extend(sanitizer.then_some("-Zsanitizer=address"));
    let mut command = Command::new(cargo());
    command.args(["build", "--quiet", "--release", "--target", &host]);
    command.arg("--manifest-path").arg(folder.join("Cargo.toml"));
    command.arg("--target-dir").arg(out);
    command.args(targets.iter().flat_map(|target| ["--bin", target]));
    command.env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTFLAGS");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    ui.command(&command);
    let output = command.stdin(Stdio::null()).output().context("cannot run cargo")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{}\n{}", crate::ui::shown(&command), text.trim_end());
    }
    Ok(Built { folder: out.join(host).join("release"), sanitizer })
}

/// The target that is this machine, and the compiler's folder.
fn rustc() -> Result<(String, String)> {
    let ask = |arguments: &[&str]| {
        let output = Command::new("rustc").args(arguments).output().context("cannot run rustc")?;
        anyhow::Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let version = ask(&["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not say what it builds for")?.to_owned();
    Ok((host, ask(&["--print", "sysroot"])?.trim_end().to_owned()))
}
