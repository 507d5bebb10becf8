//! File systems of Linux: what it wrote is read, and what is written it can check and
//! read. FAT is written as well, ext4 and ext2 stay as they are.
//!
//! test(fat12): disk disk=4M
//! test(fat12): dom0 "mkfs.fat -F 12 $DISK"
//! test(fat12): dom0 files-make.sh
//! test(fat16): disk disk=20M
//! test(fat16): dom0 "mkfs.fat -F 16 $DISK"
//! test(fat16): dom0 files-make.sh
//! test(fat32): disk disk=40M
//! test(fat32): dom0 "mkfs.fat -F 32 $DISK"
//! test(fat32): dom0 files-make.sh
//! test(few): disk disk=8M
//! test(few): dom0 "mkfs.fat -F 32 -s 1 $DISK"
//! test(few): dom0 files-make.sh
//! test(ext4): disk disk=8M
//! test(ext4): dom0 "mke2fs -q -t ext4 $DISK"
//! test(ext4): dom0 files-make.sh
//! test(ext2): disk disk=4M
//! test(ext2): dom0 "mke2fs -q -t ext2 -b 1024 $DISK"
//! test(ext2): dom0 files-make.sh
//! test: client-when "files_of_linux: ready"
//! test: client files-check.sh
//! test: timeout 90
//! test(fat12,fat16,few,ext2): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use kernel::println;
use tests::Verdict;
use xenith::Block;
use xenith::fs::ext4::Ext4;
use xenith::fs::fat::Fat;
use xenith::fs::{Error, Files, Tree};

kernel::unikernel! {
    name: "files_of_linux",
    memory: 16 MiB,
    devices: { disk: Block("xvda") },
    main: start,
}

/// What `seq COUNT` prints.
fn numbers(count: u32) -> Vec<u8> {
    (1..=count).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

/// The content of a file.
async fn content(tree: &impl Tree, path: &[u8]) -> Result<Vec<u8>, Error> {
    let node = tree.lookup(path).await?;
    let mut bytes = vec![0; tree.metadata(&node).size as usize];
    let mut at = 0;
    while at < bytes.len() {
        match tree.read(&node, at as u64, &mut bytes[at..]).await? {
            0 => return Err(Error::Damaged),
            count => at += count,
        }
    }
    Ok(bytes)
}

const LONG: &[u8] = b"a folder/deeper/numbers of many lines.txt";

/// Whether all that Linux wrote is there (see `files-make.sh`).
async fn is_read(tree: &impl Tree) -> Result<bool, Error> {
    let removed = tree.lookup(b"removed").await.err();
    Ok(content(tree, LONG).await? == numbers(20000)
        && content(tree, b"short").await? == b"short\n"
        && content(tree, b"empty").await?.is_empty()
        && content(tree, b"cut.txt").await? == numbers(9000)
        && content(tree, "日本".as_bytes()).await? == numbers(77)
        && removed == Some(Error::NotFound))
}

/// Changes what `files-check.sh` looks for.
async fn change(files: &impl Files) -> Result<(), Error> {
    files.rename(LONG, b"a folder/renamed.txt").await?;
    files.remove(b"a folder/deeper").await?;
    files.create_folder(b"a folder/written by the guest").await?;
    files.write(b"a folder/written by the guest/numbers.txt", 0, &numbers(30000)).await?;
    files.truncate(b"cut.txt", 10000).await?;
    files.write(b"short", 5, b" and longer\n").await?;
    files.remove(b"empty").await?;
    files.write("é".as_bytes(), 0, b"a letter\n").await?;
    files.sync().await
}

async fn run(disk: Block) -> Result<bool, Error> {
    let disk = Rc::new(disk);
    match Ext4::open(disk.clone()).await {
        Err(Error::OtherFormat) => {}
        files => return is_read(&files?).await,
    }
    let files = Fat::open(disk).await?;
    if !is_read(&files).await? {
        return Ok(false);
    }
    change(&files).await?;
    Ok(content(&files, b"short").await? == b"short and longer\n")
}

async fn start(disk: Block) -> Verdict {
    match run(disk).await {
        Ok(true) => {}
        Ok(false) => return Verdict::Fail("a file does not hold what Linux wrote"),
        Err(error) => {
            println!("files_of_linux: {error}");
            return Verdict::Fail("the file system cannot be used");
        }
    }
    println!("files_of_linux: ready");
    kernel::shutdown_requested().await;
    Verdict::Pass
}
