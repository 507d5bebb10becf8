//! Files of this machine as disks of dom0: QEMU works on the files themselves, so that
//! what a guest writes stands there at once, and nothing has to be copied.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

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

/// Says what is wrong with a disk that QEMU could not open, or would open badly. While what is returned
/// lives, nobody else writes to them who asks for the same, nor reads what is written here.
pub(crate) fn check(disks: &[Disk]) -> Result<Vec<File>> {
    ensure!(disks.len() <= MOST, "one host has at most {MOST} disks, not {}", disks.len());
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut files = Vec::new();
    for (index, disk) in disks.iter().enumerate() {
        let path = disk.path.display();
        let mut before = disks[..index].iter();
        let twice = before.find(|other| real(&other.path) == real(&disk.path));
        ensure!(
            twice.is_none_or(|other| other.read_only && disk.read_only),
            "the disk {path} is given twice, and written to: each guest would undo what the other \
             does"
        );
        let opened = File::options().read(true).write(!disk.read_only).open(&disk.path);
        let file = opened.with_context(|| {
            let how = if disk.read_only { "" } else { " to be written" };
            format!("the disk {path} cannot be opened{how}")
        })?;
        // Of block devices udev locks some for a moment.
        if file.metadata()?.is_file() {
            let locked = if disk.read_only { file.try_lock_shared() } else { file.try_lock() };
            if let Err(TryLockError::WouldBlock) = locked {
                bail!(
                    "the disk {path} is used by another run, and one of the two may write to it: end \
                     that one, or give each a disk of its own"
                );
            }
        }
        files.push(file);
    }
    Ok(files)
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
        // Another run.
        let reads = check(&[disk(true)]).expect("reads");
        check(&[disk(true)]).expect("both read");
        let error = check(&[disk(false)]).expect_err("it writes").to_string();
        assert!(error.contains("another run"), "{error}");
        drop(reads);
        let writes = check(&[disk(false)]).expect("writes");
        check(&[disk(true)]).expect_err("the other writes");
        drop(writes);
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
