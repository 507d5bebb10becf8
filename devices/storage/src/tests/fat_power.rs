//! FAT, when the plug is pulled: every moment of each change, and what a disk may have done by
//! then of the writes that it was not asked to flush.

use super::disk::Event;
use super::fat::{made, said};
use super::*;
use crate::fs::Files;
use crate::fs::fat::Fat;
use core::pin::Pin;
use std::boxed::Box;

/// What a disk has after it lost some of the `pending` writes, sector by sector: none, all,
/// the first or the last ones, or any.
fn torn(bytes: &[u8], pending: &[(usize, &[u8])], numbers: &mut Numbers, way: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let cut = numbers.below(pending.len() + 1);
    for (index, &(at, content)) in pending.iter().enumerate() {
        let there = match way {
            0 => false,
            1 => true,
            2 => index < cut,
            3 => index >= cut,
            _ => numbers.below(2) > 0,
        };
        if there {
            bytes[at..at + content.len()].copy_from_slice(content);
        }
    }
    bytes
}

/// Calls `each` with what the disk may have at each moment of these events.
fn moments(before: &[u8], events: &[Event], seed: u64, mut each: impl FnMut(usize, Vec<u8>)) {
    let (mut bytes, mut numbers) = (before.to_vec(), Numbers(seed));
    let mut pending: Vec<(usize, &[u8])> = Vec::new();
    for at in 0..=events.len() {
        let ways = if pending.is_empty() { 1 } else { 7 };
        for way in 0..ways {
            each(at, torn(&bytes, &pending, &mut numbers, way));
        }
        match events.get(at) {
            Some(Event::Write(sector, content)) => {
                let sectors = (*sector as usize..).zip(content.chunks(512));
                pending.extend(sectors.map(|(number, content)| (number * 512, content)));
            }
            Some(Event::Flush) => {
                for (at, content) in pending.drain(..) {
                    bytes[at..at + content.len()].copy_from_slice(content);
                }
            }
            None => {}
        }
    }
}

/// Lines of fsck.fat about what is lost or wrong, and not just not used any more.
fn harm(bytes: &[u8], name: &str) -> Vec<String> {
    let text = said(&Disk::new(bytes.to_vec(), 512), name);
    let harm = [
        "share clusters",
        "a free cluster",
        "ad cluster",
        "uplicate",
        "nvalid",
        "infinite",
        "not point",
    ];
    let is_harm =
        |line: &&str| harm.iter().any(|it| line.contains(it)) && !line.starts_with("Checking ");
    text.lines().filter(is_harm).map(Into::into).collect()
}

type Change = for<'a> fn(&'a Fat<Disk>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// A file system that is as full of names as it takes for their entries to lie in two
/// sectors, and whose table has two as well.
fn begin(kib: usize, options: &[&str], shift: usize) -> Vec<u8> {
    let disk = Disk::new(made(kib, options), 512);
    let fat = run(Fat::open(disk.clone())).unwrap();
    run(async {
        for number in 0..shift {
            fat.write(std::format!("F{number}").as_bytes(), 0, b"").await.unwrap();
        }
        fat.write(b"A long name of some sort", 0, &[1; 3000]).await.unwrap();
        fat.write(b"SHORT", 0, &[2; 700]).await.unwrap();
        fat.create_folder(b"folder").await.unwrap();
        for number in 0..14 {
            fat.write(std::format!("folder/F{number}").as_bytes(), 0, b"").await.unwrap();
        }
        // The table's next free entry is in its second sector.
        fat.write(b"room", 0, &std::vec![3; (330 - shift) * 512]).await.unwrap();
        fat.write(b"other", 0, &[4; 600]).await.unwrap();
        fat.sync().await.unwrap();
    });
    disk.bytes.take()
}

/// All files and folders of a disk with their contents.
fn all(bytes: Vec<u8>) -> Vec<String> {
    print(&run(Fat::open(Disk::new(bytes, 512))).unwrap())
}

#[test]
fn a_change_is_whole_or_not_there_at_every_moment() {
    let changes: [(&str, Change); 9] = [
        ("write", |fat| Box::pin(async { fat.write(b"Another long name", 0, &[9; 5000]).await })),
        ("append", |fat| Box::pin(async { fat.write(b"other", 600, &[9; 9000]).await })),
        ("cut", |fat| Box::pin(async { fat.truncate(b"room", 700).await })),
        ("empty", |fat| Box::pin(async { fat.truncate(b"room", 0).await })),
        ("remove", |fat| Box::pin(async { fat.remove(b"a LONG name of some sort").await })),
        ("folder", |fat| Box::pin(async { fat.create_folder(b"folder/one in the other").await })),
        ("case", |fat| Box::pin(async { fat.rename(b"short", b"Short").await })),
        ("long case", |fat| {
            Box::pin(async {
                fat.rename(b"A long name of some sort", b"a Long Name OF some SORT").await
            })
        }),
        ("move", |fat| {
            Box::pin(async { fat.rename(b"SHORT", b"folder/a name that is long").await })
        }),
    ];
    let (mut states, mut flushes) = (0, 0);
    for (kib, options) in [(256, &["-F", "12", "-s1"][..]), (512, &["-F", "32", "-s1"])] {
        for shift in [0, 7, 11, 13] {
            let before = begin(kib, options, shift);
            let old = all(before.clone());
            for (name, change) in changes {
                let disk = Disk::new(before.clone(), 512);
                let fat = run(Fat::open(disk.clone())).unwrap();
                run(change(&fat)).unwrap();
                let new = all(disk.bytes.borrow().clone());
                assert!(new != old || name.contains("case"));
                let events = disk.events.borrow().clone();
                // One before all changes.
                let own = events.iter().filter(|it| **it == Event::Flush).count() - 1;
                assert!(own <= 4, "{name}: {own} flushes");
                flushes = flushes.max(own);
                moments(&before, &events, 7 + shift as u64, |at, bytes| {
                    let now = all(bytes.clone());
                    let place = std::format!("{options:?} {shift} {name} at {at}");
                    let either = |line: &String| old.contains(line) || new.contains(line);
                    let both = || old.iter().chain(&new).all(|line| now.contains(line));
                    let is_empty = |line: &String| line == "/Another long name 0 0";
                    let fine = match name {
                        "write" => now.iter().all(|it| either(it) || is_empty(it)),
                        "move" => now == old || now == new || both(),
                        // A part of its letters, or one name beside the other.
                        "case" | "long case" => {
                            let folded = |all: &[String]| {
                                let mut all: Vec<String> =
                                    all.iter().map(|line| line.to_lowercase()).collect();
                                all.dedup();
                                all.sort();
                                all.dedup();
                                all
                            };
                            folded(&now) == folded(&old)
                        }
                        _ => now == old || now == new,
                    };
                    assert!(fine, "{place}: {now:#?}\n{old:#?}");
                    for line in old.iter().filter(|line| new.contains(line)) {
                        assert!(now.contains(line), "{place}: {line}");
                    }
                    if states % 7 == 0 {
                        let mut harm = harm(&bytes, "moments");
                        // Two names for a moment.
                        if ["move", "case", "long case"].contains(&name) {
                            harm.retain(|line| !line.contains("share clusters"));
                        }
                        assert!(harm.is_empty(), "{place}: {harm:#?}");
                    }
                    states += 1;
                });
            }
        }
    }
    std::println!("{states} states, {flushes} flushes at most");
}

/// The test itself: without the flushes, something is lost.
#[test]
fn a_disk_that_is_not_flushed_is_found_out() {
    let before = begin(512, &["-F", "32", "-s1"], 3);
    let disk = Disk::new(before.clone(), 512);
    let fat = run(Fat::open(disk.clone())).unwrap();
    run(fat.write(b"other", 600, &[9; 90_000])).unwrap();
    let mut events = disk.events.borrow().clone();
    events.retain(|event| *event != Event::Flush);
    let (old, new) = (all(before.clone()), all(disk.bytes.borrow().clone()));
    let lost = std::panic::catch_unwind(|| {
        moments(&before, &events, 7, |_, bytes| {
            let now = all(bytes);
            assert!(now == old || now == new);
        });
    });
    assert!(lost.is_err());
}
