//! `cargo mk host`: the Xen host that guests are tested on, for people.

use crate::boot;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::Result;

/// Boots Xen in QEMU for a look around
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo mk host shell\n\nCtrl-] leaves, and ends the host.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Opens a shell in dom0
    #[command(after_help = "Example:\n  cargo mk host shell")]
    Shell,
}

/// Runs the command.
///
/// # Errors
/// When the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let What::Shell = args.what;
    let project = Project::find()?;
    let host = boot::host(&project, ui)?;
    ui.note("a shell in dom0; Ctrl-] leaves");
    host.interact()?;
    host.shutdown()?;
    Ok(0)
}
