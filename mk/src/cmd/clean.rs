//! `cargo mk clean`: removes what `cargo mk` made.

use crate::boot;
use crate::project::Project;
use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Removes images and the logs of runs
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk clean --lab\n\nWhat cargo itself built goes with `cargo \
clean`."
)]
pub(crate) struct Args {
    /// Removes Xen, dom0 and their packages too, which are then fetched again
    #[arg(long)]
    lab: bool,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be removed.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let project = Project::find()?;
    let lab = boot::cache(&project);
    for entry in fs::read_dir(&project.out).into_iter().flatten() {
        let path = entry.context("cannot list what is there")?.path();
        if path != lab {
            remove(&path)?;
        }
    }
    if args.lab {
        remove(&lab)?;
    }
    Ok(0)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("cannot remove {}", path.display())),
    }
}
