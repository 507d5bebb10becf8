//! Files of a FAT file system under all sorts of names: each keeps its own content.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use xenith::block::memory::Memory;
use xenith::fs::fat::Fat;
use xenith::fs::{Files, Kind, Tree};
use xenith_fuzz::disk::{disk, few_clusters};
use xenith_fuzz::on_machine;

/// A FAT12 and a FAT32 of few clusters.
static BASES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let ours = disk(vec![0; 128 << 10]);
    let own = ours.clone();
    on_machine(async { Fat::format(own).await.map(|_| ()).expect("it can be formatted") });
    [ours.bytes(), few_clusters()]
});

#[derive(Arbitrary, Debug)]
enum Act {
    Write(Vec<u8>, u16),
    Append(Vec<u8>, u16),
    Truncate(Vec<u8>, u16),
    Folder(Vec<u8>),
    Remove(Vec<u8>),
    Rename(Vec<u8>, Vec<u8>),
    Sync,
}

#[derive(Arbitrary, Debug)]
struct Input {
    large: bool,
    acts: Vec<Act>,
}

/// The number of the root, which an empty name and `.` stand for.
const ROOT: u64 = 0;

/// What is there, by its number.
type Model = BTreeMap<u64, Option<Vec<u8>>>;

async fn id(fat: &Fat<Memory>, name: &[u8]) -> Option<u64> {
    Some(fat.metadata(&fat.lookup(name).await.ok()?).id)
}

async fn content(fat: &Fat<Memory>, name: &[u8]) -> Option<Vec<u8>> {
    let node = fat.lookup(name).await.expect("it is listed");
    let metadata = fat.metadata(&node);
    if metadata.kind == Kind::Folder {
        return None;
    }
    let mut bytes = vec![0; metadata.size as usize];
    assert_eq!(fat.read(&node, 0, &mut bytes).await, Ok(bytes.len()));
    Some(bytes)
}

async fn act(fat: &Fat<Memory>, model: &mut Model, act: &Act, number: u8) {
    match act {
        Act::Write(name, length) | Act::Append(name, length) => {
            let new = vec![number; usize::from(*length)];
            let there = id(fat, name).await;
            let old = there.and_then(|id| model.get(&id).cloned().flatten()).unwrap_or_default();
            let from = if matches!(act, Act::Append(..)) { old.len() } else { 0 };
            let result = fat.write(name, from as u64, &new).await;
            // A full disk may hold a part of it.
            let Some(now) = id(fat, name).await.filter(|&id| id != ROOT) else { return };
            assert!(there.is_none_or(|id| id == now), "it is the same file");
            if there.is_some() && result.is_err() && model.get(&now) == Some(&None) {
                return;
            }
            let expected = match result {
                Ok(()) => {
                    let mut all = old;
                    all.resize(all.len().max(from + new.len()), 0);
                    all[from..from + new.len()].copy_from_slice(&new);
                    Some(all)
                }
                Err(_) => content(fat, name).await,
            };
            model.insert(now, expected);
        }
        Act::Truncate(name, length) => {
            let there = id(fat, name).await;
            if fat.truncate(name, u64::from(*length)).await.is_ok() {
                let file = there.and_then(|id| model.get_mut(&id)).expect("it was there");
                file.as_mut().expect("a file").truncate(usize::from(*length));
            }
        }
        Act::Folder(name) => {
            let there = id(fat, name).await;
            if fat.create_folder(name).await.is_ok() {
                assert_eq!(there, None);
                model.insert(id(fat, name).await.expect("it was made"), None);
            }
        }
        Act::Remove(name) => {
            let there = id(fat, name).await;
            if fat.remove(name).await.is_ok() {
                model.remove(&there.expect("it was there")).expect("it was made");
            }
        }
        Act::Rename(from, to) => {
            let there = id(fat, from).await;
            if fat.rename(from, to).await.is_ok() {
                let content = model.remove(&there.expect("it was there")).expect("it was made");
                model.insert(id(fat, to).await.expect("it has the name"), content);
            }
        }
        Act::Sync => fat.sync().await.expect("the disk does not fail"),
    }
}

async fn compare(fat: &Fat<Memory>, model: &Model) {
    let root = fat.lookup(b"").await.expect("a root");
    let mut names = Vec::new();
    fat.list(&root, &mut |name, it| names.push((name.to_vec(), it.id))).await.expect("a list");
    assert_eq!(names.len(), model.len());
    for (name, id) in names {
        assert_eq!(content(fat, &name).await, model[&id], "{name:?}");
    }
}

/// Names in the root only, so that the model is simple.
fn plain(act: &Act) -> bool {
    match act {
        Act::Write(name, _)
        | Act::Append(name, _)
        | Act::Truncate(name, _)
        | Act::Folder(name)
        | Act::Remove(name) => !name.contains(&b'/'),
        Act::Rename(from, to) => !from.contains(&b'/') && !to.contains(&b'/'),
        Act::Sync => true,
    }
}

fuzz_target!(|input: Input| {
    let disk = disk(BASES[usize::from(input.large)].clone());
    on_machine(async {
        let fat = Fat::open(disk.clone()).await.expect("it was made");
        let mut model = Model::new();
        for (one, number) in input.acts.iter().filter(|it| plain(it)).take(40).zip(1..) {
            act(&fat, &mut model, one, number).await;
        }
        compare(&fat, &model).await;
        let again = Fat::open(disk).await.expect("it is one");
        compare(&again, &model).await;
    });
});
