//! Programs in C for tests and measurements, which run on any Linux, and as a guest.

use crate::project::read;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// Compiles a source file for this machine's processor, without shared libraries.
///
/// # Errors
/// When there is no compiler, and what it says of the source.
pub(crate) fn compiled(source: &Path) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("program");
    let mut compiler = Command::new("cc");
    compiler.args(["-static", "-O2", "-Wall", "-Werror", "-pthread", "-o"]);
    compiler.arg(&program).arg(source);
    let output = compiler.output().context(
        "a C compiler is needed, with what links without shared libraries: apt install gcc \
         libc6-dev",
    )?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cc did not make {}:\n{said}", source.display());
    read(&program)
}
