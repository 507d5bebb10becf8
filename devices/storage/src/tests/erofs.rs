//! Images that erofs-utils 1.5 made of the folder that is described here, and veritysetup 2.6.1
//! completed: `sealed.img` by `mkfs.erofs -zlz4hc,9 -C16384` and
//! `veritysetup format --hash-offset=86016`, and `legacy.img` by `-zlz4hc -Elegacy-compress`.

use super::*;
use crate::fs::erofs::Erofs;
use crate::fs::inodes::{AnyInodes, Inodes, Sort};
use crate::fs::{Any, Error};
use devices::block::ErrorKind;
use devices::block::memory::Memory;
use devices::block::verity::{Root, Verity};

const SEALED: &[u8] = include_bytes!("images/sealed.img");
const ROOT: &str = "24306c57c2bd8d0f175a57a0ce9d54bcd981504fb417774fad50233b4e5252c4@86016";
const LEGACY: &[u8] = include_bytes!("images/legacy.img");

fn memory(bytes: &[u8]) -> Memory {
    Memory::from_bytes(512, bytes.to_vec())
}

/// What the files have.
fn expected() -> Vec<(&'static str, Vec<u8>)> {
    let pattern = |length: usize| (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
    let mut noise = Numbers(7);
    std::vec![
        ("empty.txt", Vec::new()),
        ("index.html", pattern(511)),
        ("same", pattern(511)),
        ("folder/sector", pattern(512)),
        ("folder/more", pattern(4097)),
        ("folder/block", pattern(4096)),
        ("folder/deeper/large.bin", pattern(300_000)),
        ("folder/inner/large.bin", pattern(300_000)),
        ("folder/deeper/zeros", std::vec![0; 200_000]),
        ("numbers.txt", (1..=6000).flat_map(|it| std::format!("{it}\n").into_bytes()).collect()),
        ("noise", (0..9000).map(|_| noise.next() as u8).collect()),
        ("folder/link", pattern(511)),
        ("many/a name of some length 123", b"123".to_vec()),
    ]
}

fn check<T: Tree>(tree: &T) {
    for (path, bytes) in expected() {
        assert!(content(tree, path).unwrap() == bytes, "{path}");
        let node = run(tree.lookup(path.as_bytes())).unwrap();
        for offset in [1, 4095, 4096, 9000, 150_000, 299_990] {
            let mut part = [0; 100];
            let count = run(tree.read(&node, offset as u64, &mut part)).unwrap();
            let rest = bytes.get(offset..).unwrap_or_default();
            assert_eq!(part[..count], rest[..rest.len().min(100)], "{path}, {offset}");
        }
    }
    let many: Vec<_> = (0..300).map(|it| std::format!("a name of some length {it:03}")).collect();
    let listed = |all: Vec<(String, Metadata)>| all.into_iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(listed(names(tree, "many").unwrap()), many);
    let folder = run(tree.lookup(b"many")).unwrap();
    let pages = run(in_order(tree, &folder)).unwrap();
    let paged: Vec<_> = pages.into_iter().map(|it| String::from_utf8(it.0).unwrap()).collect();
    assert_eq!(paged, many);
    for path in ["nothing", "many/a", "many/z", "many/a name of some length 1234", "noise/x"] {
        assert_eq!(content(tree, path), Err(Error::NotFound), "{path}");
    }
    assert_eq!(run(tree.read(&folder, 0, &mut [0])), Err(Error::NotFile));
    assert_eq!(names(tree, "noise").unwrap_err(), Error::NotFolder);
    assert_eq!(content(tree, "folder/../noise"), Err(Error::BadPath));
}

#[test]
fn images_of_linux_are_read() {
    check(&run(Erofs::open(memory(LEGACY))).unwrap());
    let any = run(Any::open(memory(SEALED))).unwrap();
    assert_eq!(any.format(), "EROFS");
    check(&any);
    let root: Root = ROOT.parse().unwrap();
    let tree = run(Erofs::open(run(Verity::open(memory(SEALED), root)).unwrap())).unwrap();
    check(&tree);
}

#[test]
fn owners_modes_and_times_are_told() {
    let disk = run(AnyInodes::open(memory(SEALED))).unwrap();
    let at = |name: &[u8]| {
        run(async {
            let node = disk.child(&disk.root().await?, name).await?;
            Ok::<_, Error>((disk.attributes(&node).await?, node))
        })
        .unwrap()
    };
    let (noise, _) = at(b"noise");
    assert_eq!((noise.uid, noise.gid, noise.links, noise.size), (1000, 70_000, 1, 9000));
    assert_eq!(noise.modified, 1_700_000_000 * 1_000_000_000);
    let (index, _) = at(b"index.html");
    assert_eq!((index.sort, index.mode, index.links), (Sort::File, 0o4751, 2));
    assert_eq!(index.id, at(b"same").0.id);
    let (tty, _) = at(b"tty");
    assert_eq!((tty.sort, tty.special), (Sort::Character, 0x10_042c));
    let (folder, node) = at(b"folder");
    assert_eq!((folder.sort, folder.mode), (Sort::Folder, 0o1777));
    let link = run(disk.child(&node, b"link")).unwrap();
    assert_eq!(run(disk.read_link(&link)).unwrap(), b"../index.html");
    assert_eq!(run(disk.read_link(&node)), Err(Error::NotFile));
}

/// Reads all that can be read of what is in the root and in `folder`.
fn walk<T: Tree>(tree: &T) -> Result<(), Error> {
    let mut first = None;
    for folder in ["", "folder", "folder/deeper"] {
        let mut inside = Vec::new();
        run(async {
            let node = tree.lookup(folder.as_bytes()).await?;
            tree.list(&node, &mut |name, metadata| inside.push((name.to_vec(), metadata))).await
        })?;
        for (name, metadata) in inside {
            let path = std::format!("{folder}/{}", String::from_utf8_lossy(&name));
            // A damaged file may have any size.
            if metadata.kind == Kind::File
                && metadata.size < 1 << 20
                && let Err(error) = content(tree, &path)
            {
                first.get_or_insert(error);
            }
        }
    }
    first.map_or(Ok(()), Err)
}

#[test]
fn a_folder_that_is_not_sorted_is_damaged_and_not_short() {
    let mut bytes = LEGACY.to_vec();
    let name = b"a name of some length 100";
    let at = bytes.windows(name.len()).position(|it| it == name).unwrap();
    bytes[at + name.len() - 3..][..3].copy_from_slice(b"999");
    let tree = run(Erofs::open(memory(&bytes))).unwrap();
    let folder = run(tree.lookup(b"many")).unwrap();
    let mut names = 0;
    let listed = run(tree.list(&folder, &mut |_, _| names += 1));
    assert_eq!((listed, names), (Err(Error::Damaged), 101));
    let after = run(tree.list_after(&folder, b"a name of some length 200", &mut |_, _| true));
    assert_eq!(after, Ok(()), "what is behind that is sorted");
}

/// Without hashes, wrong bytes are read as they are, or found to be damaged.
#[test]
fn wrong_bytes_harm_nobody() {
    let mut numbers = Numbers(3);
    let mut refused = 0;
    for _ in 0..600 {
        let mut bytes = LEGACY.to_vec();
        for _ in 0..4 {
            // Where inodes, indices and folders are, as a rule.
            let at = 1200 + numbers.below(24 << 10);
            bytes[at] ^= 1 << numbers.below(8);
        }
        // The checksum is of the first block alone.
        let Ok(tree) = run(Erofs::open(memory(&bytes))) else { continue };
        refused += usize::from(walk(&tree).is_err());
    }
    assert!(refused > 0);
    for length in (0..LEGACY.len()).step_by(4096) {
        assert!(run(Erofs::open(memory(&LEGACY[..length]))).is_err(), "{length}");
    }
}

#[test]
fn what_is_verified_is_right_or_an_error() {
    let mut numbers = Numbers(5);
    for _ in 0..60 {
        let mut bytes = SEALED.to_vec();
        let at = numbers.below(bytes.len());
        bytes[at] ^= 1 << numbers.below(8);
        let tree = run(async {
            let disk = Verity::open(memory(&bytes), ROOT.parse().unwrap()).await;
            Erofs::open(disk.map_err(|_| Error::Disk(ErrorKind::Damaged))?).await
        });
        let Ok(tree) = tree else { continue };
        for (path, expected) in expected() {
            match content(&tree, path) {
                Ok(bytes) => assert!(bytes == expected, "{path}, byte {at}"),
                Err(error) => assert_eq!(error, Error::Disk(ErrorKind::Damaged)),
            }
        }
    }
}
