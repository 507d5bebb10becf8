//! An app as a program of this machine.

use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long an answer may take that has begun or is expected.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Builds an app as a program of this machine.
pub(super) fn built(project: &Project, app: &str, ui: &Ui) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", app, "--bin", app]);
    command.current_dir(&project.root);
    ui.command(&command);
    let built = command.status().context("cannot run cargo")?.success();
    ensure!(built, "{app}: the build failed");
    Ok(project.metadata.target_directory.join("debug").join(app).into())
}
