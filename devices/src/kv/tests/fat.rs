//! File systems that Linux's tools make and check.

use super::*;
use crate::kv::Files;
use crate::kv::fat::Fat;
use std::process::Command;

fn tool(name: &str, args: &[&str], image: &std::path::Path) -> std::process::Output {
    let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
    let command = Command::new(name).env("PATH", path).args(args).arg(image).output();
    command.unwrap_or_else(|_| panic!("{name} is missing: apt install dosfstools"))
}

/// What fsck.fat says of a disk that it finds something wrong with.
fn check(disk: &Disk, name: &str) {
    let image = std::env::temp_dir().join(std::format!("xenith-{name}-{}", std::process::id()));
    std::fs::write(&image, &*disk.bytes.borrow()).unwrap();
    let output = tool("fsck.fat", &["-n", "-v"], &image);
    std::fs::remove_file(image).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A file system by mkfs.fat.
fn made(kib: usize, args: &[&str]) -> Vec<u8> {
    let name = std::format!("xenith-made-{kib}-{}", std::process::id());
    let image = std::env::temp_dir().join(name);
    std::fs::write(&image, std::vec![0; kib * 1024]).unwrap();
    let output = tool("mkfs.fat", args, &image);
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(&image).unwrap();
    std::fs::remove_file(image).unwrap();
    bytes
}

/// Writes and removes things, and looks whether they are there.
fn exercise(disk: &Disk, fat: &Fat<Disk>, name: &str) {
    let large: Vec<u8> = (0..200_000).map(|at| (at % 253) as u8).collect();
    run(async {
        fat.create_folder(b"a folder with a long name").await.unwrap();
        fat.write(b"a folder with a long name/na\xc3\xafve.bin", 0, &large).await.unwrap();
        fat.write(b"x.txt", 0, b"hello").await.unwrap();
        fat.write(b"x.txt", 3, b"p!").await.unwrap();
        fat.write(b"gone", 0, &large[..70_000]).await.unwrap();
        fat.write(b"empty", 0, b"").await.unwrap();
        assert_eq!(fat.write(b"x.txt", 100, b"hole").await, Err(Error::Unsupported));
        assert_eq!(fat.create_folder(b"x.txt").await, Err(Error::Exists));
        let full = fat.remove(b"a folder with a long name").await;
        assert_eq!(full, Err(Error::NotEmpty));
        fat.remove(b"gone").await.unwrap();
        fat.rename(b"x.txt", b"a folder with a long name/y.txt").await.unwrap();
        assert_eq!(fat.rename(b"x.txt", b"z").await, Err(Error::NotFound));
        let inside = fat.rename(b"a folder with a long name", b"a folder with a long name/b").await;
        assert_eq!(inside, Err(Error::BadPath));
        fat.truncate(b"a folder with a long name/na\xc3\xafve.bin", 100_000).await.unwrap();
        fat.sync().await.unwrap();
    });
    check(disk, name);
    let again = run(Fat::open(disk.clone())).unwrap();
    for fat in [fat, &again] {
        let read = content(fat, "A FOLDER with a long name/na\u{ef}ve.bin").unwrap();
        assert!(read == large[..100_000]);
        assert_eq!(content(fat, "a folder with a long name/y.txt"), Ok(b"help!".to_vec()));
        assert_eq!(print(fat).len(), 4, "{:?}", print(fat));
        assert_eq!(content(fat, "x.txt"), Err(Error::NotFound));
        assert_eq!(content(fat, "empty/x"), Err(Error::NotFound));
        assert_eq!(content(fat, "../empty"), Err(Error::BadPath));
        assert_eq!(names(fat, "empty").unwrap_err(), Error::NotFolder);
    }
    let node = run(again.lookup(b"empty")).unwrap();
    let now = kernel::time::wall_clock().as_secs();
    assert!(again.metadata(&node).modified.abs_diff(now) < 600);
}

#[test]
fn what_we_make_is_right_for_linux() {
    for (bits, kib, sector) in [(12, 2048, 512), (16, 20 * 1024, 512), (12, 8 * 1024, 4096)] {
        let disk = Disk::new(std::vec![0; kib * 1024], sector);
        let fat = run(Fat::format(disk.clone())).unwrap();
        assert_eq!(run(fat.bits()), Ok(bits));
        exercise(&disk, &fat, &std::format!("ours-{bits}-{sector}"));
    }
}

#[test]
fn what_linux_makes_is_right_for_us() {
    for (bits, kib) in [("12", 1440), ("16", 16 * 1024), ("32", 40 * 1024)] {
        let disk = Disk::new(made(kib, &["-F", bits]), 512);
        let fat = run(Fat::open(disk.clone())).unwrap();
        assert_eq!(std::format!("{}", run(fat.bits()).unwrap()), bits);
        exercise(&disk, &fat, &std::format!("theirs-{bits}"));
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let disk = Disk::new(std::vec![0; 256 * 1024], 512);
    let fat = run(Fat::format(disk.clone())).unwrap();
    run(fat.write(b"first", 0, &[1; 100_000])).unwrap();
    assert_eq!(run(fat.write(b"second", 0, &[2; 300_000])), Err(Error::Full));
    assert_eq!(content(&fat, "first"), Ok(std::vec![1; 100_000]));
    check(&disk, "full");
    run(fat.remove(b"second")).unwrap();
    run(fat.write(b"third", 0, &[3; 100_000])).unwrap();
    check(&disk, "emptied");
}

#[test]
fn other_disks_are_told_of() {
    let open = |bytes: Vec<u8>| run(Fat::open(Disk::new(bytes, 512))).map(|_| ()).unwrap_err();
    assert_eq!(open(std::vec![0; 1 << 20]), Error::OtherFormat);
    assert_eq!(open(std::vec![]), Error::OtherFormat);
    let disk = Disk::new(made(1440, &[]), 512);
    disk.read_only.set(true);
    let fat = run(Fat::open(disk.clone())).unwrap();
    assert_eq!(run(fat.write(b"x", 0, b"y")), Err(Error::ReadOnly));
    assert_eq!(print(&fat), [""; 0]);
    disk.read_only.set(false);
    disk.left.set(0);
    let failed = Error::Disk(crate::block::ErrorKind::Failed);
    assert_eq!(run(fat.write(b"x", 0, b"y")), Err(failed));
    disk.left.set(u64::MAX);
    assert_eq!(run(fat.write(b"x", 0, b"y")), Ok(()));
    check(&disk, "failed");
}

#[test]
fn damage_never_panics_or_hangs() {
    let disk = Disk::new(made(256, &["-F", "12"]), 512);
    let fat = run(Fat::open(disk.clone())).unwrap();
    run(async {
        fat.create_folder(b"folder").await.unwrap();
        fat.write(b"folder/a long name", 0, &[5; 9000]).await.unwrap();
        fat.write(b"x", 0, &[5; 3000]).await.unwrap();
    });
    let clean = disk.bytes.borrow().clone();
    let used: Vec<usize> =
        (0..clean.len()).filter(|&at| clean[at] != 0 && clean[at] != 5).collect();
    let mut numbers = Numbers(17);
    for _ in 0..1500 {
        let mut bytes = clean.clone();
        for _ in 0..=numbers.below(4) {
            let at = (used[numbers.below(used.len())] + numbers.below(8)).min(bytes.len() - 1);
            bytes[at] = [numbers.next() as u8, 0, 0xff, 1][numbers.below(4)];
        }
        let Ok(fat) = run(Fat::open(Disk::new(bytes, 512))) else { continue };
        let _ = names(&fat, "");
        let _ = names(&fat, "folder");
        run(async {
            if let Ok(node) = fat.lookup(b"folder/a long name").await {
                let _ = fat.read(&node, 5000, &mut [0; 6000]).await;
            }
            let _ = fat.write(b"new", 0, &[1; 3000]).await;
            let _ = fat.remove(b"x").await;
            let _ = fat.remove(b"folder/a long name").await;
        });
    }
}
