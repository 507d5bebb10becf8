//! Prints the tree of files on a disk, whichever format it has.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use embedded_io_async::Write;
use xenith::block::Block;
use xenith::block::partition::{self, Partition};
use xenith::fs::{Any, Error, Kind, Metadata, Tree};

/// How deep folders are printed.
const DEEPEST: usize = 64;

/// Bytes of a file that are read at once.
const PIECE: usize = 32 * 1024;

/// Why nothing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No format was found.
    Nothing,
    /// What is on the disk cannot be read.
    Disk(Error),
    /// The partition cannot be used.
    Partition(partition::Error),
    /// The console failed.
    Console,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => {
                f.write_str("no files are on the disk: it has none of these formats:")?;
                Any::<()>::FORMATS.iter().try_for_each(|format| write!(f, " {format}"))
            }
            Self::Disk(error) => error.fmt(f),
            Self::Partition(error) => error.fmt(f),
            Self::Console => f.write_str("the console failed"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

async fn say(console: &mut impl Write, text: &str) -> Result<(), Failure> {
    // Names may hold what a terminal takes for commands (rule K5).
    let plain: String =
        text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect();
    console.write_all(plain.as_bytes()).await.map_err(|_| Failure::Console)
}

/// Prints what is in the tree, a line each, folders before what is in them. A damaged disk may have
/// a folder in itself, and more than once: what is in one is printed once.
async fn tree<T: Tree>(tree: &T, console: &mut impl Write) -> Result<(), Failure> {
    let mut next = alloc::vec![(Vec::new(), 0, Kind::Folder, String::new())];
    let mut printed = BTreeSet::new();
    while let Some((path, depth, kind, text)) = next.pop() {
        say(console, &text).await?;
        if kind != Kind::Folder || depth > DEEPEST {
            continue;
        }
        let folder = tree.lookup(&path).await?;
        if !printed.insert(tree.metadata(&folder).id) {
            say(console, &format!("{:1$}(printed above)\n", "", 2 * depth)).await?;
            continue;
        }
        let mut inside: Vec<(Vec<u8>, Metadata)> = Vec::new();
        tree.list(&folder, &mut |name, it| inside.push((name.to_vec(), it))).await?;
        inside.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (name, it) in inside {
            let shown = String::from_utf8_lossy(&name).replace('\n', "?");
            let end = match it.kind {
                Kind::File => format!(" {}", it.size),
                Kind::Folder => String::from("/"),
                Kind::Link => String::from(" @"),
                _ => String::from(" ?"),
            };
            let line = format!("{:1$}{shown}{end}\n", "", 2 * depth);
            next.push(([&path, &b"/"[..], &name].concat(), depth + 1, it.kind, line));
        }
    }
    Ok(())
}

/// Prints a file, as it is.
async fn show<T: Tree>(tree: &T, path: &str, console: &mut impl Write) -> Result<(), Failure> {
    let node = tree.lookup(path.as_bytes()).await?;
    let (mut piece, mut at) = (alloc::vec![0; PIECE], 0);
    loop {
        match tree.read(&node, at, &mut piece).await? {
            0 => return Ok(()),
            count => {
                console.write_all(&piece[..count]).await.map_err(|_| Failure::Console)?;
                at += count as u64;
            }
        }
    }
}

async fn print<T: Tree>(
    files: &T,
    format: &str,
    path: Option<&str>,
    console: &mut impl Write,
) -> Result<(), Failure> {
    if let Some(path) = path {
        return show(files, path, console).await;
    }
    say(console, &format!("files: {format}\n")).await?;
    tree(files, console).await
}

/// Prints the tree of files on `disk` or on one of its partitions, which count from 1, or the
/// file `path` in it.
///
/// # Errors
/// See [`Failure`].
pub async fn start<C: Write, B: Block>(
    console: C,
    disk: B,
    path: Option<&str>,
    partition: Option<u32>,
) -> Result<(), Failure> {
    let Some(partition) = partition else { return on(console, disk, path).await };
    let disk = Partition::open(disk, partition).await.map_err(Failure::Partition)?;
    on(console, disk, path).await
}

async fn on<C: Write, B: Block>(
    mut console: C,
    disk: B,
    path: Option<&str>,
) -> Result<(), Failure> {
    match Any::open(disk).await {
        Err(Error::OtherFormat) => Err(Failure::Nothing),
        files => {
            let files = files?;
            print(&files, files.format(), path, &mut console).await
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use xenith::block::memory::Memory;
    use xenith::fs::Files;
    use xenith::fs::fat::Fat;

    fn run(disk: Memory, path: Option<&str>) -> (Result<(), Failure>, String) {
        let mut out = Vec::new();
        let result = xenith::task::block_on(start(&mut out, disk, path, None));
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_tree_is_printed() {
        let disk = Memory::new(512, 4096);
        xenith::task::block_on(async {
            let fat = Fat::format(disk.clone()).await.unwrap();
            fat.create_folder(b"b").await.unwrap();
            fat.create_folder(b"b/d").await.unwrap();
            fat.write(b"b/a file", 0, b"text").await.unwrap();
            fat.write(b"a", 0, b"").await.unwrap();
        });
        let (result, out) = run(disk.clone(), None);
        assert_eq!((result, &*out), (Ok(()), "files: FAT\na 0\nb/\n  a file 4\n  d/\n"));
        assert_eq!(run(disk.clone(), Some("b/a file")), (Ok(()), "text".into()));
        assert_eq!(run(disk, Some("b/x")).0, Err(Failure::Disk(Error::NotFound)));
    }

    #[test]
    fn a_folder_that_holds_itself_is_printed_once() {
        let disk = Memory::new(512, 4096);
        xenith::task::block_on(async {
            let fat = Fat::format(disk.clone()).await.unwrap();
            fat.create_folder(b"a").await.unwrap();
            for number in 0..14 {
                fat.create_folder(format!("a/{number}").as_bytes()).await.unwrap();
            }
        });
        let mut bytes = disk.bytes();
        let entry = |bytes: &[u8], name: &str| {
            let name = format!("{name:11}\x10");
            bytes.chunks(32).position(|it| it.starts_with(name.as_bytes())).unwrap() * 32
        };
        let at = entry(&bytes, "A") + 26;
        let start = [bytes[at], bytes[at + 1]];
        for number in 0..14 {
            let at = entry(&bytes, &format!("{number}")) + 26;
            bytes[at..at + 2].copy_from_slice(&start);
        }
        let (result, out) = run(Memory::from_bytes(512, bytes), None);
        assert_eq!(result, Ok(()));
        // Each of their names is one folder, which is printed once and named in each.
        assert_eq!(out.lines().filter(|line| line.ends_with("/")).count(), 1 + 14 + 14 * 14);
    }

    #[test]
    fn nothing_is_told_of() {
        let none = start(Vec::new(), Memory::new(512, 256), None, Some(1));
        let none = xenith::task::block_on(none);
        assert_eq!(none, Err(Failure::Partition(partition::Error::NoTable)));
        assert_eq!(run(Memory::new(512, 256), None).0, Err(Failure::Nothing));
        let garbage = b"garbage ".repeat(1 << 14);
        assert_eq!(run(Memory::from_bytes(512, garbage), None).0, Err(Failure::Nothing));
    }
}
