//! The calls about timers that send signals: alarm(2), setitimer(2), timer_create(2).

use super::clock::Clock;
use super::expire::{arm, arm_real};
use super::timers::{Setting, Timer};
use super::{Itimerspec, Timespec, Timeval, nanos};
use crate::call::{Answer, Args, Group, calls};
use crate::errno::Errno;
use crate::file::Caller;
use crate::signal::Signal;
use crate::thread::Thread;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls about timers that send signals.
pub(crate) const CALLS: Group = calls! {
    alarm(Int) = alarm;
    getitimer(Int, Hex) = getitimer;
    setitimer(Int, Hex, Hex) = setitimer;
    timer_create(CLOCK, Hex, Hex) = timer_create;
    timer_settime(Int, Hex, Hex, Hex) = timer_settime;
    timer_gettime(Int, Hex) = timer_gettime;
    timer_getoverrun(Int) = timer_getoverrun;
    timer_delete(Int) = timer_delete;
};

/// Returns what is left until a setting's next time; 0 if it is not armed.
fn left(setting: Setting, now: u64) -> u64 {
    match setting.next {
        0 => 0,
        // Zero would say that it is not armed.
        next => next.saturating_sub(now).max(1000),
    }
}

fn alarm(thread: &Rc<Thread>, [seconds, ..]: Args) -> Answer {
    let now = Clock::Monotonic.now();
    let old = left(thread.process.intervals.real.get(), now);
    let seconds = u64::from(seconds as u32);
    let next = if seconds == 0 { 0 } else { now + seconds * 1_000_000_000 };
    arm_real(&thread.process, Setting { next, interval: 0 })?;
    // Rounded to the nearest second, and what is armed has one at least.
    let rounded = (old + 500_000_000) / 1_000_000_000;
    Ok((rounded.max(u64::from(old > 0)) as usize).into())
}

/// `struct itimerval`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Interval {
    interval: Timeval,
    value: Timeval,
}

fn interval_now(thread: &Thread, which: u64) -> Result<(Setting, u64), Errno> {
    let intervals = &thread.process.intervals;
    match which as u32 {
        raw::ITIMER_REAL => Ok((intervals.real.get(), Clock::Monotonic.now())),
        it @ (raw::ITIMER_VIRTUAL | raw::ITIMER_PROF) => {
            Ok((intervals.ran[it as usize - 1].get(), thread.process.cpu_time()))
        }
        _ => Err(Errno::EINVAL),
    }
}

fn shown(setting: Setting, now: u64) -> Interval {
    Interval {
        interval: Duration::from_nanos(setting.interval).into(),
        value: Duration::from_nanos(left(setting, now)).into(),
    }
}

fn getitimer(thread: &Rc<Thread>, [which, to, ..]: Args) -> Answer {
    let (setting, now) = interval_now(thread, which)?;
    thread.memory().put(to, &shown(setting, now))?;
    Ok(0.into())
}

fn setitimer(thread: &Rc<Thread>, [which, from, to, ..]: Args) -> Answer {
    let (old, now) = interval_now(thread, which)?;
    let memory = thread.memory();
    let time = |it: Timeval| match it.microseconds {
        0..1_000_000 => it.duration().map(nanos),
        _ => Err(Errno::EINVAL),
    };
    let new = match from {
        0 => Setting::default(),
        from => {
            let it: Interval = memory.get(from)?;
            let (value, interval) = (time(it.value)?, time(it.interval)?);
            let next = if value == 0 { 0 } else { now.saturating_add(value) };
            Setting { next, interval }
        }
    };
    if to != 0 {
        memory.put(to, &shown(old, now))?;
    }
    match which as u32 {
        raw::ITIMER_REAL => arm_real(&thread.process, new)?,
        which => thread.process.intervals.ran[which as usize - 1].set(new),
    }
    Ok(0.into())
}

/// `struct sigevent`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Event {
    value: u64,
    signal: i32,
    notify: u32,
    thread: i32,
    others: [u32; 11],
}

fn timer_create(thread: &Rc<Thread>, [clock, event, to, ..]: Args) -> Answer {
    let (memory, process) = (thread.memory(), &thread.process);
    let kind = Clock::timed(clock as i32, &thread.system, process, &thread.signals)?;
    if let Clock::Process(it) = &kind
        && !Rc::ptr_eq(it, process)
    {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let event = match event {
        0 => None,
        at => Some(memory.get::<Event>(at)?),
    };
    let signal =
        |number: i32| u64::try_from(number).ok().and_then(Signal::new).ok_or(Errno::EINVAL);
    let (signal, target) = match event {
        None => (Some(Signal::ALRM), 0),
        Some(it) => match it.notify {
            raw::SIGEV_NONE => (None, 0),
            raw::SIGEV_SIGNAL | raw::SIGEV_THREAD => (Some(signal(it.signal)?), 0),
            raw::SIGEV_THREAD_ID => {
                process.thread(it.thread).ok_or(Errno::EINVAL)?;
                (Some(signal(it.signal)?), it.thread)
            }
            _ => return Err(Errno::EINVAL.into()),
        },
    };
    crate::process::room(&thread.system.ram, 512 + 32 * process.timers.len())?;
    let id = process.timers.add(|id| Timer {
        id,
        clock: clock as i32,
        counted: match &kind {
            Clock::Process(_) => Some(0),
            Clock::Thread(it) => Some(it.id()),
            _ => None,
        },
        signal,
        thread: target,
        value: event.map_or(id as u64, |it| it.value),
        setting: Cell::default(),
        overrun: Cell::new(0),
        task: RefCell::new(None),
    });
    let id = id.ok_or(Errno::EAGAIN)?;
    if let Err(stop) = memory.put(to, &id) {
        process.timers.remove(id);
        return Err(stop);
    }
    Ok(0.into())
}

fn find(thread: &Thread, id: u64) -> Result<(Rc<Timer>, Clock), Errno> {
    let timer = thread.process.timers.get(id as i32).ok_or(Errno::EINVAL)?;
    let clock = match timer.counted {
        Some(0) => Clock::Process(Rc::clone(&thread.process)),
        Some(id) => match thread.process.thread(id) {
            Some(it) => Clock::Thread(it),
            None => Clock::Process(Rc::clone(&thread.process)),
        },
        None => Clock::of(timer.clock, &thread.system, &thread.process, &thread.signals)?,
    };
    Ok((timer, clock))
}

fn told(setting: Setting, now: u64) -> Itimerspec {
    let left = match setting.next {
        0 => 0,
        next => next.saturating_sub(now).max(1),
    };
    Itimerspec {
        interval: Timespec::from(Duration::from_nanos(setting.interval)),
        value: Timespec::from(Duration::from_nanos(left)),
    }
}

fn timer_settime(thread: &Rc<Thread>, [id, flags, from, to, ..]: Args) -> Answer {
    if from == 0 {
        return Err(Errno::EINVAL.into());
    }
    let (timer, clock) = find(thread, id)?;
    let memory = thread.memory();
    let new: Itimerspec = memory.get(from)?;
    let (value, interval) = (nanos(new.value.duration()?), nanos(new.interval.duration()?));
    let now = clock.now();
    if to != 0 {
        memory.put(to, &told(timer.setting.get(), now))?;
    }
    let absolute = flags as u32 & raw::TIMER_ABSTIME != 0;
    let next = match value {
        0 => 0,
        value if absolute => value,
        value => now.saturating_add(value),
    };
    if next != 0 {
        thread.system.ram.check_under_way()?;
    }
    arm(&thread.process, &timer, clock, Setting { next, interval })?;
    Ok(0.into())
}

fn timer_gettime(thread: &Rc<Thread>, [id, to, ..]: Args) -> Answer {
    let (timer, clock) = find(thread, id)?;
    thread.memory().put(to, &told(timer.setting.get(), clock.now()))?;
    Ok(0.into())
}

fn timer_getoverrun(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    Ok((find(thread, id)?.0.overrun.get() as usize).into())
}

fn timer_delete(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    let (timer, clock) = find(thread, id)?;
    arm(&thread.process, &timer, clock, Setting::default())?;
    thread.process.timers.remove(timer.id);
    Ok(0.into())
}
