//! Debian's tools for host tests, without root.

use super::options::Progress;
use super::{apt, image};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages, and a program of each.
const TOOLS: [(&str, &str); 3] =
    [("dosfstools", "fsck.fat"), ("e2fsprogs", "mke2fs"), ("fdisk", "sfdisk")];

/// Folders that programs of the machine are in, also where a user's path lacks some.
const PLACES: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

/// Fetches the tools of file systems that this machine lacks (`mke2fs`, `fsck.fat`,
/// `sfdisk`), and returns the folder for `PATH` that they are in; `None` if it lacks none.
///
/// # Errors
/// When they cannot be fetched.
pub fn tools(cache: &Path, progress: &dyn Progress) -> Result<Option<PathBuf>> {
    let here = |program: &str| PLACES.iter().any(|place| Path::new(place).join(program).exists());
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(_, it)| !here(it)).map(|(package, _)| *package).collect();
    let (tree, folder) = (cache.join("tools"), cache.join("tools/sbin"));
    let has = |program: &str| here(program) || folder.join(program).exists();
    if missing.is_empty() {
        return Ok(None);
    }
    if !TOOLS.iter().all(|(_, program)| has(program)) {
        let packages = tree.join("packages");
        fs::create_dir_all(&tree)?;
        image::empty(&packages)?;
        let what = "for tools of file systems";
        let wanted = apt::Wanted { names: &missing, follows: &|_| false, what };
        for (_, file) in apt::fetch(&tree, &packages, &wanted, progress)? {
            let status = Command::new("dpkg-deb").arg("-x").args([&file, &tree]).status();
            let status = status.context("cannot run dpkg-deb")?;
            ensure!(status.success(), "cannot unpack {}", file.display());
        }
    }
    Ok(Some(folder))
}
