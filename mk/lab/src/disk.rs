//! Files of this machine as disks of dom0: QEMU works on the files themselves, so that
//! what a guest writes stands there at once, and nothing has to be copied.

use std::fs::{File, Metadata, TryLockError};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::OFlags;

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

/// Says what is wrong with a disk that QEMU could not open, or would open badly. Locks them as
/// [`Disk::lock`] does.
pub(crate) fn check(disks: &[Disk]) -> Result<Vec<File>> {
    ensure!(disks.len() <= MOST, "one host has at most {MOST} disks, not {}", disks.len());
    Disk::lock(disks)
}

impl Disk {
    /// Locks files and block devices for one who works on them. While what is returned lives, nobody else
    /// writes to them who asks for the same, nor reads what is written here; a device that is written to is
    /// mounted by nobody.
    ///
    /// # Errors
    /// When one cannot be opened, is given twice and written to, or is in use.
    pub fn lock(disks: &[Disk]) -> Result<Vec<File>> {
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
            let file = disk.open()?;
            // Of block devices udev locks some for a moment.
            if file.metadata()?.is_file() {
                let locked = if disk.read_only { file.try_lock_shared() } else { file.try_lock() };
                if let Err(TryLockError::WouldBlock) = locked {
                    bail!(
                        "the disk {path} is used by another run, and one of the two may write to it: \
                         end that one, or give each a disk of its own"
                    );
                }
            }
            files.push(file);
        }
        Ok(files)
    }

    fn open(&self) -> Result<File> {
        let path = self.path.display();
        let is_device = |it: Metadata| it.file_type().is_block_device();
        let claims = !self.read_only && self.path.metadata().is_ok_and(is_device);
        let mut options = File::options();
        options.read(true).write(!self.read_only);
        if claims {
            // Of a block device that is not to be made, it says that nobody else has it.
            options.custom_flags(OFlags::EXCL.bits().cast_signed());
        }
        options.open(&self.path).with_context(|| match self.read_only {
            true => format!("the disk {path} cannot be opened"),
            false if claims => format!(
                "the disk {path} cannot be opened to be written by a guest alone: one that is busy is \
                 mounted (findmnt {path}), is part of another device, or is another run's"
            ),
            false => format!("the disk {path} cannot be opened to be written"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soon;
    use std::process::Command;

    #[test]
    fn a_file_is_one_disk_unless_nobody_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image");
        std::fs::write(&path, [0; 512]).expect("writes");
        let disk = |read_only| Disk { path: path.clone(), read_only, sector: 512 };
        soon(|| check(&[disk(false)])).expect("one who writes");
        soon(|| check(&[disk(true), disk(true)])).expect("two who read");
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
        let writes = soon(|| check(&[disk(false)])).expect("writes");
        check(&[disk(true)]).expect_err("the other writes");
        drop(writes);
    }

    /// A block device, if this machine lets us make one.
    struct Loop(PathBuf);

    impl Loop {
        fn of(file: &Path) -> Option<Loop> {
            let mut command = Command::new("losetup");
            let output = command.args(["--find", "--show"]).arg(file).output().ok()?;
            let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
            let there = output.status.success() && Path::new(&path).exists();
            there.then(|| Loop(path.into()))
        }
    }

    impl Drop for Loop {
        fn drop(&mut self) {
            drop(Command::new("losetup").arg("--detach").arg(&self.0).status());
        }
    }

    #[test]
    fn a_block_device_that_is_written_to_is_nobody_else_s() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image");
        std::fs::write(&path, [0; 1 << 16]).expect("writes");
        // That takes root, and a kernel with loop devices.
        let Some(device) = Loop::of(&path) else { return };
        let disk = |read_only| Disk { path: device.0.clone(), read_only, sector: 512 };
        // As by mount(2).
        let mut options = File::options();
        options.read(true).custom_flags(OFlags::EXCL.bits().cast_signed());
        let mounted = soon(|| options.open(&device.0)).expect("it is free");
        check(&[disk(true)]).expect("it is read");
        let error = format!("{:#}", check(&[disk(false)]).expect_err("it is mounted"));
        assert!(error.contains("is mounted (findmnt /dev/loop"), "{error}");
        drop(mounted);
        let writes = soon(|| check(&[disk(false)])).expect("it is free");
        check(&[disk(false)]).expect_err("another run has it");
        drop(writes);
        soon(|| check(&[disk(false)])).expect("it is free again");
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
