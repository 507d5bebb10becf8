//! Roots for programs of Linux: Debian's packages with what they depend on, as one archive.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tar::{Builder, EntryType, Header};

use super::apt::{self, Package, Wanted};
use super::options::Progress;
use super::unpack;

/// What every Debian machine has, and packages thus do not say that they depend on: folders, users,
/// names of services and protocols, a locale for UTF-8.
const BASE: [&str; 4] = ["base-files", "base-passwd", "libc-bin", "netbase"];

/// What packages depend on for their installation, or for the system that would start them.
const NOT_FOLLOWED: [&str; 14] = [
    "adduser",
    "cdebconf",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "logrotate",
    "lsb-base",
    "passwd",
    "runit-helper",
    "sensible-utils",
    "sysvinit-utils",
    "tar",
    "ucf",
];

/// Folders that a merged `/usr` has for the root, and the root has as links.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What programs do not read.
const LEFT_OUT: [&str; 7] = [
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
];

/// Files that scripts of the packages would copy when they are installed: from where to where.
const COPIED: [(&str, &str); 3] = [
    ("usr/share/base-passwd/passwd.master", "etc/passwd"),
    ("usr/share/base-passwd/group.master", "etc/group"),
    ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
];

/// Where the certificates of `ca-certificates` are, and the file with all of them, which is made
/// when that is installed.
const CERTIFICATES: &str = "usr/share/ca-certificates";
const ALL_CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// A shell for a root without one, if that is there: it has its other programs within itself.
const SHELL: &str = "usr/bin/sh";
const ALL_IN_ONE: &str = "usr/bin/busybox";

/// Whole pages, so that it is a disk with sectors of any size.
const ALIGNMENT: u64 = 4096;

/// Changes with what is made of packages, so that roots of another making are made anew.
const EDITION: u32 = 3;

/// Makes a tar archive with the root of a Linux system, or finds it made: Debian's `packages`, with
/// what they depend on and what every Debian has, without root.
///
/// `NAME-` leaves out a package that others depend on, as apt-get has it. Nothing that the packages
/// do when they are installed is done: services have no users of their own, and no alternatives are
/// chosen. A root with busybox and without a shell has the former as `sh`. A network is needed the first time only; the versions stay as they are until
/// `cache` is removed or the machine gets another release of Debian.
///
/// # Errors
/// When there is no such package, when packages cannot be fetched or `cache` cannot be written.
pub fn root(cache: &Path, packages: &[&str], progress: &dyn Progress) -> Result<PathBuf> {
    let roots = cache.join("roots");
    let debs = roots.join("packages");
    fs::create_dir_all(&debs).with_context(|| format!("cannot make {}", debs.display()))?;
    let archive = roots.join(file_name(packages));
    let lock = File::create(roots.join("lock"))?;
    if lock.try_lock().is_err() {
        progress.step("waiting until another process has made its root");
        lock.lock()?;
    }
    if archive.exists() {
        return Ok(archive);
    }
    let shown = packages.join(" ");
    let (out, named): (Vec<&str>, Vec<&str>) =
        packages.iter().partition(|name| name.ends_with('-'));
    ensure!(!named.is_empty(), "a root is made of at least one package of Debian");
    let out: Vec<&str> = out.iter().map(|name| name.trim_end_matches('-')).collect();
    let follows = |package: &Package| {
        !out.contains(&&*package.name) && !NOT_FOLLOWED.contains(&&*package.name)
    };
    let mut names: Vec<&str> = named.iter().chain(&BASE).copied().collect();
    names.sort_unstable();
    names.dedup();
    let wanted = Wanted { names: &names, follows: &follows, what: &format!("for {shown}") };
    let fetched = apt::fetch(cache, &debs, &wanted, progress)?;
    progress.step(&format!("making a root of {} packages", fetched.len()));
    let new = archive.with_extension("new");
    let mut making = Making::new(&new)?;
    for (number, (_, file)) in fetched.iter().enumerate() {
        progress.bytes(number as u64, fetched.len() as u64);
        if let Err(error) = making.add(file) {
            // Its size was right, so that only fetching it again mends it.
            fs::remove_file(file)?;
            return Err(error);
        }
    }
    making.finish()?;
    fs::rename(&new, &archive)?;
    Ok(archive)
}

/// Names the archive by what is in it.
fn file_name(packages: &[&str]) -> String {
    // This hash may differ between versions of Rust, and then one more root is made: that is all
    // that can happen.
    let mut hasher = DefaultHasher::new();
    (EDITION, apt::release(), packages).hash(&mut hasher);
    let first = packages.first().copied().unwrap_or_default();
    format!("{first}-{:016x}.tar", hasher.finish())
}

/// Tells where a package's file goes, if it is wanted.
fn place(path: &Path) -> Option<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let mut place: PathBuf = parts.collect();
    if MERGED.iter().any(|folder| place.starts_with(folder)) {
        place = Path::new("usr").join(place);
    }
    let left_out = LEFT_OUT.iter().any(|folder| place.starts_with(folder));
    (!left_out && place.parent().is_some()).then_some(place)
}

/// An archive that is being made.
struct Making {
    archive: Builder<BufWriter<File>>,
    /// What is in it.
    places: BTreeSet<PathBuf>,
    certificates: Vec<u8>,
}

impl Making {
    /// Begins with the links to the folders of a merged `/usr`.
    fn new(path: &Path) -> Result<Making> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let archive = Builder::new(BufWriter::new(file));
        let mut making = Making { archive, places: BTreeSet::new(), certificates: Vec::new() };
        for name in MERGED {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            making.archive.append_link(&mut header, name, Path::new("usr").join(name))?;
        }
        Ok(making)
    }

    /// Adds what is wanted of a package. What is there already stays: only folders are in more than
    /// one.
    fn add(&mut self, package: &Path) -> Result<()> {
        unpack::entries(package, &mut |mut entry| {
            let Some(place) = place(&entry.path()?) else { return Ok(()) };
            let is_link = entry.header().entry_type() == EntryType::Symlink;
            // Of a release whose packages bring the links of a merged /usr, which are there.
            if is_link && MERGED.iter().any(|it| place == Path::new("usr").join(it)) {
                return Ok(());
            }
            if !self.places.insert(place.clone()) {
                return Ok(());
            }
            let mut header = entry.header().clone();
            match header.entry_type() {
                EntryType::Link => {
                    let target = entry.link_name()?.context("a link to nothing")?;
                    // To a file that is left out.
                    let Some(target) = self::place(&target) else { return Ok(()) };
                    self.archive.append_link(&mut header, place, target)?;
                }
                EntryType::Symlink => {
                    let target = entry.link_name()?.context("a link to nothing")?.into_owned();
                    self.archive.append_link(&mut header, place, target)?;
                }
                EntryType::Regular if self.is_kept(&place) => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    self.archive.append_data(&mut header, &place, &*bytes)?;
                    for (from, to) in COPIED {
                        if place == Path::new(from) {
                            self.file(to, &bytes)?;
                        }
                    }
                    if place.starts_with(CERTIFICATES) {
                        self.certificates.extend(bytes);
                    }
                }
                _ => self.archive.append_data(&mut header, place, entry)?,
            }
            Ok(())
        })
    }

    /// Whether a file is looked into before it is added.
    fn is_kept(&self, place: &Path) -> bool {
        place.starts_with(CERTIFICATES) || COPIED.iter().any(|(from, _)| place == Path::new(from))
    }

    /// Adds a file of root's, unless a package has brought one.
    fn file(&mut self, place: &str, bytes: &[u8]) -> Result<()> {
        if self.places.insert(place.into()) {
            let mut header = header(EntryType::Regular, 0o644, bytes.len() as u64);
            self.archive.append_data(&mut header, place, bytes)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        let certificates = std::mem::take(&mut self.certificates);
        if !certificates.is_empty() {
            self.file(ALL_CERTIFICATES, &certificates)?;
        }
        let has = |path: &str| self.places.contains(Path::new(path));
        if has(ALL_IN_ONE) && !has(SHELL) {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            self.archive.append_link(&mut header, SHELL, "busybox")?;
        }
        let file = self.archive.into_inner()?.into_inner()?;
        let length = file.metadata()?.len();
        Ok(file.set_len(length.next_multiple_of(ALIGNMENT))?)
    }
}

/// Begins an entry of the user root.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_places_in_a_merged_usr() {
        let at = |path: &str| place(Path::new(path)).map(|place| place.display().to_string());
        assert_eq!(at("./bin/dash").as_deref(), Some("usr/bin/dash"));
        assert_eq!(
            at("./lib64/ld-linux-x86-64.so.2").as_deref(),
            Some("usr/lib64/ld-linux-x86-64.so.2")
        );
        assert_eq!(at("./libexec/x").as_deref(), Some("libexec/x"));
        assert_eq!(at("./etc/").as_deref(), Some("etc"));
        assert_eq!(at("./usr/share/doc/x/copyright"), None);
        assert_eq!(at("./"), None);
    }

    #[test]
    fn other_packages_make_another_root() {
        assert_ne!(file_name(&["redis-server"]), file_name(&["redis-server", "dash"]));
        assert!(file_name(&["redis-server"]).starts_with("redis-server-"));
    }
}
