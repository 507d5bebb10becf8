//! What QEMU boots: hypervisor, kernel and initial file system, made once from
//! Debian's packages and kept.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::options::Progress;
use super::{apt, initramfs, unpack};

/// The files that QEMU boots.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    folder: PathBuf,
}

impl Image {
    pub(crate) fn xen(&self) -> PathBuf {
        self.folder.join("xen")
    }

    pub(crate) fn linux(&self) -> PathBuf {
        self.folder.join("linux")
    }

    /// The parts of dom0's initial file system that this dom0 takes, for the
    /// kernel to unpack one over the other.
    pub(crate) fn initramfs(&self, network: bool, python: bool) -> Vec<PathBuf> {
        let parts = [(true, BASE), (network, NETWORK), (python, PYTHON)];
        parts.into_iter().filter(|part| part.0).map(|part| self.folder.join(part.1)).collect()
    }
}

/// The part of the file system that every dom0 has.
const BASE: &str = "initramfs";
/// The part that makes a network for guests, and has the tools to test it.
const NETWORK: &str = "initramfs-network";
/// The part that tells exact processor times.
const PYTHON: &str = "initramfs-python";

/// Space that fetching and building take, at their height: 120 MB of packages,
/// what is wanted of them unpacked, and what is made of that.
const SPACE: u64 = 500 << 20;

/// Where the packages' names and versions stand, once all are unpacked.
pub(crate) const VERSIONS: &str = "versions";

/// Makes all that booting needs, or finds it made. A network is needed the
/// first time only: afterwards the versions stay as they are until the folder is
/// removed or the machine gets another release of Debian.
///
/// Everything is made in a folder `new` and renamed when complete, so nothing
/// half made is ever used; packages that were fetched stay until all are.
pub(crate) fn prepare(cache: &Path, progress: &dyn Progress) -> Result<Image> {
    let built = || format!("cannot prepare Xen and dom0 in {}", cache.display());
    fs::create_dir_all(cache).with_context(built)?;
    // Another `cargo mk` may be at the same work: wait, and then find it done.
    let lock = File::create(cache.join("lock"))?;
    if lock.try_lock().is_err() {
        progress.step("waiting until another process has prepared Xen and dom0");
        lock.lock()?;
    }
    let tree = cache.join("tree");
    if !is_complete(&tree, &apt::ROOTS) {
        fetch_tree(cache, &tree, &apt::ROOTS, progress).with_context(built)?;
    }
    let folder = cache.join(format!("image-{:016x}", key(&tree)?));
    if !folder.exists() {
        progress.step("building dom0's initial file system");
        let new = cache.join("new");
        empty(&new)?;
        build(&tree, &new).with_context(built)?;
        // Images of other keys are of no more use. A QEMU that was started from
        // one has read it whole.
        for entry in fs::read_dir(cache)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("image-") {
                fs::remove_dir_all(entry.path())?;
            }
        }
        fs::rename(&new, &folder)?;
    }
    Ok(Image { folder })
}

/// Whether booting would need neither network nor building.
pub(crate) fn is_prepared(cache: &Path) -> bool {
    let tree = cache.join("tree");
    is_complete(&tree, &apt::ROOTS)
}

/// Whether the tree is there, of this machine's release and with all that is
/// wanted today.
pub(crate) fn is_complete(tree: &Path, roots: &[&str]) -> bool {
    let versions = fs::read_to_string(tree.join(VERSIONS));
    versions.is_ok_and(|versions| versions.starts_with(&wanted(roots)))
}

/// What the list of versions begins with: what was asked for.
fn wanted(roots: &[&str]) -> String {
    let (release, roots) = (apt::release(), roots.join(" "));
    format!("{release}\nedition {} of {roots}\n", unpack::EDITION)
}

/// What the image depends on: the packages' versions, and the files here that
/// decide how it is made.
fn key(tree: &Path) -> Result<u64> {
    // This hash may differ between versions of Rust, and then one more image is
    // built: that is all that can happen.
    let mut hasher = DefaultHasher::new();
    fs::read_to_string(tree.join(VERSIONS))?.hash(&mut hasher);
    (initramfs::SCRIPTS, initramfs::NETWORK_SCRIPTS).hash(&mut hasher);
    (include_str!("image.rs"), include_str!("initramfs.rs")).hash(&mut hasher);
    (include_str!("modules.rs"), include_str!("network.rs"), include_str!("programs.rs"))
        .hash(&mut hasher);
    Ok(hasher.finish())
}

/// Makes a folder with nothing in it.
pub(crate) fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir(folder)?)
}

/// Makes a tree of what is wanted of the packages in `roots` and of their libraries.
pub(crate) fn fetch_tree(
    cache: &Path,
    tree: &Path,
    roots: &[&str],
    progress: &dyn Progress,
) -> Result<()> {
    let space = rustix::fs::statvfs(cache)?;
    let free = space.f_bavail * space.f_frsize;
    if free < SPACE {
        let (free, space) = (free >> 20, SPACE >> 20);
        bail!("not enough disk space: {space} MiB are needed, and {free} MiB are free");
    }
    let packages = cache.join("packages");
    fs::create_dir_all(&packages)?;
    let follows = apt::Package::is_needed;
    let wish = apt::Wanted { names: roots, follows: &follows, what: "for Xen and Linux" };
    let fetched = apt::fetch(cache, &packages, &wish, progress)?;
    progress.step("unpacking Debian's packages");
    let new = cache.join("new");
    empty(&new)?;
    let mut versions = wanted(roots);
    for (number, (package, file)) in fetched.iter().enumerate() {
        progress.bytes(number as u64, fetched.len() as u64);
        if let Err(error) = unpack::unpack(file, &new) {
            // Its size was right, so that only fetching it again mends it.
            fs::remove_file(file)?;
            return Err(error);
        }
        versions += &format!("{} {}\n", package.name, package.version);
    }
    fs::write(new.join(VERSIONS), versions)?;
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    fs::rename(&new, tree)?;
    fs::remove_dir_all(&packages)?;
    Ok(())
}

fn build(tree: &Path, new: &Path) -> Result<()> {
    let xen = unpack::decompress(unpack::read(tree, "xen.gz")?, new)?;
    fs::write(new.join("xen"), xen)?;

    // Xen would decompress the kernel too: with xz, as Debian 12's is, in three
    // seconds under emulation.
    let bzimage = unpack::read(tree, "linux")?;
    let payload = payload(&bzimage).context("Debian's kernel is not a bzImage")?;
    let kernel = unpack::decompress(payload.to_vec(), new)?;
    let known = kernel.starts_with(b"\x7fELF");
    fs::write(new.join("linux"), if known { kernel } else { bzimage })?;

    // As they are: QEMU copies them faster than the kernel could decompress them.
    let part = |name: &str, write: &dyn Fn(&mut dyn Write) -> Result<()>| -> Result<()> {
        let mut archive = BufWriter::new(File::create(new.join(name))?);
        write(&mut archive)?;
        Ok(archive.flush()?)
    };
    part(BASE, &|to| initramfs::base(tree, new, to))?;
    part(NETWORK, &|to| initramfs::network(tree, new, to))?;
    part(PYTHON, &|to| initramfs::python(tree, to))
}

/// The compressed kernel inside a bzImage, found as the x86 boot protocol (2.08
/// and later) says.
fn payload(bzimage: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| -> Option<usize> {
        let bytes = bzimage.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if bzimage.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let sectors = match *bzimage.get(0x1f1)? {
        0 => 4,
        count => usize::from(count),
    };
    let start = (sectors + 1) * 512 + word(0x248)?;
    // The last four bytes tell the unpacked size and are none of the archive's.
    bzimage.get(start..start + word(0x24c)?.checked_sub(4)?)
}
