//! The calls about memory.

use super::area::Mapped;
use super::remap::Remap;
use super::{Advice, Backing, Fault, Memory, Move, Place, Request};
use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::calls::real;
use crate::file::{Caller, Open, Type};
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use core::cell::Cell;
use core::ops::Range;
use kernel::task::yield_now;
use kernel::user::{Access, PAGE, TOP};
use linux_raw_sys::general as sys;

/// The calls about memory.
pub(crate) const CALLS: Group = calls! {
    mmap(Hex, Size, PROT, MAP, Fd, Hex) = mmap;
    munmap(Hex, Size) = munmap;
    mprotect(Hex, Size, PROT) = mprotect;
    pkey_mprotect(Hex, Size, PROT, Int) = pkey_mprotect;
    pkey_alloc(Hex, Hex) = pkey_alloc;
    pkey_free(Int) = pkey_free;
    mremap(Hex, Size, Size, MREMAP, Hex) = mremap;
    brk(Hex) = brk;
    madvise(Hex, Size, MADVISE) = madvise;
    mincore(Hex, Size, Hex) = mincore;
    msync(Hex, Size, Hex) = msync;
    mlock(Hex, Size) = mlock;
    mlock2(Hex, Size, Hex) = mlock2;
    munlock(Hex, Size) = munlock;
    mlockall(Hex) = mlockall;
    munlockall() = munlockall;
};

/// The device that is all zeros (Documentation/admin-guide/devices.txt), as makedev(3) has it.
const DEV_ZERO: u64 = 1 << 8 | 5;

/// Pages for which the other tasks wait.
const STEP: usize = 512;

/// What mprotect(2) knows besides read, write and execute: the whole area below or above.
const PROTECTIONS: u64 = (sys::PROT_READ
    | sys::PROT_WRITE
    | sys::PROT_EXEC
    | sys::PROT_SEM
    | sys::PROT_GROWSDOWN
    | sys::PROT_GROWSUP) as u64;

/// Flags of mmap(2) that `MAP_SHARED_VALIDATE` knows.
const VALIDATED: u64 = (sys::MAP_TYPE
    | sys::MAP_FIXED
    | sys::MAP_ANONYMOUS
    | sys::MAP_32BIT
    | sys::MAP_GROWSDOWN
    | sys::MAP_DENYWRITE
    | sys::MAP_EXECUTABLE
    | sys::MAP_LOCKED
    | sys::MAP_NORESERVE
    | sys::MAP_POPULATE
    | sys::MAP_NONBLOCK
    | sys::MAP_STACK
    | sys::MAP_FIXED_NOREPLACE
    | sys::MAP_HUGE_2MB
    | sys::MAP_HUGE_1GB) as u64;

fn memory_of(thread: &Rc<Thread>) -> Rc<Memory> {
    Caller::memory(&**thread)
}

/// Returns the access that `PROT_*` ask for.
fn access(protection: u64) -> Access {
    Access::from_bits_truncate((protection & 7) as u8)
}

/// Returns whether `flags` hold all of `flag`.
const fn has(flags: u64, flag: u32) -> bool {
    flags & flag as u64 == flag as u64
}

fn mmap(thread: &Rc<Thread>, [at, length, protection, flags, fd, offset]: Args) -> Answer {
    if !offset.is_multiple_of(PAGE as u64) {
        return Err(Errno::EINVAL.into());
    }
    let memory = memory_of(thread);
    let anonymous = has(flags, sys::MAP_ANONYMOUS);
    let open = if anonymous { None } else { Some(real(thread, fd)?) };
    if has(flags, sys::MAP_HUGETLB) {
        // There are no huge pages, as on a Linux that was given none.
        return Err(if anonymous { Errno::ENOMEM } else { Errno::EINVAL }.into());
    }
    if length == 0 {
        return Err(Errno::EINVAL.into());
    }
    let shared = match (flags & u64::from(sys::MAP_TYPE)) as u32 {
        sys::MAP_PRIVATE => false,
        sys::MAP_SHARED => true,
        sys::MAP_SHARED_VALIDATE if !anonymous => {
            if flags & !VALIDATED != 0 {
                return Err(Errno::EOPNOTSUPP.into());
            }
            true
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    let grows_down = has(flags, sys::MAP_GROWSDOWN);
    if grows_down && (shared || !anonymous) {
        return Err(Errno::EINVAL.into());
    }
    let access = access(protection);
    let request = Request {
        at: at as usize,
        length: length as usize,
        access,
        place: place(flags),
        backing: backing(thread, open, offset, access, shared)?,
        grows_down,
        no_reserve: has(flags, sys::MAP_NORESERVE),
    };
    if has(flags, sys::MAP_LOCKED) {
        may_lock(
            thread,
            &memory,
            request.length.checked_next_multiple_of(PAGE).unwrap_or(usize::MAX),
        )
        .map_err(|errno| {
            // As mmap(2) has it.
            if errno == Errno::ENOMEM { Errno::EAGAIN } else { errno }
        })?;
    }
    let at = memory.map(&request)?;
    if !has(flags, sys::MAP_LOCKED)
        && (!has(flags, sys::MAP_POPULATE) || has(flags, sys::MAP_NONBLOCK))
    {
        return Ok(at.into());
    }
    let range = at..at + request.length.next_multiple_of(PAGE);
    if has(flags, sys::MAP_LOCKED) {
        memory.lock(range.clone(), true)?;
    }
    // As much as there is: a program hears of the rest when it touches it (mmap(2)).
    let touch = first_touch(access, shared);
    each_page(thread, range, at, true, move |memory, page| Ok(memory.fault(page, touch)?))
}

fn place(flags: u64) -> Place {
    if has(flags, sys::MAP_FIXED_NOREPLACE) {
        Place::FixedNoReplace
    } else if has(flags, sys::MAP_FIXED) {
        Place::Fixed
    } else if has(flags, sys::MAP_32BIT) {
        Place::Low
    } else {
        Place::Hint
    }
}

fn backing(
    thread: &Thread,
    open: Option<Rc<Open>>,
    offset: u64,
    access: Access,
    shared: bool,
) -> Result<Backing, Stop> {
    let zeros = if shared { Backing::Shared } else { Backing::Anonymous };
    let Some(open) = open else { return Ok(zeros) };
    let write = open.can_write();
    if !open.can_read() || shared && access.contains(Access::WRITE) && !write {
        return Err(Errno::EACCES.into());
    }
    // A file that is sealed is not written through a map either (memfd_create(2)).
    let seals = open.file.seals().and_then(Cell::get).unwrap_or(0);
    let sealed = seals & (sys::F_SEAL_WRITE | sys::F_SEAL_FUTURE_WRITE) != 0;
    if sealed && shared && access.contains(Access::WRITE) {
        return Err(Errno::EPERM.into());
    }
    let write = write && !(sealed && shared);
    let stat = open.file.stat()?;
    if stat.kind == Type::Character && stat.special == DEV_ZERO {
        return Ok(zeros);
    }
    let pages = open.file.pages()?;
    let tree = &thread.system.tree;
    let name = open.place.as_ref().and_then(|it| tree.path(&thread.fs(), it).ok());
    let name = name.unwrap_or_default();
    let file = Mapped::new(pages, &name, stat.device, stat.inode, write)?;
    Ok(Backing::File { file, offset, shared })
}

/// What brings a page in as it will be used: private ones that may be written are made.
fn first_touch(access: Access, shared: bool) -> Access {
    match () {
        () if access.contains(Access::WRITE) && !shared => Access::WRITE,
        () if access == Access::EXECUTE => Access::EXECUTE,
        () => Access::READ,
    }
}

fn munmap(thread: &Rc<Thread>, [at, length, ..]: Args) -> Answer {
    Ok(memory_of(thread).unmap(at as usize, length as usize)?.into())
}

fn mprotect(thread: &Rc<Thread>, [at, length, protection, ..]: Args) -> Answer {
    let both = u64::from(sys::PROT_GROWSDOWN | sys::PROT_GROWSUP);
    if protection & both == both || !at.is_multiple_of(PAGE as u64) {
        return Err(Errno::EINVAL.into());
    }
    if length == 0 {
        return Ok(0.into());
    }
    if protection & !PROTECTIONS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let memory = memory_of(thread);
    let (mut at, mut length) = (at as usize, length as usize);
    if protection & both != 0 {
        // Nothing grows up on this processor.
        let start = memory.growing(at)?;
        if has(protection, sys::PROT_GROWSUP) {
            return Err(Errno::EINVAL.into());
        }
        (at, length) = (start, length.saturating_add(at - start));
    }
    Ok(memory.protect(at, length, access(protection))?.into())
}

fn pkey_mprotect(thread: &Rc<Thread>, args: Args) -> Answer {
    // There are no keys to be allocated, and -1 is none.
    if args[3] as i32 != -1 {
        return Err(Errno::EINVAL.into());
    }
    mprotect(thread, args)
}

/// There is no key, as on a processor without them (pkeys(7)).
fn pkey_alloc(_: &Rc<Thread>, [flags, rights, ..]: Args) -> Answer {
    let known = u64::from(sys::PKEY_ACCESS_MASK);
    Err(if flags != 0 || rights & !known != 0 { Errno::EINVAL } else { Errno::ENOSPC }.into())
}

fn pkey_free(_: &Rc<Thread>, _: Args) -> Answer {
    Err(Errno::EINVAL.into())
}

fn mremap(thread: &Rc<Thread>, [at, old, new, flags, to, _]: Args) -> Answer {
    let known = u64::from(sys::MREMAP_MAYMOVE | sys::MREMAP_FIXED | sys::MREMAP_DONTUNMAP);
    let may = has(flags, sys::MREMAP_MAYMOVE);
    let fixed = has(flags, sys::MREMAP_FIXED);
    let pages = has(flags, sys::MREMAP_DONTUNMAP);
    if flags & !known != 0 || (fixed || pages) && !may || pages && old != new {
        return Err(Errno::EINVAL.into());
    }
    let how = match to as usize {
        to if pages => Move::Pages { to: if fixed { to } else { 0 }, fixed },
        to if fixed => Move::To(to),
        _ if may => Move::May,
        _ => Move::Never,
    };
    let memory = memory_of(thread);
    let mut moving = match memory.begin_remap(at as usize, old as usize, new as usize, how)? {
        Remap::Done(at) => return Ok(at.into()),
        Remap::Moving(moving) => moving,
    };
    let to = moving.to;
    // For threads that share the memory it is one step: they would find a part at the old place.
    let is_shared = Rc::strong_count(&memory) > 2;
    if is_shared || !moving.is_long(&memory, STEP) {
        moving.step(&memory, usize::MAX)?;
        return Ok(to.into());
    }
    wait(async move {
        while !moving.step(&memory, STEP)? {
            yield_now().await;
        }
        Ok(to)
    })
}

fn brk(thread: &Rc<Thread>, [to, ..]: Args) -> Answer {
    Ok(memory_of(thread).brk(to as usize).into())
}

/// Returns the pages of a call that takes what is beyond all addresses for a hole.
fn pages_of(at: u64, length: u64) -> Result<Range<usize>, Errno> {
    if !at.is_multiple_of(PAGE as u64) {
        return Err(Errno::EINVAL);
    }
    let length = length.checked_next_multiple_of(PAGE as u64).ok_or(Errno::EINVAL)?;
    let end = at.checked_add(length).ok_or(Errno::EINVAL)?;
    Ok(at as usize..end as usize)
}

fn madvise(thread: &Rc<Thread>, [at, length, advice, ..]: Args) -> Answer {
    let memory = memory_of(thread);
    let range = || pages_of(at, length);
    let advice = match advice as u32 {
        sys::MADV_NORMAL
        | sys::MADV_RANDOM
        | sys::MADV_SEQUENTIAL
        | sys::MADV_WILLNEED
        | sys::MADV_MERGEABLE
        | sys::MADV_UNMERGEABLE
        | sys::MADV_HUGEPAGE
        | sys::MADV_NOHUGEPAGE
        | sys::MADV_DONTDUMP
        | sys::MADV_DODUMP => Advice::Nothing,
        sys::MADV_COLD | sys::MADV_PAGEOUT => Advice::Cold,
        sys::MADV_DONTNEED => Advice::DontNeed,
        sys::MADV_DONTNEED_LOCKED => Advice::DontNeedLocked,
        sys::MADV_FREE => Advice::Free,
        sys::MADV_REMOVE => Advice::Remove,
        sys::MADV_DONTFORK => Advice::Fork(false),
        sys::MADV_DOFORK => Advice::Fork(true),
        sys::MADV_WIPEONFORK => Advice::WipeOnFork(true),
        sys::MADV_KEEPONFORK => Advice::WipeOnFork(false),
        it @ (sys::MADV_POPULATE_READ | sys::MADV_POPULATE_WRITE) => {
            let write = it == sys::MADV_POPULATE_WRITE;
            let access = if write { Access::WRITE } else { Access::READ };
            return each_page(thread, range()?, 0, false, move |memory, page| {
                memory.fault(page, access).map_err(populated)
            });
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    let range = range()?;
    if range.is_empty() {
        return Ok(0.into());
    }
    Ok(memory.advise(range, advice)?.into())
}

/// Returns what `MADV_POPULATE_*` says of a fault.
fn populated(fault: Fault) -> Stop {
    match fault {
        Fault::Signal { signal, code } if signal == sys::SIGSEGV as i32 => {
            let forbidden = code == sys::SEGV_ACCERR as i32;
            if forbidden { Errno::EINVAL } else { Errno::ENOMEM }.into()
        }
        fault => fault.into(),
    }
}

fn mincore(thread: &Rc<Thread>, [at, length, to, ..]: Args) -> Answer {
    if !at.is_multiple_of(PAGE as u64) {
        return Err(Errno::EINVAL.into());
    }
    let start = at as usize;
    let end = start.checked_add(length as usize).filter(|&end| end <= TOP);
    let range = start..end.ok_or(Errno::ENOMEM)?.next_multiple_of(PAGE);
    let vector = to as usize;
    if vector.checked_add(range.len() / PAGE).is_none_or(|end| end > TOP) {
        return Err(Errno::EFAULT.into());
    }
    each_page(thread, range.clone(), 0, false, move |memory, page| {
        let there = u8::from(memory.in_core(page)?);
        memory.write(vector + (page - range.start) / PAGE, &[there])
    })
}

fn msync(thread: &Rc<Thread>, [at, length, flags, ..]: Args) -> Answer {
    let known = u64::from(sys::MS_ASYNC | sys::MS_INVALIDATE | sys::MS_SYNC);
    let both = u64::from(sys::MS_ASYNC | sys::MS_SYNC);
    if flags & !known != 0 || !at.is_multiple_of(PAGE as u64) || flags & both == both {
        return Err(Errno::EINVAL.into());
    }
    let range = pages_of(at, length).map_err(|_| Errno::ENOMEM)?;
    if range.is_empty() {
        return Ok(0.into());
    }
    Ok(memory_of(thread).sync(range, has(flags, sys::MS_INVALIDATE))?.into())
}

/// Returns the pages that hold any byte of a range.
fn pages_around(at: u64, length: u64) -> Result<Range<usize>, Errno> {
    let start = at as usize / PAGE * PAGE;
    // As on Linux, a length that wraps around is none.
    let length = length.wrapping_add((at as usize - start) as u64);
    pages_of(start as u64, length.checked_next_multiple_of(PAGE as u64).unwrap_or(0))
}

fn mlock(thread: &Rc<Thread>, [at, length, ..]: Args) -> Answer {
    let range = pages_around(at, length)?;
    if range.is_empty() {
        return Ok(0.into());
    }
    let memory = memory_of(thread);
    may_lock(thread, &memory, range.len() - memory.locked(range.clone()))?;
    memory.lock(range.clone(), true)?;
    each_page(thread, range, 0, false, |memory, page| {
        let (access, shared) = memory.kind(page).ok_or(Errno::ENOMEM)?;
        memory.fault(page, first_touch(access, shared)).map_err(|fault| match Stop::from(fault) {
            // What cannot be there cannot be kept there, and what there is no room for may be
            // later.
            Stop::Fail(Errno::EFAULT) => Errno::ENOMEM.into(),
            Stop::Fail(Errno::ENOMEM) => Errno::EAGAIN.into(),
            other => other,
        })
    })
}

/// Whether `more` bytes may be locked (`RLIMIT_MEMLOCK`), which root may without bound.
///
/// # Errors
/// `EPERM` for who may lock nothing, `ENOMEM`.
fn may_lock(thread: &Thread, memory: &Memory, more: usize) -> Result<(), Errno> {
    let limit = thread.process.limits.get(sys::RLIMIT_MEMLOCK).soft;
    if thread.process.credentials.borrow().is_root() {
        return Ok(());
    }
    match memory.locked(0..TOP).saturating_add(more) as u64 {
        _ if limit == 0 => Err(Errno::EPERM),
        all if all > limit => Err(Errno::ENOMEM),
        _ => Ok(()),
    }
}

fn mlock2(thread: &Rc<Thread>, args: Args) -> Answer {
    let [at, length, flags, ..] = args;
    if flags & !u64::from(sys::MLOCK_ONFAULT) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if flags == 0 {
        return mlock(thread, args);
    }
    let (range, memory) = (pages_around(at, length)?, memory_of(thread));
    may_lock(thread, &memory, range.len() - memory.locked(range.clone()))?;
    Ok(memory.lock(range, true)?.into())
}

fn munlock(thread: &Rc<Thread>, [at, length, ..]: Args) -> Answer {
    let range = pages_around(at, length)?;
    Ok(memory_of(thread).lock(range, false)?.into())
}

fn mlockall(thread: &Rc<Thread>, [flags, ..]: Args) -> Answer {
    let known = u64::from(sys::MCL_CURRENT | sys::MCL_FUTURE | sys::MCL_ONFAULT);
    if flags == 0 || flags & !known != 0 || flags == u64::from(sys::MCL_ONFAULT) {
        return Err(Errno::EINVAL.into());
    }
    let current = has(flags, sys::MCL_CURRENT).then_some(true);
    let memory = memory_of(thread);
    let all = if current.is_some() { memory.usage().address_space } else { 0 };
    may_lock(thread, &memory, all.saturating_sub(memory.locked(0..TOP)))?;
    memory.lock_all(current, has(flags, sys::MCL_FUTURE));
    Ok(0.into())
}

fn munlockall(thread: &Rc<Thread>, _: Args) -> Answer {
    memory_of(thread).lock_all(Some(false), false);
    Ok(0.into())
}

/// Does `step` for each page of `range`, and lets others run after some. Answers `result`. An error
/// ends it, and is the answer unless it is `lenient`.
fn each_page(
    thread: &Rc<Thread>,
    range: Range<usize>,
    result: usize,
    lenient: bool,
    mut step: impl FnMut(&Memory, usize) -> Result<(), Stop> + 'static,
) -> Answer {
    let memory = memory_of(thread);
    let mut at = range.start;
    let mut some = move |memory: &Memory| {
        let end = range.end.min(at.saturating_add(STEP * PAGE));
        while at < end {
            step(memory, at)?;
            at += PAGE;
        }
        Ok(at == range.end)
    };
    let mut state = some(&memory);
    match state {
        Ok(true) => return Ok(result.into()),
        Err(Stop::Fail(_) | Stop::Wait) if lenient => return Ok(result.into()),
        Err(Stop::Fail(errno)) => return Err(errno.into()),
        Ok(false) | Err(_) => {}
    }
    let thread = Rc::clone(thread);
    wait(async move {
        loop {
            let went = match state {
                Ok(true) => return Ok(result),
                Ok(false) => thread.interruptible(yield_now()).await,
                Err(Stop::Load(load)) => load.wait().await,
                Err(Stop::Fail(errno)) => Err(errno),
                Err(Stop::Wait) => Err(Errno::EAGAIN),
            };
            match went {
                Err(_) if lenient => return Ok(result),
                Err(errno) => return Err(errno),
                Ok(()) => state = some(&memory),
            }
        }
    })
}
