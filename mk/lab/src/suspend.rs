//! Guests that are saved into files, and moved.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::fs::{CWD, RenameFlags, fstatvfs, renameat_with};
use rustix::io::Errno;

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

/// Says how a guest is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saving {
    /// Whether the guest goes on.
    pub copy: bool,
    /// Whether a file of that name is replaced.
    pub replace: bool,
}

impl Host {
    /// Saves the memory of the guest called `name` into `file`, as `xl save` does. The guest ends
    /// then, for the reason [`Reason::Saved`](super::Reason::Saved); with `copy` it goes on. A file
    /// that is there already is refused, unless it is to be replaced.
    /// `progress` is told how many bytes are written, and about how many it will be.
    ///
    /// # Errors
    /// When the file cannot be written, or with what `xl` says; then the guest goes on, and there
    /// is no file. Once it has ended, an error says where its memory is.
    pub fn save(
        &self,
        name: &str,
        file: &Path,
        Saving { copy, replace }: Saving,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        // Beside it, for the rename, and under a name that no file of the user's has.
        let part = file.with_file_name(format!(".saved-{}.part", std::process::id()));
        let goes_on = |error: anyhow::Error| error.context(format!("{name} goes on"));
        let written = || format!("cannot write {}", part.display());
        let total = self.memory_of(name)?;
        let made = File::options().write(true).create_new(true).mode(0o600).open(&part);
        let made = made.with_context(written).map_err(goes_on)?;
        let memory = has_space(&made, total)
            .and_then(|()| self.save_into(&made, name, copy, &mut |done| progress(done, total)));
        if let Err(error) = memory {
            let _ = fs::remove_file(&part);
            return Err(goes_on(error.context(written())));
        }
        // The guest may have ended: what there is of it now stays, whatever happens.
        made.sync_all()
            .map_err(anyhow::Error::from)
            .and_then(|()| named(&part, file, replace))
            .with_context(|| {
                format!(
                    "{name} is saved, but in {}, which `cargo mk restore` takes as well",
                    part.display()
                )
            })
    }

    fn save_into(
        &self,
        mut file: &File,
        name: &str,
        copy: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
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
            progress(done);
            file.write_all(bytes)
        };
        let output = self.channel().run_streaming(&script, &[], LIMIT, &mut sink)?;
        finished(output, "saving", name)
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

/// Refuses a file system that has no room for so much memory, before the guest is stopped for it.
fn has_space(file: &File, total: u64) -> Result<()> {
    // One that does not say what it has, has no blocks at all.
    let Some(space) = fstatvfs(file).ok().filter(|it| it.f_blocks > 0) else {
        return Ok(());
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let mib = |bytes: u64| bytes >> 20;
    ensure!(
        free > total,
        "its memory is {} MiB, and where it is to be saved {} MiB are free",
        mib(total),
        mib(free)
    );
    Ok(())
}

/// Gives a file its name, which nothing has unless that is to be replaced.
fn named(part: &Path, file: &Path, replace: bool) -> Result<()> {
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    let renamed = renameat_with(CWD, part, CWD, file, flags);
    // Some file systems know no such flag, and there it was looked for a moment ago.
    let renamed = match renamed {
        Err(Errno::INVAL) => fs::rename(part, file),
        other => other.map_err(Into::into),
    };
    renamed.with_context(|| format!("it cannot be called {}", file.display()))
}

/// Judges how a script of [`LIMIT`] ended.
fn finished(output: Option<Output>, doing: &str, name: &str) -> Result<()> {
    let output = output.ok_or_else(|| anyhow!("{doing} {name} takes longer than {LIMIT:?}"))?;
    ensure!(output.status == 0, "{doing} {name} failed: {}", output.stderr.trim());
    Ok(())
}
