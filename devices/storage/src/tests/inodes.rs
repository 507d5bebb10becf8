//! Inodes of archives and file systems that others made, compared with what the host says.

use super::*;
use crate::fs::fat::Fat;
use crate::fs::inodes::{AnyInodes, Attributes, Inodes, Sort};
use crate::fs::{Files, tar::Tar};
use devices::block::memory::Memory;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// Some files of each sort below `files`.
fn odd() -> std::path::PathBuf {
    let root = sample();
    let files = root.join("files");
    symlink("../index.html", files.join("folder/link")).unwrap();
    symlink("x".repeat(90), files.join("far")).unwrap();
    std::fs::hard_link(files.join("index.html"), files.join("same")).unwrap();
    let set = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(files.join(name), mode).unwrap();
    };
    set("index.html", 0o4751);
    set("folder", 0o1777);
    let pipe = std::process::Command::new("mkfifo").arg(files.join("pipe")).status().unwrap();
    assert!(pipe.success());
    root
}

fn at<I: Inodes>(disk: &I, path: &str) -> Result<(I::Node, Attributes), Error> {
    run(async {
        let mut node = disk.root().await?;
        for name in path.split('/').filter(|it| !it.is_empty()) {
            node = disk.child(&node, name.as_bytes()).await?;
        }
        let attributes = disk.attributes(&node).await?;
        Ok((node, attributes))
    })
}

fn compare<I: Inodes>(disk: &I, files: &Path, exact: bool) {
    for path in ["", "index.html", "same", "folder", "folder/link", "far", "pipe", "folder/more"] {
        let (node, got) = at(disk, path).unwrap();
        let said = std::fs::symlink_metadata(files.join(path)).unwrap();
        assert_eq!(got.sort, Sort::of_mode(said.mode()), "{path}");
        if path.is_empty() && exact {
            continue;
        }
        assert_eq!(got.mode, said.mode() & 0o7777, "{path}");
        assert_eq!((got.uid, got.gid), (said.uid(), said.gid()), "{path}");
        assert_eq!(got.modified / 1_000_000_000, said.mtime() as u64, "{path}");
        if got.sort != Sort::Folder {
            assert_eq!(u64::from(got.links), said.nlink(), "{path}");
            assert_eq!(got.size, said.size(), "{path}");
        }
        let target = std::fs::read_link(files.join(path)).ok();
        let target = target.map(|it| it.into_os_string().into_encoded_bytes());
        assert_eq!(run(disk.read_link(&node)).ok(), target, "{path}");
    }
    let number = |path| at(disk, path).unwrap().1.id;
    assert_eq!(number("index.html"), number("same"));
    assert_ne!(number("index.html"), number("far"));
    for wrong in ["nothing", "index.html/x", "folder/link/x", "folder/..", "folder/."] {
        assert_eq!(at(disk, wrong).map(|_| ()).unwrap_err(), Error::NotFound, "{wrong}");
    }
    let (root, _) = at(disk, "").unwrap();
    for wrong in [&b""[..], b"folder/more", b"a\0b"] {
        assert_eq!(run(disk.child(&root, wrong)).map(|_| ()).unwrap_err(), Error::NotFound);
    }
}

#[test]
fn an_archive_tells_owners_modes_and_links() {
    let root = odd();
    for format in ["gnu", "pax"] {
        let output = std::process::Command::new("tar")
            .args(["--format", format, "-C"])
            .arg(root.join("files"))
            .args(["-cf", "-", "."])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let disk = Memory::from_bytes(512, output.stdout);
        compare(&run(AnyInodes::open(disk)).unwrap(), &root.join("files"), false);
    }
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn an_archive_has_other_owners_devices_and_folders_without_an_entry() {
    let root = odd();
    let output = std::process::Command::new("tar")
        .args(["--owner=:3000000", "--group=:77", "--format", "pax", "-C"])
        .arg(root.join("files"))
        .args(["-cf", "-", "folder/more"])
        .output()
        .unwrap();
    let mut bytes = output.stdout;
    // A device, of which tar would have had to be root.
    let mut header = [0; 512];
    header[..6].copy_from_slice(b"a/null");
    header[100..107].copy_from_slice(b"0000622");
    header[156] = b'3';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[329..336].copy_from_slice(b"0000001");
    header[337..344].copy_from_slice(b"0000003");
    header[124..135].copy_from_slice(b"00000000000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(std::format!("{sum:06o}\0").as_bytes());
    let end = bytes.len() - bytes.iter().rev().take_while(|&&it| it == 0).count();
    bytes.truncate(end.next_multiple_of(512));
    bytes.extend(header);
    bytes.extend([0; 1024]);
    let disk = run(AnyInodes::open(Memory::from_bytes(512, bytes))).unwrap();
    let (_, more) = at(&disk, "folder/more").unwrap();
    assert_eq!((more.uid, more.gid), (3_000_000, 77));
    let (_, null) = at(&disk, "a/null").unwrap();
    assert_eq!((null.sort, null.mode, null.special), (Sort::Character, 0o622, 0x103));
    let (_, implied) = at(&disk, "a").unwrap();
    assert_eq!((implied.sort, implied.mode, implied.uid), (Sort::Folder, 0o755, 0));
    std::fs::remove_dir_all(root).unwrap();
}

/// The entry `f` of an archive, with a pax header before it.
fn owned(records: &str, uid: &[u8; 8]) -> Attributes {
    let block = |name: &str, sort, size: usize, uid: &[u8; 8]| {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[108..116].copy_from_slice(uid);
        header[124..135].copy_from_slice(std::format!("{size:011o}").as_bytes());
        header[156] = sort;
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(std::format!("{sum:06o}\0").as_bytes());
        header
    };
    let mut bytes = block("", b'x', records.len(), b"0000000\0").to_vec();
    bytes.extend(records.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(block("f", b'0', 0, uid));
    bytes.extend([0; 1024]);
    let disk = run(AnyInodes::open(Memory::from_bytes(512, bytes))).unwrap();
    at(&disk, "f").unwrap().1
}

#[test]
fn nobody_becomes_root_by_a_record_within_another_one_or_a_number_that_is_too_large() {
    let own = b"0001750\0";
    assert_eq!(owned("12 uid=1001\n", own).uid, 1001);
    assert_eq!(owned("20 comment=\n9 uid=0\n", own).uid, 1000, "a line break is of the value");
    assert_eq!(owned("7 uid=\n", own).uid, 1000);
    assert_eq!(owned("18 uid=4294967296\n", own).uid, 65534);
    assert_eq!(owned("", &[0x80, 0, 0, 1, 0, 0, 0, 0]).uid, 65534);
}

#[test]
fn ext4_tells_owners_modes_and_links() {
    let root = odd();
    for options in
        [&["-t", "ext4"][..], &["-t", "ext2", "-I", "128"], &["-t", "ext4", "-O", "inline_data"]]
    {
        let bytes = std::fs::read(ext4::made(&root, options, "8M")).unwrap();
        let disk = run(AnyInodes::open(Memory::from_bytes(512, bytes))).unwrap();
        compare(&disk, &root.join("files"), true);
    }
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn fat_belongs_to_root() {
    let fat = run(Fat::format(Memory::new(512, 4096))).unwrap();
    run(fat.create_folder(b"a")).unwrap();
    run(fat.write(b"a/b", 0, b"text")).unwrap();
    let (node, it) = at(&fat, "a/B").unwrap();
    assert_eq!((it.sort, it.mode, it.uid, it.size), (Sort::File, 0o755, 0, 4));
    assert_eq!(run(fat.read_link(&node)), Err(Error::NotFile));
    assert_eq!(at(&fat, "a").unwrap().1.sort, Sort::Folder);
    assert_eq!(at(&fat, "a/b/c").map(|_| ()).unwrap_err(), Error::NotFound);
}

#[test]
fn what_is_no_disk_and_an_index_without_memory_are_refused() {
    let nothing = run(AnyInodes::open(Memory::new(512, 64)));
    assert_eq!(nothing.map(|_| ()).unwrap_err(), Error::OtherFormat);
    assert!(run(Tar::open(Memory::new(512, 64))).is_err());
}
