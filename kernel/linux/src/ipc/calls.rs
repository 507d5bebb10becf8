//! shmget(2), shmat(2), shmdt(2) and shmctl(2).

use super::segments::{Entry, MOST, PRIVATE, Segments, Time};
use crate::call::{Answer, Args, Group, calls};
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::Place;
use crate::thread::Thread;
use alloc::rc::Rc;
use kernel::user::{Access, PAGE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls about segments.
pub(crate) const CALLS: Group = calls! {
    shmget(Hex, Size, Hex) = shmget;
    shmat(Int, Hex, Hex) = shmat;
    shmdt(Hex) = shmdt;
    shmctl(Int, Int, Hex) = shmctl;
};

// include/uapi/linux/ipc.h
const IPC_CREAT: u32 = 0o1000;
const IPC_EXCL: u32 = 0o2000;
const IPC_RMID: u32 = 0;
const IPC_SET: u32 = 1;
const IPC_STAT: u32 = 2;
const IPC_INFO: u32 = 3;
/// The new form of a command, which this processor has anyway.
const IPC_64: u32 = 0x100;

// include/uapi/linux/shm.h
const SHM_HUGETLB: u32 = 0o4000;
const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100_000;
const SHM_LOCK: u32 = 11;
const SHM_UNLOCK: u32 = 12;
const SHM_STAT: u32 = 13;
const SHM_INFO: u32 = 14;
const SHM_STAT_ANY: u32 = 15;
/// The mode of a segment that was removed.
const SHM_DEST: u32 = 0o1000;
/// The mode of one that is locked.
const SHM_LOCKED: u32 = 0o2000;

/// `struct shmid64_ds` (asm-generic/shmbuf.h) with its `struct ipc64_perm`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
pub(super) struct Status {
    pub(super) key: i32,
    pub(super) owner: [u32; 2],
    pub(super) creator: [u32; 2],
    pub(super) mode: u32,
    sequence: [u16; 2],
    pad: u32,
    unused: [u64; 2],
    pub(super) bytes: u64,
    pub(super) times: [i64; 3],
    pub(super) made_by: i32,
    pub(super) used_by: i32,
    pub(super) attached: u64,
    unused_too: [u64; 2],
}

/// `struct shminfo64`.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Limits {
    largest: u64,
    smallest: u64,
    most: u64,
    most_of_process: u64,
    most_pages: u64,
    unused: [u64; 4],
}

impl Status {
    fn of(entry: &Entry) -> Self {
        let removed = if entry.is_removed() { SHM_DEST } else { 0 };
        let locked = if entry.locked { SHM_LOCKED } else { 0 };
        Self {
            key: entry.key,
            owner: entry.owner,
            creator: entry.creator,
            mode: entry.mode | removed | locked,
            bytes: entry.bytes,
            times: entry.times,
            made_by: entry.made_by,
            used_by: entry.used_by,
            attached: entry.attached() as u64,
            ..Self::default()
        }
    }
}

fn shmget(thread: &Rc<Thread>, [key, bytes, flags, ..]: Args) -> Answer {
    let (key, flags) = (key as i32, flags as u32);
    let segments = &thread.system.segments;
    let who = thread.process.credentials.borrow();
    let found = if key == PRIVATE { None } else { segments.find(key) };
    if let Some(id) = found {
        if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
            return Err(Errno::EEXIST.into());
        }
        segments.with(id, |entry| {
            // Any of the three classes that asks for it.
            let want = (flags >> 6 | flags >> 3 | flags) & 6;
            entry.may(&who, want)?;
            if bytes > entry.bytes { Err(Errno::EINVAL) } else { Ok(()) }
        })?;
        return Ok((id as usize).into());
    }
    if key != PRIVATE && flags & IPC_CREAT == 0 {
        return Err(Errno::ENOENT.into());
    }
    if flags & SHM_HUGETLB != 0 {
        // There are no huge pages, as on a Linux that was given none.
        return Err(Errno::ENOMEM.into());
    }
    Ok((segments.make(key, bytes, flags, &who, thread.process.id)? as usize).into())
}

fn shmat(thread: &Rc<Thread>, [id, at, flags, ..]: Args) -> Answer {
    let (mut at, flags) = (at as usize, flags as u32);
    let remap = flags & SHM_REMAP != 0;
    if at != 0 && !at.is_multiple_of(PAGE) {
        if flags & SHM_RND == 0 {
            return Err(Errno::EINVAL.into());
        }
        at = at / PAGE * PAGE;
    }
    if at == 0 && remap {
        return Err(Errno::EINVAL.into());
    }
    let place = match at {
        0 => Place::Hint,
        _ if remap => Place::Fixed,
        _ => Place::FixedNoReplace,
    };
    let write = flags & SHM_RDONLY == 0;
    let mut access = Access::READ;
    access.set(Access::WRITE, write);
    access.set(Access::EXECUTE, flags & SHM_EXEC != 0);
    let who = thread.process.credentials.borrow();
    let process = thread.process.id;
    let at = thread.system.segments.with(id as i32, |entry| {
        entry.may(&who, if write { 6 } else { 4 })?;
        let at = thread.memory().attach(&entry.memory()?, at, place, access)?;
        entry.used_by = process;
        entry.touch(Time::Attached);
        Ok(at)
    })?;
    Ok(at.into())
}

fn shmdt(thread: &Rc<Thread>, [at, ..]: Args) -> Answer {
    let id = thread.memory().detach(at as usize)?;
    // It is gone if it was removed, and this the last map.
    let _ = thread.system.segments.with(id, |entry| {
        entry.used_by = thread.process.id;
        entry.touch(Time::Detached);
        Ok(())
    });
    Ok(0.into())
}

fn shmctl(thread: &Rc<Thread>, [id, command, buffer, ..]: Args) -> Answer {
    let (id, segments, memory) = (id as i32, &thread.system.segments, thread.memory());
    let who = thread.process.credentials.borrow();
    match command as u32 & !IPC_64 {
        IPC_STAT => {
            let status = segments.with(id, |entry| {
                entry.may(&who, 4)?;
                Ok(Status::of(entry))
            })?;
            memory.put(buffer, &status)?;
        }
        IPC_SET => {
            let new: Status = memory.get(buffer)?;
            segments.with(id, |entry| {
                entry.owned_by(&who)?;
                (entry.owner, entry.mode) = (new.owner, new.mode & 0o777);
                entry.touch(Time::Changed);
                Ok(())
            })?;
        }
        IPC_RMID => segments.with(id, |entry| {
            entry.owned_by(&who)?;
            entry.remove();
            Ok(())
        })?,
        lock @ (SHM_LOCK | SHM_UNLOCK) => segments.with(id, |entry| {
            entry.owned_by(&who)?;
            entry.locked = lock == SHM_LOCK;
            Ok(())
        })?,
        // By its place among all: how all are told of (ipcs(1)).
        by @ (SHM_STAT | SHM_STAT_ANY) => {
            let id = segments.at(id)?;
            let status = segments.with(id, |entry| {
                if by == SHM_STAT {
                    entry.may(&who, 4)?;
                }
                Ok(Status::of(entry))
            })?;
            memory.put(buffer, &status)?;
            return Ok((id as usize).into());
        }
        SHM_INFO => {
            let (count, pages) = segments.used();
            // `struct shm_info`: all of them may be in memory, and none is swapped.
            memory.put(buffer, &[count as u64, pages, pages, 0, 0, 0])?;
            return Ok(count.saturating_sub(1).into());
        }
        IPC_INFO => {
            let most_pages = Segments::most_pages();
            let limits = Limits {
                largest: most_pages * PAGE as u64,
                smallest: 1,
                most: MOST as u64,
                most_of_process: MOST as u64,
                most_pages,
                unused: [0; 4],
            };
            memory.put(buffer, &limits)?;
            return Ok(segments.used().0.saturating_sub(1).into());
        }
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0.into())
}
