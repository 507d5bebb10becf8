//! Disks of guests: what `--disk` and test directives name, and the images of it.

mod archive;
pub(crate) mod debian;
pub(crate) mod sealed;

pub(crate) use archive::{Draft, pack, packed};

use crate::boot;
use crate::image::manifest::Manifest;
use crate::image::xl;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use debian::Packages;
use lab::{Disk, Options};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a sector, where nobody says otherwise.
pub(crate) const SECTOR: u32 = 512;

/// Whole pages, so that an image fits disks with sectors of any size.
const ALIGNMENT: u64 = 4096;

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
    let (mut source, mut read_only, mut sector) = (source, false, SECTOR);
    while let Some((rest, option)) = source.rsplit_once(',') {
        match option {
            "ro" => read_only = true,
            "512" => sector = 512,
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

/// Refuses what no disk can be, before anything is built for it.
///
/// # Errors
/// When one is neither there nor a size nor packages.
pub(crate) fn check(given: &[Given]) -> Result<()> {
    for Given { name, source, .. } in given {
        let known = Packages::parse(source).is_some() || size(source).is_some();
        ensure!(
            known || Path::new(source).exists(),
            "--disk {name}={source}: there is no {source}: a disk is a file, a folder, a size such as \
             64M, or packages, as debian:NAME,...; behind it may stand ,ro and ,512 or ,4096 for its \
             sectors"
        );
    }
    Ok(())
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
    fn disk(&self) -> Disk {
        Disk { path: self.path.clone(), read_only: self.read_only, sector: self.sector }
    }

    /// The item for `disk=` of `xl`, with the image at `target`.
    pub(crate) fn xl(&self, target: &str) -> String {
        line(&self.vdev, self.read_only, target)
    }

    /// Refuses a file whose last sector is not whole: Linux's loop devices, by which Xen hosts have
    /// files as disks, leave that out.
    ///
    /// # Errors
    /// As said, and when the file is not there.
    pub(crate) fn check_whole(&self) -> Result<()> {
        let shown = self.path.display();
        let there = fs::metadata(&self.path).with_context(|| shown.to_string())?;
        ensure!(
            !there.is_file() || there.len().is_multiple_of(SECTOR.into()),
            "{shown} has {} bytes, and a Xen host leaves out what is no whole sector of {SECTOR}: give a \
             copy of it that `truncate -s %{SECTOR}` has filled with zeros",
            there.len()
        );
        Ok(())
    }
}

/// Locks the images, as long as what is returned lives.
///
/// # Errors
/// When one is in use, or cannot be opened.
pub(crate) fn lock(images: &[Image]) -> Result<Vec<File>> {
    Disk::lock(&images.iter().map(Image::disk).collect::<Vec<_>>())
}

/// The item for `disk=` of `xl`.
pub(crate) fn line(vdev: &str, read_only: bool, target: &str) -> String {
    let access = if read_only { "ro" } else { "rw" };
    format!("format=raw,vdev={vdev},access={access},target={target}")
}

/// Gives dom0 the images as disks of its own, and says so to xl.
pub(crate) fn attach(images: &[Image], options: &mut Options) -> Option<String> {
    let item = |image: &Image| {
        let target = Disk::in_dom0(options.disks.len());
        options.disks.push(image.disk());
        image.xl(&target)
    };
    xl::list("disk", &images.iter().map(item).collect::<Vec<_>>())
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
    let has = |vdev| images.iter().any(|image| image.vdev == vdev);
    let missing: Vec<_> = manifest.disks().filter(|(_, vdev)| !has(*vdev)).collect();
    match missing[..] {
        [] => Ok(images),
        [(field, _)] => bail!("{} needs a disk: {}", manifest.name, ways(field)),
        _ => {
            let each: Vec<_> = missing.iter().map(|(field, _)| ways(field)).collect();
            bail!("{} needs {} disks:\n  {}", manifest.name, each.len(), each.join("\n  "))
        }
    }
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
    let name = |kind: &str| format!("{app}-{vdev}{number}.{kind}");
    if let Some(packages) = Packages::parse(&given.source) {
        let here = |folder: &str| Ok(PathBuf::from(folder));
        return Ok((packages.archive(project, of_run(project, &name("tar"))?, here, ui)?, true));
    }
    if source.is_dir() {
        let path = of_run(project, &name("tar"))?;
        pack(source, &path, &made(project))?;
        return Ok((path, true));
    }
    if source.exists() {
        return Ok((source.to_owned(), false));
    }
    let Some(size) = size(&given.source) else {
        return check(std::slice::from_ref(given))
            .and_then(|()| bail!("{} is gone", source.display()));
    };
    // It stays from run to run, as a disk does.
    let path = own(project, &name("img"))?;
    match fs::metadata(&path) {
        Ok(there) if there.len() > 0 => ensure!(
            there.len() == size,
            "the disk {} has {} bytes from an earlier run: give it as a file, remove it, or say \
             that size",
            path.display(),
            there.len()
        ),
        // What is left of one that could not be made.
        Ok(_) => fs::remove_file(&path).map_err(Into::into).and_then(|()| empty(&path, size))?,
        Err(_) => empty(&path, size)?,
    }
    Ok((path, false))
}

/// The path of an archive that is called `name`, in the folder of this run: another one beside it
/// may make such an archive of something else.
///
/// # Errors
/// When the folder cannot be made.
pub(crate) fn of_run(project: &Project, name: &str) -> Result<PathBuf> {
    Ok(boot::run_folder(project)?.join(name))
}

/// Moves the archives among the images to where they stay: a domain of this Xen host lives longer than the run
/// that made it, and looks for its disks when it reboots. Each of a name has its own, as each domain has.
///
/// # Errors
/// When that fails.
pub(crate) fn keep_for(domain: &str, project: &Project, images: &mut [Image]) -> Result<()> {
    keep_in(&kept(project).join("domains"), domain, &boot::run_folder(project)?, images)
}

fn keep_in(folder: &Path, domain: &str, run: &Path, images: &mut [Image]) -> Result<()> {
    for image in images.iter_mut().filter(|image| image.path.starts_with(run)) {
        let what = || folder.display().to_string();
        fs::create_dir_all(folder).with_context(what)?;
        // One after the other: of two that begin at once, each would find the other's place free.
        let place = File::open(folder).with_context(what)?;
        let _ = place.lock();
        let path = folder.join(format!("{domain}-{}.tar", image.vdev));
        if let Ok(there) = File::open(&path) {
            let used = matches!(there.try_lock(), Err(TryLockError::WouldBlock));
            ensure!(
                !used,
                "another run begins a domain {domain}, and has {}: give this one another name by --name",
                path.display()
            );
        }
        fs::rename(&image.path, &path).with_context(|| path.display().to_string())?;
        image.path = path;
    }
    Ok(())
}

/// Where disks that stay from run to run are.
pub(crate) fn kept(project: &Project) -> PathBuf {
    project.out.join("disks")
}

/// Where disks and archives of this tool are, which go into no archive of a folder around them.
pub(crate) fn made(project: &Project) -> Vec<PathBuf> {
    vec![kept(project), boot::runs(project)]
}

/// The path of an image that is called `name` and stays from run to run.
///
/// # Errors
/// When the folder for them cannot be made.
fn own(project: &Project, name: &str) -> Result<PathBuf> {
    let folder = kept(project);
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
    // Keys may come onto it.
    let file =
        File::options().write(true).create_new(true).mode(0o600).open(path).with_context(what)?;
    file.set_len(size)
        .inspect_err(|_| drop(fs::remove_file(path)))
        .with_context(|| format!("cannot make {}, a file of {size} bytes", path.display()))
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
    fn a_file_whose_last_sector_is_not_whole_is_for_no_xen_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        let image =
            Image { vdev: "xvda".into(), path: path.clone(), read_only: true, sector: SECTOR };
        assert!(image.check_whole().is_err());
        fs::write(&path, [0; 1024]).unwrap();
        assert!(image.check_whole().is_ok());
        fs::write(&path, [0; 1025]).unwrap();
        let error = image.check_whole().unwrap_err().to_string();
        assert!(error.contains("1025 bytes") && error.contains("truncate -s %512"), "{error}");
    }

    #[test]
    fn what_no_disk_can_be_is_refused_with_its_path_and_the_forms() {
        let check = |source: &str| check(&[parse(&format!("root={source}")).unwrap()]);
        for good in ["64M", "/", "/dev/null,ro", "debian:dash"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let error = check("/no/such,ro").unwrap_err().to_string();
        for part in ["--disk root=/no/such: ", "a folder, a size such as 64M", ",ro and"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_archive_of_a_domain_stays_when_its_run_is_gone() {
        let work = tempfile::tempdir().unwrap();
        let [run, folder] = ["run/1", "disks/domains"].map(|name| work.path().join(name));
        let image = |vdev: &str, path: &Path| Image {
            vdev: vdev.into(),
            path: path.into(),
            read_only: true,
            sector: SECTOR,
        };
        let own = work.path().join("own.img");
        let begin = |domain, text| {
            fs::create_dir_all(&run).unwrap();
            fs::write(run.join("site-xvda.tar"), text).unwrap();
            let mut images = [image("xvda", &run.join("site-xvda.tar"))];
            let locked = lock(&images).unwrap();
            keep_in(&folder, domain, &run, &mut images).map(|()| locked)
        };
        for (domain, text) in [("web", "old"), ("other", "another"), ("web", "new")] {
            fs::create_dir_all(&run).unwrap();
            fs::write(run.join("site-xvda.tar"), text).unwrap();
            let mut images = [image("xvda", &run.join("site-xvda.tar")), image("xvdb", &own)];
            keep_in(&folder, domain, &run, &mut images).unwrap();
            assert_eq!(images[1].path, own);
            fs::remove_dir_all(&run).unwrap();
            assert_eq!(fs::read_to_string(&images[0].path).unwrap(), text);
        }
        assert_eq!(fs::read_to_string(folder.join("other-xvda.tar")).unwrap(), "another");
        // While a run follows its domain, none of its name takes what is its.
        let web = || fs::read_to_string(folder.join("web-xvda.tar")).unwrap();
        let first = begin("web", "first").unwrap();
        let error = begin("web", "second").unwrap_err().to_string();
        assert!(error.contains("another run begins a domain web"), "{error}");
        assert_eq!(web(), "first");
        drop(first);
        assert!(boot::soon(|| begin("web", "third").is_ok()));
        assert_eq!(web(), "third");
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
}
