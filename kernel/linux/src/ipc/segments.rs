//! The segments that there are.

use crate::errno::Errno;
use crate::memory::{Segment, Unheld};
use crate::process::Credentials;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::cell::{Cell, RefCell};
use kernel::time::wall_clock;
use kernel::user::PAGE;

/// How many there may be (`SHMMNI`).
pub(super) const MOST: usize = 4096;

/// The key of those that only their number finds.
pub(super) const PRIVATE: i32 = 0;

/// A segment, and what shmctl(2) tells of it.
pub(super) struct Entry {
    pub(super) key: i32,
    /// Until it is removed.
    held: Option<Segment>,
    memory: Unheld,
    /// Its length as it was asked for.
    pub(super) bytes: u64,
    /// User and group of its owner, and of its creator.
    pub(super) owner: [u32; 2],
    pub(super) creator: [u32; 2],
    /// The lowest nine bits of a file's mode.
    pub(super) mode: u32,
    /// `SHM_LOCK`, which changes nothing: nothing is ever swapped here.
    pub(super) locked: bool,
    /// Who made it, and who attached or detached it last.
    pub(super) made_by: i32,
    pub(super) used_by: i32,
    /// When it was attached, detached and changed last, in s since 1970; 0 for never.
    pub(super) times: [i64; 3],
}

/// Which of an entry's times.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    Attached,
    Detached,
    Changed,
}

impl Entry {
    /// Whether it was removed, and is there only for those who have it.
    pub(super) const fn is_removed(&self) -> bool {
        self.held.is_none()
    }

    /// How many maps there are of it.
    pub(super) fn attached(&self) -> usize {
        self.memory.holders() - usize::from(self.held.is_some())
    }

    /// Its memory.
    pub(super) fn memory(&self) -> Result<Segment, Errno> {
        self.memory.get().ok_or(Errno::EINVAL)
    }

    /// Notes a time.
    pub(super) fn touch(&mut self, time: Time) {
        self.times[time as usize] = i64::try_from(wall_clock().as_secs()).unwrap_or(i64::MAX);
    }

    /// Removes it: its key is free, and it ends with its last map.
    pub(super) fn remove(&mut self) {
        (self.key, self.held) = (PRIVATE, None);
    }

    /// Asks for permissions: 4 to read, 6 to write as well.
    ///
    /// # Errors
    /// `EACCES`
    pub(super) fn may(&self, who: &Credentials, want: u32) -> Result<(), Errno> {
        let (user, group) = (who.user.effective, who.group.effective);
        let is_in = |id: u32| group == id || who.groups.contains(&id);
        let bits = match () {
            () if who.is_root() => 6,
            () if [self.owner[0], self.creator[0]].contains(&user) => self.mode >> 6,
            () if is_in(self.owner[1]) || is_in(self.creator[1]) => self.mode >> 3,
            () => self.mode,
        };
        if want & !bits == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Asks whether somebody may change or remove it.
    ///
    /// # Errors
    /// `EPERM`
    pub(super) fn owned_by(&self, who: &Credentials) -> Result<(), Errno> {
        let owns = [self.owner[0], self.creator[0]].contains(&who.user.effective);
        if owns || who.is_root() { Ok(()) } else { Err(Errno::EPERM) }
    }
}

/// All segments by number.
#[derive(Default)]
pub struct Segments {
    /// Numbers are none below 0. Trees of 64-bit keys and values are one code, whatever they hold.
    entries: RefCell<BTreeMap<u64, Box<Entry>>>,
    /// The last number that was given.
    last: Cell<i32>,
}

impl Segments {
    /// Forgets those that were removed and that nobody has any more.
    fn purge(&self) {
        self.entries.borrow_mut().retain(|_, it| it.memory.holders() > 0);
    }

    /// Pages that all of them may have together (`SHMALL`): half of the machine's memory.
    pub(super) fn most_pages() -> u64 {
        let total = kernel::memory::stats().total;
        (if total == 0 { 128 << 20 } else { total / 2 } / PAGE) as u64
    }

    /// Makes one.
    ///
    /// # Errors
    /// `EINVAL` for no bytes and for more than a file may have, `ENOMEM` for more than all may have, `ENOSPC` if there are too many.
    pub(super) fn make(
        &self,
        key: i32,
        bytes: u64,
        mode: u32,
        who: &Credentials,
        process: i32,
    ) -> Result<i32, Errno> {
        self.purge();
        let most = Self::most_pages();
        let pages = bytes.div_ceil(PAGE as u64);
        if bytes == 0 || bytes > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        if pages > most {
            return Err(Errno::ENOMEM);
        }
        let mut entries = self.entries.borrow_mut();
        let taken: u64 = entries.values().map(|it| it.bytes.div_ceil(PAGE as u64)).sum();
        if entries.len() >= MOST || taken + pages > most {
            return Err(Errno::ENOSPC);
        }
        // Numbers come again only after all others, so that an old one finds nothing.
        let mut id = self.last.get();
        loop {
            id = id.checked_add(1).unwrap_or(0);
            if !entries.contains_key(&(id as u64)) {
                break;
            }
        }
        self.last.set(id);
        let memory = Segment::new(bytes, id, key);
        let ids = [who.user.effective, who.group.effective];
        let mut entry = Entry {
            key,
            memory: memory.unheld(),
            held: Some(memory),
            bytes,
            owner: ids,
            creator: ids,
            mode: mode & 0o777,
            locked: false,
            made_by: process,
            used_by: 0,
            times: [0; 3],
        };
        entry.touch(Time::Changed);
        let entry = kernel::memory::boxed(entry).map_err(|_| Errno::ENOMEM)?;
        entries.insert(id as u64, entry);
        Ok(id)
    }

    /// Returns the number of the one with that key.
    pub(super) fn find(&self, key: i32) -> Option<i32> {
        self.purge();
        self.entries.borrow().iter().find(|(_, it)| it.key == key).map(|(&id, _)| id as i32)
    }

    /// Does something with one.
    ///
    /// # Errors
    /// `EINVAL` if there is none of that number, and those of `what`.
    pub(super) fn with<T>(
        &self,
        id: i32,
        what: impl FnOnce(&mut Entry) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.purge();
        let mut entries = self.entries.borrow_mut();
        entries.get_mut(&(id as u64)).ok_or(Errno::EINVAL).and_then(|it| what(it))
    }

    /// Returns how many there are, and how many pages they may have together.
    pub(super) fn used(&self) -> (usize, u64) {
        self.purge();
        let entries = self.entries.borrow();
        (entries.len(), entries.values().map(|it| it.bytes.div_ceil(PAGE as u64)).sum())
    }

    /// Returns the number of the one at a place among them.
    ///
    /// # Errors
    /// `EINVAL` if there are not so many.
    pub(super) fn at(&self, place: i32) -> Result<i32, Errno> {
        let place = usize::try_from(place).map_err(|_| Errno::EINVAL)?;
        self.entries.borrow().keys().nth(place).map(|&id| id as i32).ok_or(Errno::EINVAL)
    }
}
