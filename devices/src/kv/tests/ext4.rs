//! File systems made by mke2fs.

use super::*;
use crate::kv::ext4::Ext4;
use std::process::Command;

/// The sample folder as a file system of `size`.
fn image(kind: &str, size: &str) -> (std::path::PathBuf, Vec<u8>) {
    let root = sample();
    std::os::unix::fs::symlink("index.html", root.join("files/symbolic")).unwrap();
    let image = root.join("image");
    let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
    let output = Command::new("mke2fs")
        .env("PATH", path)
        .args(["-q", "-t", kind, "-d"])
        .arg(root.join("files"))
        .arg(&image)
        .arg(size)
        .output()
        .expect("mke2fs is missing: apt install e2fsprogs");
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(image).unwrap();
    (root, bytes)
}

#[test]
fn file_systems_of_linux_are_read() {
    for (kind, size, sector) in [("ext4", "8M", 512), ("ext2", "2M", 512), ("ext4", "40M", 4096)] {
        let (root, bytes) = image(kind, size);
        let disk = Disk::new(bytes, sector);
        let tree = run(Ext4::open(disk.clone())).unwrap();
        for path in ["index.html", "folder/more", "/folder//deeper/./large.bin", "empty.txt"] {
            let expected = std::fs::read(root.join("files").join(path.trim_start_matches('/')));
            assert_eq!(content(&tree, path), Ok(expected.unwrap()), "{kind} {path}");
        }
        let all = print(&tree);
        assert_eq!(all.len(), 12, "{all:#?}");
        assert!(all.contains(&"/symbolic?".into()) && all.contains(&"/lost+found/".into()));
        assert_eq!(content(&tree, "symbolic"), content(&tree, "index.html"));
        assert_eq!(content(&tree, "nothing"), Err(Error::NotFound));
        let file = run(tree.lookup(b"folder/more")).unwrap();
        assert_eq!(run(tree.read(&file, u64::MAX, &mut [0; 9])), Ok(0));
        assert_eq!(content(&tree, "folder/../index.html"), Err(Error::BadPath));
        assert_eq!(names(&tree, "index.html").unwrap_err(), Error::NotFolder);
        assert!(disk.events.borrow().is_empty(), "nothing is written");
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn what_is_none_is_said() {
    let open = |bytes: Vec<u8>| run(Ext4::open(Disk::new(bytes, 512))).map(|_| ()).unwrap_err();
    assert_eq!(open(std::vec![0; 1 << 20]), Error::OtherFormat);
    assert_eq!(open(std::vec![]), Error::OtherFormat);
    let (root, bytes) = image("ext4", "8M");
    let tree = run(Ext4::open(Disk::new(bytes[..1 << 19].to_vec(), 512)));
    if let Ok(tree) = tree {
        assert_eq!(content(&tree, "folder/deeper/large.bin"), Err(Error::Damaged));
    }
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn damage_never_panics_or_hangs() {
    let (root, bytes) = image("ext4", "2M");
    std::fs::remove_dir_all(root).unwrap();
    let mut numbers = Numbers(13);
    // Where there is anything, something can be wrong.
    let used: Vec<usize> = (0..bytes.len() / 64)
        .filter(|at| bytes[at * 64..at * 64 + 64].iter().any(|&byte| byte != 0))
        .filter(|at| *at < 0x10000 / 64 || at % 7 == 0)
        .collect();
    for _ in 0..300 {
        let mut bytes = bytes.clone();
        for _ in 0..=numbers.below(4) {
            let at = used[numbers.below(used.len())] * 64 + numbers.below(64);
            bytes[at] = if numbers.below(2) == 0 { numbers.next() as u8 } else { 0xff };
        }
        let Ok(tree) = run(Ext4::open(Disk::new(bytes, 512))) else { continue };
        for path in ["", "folder", "folder/deeper"] {
            let _ = names(&tree, path);
        }
        run(async {
            for path in ["index.html", "folder/deeper/large.bin"] {
                if let Ok(node) = tree.lookup(path.as_bytes()).await {
                    let _ = tree.read(&node, 100_000, &mut [0; 5000]).await;
                }
            }
        });
    }
}
