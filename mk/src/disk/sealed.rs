//! Disks that are compressed and verified by one hash: `sealed:FOLDER`.

use super::{ALIGNMENT, Draft};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// What stands for the time and the numbers that the tools would make up, so that a folder has one
/// image and one hash.
const UUID: &str = "00000000-0000-0000-0000-000000000001";

/// Makes an image of `folder`: EROFS, and behind it the hashes of dm-verity. Returns the argument
/// by which apps verify it.
///
/// # Errors
/// When Debian's erofs-utils or cryptsetup-bin are missing, or fail, or when the image would lie in
/// the folder that it is made of.
pub(crate) fn seal(folder: &Path, image: &Path) -> Result<String> {
    let what = || format!("cannot write {}", image.display());
    let place = std::path::absolute(image).with_context(what)?;
    let place = place.parent().unwrap_or(&place).canonicalize().with_context(what)?;
    ensure!(
        !place.starts_with(folder.canonicalize()?),
        "{} lies in {}, and would be made of itself: name a file outside of that folder",
        image.display(),
        folder.display()
    );
    let draft = Draft::of(image);
    // The tools would make it for everybody.
    draft.create().with_context(what)?;
    let argument = seal_into(folder, draft.path())?;
    draft.finish().with_context(what)?;
    Ok(argument)
}

/// The same, where a half-made image may stay.
fn seal_into(folder: &Path, image: &Path) -> Result<String> {
    let what = || format!("cannot write {}", image.display());
    let mkfs = ["-T0", "-U", UUID, "-zlz4hc,9", "-C65536", "--quiet"].map(Path::new);
    tool("mkfs.erofs", "erofs-utils", mkfs.into_iter().chain([image, folder]))?;
    let size = padded(image).with_context(what)?;
    let (uuid, offset) = (format!("--uuid={UUID}"), format!("--hash-offset={size}"));
    let options = ["format", "--salt=-", &uuid, &offset].map(Path::new);
    let said = tool("veritysetup", "cryptsetup-bin", options.into_iter().chain([image, image]))?;
    padded(image).with_context(what)?;
    let hash = said.lines().find_map(|line| line.strip_prefix("Root hash:"));
    let hash = hash.context("veritysetup says no root hash")?.trim();
    Ok(format!("sealed={hash}@{size}"))
}

/// Makes an image as long as whole pages, and returns its size.
fn padded(image: &Path) -> Result<u64> {
    let file = File::options().write(true).open(image)?;
    let size = file.metadata()?.len().next_multiple_of(ALIGNMENT);
    file.set_len(size)?;
    Ok(size)
}

/// Runs a tool of a package of Debian's, and returns what it says.
fn tool<'a>(
    name: &str,
    package: &str,
    arguments: impl Iterator<Item = &'a Path>,
) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
    let output = match Command::new(name).env("PATH", path).args(arguments).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{name} is missing: apt install {package}")
        }
        output => output.with_context(|| format!("cannot run {name}"))?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} fails: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder in `sealed:FOLDER`.
///
/// # Errors
/// When there is no such folder.
pub(crate) fn folder(source: &str) -> Result<Option<&Path>> {
    let Some(folder) = source.strip_prefix("sealed:") else { return Ok(None) };
    ensure!(fs::metadata(folder).is_ok_and(|it| it.is_dir()), "{folder} is no folder");
    Ok(Some(Path::new(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_sealed_image_is_for_its_user_alone() {
        let work = tempfile::tempdir().unwrap();
        let (folder, image) = (work.path().join("site"), work.path().join("site.img"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("key"), "secret").unwrap();
        match seal(&folder, &image) {
            Ok(argument) => assert!(argument.starts_with("sealed="), "{argument}"),
            // Not all machines have the tools.
            Err(error) if error.to_string().contains("is missing: apt install") => return,
            Err(error) => panic!("{error:#}"),
        }
        assert_eq!(fs::metadata(&image).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
