//! Folders as tar archives.

use super::ALIGNMENT;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;
use tar::{Builder, EntryType, Header};

/// The deepest folder, in case links go in a circle. Linux follows 40 of them.
const DEPTH: usize = 32;

/// A file that is made beside another one, takes its name when it is whole, and is removed otherwise.
/// Its name is of this process, so that it is nobody else's.
pub(crate) struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// The one for `target`, of which nothing is there yet.
    pub(crate) fn of(target: &Path) -> Self {
        let mut path = target.as_os_str().to_owned();
        path.push(format!(".{}.new", std::process::id()));
        Self { path: path.into(), target: target.to_owned() }
    }

    /// Where it is made.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it. Whoever packs keys, packs them for nobody else.
    pub(crate) fn create(&self) -> std::io::Result<File> {
        // One that a process of the same number left.
        let _ = fs::remove_file(&self.path);
        File::options().write(true).read(true).create_new(true).mode(0o600).open(&self.path)
    }

    /// Makes it of what is in a file, whoever may read that.
    pub(crate) fn fill(&self, from: &Path) -> std::io::Result<()> {
        std::io::copy(&mut File::open(from)?, &mut self.create()?).map(drop)
    }

    /// Gives it its name.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is not there once it has its name.
        let _ = fs::remove_file(&self.path);
    }
}

/// What a file or folder is known by, whatever leads to it.
type Id = (u64, u64);

/// The files and folders among these that there are.
pub(super) fn ids<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<Id> {
    let there = paths.into_iter().filter_map(|path| fs::metadata(path).ok());
    there.map(|it| id(&it)).collect()
}

fn id(metadata: &fs::Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

/// Packs a folder into a tar archive, as an image. What is in `besides` is left out, and the archive
/// itself is: it may lie in the folder.
///
/// # Errors
/// When something in it cannot be read or becomes shorter meanwhile, or a name is not text.
pub(crate) fn pack(folder: &Path, path: &Path, besides: &[PathBuf]) -> Result<()> {
    let what = || format!("cannot pack {} into {}", folder.display(), path.display());
    let draft = Draft::of(path);
    let builder = Builder::new(draft.create().with_context(what)?);
    let left_out = ids(besides.iter().map(PathBuf::as_path).chain([draft.path()]));
    let mut packer = Packer { builder, root: folder, left_out: &left_out };
    packer.add(folder, Path::new(""), 0).with_context(what)?;
    let mut file = packer.builder.into_inner().with_context(what)?;
    file.flush().with_context(what)?;
    let length = file.metadata().with_context(what)?.len();
    file.set_len(length.next_multiple_of(ALIGNMENT)).with_context(what)?;
    draft.finish().with_context(what)
}

/// The archive that [`pack`] makes.
///
/// # Errors
/// As there.
pub(crate) fn packed(folder: &Path) -> Result<Vec<u8>> {
    let mut packer = Packer { builder: Builder::new(Vec::new()), root: folder, left_out: &[] };
    let what = || format!("cannot pack {}", folder.display());
    packer.add(folder, Path::new(""), 0).with_context(what)?;
    let mut bytes = packer.builder.into_inner()?;
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    Ok(bytes)
}

/// What goes into an archive of `root`.
pub(super) struct Packer<'a, W: Write> {
    pub(super) builder: Builder<W>,
    pub(super) root: &'a Path,
    /// What does not, wherever it lies.
    pub(super) left_out: &'a [Id],
}

impl<W: Write> Packer<'_, W> {
    /// Adds what is in `folder`, in the order of names, so that the same folder makes the same
    /// image. A link to something within the root, or to nothing, stays a link. One that leads out
    /// of it is followed: what it names is what the image is to hold.
    pub(super) fn add(&mut self, folder: &Path, inside: &Path, depth: usize) -> Result<()> {
        let path = folder.display();
        ensure!(depth < DEPTH, "{path} is nested too deeply: does a link point back up?");
        let entries = fs::read_dir(folder).with_context(|| path.to_string())?;
        let mut names: Vec<_> =
            entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        names.sort();
        for name in names {
            let (path, inside) = (folder.join(&name), inside.join(&name));
            let shown = || path.display().to_string();
            ensure!(name.to_str().is_some(), "the name {} is not UTF-8", path.display());
            let mut header = Header::new_ustar();
            if let Some(target) = self.kept(&path, &inside) {
                let metadata = fs::symlink_metadata(&path).with_context(shown)?;
                header.set_mtime(seconds(&metadata));
                header.set_entry_type(EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                self.builder.append_link(&mut header, &inside, target).with_context(shown)?;
                continue;
            }
            let metadata = fs::metadata(&path).with_context(shown)?;
            if self.left_out.contains(&id(&metadata)) {
                continue;
            }
            header.set_mtime(seconds(&metadata));
            header.set_mode(metadata.permissions().mode() & 0o7777);
            if metadata.is_dir() {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                let builder = &mut self.builder;
                builder.append_data(&mut header, &inside, std::io::empty()).with_context(shown)?;
                self.add(&path, &inside, depth + 1)?;
            } else if metadata.is_file() {
                header.set_entry_type(EntryType::Regular);
                let size = metadata.len();
                header.set_size(size);
                // What is written behind that meanwhile would be read as further entries.
                let mut file = File::open(&path).with_context(shown)?.take(size);
                self.builder.append_data(&mut header, &inside, &mut file).with_context(shown)?;
                ensure!(file.limit() == 0, "{} became shorter while it was packed", shown());
            }
        }
        Ok(())
    }

    /// The target of the link at `path`, which is `inside` the root, if it stays a link.
    fn kept(&self, path: &Path, inside: &Path) -> Option<PathBuf> {
        let target = fs::read_link(path).ok()?;
        // As a program sees it whose root this is.
        let mut from_root = match target.is_absolute() {
            true => PathBuf::new(),
            false => inside.parent()?.to_owned(),
        };
        let mut within = true;
        for part in target.components() {
            match part {
                Component::Normal(name) => from_root.push(name),
                Component::ParentDir => within &= from_root.pop(),
                _ => {}
            }
        }
        let leads_out = !within || fs::symlink_metadata(self.root.join(&from_root)).is_err();
        (!leads_out || fs::metadata(path).is_err()).then_some(target)
    }
}

/// Seconds since 1970 when it was changed.
fn seconds(metadata: &fs::Metadata) -> u64 {
    let time = metadata.modified().ok();
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_makes_the_same_image_each_time() {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("folder");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("sub/b.txt"), "two").unwrap();
        fs::write(folder.join("a.txt"), "one").unwrap();
        std::os::unix::fs::symlink("a.txt", folder.join("link")).unwrap();
        fs::write(folder.join("x".repeat(200)), "long").unwrap();
        let [first, second] = ["1", "2"].map(|name| work.path().join(name));
        pack(&folder, &first, &[]).unwrap();
        pack(&folder, &second, &[]).unwrap();
        let bytes = fs::read(&first).unwrap();
        assert_eq!(bytes, fs::read(&second).unwrap());
        assert_eq!(bytes.len() % 4096, 0);
        let mut archive = tar::Archive::new(&*bytes);
        let entries = archive.entries().unwrap().map(Result::unwrap);
        let names: Vec<_> =
            entries.map(|entry| entry.path().unwrap().display().to_string()).collect();
        assert_eq!(names[..4], ["a.txt", "link", "sub", "sub/b.txt"]);
        assert_eq!(names[4].len(), 200);
    }

    #[test]
    fn links_within_a_folder_stay_links_and_others_are_followed() {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("folder");
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(work.path().join("outside"), "out").unwrap();
        fs::write(folder.join("bin/tool"), "tool").unwrap();
        fs::set_permissions(folder.join("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
        let outside = work.path().join("outside").display().to_string();
        for (name, target) in [
            ("absolute", "/bin/tool"),
            ("bin/circle", "../bin"),
            ("bin/relative", "./tool"),
            ("nowhere", "/nowhere/at/all"),
            ("out", "../outside"),
            ("out2", &outside),
        ] {
            std::os::unix::fs::symlink(target, folder.join(name)).unwrap();
        }
        let archive = packed(&folder).unwrap();
        let mut archive = tar::Archive::new(&*archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let link = entry.link_name().unwrap().map(|it| it.display().to_string());
            let name = entry.path().unwrap().display().to_string();
            (name, link.unwrap_or_else(|| format!("{:o}", entry.header().mode().unwrap() >> 6)))
        });
        let expected = [
            ("absolute", "/bin/tool"),
            ("bin", "7"),
            ("bin/circle", "../bin"),
            ("bin/relative", "./tool"),
            ("bin/tool", "47"),
            ("nowhere", "/nowhere/at/all"),
            ("out", "6"),
            ("out2", "6"),
        ];
        let expected = expected.map(|(name, what)| (name.to_string(), what.to_string()));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_folder_in_itself_is_an_error() {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("folder");
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(work.path(), folder.join("again")).unwrap();
        let out = tempfile::tempdir().unwrap();
        let error = pack(&folder, &out.path().join("x"), &[]).unwrap_err();
        assert!(format!("{error:#}").contains("too deep"), "{error:#}");
    }

    /// The names in an archive.
    fn names(path: &Path) -> Vec<String> {
        let mut archive = tar::Archive::new(File::open(path).unwrap());
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn an_archive_in_its_own_folder_does_not_hold_itself() {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path();
        fs::write(folder.join("z.txt"), "text").unwrap();
        fs::write(folder.join("x.new"), "the user's").unwrap();
        fs::create_dir_all(folder.join("out/disks")).unwrap();
        fs::write(folder.join("out/disks/large"), "of ours").unwrap();
        pack(folder, &folder.join("x.tar"), &[folder.join("out/disks")]).unwrap();
        assert_eq!(names(&folder.join("x.tar")), ["out", "x.new", "z.txt"]);
        assert_eq!(fs::read(folder.join("x.new")).unwrap(), b"the user's");
        // What fails leaves nothing behind.
        pack(&folder.join("none"), &folder.join("y.tar"), &[]).unwrap_err();
        let mut left: Vec<_> =
            fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["out", "x.new", "x.tar", "z.txt"]);
    }

    #[test]
    fn a_file_that_grows_or_shrinks_breaks_no_archive() {
        // Linux says that such files are empty, or as long as a page, whatever can be read of them.
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("folder");
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/proc/self/status", folder.join("grows")).unwrap();
        fs::write(folder.join("last"), "text").unwrap();
        let path = work.path().join("x.tar");
        pack(&folder, &path, &[]).unwrap();
        assert_eq!(names(&path), ["grows", "last"]);
        std::os::unix::fs::symlink("/sys/devices/system/cpu/online", folder.join("a")).unwrap();
        let error = format!("{:#}", pack(&folder, &path, &[]).unwrap_err());
        assert!(error.contains("became shorter"), "{error}");
    }
}
