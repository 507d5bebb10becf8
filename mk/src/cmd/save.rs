//! `cargo mk save`: a running guest's memory, in a file.

use super::run::control::{Request, find};
use crate::project::{Project, has_place};
use crate::ui::{Ui, bytes, typed};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Saves a running guest into a file, as `xl save` does
#[derive(clap::Args)]
#[command(
    after_help = "Example, with `cargo mk run httpd` in another terminal:\n  cargo mk save httpd \
httpd.saved\n  cargo mk restore httpd.saved\n\nThe file is what `xl restore` takes on a host as well. \
The run ends when its guest is saved;\nwith --copy both go on."
)]
pub(crate) struct Args {
    /// The guest, by the name that its run shows: its app's, or that of --name
    #[arg(value_name = "GUEST")]
    guest: String,
    /// Where its memory goes
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Lets the guest go on
    #[arg(short, long)]
    copy: bool,
    /// Replaces the file if there is one, once the guest is saved
    #[arg(short, long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// When there is no such guest, or it cannot be saved.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let Args { guest, file, copy, force } = args;
    let path = std::path::absolute(file).with_context(|| file.display().to_string())?;
    may_be_written(&path, *force).with_context(|| file.display().to_string())?;
    ui.step(&format!("saving {guest}"));
    let found = find(&Project::find()?, guest)?;
    let (copy, replace) = (*copy, *force);
    found.ask(|guest| Request::Save { guest, file: path.clone(), copy, replace }, ui)?;
    ui.done();
    let size = path.metadata().with_context(|| file.display().to_string())?.len();
    ui.note(&format!(
        "{guest} is in {} ({} bytes); `cargo mk restore {}` goes on with it",
        file.display(),
        bytes(size),
        typed(file)
    ));
    Ok(0)
}

/// Refuses a file that is not to be lost.
fn may_be_written(path: &Path, force: bool) -> Result<()> {
    has_place(path)?;
    let Ok(there) = path.symlink_metadata() else { return Ok(()) };
    // The guest is written beside it and then given its name.
    ensure!(there.is_file(), "it is no plain file, which a saved guest could replace");
    ensure!(force, "the file is there already: give another one, or --force to replace it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.saved");
        assert!(may_be_written(&file, false).is_ok());
        std::fs::write(&file, "old").unwrap();
        let error = may_be_written(&file, false).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        assert!(may_be_written(&file, true).is_ok());
        let none = folder.path().join("none/web.saved");
        for other in [folder.path(), Path::new("/dev/null"), &none] {
            assert!(may_be_written(other, true).is_err(), "{}", other.display());
        }
    }
}
