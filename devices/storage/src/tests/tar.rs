//! Archives made by GNU tar, and such as nobody would make.

use super::*;
use crate::fs::tar::Tar;
use crate::fs::{CHUNK, Cache};
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
        let (root, mut bytes) = archive(format);
        bytes.resize(bytes.len().next_multiple_of(size), 0);
        let tar = run(Tar::open(Disk::new(bytes, size))).unwrap();
        for path in [
            "index.html",
            "folder/more",
            "folder//deeper/./large.bin",
            "same.html",
            "empty.txt",
            "symbolic",
        ] {
            let expected = std::fs::read(root.join("files").join(path.trim_start_matches('/')));
            assert_eq!(content(&tar, path), Ok(expected.unwrap()), "{format} {path}");
        }
        let all = print(&tar);
        assert_eq!(all.len(), 12, "{all:#?}");
        assert!(
            all.contains(&"/symbolic@".into()) && all.contains(&"/folder/deeper/empty/".into())
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
    let failed = Error::Disk(devices::block::ErrorKind::Failed);
    assert_eq!(run(Tar::open(disk)).unwrap_err(), failed);
    std::fs::remove_dir_all(root).unwrap();
}

/// An entry of no format but the oldest.
fn entry(path: &str, content: &[u8]) -> Vec<u8> {
    entry_of(0, path, "", content)
}

/// An entry of this type.
fn entry_of(sort: u8, path: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[156] = sort;
    let size = std::format!("{:011o}", content.len());
    header[124..135].copy_from_slice(size.as_bytes());
    let mut entry = sealed(header).to_vec();
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// A header with the right checksum.
fn sealed(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..154].copy_from_slice(std::format!("{sum:06o}").as_bytes());
    header
}

/// A record of a pax header.
fn record(text: &str) -> String {
    let mut length = text.len() + 2;
    while std::format!("{length} {text}\n").len() != length {
        length += 1;
    }
    std::format!("{length} {text}\n")
}

/// An archive of these entries, opened.
fn opened(entries: &[Vec<u8>]) -> Result<Tar<Disk>, Error> {
    let bytes = [&entries.concat()[..], &[0; 1024]].concat();
    run(Tar::open(Disk::new(bytes, 512)))
}

#[test]
fn the_last_of_a_name_counts() {
    let all = [("/a/b", "old"), ("./a//b", "newer"), ("d/", ""), ("e/f/", ""), ("c", "y")];
    let entries: Vec<_> = all.iter().map(|(p, c)| entry(p, c.as_bytes())).collect();
    let tar = opened(&entries).unwrap();
    assert_eq!(content(&tar, "a/b"), Ok(b"newer".to_vec()));
    assert_eq!(print(&tar), ["/a/", "/a/b 5 545", "/c 1 121", "/d/", "/e/", "/e/f/"]);
}

#[test]
fn what_cannot_be_shown_is_an_error() {
    let one = |entry: Vec<u8>| opened(&[entry]).map(|_| ()).unwrap_err();
    assert_eq!(one(entry("../etc/passwd", b"x")), Error::BadPath);
    assert_eq!(one(entry("a/../b", b"x")), Error::BadPath);
    for sort in *b"MNASI\x80z" {
        assert_eq!(one(entry_of(sort, "a", "", b"x")), Error::Unsupported, "{sort}");
    }
    let two = |a: Vec<u8>, b: Vec<u8>| opened(&[a, b]).map(|_| ()).unwrap_err();
    assert_eq!(two(entry("a", b"x"), entry("a/b", b"x")), Error::BadPath);
    assert_eq!(two(entry("a/b", b"x"), entry("a", b"x")), Error::BadPath);
    // A size of eight exbibytes, and a negative one.
    for first in [0x80, 0xff] {
        let mut header = entry("a", b"");
        header[124..136].fill(0xff);
        header[124] = first;
        let header = sealed(*header.first_chunk().unwrap());
        assert_eq!(one(header.to_vec()), Error::Damaged);
    }
}

#[test]
fn an_archive_that_was_cut_is_told_of() {
    let archive = [entry("a", b"x"), entry("b", b"y")].concat();
    let open = |bytes: &[u8]| run(Tar::open(Disk::new(bytes.to_vec(), 512))).map(|_| ());
    for cut in [512, 1024, 1536, 2048] {
        assert_eq!(open(&archive[..cut]), Err(Error::Damaged), "{cut}");
    }
    let zeros = |count| [&archive[..], &std::vec![0; count]].concat();
    assert_eq!(open(&zeros(512)), Ok(()));
    assert_eq!(open(&zeros(4096)), Ok(()));
    // What follows the end is nobody's, what follows half of it is.
    assert_eq!(open(&[zeros(1024), entry("c", b"z")].concat()), Ok(()));
    assert_eq!(open(&[zeros(512), entry("c", b"z")].concat()), Err(Error::Damaged));
    let pax = entry_of(b'x', "", "", record("path=c").as_bytes());
    assert_eq!(open(&[archive.clone(), pax, std::vec![0; 1024]].concat()), Err(Error::Damaged));
}

#[test]
fn sparse_files_of_gnu_tar_are_read() {
    use std::os::unix::fs::FileExt;
    let root = std::env::temp_dir().join(std::format!("xenith-sparse-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).unwrap();
    let sparse = |name: &str, pieces: u64, size: u64| {
        let file = std::fs::File::create(root.join(name)).unwrap();
        for number in 0..pieces {
            file.write_all_at(&[b'a' + (number % 26) as u8; 5000], number * 70_000).unwrap();
        }
        file.set_len(size).unwrap();
    };
    sparse("1-few", 3, 300_000);
    sparse("2-five", 5, 290_000);
    sparse("3-many", 60, 60 * 70_000 + 1);
    sparse("4-hole", 0, 1 << 20);
    std::fs::write(root.join("5-last"), "it is there").unwrap();
    let formats = [
        ["--format=gnu", "-S"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ];
    for options in formats {
        let output = Command::new("tar")
            .args(options)
            .args(["--hole-detection=raw", "-S", "--sort=name", "-C"])
            .arg(&root)
            .args(["-cf", "-", "."])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.len() < 1 << 20, "it is sparse");
        let tar = run(Tar::open(Disk::new(output.stdout, 512))).unwrap();
        for name in ["1-few", "2-five", "3-many", "4-hole", "5-last"] {
            let expected = std::fs::read(root.join(name)).unwrap();
            assert!(content(&tar, name) == Ok(expected.clone()), "{options:?} {name}");
            let node = run(tar.lookup(name.as_bytes())).unwrap();
            for at in (0..expected.len()).step_by(65_537) {
                let mut part = [7; 9000];
                let count = run(tar.read(&node, at as u64, &mut part)).unwrap();
                assert_eq!(
                    part[..count],
                    expected[at..expected.len().min(at + 9000)],
                    "{name} {at}"
                );
            }
        }
        assert_eq!(names(&tar, "").unwrap().len(), 5, "{options:?}");
    }
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    let with = |records: &[&str], content: &[u8]| {
        let records: String = records.iter().map(|it| record(it)).collect();
        let entries = [entry_of(b'x', "", "", records.as_bytes()), entry("f", content)];
        opened(&entries).map(|tar| self::content(&tar, "f").unwrap_or_default().len())
    };
    let size = "GNU.sparse.size=100";
    assert_eq!(with(&[size, "GNU.sparse.map=10,1,90,1"], b"ab"), Ok(100));
    for map in ["10,1,90", "90,1,10,1", "10,1,10,1", "0,1,100,1", "0,1", "0,1,5,2", "x"] {
        let wrong = with(&[size, &std::format!("GNU.sparse.map={map}")], b"ab");
        assert_eq!(wrong, Err(Error::Damaged), "{map}");
    }
    assert_eq!(with(&["GNU.sparse.major=2"], b"ab"), Err(Error::Unsupported));
    let one = ["GNU.sparse.major=1", "GNU.sparse.realsize=9"];
    for map in ["", "9", "1\n", "99999999999999999999\n", "18446744073709551615\n1\n", "-1\n"] {
        assert!(with(&one, map.as_bytes()).is_err(), "{map:?}");
    }
}

/// What an index may take is counted by the numbers of a map, whose text is shorter than they are.
#[test]
fn sparse_maps_are_charged_for() {
    let open = |entries: &[Vec<u8>]| {
        let bytes = [&entries.concat()[..], &[0; 1024]].concat();
        run(Tar::with_memory(Disk::new(bytes, 512), 100_000)).map(|_| ())
    };
    let map = |count: usize| std::format!("GNU.sparse.map={}0", "0,".repeat(count - 1));
    let pax = |sort, records: &[&str]| {
        let records: String = records.iter().map(|it| record(it)).collect();
        entry_of(sort, "", "", records.as_bytes())
    };
    let size = "GNU.sparse.size=0";
    let one = |count| open(&[pax(b'x', &[size, &map(count)]), entry("f", b"")]);
    assert_eq!((one(3000), one(10_000)), (Ok(()), Err(Error::NoMemory)));
    // What the text took is given back, and of each number all but its half of a piece.
    let few: Vec<_> = (0..8)
        .flat_map(|number| [pax(b'x', &[size, &map(800)]), entry(&std::format!("{number}"), b"")])
        .collect();
    assert_eq!(open(&few), Ok(()));
    // And of a map that nobody uses, all.
    let unused = |sort, records: &[&str], name: &str, link: &str| -> Vec<_> {
        let records: String = records.iter().map(|it| record(it)).collect();
        let head = entry_of(b'x', "", "", records.as_bytes());
        let all = (0..40).flat_map(|_| [head.clone(), entry_of(sort, name, link, b"")]);
        all.collect()
    };
    for (sort, name, link) in [(b'5', "d", ""), (b'0', "d/", ""), (b'2', "l", "x"), (b'V', "v", "")]
    {
        let entries = unused(sort, &[size, &map(800)], name, link);
        assert_eq!(open(&entries), Ok(()), "{}", char::from(sort));
    }
    let twice = ["GNU.sparse.major=1", "GNU.sparse.realsize=0", &map(800)];
    let records: String = twice.iter().map(|it| record(it)).collect();
    let head = entry_of(b'x', "", "", records.as_bytes());
    let both: Vec<_> = (0..40)
        .flat_map(|_| [head.clone(), entry("f", &[b"0\n", &[0; 510][..]].concat())])
        .collect();
    assert_eq!(open(&both), Ok(()));
    let again: Vec<_> = (0..20).map(|_| map(800)).collect();
    let again: Vec<&str> = core::iter::once(size).chain(again.iter().map(|it| &**it)).collect();
    assert_eq!(open(&[pax(b'x', &again), entry("f", b"")]), Ok(()));
    // Headers of one entry add up.
    let half: Vec<u8> = pax(b'x', &["GNU.sparse.offset=0", "GNU.sparse.numbytes=0"].repeat(500));
    let all = std::vec![half; 20];
    assert_eq!(open(&all), Err(Error::NoMemory));
    let before: Vec<u8> = "0\n".repeat(10_000).into_bytes();
    let before = [b"5000\n", &before[..]].concat();
    let one = ["GNU.sparse.major=1", "GNU.sparse.realsize=0"];
    assert_eq!(open(&[pax(b'x', &one), entry("f", &before)]), Err(Error::NoMemory));
    assert_eq!(open(&[pax(b'x', &one), entry("f", &[b'0'; 4096])]), Err(Error::Damaged));
    assert_eq!(open(&[pax(b'g', &[size, &map(3)]), entry("f", b"")]), Err(Error::Unsupported));
}

#[test]
fn paths_are_as_long_as_on_linux() {
    let at = |path: &str, sort| {
        let key = if sort == b'2' { "linkpath" } else { "path" };
        let records = record(&std::format!("{key}={path}"));
        [entry_of(b'x', "", "", records.as_bytes()), entry_of(sort, "f", "", b"")].concat()
    };
    let deep = |length: usize| "a/".repeat(length / 2 - 1) + "b";
    let long = |path: &str, sort| opened(&[at(path, sort)]).map(|_| ()).err();
    assert_eq!(long(&"x".repeat(4097), b'2'), Some(Error::TooLong));
    assert_eq!(long(&"x".repeat(4096), b'2'), None);
    assert_eq!(long(&(deep(4096) + "bb"), b'0'), Some(Error::TooLong));
    let gnu = |sort| {
        let entries = [entry_of(sort, "", "", &[b'x'; 4097]), entry("f", b"")];
        opened(&entries).map(|_| ()).err()
    };
    assert_eq!((gnu(b'L'), gnu(b'K')), (Some(Error::TooLong), Some(Error::TooLong)));
    // As deep as that is, each entry is found in the folder of the one before it.
    let entries: Vec<_> =
        (0..50).map(|number| at(&std::format!("{}{number}", deep(4000)), b'0')).collect();
    let tar = opened(&entries).unwrap();
    assert_eq!(content(&tar, &std::format!("{}49", deep(4000))), Ok(std::vec![]));
    // Links lead no further than that.
    let mut entries = std::vec![entry("dd/e", b""), entry_of(b'2', "l", "dd", b"")];
    entries.push(at(&std::format!("l/{}", deep(4090)), b'0'));
    assert_eq!(opened(&entries).map(|_| ()), Ok(()));
    entries.push(at(&std::format!("l/{}x", deep(4094)), b'0'));
    assert_eq!(opened(&entries).map(|_| ()).err(), Some(Error::TooLong));
}

#[test]
fn what_pax_says_is_heeded() {
    let pax = |sort, records: &[&str]| {
        let records: String = records.iter().map(|it| record(it)).collect();
        entry_of(sort, "", "", records.as_bytes())
    };
    let tar = opened(&[
        pax(b'g', &["comment=all of them", "mtime=1000.75"]),
        entry("a", b"1"),
        pax(b'x', &["path=long/b", "mtime=-5", "size=4"]),
        // Its own size is a lie of those that had no larger numbers.
        entry("x", b"2222"),
        pax(b'x', &["mtime="]),
        entry("c", b"3"),
    ]);
    let tar = tar.unwrap();
    let modified = |path: &str| tar.metadata(&run(tar.lookup(path.as_bytes())).unwrap()).modified;
    assert_eq!(["a", "long/b", "c"].map(modified), [1000, 0, 0]);
    assert_eq!(print(&tar), ["/a 1 49", "/c 1 51", "/long/", "/long/b 4 200"]);
    for records in [&b"5 a=b"[..], b"x a=b\n", b"6 a=bb\n", b"99 a=b\n", b"4 ab\n"] {
        let wrong = opened(&[entry_of(b'x', "", "", records), entry("a", b"")]);
        assert_eq!(wrong.map(|_| ()).unwrap_err(), Error::Damaged, "{records:?}");
    }
}

#[test]
fn links_are_followed_within_the_archive() {
    let link = |path, target| entry_of(b'2', path, target, b"");
    let tar = opened(&[
        entry("a/b/file", b"1"),
        link("a/here", "b/file"),
        link("a/up", "../a/./b//file"),
        link("root", "/a/b/file"),
        link("out", "../../../a/b/file"),
        link("folder", "a/b"),
        link("a/twice", "../folder/file"),
        link("circle", "circle/x"),
        link("one", "two"),
        link("two", "one"),
        link("nowhere", "a/c"),
        // In the folder that the link names, as when it is unpacked.
        entry("folder/later", b"2"),
        entry_of(b'1', "hard", "a/b/file", b""),
        entry_of(b'1', "forward", "z", b""),
        entry_of(b'1', "never", "missing", b""),
        entry_of(b'3', "device", "", b""),
        entry("z", b"3"),
    ]);
    let tar = tar.unwrap();
    for path in ["a/here", "a/up", "root", "out", "folder/file", "a/twice", "hard"] {
        assert_eq!(content(&tar, path), Ok(b"1".to_vec()), "{path}");
    }
    assert_eq!(content(&tar, "forward"), Ok(b"3".to_vec()));
    assert_eq!(content(&tar, "a/b/later"), Ok(b"2".to_vec()));
    for path in ["circle", "one", "two", "nowhere", "nowhere/x", "never", "a/b/file/x"] {
        assert_eq!(content(&tar, path), Err(Error::NotFound), "{path}");
    }
    assert_eq!(names(&tar, "folder").unwrap().len(), 2);
    let kinds = |kind| names(&tar, "").unwrap().iter().filter(|(_, it)| it.kind == kind).count();
    assert_eq!([Kind::Link, Kind::Other].map(kinds), [9, 1]);
    let id = |path: &str| tar.metadata(&run(tar.lookup(path.as_bytes())).unwrap()).id;
    assert_eq!(id("hard"), id("a/b/file"));
    assert_ne!(id("z"), id("a/b/file"));
}

#[test]
fn old_headers_are_read() {
    // A content of a hard link (pax), a size of what has no content, signed sums, a
    // number that is binary, a prefix, and the shorter one of the program star.
    let mut signed = *entry("n\u{e9}", b"").first_chunk::<512>().unwrap();
    let own = 148..156;
    signed[own.clone()].fill(b' ');
    let sum: i32 = signed.iter().map(|&byte| i32::from(byte.cast_signed())).sum();
    signed[148..155].copy_from_slice(std::format!("{sum:06o}\0").as_bytes());
    let mut binary = entry("binary", b"12345");
    binary[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    let header = sealed(*binary.first_chunk().unwrap());
    binary[..512].copy_from_slice(&header);
    let prefix = |star: bool| {
        let mut header = *entry("name", b"").first_chunk::<512>().unwrap();
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[345..351].copy_from_slice(if star { b"star/p" } else { b"posixp" });
        header[476..488].copy_from_slice(b"000000000001");
        header[508..512].copy_from_slice(if star { b"tar\0" } else { b"\0\0\0\0" });
        sealed(header).to_vec()
    };
    let mut fifo = *entry_of(b'6', "fifo", "", b"").first_chunk::<512>().unwrap();
    fifo[124..135].copy_from_slice(b"00000001000");
    let tar = opened(&[
        signed.to_vec(),
        binary,
        prefix(true),
        prefix(false),
        sealed(fifo).to_vec(),
        entry_of(b'V', "label", "", b""),
        entry_of(b'D', "dump", "", b"Yfile\0\0"),
        entry_of(b'1', "linked", "other", b"content"),
        entry_of(b'7', "last", "", b"y"),
    ]);
    let tar = tar.unwrap();
    let all = [
        "/binary 5 255",
        "/dump/",
        "/fifo?",
        "/last 1 121",
        "/linked 7 763",
        "/n\u{e9} 0 0",
        "/posixp/",
        "/posixp/name 0 0",
        "/star/",
        "/star/p/",
        "/star/p/name 0 0",
    ];
    assert_eq!(print(&tar), all);
}

#[test]
fn ten_thousand_files_are_no_matter() {
    let mut bytes: Vec<u8> = (0..10_000)
        .flat_map(|at| entry(&std::format!("a folder with a longer name/file-{at:05}.txt"), b"x"))
        .collect();
    bytes.resize(bytes.len() + 1024, 0);
    let tar = run(Tar::open(Disk::new(bytes, 512))).unwrap();
    assert_eq!(names(&tar, "a folder with a longer name").unwrap().len(), 10_000);
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
                    // A link may lead to nothing now.
                    if let Ok(node) = tar.lookup(&file).await {
                        let _ = tar.read(&node, 0, &mut [0; 600]).await;
                    }
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
