//! Archives made by GNU tar, and such as nobody would make.

use super::*;
use crate::kv::tar::Tar;
use crate::kv::{CHUNK, Cache};
use std::process::Command;

/// The sample folder as an archive.
fn archive(format: &str) -> (std::path::PathBuf, Vec<u8>) {
    let root = sample();
    std::fs::hard_link(root.join("files/index.html"), root.join("files/same.html")).unwrap();
    std::os::unix::fs::symlink("index.html", root.join("files/symbolic")).unwrap();
    let output = Command::new("tar")
        .args(["--sort=name", "--format", format, "-C"])
        .arg(root.join("files"))
        .args(["-cf", "-", "."])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (root, output.stdout)
}

#[test]
fn archives_of_gnu_tar_are_read() {
    for (format, size) in [("pax", 512), ("gnu", 512), ("pax", 4096), ("gnu", 4096)] {
        let (root, bytes) = archive(format);
        let tar = run(Tar::open(Disk::new(bytes, size))).unwrap();
        for path in
            ["index.html", "folder/more", "/folder//deeper/./large.bin", "same.html", "empty.txt"]
        {
            let expected = std::fs::read(root.join("files").join(path.trim_start_matches('/')));
            assert_eq!(content(&tar, path), Ok(expected.unwrap()), "{format} {path}");
        }
        let all = print(&tar);
        assert_eq!(all.len(), 12, "{all:#?}");
        assert!(
            all.contains(&"/symbolic?".into()) && all.contains(&"/folder/deeper/empty/".into())
        );
        assert!(all.iter().any(|line| line.starts_with("/folder/na\u{ef}ve \u{1f980}.txt 5 ")));
        let modified = run(tar.lookup(b"index.html")).unwrap();
        assert!(tar.metadata(&modified).modified > 1_600_000_000);
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn what_is_not_there_is_said() {
    let (root, bytes) = archive("pax");
    let tar = run(Tar::open(Disk::new(bytes.clone(), 512))).unwrap();
    assert_eq!(content(&tar, "nothing"), Err(Error::NotFound));
    assert_eq!(content(&tar, "index.html/x"), Err(Error::NotFound));
    assert_eq!(content(&tar, "folder/../index.html"), Err(Error::BadPath));
    assert_eq!(names(&tar, "index.html").unwrap_err(), Error::NotFolder);
    let folder = run(tar.lookup(b"folder")).unwrap();
    assert_eq!(run(tar.read(&folder, 0, &mut [0])), Err(Error::NotFile));
    let small = run(Tar::with_memory(Disk::new(bytes, 512), 500));
    assert_eq!(small.unwrap_err(), Error::NoMemory);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn other_content_is_told_from_an_archive() {
    let (root, bytes) = archive("gnu");
    let open = |bytes: Vec<u8>| run(Tar::open(Disk::new(bytes, 512))).map(|_| ()).unwrap_err();
    assert_eq!(open(std::vec![]), Error::OtherFormat);
    assert_eq!(open(std::vec![0; 1 << 16]), Error::OtherFormat);
    assert_eq!(open(b"no archive".repeat(1000)), Error::OtherFormat);
    // Where a content ends is inside the archive, or the disk has shrunk.
    assert_eq!(open(bytes[..100_000].to_vec()), Error::Damaged);
    let mut wrong = bytes.clone();
    let header = wrong.windows(5).rposition(|it| it == b"ustar").unwrap();
    wrong[header + 100] ^= 1;
    assert_eq!(open(wrong), Error::Damaged);
    let disk = Disk::new(bytes, 512);
    let tar = run(Tar::open(disk.clone())).unwrap();
    disk.bytes.borrow_mut().truncate(4096);
    assert_eq!(content(&tar, "folder/deeper/large.bin"), Err(Error::Damaged));
    disk.left.set(0);
    let failed = Error::Disk(crate::block::ErrorKind::Failed);
    assert_eq!(run(Tar::open(disk)).unwrap_err(), failed);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn names_that_lead_out_are_left_out() {
    let entry = |path: &str, content: &[u8]| {
        let mut header = [0; 512];
        header[..path.len()].copy_from_slice(path.as_bytes());
        let size = std::format!("{:011o}", content.len());
        header[124..135].copy_from_slice(size.as_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..154].copy_from_slice(std::format!("{sum:06o}").as_bytes());
        let mut entry = header.to_vec();
        entry.extend_from_slice(content);
        entry.resize(entry.len().next_multiple_of(512), 0);
        entry
    };
    let all = [("../etc/passwd", "x"), ("/a/b", "old"), ("a/b", "newer"), ("d/", ""), ("a", "y")];
    let bytes: Vec<u8> = all.iter().flat_map(|(p, c)| entry(p, c.as_bytes())).collect();
    let tar = run(Tar::open(Disk::new(bytes, 512))).unwrap();
    assert_eq!(content(&tar, "a/b"), Ok(b"newer".to_vec()));
    assert_eq!(print(&tar), ["/a 1 121", "/d/"]);
}

#[test]
fn damage_never_panics_or_hangs() {
    let (root, bytes) = archive("pax");
    std::fs::remove_dir_all(root).unwrap();
    let mut numbers = Numbers(7);
    let headers: Vec<usize> =
        (0..bytes.len() / 512).filter(|at| bytes[at * 512 + 257..].starts_with(b"ustar")).collect();
    for _ in 0..3000 {
        let mut bytes = bytes.clone();
        let header = headers[numbers.below(headers.len())] * 512;
        for _ in 0..=numbers.below(3) {
            let at = (header + numbers.below(1536)).min(bytes.len() - 1);
            bytes[at] = match numbers.below(3) {
                0 => numbers.next() as u8,
                1 => b'0' + numbers.below(8) as u8,
                _ => [0, 0xff, 0x80, b' ', b'x', b'L', b'\n'][numbers.below(7)],
            };
        }
        // So that what is behind the checksum is reached, too.
        bytes[header + 148..header + 156].fill(b' ');
        let sum: u32 = bytes[header..header + 512].iter().map(|&byte| u32::from(byte)).sum();
        bytes[header + 148..header + 154].copy_from_slice(std::format!("{sum:06o}").as_bytes());
        if let Ok(tar) = run(Tar::open(Disk::new(bytes, 512))) {
            run(async {
                let root = tar.lookup(b"").await.unwrap();
                let mut files = Vec::new();
                tar.list(&root, &mut |name, _| files.push(name.to_vec())).await.unwrap();
                for file in files {
                    let node = tar.lookup(&file).await.unwrap();
                    let _ = tar.read(&node, 0, &mut [0; 600]).await;
                }
            });
        }
    }
}

#[test]
fn a_cache_reads_once_and_stays_within_its_room() {
    let (root, bytes) = archive("gnu");
    let disk = Disk::new(bytes, 512);
    let cache = Cache::new(run(Tar::open(disk.clone())).unwrap(), 3 * CHUNK);
    let large = run(cache.tree().lookup(b"folder/deeper/large.bin")).unwrap();
    let expected = std::fs::read(root.join("files/folder/deeper/large.bin")).unwrap();
    let reads = |numbers: &[u64]| {
        let before = disk.left.get();
        for &number in numbers {
            let bytes = run(cache.chunk(&large, number)).unwrap();
            let from = number as usize * CHUNK;
            assert_eq!(*bytes, expected[from..expected.len().min(from + CHUNK)]);
        }
        before - disk.left.get()
    };
    assert_eq!(reads(&[0, 1, 0, 1, 0]), 2);
    assert_eq!(reads(&[2, 0, 2]), 1, "1 has to go");
    assert_eq!(reads(&[1]), 1, "0 was used after it");
    assert!(run(cache.chunk(&large, 5)).unwrap().is_empty());
    std::fs::remove_dir_all(root).unwrap();
}
