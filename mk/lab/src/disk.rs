//! Files of this machine as disks of dom0: QEMU works on the files themselves, so that
//! what a guest writes stands there at once, and nothing has to be copied.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// How many there can be: QEMU's machine has slots for as many besides its own.
const MOST: usize = 24;

/// Describes a file or block device of this machine that is a disk of dom0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file of this machine, or its block device.
    pub path: PathBuf,
    /// Whether dom0, and so each guest, is refused writes.
    pub read_only: bool,
    /// The bytes of a sector, 512 or 4096.
    pub sector: u32,
}

impl Disk {
    /// Names the disk with this index as dom0 does, `/dev/vda` for the first: Linux names disks
    /// in the order in which QEMU has them.
    pub fn in_dom0(index: usize) -> String {
        let letter = char::from(b'a' + u8::try_from(index % MOST).unwrap_or(0));
        format!("/dev/vd{letter}")
    }
}

/// The name of the link to the file in the run's folder.
pub(crate) fn link(index: usize) -> String {
    format!("disk{index}")
}

/// QEMU's arguments for them, with files named by [`link`]. Where waiting takes no time,
/// a real flush would take very long: then there are none.
pub(crate) fn qemu_arguments(disks: &[Disk], flush: bool) -> Vec<String> {
    let cache = if flush { "writeback" } else { "unsafe" };
    let mut arguments = Vec::new();
    for (index, disk) in disks.iter().enumerate() {
        let (link, sector) = (link(index), disk.sector);
        let access = if disk.read_only { "on" } else { "off" };
        // What the guest flushes goes to the file's disk, and holes stay holes.
        arguments.extend([
            "-drive".into(),
            format!("if=none,id={link},file={link},format=raw,readonly={access},discard=unmap,cache={cache}"),
            "-device".into(),
            format!(
                "virtio-blk-pci,drive={link},logical_block_size={sector},\
                 physical_block_size={sector}"
            ),
        ]);
    }
    arguments
}

/// Says what is wrong with a disk that QEMU could not open, or would open badly.
pub(crate) fn check(disks: &[Disk]) -> Result<()> {
    ensure!(disks.len() <= MOST, "one host has at most {MOST} disks, not {}", disks.len());
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for (index, disk) in disks.iter().enumerate() {
        let path = disk.path.display();
        let mut options = std::fs::File::options();
        let opened = options.read(true).write(!disk.read_only).open(&disk.path);
        ensure!(
            opened.is_ok(),
            "the disk {path} cannot be opened{}: {}",
            if disk.read_only { "" } else { " to be written" },
            opened.err().map(|error| error.to_string()).unwrap_or_default()
        );
        let mut before = disks[..index].iter();
        let twice = before.find(|other| real(&other.path) == real(&disk.path));
        ensure!(
            twice.is_none_or(|other| other.read_only && disk.read_only),
            "the disk {path} is given twice, and written to: each guest would undo what the other \
             does"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_disk_unless_nobody_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image");
        std::fs::write(&path, [0; 512]).expect("writes");
        let disk = |read_only| Disk { path: path.clone(), read_only, sector: 512 };
        assert!(check(&[disk(false)]).is_ok());
        assert!(check(&[disk(true), disk(true)]).is_ok());
        let error = check(&[disk(true), disk(false)]).expect_err("twice").to_string();
        assert!(error.contains("twice"), "{error}");
        let missing = Disk { path: folder.path().join("none"), ..disk(false) };
        assert!(check(&[missing]).expect_err("missing").to_string().contains("cannot be opened"));
    }

    #[test]
    fn names_follow_the_order() {
        assert_eq!([Disk::in_dom0(0), Disk::in_dom0(2)], ["/dev/vda", "/dev/vdc"]);
        let disk = Disk { path: "a,b".into(), read_only: true, sector: 4096 };
        let arguments = qemu_arguments(&[disk], true);
        assert!(arguments[1].contains("file=disk0,") && arguments[1].contains("readonly=on"));
        assert!(arguments[3].contains("logical_block_size=4096"));
    }
}
