//! A disk of whichever format.

use super::{content, print, run, sample};
use crate::fs::fat::Fat;
use crate::fs::inodes::AnyInodes;
use crate::fs::tar::Tar;
use crate::fs::{Any, Error, Files, Tree};
use devices::block::memory::Memory;

#[test]
fn a_disk_is_opened_by_its_own_format() {
    let disk = Memory::new(512, 4096);
    let fat = run(Fat::format(disk.clone())).unwrap();
    run(fat.write(b"file", 0, b"text")).unwrap();
    let any = run(Any::open(disk)).unwrap();
    assert_eq!(any.format(), "FAT");
    assert_eq!(content(&any, "file").unwrap(), b"text");
    assert!(Any::<Memory>::FORMATS.contains(&any.format()));

    let root = sample();
    let archive = std::process::Command::new("tar")
        .args(["-C", root.to_str().unwrap(), "-cf", "-", "files"])
        .output()
        .unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    let disk = Memory::from_bytes(512, archive.stdout);
    let tar = run(Tar::open(disk.clone())).unwrap();
    let other = run(Any::open(disk)).unwrap();
    assert_eq!((other.format(), print(&other)), ("tar", print(&tar)));

    // What belongs to another tree is not found in this one.
    let node = run(other.lookup(b"files/index.html")).unwrap();
    assert_eq!(other.metadata(&node).size, 511);
    assert_eq!(any.metadata(&node).size, 0);
    assert_eq!(run(any.read(&node, 0, &mut [0; 4])), Err(Error::NotFound));
    assert_eq!(run(any.list(&node, &mut |_, _| ())), Err(Error::NotFound));
}

/// The magic numbers of ext4 and EROFS are 1 KiB behind the beginning, in the content of the
/// first file.
#[test]
fn an_archive_is_one_whatever_its_first_file_holds() {
    let root = sample();
    for (at, magic) in [(0x38, &[0x53, 0xef][..]), (0, &[0xe2, 0xe1, 0xf5, 0xe0])] {
        let mut bytes = std::vec![0; 4096];
        bytes[512 + at..][..magic.len()].copy_from_slice(magic);
        std::fs::write(root.join("first"), &bytes).unwrap();
        let output = std::process::Command::new("tar")
            .args(["-C", root.to_str().unwrap(), "--format=gnu", "-cf", "-", "first", "files"])
            .output()
            .unwrap();
        let disk = Memory::from_bytes(512, output.stdout);
        let any = run(Any::open(disk.clone())).unwrap();
        assert_eq!((any.format(), content(&any, "first")), ("tar", Ok(bytes.clone())));
        let inodes = run(AnyInodes::open(disk)).unwrap();
        assert_eq!(content(&inodes, "first"), Ok(bytes));
    }
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn a_disk_of_no_format_is_none() {
    let garbage = Memory::from_bytes(512, b"garbage ".repeat(1 << 14));
    for disk in [Memory::new(512, 256), garbage] {
        assert_eq!(run(Any::open(disk)).map(|it| it.format()), Err(Error::OtherFormat));
    }
}
