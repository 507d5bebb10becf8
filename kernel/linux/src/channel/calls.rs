//! pipe2(2), eventfd(2) and timerfd_create(2).

use super::timer::{Clock, Setting, Timer};
use super::{Event, Pipe};
use crate::call::{Answer, Args, Group, calls};
use crate::errno::Errno;
use crate::file::{Caller, Counted, File, Open, admit};
use crate::thread::Thread;
use crate::time::Itimerspec;
use alloc::rc::Rc;
use linux_raw_sys::general::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    EFD_SEMAPHORE, O_CLOEXEC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, TFD_TIMER_ABSTIME,
    TFD_TIMER_CANCEL_ON_SET,
};

/// The calls that make and set them.
pub(crate) const CALLS: Group = calls! {
    pipe(Pair) = pipe;
    pipe2(Pair, CLOEXEC) = pipe2;
    eventfd(Size) = eventfd;
    eventfd2(Size, CLOEXEC) = eventfd2;
    timerfd_create(CLOCK, CLOEXEC) = timerfd_create;
    timerfd_settime(Fd, Hex, Hex, Hex) = timerfd_settime;
    timerfd_gettime(Fd, Hex) = timerfd_gettime;
};

/// Gives `file` a descriptor. `flags` hold `O_CLOEXEC`.
fn add(thread: &Thread, counted: Counted, file: Rc<dyn File>, flags: u32) -> Result<usize, Errno> {
    let open = Open::new(counted, file, flags & !O_CLOEXEC);
    thread.process.files().add(open, flags & O_CLOEXEC != 0, 0)
}

fn pipe(thread: &Rc<Thread>, [ends, ..]: Args) -> Answer {
    pipe2(thread, [ends, 0, 0, 0, 0, 0])
}

fn pipe2(thread: &Rc<Thread>, [ends, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    // Packets (O_DIRECT) are not there; Linux before 3.4 says the same.
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0 || flags & O_DIRECT != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (one, two) = (admit(&**thread)?, admit(&**thread)?);
    let [reader, writer] = Pipe::pair();
    let read = add(thread, one, reader, flags | O_RDONLY)?;
    let both = add(thread, two, writer, flags | O_WRONLY).map_err(Into::into).and_then(|write| {
        let numbers = [read as u32, write as u32];
        thread.memory().put(ends, &numbers).inspect_err(|_| {
            let _ = thread.process.files().remove(write as u64);
        })
    });
    if both.is_err() {
        let _ = thread.process.files().remove(read as u64);
    }
    both.map(Into::into)
}

fn eventfd(thread: &Rc<Thread>, [count, ..]: Args) -> Answer {
    eventfd2(thread, [count, 0, 0, 0, 0, 0])
}

fn eventfd2(thread: &Rc<Thread>, [count, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    if flags & !(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let counted = admit(&**thread)?;
    let event = Event::new((count as u32).into(), flags & EFD_SEMAPHORE != 0);
    Ok(add(thread, counted, event, flags & !EFD_SEMAPHORE | O_RDWR)?.into())
}

fn timerfd_create(thread: &Rc<Thread>, [clock, flags, ..]: Args) -> Answer {
    let flags = flags as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let clock = match clock as u32 {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM => Clock::Realtime,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => Clock::Monotonic,
        _ => return Err(Errno::EINVAL.into()),
    };
    let counted = admit(&**thread)?;
    Ok(add(thread, counted, Timer::new(clock), flags | O_RDWR)?.into())
}

/// What timerfd_settime(2) and timerfd_gettime(2) write.
fn told(setting: Setting) -> Itimerspec {
    Itimerspec { interval: setting.interval.into(), value: setting.value.into() }
}

fn timerfd_settime(thread: &Rc<Thread>, [fd, flags, new, old, ..]: Args) -> Answer {
    let flags = flags as u32;
    let memory = thread.memory();
    let Itimerspec { interval, value } = memory.get(new)?;
    let setting = Setting { interval: interval.duration()?, value: value.duration()? };
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let open = thread.process.files().get(fd)?;
    let timer = open.as_kind::<Timer>().ok_or(Errno::EINVAL)?;
    if old != 0 {
        memory.put(old, &told(timer.get()))?;
    }
    timer.set(setting, flags & TFD_TIMER_ABSTIME != 0)?;
    Ok(().into())
}

fn timerfd_gettime(thread: &Rc<Thread>, [fd, to, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    let timer = open.as_kind::<Timer>().ok_or(Errno::EINVAL)?;
    thread.memory().put(to, &told(timer.get()))?;
    Ok(().into())
}
