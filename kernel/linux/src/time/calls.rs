//! The calls that tell the time, and wait for it.

use super::clock::Clock;
use super::{Timespec, Timeval, nanos};
use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::Process;
use crate::stop::{Boxed, boxed};
use crate::thread::Thread;
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::time::Duration;
use kernel::time::{Instant, sleep_until, wall_clock};
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls that tell the time, and wait for it.
pub(crate) const CALLS: Group = calls! {
    clock_gettime(CLOCK, TimeOut) = clock_gettime;
    clock_getres(CLOCK, TimeOut) = clock_getres;
    clock_settime(CLOCK, Time) = clock_settime;
    gettimeofday(TimeOut, Hex) = gettimeofday;
    settimeofday(Time, Hex) = settimeofday;
    time(Hex) = time;
    nanosleep(Time, Hex) = nanosleep;
    clock_nanosleep(CLOCK, Hex, Time, Hex) = clock_nanosleep;
    times(Hex) = times;
    getrusage(Int, Hex) = getrusage;
};

/// Ticks a second, as `AT_CLKTCK` says.
pub(crate) const TICKS: u64 = 100;

fn clock(thread: &Thread, id: u64) -> Result<Clock, Errno> {
    Clock::of(id as i32, &thread.system, &thread.process, &thread.signals)
}

fn clock_gettime(thread: &Rc<Thread>, [id, to, ..]: Args) -> Answer {
    let now = Duration::from_nanos(clock(thread, id)?.now());
    thread.memory().put(to, &Timespec::from(now))?;
    Ok(0.into())
}

fn clock_getres(thread: &Rc<Thread>, [id, to, ..]: Args) -> Answer {
    clock(thread, id)?;
    let coarse = [raw::CLOCK_REALTIME_COARSE, raw::CLOCK_MONOTONIC_COARSE].contains(&(id as u32));
    let ns = if coarse { 4_000_000 } else { 1 };
    if to != 0 {
        thread.memory().put(to, &Timespec { seconds: 0, nanoseconds: ns })?;
    }
    Ok(0.into())
}

/// From this second on no clock is set, as on Linux (`TIME_SETTOD_SEC_MAX`): it has to run for 30
/// years more.
const LATEST: u64 = i64::MAX as u64 / 1_000_000_000 - 30 * 365 * 86_400;

/// Checks a time that a clock is to be set to.
///
/// # Errors
/// `EINVAL` for one that is none or too late.
fn settable(time: Timespec) -> Result<(), Errno> {
    if time.duration()?.as_secs() < LATEST { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The clock is the host's.
fn clock_settime(thread: &Rc<Thread>, [id, from, ..]: Args) -> Answer {
    let Clock::Realtime = clock(thread, id)? else { return Err(Errno::EINVAL.into()) };
    settable(thread.memory().get(from)?)?;
    Err(Errno::EPERM.into())
}

fn gettimeofday(thread: &Rc<Thread>, [to, zone, ..]: Args) -> Answer {
    let memory = thread.memory();
    if to != 0 {
        memory.put(to, &Timeval::from(wall_clock()))?;
    }
    if zone != 0 {
        memory.put(zone, &[0_i32; 2])?;
    }
    Ok(0.into())
}

fn settimeofday(thread: &Rc<Thread>, [from, ..]: Args) -> Answer {
    if from != 0 {
        let Timeval { seconds, microseconds } = thread.memory().get(from)?;
        settable(Timespec { seconds, nanoseconds: microseconds.saturating_mul(1000) })?;
    }
    Err(Errno::EPERM.into())
}

fn time(thread: &Rc<Thread>, [to, ..]: Args) -> Answer {
    let seconds = wall_clock().as_secs();
    if to != 0 {
        thread.memory().put(to, &seconds)?;
    }
    Ok((seconds as usize).into())
}

fn nanosleep(thread: &Rc<Thread>, [request, left, ..]: Args) -> Answer {
    let time = thread.memory().get::<Timespec>(request)?.duration()?;
    sleep(thread, Instant::now().saturating_add(time), left)
}

fn clock_nanosleep(thread: &Rc<Thread>, [id, flags, request, left, ..]: Args) -> Answer {
    let clock = Clock::timed(id as i32, &thread.system, &thread.process, &thread.signals)?;
    let time = thread.memory().get::<Timespec>(request)?.duration()?;
    match &clock {
        Clock::Thread(own) if Rc::ptr_eq(own, &thread.signals) => {
            return Err(Errno::EINVAL.into());
        }
        Clock::Thread(_) => return Err(Errno::EOPNOTSUPP.into()),
        _ => {}
    }
    let absolute = flags as u32 & raw::TIMER_ABSTIME != 0;
    if !absolute && !clock.counts() {
        return sleep(thread, Instant::now().saturating_add(time), left);
    }
    let until = if absolute { nanos(time) } else { clock.now().saturating_add(nanos(time)) };
    let thread = Rc::clone(thread);
    wait(async move {
        // The clock may be set meanwhile, and what counts a process stands while that waits.
        while clock.now() < until {
            let sleep = sleep_until(clock.instant(until));
            let result = thread.interruptible(sleep).await;
            // An absolute time is the same when the call is made again.
            result.map_err(|_| Errno::ERESTARTNOHAND)?;
        }
        Ok(0)
    })
}

/// Sleeps until `end`. If a handler interrupts it, what is left stands at `left`.
fn sleep(thread: &Rc<Thread>, end: Instant, left: u64) -> Answer {
    if Instant::now() >= end {
        return Ok(0.into());
    }
    let future = sleeping(thread, end, left);
    wait(future)
}

fn sleeping(thread: &Rc<Thread>, end: Instant, left: u64) -> Boxed<Result<usize, Errno>> {
    let thread = Rc::clone(thread);
    boxed(async move {
        if thread.interruptible(sleep_until(end)).await.is_ok() {
            return Ok(0);
        }
        if left != 0 {
            let rest = end.saturating_duration_since(Instant::now());
            let write = || thread.memory().put(left, &Timespec::from(rest));
            crate::stop::loaded(write).await?;
        }
        thread.set_again(Box::new(move |thread| sleeping(thread, end, left)));
        Err(Errno::ERESTART_RESTARTBLOCK)
    })
}

/// `struct tms`, in ticks. What ran in user mode and what ran in the kernel is not told apart.
fn times(thread: &Rc<Thread>, [to, ..]: Args) -> Answer {
    let ticks = |ns: u64| ns / (1_000_000_000 / TICKS);
    if to != 0 {
        let process = &thread.process;
        let [own, children] = [process.cpu_time(), process.children_ran.get()].map(ticks);
        thread.memory().put(to, &[own, 0, children, 0])?;
    }
    Ok((ticks(Instant::now().as_nanos()) as usize).into())
}

/// `struct rusage`
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Usage {
    user: Timeval,
    system: Timeval,
    /// KiB that were in memory at most.
    resident: u64,
    others: [u64; 13],
}

impl Usage {
    /// That of something that ran for `ran` ns.
    pub(crate) fn new(ran: u64, resident: usize) -> Self {
        Self {
            user: Duration::from_nanos(ran).into(),
            resident: resident as u64 / 1024,
            ..Self::default()
        }
    }

    /// That of a process that has ended, and of those that it waited for.
    pub(crate) fn of(process: &Process) -> Self {
        let most = process.resident.get().max(process.children_resident.get());
        Self::new(process.cpu_time() + process.children_ran.get(), most)
    }
}

fn getrusage(thread: &Rc<Thread>, [who, to, ..]: Args) -> Answer {
    const SELF: i32 = raw::RUSAGE_SELF as i32;
    const THREAD: i32 = raw::RUSAGE_THREAD as i32;
    let process = &thread.process;
    let memory = thread.memory();
    let resident = memory.usage().resident;
    let usage = match who as i32 {
        SELF => Usage::new(process.cpu_time(), resident),
        THREAD => Usage::new(thread.signals.cpu_time(), resident),
        raw::RUSAGE_CHILDREN => {
            Usage::new(process.children_ran.get(), process.children_resident.get())
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    memory.put(to, &usage)?;
    Ok(0.into())
}

const _: () = assert!(size_of::<Usage>() == 144);
