//! Disks that are made of Debian's packages: `debian:redis-server,dash,./conf`.

use super::archive::{Draft, Packer, ids};
use super::{ALIGNMENT, made};
use crate::boot;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tar::Builder;

/// Bytes of a block of an archive.
const BLOCK: u64 = 512;

/// The root of a Linux system: packages with what they depend on, and folders whose files are laid
/// over theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packages<'a> {
    names: Vec<&'a str>,
    folders: Vec<&'a str>,
}

impl<'a> Packages<'a> {
    /// Reads `debian:` and words with commas between: a word with a slash is a folder, one with `-`
    /// at its end a package that is left out.
    pub(crate) fn parse(source: &'a str) -> Option<Self> {
        let words = source.strip_prefix("debian:")?.split(',').filter(|word| !word.is_empty());
        let (folders, names) = words.partition(|word| word.contains('/'));
        Some(Self { names, folders })
    }

    /// Makes the archive: the lab's own, or one at `path` where there are folders, which `find`
    /// finds.
    ///
    /// # Errors
    /// When packages cannot be fetched, there is no such folder, or `path` cannot be written.
    pub(crate) fn archive(
        &self,
        project: &Project,
        path: PathBuf,
        find: impl Fn(&str) -> Result<PathBuf>,
        ui: &Ui,
    ) -> Result<PathBuf> {
        let folders = self.folders.iter().map(|folder| find(folder)).collect::<Result<Vec<_>>>()?;
        self.archive_with(project, path, folders, ui)
    }

    /// Makes it with these folders.
    ///
    /// # Errors
    /// As [`archive`](Self::archive).
    pub(crate) fn archive_with(
        &self,
        project: &Project,
        path: PathBuf,
        folders: Vec<PathBuf>,
        ui: &Ui,
    ) -> Result<PathBuf> {
        let root = lab::root(&boot::cache(project), &self.names, ui)?;
        ui.done();
        if folders.is_empty() {
            return Ok(root);
        }
        archive_of(&root, &path, &folders, &made(project))
            .with_context(|| format!("cannot lay folders over {}", root.display()))?;
        Ok(path)
    }
}

/// Makes an archive of another one and of `folders` over it, but for what is in `besides`.
fn archive_of(root: &Path, path: &Path, folders: &[PathBuf], besides: &[PathBuf]) -> Result<()> {
    let draft = Draft::of(path);
    draft.fill(root)?;
    lay_over(draft.path(), folders, besides)?;
    Ok(draft.finish()?)
}

/// Adds the files of `folders` to an archive, but for itself and what is in `besides`. Of entries with
/// one name the last one counts.
fn lay_over(archive: &Path, folders: &[PathBuf], besides: &[PathBuf]) -> Result<()> {
    let left_out = ids(besides.iter().map(PathBuf::as_path).chain([archive]));
    let mut end = 0;
    for entry in tar::Archive::new(File::open(archive)?).entries_with_seek()? {
        let entry = entry?;
        end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
    }
    let mut file = File::options().write(true).open(archive)?;
    file.set_len(end)?;
    file.seek(SeekFrom::End(0))?;
    let mut builder = Builder::new(file);
    for folder in folders {
        ensure!(folder.is_dir(), "{} is no folder", folder.display());
        let mut packer = Packer { builder, root: folder, left_out: &left_out };
        packer.add(folder, Path::new(""), 0)?;
        builder = packer.builder;
    }
    let mut file = builder.into_inner()?;
    file.flush()?;
    let length = file.metadata()?.len();
    file.set_len(length.next_multiple_of(ALIGNMENT))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn packages_and_folders_are_told_apart() {
        let parsed = Packages::parse("debian:nginx,iproute2-,./conf,g++");
        let names = vec!["nginx", "iproute2-", "g++"];
        assert_eq!(parsed, Some(Packages { names, folders: vec!["./conf"] }));
        assert_eq!(Packages::parse("./debian"), None);
    }

    #[test]
    fn a_folder_is_laid_over_an_archive() {
        let work = tempfile::tempdir().unwrap();
        let [below, above] = ["below", "above"].map(|name| work.path().join(name));
        for (folder, name, text) in
            [(&below, "both", "below"), (&below, "one", "1"), (&above, "both", "above")]
        {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        let [root, path] = ["root.tar", "archive.tar"].map(|name| work.path().join(name));
        super::super::pack(&below, &root, &[]).unwrap();
        // The packages are for everybody, and what is laid over them may be keys.
        fs::set_permissions(&root, Permissions::from_mode(0o644)).unwrap();
        archive_of(&root, &path, &[above], &[]).unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.len() % ALIGNMENT, made.permissions().mode() & 0o777), (0, 0o600));
        let out = work.path().join("out");
        tar::Archive::new(File::open(&path).unwrap()).unpack(&out).unwrap();
        assert_eq!(fs::read_to_string(out.join("both")).unwrap(), "above");
        assert_eq!(fs::read_to_string(out.join("one")).unwrap(), "1");
    }
}
