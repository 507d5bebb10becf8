//! The linker of images, as which rustc calls this tool: the toolchain's own, called once more
//! where the image that it made is better linked at another address.
//!
//! How large an image is, and so which address is best for it ([`best_base`]), is known once it is
//! linked. Linking takes a moment, and what comes before, which is the same for each address, half
//! a minute. So this is done here, where its result is still there.

use crate::image::elf::Elf;
use crate::image::{best_base, layout, manifest};
use crate::project::read;
use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The name under which this tool is a linker.
const NAME: &str = "xenith-link";

/// The linker that it calls, which rustc makes findable.
const LINKER: &str = "rust-lld";

/// How often an image is linked anew: where it is linked may change its size a little.
const ANEW: usize = 2;

/// What decides where an image is linked: cargo links again when the linker's path has changed.
const RULES: [&str; 2] = [include_str!("image/layout.rs"), include_str!("link.rs")];

/// Puts this tool into a folder below `place`, under the name that makes a linker of it, unless it has
/// done so before. It stays the one that runs now, also where cargo replaces that.
///
/// # Errors
/// When it cannot be put there.
pub(crate) fn install(place: &Path) -> Result<PathBuf> {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    if let Some(linker) = INSTALLED.get().filter(|linker| linker.starts_with(place)) {
        return Ok(linker.clone());
    }
    let mut hasher = DefaultHasher::new();
    RULES.hash(&mut hasher);
    let folder = place.join(format!("{:016x}", hasher.finish()));
    let linker = folder.join(NAME);
    put(&folder, &linker)
        .with_context(|| format!("cannot put the linker into {}", folder.display()))?;
    Ok(INSTALLED.get_or_init(|| linker.clone()).clone())
}

fn put(folder: &Path, linker: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = folder.join(format!("{NAME}.{}", std::process::id()));
    // The file may be of another file system, or have been replaced since this began to run.
    let link = std::env::current_exe().and_then(|exe| fs::hard_link(exe, &new));
    link.or_else(|_| fs::copy("/proc/self/exe", &new).map(drop))?;
    fs::rename(&new, linker)?;
    // Nothing is renamed where both are the same file.
    fs::remove_file(&new).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// Whether this command line is rustc's for a linker.
pub(crate) fn is_called(line: &[OsString]) -> bool {
    line.first().is_some_and(|it| Path::new(it).file_name() == Some(OsStr::new(NAME)))
}

/// Links; the status is the linker's.
///
/// # Errors
/// When there is no linker, or what it made cannot be read.
pub(crate) fn run(arguments: &[OsString]) -> Result<u8> {
    let mut base = layout::base(1);
    let mut status = link(arguments, None)?;
    for _ in 0..ANEW {
        let best = if status == 0 { best(arguments)? } else { None };
        let Some(best) = best.filter(|&best| best != base) else { break };
        base = best;
        status = link(arguments, Some(base))?;
    }
    Ok(status)
}

fn link(arguments: &[OsString], base: Option<u64>) -> Result<u8> {
    let mut command = Command::new(LINKER);
    // Which linker it is to be comes first, and the address before the script that has another.
    let (flavor, others) = arguments.split_at(arguments.len().min(2));
    command.args(flavor).args(base.map(|base| format!("--defsym=virt_base={base:#x}")));
    let status = command.args(others).status().with_context(|| format!("cannot run {LINKER}"))?;
    Ok(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1))
}

/// The best address for what was linked; `None` if it is no image, of which it is told later.
fn best(arguments: &[OsString]) -> Result<Option<u64>> {
    let Some(file) = output(arguments) else { return Ok(None) };
    let linked = read(file)?;
    let best = Elf::parse(&linked).and_then(|elf| best_base(&elf, manifest(&elf)?.memory_mib()));
    Ok(best.ok())
}

/// The file that is to be made.
fn output(arguments: &[OsString]) -> Option<&Path> {
    let at = arguments.iter().position(|it| it == "-o")?;
    arguments.get(at + 1).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linker_is_called_by_its_name_alone() {
        let line = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(is_called(&line("/target/xenith/xenith-link -flavor gnu")));
        assert!(!is_called(&line("/target/debug/cargo-mk build xenith-link")));
        assert!(!is_called(&[]));
        assert_eq!(output(&line("-flavor gnu a.o -o b c")), Some(Path::new("b")));
        assert_eq!(output(&line("a.o -o")), None);
    }

    #[test]
    fn it_is_put_where_it_already_is() {
        let folder = tempfile::tempdir().unwrap();
        let linker = folder.path().join(NAME);
        for _ in 0..2 {
            put(folder.path(), &linker).unwrap();
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        let own = fs::metadata(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(fs::metadata(&linker).unwrap().len(), own.len());
    }
}
