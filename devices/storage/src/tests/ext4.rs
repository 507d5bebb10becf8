//! File systems made by mke2fs.

use super::*;
use crate::fs::ext4::Ext4;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a program of e2fsprogs.
fn tool(name: &str, args: &[&std::ffi::OsStr], input: &str) -> String {
    use std::io::Write;
    let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
    let mut command = Command::new(name);
    command.env("PATH", path).args(args).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn();
    let mut child = child.unwrap_or_else(|_| panic!("{name} is missing: apt install e2fsprogs"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file system with what is in `root` below `files`.
pub(super) fn made(root: &Path, options: &[&str], size: &str) -> PathBuf {
    let (files, image) = (root.join("files"), root.join("image"));
    let _ = std::fs::remove_file(&image);
    let mut args: Vec<&std::ffi::OsStr> = options.iter().map(|it| it.as_ref()).collect();
    args.extend(["-q".as_ref(), "-d".as_ref(), files.as_os_str()]);
    args.extend([image.as_os_str(), size.as_ref()]);
    tool("mke2fs", &args, "");
    image
}

/// The sample folder as a file system of `size`.
fn image(options: &[&str], size: &str) -> (PathBuf, Vec<u8>) {
    let root = sample();
    std::os::unix::fs::symlink("index.html", root.join("files/symbolic")).unwrap();
    let long = std::format!("/{}folder/../index.html", "./".repeat(60));
    std::os::unix::fs::symlink(long, root.join("files/folder/long")).unwrap();
    std::os::unix::fs::symlink("deeper", root.join("files/folder/inner")).unwrap();
    let bytes = std::fs::read(made(&root, options, size)).unwrap();
    (root, bytes)
}

#[test]
fn file_systems_of_linux_are_read() {
    let all: [(&[&str], &str, usize); 9] = [
        (&["-t", "ext4"], "8M", 512),
        (&["-t", "ext2"], "2M", 512),
        (&["-t", "ext4"], "40M", 4096),
        (&["-t", "ext3"], "20M", 512),
        (&["-r", "0"], "2M", 512),
        (&["-t", "ext4", "-b", "1024", "-I", "128"], "8M", 512),
        (&["-t", "ext4", "-O", "inline_data,metadata_csum_seed"], "8M", 512),
        (
            &["-t", "ext4", "-b", "1024", "-g", "256", "-O", "meta_bg,^resize_inode,^flex_bg"],
            "8M",
            512,
        ),
        (&["-t", "ext4", "-F", "-b", "65536", "-O", "^metadata_csum,^64bit"], "40M", 512),
    ];
    for (options, size, sector) in all {
        let (root, bytes) = image(options, size);
        let disk = Disk::new(bytes, sector);
        let tree = run(Ext4::open(disk.clone())).unwrap();
        for path in ["index.html", "folder/more", "folder//deeper/./large.bin", "empty.txt"] {
            let expected = std::fs::read(root.join("files").join(path)).unwrap();
            assert_eq!(content(&tree, path), Ok(expected), "{options:?} {path}");
        }
        let all = print(&tree);
        assert_eq!(all.len(), 14, "{options:?} {all:#?}");
        assert!(all.contains(&"/symbolic@".into()) && all.contains(&"/lost+found/".into()));
        for path in ["symbolic", "folder/long"] {
            assert_eq!(content(&tree, path), content(&tree, "index.html"));
        }
        let large = content(&tree, "folder/inner/large.bin");
        assert_eq!(large, content(&tree, "folder/deeper/large.bin"));
        for path in ["nothing", "index.html/x", "folder/inner/none"] {
            assert_eq!(content(&tree, path), Err(Error::NotFound));
        }
        let file = run(tree.lookup(b"folder/more")).unwrap();
        assert_eq!(run(tree.read(&file, u64::MAX, &mut [0; 9])), Ok(0));
        assert!(tree.metadata(&file).modified > 1_600_000_000);
        assert_eq!(content(&tree, "folder/../index.html"), Err(Error::BadPath));
        assert_eq!(names(&tree, "index.html").unwrap_err(), Error::NotFolder);
        assert!(disk.events.borrow().is_empty(), "nothing is written");
        std::fs::remove_dir_all(root).unwrap();
    }
}

/// A file of which only some blocks are there, as both maps have it.
#[test]
fn holes_and_large_files_are_read() {
    use std::os::unix::fs::FileExt;
    for (options, end) in [(["-t", "ext4"], 3_u64 << 32), (["-t", "ext2"], 1 << 30)] {
        let root = sample();
        let mut access = std::fs::File::options();
        access.read(true).write(true).create_new(true);
        let file = access.open(root.join("files/sparse")).unwrap();
        let places: Vec<u64> =
            [0, 5 << 10, 12 << 12, 1 << 22, 1 << 29, end - 9000].into_iter().collect();
        for (number, &at) in (1..).zip(&places) {
            file.write_all_at(&[number; 9000], at).unwrap();
        }
        let disk = Disk::new(std::fs::read(made(&root, &options, "16M")).unwrap(), 512);
        let tree = run(Ext4::open(disk.clone())).unwrap();
        let node = run(tree.lookup(b"sparse")).unwrap();
        assert_eq!(tree.metadata(&node).size, end);
        let (mut ours, mut theirs) = ([7; 20_000], [0; 20_000]);
        for &at in &places {
            let at = at.saturating_sub(6000);
            let count = run(tree.read(&node, at, &mut ours)).unwrap();
            assert_eq!(count, file.read_at(&mut theirs, at).unwrap(), "{at}");
            assert!(ours[..count] == theirs[..count], "{options:?} {at}");
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn reading_costs_what_is_read() {
    let root = sample();
    let expected: Vec<u8> = (0..6 << 20).map(|at: u32| (at / 511) as u8).collect();
    std::fs::write(root.join("files/large"), &expected).unwrap();
    for kind in ["ext4", "ext2"] {
        let bytes = std::fs::read(made(&root, &["-t", kind, "-b", "1024"], "16M")).unwrap();
        let disk = Disk::new(bytes, 512);
        let tree = run(Ext4::open(disk.clone())).unwrap();
        let node = run(tree.lookup(b"large")).unwrap();
        let before = disk.left.get();
        let mut piece = [0; 4096];
        for at in (0..expected.len()).rev().step_by(4096) {
            let at = at / 4096 * 4096;
            assert_eq!(run(tree.read(&node, at as u64, &mut piece)), Ok(4096));
            assert!(piece == expected[at..at + 4096]);
        }
        let requests = before - disk.left.get();
        // Of each piece one, two where its blocks stand apart; and the map.
        assert!(requests < 1536 + 200, "{kind}: {requests}");
    }
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn thousands_of_files_are_no_matter() {
    let root = sample();
    std::fs::create_dir(root.join("files/many")).unwrap();
    for number in 0..3000 {
        std::fs::write(root.join(std::format!("files/many/file-{number}.txt")), "x").unwrap();
    }
    let disk = Disk::new(std::fs::read(made(&root, &["-t", "ext4"], "64M")).unwrap(), 512);
    let tree = run(Ext4::open(disk.clone())).unwrap();
    let before = disk.left.get();
    let mut count = 0;
    run(async {
        let node = tree.lookup(b"many").await.unwrap();
        tree.list(&node, &mut |_, it| count += it.size).await.unwrap();
    });
    assert_eq!(count, 3000);
    let requests = before - disk.left.get();
    assert!(requests < 100, "{requests}");
    assert_eq!(content(&tree, "many/file-2999.txt"), Ok(b"x".to_vec()));
    std::fs::remove_dir_all(root).unwrap();
}

/// Looks at file systems with wrong bytes in what the journal says of itself.
fn damage(clean: &[u8]) {
    let blocks: Vec<usize> = (0..clean.len() / 1024)
        .map(|number| number * 1024)
        .filter(|&at| clean[at..].starts_with(&0xc03b_3998_u32.to_be_bytes()))
        .collect();
    let disk = Disk::new(clean.to_vec(), 512);
    let mut numbers = Numbers(23);
    for _ in 0..300 {
        let at = blocks[numbers.below(blocks.len())] + 4 + numbers.below(60);
        let byte = [numbers.next() as u8, 0, 0xff, 1][numbers.below(4)];
        let before = core::mem::replace(&mut disk.bytes.borrow_mut()[at], byte);
        if let Ok(tree) = run(Ext4::open(disk.clone())) {
            let _ = content(&tree, "index.html");
            let _ = names(&tree, "folder");
        }
        disk.bytes.borrow_mut()[at] = before;
    }
}

/// What is committed in the journal counts, as it does for Linux.
#[test]
fn the_journal_is_heeded() {
    for options in
        [&["-t", "ext4"][..], &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^64bit"]]
    {
        let root = sample();
        let image = made(&root, options, "16M");
        let place = |path: &str| {
            let args = ["-R".as_ref(), std::ffi::OsStr::new(path), image.as_os_str()];
            tool("debugfs", &args, "").trim().parse::<u64>().unwrap()
        };
        let (index, more) = (place("bmap /index.html 0"), place("bmap /folder/more 0"));
        let block = if options.len() > 2 { 1024 } else { 4096 };
        // The journal's own magic number, so that it has to be hidden.
        let mut new = std::vec![b'n'; block];
        new[..4].copy_from_slice(&0xc03b_3998_u32.to_be_bytes());
        std::fs::write(root.join("new"), &new).unwrap();
        std::fs::write(root.join("old"), std::vec![b'o'; block]).unwrap();
        let at = root.display();
        // What is not committed does not count, nor what is revoked.
        let script = std::format!(
            "jo\njw -b {index} {at}/old\njw -b {more} {at}/old\njw -b {index} {at}/new\n\
             jw -r {more}\njc\nq\n"
        );
        tool("debugfs", &["-w".as_ref(), image.as_os_str()], &script);
        let disk = Disk::new(std::fs::read(&image).unwrap(), 512);
        let tree = run(Ext4::open(disk.clone())).unwrap();
        let more = std::fs::read(root.join("files/folder/more")).unwrap();
        assert!(content(&tree, "index.html") == Ok(new[..511].to_vec()), "{options:?}");
        assert!(content(&tree, "folder/more") == Ok(more), "{options:?}");
        let all = print(&tree);
        assert!(disk.events.borrow().is_empty(), "nothing is written");
        damage(&disk.bytes.borrow());
        // The check writes it into its place.
        let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
        let check = Command::new("e2fsck").env("PATH", path).arg("-fy").arg(&image).output();
        assert!(check.unwrap().status.code() < Some(4));
        let after = run(Ext4::open(Disk::new(std::fs::read(&image).unwrap(), 512))).unwrap();
        assert_eq!(print(&after), all);
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn what_is_none_is_said() {
    let open = |bytes: Vec<u8>| run(Ext4::open(Disk::new(bytes, 512))).map(|_| ()).unwrap_err();
    assert_eq!(open(std::vec![0; 1 << 20]), Error::OtherFormat);
    assert_eq!(open(std::vec![]), Error::OtherFormat);
    let (root, mut bytes) = image(&["-t", "ext4"], "8M");
    assert_eq!(open(bytes[..1 << 19].to_vec()), Error::Shrunk);
    assert_eq!(open(bytes[..1500].to_vec()), Error::OtherFormat);
    bytes[1024 + 0x63] |= 0x80;
    assert_eq!(open(bytes.clone()), Error::Unsupported);
    bytes[1024 + 0x63] = 0;
    bytes[1024 + 0x80] ^= 1;
    assert_eq!(open(bytes), Error::Damaged, "its checksum");
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn damage_never_panics_or_hangs() {
    // Without checksums more of it is reached.
    for checksums in ["metadata_csum", "^metadata_csum"] {
        let (root, bytes) = image(&["-t", "ext4", "-O", checksums], "2M");
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
}
