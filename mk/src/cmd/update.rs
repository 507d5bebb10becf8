//! `cargo mk update`: a running service, and a new image that goes on with it.

use super::build::Optimize;
use super::run;
use crate::ui::Ui;
use anyhow::Result;

/// Builds an app, and replaces its running domain by the new image, which goes on with
/// connections and state
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk update httpd ip=10.0.0.2/24\n\nWhere this machine is no Xen \
host, that is the app of a `cargo mk run` in another terminal, which keeps its\ninterfaces and disks. The \
arguments are those of the new domain; give those of the running one for a service\nthat is to stay \
where it is. The app says in its manifest what it keeps (update: State). A new\nimage that does not \
start, or refuses the state, is destroyed again, the old one goes on, and the\nexit status is 1; where \
nobody says who serves, neither is destroyed."
)]
pub(crate) struct Args {
    /// The app
    #[arg(value_name = "APP")]
    app: String,
    /// Arguments for the app; `help` lists them
    #[arg(value_name = "KEY=VALUE")]
    args: Vec<String>,
    /// Memory of the new domain in MiB, instead of what the manifest says
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    memory: Option<u64>,
    #[command(flatten)]
    optimize: Optimize,
}

/// Runs the command.
///
/// # Errors
/// When this is no Xen host, or the app cannot be built.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = args.optimize.project()?;
    run::update(&project, &args.app, &args.args, args.memory, ui)
}
