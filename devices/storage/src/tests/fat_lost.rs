//! FAT on a disk that loses what was not flushed, and one whose writes land late.

use super::*;
use crate::fs::Files;
use crate::fs::fat::Fat;
use core::cell::{Cell, RefCell};
use devices::block::{Block, ErrorKind, Info};
use kernel::task::{Either, select, yield_now};
use std::rc::Rc;

const LOST: Result<(), Error> = Err(Error::Disk(ErrorKind::Failed));

/// A file system of a file that is synced, marked dirty for another one.
fn begun<B: Block + 'static>(disk: B) -> Fat<B> {
    run(async {
        let fat = Fat::format(disk).await.unwrap();
        fat.write(b"a", 0, &[1; 512]).await.unwrap();
        fat.sync().await.unwrap();
        fat.write(b"b", 0, &[1; 512]).await.unwrap();
        fat
    })
}

/// Whether it is marked as dirty on the disk.
fn is_dirty(disk: &Disk) -> bool {
    disk.bytes.borrow()[37] == 1
}

#[test]
fn what_another_user_of_the_disk_was_told_of_is_not_synced() {
    let disk = Disk::new(std::vec![0; 1 << 20], 512);
    let fat = begun(disk.clone());
    disk.lose.set(true);
    assert_eq!(run(fat.write(b"a", 0, &[2; 512])), Ok(()), "it is lost behind its back");
    assert_eq!(run(fat.sync()), LOST);
    assert_eq!(run(fat.sync()), LOST, "as long as it is open");
    assert_eq!(content(&fat, "a"), Ok(std::vec![1; 512]), "what there is");
    run(fat.write(b"a", 0, &[3; 512])).unwrap();
    assert_eq!(run(fat.sync()), LOST);
    assert!(is_dirty(&disk));
    let again = run(Fat::open(disk.clone())).unwrap();
    assert_eq!(content(&again, "a"), Ok(std::vec![3; 512]));
    run(again.write(b"a", 0, &[4; 512])).unwrap();
    assert_eq!(run(again.sync()), Ok(()));
}

#[test]
fn what_was_lost_before_a_change_is_not_taken_from_memory() {
    let disk = Disk::new(std::vec![0; 1 << 20], 512);
    let fat = begun(disk.clone());
    assert_eq!(names(&fat, "").unwrap().len(), 2);
    // The folder's sector is written once, without a flush behind it.
    let before = disk.bytes.borrow().clone();
    run(fat.write(b"c", 0, b"")).unwrap();
    *disk.bytes.borrow_mut() = before;
    disk.lost.set(1);
    assert_eq!(names(&fat, "").unwrap().len(), 2, "what there is");
    run(fat.write(b"d", 0, b"")).unwrap();
    assert_eq!(names(&fat, "").unwrap().len(), 3);
    assert_eq!(run(fat.sync()), LOST);
}

#[test]
fn a_flush_that_fails_within_a_change_is_told_by_sync_too() {
    let disk = Disk::new(std::vec![0; 1 << 20], 512);
    let fat = begun(disk.clone());
    run(fat.write(b"a", 0, &[2; 512])).unwrap();
    let failed = (0..30).any(|left| {
        disk.left.set(left);
        let result = run(fat.write(b"new", 0, &[5; 512]));
        disk.left.set(u64::MAX);
        // With none left for it, the flush fails, and the write before it did not.
        result.is_err() && run(fat.sync()).is_err()
    });
    assert!(failed);
    assert_eq!(run(fat.sync()), LOST);
    assert!(is_dirty(&disk));
}

#[test]
fn a_mark_that_may_be_lost_is_made_again() {
    let disk = Disk::new(std::vec![0; 1 << 20], 512);
    let fat = begun(disk.clone());
    run(fat.sync()).unwrap();
    assert!(!is_dirty(&disk));
    disk.lose.set(true);
    assert_eq!(run(fat.write(b"a", 0, &[2; 512])), LOST);
    run(fat.write(b"a", 0, &[3; 512])).unwrap();
    assert!(is_dirty(&disk));
}

#[test]
fn a_loss_while_a_disk_is_formatted_is_told_of() {
    for skip in 0..20 {
        let disk = Disk::new(std::vec![0; 1 << 20], 512);
        let lost = run(async {
            let formatted = Fat::format(disk.clone());
            let lose = async {
                for _ in 0..skip {
                    yield_now().await;
                }
                disk.lose.set(true);
                core::future::pending::<()>().await;
            };
            match select(formatted, lose).await {
                Either::First(result) => result.map(drop),
                Either::Second(()) => Ok(()),
            }
        });
        // It may have been over before anything was lost.
        assert!(lost == LOST || disk.lost.get() == 0, "{skip}");
    }
}

/// A disk that does writes when it is told to, also those whose futures were dropped.
#[derive(Clone)]
struct Late {
    disk: Disk,
    is_late: Rc<Cell<bool>>,
    held: Rc<RefCell<Vec<Held>>>,
}

/// A write that was asked for: its sector and content, and whether it was done.
type Held = (u64, Vec<u8>, Rc<Cell<bool>>);

impl Late {
    /// Does the write that was asked for last.
    fn land(&self) {
        let Some((sector, from, done)) = self.held.borrow_mut().pop() else { return };
        let start = sector as usize * 512;
        self.disk.bytes.borrow_mut()[start..start + from.len()].copy_from_slice(&from);
        done.set(true);
    }
}

impl Block for Late {
    type Error = ErrorKind;

    fn info(&self) -> Info {
        self.disk.info()
    }

    async fn read(&self, sector: u64, to: &mut [u8]) -> Result<(), ErrorKind> {
        self.disk.read(sector, to).await
    }

    async fn write(&self, sector: u64, from: &[u8]) -> Result<(), ErrorKind> {
        if !self.is_late.get() {
            return self.disk.write(sector, from).await;
        }
        let done = Rc::new(Cell::new(false));
        self.held.borrow_mut().push((sector, from.to_vec(), done.clone()));
        while !done.get() {
            yield_now().await;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<(), ErrorKind> {
        self.disk.flush().await
    }

    async fn discard(&self, sector: u64, count: u64) -> Result<(), ErrorKind> {
        self.disk.discard(sector, count).await
    }
}

#[test]
fn a_write_that_was_given_up_lands_before_a_newer_one_begins() {
    let disk = Disk::new(std::vec![0; 1 << 20], 512);
    let late = Late { disk, is_late: Rc::default(), held: Rc::default() };
    let fat = begun(late.clone());
    let turns = async || {
        for _ in 0..50 {
            yield_now().await;
        }
    };
    run(async {
        late.is_late.set(true);
        let given_up = select(fat.write(b"a", 0, &[2; 512]), turns()).await;
        assert!(matches!(given_up, Either::Second(())));
        assert_eq!(late.held.borrow().len(), 1);
        // Nor is anything read meanwhile, which would be cached.
        assert!(matches!(select(fat.lookup(b"a"), turns()).await, Either::Second(())));
        let newer = async {
            fat.write(b"a", 0, &[3; 512]).await.unwrap();
            late.is_late.set(false);
        };
        let landing = async {
            turns().await;
            assert_eq!(late.held.borrow().len(), 1, "the newer one waits");
            while late.is_late.get() {
                late.land();
                yield_now().await;
            }
        };
        kernel::task::join(newer, landing).await;
        assert_eq!(late.held.borrow().len(), 0);
    });
    assert_eq!(content(&fat, "a"), Ok(std::vec![3; 512]));
}
