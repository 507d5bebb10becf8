//! `cargo mk tidy`: Xenith's invariants that the compiler cannot check.

use crate::project::Project;
use crate::tidy::{tidy, write_pages};
use crate::ui::out;
use anyhow::Result;
use console::style;

/// Checks Xenith's invariants that the compiler cannot
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk tidy\n\nWhat is checked stands in mk/src/tidy; a finding \
says where and what to do."
)]
pub(crate) struct Args {
    /// First write the pages of the book that are made from the sources
    #[arg(long)]
    write: bool,
}

/// Runs the command.
///
/// # Errors
/// When the workspace is not Xenith's.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let project = Project::find()?;
    if args.write {
        write_pages(&project)?;
    }
    Ok(u8::from(!check(&project)?))
}

/// Prints what is wrong, and tells whether nothing is.
///
/// # Errors
/// When the workspace is not Xenith's.
pub(crate) fn check(project: &Project) -> Result<bool> {
    let findings = tidy(project)?;
    for finding in &findings {
        let word = match finding.warning {
            true => style("warning").yellow(),
            false => style("error").red(),
        };
        out(&format!("{word} {finding}\n"));
    }
    Ok(findings.iter().all(|finding| finding.warning))
}
