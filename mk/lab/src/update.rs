//! Guests that are replaced by another image of them, which goes on with their connections.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::channel::{quote, store};
use super::guest::{GuestSpec, setting};
use super::host::Host;

/// How long it may take: the script gives up earlier.
const LIMIT: Duration = Duration::from_secs(180);

/// What the configuration is called in dom0, unlike any image.
const CONFIG: &str = "config.xl";

impl Host {
    /// Replaces the guest called `name` by the one that `spec` describes, which goes on with its
    /// connections and its state, under its name and with its interfaces (`scripts/dom0/update`).
    ///
    /// # Errors
    /// When a file cannot be read, or with what the script says; then the guest goes on.
    pub fn replace_guest(&self, name: &str, spec: &GuestSpec) -> Result<()> {
        let load =
            |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let config = load(&spec.config)?;
        let text = String::from_utf8_lossy(&config).into_owned();
        let kernel = setting(&text, "kernel").context("the configuration names no kernel")?;
        let image = load(&spec.config.parent().unwrap_or(Path::new("")).join(kernel))?;
        let place = quote(&format!("/run/lab/next/{name}"));
        // Under its own name, by which it is known what the domain is when it was saved.
        let own = Path::new(kernel).file_name().and_then(|own| own.to_str()).unwrap_or("image");
        let kernel = format!("kernel=\"{own}\"");
        let mut script = format!("mkdir -p {place} && cd {place} || exit\n");
        script += &store(config.len(), CONFIG);
        script += &store(image.len(), own);
        script += &format!("move update {} {CONFIG}", quote(name));
        for setting in spec.overrides.iter().chain([&kernel]) {
            script += &format!(" {}", quote(setting));
        }
        script += &format!("\nstatus=$?\ncd /\nrm -rf {place}\nexit $status");
        let output = self.channel().run(&script, &[config, image].concat(), LIMIT)?;
        ensure!(output.status == 0, "{}", output.stderr.trim());
        Ok(())
    }
}
