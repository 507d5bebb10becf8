//! `cargo mk migrate`: a running guest, as another domain.

use super::run::control::{Request, find};
use crate::project::Project;
use crate::ui::Ui;
use anyhow::Result;

/// Moves a running guest to another domain of its host, with its connections
#[derive(clap::Args)]
#[command(
    after_help = "Example, with `cargo mk run httpd` in another terminal:\n  cargo mk migrate httpd\n\n\
It is `xl migrate` to the same host, which takes a Xen with shadow page tables. Debian's 4.17.7 is\n\
built without: there, --by-file does the same by `xl save` and `xl restore`."
)]
pub(crate) struct Args {
    /// The guest, by the name that its run shows: its app's, or that of --name
    #[arg(value_name = "GUEST")]
    guest: String,
    /// Stops the guest for the move: its memory goes through a file
    #[arg(long)]
    by_file: bool,
}

/// Runs the command.
///
/// # Errors
/// When there is no such guest, or it cannot be moved.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let Args { guest, by_file } = args;
    ui.step(&format!("moving {guest}"));
    let found = find(&Project::find()?, guest)?;
    found.ask(|guest| Request::Migrate { guest, by_file: *by_file }, ui)?;
    ui.done();
    ui.note(&format!("{guest} is another domain now, and goes on"));
    Ok(0)
}
