//! A disk of whichever format.

use super::{content, print, run, sample};
use crate::fs::fat::Fat;
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

#[test]
fn a_disk_of_no_format_is_none() {
    let garbage = Memory::from_bytes(512, b"garbage ".repeat(1 << 14));
    for disk in [Memory::new(512, 256), garbage] {
        assert_eq!(run(Any::open(disk)).map(|it| it.format()), Err(Error::OtherFormat));
    }
}
