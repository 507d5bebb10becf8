//! What it costs to list a large folder by pages.

use super::*;
use crate::fs::Files;
use crate::fs::ext4::Ext4;
use crate::fs::fat::Fat;
use std::process::Command;

/// Sectors that are read to list the folder `many` by pages of 32.
fn cost<T: Tree>(tree: &T, disk: &Disk, count: usize) -> u64 {
    let before = disk.read.get();
    let mut names: Vec<Vec<u8>> = Vec::new();
    run(async {
        let node = tree.lookup(b"many").await.unwrap();
        loop {
            let (had, after) = (names.len(), names.last().cloned().unwrap_or_default());
            let mut each = |name: &[u8], metadata: Metadata| {
                assert_eq!((metadata.kind, metadata.size), (Kind::File, 1));
                names.push(name.to_vec());
                names.len() < had + 32
            };
            tree.list_after(&node, &after, &mut each).await.unwrap();
            if names.len() == had {
                return;
            }
        }
    });
    assert_eq!(names.len(), count);
    assert!(names.is_sorted());
    disk.read.get() - before
}

/// Has folders indexed by hashes of names, so that those and the inodes have nothing to do
/// with each other.
fn index(image: &std::path::Path) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
    let check = Command::new("e2fsck").env("PATH", path).arg("-fyD").arg(image).output();
    assert!(check.unwrap().status.code() < Some(4));
}

/// Twice the names cost twice as much, and not four times.
fn is_linear(kind: &str, cost: impl Fn(usize) -> u64) {
    let (half, all) = (cost(2000), cost(4000));
    assert!(all * 10 < half * 25, "{kind}: {half} sectors for 2 000 names, {all} for 4 000");
    std::println!("{kind}: {half} sectors for 2 000 names, {all} for 4 000");
}

#[test]
fn a_listing_by_pages_costs_what_the_folder_has() {
    is_linear("FAT", |count| {
        let disk = Disk::new(std::vec![0; 16 << 20], 512);
        let fat = run(Fat::format(disk.clone())).unwrap();
        // Made at once, as a file of entries that becomes a folder.
        let mut entries = Vec::new();
        for number in 0..count {
            let name = std::format!("F{:07}   ", number * 7919 % 10_007);
            let mut entry = [0; 32];
            entry[..11].copy_from_slice(name.as_bytes());
            (entry[11], entry[28]) = (0x20, 1);
            entries.extend_from_slice(&entry);
        }
        run(fat.write(b"MANY", 0, &entries)).unwrap();
        {
            let mut bytes = disk.bytes.borrow_mut();
            let at = bytes.windows(11).position(|it| it == b"MANY       ").unwrap();
            bytes[at + 11] = 0x10;
        }
        let fat = run(Fat::open(disk.clone())).unwrap();
        cost(&fat, &disk, count)
    });
    is_linear("ext4", |count| {
        let root = sample();
        std::fs::create_dir(root.join("files/many")).unwrap();
        for number in 0..count {
            std::fs::write(root.join(std::format!("files/many/file-{number}.txt")), "x").unwrap();
        }
        let image = ext4::made(&root, &["-t", "ext4"], "64M");
        index(&image);
        let disk = Disk::new(std::fs::read(&image).unwrap(), 512);
        std::fs::remove_dir_all(root).unwrap();
        let tree = run(Ext4::open(disk.clone())).unwrap();
        cost(&tree, &disk, count)
    });
}

/// Folders with an index, however the file system is made.
#[test]
fn indexed_folders_are_listed() {
    let root = sample();
    std::fs::create_dir(root.join("files/many")).unwrap();
    for number in 0..2000 {
        std::fs::write(root.join(std::format!("files/many/{number}")), [number as u8]).unwrap();
    }
    let all: [&[&str]; 6] = [
        &["-t", "ext4", "-b", "1024"],
        &["-t", "ext4", "-O", "inline_data"],
        &["-t", "ext4", "-O", "inline_data,^metadata_csum,^64bit", "-b", "1024", "-I", "1024"],
        &["-t", "ext3", "-b", "1024"],
        &["-t", "ext4", "-O", "^extent,^64bit,metadata_csum", "-b", "2048"],
        &["-t", "ext4", "-O", "bigalloc,large_dir,ea_inode", "-C", "16384"],
    ];
    for options in all {
        let image = ext4::made(&root, &[options, &["-N", "4000"]].concat(), "64M");
        index(&image);
        let disk = Disk::new(std::fs::read(&image).unwrap(), 512);
        let tree = run(Ext4::open(disk.clone())).unwrap();
        cost(&tree, &disk, 2000);
        for number in [0, 9, 1999] {
            let content = content(&tree, &std::format!("many/{number}"));
            assert_eq!(content, Ok(std::vec![number as u8]), "{options:?}");
        }
    }
    std::fs::remove_dir_all(root).unwrap();
}

/// A change between two pages counts.
#[test]
fn a_page_is_of_the_folder_as_it_is() {
    let fat = run(Fat::format(Disk::new(std::vec![0; 1 << 20], 512))).unwrap();
    let page = |after: &[u8]| {
        let mut names = Vec::new();
        let mut each = |name: &[u8], _| {
            names.push(String::from_utf8_lossy(name).into_owned());
            names.len() < 2
        };
        run(async {
            let root = fat.lookup(b"").await.unwrap();
            fat.list_after(&root, after, &mut each).await.unwrap();
        });
        names
    };
    for name in ["a", "b", "c", "d", "e"] {
        run(fat.write(name.as_bytes(), 0, b"x")).unwrap();
    }
    assert_eq!(page(b""), ["a", "b"]);
    run(fat.rename(b"d", b"bb")).unwrap();
    assert_eq!(page(b"b"), ["bb", "c"]);
    run(fat.remove(b"e")).unwrap();
    assert_eq!(page(b"c"), [""; 0]);
}
