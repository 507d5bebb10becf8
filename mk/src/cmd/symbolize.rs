//! `cargo mk symbolize`: names for a report from a real Xen host, or what was in a domain's memory.

pub(crate) mod core;

use crate::explain::{Registers, overflow};
use crate::names::addition;
use crate::project::{Project, read};
use crate::symbols::Symbols;
use crate::ui::{Ui, out};
use anyhow::{Context, Result, ensure};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Puts functions and lines to the addresses of a report
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ssh host xl dmesg | cargo mk symbolize hello\n  cargo mk symbolize httpd --core \
httpd.core\n\nReads reports of the \
kernel and of Xen from standard input, such as a domain's console or\nwhat `xl dmesg` prints, and \
prints them with names. The file with symbols must be of the\nsame build as the image that \
crashed: keep it with what you put on a host."
)]
pub(crate) struct Args {
    /// The app, or its file with symbols: target/xenith/APP/APP.debug of the build in question
    #[arg(value_name = "APP")]
    app: PathBuf,
    /// The folder with the Linux programs that the app runs
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// What `xl dump-core` wrote of the domain: tells where its vCPU was, and of its tasks and its
    /// heap
    #[arg(long, value_name = "FILE", conflicts_with = "root")]
    core: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When there are no symbols.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let (file, root) = match args.app.is_file() {
        true => (args.app.clone(), std::env::current_dir().unwrap_or_default()),
        false => of_app(&args.app)?,
    };
    let programs = args.root.clone().into_iter().collect();
    let symbols = Symbols::read(&file, &root)?.with_programs(programs);
    ensure!(
        symbols.has_names(),
        "{} has no symbols: give the file NAME.debug that `cargo mk build` leaves beside the image",
        file.display()
    );
    if let Some(core) = &args.core {
        out(&core::report(&read(core)?, &core.display().to_string(), &file, &symbols)?);
        return Ok(0);
    }
    if console::user_attended() {
        ui.note("paste the report, then Ctrl-D");
    }
    let mut crash = String::new();
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line.context("standard input cannot be read")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        out(&format!("{line}{}\n", addition(report(line), &symbols)));
        crash += report(line);
        crash.push('\n');
    }
    if let Some(text) = Registers::find(crash.lines()).and_then(|it| overflow(it, &symbols)) {
        out(&format!("{text}\n"));
    }
    Ok(0)
}

/// The file of an app's last build, and the folder of its source.
fn of_app(app: &Path) -> Result<(PathBuf, PathBuf)> {
    let project = Project::find()?;
    let guests = project.choose(&[app.display().to_string()])?;
    let name = &guests.first().context("no app")?.name;
    let file = project.image_folder(name).join(format!("{name}.debug"));
    ensure!(file.is_file(), "{} is missing: `cargo mk build {name}` makes it", file.display());
    Ok((file, project.root))
}

/// `line` without what a log puts before it: times, and the like.
fn report(line: &str) -> &str {
    let start = ["xenith: ", "(XEN) "].iter().filter_map(|mark| line.find(mark)).min();
    &line[start.unwrap_or(0)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_puts_first_is_passed_over() {
        assert_eq!(report("[12:00:01] xenith: exit status 1"), "xenith: exit status 1");
        assert_eq!(report("host: (XEN) RIP: 5"), "(XEN) RIP: 5");
        assert_eq!(report("rip: 5"), "rip: 5");
    }
}
