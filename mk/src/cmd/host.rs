//! `cargo mk host`: the Xen host that guests are tested on, for people.

use crate::boot;
use crate::project::Project;
use crate::ui::{Ui, err, out_bytes};
use anyhow::{Result, ensure};
use lab::{Host, Options};
use std::io::{IsTerminal, stdin};
use std::time::Duration;

/// Boots the Xen host that tests use, and opens a shell or runs a script there
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
    /// Runs a shell script in dom0
    #[command(after_help = "Example:\n  cargo mk host run \"xl info\"")]
    Run {
        #[arg(value_name = "SCRIPT")]
        script: String,
        /// Boots without a network for guests, which is a little faster
        #[arg(long)]
        no_network: bool,
    },
}

/// How long a script may take: as good as no limit, and less than the host lives.
const LIMIT: Duration = Duration::from_secs(11 * 3600);

/// Runs the command.
///
/// # Errors
/// When the host does not come up.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    if let What::Run { script, no_network } = &args.what {
        let host = boot::host(&project, !no_network, ui)?;
        let output = host.shell_within(script, LIMIT)?;
        out_bytes(&output.stdout);
        err(&output.stderr);
        return Ok(u8::try_from(output.status).unwrap_or(1));
    }
    let what = "a shell needs a terminal; `cargo mk host run SCRIPT` runs a script";
    ensure!(stdin().is_terminal(), what);
    let options = Options { network: true, lifetime: None, ..boot::options(&project)? };
    let host = Host::boot(&options, ui)?;
    ui.done();
    ui.note("a shell in dom0; Ctrl-] leaves");
    host.interact()?;
    host.shutdown()?;
    Ok(0)
}
