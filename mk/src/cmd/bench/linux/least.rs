//! `cargo mk bench linux --memory`: the least memory in which programs run.

use super::super::versus::{Aim, Better, Report, Row, Sample};
use super::guest;
use super::servers::{self, ASK_NGINX, ASK_REDIS, xenith};
use crate::boot;
use crate::cmd::build::Image;
use crate::program::compiled;
use crate::project::{Project, read};
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use lab::Host;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What runs.
enum Program {
    /// A program that ends by itself, of a language.
    Ends(Language),
    /// A server: its command, and what asks it.
    Serves(&'static str, &'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    C,
    Go,
}

/// What it is, what runs, and the most that it may need, in MiB.
const ALL: [(&str, Program, f64); 4] = [
    ("least memory of a static program in C", Program::Ends(Language::C), 5.0),
    ("least memory of a static program in Go", Program::Ends(Language::Go), 10.0),
    ("least memory of redis", Program::Serves("sh /serve redis", ASK_REDIS), 12.0),
    ("least memory of nginx", Program::Serves("sh /serve nginx", ASK_NGINX), 10.0),
];
/// Time for a program to end or to answer, and between two questions.
const START: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(500);
/// Amounts of memory that are tried, in MiB.
const MEMORIES: std::ops::RangeInclusive<u64> = 2..=24;
const IN_C: &str = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n";
const IN_GO: &str = "package main\nimport \"fmt\"\nfunc main() { fmt.Println(\"hello\") }\n";

/// Looks for it, and says what is left out.
///
/// # Errors
/// When a host does not come up, or a program does not run with any.
pub(super) fn rows(
    project: &Project,
    image: &Image,
    report: &Report,
    ui: &Ui,
) -> Result<(Vec<Row>, Vec<String>)> {
    let folder = tempfile::tempdir()?;
    let archive = servers::archive(project, folder.path(), ui)?;
    let mut options = boot::options(project)?;
    options.network = true;
    let host = Host::boot(&options, ui)?;
    host.upload(&fs::read(archive)?, servers::ARCHIVE)?;
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (what, program, aim) in ALL.iter().filter(|(what, ..)| report.wants(what)) {
        ui.step(what);
        let least = match program {
            Program::Ends(Language::Go) if Command::new("go").arg("version").output().is_err() => {
                notes.push(format!("{what} left out: there is no Go here: apt install golang-go"));
                continue;
            }
            Program::Ends(language) => {
                super::install(&host, &made(folder.path(), *language)?)?;
                MEMORIES.clone().find(|&mib| guest(&host, image, mib, "", START).is_ok())
            }
            Program::Serves(run, ask) => {
                MEMORIES.clone().find(|&mib| answers(&host, image, mib, run, ask))
            }
        };
        let least = least.with_context(|| format!("{what}: it runs with none of {MEMORIES:?}"))?;
        ui.note(&format!("{what}: {least} MiB"));
        let (xenith, aim) = (Sample::of(vec![least as f64]), Some(Aim::Figure(*aim)));
        let (what, better) = ((*what).to_owned(), Better::Less);
        rows.push(Row { what, unit: "MiB", better, xenith, linux: None, aim });
    }
    ui.done();
    host.shutdown()?;
    Ok((rows, notes))
}

/// Whether it serves with so much. With too little, `xl create` fails, or it ends.
fn answers(host: &Host, image: &Image, mib: u64, run: &str, ask: &str) -> bool {
    let Ok(mut server) = xenith(host, image, mib, run) else { return false };
    let script = format!("IP={}\n{ask}", server.ip);
    let until = Instant::now() + START;
    let mut serves = false;
    while !serves && Instant::now() < until {
        serves = host.shell(&script).is_ok_and(|it| it.status == 0);
        let ended = server.domain.wait(PAUSE, &mut |_| ());
        if !ended.is_ok_and(|it| it.is_none()) {
            return false;
        }
    }
    serves
}

/// Compiles a program that prints a line and ends.
fn made(folder: &Path, language: Language) -> Result<Vec<u8>> {
    if language == Language::C {
        let source = folder.join("hello.c");
        fs::write(&source, IN_C)?;
        return compiled(&source);
    }
    let [source, program] = ["hello.go", "hello"].map(|name| folder.join(name));
    fs::write(&source, IN_GO)?;
    let mut go = Command::new("go");
    go.env("CGO_ENABLED", "0").env("GO111MODULE", "off").arg("build").arg("-o");
    let output = go.arg(&program).arg(&source).output().context("go")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "go did not make {}:\n{said}", source.display());
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    read(&program)
}
