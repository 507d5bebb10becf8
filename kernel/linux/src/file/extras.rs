//! What few files have: locks, and those who watch them.

use super::alone::Alone;
use crate::errno::Errno;
use crate::memory::is_refused;
use crate::watch::Watch;
use alloc::boxed::Box;
use alloc::rc::Weak;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, Ordering};

/// The most locks of one owner in one file.
const MOST: usize = 4096;

/// What few files have.
#[derive(Default)]
pub struct Extras {
    locks: RefCell<Option<Box<Locks>>>,
    watchers: RefCell<Vec<Watched>>,
    uses: Uses,
    /// Who writes much to it does so alone.
    pub(super) writing: Alone,
    /// It was made without a name, and may be given its first (`O_TMPFILE`).
    pub(super) linkable: Cell<bool>,
}

/// How often a file is open to be written, if positive, or runs, if negative: never both at once
/// (`ETXTBSY` of open(2) and execve(2)).
#[derive(Default)]
pub struct Uses(Cell<i64>);

impl Uses {
    /// Asks whether somebody may write to it now.
    ///
    /// # Errors
    /// `ETXTBSY` while it runs.
    pub fn may_write(&self) -> Result<(), Errno> {
        if self.0.get() < 0 { Err(Errno::ETXTBSY) } else { Ok(()) }
    }

    /// Counts one who writes (1) or runs it (-1).
    ///
    /// # Errors
    /// `ETXTBSY` while it is used in the other way.
    pub(super) fn begin(&self, step: i64) -> Result<(), Errno> {
        if self.0.get() * step < 0 {
            return Err(Errno::ETXTBSY);
        }
        self.0.update(|it| it + step);
        Ok(())
    }

    /// That one has ended.
    pub(super) fn end(&self, step: i64) {
        self.0.update(|it| it - step);
    }
}

/// Hears what happens to files that it watches (inotify(7)).
pub trait Watcher {
    /// Something of the watch's mask happened, to what is watched or to `name` in it. Returns
    /// whether it goes on watching.
    fn happened(&self, watch: i32, mask: u32, cookie: u32, name: &[u8]) -> bool;
}

/// Somebody who watches a file.
struct Watched {
    watcher: Weak<dyn Watcher>,
    watch: i32,
    mask: u32,
}

/// Whose a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A table of descriptors' (`F_SETLK`), by its address: a process's, and that of those who share
    /// it (`CLONE_FILES`).
    Table(usize),
    /// An open file description's (`F_OFD_SETLK`), by its address.
    Open(usize),
    /// One of flock(2), which the others do not see.
    Whole(usize),
}

/// A lock of the bytes from `start` up to `end`, which is not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Whose it is.
    pub owner: Owner,
    /// The process that took it; -1 for that of an open file.
    pub process: i32,
    /// Where it begins.
    pub start: u64,
    /// Where it ends; `u64::MAX` is behind all bytes.
    pub end: u64,
    /// Nobody else may have one there.
    pub exclusive: bool,
}

#[derive(Default)]
struct Locks {
    /// Sorted by where they begin: who asks what stands in the way hears of the first.
    all: Vec<Lock>,
    watch: Arc<Watch>,
}

impl Lock {
    const fn is_whole(&self) -> bool {
        matches!(self.owner, Owner::Whole(_))
    }

    fn conflicts(&self, other: &Self) -> bool {
        self.owner != other.owner
            && self.is_whole() == other.is_whole()
            && (self.exclusive || other.exclusive)
            && self.start < other.end
            && other.start < self.end
    }
}

/// Bits that are told though nobody asked for them: what ends a watch.
const ALWAYS: u32 = linux_raw_sys::general::IN_IGNORED | linux_raw_sys::general::IN_DELETE_SELF;

/// Whether somebody ever watched anything. Few programs do, and all read and write.
static EVER_WATCHED: AtomicBool = AtomicBool::new(false);

/// Returns whether somebody may watch anything.
pub(super) fn are_watched() -> bool {
    EVER_WATCHED.load(Ordering::Relaxed)
}

impl Extras {
    /// Returns who writes to it, or runs it.
    pub const fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Returns whether somebody watches.
    pub fn is_watched(&self) -> bool {
        !self.watchers.borrow().is_empty()
    }

    /// Lets `watcher` hear of what is in `mask`, by the number of the watch. One of that number
    /// is replaced.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn watch(&self, watcher: Weak<dyn Watcher>, watch: i32, mask: u32) -> Result<(), Errno> {
        self.unwatch(&watcher, watch);
        let mut watchers = self.watchers.borrow_mut();
        watchers.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        watchers.push(Watched { watcher, watch, mask });
        EVER_WATCHED.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Ends a watch.
    pub fn unwatch(&self, watcher: &Weak<dyn Watcher>, watch: i32) {
        self.watchers.borrow_mut().retain(|it| {
            it.watcher.strong_count() > 0
                && !(it.watch == watch && Weak::ptr_eq(&it.watcher, watcher))
        });
    }

    /// Tells those who watch what happened, to it or to `name` in it.
    pub fn happened(&self, mask: u32, cookie: u32, name: &[u8]) {
        if !self.is_watched() {
            return;
        }
        self.watchers.borrow_mut().retain(|it| {
            let wanted = mask & (it.mask | ALWAYS) != 0;
            it.watcher
                .upgrade()
                .is_some_and(|watcher| !wanted || watcher.happened(it.watch, mask, cookie, name))
        });
    }

    /// Returns whether there are locks.
    pub fn is_locked(&self) -> bool {
        self.locks.borrow().is_some()
    }

    /// Returns a lock that stands in the way of `lock`.
    pub fn conflict(&self, lock: &Lock) -> Option<Lock> {
        let locks = self.locks.borrow();
        locks.as_ref()?.all.iter().find(|it| it.conflicts(lock)).copied()
    }

    /// Returns whether a lock of `owner` stands in the way of `lock`.
    pub(super) fn is_kept_by(&self, owner: Owner, lock: &Lock) -> bool {
        let locks = self.locks.borrow();
        let stands = |it: &Lock| it.owner == owner && it.conflicts(lock);
        locks.as_ref().is_some_and(|it| it.all.iter().any(stands))
    }

    /// Returns a lock of `owner`.
    pub fn held(&self, owner: Owner) -> Option<Lock> {
        let locks = self.locks.borrow();
        locks.as_ref()?.all.iter().find(|it| it.owner == owner).copied()
    }

    /// Takes a lock. What its owner had there before is replaced.
    ///
    /// # Errors
    /// `EAGAIN` with what raises when it may be free; `ENOLCK` for too many of this owner, or when
    /// memory is low.
    pub fn lock(&self, lock: Lock) -> Result<(), (Errno, Arc<Watch>)> {
        let mut locks = self.locks.borrow_mut();
        let locks = locks.get_or_insert_default();
        let watch = Arc::clone(&locks.watch);
        if locks.all.iter().any(|it| it.conflicts(&lock)) {
            return Err((Errno::EAGAIN, watch));
        }
        let lock = locks.joined(lock);
        if locks.reserve(lock.owner, lock.start, lock.end, 1).is_err() {
            return Err((Errno::ENOLCK, watch));
        }
        locks.cut(lock.owner, lock.start, lock.end);
        let at = locks.all.partition_point(|it| it.start <= lock.start);
        locks.all.insert(at, lock);
        watch.raise();
        Ok(())
    }

    /// Gives up what `owner` has locked in a range.
    ///
    /// # Errors
    /// `ENOLCK`: a lock would become two, which are too many. Nothing is given up then.
    pub fn unlock(&self, owner: Owner, start: u64, end: u64) -> Result<(), Errno> {
        if let Some(locks) = self.locks.borrow_mut().as_mut() {
            locks.reserve(owner, start, end, 0)?;
            locks.cut(owner, start, end);
        }
        self.unlocked();
        Ok(())
    }

    /// Gives up all that `owner` has locked, which takes no memory.
    pub fn unlock_all(&self, owner: Owner) {
        if let Some(locks) = self.locks.borrow_mut().as_mut() {
            locks.all.retain(|it| it.owner != owner);
        }
        self.unlocked();
    }

    /// Tells those who wait that a lock may be free.
    fn unlocked(&self) {
        let mut all = self.locks.borrow_mut();
        let Some(locks) = all.as_ref() else { return };
        let watch = Arc::clone(&locks.watch);
        if locks.all.is_empty() && Arc::strong_count(&watch) == 2 {
            *all = None;
        }
        drop(all);
        watch.raise();
    }
}

impl Locks {
    /// Returns `lock` with what its owner has of the same kind up to it and from there on, so that
    /// who locks one byte after the other has one lock (fcntl(2)).
    fn joined(&self, mut lock: Lock) -> Lock {
        for it in &self.all {
            let same = it.owner == lock.owner && it.exclusive == lock.exclusive;
            if same && it.start <= lock.end && it.end >= lock.start {
                lock.start = lock.start.min(it.start);
                lock.end = lock.end.max(it.end);
            }
        }
        lock
    }

    /// Makes room for what is left of those of `owner` once a range is taken out of them, and for
    /// `more`. Who would have no more than before always may.
    ///
    /// # Errors
    /// `ENOLCK`: `owner` would have too many, or memory is low.
    fn reserve(&mut self, owner: Owner, start: u64, end: u64, more: usize) -> Result<(), Errno> {
        let (mut before, mut after) = (0, more);
        for it in self.all.iter().filter(|it| it.owner == owner) {
            before += 1;
            after += match (it.start < start, it.end > end) {
                _ if it.start >= end || it.end <= start => 1,
                (left, right) => usize::from(left) + usize::from(right),
            };
        }
        if after <= before {
            return Ok(());
        }
        if after > MOST || is_refused() {
            return Err(Errno::ENOLCK);
        }
        self.all.try_reserve(after - before).map_err(|_| Errno::ENOLCK)
    }

    /// Takes a range out of those of `owner`, for which there is [room](Self::reserve).
    fn cut(&mut self, owner: Owner, start: u64, end: u64) {
        let mut rest = None;
        self.all.retain_mut(|it| {
            if it.owner != owner || it.start >= end || it.end <= start {
                return true;
            }
            match (it.start < start, it.end > end) {
                (false, false) => return false,
                (true, false) => it.end = start,
                (false, true) => it.start = end,
                (true, true) => {
                    rest = Some(Lock { start: end, ..*it });
                    it.end = start;
                }
            }
            true
        });
        if let Some(rest) = rest {
            let at = self.all.partition_point(|it| it.start <= rest.start);
            self.all.insert(at, rest);
        }
        // One whose beginning was cut off may begin behind others now. A stable sort would allocate.
        self.all.sort_unstable_by_key(|it| it.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_taken_and_split() {
        let extras = Extras::default();
        let lock = |process, start, end, exclusive| Lock {
            owner: Owner::Table(process as usize),
            process,
            start,
            end,
            exclusive,
        };
        extras.lock(lock(1, 0, 100, true)).unwrap();
        assert_eq!(extras.lock(lock(2, 99, 200, false)).unwrap_err().0, Errno::EAGAIN);
        extras.lock(lock(2, 100, 200, false)).unwrap();
        // A part becomes shared, and what is around it stays as it was.
        extras.lock(lock(1, 10, 20, false)).unwrap();
        extras.lock(lock(2, 12, 18, false)).unwrap();
        assert_eq!(extras.conflict(&lock(2, 0, 10, false)), Some(lock(1, 0, 10, true)));
        assert_eq!(extras.conflict(&lock(2, 20, 30, false)), Some(lock(1, 20, 100, true)));
        extras.unlock_all(Owner::Table(1));
        assert_eq!(extras.conflict(&lock(2, 0, u64::MAX, true)), None);
        extras.unlock_all(Owner::Table(2));
        assert!(!extras.is_locked());
        // Byte after byte is one lock, and the first that stands in the way is told of.
        let bytes = Extras::default();
        for at in 0..MOST as u64 * 2 {
            bytes.lock(lock(1, at, at + 1, true)).unwrap();
        }
        bytes.lock(lock(1, 10, 20, false)).unwrap();
        bytes.unlock(Owner::Table(1), 0, 10).unwrap();
        assert_eq!(bytes.conflict(&lock(2, 0, 100, true)), Some(lock(1, 10, 20, false)));
        assert_eq!(bytes.conflict(&lock(2, 0, 100, false)), Some(lock(1, 20, 8192, true)));
        // flock(2) is another world.
        let whole = |open| Lock { owner: Owner::Whole(open), ..lock(1, 0, u64::MAX, true) };
        extras.lock(whole(1)).unwrap();
        assert_eq!(extras.lock(whole(2)).unwrap_err().0, Errno::EAGAIN);
        extras.lock(lock(3, 0, 1, true)).unwrap();
    }

    #[test]
    fn holes_in_a_lock_have_a_limit() {
        let extras = Extras::default();
        let (owner, process) = (Owner::Table(1), 1);
        extras.lock(Lock { owner, process, start: 0, end: u64::MAX, exclusive: true }).unwrap();
        let mut holes = (0..MOST as u64 * 2).map(|it| extras.unlock(owner, it * 2 + 1, it * 2 + 2));
        assert_eq!(holes.position(|it| it == Err(Errno::ENOLCK)), Some(MOST - 1));
        // What splits none is given up all the same, and then there is room again.
        assert_eq!(extras.unlock(owner, 0, 4), Ok(()));
        assert_eq!(extras.unlock(owner, 1 << 40, (1 << 40) + 1), Ok(()));
        extras.unlock_all(owner);
        assert!(!extras.is_locked());
    }

    #[test]
    fn who_has_too_many_locks_leaves_room_for_others_and_for_fewer() {
        let extras = Extras::default();
        let lock = |process, start, end, exclusive| {
            let owner = Owner::Table(process as usize);
            extras.lock(Lock { owner, process, start, end, exclusive }).map_err(|it| it.0)
        };
        let most = MOST as u64;
        for at in 0..most {
            lock(1, at * 2, at * 2 + 1, false).unwrap();
        }
        assert_eq!(lock(1, most * 2, most * 2 + 1, false), Err(Errno::ENOLCK));
        for at in 0..most {
            lock(2, at * 2, at * 2 + 1, false).unwrap();
        }
        // What joins two, replaces one or reaches further is not one more.
        lock(1, 1, 2, false).unwrap();
        lock(1, 0, 3, false).unwrap();
        assert_eq!(lock(1, 1, 2, true), Err(Errno::ENOLCK), "it would split one into two");
        assert_eq!(
            extras
                .conflict(&Lock {
                    owner: Owner::Table(3),
                    process: 3,
                    start: 1,
                    end: 2,
                    exclusive: true,
                })
                .map(|it| (it.start, it.end)),
            Some((0, 3))
        );
        lock(1, most * 2, most * 2 + 1, false).unwrap();
        lock(1, 0, most * 4, false).unwrap();
        assert_eq!(extras.locks.borrow().as_ref().unwrap().all.len(), MOST + 1);
    }
}
