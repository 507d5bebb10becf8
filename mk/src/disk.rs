//! Disks of guests: what `--disk` and test directives name, and the images of it.

pub(crate) mod debian;
pub(crate) mod sealed;

use crate::image::manifest::Manifest;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use debian::Packages;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;
use tar::{Builder, EntryType, Header};

/// Whole pages, so that an image fits disks with sectors of any size.
const ALIGNMENT: u64 = 4096;

/// The deepest folder, in case links go in a circle. Linux follows 40 of them.
const DEPTH: usize = 32;

/// What a user gives for a disk: `NAME=FILE`, `NAME=FOLDER`, `NAME=SIZE` or
/// `NAME=debian:PACKAGE,...`, each with `,ro` behind it if the guest shall not write, and `,4096` for sectors of that size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// The name that the manifest gives the device, or that of the device itself.
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) read_only: bool,
    /// Bytes of a sector.
    pub(crate) sector: u32,
}

/// Reads what a user gives for a disk.
pub(crate) fn parse(text: &str) -> Result<Given, String> {
    let wrong =
        || format!("{text:?} should be NAME=FILE, NAME=FOLDER, NAME=SIZE or NAME=debian:PACKAGE");
    let (name, source) = text.split_once('=').ok_or_else(wrong)?;
    let (mut source, mut read_only, mut sector) = (source, false, 512);
    while let Some((rest, option)) = source.rsplit_once(',') {
        match option {
            "ro" => read_only = true,
            "4096" => sector = 4096,
            // It belongs to the name of a file.
            _ => break,
        }
        source = rest;
    }
    if name.is_empty() || source.is_empty() {
        return Err(wrong());
    }
    Ok(Given { name: name.into(), source: source.into(), read_only, sector })
}

/// Bytes of a size such as `64M`, `1GiB` or `512`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(1 << shift).filter(|&size| size > 0)
}

/// A disk for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// What Xen calls it, such as `xvda`.
    pub(crate) vdev: String,
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) sector: u32,
}

impl Image {
    /// The item for `disk=` of `xl`, with the image at `target`.
    pub(crate) fn xl(&self, target: &str) -> String {
        line(&self.vdev, self.read_only, target)
    }
}

/// The item for `disk=` of `xl`.
pub(crate) fn line(vdev: &str, read_only: bool, target: &str) -> String {
    let access = if read_only { "ro" } else { "rw" };
    format!("format=raw,vdev={vdev},access={access},target={target}")
}

/// Which disk of the app `name` is, as Xen calls it.
///
/// # Errors
/// When the app has no such disk.
pub(crate) fn which(manifest: &Manifest, name: &str) -> Result<String> {
    let app = &manifest.name;
    if let Some((_, vdev)) = manifest.disks().find(|(field, vdev)| [*field, *vdev].contains(&name))
    {
        return Ok(vdev.into());
    }
    let all: Vec<_> = manifest.disks().map(|(field, vdev)| format!("{field} ({vdev})")).collect();
    match &all[..] {
        [] => bail!("{app} has no disk: its manifest names none"),
        all => bail!("{app} has no disk {name}; it has {}", all.join(", ")),
    }
}

/// Makes the images of an app's disks. `number` tells apart several of one app.
///
/// # Errors
/// When one is given that the app does not have, or the other way round.
pub(crate) fn images(
    project: &Project,
    manifest: &Manifest,
    given: &[Given],
    number: usize,
    ui: &Ui,
) -> Result<Vec<Image>> {
    let mut images: Vec<Image> = Vec::new();
    for given in given {
        let vdev = which(manifest, &given.name)?;
        ensure!(
            images.iter().all(|image| image.vdev != vdev),
            "disk {} of {} is given twice",
            given.name,
            manifest.name
        );
        let (path, packed) = image(project, &manifest.name, &vdev, given, number, ui)?;
        let (read_only, sector) = (given.read_only || packed, given.sector);
        images.push(Image { vdev, path, read_only, sector });
    }
    for (field, vdev) in manifest.disks() {
        let there = images.iter().any(|image| image.vdev == vdev);
        ensure!(there, "{} needs a disk: {}", manifest.name, ways(field));
    }
    Ok(images)
}

/// How to give a disk. One that is a root is of no use while it is empty.
fn ways(field: &str) -> String {
    if field == "root" {
        return format!(
            "--disk {field}=debian:PACKAGE,... for a root of Debian's packages, such as \
             debian:busybox-static; or --disk {field}=FOLDER, or --disk {field}=FILE"
        );
    }
    format!("--disk {field}=FILE, --disk {field}=FOLDER, or --disk {field}=64M for an empty one")
}

/// The image of one disk, and whether it is an archive that was made.
fn image(
    project: &Project,
    app: &str,
    vdev: &str,
    given: &Given,
    number: usize,
    ui: &Ui,
) -> Result<(PathBuf, bool)> {
    let source = Path::new(&given.source);
    let number = if number == 0 { String::new() } else { format!("-{}", number + 1) };
    let own = |kind: &str| own(project, &format!("{app}-{vdev}{number}.{kind}"));
    if let Some(packages) = Packages::parse(&given.source) {
        let here = |folder: &str| Ok(PathBuf::from(folder));
        return Ok((packages.archive(project, own("tar")?, here, ui)?, true));
    }
    if source.is_dir() {
        let path = own("tar")?;
        pack(source, &path)?;
        return Ok((path, true));
    }
    if source.exists() {
        return Ok((source.to_owned(), false));
    }
    let Some(size) = size(&given.source) else {
        bail!(
            "there is no {}: a disk is a file, a folder, or a size such as 64M",
            source.display()
        );
    };
    // It stays from run to run, as a disk does.
    let path = own("img")?;
    match fs::metadata(&path) {
        Ok(there) => ensure!(
            there.len() == size,
            "the disk {} has {} bytes from an earlier run: give it as a file, remove it, or say \
             that size",
            path.display(),
            there.len()
        ),
        Err(_) => empty(&path, size)?,
    }
    Ok((path, false))
}

/// The path of an image that is called `name`, in the project's folder for them.
///
/// # Errors
/// When the folder cannot be made.
pub(crate) fn own(project: &Project, name: &str) -> Result<PathBuf> {
    let folder = project.out.join("disks");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder.join(name))
}

/// Makes an empty image, which takes no room until it is written to.
///
/// # Errors
/// When there is such a file, or it cannot be made.
pub(crate) fn empty(path: &Path, size: u64) -> Result<()> {
    ensure!(
        size.is_multiple_of(512),
        "a disk is a whole number of sectors of 512 bytes, which {size} bytes are not"
    );
    let what = || format!("cannot make {}", path.display());
    let file = File::create_new(path).with_context(what)?;
    file.set_len(size).with_context(what)
}

/// Packs a folder into a tar archive, as an image.
///
/// # Errors
/// When something in it cannot be read, or a name is not text.
pub(crate) fn pack(folder: &Path, path: &Path) -> Result<()> {
    let what = || format!("cannot pack {} into {}", folder.display(), path.display());
    let new = path.with_extension("new");
    let builder = Builder::new(File::create(&new).with_context(what)?);
    let mut packer = Packer { builder, root: folder };
    packer.add(folder, Path::new(""), 0).with_context(what)?;
    let mut file = packer.builder.into_inner().with_context(what)?;
    file.flush().with_context(what)?;
    let length = file.metadata().with_context(what)?.len();
    file.set_len(length.next_multiple_of(ALIGNMENT)).with_context(what)?;
    fs::rename(&new, path).with_context(what)
}

/// The archive that [`pack`] makes.
///
/// # Errors
/// As there.
pub(crate) fn packed(folder: &Path) -> Result<Vec<u8>> {
    let mut packer = Packer { builder: Builder::new(Vec::new()), root: folder };
    let what = || format!("cannot pack {}", folder.display());
    packer.add(folder, Path::new(""), 0).with_context(what)?;
    let mut bytes = packer.builder.into_inner()?;
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    Ok(bytes)
}

/// What goes into an archive of `root`.
struct Packer<'a, W: Write> {
    builder: Builder<W>,
    root: &'a Path,
}

impl<W: Write> Packer<'_, W> {
    /// Adds what is in `folder`, in the order of names, so that the same folder makes the same
    /// image. A link to something within the root, or to nothing, stays a link. One that leads out
    /// of it is followed: what it names is what the image is to hold.
    fn add(&mut self, folder: &Path, inside: &Path, depth: usize) -> Result<()> {
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
                header.set_size(metadata.len());
                let file = File::open(&path).with_context(shown)?;
                self.builder.append_data(&mut header, &inside, file).with_context(shown)?;
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
    use crate::image::manifest::{Device, Xl};

    fn manifest(disks: &[(&str, &str)]) -> Manifest {
        let device = |&(field, id): &(&str, &str)| Device {
            field: field.into(),
            class: "block".into(),
            id: id.into(),
            xl: Some(Xl { setting: "disk".into(), first: "xvda".into(), item: "{id}".into() }),
        };
        let devices = disks.iter().map(device).collect();
        Manifest { name: "site".into(), devices, ..Manifest::default() }
    }

    #[test]
    fn disks_are_given_by_name_and_source() {
        let given = |name: &str, source: &str, read_only| Given {
            name: name.into(),
            source: source.into(),
            read_only,
            sector: 512,
        };
        assert_eq!(parse("data=64M"), Ok(given("data", "64M", false)));
        assert_eq!(parse("xvdb=a=b,ro"), Ok(given("xvdb", "a=b", true)));
        let large = Given { sector: 4096, ..given("data", "a,b", true) };
        assert_eq!(parse("data=a,b,ro,4096"), Ok(large));
        for bad in ["data", "=x", "data=", "data=,ro"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("64M"), Some(64 << 20));
        assert_eq!(size("1gib"), Some(1 << 30));
        for bad in ["", "M", "0", "1X", "-1", "99999999999T", "1.5G"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_disk_has_its_name_in_the_manifest_or_that_of_the_device() {
        let manifest = manifest(&[("data", "xvdb"), ("root", "")]);
        assert_eq!(which(&manifest, "data").unwrap(), "xvdb");
        assert_eq!(which(&manifest, "xvdb").unwrap(), "xvdb");
        assert_eq!(which(&manifest, "root").unwrap(), "xvda");
        let error = which(&manifest, "other").unwrap_err().to_string();
        assert!(error.contains("data (xvdb), root (xvda)"), "{error}");
        let error = which(&Manifest::default(), "x").unwrap_err().to_string();
        assert!(error.contains("has no disk"), "{error}");
    }

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
        pack(&folder, &first).unwrap();
        pack(&folder, &second).unwrap();
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
        let error = pack(&folder, &out.path().join("x")).unwrap_err();
        assert!(format!("{error:#}").contains("too deep"), "{error:#}");
    }
}
