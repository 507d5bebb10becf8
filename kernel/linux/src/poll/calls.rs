//! poll(2), select(2), epoll_create(2), epoll_ctl(2), epoll_wait(2) and their variants.

use super::epoll::{Epoll, Interest};
use super::set::{Deadline, Polled, wait as wait_for};
use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::calls::real;
use crate::file::{Caller, Open, admit};
use crate::memory::Memory;
use crate::stop::Stop;
use crate::thread::Thread;
use crate::time::{Timespec, Timeval};
use crate::watch::Ready;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;
use linux_raw_sys::general::{
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT,
    EPOLLWAKEUP, O_CLOEXEC, O_RDWR,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls that wait for many files.
pub(crate) const CALLS: Group = calls! {
    poll(Polls, Size, Int) = poll;
    ppoll(Polls, Size, Time, Hex, Size) = ppoll;
    select(Int, Hex, Hex, Hex, Hex) = select;
    pselect6(Int, Hex, Hex, Hex, Hex, Hex) = pselect6;
    epoll_create(Int) = epoll_create;
    epoll_create1(CLOEXEC) = epoll_create1;
    epoll_ctl(Fd, EPOLL, Fd, Event) = epoll_ctl;
    epoll_wait(Fd, Events, Int, Int) = epoll_wait;
    epoll_pwait(Fd, Events, Int, Int, Hex, Size) = epoll_pwait;
    epoll_pwait2(Fd, Events, Int, Time, Hex, Size) = epoll_pwait2;
};

/// `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

/// `struct epoll_event`, which is packed on x86-64.
#[repr(C, packed)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct EpollEvent {
    events: u32,
    data: u64,
}

/// What a call that does not begin again after a handler returns when a signal comes.
fn without_restart(errno: Errno) -> Errno {
    if errno == Errno::ERESTARTSYS { Errno::ERESTARTNOHAND } else { errno }
}

/// A timeout in ms; negative: none.
fn millis(timeout: u64) -> Option<Duration> {
    u64::try_from(timeout as i32).ok().map(Duration::from_millis)
}

fn timespec(memory: &Memory, at: u64) -> Result<Option<Duration>, Stop> {
    if at == 0 {
        return Ok(None);
    }
    Ok(Some(memory.get::<Timespec>(at)?.duration()?))
}

/// Sets the mask of signals for as long as the call waits, if there is one.
fn mask(thread: &Thread, at: u64, size: u64) -> Result<(), Stop> {
    if at == 0 {
        return Ok(());
    }
    if size != 8 {
        return Err(Errno::EINVAL.into());
    }
    let mask: u64 = thread.memory().get(at)?;
    thread.suspend_mask(mask);
    Ok(())
}

fn poll(thread: &Rc<Thread>, [list, count, timeout, ..]: Args) -> Answer {
    poll_until(thread, (list, count), Deadline::after(millis(timeout)), 0)
}

fn ppoll(thread: &Rc<Thread>, [list, count, timeout, set, size, _]: Args) -> Answer {
    let wait = timespec(&thread.memory(), timeout)?;
    mask(thread, set, size)?;
    poll_until(thread, (list, count), Deadline::after(wait), timeout)
}

/// `left`: where to say how much of the timeout is left.
fn poll_until(
    thread: &Rc<Thread>,
    (list, count): (u64, u64),
    deadline: Deadline,
    left: u64,
) -> Answer {
    if count > thread.process.files().limit() as u64 {
        return Err(Errno::EINVAL.into());
    }
    let memory = thread.memory();
    let (mut asked, mut all) =
        (memory.ram().sized(count as usize)?, memory.ram().sized(count as usize)?);
    for number in 0..count {
        let it: PollFd = memory.get(list.wrapping_add(number * 8))?;
        let interest = Ready::from_bits_truncate(u32::from(it.events as u16));
        // A negative number is not looked at, and no error.
        if let Ok(fd) = u64::try_from(it.fd) {
            all.push(Polled { open: real(thread, fd).ok(), interest });
        }
        asked.push(it);
    }
    let tell = move |thread: &Thread, all: &[Polled]| {
        let memory = thread.memory();
        let (mut ready, mut all) = (0, all.iter());
        for (number, it) in asked.iter().enumerate() {
            let polled = if it.fd < 0 { None } else { all.next() };
            let what = polled.map_or(Ready::empty(), |it| it.ready(thread));
            ready += usize::from(!what.is_empty());
            let answer = PollFd { revents: what.bits() as i16, ..*it };
            memory.put(list.wrapping_add(number as u64 * 8), &answer)?;
        }
        Ok::<_, Stop>(ready)
    };
    if deadline == Deadline::Now || all.iter().any(|it| !it.ready(thread).is_empty()) {
        let ready = tell(thread, &all)?;
        remaining(&memory, left, deadline);
        return Ok(ready.into());
    }
    let thread = Rc::clone(thread);
    wait(async move {
        let waited = wait_for(&thread, &all, deadline).await;
        remaining(&thread.memory(), left, deadline);
        waited.map_err(without_restart)?;
        tell(&thread, &all).map_err(Stop::after_wait)
    })
}

/// Writes what is left of a timeout, as the calls of Linux do that take a `struct timespec`. One
/// that cannot be written stays as it is.
fn remaining(memory: &Memory, at: u64, deadline: Deadline) {
    if let (1.., Some(left)) = (at, deadline.left()) {
        let _ = memory.put(at, &Timespec::from(left));
    }
}

/// What each set of select(2) looks for (POLLIN_SET and so on of Linux). What is open by its name
/// alone is ready for all.
const SETS: [Ready; 3] = [
    Ready::IN.union(Ready::RDNORM).union(Ready::HUP).union(Ready::ERR).union(Ready::NVAL),
    Ready::OUT.union(Ready::WRNORM).union(Ready::ERR).union(Ready::NVAL),
    Ready::PRI.union(Ready::NVAL),
];

fn select(thread: &Rc<Thread>, [count, read, write, except, timeout, _]: Args) -> Answer {
    let memory = thread.memory();
    let wait = match timeout {
        0 => None,
        at => Some(memory.get::<Timeval>(at)?.duration()?),
    };
    let deadline = Deadline::after(wait);
    let left = move |memory: &Memory| {
        if let (1.., Some(left)) = (timeout, deadline.left()) {
            let _ = memory.put(timeout, &Timeval::from(left));
        }
    };
    select_until(thread, count, [read, write, except], deadline, left)
}

fn pselect6(thread: &Rc<Thread>, [count, read, write, except, timeout, set]: Args) -> Answer {
    let memory = thread.memory();
    let deadline = Deadline::after(timespec(&memory, timeout)?);
    if set != 0 {
        let [at, size]: [u64; 2] = memory.get(set)?;
        mask(thread, at, size)?;
    }
    let left = move |memory: &Memory| remaining(memory, timeout, deadline);
    select_until(thread, count, [read, write, except], deadline, left)
}

fn select_until(
    thread: &Rc<Thread>,
    count: u64,
    sets: [u64; 3],
    deadline: Deadline,
    left: impl Fn(&Memory) + 'static,
) -> Answer {
    let count = usize::try_from(count as i32).map_err(|_| Errno::EINVAL)?;
    // What is beyond is no error, and stays as it is (BUGS of select(2)).
    let count = count.min(thread.process.files().room());
    let words = count.div_ceil(64);
    let memory = thread.memory();
    let mut asked = [const { Vec::new() }; 3];
    for (asked, at) in asked.iter_mut().zip(sets) {
        asked.try_reserve(words).map_err(|_| Errno::ENOMEM)?;
        for word in 0..words as u64 {
            asked.push(if at == 0 { 0 } else { memory.get::<u64>(at.wrapping_add(word * 8))? });
        }
    }
    let (mut all, mut numbers) = (Vec::new(), Vec::new());
    for fd in 0..count {
        let bit = |set: usize| asked[set][fd / 64] >> (fd % 64) & 1 == 1;
        let interest = (0..3).filter(|&it| bit(it)).fold(Ready::empty(), |all, it| all | SETS[it]);
        if !interest.is_empty() {
            all.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            numbers.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            thread.process.files().get(fd as u64)?;
            all.push(Polled { open: real(thread, fd as u64).ok(), interest });
            numbers.push(fd);
        }
    }
    // HUP and ERR are always looked for, and count only in the sets that ask for them.
    let tell = move |thread: &Thread, all: &[Polled]| {
        let mut ready = 0;
        for ((set, at), looked) in asked.iter().zip(sets).zip(SETS) {
            if at == 0 {
                continue;
            }
            let mut found = Vec::new();
            found.try_reserve(words).map_err(|_| Errno::ENOMEM)?;
            found.resize(words, 0_u64);
            for (&fd, it) in numbers.iter().zip(all) {
                let bit = 1 << (fd % 64);
                if set[fd / 64] & bit != 0 && it.ready(thread).intersects(looked) {
                    found[fd / 64] |= bit;
                    ready += 1;
                }
            }
            thread.memory().write(at as usize, found.as_bytes())?;
        }
        Ok::<_, Stop>(ready)
    };
    if deadline == Deadline::Now || all.iter().any(|it| it.ready(thread).intersects(it.interest)) {
        let ready = tell(thread, &all)?;
        left(&memory);
        return Ok(ready.into());
    }
    let thread = Rc::clone(thread);
    wait(async move {
        let waited = wait_for(&thread, &all, deadline).await;
        left(&thread.memory());
        waited.map_err(without_restart)?;
        tell(&thread, &all).map_err(Stop::after_wait)
    })
}

fn epoll_create(thread: &Rc<Thread>, [size, ..]: Args) -> Answer {
    if size as i32 <= 0 {
        return Err(Errno::EINVAL.into());
    }
    epoll_create1(thread, [0; 6])
}

fn epoll_create1(thread: &Rc<Thread>, [flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    if flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL.into());
    }
    let counted = admit(&**thread)?;
    let open = Open::new(counted, Epoll::new(), O_RDWR);
    Ok(thread.process.files().add(open, flags != 0, 0)?.into())
}

fn epoll_ctl(thread: &Rc<Thread>, [epoll, operation, fd, event, ..]: Args) -> Answer {
    let operation = operation as u32;
    let interest = if operation == EPOLL_CTL_DEL {
        Interest { events: 0, data: 0 }
    } else {
        let EpollEvent { events, data } = thread.memory().get(event)?;
        Interest { events, data }
    };
    let (epoll, open) = (real(thread, epoll)?, real(thread, fd)?);
    if open.file.watch_by(&**thread).is_none() {
        return Err(Errno::EPERM.into());
    }
    let epoll = epoll.as_kind::<Epoll>().ok_or(Errno::EINVAL)?;
    if open.as_kind::<Epoll>().is_some_and(|it| core::ptr::eq(it, epoll)) {
        return Err(Errno::EINVAL.into());
    }
    let fd = u64::from(fd as u32);
    match operation {
        EPOLL_CTL_ADD => {
            const ALLOWED: u32 = 0x1 | 0x4 | 0x8 | 0x10 | EPOLLET | EPOLLEXCLUSIVE | EPOLLWAKEUP;
            let exclusive = interest.events & EPOLLEXCLUSIVE != 0;
            if exclusive && (interest.events & !ALLOWED != 0 || open.as_kind::<Epoll>().is_some()) {
                return Err(Errno::EINVAL.into());
            }
            // Caches give up pages for it.
            let _ = thread.system.ram.has_room();
            epoll.add(&**thread, fd, &open, interest)?;
        }
        EPOLL_CTL_MOD if interest.events & EPOLLEXCLUSIVE != 0 => return Err(Errno::EINVAL.into()),
        EPOLL_CTL_MOD => epoll.modify(&**thread, fd, &open, interest)?,
        EPOLL_CTL_DEL => epoll.remove(fd, &open)?,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(().into())
}

fn epoll_wait(thread: &Rc<Thread>, [epoll, events, most, timeout, ..]: Args) -> Answer {
    epoll_until(thread, epoll, (events, most), Deadline::after(millis(timeout)))
}

fn epoll_pwait(thread: &Rc<Thread>, [epoll, events, most, timeout, set, size]: Args) -> Answer {
    mask(thread, set, size)?;
    epoll_until(thread, epoll, (events, most), Deadline::after(millis(timeout)))
}

fn epoll_pwait2(thread: &Rc<Thread>, [epoll, events, most, timeout, set, size]: Args) -> Answer {
    let wait = timespec(&thread.memory(), timeout)?;
    mask(thread, set, size)?;
    epoll_until(thread, epoll, (events, most), Deadline::after(wait))
}

/// Events that are told at a time: those of a page.
const AT_ONCE: usize = 4096 / size_of::<EpollEvent>();

/// Takes those that are ready, and writes them to the program. 0: none is.
fn tell(thread: &Thread, epoll: &Epoll, (at, most): (u64, usize)) -> Result<usize, Stop> {
    let mut found: heapless::Vec<EpollEvent, AT_ONCE> = heapless::Vec::new();
    epoll.take(thread, most.min(AT_ONCE), &mut |ready, data| {
        let _ = found.push(EpollEvent { events: ready.bits(), data });
    });
    thread.memory().write(at as usize, found.as_slice().as_bytes())?;
    Ok(found.len())
}

fn epoll_until(
    thread: &Rc<Thread>,
    epoll: u64,
    (events, most): (u64, u64),
    deadline: Deadline,
) -> Answer {
    let most = usize::try_from(most as i32).ok().filter(|it| (1..=1 << 27).contains(it));
    let most = most.ok_or(Errno::EINVAL)?;
    let open = real(thread, epoll)?;
    let set = open.as_kind::<Epoll>().ok_or(Errno::EINVAL)?;
    // Taken events must not be lost to a bad address.
    let room = most.min(AT_ONCE) * size_of::<EpollEvent>();
    thread.memory().check_write(events as usize, room)?;
    let told = tell(thread, set, (events, most))?;
    if told > 0 || deadline == Deadline::Now {
        return Ok(told.into());
    }
    let (thread, open) = (Rc::clone(thread), Rc::clone(&open));
    wait(async move {
        let set = open.as_kind::<Epoll>().ok_or(Errno::EINVAL)?;
        loop {
            // Unlike poll(2) it never begins again (signal(7)).
            let filled = set.filled(&thread, deadline).await.map_err(|_| Errno::EINTR)?;
            let told = tell(&thread, set, (events, most)).map_err(Stop::after_wait)?;
            if told > 0 || !filled {
                return Ok(told);
            }
        }
    })
}

// Its bits are those that EPOLLONESHOT leaves of a file that was told.
const _: () = assert!(EPOLLONESHOT & Ready::all().bits() == 0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{perform, room, thread};
    use linux_raw_sys::general::O_PATH;
    use syscalls::Sysno;

    #[test]
    fn what_is_open_by_its_name_alone_is_nothing_to_wait_for() {
        let thread = thread();
        let at = room(&thread.memory(), 4096) as u64;
        let call = |number, args| perform(&thread, number, args);
        thread.memory().write(at as usize, b"/\0").unwrap();
        let name = call(Sysno::open, [at, O_PATH.into(), 0, 0, 0, 0]).unwrap() as u64;
        assert_eq!(call(Sysno::listen, [name, 1, 0, 0, 0, 0]), Err(Errno::EBADF));
        thread.memory().put(at, &[name | 1 << 32]).unwrap();
        assert_eq!(call(Sysno::poll, [at, 1, 1000, 0, 0, 0]), Ok(1));
        let asked = u64::from(Ready::NVAL.bits()) << 48 | 1 << 32 | name;
        assert_eq!(thread.memory().get::<u64>(at).unwrap(), asked);
        // It counts in each set.
        thread.memory().put(at, &[1_u64 << name; 3]).unwrap();
        let sets = [name + 1, at, at + 8, at + 16, 0, 0];
        assert_eq!(call(Sysno::select, sets), Ok(3));
        let epoll = call(Sysno::epoll_create1, [0; 6]).unwrap() as u64;
        for (epoll, open) in [(epoll, name), (name, epoll)] {
            let add = [epoll, EPOLL_CTL_ADD.into(), open, at, 0, 0];
            assert_eq!(call(Sysno::epoll_ctl, add), Err(Errno::EBADF));
        }
        assert_eq!(call(Sysno::epoll_wait, [name, at, 1, 0, 0, 0]), Err(Errno::EBADF));
    }
}
