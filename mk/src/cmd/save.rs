//! `cargo mk save`: a running guest's memory, in a file.

use super::run::control::{Request, ask};
use crate::project::Project;
use crate::ui::{Ui, bytes};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// Saves a running guest into a file, as `xl save` does
#[derive(clap::Args)]
#[command(
    after_help = "Example, with `cargo mk run httpd` in another terminal:\n  cargo mk save httpd \
httpd.saved\n  cargo mk restore httpd.saved\n\nThe file is what `xl restore` takes on a host as well. \
The run ends when its guest is saved;\nwith --copy both go on."
)]
pub(crate) struct Args {
    /// The guest, by the name that its run shows
    #[arg(value_name = "GUEST")]
    guest: String,
    /// Where its memory goes
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Lets the guest go on
    #[arg(short, long)]
    copy: bool,
}

/// Runs the command.
///
/// # Errors
/// When there is no such guest, or it cannot be saved.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let Args { guest, file, copy } = args;
    let path = std::path::absolute(file).with_context(|| file.display().to_string())?;
    ensure!(!path.is_dir(), "{} is a folder", file.display());
    ui.step(&format!("saving {guest}"));
    ask(
        &Project::find()?,
        &Request::Save { guest: guest.clone(), file: path.clone(), copy: *copy },
        ui,
    )?;
    ui.done();
    let size = path.metadata().with_context(|| file.display().to_string())?.len();
    ui.note(&format!(
        "{guest} is in {} ({} bytes); `cargo mk restore {}` goes on with it",
        file.display(),
        bytes(size),
        file.display()
    ));
    Ok(0)
}
