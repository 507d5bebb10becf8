//! Tests of the formats, on disks in memory.

mod any;
mod built;
mod crash;
mod disk;
mod erofs;
mod ext4;
mod fat;
mod fat_lost;
mod fat_power;
mod inodes;
mod keys;
mod listing;
mod tar;

use crate::fs::{self, Error, Kind, Metadata, Tree};
use disk::Disk;
use std::string::String;
use std::vec::Vec;

/// Runs `future` to its end.
fn run<F: Future>(future: F) -> F::Output {
    kernel::task::block_on(future)
}

/// All of a file.
fn content<T: Tree>(tree: &T, path: &str) -> Result<Vec<u8>, Error> {
    run(async {
        let node = tree.lookup(path.as_bytes()).await?;
        let mut all = std::vec![0; tree.metadata(&node).size as usize];
        let count = fs::cache::fill(tree, &node, 0, &mut all).await?;
        assert_eq!(count, all.len());
        for beyond in [0, 1, 5000, u64::MAX - all.len() as u64] {
            assert_eq!(tree.read(&node, all.len() as u64 + beyond, &mut [0]).await, Ok(0));
        }
        Ok(all)
    })
}

/// What is in a folder, in the order of names.
fn names<T: Tree>(tree: &T, path: &str) -> Result<Vec<(String, Metadata)>, Error> {
    let mut names = Vec::new();
    let ordered = run(async {
        let node = tree.lookup(path.as_bytes()).await?;
        let mut each = |name: &[u8], metadata| names.push((name.to_vec(), metadata));
        tree.list(&node, &mut each).await?;
        in_order(tree, &node).await
    })?;
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut once = names.clone();
    // A damaged folder may have a name twice, or an empty one.
    once.dedup_by(|(a, _), (b, _)| a == b);
    once.retain(|(name, _)| !name.is_empty());
    assert!(once == ordered, "{path}");
    let text =
        |(name, metadata): &(Vec<u8>, _)| (String::from_utf8_lossy(name).into_owned(), *metadata);
    Ok(names.iter().map(text).collect())
}

/// What is in a folder as [`Tree::list_after`] tells of it, three names at a time.
async fn in_order<T: Tree>(tree: &T, node: &T::Node) -> Result<Vec<(Vec<u8>, Metadata)>, Error> {
    let mut names: Vec<(Vec<u8>, Metadata)> = Vec::new();
    loop {
        let (before, after) = (names.len(), names.last().map_or(Vec::new(), |it| it.0.clone()));
        let mut each = |name: &[u8], metadata| {
            names.push((name.to_vec(), metadata));
            names.len() < before + 3
        };
        tree.list_after(node, &after, &mut each).await?;
        if names.len() == before {
            return Ok(names);
        }
    }
}

/// The whole tree, a line each: a file with its content's sum.
fn print<T: Tree>(tree: &T) -> Vec<String> {
    let (mut lines, mut folders) = (Vec::new(), std::vec![String::new()]);
    while let Some(folder) = folders.pop() {
        for (name, metadata) in names(tree, &folder).unwrap() {
            let path = std::format!("{folder}/{name}");
            match metadata.kind {
                Kind::File => {
                    let content = content(tree, &path).unwrap();
                    let sum: u64 = content.iter().map(|&byte| u64::from(byte)).sum();
                    lines.push(std::format!("{path} {} {sum}", metadata.size));
                }
                Kind::Folder => {
                    lines.push(std::format!("{path}/"));
                    folders.push(path);
                }
                Kind::Link => lines.push(std::format!("{path}@")),
                Kind::Other => lines.push(std::format!("{path}?")),
            }
        }
    }
    lines.sort();
    lines
}

/// Numbers that follow from a seed (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A folder with files of all sorts, made with the host's tools.
fn sample() -> std::path::PathBuf {
    let name = std::format!("xenith-kv-{}-{:?}", std::process::id(), std::thread::current().id());
    let root = std::env::temp_dir().join(name.replace(['(', ')'], ""));
    let _ = std::fs::remove_dir_all(&root);
    let files = root.join("files");
    std::fs::create_dir_all(files.join("folder/deeper/empty")).unwrap();
    let write = |path: &str, length: usize| {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
        std::fs::write(files.join(path), bytes).unwrap();
    };
    write("empty.txt", 0);
    write("index.html", 511);
    write("folder/sector", 512);
    write("folder/more", 4097);
    write("folder/deeper/large.bin", 300_000);
    write(&std::format!("{}.name", "long-".repeat(30)), 10);
    write("folder/na\u{ef}ve \u{1f980}.txt", 5);
    root
}
