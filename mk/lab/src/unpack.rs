//! From Debian's packages to a tree of the few files that the lab is made of,
//! at the paths where dom0 will have them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::programs::is_wanted;

/// Where the dynamic loader of Debian's glibc looks for libraries.
pub(crate) const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The folders of kernel modules that those of the lab and all that they depend
/// on come from. It is generous: a later kernel may move a helper module. The two
/// front ends are for Linux as a guest.
const MODULES: [&str; 30] = [
    "crypto/crc32c",
    "drivers/block/loop.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/block/xen-blkback/",
    "drivers/block/xen-blkfront.ko",
    "drivers/firmware/qemu_fw_cfg.ko",
    "drivers/net/dummy.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/tun.ko",
    "drivers/net/veth.ko",
    "drivers/net/virtio_net.ko",
    "drivers/net/xen-netback/",
    "drivers/net/xen-netfront.ko",
    "drivers/virtio/",
    "drivers/xen/",
    "fs/ext4/",
    "fs/fat/",
    "fs/jbd2/",
    "fs/mbcache.ko",
    "fs/nls/nls_ascii.ko",
    "fs/nls/nls_cp437.ko",
    "lib/",
    "net/802/",
    "net/bridge/",
    "net/core/",
    "net/ipv4/netfilter/",
    "net/ipv6/netfilter/",
    "net/llc/",
    "net/netfilter/",
    "net/packet/",
];

/// Changes with what is unpacked, so that trees that lack something are made anew.
pub(crate) const EDITION: u32 = 6;

/// Where in the tree a package's file goes, if it is wanted at all.
fn place(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix("./").unwrap_or(path);
    // Debian 12 still ships some files outside of /usr.
    let path = path.strip_prefix("usr/").unwrap_or(path);
    let (folder, name) = path.rsplit_once('/')?;
    if folder == "boot" {
        if name.starts_with("vmlinuz-") {
            return Some("linux".into());
        }
        let xen = name.starts_with("xen-") && name.ends_with(".gz");
        return xen.then(|| "xen.gz".into());
    }
    if let Some(module) = path.strip_prefix("lib/modules/") {
        let (_version, inside) = module.split_once('/')?;
        if inside == "modules.builtin" {
            return Some("modules/builtin".into());
        }
        let inside = inside.strip_prefix("kernel/")?;
        // Of all the queueing disciplines only the one that makes a network bad.
        let wanted = MODULES.iter().any(|start| inside.starts_with(start))
            || inside.starts_with("net/sched/sch_netem.ko");
        return wanted.then(|| Path::new("modules").join(name));
    }
    let library = folder == "lib/x86_64-linux-gnu" && name.contains(".so");
    // Not lib/xen-common, whose programs only look for those of a version.
    let version = folder.strip_prefix("lib/xen-").unwrap_or_default();
    let xen = version.starts_with(|first: char| first.is_ascii_digit());
    let python = path.starts_with("lib/python3.") || path.starts_with("bin/python3.");
    if matches!(folder, "bin" | "sbin") && is_wanted(name) {
        return Some(Path::new("usr/bin").join(name));
    }
    // A folder of its own, which only its users look into: fio is one.
    if folder == "lib/x86_64-linux-gnu/ceph" && name.contains(".so") {
        return Some(Path::new(LIBRARIES).join(name));
    }
    (library || xen || python).then(|| Path::new("usr").join(path))
}

/// Unpacks what is wanted of one package below `tree`.
pub(crate) fn unpack(package: &Path, tree: &Path) -> Result<()> {
    entries(package, &mut |mut entry| {
        let Some(place) = entry.path()?.to_str().and_then(place) else {
            return Ok(());
        };
        // The names of xenstore's links all mean the one program; only links
        // between versions of a library matter, and those stay in one folder.
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_symlink() && !place.starts_with("usr/bin") {
            let place = tree.join(place);
            fs::create_dir_all(place.parent().expect("in the tree"))?;
            entry.unpack(&place)?;
        }
        Ok(())
    })
}

/// What is in a package.
pub(crate) type Entry<'a> = tar::Entry<'a, ChildStdout>;

/// Gives `each` what is in a package, in its order.
pub(crate) fn entries(package: &Path, each: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
    let what = || format!("cannot unpack {}", package.display());
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run dpkg-deb: the lab needs Debian 12 or 13")?;
    let mut archive = tar::Archive::new(child.stdout.take().expect("piped"));
    for entry in archive.entries().with_context(what)? {
        each(entry.with_context(what)?).with_context(what)?;
    }
    // Its padding is left to read, and dpkg-deb fails when nobody does.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink())?;
    ensure!(child.wait()?.success(), "dpkg-deb {}", what());
    Ok(())
}

/// Reads a file of the tree, whose absence would be a surprise of a new Debian.
pub(crate) fn read(tree: &Path, path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = tree.join(path);
    let mut bytes = Vec::new();
    fs::File::open(&path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .with_context(|| format!("Debian's packages did not bring {}", path.display()))?;
    Ok(bytes)
}

/// Decompresses a part of a package that is compressed in itself: the kernel,
/// its modules, the hypervisor. Anything else passes as it is.
///
/// Debian uses gzip, xz and zstd there, changing with the release, and dpkg-deb
/// knows them all, with every filter, and is on every Debian machine. So the
/// bytes are wrapped into the least that it takes for a package, whose contents
/// it then prints. Crates for this are slow in a build without optimization.
pub(crate) fn decompress(bytes: Vec<u8>, scratch: &Path) -> Result<Vec<u8>> {
    let suffix = match bytes {
        _ if bytes.starts_with(b"\x1f\x8b") => ".gz",
        _ if bytes.starts_with(b"\xfd7zXZ\0") => ".xz",
        _ if bytes.starts_with(b"\x28\xb5\x2f\xfd") => ".zst",
        _ => return Ok(bytes),
    };
    let member =
        |name: &str, length| format!("{name:<16}0           0     0     644     {length:<10}`\n");
    let mut package = b"!<arch>\n".to_vec();
    package.extend(member("debian-binary", 4).bytes());
    package.extend(b"2.0\n");
    package.extend(member("control.tar", 0).bytes());
    package.extend(member(&format!("data.tar{suffix}"), bytes.len()).bytes());
    package.extend(&bytes);
    if bytes.len() % 2 == 1 {
        package.push(b'\n');
    }
    let path = scratch.join("wrapped.deb");
    fs::write(&path, package)?;
    let output = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&path).output()?;
    fs::remove_file(&path)?;
    ensure!(
        output.status.success(),
        "dpkg-deb cannot decompress a {suffix}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_files_have_places() {
        let at = |path| place(path).map(|place| place.to_str().expect("UTF-8").to_owned());
        assert_eq!(at("./boot/vmlinuz-6.1.0-56-amd64").as_deref(), Some("linux"));
        assert_eq!(at("./boot/xen-4.17-amd64.gz").as_deref(), Some("xen.gz"));
        assert_eq!(at("./boot/xen-4.17-amd64.config"), None);
        assert_eq!(
            at("./usr/lib/modules/6.12.1/kernel/drivers/xen/xen-evtchn.ko.xz").as_deref(),
            Some("modules/xen-evtchn.ko.xz")
        );
        assert_eq!(at("./lib/modules/6.1/kernel/drivers/gpu/drm/drm.ko"), None);
        assert_eq!(
            at("./lib/x86_64-linux-gnu/libc.so.6").as_deref(),
            Some("usr/lib/x86_64-linux-gnu/libc.so.6")
        );
        assert_eq!(
            at("./usr/lib/x86_64-linux-gnu/ceph/libceph-common.so.2").as_deref(),
            Some("usr/lib/x86_64-linux-gnu/libceph-common.so.2")
        );
        assert_eq!(at("./usr/lib/x86_64-linux-gnu/gconv/BIG5.so"), None);
        assert_eq!(at("./usr/lib/xen-4.17/bin/xl").as_deref(), Some("usr/lib/xen-4.17/bin/xl"));
        assert_eq!(at("./usr/lib/xen-common/bin/xen-utils-wrapper"), None);
        assert_eq!(at("./bin/busybox").as_deref(), Some("usr/bin/busybox"));
        assert_eq!(at("./sbin/tc").as_deref(), Some("usr/bin/tc"));
        assert_eq!(at("./usr/lib/modules/6.1/kernel/net/sched/sch_tbf.ko"), None);
        assert_eq!(at("./usr/share/doc/xl"), None);
    }
    #[test]
    fn every_compression_of_debian_is_undone() {
        // "xenith" and a line's end, as gzip, xz and zstd write it.
        let compressed = [
            "1f8b0800000000000203ab48cdcb2cc9e002004366f76407000000",
            "fd377a585a0000016922de36020021011c00000010cf58cc01000678656e6974680a00004366f76400011b0712ebd4179042990d010000000001595a",
            "28b52ffd046839000078656e6974680acbad6278",
        ];
        let scratch = tempfile::tempdir().expect("a folder");
        for text in compressed {
            let digits: Vec<_> = text.bytes().collect();
            let bytes = digits
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16))
                .collect::<Result<_, _>>()
                .expect("hexadecimal");
            assert_eq!(decompress(bytes, scratch.path()).expect("compressed"), b"xenith\n");
        }
        let plain = decompress(b"plain".to_vec(), scratch.path());
        assert_eq!(plain.expect("plain"), b"plain");
    }
}
