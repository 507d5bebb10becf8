//! The wiring of `files`.
//!
//! test(tar): disk disk=src
//! test(tar): console-contains "files: tar\nlib.rs "
//! test(fat): disk disk=40M
//! test(fat): dom0 "mkdosfs $DISK"
//! test(fat): console-contains "files: FAT"
//! test(ext2): disk disk=4M
//! test(ext2): dom0 "mke2fs -F $DISK"
//! test(ext2): console-contains "files: ext4\nlost+found/\n"
//! test(partition): disk disk=40M
//! test(partition): dom0 "printf 'o\nn\np\n1\n2048\n\nw\n' | fdisk $DISK >/dev/null 2>&1 || true"
//! test(partition): dom0 "mkfs.fat --offset 2048 $DISK 39936"
//! test(partition): args partition=1
//! test(partition): console-contains "files: FAT"
//! test(blank): disk disk=4M
//! test(blank): expect exit 1
//! test(blank): console-contains "no files are on the disk"
//! test(blank): not-in-check

#![no_std]
#![no_main]

use xenith::{Block, Console};

xenith::unikernel! {
    /// Prints the tree of files on a disk, in whichever format.
    name: "files",
    memory: 8 MiB,
    devices: { console: Console, disk: Block("xvda") },
    args: {
        /// A file to print instead.
        show: Option<&'static str>,
        /// The partition to read, from 1; if none, the whole disk.
        partition: Option<u32>,
    },
    main: files::start,
}
