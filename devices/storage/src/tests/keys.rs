//! The store, while nobody pulls the plug.

use super::disk::Event;
use super::*;
use crate::kv::Store;
use crate::kv::keys::{Batch, Keys};
use devices::block::ErrorKind;
use kernel::task::{join3, spawn};
use std::collections::BTreeMap;

/// Bytes of the smallest disk for a store.
pub(super) const LEAST: usize = 18 * 4096;

pub(super) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn blank(size: usize, sector: usize) -> Disk {
    Disk::new(std::vec![0; size], sector)
}

pub(super) fn open(disk: &Disk) -> Result<Keys<Disk>, Error> {
    run(Keys::open_or_format(disk.clone()))
}

/// All keys and values.
pub(super) async fn all(keys: &Keys<Disk>) -> Result<Model, Error> {
    let mut names = Vec::new();
    keys.list(b"", &mut |key, length| names.push((key.to_vec(), length))).await?;
    let mut model = Model::new();
    for (name, length) in names {
        let value = keys.get(&name).await?.unwrap();
        assert_eq!(value.len() as u64, length);
        model.insert(name, value);
    }
    Ok(model)
}

/// A change that follows from `numbers`, done to `model` as well.
pub(super) fn change(numbers: &mut Numbers, model: &mut Model, batch: &mut Batch, most: usize) {
    let key = |numbers: &mut Numbers| std::format!("key{}", numbers.below(12)).into_bytes();
    let (from, to) = (key(numbers), key(numbers));
    match numbers.below(10) {
        0..=5 => {
            let length =
                if numbers.below(6) == 0 { numbers.below(most) } else { numbers.below(60) };
            let first = numbers.next();
            let value: Vec<u8> = (0..length).map(|at| (first >> (at % 57)) as u8).collect();
            batch.set(&from, &value);
            model.insert(from, value);
        }
        6 | 7 => {
            batch.delete(&from);
            model.remove(&from);
        }
        _ => {
            if let Some(value) = model.remove(&from) {
                batch.rename(&from, &to);
                model.insert(to, value);
            }
        }
    }
}

#[test]
fn what_is_set_is_there_also_after_opening_again() {
    for sector in [512, 4096] {
        let disk = blank(LEAST + 40 * 4096, sector);
        let (mut numbers, mut model) = (Numbers(sector as u64), Model::new());
        for _ in 0..60 {
            let keys = open(&disk).unwrap();
            for _ in 0..20 {
                let mut batch = Batch::new();
                for _ in 0..=numbers.below(3) {
                    change(&mut numbers, &mut model, &mut batch, 3000);
                }
                run(keys.apply(batch)).unwrap();
            }
            assert_eq!(run(all(&keys)), Ok(model.clone()));
        }
        assert!(disk.events.borrow().len() > 2000);
        assert_eq!(run(all(&open(&disk).unwrap())), Ok(model));
    }
}

#[test]
fn many_writers_share_a_flush() {
    let disk = blank(1 << 20, 512);
    let keys = open(&disk).unwrap();
    let before = disk.events.borrow().len();
    run(async {
        let writers: Vec<_> = (0..100_u32)
            .map(|number| {
                let keys = keys.clone();
                spawn(async move { keys.set(&number.to_le_bytes(), b"value").await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
    let events = disk.events.borrow().len() - before;
    assert!(events < 12, "{events} writes and flushes");
    assert_eq!(run(all(&open(&disk).unwrap())).unwrap().len(), 100);
}

#[test]
fn a_batch_is_done_as_a_whole() {
    let disk = blank(LEAST, 512);
    let keys = open(&disk).unwrap();
    let mut batch = Batch::new();
    batch.set(b"a", b"1").rename(b"nothing", b"b");
    assert_eq!(run(keys.apply(batch)), Err(Error::NotFound));
    assert_eq!(run(keys.get(b"a")), Ok(None));
    let mut batch = Batch::new();
    batch.set(b"a", b"1").rename(b"a", b"b").set(b"a", b"2").rename(b"b", b"b").delete(b"c");
    run(keys.apply(batch)).unwrap();
    let expected = [(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), b"1".to_vec())];
    assert_eq!(run(all(&keys)), Ok(Model::from(expected)));
    assert_eq!(run(keys.delete(b"nothing")), Ok(()));
    assert_eq!(run(keys.rename(b"nothing", b"x")), Err(Error::NotFound));
}

#[test]
fn a_batch_that_fails_takes_back_its_own_alone() {
    let disk = blank(LEAST, 512);
    let keys = open(&disk).unwrap();
    run(keys.set(b"d", b"old")).unwrap();
    let mut before = Batch::new();
    before.set(b"a", b"1").set(b"b", b"1").delete(b"d");
    let mut wrong = Batch::new();
    wrong.set(b"a", b"2").set(b"a", b"3").set(b"c", b"2").set(b"d", b"2").delete(b"b");
    wrong.rename(b"nothing", b"x");
    let mut after = Batch::new();
    after.rename(b"a", b"e");
    let results = run(join3(keys.apply(before), keys.apply(wrong), keys.apply(after)));
    assert_eq!(results, (Ok(()), Err(Error::NotFound), Ok(())));
    let expected = [(b"b".to_vec(), b"1".to_vec()), (b"e".to_vec(), b"1".to_vec())];
    assert_eq!(run(all(&keys)), Ok(Model::from(expected.clone())));
    assert_eq!(run(all(&open(&disk).unwrap())), Ok(Model::from(expected)));
}

#[test]
fn what_is_asked_for_is_done_when_nobody_waits() {
    let disk = blank(LEAST, 512);
    let keys = open(&disk).unwrap();
    run(async {
        let given_up = kernel::task::select(keys.set(b"a", b"1"), async {}).await;
        assert!(matches!(given_up, kernel::task::Either::Second(())));
        let (a, b, c) = join3(keys.set(b"b", b"2"), keys.rename(b"a", b"c"), keys.get(b"x")).await;
        assert_eq!((a, b, c), (Ok(()), Ok(()), Ok(None)));
    });
    assert_eq!(run(all(&open(&disk).unwrap())).unwrap().len(), 2);
}

#[test]
fn what_is_too_long_is_refused() {
    let keys = open(&blank(LEAST, 512)).unwrap();
    for (key, value) in [(0, 1), (256, 1), (1, 2 * 4096), (1, 1 << 20)] {
        let set = run(keys.set(&std::vec![1; key], &std::vec![2; value]));
        assert_eq!(set, Err(Error::TooLong), "{key} {value}");
    }
    let longest = std::vec![2; 2 * 4096 - 36 - 12 - 255];
    assert_eq!(run(keys.set(&[1; 255], &longest)), Ok(()));
    assert_eq!(run(keys.get(&[1; 255])), Ok(Some(longest)));
}

#[test]
fn a_full_disk_keeps_what_it_has_and_can_be_emptied() {
    let disk = blank(LEAST, 512);
    let keys = open(&disk).unwrap();
    let mut model = Model::new();
    let full = loop {
        let key = std::format!("{}", model.len()).into_bytes();
        match run(keys.set(&key, &[7; 900])) {
            Ok(()) => drop(model.insert(key, std::vec![7; 900])),
            Err(error) => break error,
        }
    };
    assert_eq!(full, Error::Full);
    assert!(model.len() > 30, "{}", model.len());
    assert_eq!(run(all(&keys)), Ok(model.clone()));
    for _ in 0..100 {
        assert_eq!(run(keys.set(b"more", &[7; 900])), Err(Error::Full));
    }
    let keys = open(&disk).unwrap();
    assert_eq!(run(all(&keys)), Ok(model.clone()));
    for key in model.keys() {
        assert_eq!(run(keys.delete(key)), Ok(()));
    }
    assert_eq!(run(keys.set(b"more", &[7; 900])), Ok(()));
    assert_eq!(run(all(&open(&disk).unwrap())).unwrap().len(), 1);
}

#[test]
fn memory_is_bounded() {
    let disk = blank(LEAST, 512);
    open(&disk).unwrap();
    let keys = run(Keys::with_memory(disk.clone(), 500)).unwrap();
    let mut count = 0;
    while run(keys.set(std::format!("{count}").as_bytes(), b"")) == Ok(()) {
        count += 1;
    }
    assert_eq!(count, 6);
    assert_eq!(run(keys.set(b"x", b"")), Err(Error::TooManyKeys));
    assert_eq!(run(keys.delete(b"0")), Ok(()));
    assert_eq!(run(keys.set(b"x", b"")), Ok(()));
    assert_eq!(run(Keys::with_memory(disk, 400)).unwrap_err(), Error::TooManyKeys);
}

#[test]
fn a_disk_that_cannot_be_written_is_read() {
    let disk = blank(LEAST, 512);
    run(open(&disk).unwrap().set(b"a", b"1")).unwrap();
    disk.read_only.set(true);
    let keys = open(&disk).unwrap();
    assert_eq!(run(keys.get(b"a")), Ok(Some(b"1".to_vec())));
    assert_eq!(run(keys.set(b"a", b"2")), Err(Error::ReadOnly));
    assert_eq!(run(Keys::format(disk.clone())).unwrap_err(), Error::ReadOnly);
    assert_eq!(
        open(&Disk { read_only: disk.read_only.clone(), ..blank(LEAST, 512) }).unwrap_err(),
        Error::ReadOnly
    );
    disk.read_only.set(false);
    disk.flush.set(false);
    let keys = open(&disk).unwrap();
    assert_eq!(run(keys.get(b"a")), Ok(Some(b"1".to_vec())));
    assert_eq!(run(keys.set(b"a", b"2")), Err(Error::Disk(ErrorKind::Unsupported)));
}

#[test]
fn a_disk_that_fails_is_told_of_and_loses_nothing() {
    let disk = blank(LEAST, 512);
    let (mut numbers, mut model) = (Numbers(5), Model::new());
    let mut keys = open(&disk).unwrap();
    for left in 0..400 {
        disk.left.set(left % 9);
        let before = model.clone();
        let mut batch = Batch::new();
        change(&mut numbers, &mut model, &mut batch, 3000);
        let done = run(keys.apply(batch));
        disk.left.set(u64::MAX);
        if done.is_err() {
            assert_eq!(done, Err(Error::Disk(ErrorKind::Failed)));
            assert_eq!(run(all(&keys)), Ok(before.clone()), "{left}");
            keys = open(&disk).unwrap();
            let now = run(all(&keys)).unwrap();
            assert!(now == before || now == model, "{left}");
            model = now;
        }
    }
}

#[test]
fn a_superblock_that_cannot_be_written_lets_the_log_overrun_nothing() {
    for bad in [8, 16] {
        let disk = blank(LEAST, 512);
        let keys = open(&disk).unwrap();
        let mut model = Model::new();
        for number in 0..8_u8 {
            run(keys.set(&[number], &[number; 3000])).unwrap();
            model.insert(std::vec![number], std::vec![number; 3000]);
        }
        disk.bad.set(bad);
        let mut failed = 0;
        for round in 0..60_u8 {
            let (key, value) = (std::vec![round % 3], std::vec![round; 3000]);
            match run(keys.set(&key, &value)) {
                Ok(()) => drop(model.insert(key, value)),
                Err(error) => {
                    assert_eq!(error, Error::Disk(ErrorKind::Failed));
                    failed += 1;
                }
            }
            assert_eq!(run(all(&keys)), Ok(model.clone()), "{bad} {round}");
            let copy = Disk::new(disk.bytes.borrow().clone(), 512);
            assert_eq!(run(all(&open(&copy).unwrap())), Ok(model.clone()), "{bad} {round}");
        }
        assert!(failed > 40, "{failed}");
        disk.bad.set(0);
        run(keys.set(b"more", b"")).unwrap();
        model.insert(b"more".to_vec(), Vec::new());
        assert_eq!(run(all(&open(&disk).unwrap())), Ok(model));
    }
}

/// A write that fails may leave anything, so the other superblock has to be whole until it is
/// written anew.
#[test]
fn the_superblock_that_failed_is_written_first() {
    let disk = blank(LEAST, 512);
    let keys = open(&disk).unwrap();
    run(keys.set(b"a", b"1")).unwrap();
    // The flush of the second fails.
    disk.left.set(2);
    let failed = run(keys.clone().close());
    assert_eq!(failed, Err(Error::Disk(ErrorKind::Failed)));
    disk.left.set(u64::MAX);
    disk.events.borrow_mut().clear();
    run(keys.close()).unwrap();
    let events = disk.events.borrow();
    let sectors = events.iter().filter_map(|event| match event {
        Event::Write(sector, _) => Some(*sector),
        Event::Flush => None,
    });
    assert_eq!(sectors.collect::<Vec<_>>(), [8, 0]);
}

#[test]
fn a_loss_that_another_user_of_the_disk_was_told_of_is_an_error() {
    let disk = blank(LEAST, 512);
    let keys = open(&disk).unwrap();
    run(keys.set(b"a", b"1")).unwrap();
    disk.lose.set(true);
    assert_eq!(run(keys.set(b"a", b"2")), Err(Error::Disk(ErrorKind::Failed)));
    assert_eq!(run(keys.get(b"a")), Ok(Some(b"1".to_vec())));
    run(keys.set(b"a", b"3")).unwrap();
    disk.lose.set(true);
    assert_eq!(run(keys.clone().close()), Err(Error::Disk(ErrorKind::Failed)));
    assert_eq!(run(all(&open(&disk).unwrap())).unwrap().len(), 1);
}

#[test]
fn other_content_is_left_alone() {
    for content in [&b"garbage "[..], b"\0\0\0\0\0\0\0\x01", b"XENITHKV"] {
        let bytes = content.repeat(LEAST / content.len());
        let disk = Disk::new(bytes.clone(), 512);
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, Error::OtherFormat | Error::Damaged), "{error:?}");
        assert!(*disk.bytes.borrow() == bytes);
    }
    assert_eq!(open(&blank(LEAST - 512, 512)).unwrap_err(), Error::Full);
    assert_eq!(open(&blank(0, 512)).unwrap_err(), Error::Full);
    assert_eq!(run(Keys::open(blank(LEAST, 512))).unwrap_err(), Error::OtherFormat);
}

#[test]
fn a_disk_that_shrinks_is_told_of() {
    let disk = blank(2 * LEAST, 512);
    let keys = open(&disk).unwrap();
    for number in 0..20_u8 {
        run(keys.set(&[number], &[number; 3000])).unwrap();
    }
    disk.bytes.borrow_mut().truncate(LEAST);
    assert_eq!(open(&disk).unwrap_err(), Error::Shrunk);
    assert_eq!(run(keys.get(&[19])), Err(Error::Damaged));
    let mut set = Ok(());
    for _ in 0..30 {
        set = set.and(run(keys.set(b"x", &[0; 3000])));
    }
    assert_eq!(set, Err(Error::Disk(ErrorKind::OutOfRange)));
}

#[test]
fn rot_is_found_wherever_it_is() {
    let disk = blank(LEAST, 512);
    let (mut numbers, mut model) = (Numbers(3), Model::new());
    let keys = open(&disk).unwrap();
    for _ in 0..60 {
        let mut batch = Batch::new();
        change(&mut numbers, &mut model, &mut batch, 3000);
        run(keys.apply(batch)).unwrap();
    }
    run(keys.close()).unwrap();
    let clean = disk.bytes.borrow().clone();
    let mut found = 0;
    for at in (0..clean.len()).step_by(97) {
        let rotten = Disk::new(clean.clone(), 512);
        rotten.bytes.borrow_mut()[at] ^= 1 << numbers.below(8);
        match open(&rotten) {
            // Of a superblock there is another, and most of the log is not in use.
            Ok(keys) => assert_eq!(run(all(&keys)), Ok(model.clone()), "{at}"),
            Err(error) => {
                assert_eq!(error, Error::Damaged, "{at}");
                found += 1;
            }
        }
        // A store that is open finds it when it reads.
        let disk = Disk::new(clean.clone(), 512);
        let keys = open(&disk).unwrap();
        disk.bytes.borrow_mut()[at] ^= 0x10;
        for (key, value) in &model {
            let got = run(keys.get(key));
            assert!(got == Ok(Some(value.clone())) || got == Err(Error::Damaged), "{at}");
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn damage_never_panics_or_hangs() {
    let disk = blank(LEAST, 512);
    let (mut numbers, mut model) = (Numbers(11), Model::new());
    let keys = open(&disk).unwrap();
    for _ in 0..40 {
        let mut batch = Batch::new();
        change(&mut numbers, &mut model, &mut batch, 2000);
        run(keys.apply(batch)).unwrap();
    }
    let clean = disk.bytes.borrow().clone();
    for round in 0..1500 {
        let mut bytes = clean.clone();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(LEAST / 4096) * 4096 + numbers.below(90);
            bytes[at] = if numbers.below(2) == 0 { numbers.next() as u8 } else { 0xff };
        }
        // What is behind the checksums is reached, too.
        if round % 2 == 0 {
            crate::kv::keys::reseal(&mut bytes);
        }
        if let Ok(keys) = open(&Disk::new(bytes, 512)) {
            let _ = run(all(&keys));
            let _ = run(keys.set(b"new", &[1; 5000]));
            let _ = run(keys.delete(b"key1"));
        }
    }
}

#[test]
fn a_superblock_of_the_last_generation_is_damage_and_no_overflow() {
    let disk = blank(LEAST, 512);
    drop(open(&disk).unwrap());
    let mut bytes = disk.bytes.borrow().clone();
    for page in [0, 4096] {
        bytes[page + 32..page + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    }
    // They differ, so that opening writes them anew.
    bytes[4096 + 39] = 0x7f;
    crate::kv::keys::reseal(&mut bytes);
    assert_eq!(open(&Disk::new(bytes, 512)).err(), Some(Error::Damaged));
}
