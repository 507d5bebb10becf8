//! Linux as a paravirtualised guest, to measure against: Debian's kernel, and a
//! file system of busybox and a few servers.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::image::{VERSIONS, empty, fetch_tree, is_complete};
use super::initramfs::{Files, Node, busybox, libraries, loader};
use super::modules::Modules;
use super::options::Progress;
use super::unpack::read;

/// Debian's packages that it is made of. They are fetched when something is to be
/// measured against Linux, and not before.
const ROOTS: [&str; 5] = ["linux-image-amd64", "busybox-static", "fio", "iperf3", "nginx"];

/// Says what it is for, and thus which programs it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Servers: nginx, iperf3, and busybox's httpd on port 81.
    Net,
    /// fio.
    Block,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Purpose::Net => "net",
            Purpose::Block => "block",
        }
    }

    const fn programs(self) -> &'static [&'static str] {
        match self {
            Purpose::Net => &["iperf3", "nginx"],
            Purpose::Block => &["fio"],
        }
    }

    const fn modules(self) -> &'static [&'static str] {
        match self {
            Purpose::Net => &["xen_netfront"],
            Purpose::Block => &["xen_blkfront"],
        }
    }
}

/// Holds the files of a guest that is Debian's kernel with a few programs, to measure
/// others against.
#[derive(Clone, Debug)]
pub struct Linux {
    folder: PathBuf,
}

impl Linux {
    /// Makes it, or finds it made.
    ///
    /// # Errors
    /// When packages cannot be fetched or `cache` cannot be written.
    pub fn prepare(cache: &Path, purpose: Purpose, progress: &dyn Progress) -> Result<Linux> {
        let built = || format!("cannot prepare Linux as a guest in {}", cache.display());
        fs::create_dir_all(cache).with_context(built)?;
        let lock = File::create(cache.join("lock"))?;
        lock.lock()?;
        let tree = cache.join("linux-tree");
        if !is_complete(&tree, &ROOTS) {
            fetch_tree(cache, &tree, &ROOTS, progress).with_context(built)?;
        }
        let mut hasher = DefaultHasher::new();
        fs::read_to_string(tree.join(VERSIONS))?.hash(&mut hasher);
        (include_str!("linux.rs"), include_str!("initramfs.rs"), SCRIPTS).hash(&mut hasher);
        let start = format!("linux-{}-", purpose.name());
        let folder = cache.join(format!("{start}{:016x}", hasher.finish()));
        if !folder.exists() {
            progress.step("building the file system of Linux as a guest");
            let new = cache.join("new");
            empty(&new)?;
            build(&tree, &new, purpose).with_context(built)?;
            for entry in fs::read_dir(cache)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(&start) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            fs::rename(&new, &folder)?;
        }
        Ok(Linux { folder })
    }

    /// Returns the path of the file for `xl create`.
    pub fn config(&self) -> PathBuf {
        self.folder.join("linux.xl")
    }

    /// Adds up the bytes of its image: the kernel and the file system, compressed as they are.
    ///
    /// # Errors
    /// When a file of it is gone.
    pub fn bytes(&self) -> Result<u64> {
        let sizes = ["linux", "initramfs"].map(|name| self.folder.join(name).metadata());
        sizes.into_iter().try_fold(0, |sum, size| Ok(sum + size?.len()))
    }
}

/// Our own files in it.
const SCRIPTS: [(&str, &str); 2] = [
    ("init", include_str!("../dom0/linux-guest")),
    ("etc/nginx.conf", include_str!("../dom0/nginx.conf")),
];

/// Lengths of what its web servers serve, at the paths of our own `httpd`.
const PAGES: [usize; 2] = [1 << 10, 1 << 20];

fn build(tree: &Path, new: &Path, purpose: Purpose) -> Result<()> {
    fs::copy(tree.join("linux"), new.join("linux"))?;
    let mut files = Files::default();
    for folder in ["dev", "proc", "root", "run", "sys", "tmp", "var/log/nginx", "var/lib/nginx"] {
        files.add(folder, Node::Folder);
    }
    files.scripts(&SCRIPTS);
    let plain = |bytes: Vec<u8>| Node::File { executable: false, bytes };
    files.add(
        "etc/passwd",
        plain(b"root:x:0:0::/root:/bin/sh\nnobody:x:99:99::/:/bin/sh\n".to_vec()),
    );
    files.add("etc/group", plain(b"root:x:0:\nnogroup:x:99:\n".to_vec()));
    for size in PAGES {
        files.add(format!("www/bytes/{size}"), plain(vec![b'x'; size]));
    }
    busybox(tree, &mut files)?;
    let mut programs = Vec::new();
    for name in purpose.programs() {
        let path = Path::new("usr/bin").join(name);
        programs.push(read(tree, &path)?);
        files.program(path, read(tree, Path::new("usr/bin").join(name))?);
    }
    // The threads library loads this one by itself when a thread ends early.
    libraries(tree, &programs, &["libgcc_s.so.1"], &mut files)?;
    loader(tree, &mut files)?;
    let modules = Modules::of(tree, new)?.ordered(purpose.modules(), &mut BTreeSet::new())?;
    let list: String = modules.iter().map(|module| files.module(module) + "\n").collect();
    files.add("usr/lib/modules/list", plain(list.into_bytes()));
    let mut archive = GzEncoder::new(File::create(new.join("initramfs"))?, Compression::best());
    files.write(&mut archive)?;
    archive.finish()?.flush()?;
    fs::write(new.join("linux.xl"), CONFIG)?;
    Ok(())
}

/// As `cargo mk build` writes it for our own: one virtual processor, a time stamp
/// counter that does not trap.
const CONFIG: &str = "\
name = \"linux\"
type = \"pv\"
kernel = \"linux\"
ramdisk = \"initramfs\"
memory = 256
vcpus = 1
tsc_mode = \"native\"
on_poweroff = \"destroy\"
on_reboot = \"destroy\"
on_crash = \"destroy\"
";
