//! Guests that are saved into files, and moved.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, fstatvfs, renameat_with};
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
    /// When the file cannot be written, or with what `xl` says; the guest goes on then, where the error says
    /// so. Once it has ended, an error says where its memory is.
    pub fn save(
        &self,
        name: &str,
        file: &Path,
        Saving { copy, replace }: Saving,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<()> {
        let total = self.memory_of(name)?;
        let what = || format!("cannot write {}", file.display());
        let (part, made) = create_beside(file).with_context(what)?;
        let saved = reserve(&made, total)
            .with_context(what)
            .and_then(|()| self.save_into(&made, name, copy, &mut |done| progress(done, total)))
            .and_then(|size| made.set_len(size).and_then(|()| made.sync_all()).with_context(what))
            .and_then(|()| named(&part, file, replace));
        if let Err(error) = saved {
            let written = (&made).stream_position().unwrap_or_default();
            let (goes_on, shown) = (self.goes_on(name), part.display());
            if goes_on || written == 0 {
                let _ = fs::remove_file(&part);
            } else {
                let _ = made.set_len(written);
            }
            return Err(error.context(match (goes_on, written) {
                (true, _) => format!("{name} is not saved, and goes on"),
                (false, 0) => format!("{name} is not saved, and may have ended"),
                (false, _) => format!("{name} may have ended: what there is of it is in {shown}"),
            }));
        }
        // It has not run since its memory was written, and only now nobody needs it any more.
        match copy {
            true => Ok(()),
            false => self.end_saved(name).with_context(|| {
                format!("{name} is in {}, but has not ended where it was", file.display())
            }),
        }
    }

    /// Lets a guest go on of which a save failed, at whatever point: whether it does.
    fn goes_on(&self, name: &str) -> bool {
        // The script goes on for a moment without its connection, and `xl` may have all that it wants.
        let script = format!(
            "tries=0\nwhile [ -e /run/lab/moving/{name} ] && [ $((tries += 1)) -lt 500 ]; do usleep 100000; done\n\
             xl unpause {name} 2>/dev/null\nset -- $(xl list {name} | tail -n 1)\n\
             case $5 in ??--*) ;; *) exit 1 ;; esac",
            name = quote(name)
        );
        self.shell_within(&script, LIMIT).is_ok_and(|output| output.status == 0)
    }

    /// Ends a guest whose memory is in a file, and tells who follows it that this is why.
    fn end_saved(&self, name: &str) -> Result<()> {
        let script = format!(
            "touch /run/lab/saved/{name}\nxl destroy {name} || {{ rm /run/lab/saved/{name}; exit 1; }}",
            name = quote(name)
        );
        self.shell(&script)?.success().map(drop)
    }

    fn save_into(
        &self,
        mut file: &File,
        name: &str,
        copy: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64> {
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
            file.write_all(bytes).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot write its file: {error}"))
            })
        };
        let output = self.channel().run_streaming(&script, &[], LIMIT, &mut sink)?;
        finished(output, "saving", name)?;
        Ok(done)
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

/// Makes a file beside `file`, for the rename, under a name that nothing has.
fn create_beside(file: &Path) -> io::Result<(PathBuf, File)> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // With what stands around it, it is no longer than names may be, however long the name is.
    let start: String = name.chars().take(40).collect();
    let mut number = 1;
    loop {
        let part = file.with_file_name(match number {
            1 => format!(".{start}.saving"),
            _ => format!(".{start}-{number}.saving"),
        });
        match File::options().write(true).create_new(true).mode(0o600).open(&part) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            made => return Ok((part, made?)),
        }
    }
}

/// Takes the room for so much memory, before the guest is stopped for it, or refuses a file system that has
/// none.
fn reserve(file: &File, total: u64) -> Result<()> {
    // Each page of 4096 bytes has a word of 8, and there is a configuration.
    let size = total + total / 256 + (1 << 20);
    let mib = |bytes: u64| bytes >> 20;
    let needed = || format!("its memory is {} MiB, and there is no room for it", mib(total));
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => return Ok(()),
        Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {}
        Err(error) => return Err(error).with_context(needed),
    }
    // One that does not say what it has, has no blocks at all.
    let Some(space) = fstatvfs(file).ok().filter(|it| it.f_blocks > 0) else {
        return Ok(());
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    ensure!(free >= size, "{}: {} MiB are free", needed(), mib(free));
    Ok(())
}

/// Gives a file its name, which nothing has unless that is to be replaced.
fn named(part: &Path, file: &Path, replace: bool) -> Result<()> {
    let renamed = match replace {
        true => fs::rename(part, file),
        false => match renameat_with(CWD, part, CWD, file, RenameFlags::NOREPLACE) {
            // Some file systems know no such flag, and neither do old kernels.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => linked(part, file),
            other => other.map_err(Into::into),
        },
    };
    renamed.with_context(|| format!("it cannot be called {}", file.display()))?;
    // The name is on the disk as well then; not all file systems can be asked for that.
    if let Some(folder) = file.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// The same without the flag: a link takes no name that something has.
fn linked(part: &Path, file: &Path) -> io::Result<()> {
    match fs::hard_link(part, file) {
        Ok(()) => {
            // It is another name of the file now, which harms nobody.
            let _ = fs::remove_file(part);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Where there are none, it is looked for at the last moment.
        Err(_) if file.symlink_metadata().is_ok() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(part, file),
    }
}

/// Judges how a script of [`LIMIT`] ended.
fn finished(output: Option<Output>, doing: &str, name: &str) -> Result<()> {
    let output = output.ok_or_else(|| anyhow!("{doing} {name} takes longer than {LIMIT:?}"))?;
    ensure!(output.status == 0, "{doing} {name} failed: {}", output.stderr.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_save_has_left_stops_no_save() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = "\u{e4}".repeat(127);
        for name in ["httpd.saved", &long] {
            let file = folder.path().join(name);
            let parts = [1, 2, 3].map(|_| create_beside(&file).expect("it is made").0);
            assert!(parts[0] != parts[1] && parts[1] != parts[2]);
            let hidden = |it: &PathBuf| {
                it.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.'))
            };
            assert!(parts.iter().all(|part| part.parent() == file.parent() && hidden(part)));
        }
    }

    #[test]
    fn room_is_taken_before_a_guest_is_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, file) = create_beside(&folder.path().join("saved")).expect("it is made");
        reserve(&file, 1 << 20).expect("there is room");
        let error = format!("{:#}", reserve(&file, 1 << 50).expect_err("so much is nowhere"));
        assert!(error.contains("1073741824 MiB, and there is no room"), "{error}");
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_where_that_is_asked_for() {
        type Name = fn(&Path, &Path) -> bool;
        let by_flag: Name = |part, file| named(part, file, false).is_ok();
        let by_link: Name = |part, file| linked(part, file).is_ok();
        for name in [by_flag, by_link] {
            let folder = tempfile::tempdir().expect("a folder");
            let [part, file] = ["part", "file"].map(|name| folder.path().join(name));
            let text = |path: &Path| fs::read_to_string(path).expect("it is there");
            fs::write(&part, "new").expect("room");
            fs::write(&file, "old").expect("room");
            assert!(!name(&part, &file));
            assert_eq!((text(&part), text(&file)), ("new".into(), "old".into()));
            fs::remove_file(&file).expect("it is there");
            assert!(name(&part, &file) && !part.exists());
            assert_eq!(text(&file), "new");
            fs::write(&part, "newer").expect("room");
            named(&part, &file, true).expect("it is replaced");
            assert_eq!(text(&file), "newer");
        }
    }
}
