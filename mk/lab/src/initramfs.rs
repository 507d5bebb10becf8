//! Dom0's initial file system: Debian's files and our scripts, in one archive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};

use super::modules::{Module, Modules};
use super::network::{NUMBERS, ip, mac};
use super::programs::{For, programs_for};
use super::unpack::{LIBRARIES, read};

/// Xen's programs, below `/usr/lib/xen-VERSION/bin`.
const TOOLS: [&str; 7] = [
    "libxl-save-helper",
    "xen-init-dom0",
    "xenconsole",
    "xenconsoled",
    "xenctx",
    "xenstored",
    "xl",
];

/// What `xenstore` is called as.
const XENSTORE: [&str; 8] = ["chmod", "exists", "list", "ls", "read", "rm", "watch", "write"];

/// Modules that every dom0 loads, besides those that they need.
const MODULES: [&str; 11] = [
    "loop",
    "qemu_fw_cfg",
    "virtio_blk",
    "virtio_net",
    "virtio_pci",
    "xen_blkback",
    "xen_evtchn",
    "xen_gntalloc",
    "xen_gntdev",
    "xen_privcmd",
    "xenfs",
];

/// Modules that a dom0 with a network for guests loads besides, with their
/// parameters.
const NETWORK_MODULES: [(&str, &str); 4] =
    [("af_packet", ""), ("bridge", ""), ("dummy", " numdummies=2"), ("xen_netback", "")];

/// Modules that such a dom0 has for when the kernel asks for them.
const MODULES_ON_DEMAND: [&str; 12] = [
    "crc32c_generic",
    "ext4",
    "nft_chain_nat",
    "nft_ct",
    "nft_masq",
    "nft_nat",
    "nls_ascii",
    "nls_cp437",
    "sch_netem",
    "tun",
    "veth",
    "vfat",
];

/// Folders that the tools want to find.
const FOLDERS: [&str; 15] = [
    "dev",
    "guests",
    "proc",
    "root",
    "run/lab/events",
    "run/lab/moving",
    "run/lab/saved",
    "run/lock",
    "run/xen",
    "run/xenstored",
    "sys",
    "tmp",
    "var/lib/xen",
    "var/lib/xenstored",
    "var/log/xen/console",
];

/// Our own files, by their paths in dom0.
pub(crate) const SCRIPTS: [(&str, &str); 9] = [
    ("init", include_str!("../dom0/init")),
    ("etc/xen/scripts/block", include_str!("../dom0/block")),
    ("etc/xen/xl.conf", include_str!("../dom0/xl.conf")),
    ("usr/sbin/agent", include_str!("../dom0/agent")),
    ("usr/sbin/cpu-time", include_str!("../dom0/cpu-time")),
    ("usr/sbin/guest", include_str!("../dom0/guest")),
    ("usr/sbin/move", include_str!("../dom0/move")),
    ("usr/sbin/report", include_str!("../dom0/report")),
    ("usr/sbin/watcher", include_str!("../dom0/watcher")),
];

/// A script for dom0 of any Xen host: replaces a domain by another one, which goes on with its
/// connections and state. Its arguments are the domain's name and those of `xl create`.
pub const UPDATE: &str = include_str!("../dom0/update");

/// Our own files where guests have a network.
pub(crate) const NETWORK_SCRIPTS: [(&str, &str); 14] = [
    ("etc/dnsmasq.conf", include_str!("../dom0/dnsmasq.conf")),
    ("etc/hosts", include_str!("../dom0/hosts")),
    ("etc/passwd", include_str!("../dom0/passwd")),
    ("etc/resolv.conf", include_str!("../dom0/resolv.conf")),
    ("etc/xen/scripts/vif-bridge", include_str!("../dom0/vif-bridge")),
    ("usr/sbin/certificates", include_str!("../dom0/certificates")),
    ("usr/sbin/cycles", include_str!("../dom0/cycles")),
    ("usr/sbin/cycling", include_str!("../dom0/cycling")),
    ("usr/sbin/faulty-host", include_str!("../dom0/faulty-host")),
    ("usr/sbin/network", include_str!("../dom0/network")),
    ("usr/sbin/publish", include_str!("../dom0/publish")),
    ("usr/sbin/stage", include_str!("../dom0/stage")),
    ("usr/sbin/unstage", include_str!("../dom0/unstage")),
    ("usr/sbin/update", UPDATE),
];

/// A file system in the making: what stands at each path.
#[derive(Default)]
pub(crate) struct Files(BTreeMap<PathBuf, Node>);

/// One thing in a file system.
pub(crate) enum Node {
    Folder,
    File { executable: bool, bytes: Vec<u8> },
    Link(PathBuf),
}

impl Files {
    /// A node, and the folders above it.
    pub(crate) fn add(&mut self, path: impl Into<PathBuf>, node: Node) {
        let path = path.into();
        for parent in path.ancestors().skip(1) {
            if !parent.as_os_str().is_empty() {
                self.0.entry(parent.into()).or_insert(Node::Folder);
            }
        }
        self.0.insert(path, node);
    }

    /// A file that may be executed.
    pub(crate) fn program(&mut self, path: impl Into<PathBuf>, bytes: Vec<u8>) {
        let executable = true;
        self.add(path, Node::File { executable, bytes });
    }

    /// Our own files.
    pub(crate) fn scripts(&mut self, scripts: &[(&str, &str)]) {
        for (path, text) in scripts {
            let executable = text.starts_with("#!");
            let bytes = text.as_bytes().to_vec();
            self.add(path, Node::File { executable, bytes });
        }
    }

    /// A module, and the path where it is then.
    pub(crate) fn module(&mut self, module: &Module) -> String {
        let path = format!("usr/lib/modules/{}/{}.ko", module.version, module.name);
        self.program(&path, module.bytes.clone());
        format!("/{path}")
    }

    /// A link's target is relative: unpacked elsewhere, an absolute one would
    /// name a file of that machine.
    pub(crate) fn link(&mut self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) {
        self.add(path, Node::Link(target.into()));
    }

    /// Writes them as an archive.
    pub(crate) fn write(self, mut to: impl Write) -> Result<()> {
        for (number, (path, node)) in self.0.into_iter().enumerate() {
            let path = path.to_str().context("a file name is not UTF-8")?;
            let (mode, bytes) = match node {
                Node::Folder => (0o040_755, Vec::new()),
                Node::File { executable: true, bytes } => (0o100_755, bytes),
                Node::File { bytes, .. } => (0o100_644, bytes),
                Node::Link(target) => (0o120_777, target.into_os_string().into_encoded_bytes()),
            };
            let mut entry = cpio::newc::Builder::new(path)
                .ino(u32::try_from(number)? + 1)
                .nlink(1)
                .mode(mode)
                .write(to, u32::try_from(bytes.len())?);
            entry.write_all(&bytes)?;
            to = entry.finish()?;
        }
        cpio::newc::trailer(to)?.flush()?;
        Ok(())
    }
}

/// Writes the archive of dom0's files to `to`; `scratch` is a folder to work in.
pub(crate) fn base(tree: &Path, scratch: &Path, to: impl Write) -> Result<()> {
    let mut files = Files::default();
    for folder in FOLDERS {
        files.add(folder, Node::Folder);
    }
    files.link("var/run", "../run");
    files.scripts(&SCRIPTS);

    busybox(tree, &mut files)?;
    let mut programs = vec![read(tree, "usr/bin/xenstore")?];
    files.program("usr/bin/xenstore", programs[0].clone());
    for verb in XENSTORE {
        files.link(format!("usr/bin/xenstore-{verb}"), "xenstore");
    }
    // libxl finds its helpers at this path, versions and all.
    let xen = xen_folder(tree)?;
    for tool in TOOLS {
        let path = xen.join("bin").join(tool);
        let bytes = read(tree, &path)?;
        files.link(Path::new("usr/sbin").join(tool), Path::new("../..").join(&path));
        programs.push(bytes.clone());
        files.program(path, bytes);
    }
    // The threads library loads this one by itself when a thread is cancelled.
    libraries(tree, &programs, &["libgcc_s.so.1"], &mut files)?;
    loader(tree, &mut files)?;

    let mut list = String::new();
    for module in Modules::of(tree, scratch)?.ordered(&MODULES, &mut BTreeSet::new())? {
        list += &format!("{}\n", files.module(&module));
    }
    files.program("usr/lib/modules/list", list.into_bytes());
    files.write(to)
}

/// Writes what a network for guests takes, and tests of it.
pub(crate) fn network(tree: &Path, scratch: &Path, to: impl Write) -> Result<()> {
    let mut files = Files::default();
    files.scripts(&NETWORK_SCRIPTS);
    files.add("run/lab/hosts", Node::Folder);
    files.add("etc/dnsmasq.leases", Node::File { executable: false, bytes: leases() });
    let mut programs = Vec::new();
    for tool in programs_for(For::Network) {
        let bytes = read(tree, Path::new("usr/bin").join(tool))?;
        programs.push(bytes.clone());
        // Before busybox's programs of the same names, which are below `usr/bin`.
        files.program(Path::new("usr/sbin").join(tool), bytes);
    }
    libraries(tree, &programs, &[], &mut files)?;
    files.link("usr/sbin/modprobe", "../bin/busybox");

    let modules = Modules::of(tree, scratch)?;
    let mut done = BTreeSet::new();
    let base = modules.ordered(&MODULES, &mut done)?;
    let (mut list, mut needs, mut aliases) = (String::new(), String::new(), String::new());
    // modprobe loads what it finds there from the end on, and looks no deeper: so
    // each module stands there with all that it needs, at however many removes.
    let mut all_needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut known = |module: &Module| {
        let mut all: Vec<String> = Vec::new();
        for need in module.needs.iter().filter(|need| !modules.is_builtin(need)) {
            let deeper = all_needs.get(need).cloned().unwrap_or_default();
            for name in deeper.into_iter().rev().chain([need.clone()]) {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
        all.reverse();
        let paths: String = all.iter().map(|name| format!(" {name}.ko")).collect();
        let _ = writeln!(needs, "{}.ko:{paths}", module.name);
        all_needs.insert(module.name.clone(), all);
        for alias in &module.aliases {
            let _ = writeln!(aliases, "alias {alias} {}", module.name);
        }
    };
    base.iter().for_each(&mut known);
    for (name, parameters) in NETWORK_MODULES {
        for module in modules.ordered(&[name], &mut done)? {
            let parameters = if module.name == name { parameters } else { "" };
            list += &format!("{}{parameters}\n", files.module(&module));
            known(&module);
        }
    }
    for module in modules.ordered(&MODULES_ON_DEMAND, &mut done)? {
        files.module(&module);
        known(&module);
    }
    let version = &base.first().context("no module")?.version;
    files.program(format!("usr/lib/modules/{version}/modules.dep"), needs.into_bytes());
    files.program(format!("usr/lib/modules/{version}/modules.alias"), aliases.into_bytes());
    files.program("usr/lib/modules/list.network", list.into_bytes());
    files.write(to)
}

/// The addresses that DHCP gives by MAC, for each guest number that there may be.
fn leases() -> Vec<u8> {
    let numbers = NUMBERS.map(|number| format!("{},{}\n", mac(0, number), ip(0, number)));
    numbers.collect::<String>().into_bytes()
}

/// Writes what reading exact processor times needs besides: Python and Xen's
/// module for it. It doubles the size, so only benchmarks have it.
pub(crate) fn python(tree: &Path, to: impl Write) -> Result<()> {
    let mut files = Files::default();
    let mut programs = Vec::new();
    for entry in fs::read_dir(tree.join("usr/bin"))? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with("python3.") {
            let bytes = read(tree, Path::new("usr/bin").join(&name))?;
            programs.push(bytes.clone());
            files.program(Path::new("usr/bin").join(&name), bytes);
            files.link("usr/bin/python3", name);
        }
    }
    ensure!(!programs.is_empty(), "Debian's packages brought no Python");
    let xen = xen_folder(tree)?.join("lib/python/xen");
    let mut folders = vec![xen];
    for entry in fs::read_dir(tree.join("usr/lib"))? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with("python3.") {
            folders.push(Path::new("usr/lib").join(name));
        }
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(tree.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if entry.file_type()?.is_file() {
                let bytes = read(tree, &path)?;
                if path.extension().is_some_and(|kind| kind == "so") {
                    programs.push(bytes.clone());
                }
                files.program(path, bytes);
            }
        }
    }
    libraries(tree, &programs, &[], &mut files)?;
    files.write(to)
}

const LOADER: &str = "ld-linux-x86-64.so.2";

/// The folder of Xen's own programs: `usr/lib/xen-4.17`.
fn xen_folder(tree: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(tree.join("usr/lib"))? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with("xen-") {
            return Ok(Path::new("usr/lib").join(name));
        }
    }
    bail!("Debian's packages brought no folder usr/lib/xen-VERSION")
}

/// Adds busybox under all its names, and the folders that programs are looked for in.
pub(crate) fn busybox(tree: &Path, files: &mut Files) -> Result<()> {
    for folder in ["bin", "sbin", "lib"] {
        files.link(folder, Path::new("usr").join(folder));
    }
    files.program("usr/bin/busybox", read(tree, "usr/bin/busybox")?);
    for applet in applets(tree)? {
        files.link(Path::new("usr/bin").join(applet), "busybox");
    }
    Ok(())
}

/// Adds what loads libraries, where programs look for it.
pub(crate) fn loader(tree: &Path, files: &mut Files) -> Result<()> {
    libraries(tree, &[], &[LOADER], files)?;
    files.link(Path::new("lib64").join(LOADER), Path::new("../").join(LIBRARIES).join(LOADER));
    Ok(())
}

/// The names that this busybox answers to.
fn applets(tree: &Path) -> Result<Vec<String>> {
    let busybox = tree.join("usr/bin/busybox");
    let output = Command::new(&busybox)
        .arg("--list")
        .output()
        .with_context(|| format!("cannot run {}", busybox.display()))?;
    let list = String::from_utf8(output.stdout)?;
    Ok(list.lines().filter(|name| *name != "busybox").map(String::from).collect())
}

/// Adds the libraries that these programs and, in turn, those libraries need.
pub(crate) fn libraries(
    tree: &Path,
    programs: &[Vec<u8>],
    more: &[&str],
    files: &mut Files,
) -> Result<()> {
    let mut wanted: VecDeque<String> = more.iter().map(|name| (*name).into()).collect();
    for program in programs {
        wanted.extend(needed(program)?);
    }
    while let Some(name) = wanted.pop_front() {
        let path = Path::new(LIBRARIES).join(&name);
        if !files.0.contains_key(&path) {
            let bytes = read(tree, &path)?;
            wanted.extend(needed(&bytes)?);
            files.program(path, bytes);
        }
    }
    Ok(())
}

/// The names of the libraries that a program or library is linked against.
fn needed(elf: &[u8]) -> Result<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, elf)?;
    let Some((dynamic, strings)) = sections.dynamic(endian, elf)? else {
        return Ok(Vec::new());
    };
    let strings = sections.strings(endian, elf, strings)?;
    dynamic
        .iter()
        .filter(|entry| entry.tag(endian) == DT_NEEDED)
        .map(|entry| Ok(String::from_utf8(entry.string(endian, strings)?.into())?))
        .collect()
}
