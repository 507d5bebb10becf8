//! `cargo mk restore`: a saved guest goes on, on a host of its own.

use super::run::{Around, go_on, seconds};
use crate::saved::Saved;
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

/// Goes on with a guest that was saved, on Xen in QEMU
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk restore httpd.saved\n\nThe file is from `cargo mk save`. What \
was given to `cargo mk run` besides the app's\narguments and its memory is given again: --publish, --disk. \
The guest is on another host now, so\nthat connections from outside begin anew; `cargo mk migrate` keeps them. \
Of the app's last build come its\ndevices and the names in reports; the app is built where there is none."
)]
pub(crate) struct Args {
    /// The file with its memory
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    around: Around,
    /// Ends the run after that time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

/// Runs the command.
///
/// # Errors
/// When the file is not what it should be, or the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let Args { file, around, timeout } = args;
    let shown = file.display();
    ensure!(!file.is_dir(), "{shown} is a folder: a saved guest is a file");
    let mut reader = BufReader::new(File::open(file).with_context(|| shown.to_string())?);
    let saved = Saved::read(&mut reader).with_context(|| format!("{shown} cannot be restored"))?;
    go_on(&saved, around, file, *timeout, ui)
}
