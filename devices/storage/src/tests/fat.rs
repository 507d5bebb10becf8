//! File systems that Linux's tools make and check.

use super::disk::Event;
use super::*;
use crate::fs::Files;
use crate::fs::fat::Fat;
use std::process::Command;

fn tool(name: &str, args: &[&str], image: &std::path::Path) -> std::process::Output {
    let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
    let command = Command::new(name).env("PATH", path).args(args).arg(image).output();
    command.unwrap_or_else(|_| panic!("{name} is missing: apt install dosfstools"))
}

/// What fsck.fat says of a disk.
pub(super) fn said(disk: &Disk, name: &str) -> String {
    let image = std::env::temp_dir().join(std::format!("xenith-{name}-{}", std::process::id()));
    std::fs::write(&image, &*disk.bytes.borrow()).unwrap();
    let output = tool("fsck.fat", &["-n", "-v"], &image);
    std::fs::remove_file(image).unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Expects that fsck.fat finds nothing wrong with a disk.
fn check(disk: &Disk, name: &str) {
    let image = std::env::temp_dir().join(std::format!("xenith-{name}-{}", std::process::id()));
    std::fs::write(&image, &*disk.bytes.borrow()).unwrap();
    let output = tool("fsck.fat", &["-n", "-v"], &image);
    std::fs::remove_file(image).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A file system by mkfs.fat.
pub(super) fn made(kib: usize, args: &[&str]) -> Vec<u8> {
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
        assert_eq!(fat.bits(), bits);
        exercise(&disk, &fat, &std::format!("ours-{bits}-{sector}"));
    }
}

#[test]
fn what_linux_makes_is_right_for_us() {
    // FAT32 of so few clusters is what Linux mounts and Windows does not.
    let all: [(&str, usize, &[&str]); 5] = [
        ("12", 1440, &[]),
        ("16", 16 * 1024, &[]),
        ("32", 40 * 1024, &[]),
        ("32", 8 * 1024, &["-s1"]),
        ("16", 16 * 1024, &["-f", "1", "-S", "2048", "-s", "1", "-r", "64"]),
    ];
    for (bits, kib, options) in all {
        let disk = Disk::new(made(kib, &[&["-F", bits], options].concat()), 512);
        let fat = run(Fat::open(disk.clone())).unwrap();
        assert_eq!(std::format!("{}", fat.bits()), bits);
        exercise(&disk, &fat, &std::format!("theirs-{bits}-{kib}"));
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let disk = Disk::new(std::vec![0; 256 * 1024], 512);
    let fat = run(Fat::format(disk.clone())).unwrap();
    run(fat.write(b"first", 0, &[1; 100_000])).unwrap();
    assert_eq!(run(fat.write(b"second", 0, &[2; 300_000])), Err(Error::Full));
    assert_eq!(content(&fat, "first"), Ok(std::vec![1; 100_000]));
    run(fat.sync()).unwrap();
    check(&disk, "full");
    // One that fills the disk is cut where it ends.
    let node = run(fat.lookup(b"second")).unwrap();
    let size = fat.metadata(&node).size;
    run(fat.truncate(b"second", size)).unwrap();
    run(fat.remove(b"first")).unwrap();
    let all = run(async {
        let mut at = size;
        while fat.write(b"second", at, &[2; 512]).await.is_ok() {
            at += 512;
        }
        at
    });
    assert_eq!(run(fat.truncate(b"second", all)), Ok(()));
    run(fat.remove(b"second")).unwrap();
    run(fat.write(b"third", 0, &[3; 100_000])).unwrap();
    run(fat.sync()).unwrap();
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
    let failed = Error::Disk(devices::block::ErrorKind::Failed);
    assert_eq!(run(fat.write(b"x", 0, b"y")), Err(failed));
    disk.left.set(u64::MAX);
    assert_eq!(run(fat.write(b"x", 0, b"y")), Ok(()));
    run(fat.sync()).unwrap();
    check(&disk, "failed");
}

/// The names in the root, as they are.
fn shown(fat: &Fat<Disk>) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    run(async {
        let root = fat.lookup(b"").await.unwrap();
        fat.list(&root, &mut |name, _| names.push(name.to_vec())).await.unwrap();
    });
    names.sort();
    names
}

#[test]
fn names_of_all_letters_are_kept() {
    let names =
        ["\u{e9}", "\u{65e5}\u{672c}", "\u{1f980}.txt", " x", "a.b.c", "A", ".hidden", "~1"];
    let long = "\u{e4}".repeat(255);
    let fat = run(Fat::format(Disk::new(std::vec![0; 1 << 20], 512))).unwrap();
    let names: Vec<&str> = names.into_iter().chain([&*long]).collect();
    for (number, name) in names.iter().enumerate() {
        run(fat.write(name.as_bytes(), 0, &[number as u8])).unwrap();
        assert_eq!(run(fat.create_folder(name.as_bytes())), Err(Error::Exists));
    }
    let mut sorted: Vec<Vec<u8>> = names.iter().map(|it| it.as_bytes().to_vec()).collect();
    sorted.sort();
    assert_eq!(shown(&fat), sorted);
    for (number, name) in names.iter().enumerate() {
        assert_eq!(content(&fat, name), Ok(std::vec![number as u8]), "{name}");
        assert_eq!(content(&fat, &name.to_uppercase()), Ok(std::vec![number as u8]), "{name}");
        let other = std::format!("folder {number}");
        run(fat.create_folder(other.as_bytes())).unwrap();
        let inside = std::format!("{other}/{name}");
        run(fat.rename(name.as_bytes(), inside.as_bytes())).unwrap();
        assert_eq!(content(&fat, &inside), Ok(std::vec![number as u8]), "{name}");
    }
    run(fat.sync()).unwrap();
    check(&fat_disk(&fat), "letters");
}

/// The disk that a file system is on.
fn fat_disk(fat: &Fat<Disk>) -> Disk {
    fat.disk().clone()
}

#[test]
fn what_is_no_name_is_refused() {
    let fat = run(Fat::format(Disk::new(std::vec![0; 1 << 20], 512))).unwrap();
    run(fat.write(b"a", 0, b"1")).unwrap();
    let long = std::vec![b'x'; 256];
    for name in [&b"\xff"[..], b"a:b", b"a.", b"a ", b"a\x01", b"*", b"x\0", b"..", b"a/..", &long]
    {
        assert_eq!(run(fat.write(name, 0, b"")), Err(Error::BadPath), "{name:?}");
        assert_eq!(run(fat.create_folder(name)), Err(Error::BadPath), "{name:?}");
        assert_eq!(run(fat.rename(b"a", name)), Err(Error::BadPath), "{name:?}");
    }
    for root in [&b""[..], b".", b"/", b"./."] {
        assert_eq!(run(fat.write(root, 0, b"x")), Err(Error::NotFile));
        assert_eq!(run(fat.truncate(root, 0)), Err(Error::NotFile));
        assert_eq!(run(fat.create_folder(root)), Err(Error::Exists));
        assert_eq!(run(fat.rename(b"a", root)), Err(Error::Exists));
        assert_eq!(run(fat.rename(root, b"b")), Err(Error::BadPath));
        assert_eq!(run(fat.remove(root)), Err(Error::BadPath));
    }
    assert_eq!(shown(&fat), [b"a"]);
}

/// Short names of other machines, and half of a pair of UTF-16: each is found by what it
/// is listed as, and by nothing else.
#[test]
fn no_name_is_another_ones() {
    let disk = Disk::new(std::vec![0; 1 << 20], 512);
    let fat = run(Fat::format(disk.clone())).unwrap();
    for (number, name) in (0..).zip(["QA", "QB", "QC", "QD", "long \u{e9}", "long \u{ea}"]) {
        run(fat.write(name.as_bytes(), 0, &[number])).unwrap();
    }
    {
        let mut bytes = disk.bytes.borrow_mut();
        let find = |bytes: &[u8], what: &[u8]| {
            bytes.windows(what.len()).position(|it| it == what).unwrap()
        };
        for (name, first) in
            [(b"QA      ", 0x8e), (b"QB      ", 0x8f), (b"QC      ", 0x84), (b"QD      ", 0x05)]
        {
            let at = find(&bytes, name);
            bytes[at] = first;
        }
        for (letter, half) in [(0xe9_u16, 0xd83e_u16), (0xea, 0xdd80)] {
            // Behind five letters in a row come a type, a sum, and the sixth.
            let name: Vec<u8> = "long ".encode_utf16().flat_map(u16::to_le_bytes).collect();
            let is_it = |it: &[u8]| it[..10] == name && it[13..15] == letter.to_le_bytes();
            let at = bytes.windows(15).position(is_it).unwrap() + 13;
            assert_eq!(bytes[at..at + 2], letter.to_le_bytes());
            bytes[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
    }
    let fat = run(Fat::open(disk)).unwrap();
    let names = shown(&fat);
    assert_eq!(names.len(), 6);
    let mut contents: Vec<u8> = names
        .iter()
        .map(|name| {
            let node = run(fat.lookup(name)).unwrap();
            let mut byte = [0];
            run(fat.read(&node, 0, &mut byte)).unwrap();
            byte[0]
        })
        .collect();
    contents.sort_unstable();
    assert_eq!(contents, [0, 1, 2, 3, 4, 5]);
    assert_eq!(content(&fat, "\u{c4}A"), Ok(std::vec![0]));
    assert_eq!(content(&fat, "\u{c5}b"), Ok(std::vec![1]));
    assert_eq!(content(&fat, "\u{e4}C"), Ok(std::vec![2]));
}

#[test]
fn case_counts_for_nothing_but_what_is_shown() {
    let fat = run(Fat::format(Disk::new(std::vec![0; 1 << 20], 512))).unwrap();
    run(async {
        fat.write(b"Read Me.txt", 0, b"1").await.unwrap();
        fat.write(b"READ ME.TXT", 1, b"2").await.unwrap();
        fat.write(b"readme~1.TXT", 2, b"3").await.unwrap();
        assert_eq!(fat.create_folder(b"read me.TXT").await, Err(Error::Exists));
        fat.rename(b"read me.txt", b"READ me.txt").await.unwrap();
        fat.rename(b"READ me.txt", b"READ me.txt").await.unwrap();
        fat.create_folder(b"Folder").await.unwrap();
        assert_eq!(fat.rename(b"folder", b"FOLDER/x").await, Err(Error::BadPath));
        assert_eq!(fat.rename(b"folder", b"read ME.txt").await, Err(Error::Exists));
        fat.rename(b"folder", b"FOLDER").await.unwrap();
        fat.sync().await.unwrap();
    });
    assert_eq!(shown(&fat), [&b"FOLDER"[..], b"READ me.txt"]);
    assert_eq!(content(&fat, "read me.txt"), Ok(b"123".to_vec()));
    check(&fat_disk(&fat), "case");
}

#[test]
fn a_full_root_is_told_of() {
    let disk = Disk::new(made(16 * 1024, &["-F", "16"]), 512);
    let fat = run(Fat::open(disk.clone())).unwrap();
    let mut made = 0;
    let error = loop {
        let name = std::format!("file {made}");
        match run(fat.write(name.as_bytes(), 0, b"")) {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
    };
    // Two entries each.
    assert_eq!((error, made), (Error::FolderFull, 256));
    assert_eq!(run(fat.create_folder(b"x y")), Err(Error::FolderFull));
    run(fat.remove(b"file 7")).unwrap();
    run(fat.create_folder(b"x y")).unwrap();
    for number in 0..600 {
        run(fat.write(std::format!("x y/a longer name {number}").as_bytes(), 0, b"")).unwrap();
    }
    assert_eq!(names(&fat, "x y").unwrap().len(), 600);
    run(fat.sync()).unwrap();
    check(&disk, "root");
}

#[test]
fn reading_costs_what_is_read() {
    let disk = Disk::new(made(40 * 1024, &["-F", "32", "-s", "1"]), 512);
    let fat = run(Fat::open(disk.clone())).unwrap();
    let expected: Vec<u8> = (0..3 << 20).map(|at: u32| (at / 511) as u8).collect();
    // One in a row, and two that are in each other's way.
    run(fat.write(b"row", 0, &expected)).unwrap();
    for (at, piece) in (0..).step_by(1024).zip(expected.chunks(1024)) {
        run(fat.write(b"one", at, piece)).unwrap();
        run(fat.write(b"other", at, piece)).unwrap();
    }
    run(fat.sync()).unwrap();
    check(&disk, "linear");
    for (name, most) in [("row", 768 + 200), ("one", 768 * 4 + 800)] {
        let fat = run(Fat::open(disk.clone())).unwrap();
        let node = run(fat.lookup(name.as_bytes())).unwrap();
        let before = disk.left.get();
        let mut piece = std::vec![0; 4096];
        for at in (0..expected.len()).step_by(4096).rev() {
            assert_eq!(run(fat.read(&node, at as u64, &mut piece)), Ok(4096));
            assert!(piece == expected[at..at + 4096], "{name} {at}");
        }
        let requests = before - disk.left.get();
        assert!(requests < most, "{name}: {requests}");
    }
}

#[test]
fn files_of_four_gigabytes_are_read_and_cut() {
    const CLUSTER: u64 = 4096;
    // Its pages are the system's zeros until something is written there.
    let disk = Disk::new(std::vec![0; 5 << 30], 512);
    let fat = run(Fat::format(disk.clone())).unwrap();
    assert_eq!(fat.bits(), 32);
    run(fat.write(b"LARGE", 0, b"first")).unwrap();
    run(fat.sync()).unwrap();
    // All that follows the root and its first cluster is one file.
    let size = u64::from(u32::MAX);
    let clusters = size.div_ceil(CLUSTER);
    {
        let mut bytes = disk.bytes.borrow_mut();
        let table = 32 * 512;
        let length = u32::from_le_bytes(bytes[36..40].try_into().unwrap()) as usize * 512;
        for copy in [table, table + length] {
            for number in 0..clusters - 1 {
                let at = copy + (number as usize + 3) * 4;
                bytes[at..at + 4].copy_from_slice(&(number as u32 + 4).to_le_bytes());
            }
            let at = copy + (clusters as usize + 2) * 4;
            bytes[at..at + 4].copy_from_slice(&0x0fff_ffff_u32.to_le_bytes());
        }
        let data = table + 2 * length;
        assert!(bytes[data..].starts_with(b"LARGE"));
        bytes[data + 28..data + 32].copy_from_slice(&u32::MAX.to_le_bytes());
        let last = data + CLUSTER as usize + size as usize - 4;
        bytes[last..last + 4].copy_from_slice(b"last");
        // Nobody knows how many clusters are free.
        bytes[512 + 488..512 + 492].fill(0xff);
    }
    let fat = run(Fat::open(disk)).unwrap();
    let node = run(fat.lookup(b"large")).unwrap();
    assert_eq!(fat.metadata(&node).size, size);
    let mut end = [0; 9];
    assert_eq!(run(fat.read(&node, size - 4, &mut end)), Ok(4));
    assert_eq!(end[..4], *b"last");
    assert_eq!(run(fat.read(&node, 0, &mut end)), Ok(9));
    assert_eq!(end[..5], *b"first");
    assert_eq!(run(fat.write(b"large", size, b"x")), Err(Error::TooLong));
    assert_eq!(run(fat.truncate(b"large", size - 2)), Ok(()));
    assert_eq!(run(fat.write(b"large", size - 2, b"xy")), Ok(()));
    assert_eq!(run(fat.read(&node, size - 4, &mut end)), Ok(4));
    assert_eq!(end[..4], *b"laxy");
    assert_eq!(run(fat.remove(b"large")), Ok(()));
    assert_eq!(run(fat.read(&node, 0, &mut end)), Err(Error::NotFound));
}

/// What was looked up does not show another file's content after a change.
#[test]
fn a_node_follows_its_file() {
    let fat = run(Fat::format(Disk::new(std::vec![0; 1 << 20], 512))).unwrap();
    run(async {
        fat.write(b"a", 0, &[1; 9000]).await.unwrap();
        let node = fat.lookup(b"a").await.unwrap();
        fat.remove(b"a").await.unwrap();
        fat.write(b"b", 0, &[2; 600_000]).await.unwrap();
        let mut to = [0; 100];
        assert_eq!(fat.read(&node, 8000, &mut to).await, Err(Error::NotFound));
        fat.write(b"a", 0, &[3; 8050]).await.unwrap();
        assert_eq!(fat.read(&node, 8000, &mut to).await, Ok(50));
        assert_eq!(to[..50], [3; 50]);
        fat.remove(b"a").await.unwrap();
        fat.create_folder(b"a").await.unwrap();
        assert_eq!(fat.read(&node, 0, &mut to).await, Err(Error::NotFile));
    });
}

/// Whatever write is the last one that the disk took: what was there before is there, each
/// file can be read, and no two have a cluster in common.
#[test]
fn a_loss_of_power_costs_free_clusters_at_most() {
    for (kib, options) in [(512, &["-F", "12"][..]), (8 * 1024, &["-F", "32", "-s1"])] {
        let disk = Disk::new(made(kib, options), 512);
        let fat = run(Fat::open(disk.clone())).unwrap();
        run(async {
            fat.write(b"kept", 0, &[7; 50_000]).await.unwrap();
            fat.write(b"cut", 0, &[8; 50_000]).await.unwrap();
            fat.write(b"gone", 0, &[9; 50_000]).await.unwrap();
            fat.sync().await.unwrap();
        });
        let before = disk.bytes.borrow().clone();
        disk.events.borrow_mut().clear();
        run(async {
            fat.write(b"a new one with a long name", 0, &[1; 70_000]).await.unwrap();
            fat.truncate(b"cut", 9000).await.unwrap();
            fat.remove(b"gone").await.unwrap();
            fat.create_folder(b"folder").await.unwrap();
            for number in 0..20 {
                let name = std::format!("folder/one of many {number}");
                fat.write(name.as_bytes(), 0, &[2; 600]).await.unwrap();
            }
            fat.write(b"cut", 9000, &[3; 20_000]).await.unwrap();
            fat.sync().await.unwrap();
        });
        check(&disk, "power");
        let events = disk.events.borrow().clone();
        let now = Disk::new(before, 512);
        for (number, event) in events.iter().enumerate() {
            let Event::Write(sector, written) = event else { continue };
            let at = *sector as usize * 512;
            now.bytes.borrow_mut()[at..at + written.len()].copy_from_slice(written);
            let fat = run(Fat::open(now.clone())).unwrap();
            assert_eq!(content(&fat, "kept"), Ok(std::vec![7; 50_000]), "{number}");
            print(&fat);
            if number % 16 == 0 {
                let said = said(&now, &std::format!("power-{kib}"));
                assert!(!said.contains("share clusters"), "{number}: {said}");
            }
        }
    }
}

#[test]
fn damage_never_panics_or_hangs() {
    for options in [&["-F", "12"][..], &["-F", "32", "-s", "1"]] {
        let disk = Disk::new(made(256, options), 512);
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
        for _ in 0..1000 {
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
}
