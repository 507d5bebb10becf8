//! Guests that are saved into files, and moved.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::channel::{Output, quote};
use super::host::Host;

/// How long it may take: a guest of a gigabyte takes minutes where Xen is emulated.
const LIMIT: Duration = Duration::from_secs(900);

/// Says how a guest is moved to another domain of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// By `xl migrate`, while it runs.
    Live,
    /// By `xl save` and `xl restore`, through a file of dom0.
    ByFile,
}

impl Host {
    /// Saves the memory of the guest called `name` into `file`, as `xl save` does. The guest ends
    /// then, for the reason [`Reason::Saved`](super::Reason::Saved); with `copy` it goes on.
    /// `progress` is told how many bytes are written, and about how many it will be.
    ///
    /// # Errors
    /// When the file cannot be written, or with what `xl` says; then the guest goes on, and there
    /// is no file.
    pub fn save(
        &self,
        name: &str,
        file: &Path,
        copy: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let part = file.with_added_extension("part");
        let saved = self.save_into(&part, name, copy, progress).and_then(|()| {
            fs::rename(&part, file).with_context(|| format!("cannot write {}", file.display()))
        });
        if saved.is_err() {
            // It may never have been there.
            let _ = fs::remove_file(&part);
        }
        saved
    }

    fn save_into(
        &self,
        path: &Path,
        name: &str,
        copy: bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let mut file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let total = self.memory_of(name)?;
        let how = if copy { "out-copy" } else { "out" };
        // Where xl does not even open it, nobody would end the reader; and without a reader,
        // because nobody takes it here, xl fails, and the guest goes on.
        let script = format!(
            "pipe=/run/lab/pipe.$$\nmkfifo $pipe\ncat $pipe &\nreader=$!\n\
             move {how} {} $pipe\nstatus=$?\n[ $status = 0 ] || kill $reader 2>/dev/null\n\
             wait\nrm $pipe\nexit $status",
            quote(name)
        );
        let mut done = 0;
        let mut sink = |bytes: &[u8]| {
            done += bytes.len() as u64;
            progress(done, total);
            file.write_all(bytes)
        };
        let output = self.channel().run_streaming(&script, &[], LIMIT, &mut sink);
        let written = || format!("cannot write {}", path.display());
        finished(output.with_context(written)?, "saving", name)?;
        file.sync_all().with_context(written)
    }

    /// Moves the guest called `name` to another domain of this host.
    ///
    /// # Errors
    /// With what `xl` says. After a live move that failed, the guest goes on.
    pub fn move_guest(&self, name: &str, how: Move) -> Result<()> {
        let verb = match how {
            Move::Live => "migrate",
            Move::ByFile => "save",
        };
        let script = format!("move {verb} {}", quote(name));
        let output = self.channel().run_streaming(&script, &[], LIMIT, &mut |_| Ok(()))?;
        finished(output, "moving", name)
    }

    /// The bytes of a guest's memory.
    fn memory_of(&self, name: &str) -> Result<u64> {
        let output = self.shell(&format!("xl list {}", quote(name)))?.success()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mib = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(2));
        let mib: u64 = mib.context("xl list does not say how much memory it has")?.parse()?;
        Ok(mib << 20)
    }
}

/// Judges how a script of [`LIMIT`] ended.
fn finished(output: Option<Output>, doing: &str, name: &str) -> Result<()> {
    let output = output.ok_or_else(|| anyhow!("{doing} {name} takes longer than {LIMIT:?}"))?;
    ensure!(output.status == 0, "{doing} {name} failed: {}", output.stderr.trim());
    Ok(())
}
