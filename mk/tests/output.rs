//! What a command does whose standard output cannot be written.

use std::fs::{self, File};
use std::io::pipe;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Says what is in an archive.
fn list(name: &str, to: impl Into<Stdio>) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let archive = folder.with_extension("tar");
    let _ = fs::remove_file(&archive);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "text").unwrap();
    let disk = |words: &[&Path], to: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-xenith"));
        command.arg("disk").args(words).stdout(to).output().unwrap()
    };
    let made = disk(&[&archive, &folder], Stdio::null());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    disk(&[&archive], to.into())
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let output = list("full", File::options().write(true).open("/dev/full").unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(
        errors.matches("error: cannot write standard output: No space left").count(),
        1,
        "{errors}"
    );
}

#[test]
fn a_result_that_nobody_reads_is_none() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output = list("closed", writer);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("standard output"), "{errors}");
}
