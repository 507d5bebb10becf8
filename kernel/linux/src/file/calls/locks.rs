//! Locks of files: those of fcntl(2), and flock(2).

use super::super::Open;
use super::super::extras::{Lock, Owner};
use crate::call::{Answer, Args, Group, Outcome, calls, wait};
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::Memory;
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use linux_raw_sys::general as abi;
use linux_raw_sys::general::O_PATH;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The call about locks that is not fcntl(2).
pub(crate) const CALLS: Group = calls! {
    flock(Fd, Int) = flock;
};

/// `struct flock`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Range {
    kind: u16,
    whence: u16,
    pad: u32,
    start: i64,
    length: i64,
    process: i32,
    pad2: u32,
}

impl Range {
    /// Reads one, and returns it with the lock that it asks for; `None` for `F_UNLCK`, with
    /// where that is.
    fn read(
        memory: &Memory,
        at: u64,
        open: &Open,
        owner: Owner,
        process: i32,
    ) -> Result<(Self, Lock, bool), Stop> {
        let it: Self = memory.get(at)?;
        let base = match u32::from(it.whence) {
            abi::SEEK_SET => 0,
            abi::SEEK_CUR => open.position.get().cast_signed(),
            abi::SEEK_END => open.file.stat()?.size.cast_signed(),
            _ => return Err(Errno::EINVAL.into()),
        };
        let from = base.checked_add(it.start).ok_or(Errno::EOVERFLOW)?;
        // The last byte that there can be may be locked: it is the end that is beyond.
        let (start, last) = match it.length {
            0 => (from, i64::MAX),
            1.. => (from, from.checked_add(it.length - 1).ok_or(Errno::EOVERFLOW)?),
            _ => (from.checked_add(it.length).ok_or(Errno::EINVAL)?, from - 1),
        };
        let start = u64::try_from(start).map_err(|_| Errno::EINVAL)?;
        let end = if last == i64::MAX { u64::MAX } else { last.cast_unsigned() + 1 };
        let kind = u32::from(it.kind);
        if kind > abi::F_UNLCK {
            return Err(Errno::EINVAL.into());
        }
        let exclusive = kind == abi::F_WRLCK;
        let lock = Lock { owner, process, start, end, exclusive };
        Ok((it, lock, kind == abi::F_UNLCK))
    }
}

/// Returns whose lock a command is about, and what `l_pid` says of it.
fn owner(thread: &Thread, open: &Rc<Open>, command: u32) -> (Owner, i32) {
    let own = matches!(command, abi::F_GETLK | abi::F_SETLK | abi::F_SETLKW);
    match own {
        true => (thread.process.files().owner(), thread.process.id),
        false => (Owner::Open(address(open)), -1),
    }
}

/// An open file description as the owner of locks.
fn address(open: &Rc<Open>) -> usize {
    Rc::as_ptr(open).addr()
}

pub(super) fn get(thread: &Thread, open: &Rc<Open>, command: u32, at: u64) -> Answer {
    let memory = thread.memory();
    let (owner, process) = owner(thread, open, command);
    let (mut range, lock, unlock) = Range::read(&memory, at, open, owner, process)?;
    if unlock || matches!(owner, Owner::Open(_)) && range.process != 0 {
        return Err(Errno::EINVAL.into());
    }
    let extras = open.place.as_ref().and_then(|it| it.node.extras());
    match extras.and_then(|it| it.conflict(&lock)) {
        None => range.kind = abi::F_UNLCK as u16,
        Some(other) => {
            range.kind = if other.exclusive { abi::F_WRLCK } else { abi::F_RDLCK } as u16;
            range.whence = 0;
            range.start = other.start.cast_signed();
            let to_end = other.end == u64::MAX;
            range.length = if to_end { 0 } else { (other.end - other.start).cast_signed() };
            range.process = other.process;
        }
    }
    memory.put(at, &range)?;
    Ok(Outcome::Value(0))
}

pub(super) fn set(thread: &Rc<Thread>, open: &Rc<Open>, command: u32, at: u64) -> Answer {
    let memory = thread.memory();
    let (owner, process) = owner(thread, open, command);
    let (range, lock, unlock) = Range::read(&memory, at, open, owner, process)?;
    if matches!(owner, Owner::Open(_)) && range.process != 0 {
        return Err(Errno::EINVAL.into());
    }
    let place = open.place.as_ref().ok_or(Errno::EBADF)?;
    let extras = place.node.extras().ok_or(Errno::ENOLCK)?;
    if unlock {
        let _ = thread.system.ram.has_room();
        extras.unlock(owner, lock.start, lock.end)?;
        return Ok(Outcome::Value(0));
    }
    let allowed = if lock.exclusive { open.can_write() } else { open.can_read() };
    if !allowed {
        return Err(Errno::EBADF.into());
    }
    take(thread, open, lock, matches!(command, abi::F_SETLKW | abi::F_OFD_SETLKW))
}

/// Takes a lock, and waits for it if that is wanted.
fn take(thread: &Rc<Thread>, open: &Rc<Open>, lock: Lock, waits: bool) -> Answer {
    let attempt = move |open: &Open| match open.place.as_ref().and_then(|it| it.node.extras()) {
        Some(extras) => extras.lock(lock).map_err(|(errno, watch)| (errno, Some(watch))),
        None => Err((Errno::ENOLCK, None)),
    };
    // Caches give up pages for it first.
    let _ = thread.system.ram.has_room();
    match attempt(open) {
        Ok(()) => return Ok(Outcome::Value(0)),
        Err((Errno::EAGAIN, _)) if waits => {}
        Err((errno, _)) => return Err(errno.into()),
    }
    let (thread, open) = (Rc::clone(thread), Rc::clone(open));
    wait(async move {
        let mut changes = 0;
        loop {
            match attempt(&open) {
                Ok(()) => {
                    let files = thread.process.files();
                    // Closed meanwhile: nothing would give up what it locks now.
                    if lock.owner == files.owner() && !files.has(&open) {
                        open.closed_by(&files);
                        return Err(Errno::EBADF);
                    }
                    return Ok(0);
                }
                Err((Errno::EAGAIN, Some(watch))) => {
                    // What changes between the attempt and the wait is not missed: there is one
                    // vCPU, and nothing runs in between.
                    changes = watch.changes().max(changes);
                    let node = open.place.as_ref().map(|it| &it.node);
                    let extras = node.and_then(|it| it.extras());
                    let _waiting = match extras.and_then(|it| it.conflict(&lock)).zip(node) {
                        Some((other, node)) => {
                            thread.system.lock_waits.begin(&lock, &other, node)?
                        }
                        None => None,
                    };
                    thread.interruptible(watch.changed_since(changes)).await?;
                }
                Err((errno, _)) => return Err(errno),
            }
        }
    })
}

fn flock(thread: &Rc<Thread>, [fd, operation, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let operation = operation as u32;
    if open.flags() & O_PATH != 0 {
        return Err(Errno::EBADF.into());
    }
    // Mandatory locks are no more, and asking for one does nothing.
    if operation & abi::LOCK_MAND != 0 {
        return Ok(Outcome::Value(0));
    }
    let owner = Owner::Whole(address(&open));
    let exclusive = match operation & !abi::LOCK_NB {
        abi::LOCK_SH => false,
        abi::LOCK_EX => true,
        abi::LOCK_UN => {
            if let Some(extras) = open.place.as_ref().and_then(|it| it.node.extras()) {
                extras.unlock_all(owner);
            }
            return Ok(Outcome::Value(0));
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    if let Some(extras) = open.place.as_ref().and_then(|it| it.node.extras())
        && let Some(held) = extras.held(owner)
    {
        if held.exclusive == exclusive {
            return Ok(Outcome::Value(0));
        }
        // It is given up before the other is taken, as on Linux: of two who have it shared, one
        // may have it alone.
        extras.unlock_all(owner);
    }
    let lock = Lock { owner, process: -1, start: 0, end: u64::MAX, exclusive };
    take(thread, &open, lock, operation & abi::LOCK_NB == 0)
}
