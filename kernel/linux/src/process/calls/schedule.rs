//! The calls about scheduling: there is one processor, and each thread has its turn.

use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::Process;
use crate::thread::Thread;
use crate::time::Timespec;
use alloc::rc::Rc;
use kernel::task::yield_now;
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls about scheduling.
pub(crate) const CALLS: Group = calls! {
    sched_yield() = sched_yield;
    sched_getaffinity(Int, Size, Hex) = sched_getaffinity;
    sched_setaffinity(Int, Size, Hex) = sched_setaffinity;
    sched_getscheduler(Int) = sched_getscheduler;
    sched_setscheduler(Int, Int, Hex) = sched_setscheduler;
    sched_getparam(Int, Hex) = sched_getparam;
    sched_setparam(Int, Hex) = sched_setparam;
    sched_getattr(Int, Hex, Size, Int) = sched_getattr;
    sched_setattr(Int, Hex, Int) = sched_setattr;
    sched_get_priority_max(Int) = sched_get_priority_max;
    sched_get_priority_min(Int) = sched_get_priority_min;
    sched_rr_get_interval(Int, Hex) = sched_rr_get_interval;
    getcpu(Hex, Hex) = getcpu;
    membarrier(Int, Hex, Int) = membarrier;
    ioprio_get(Int, Int) = ioprio_get;
    ioprio_set(Int, Int, Int) = ioprio_set;
};

/// Time that a thread runs while others wait, in ns (`kernel::user`).
const SLICE: i64 = 10_000_000;

fn sched_yield(_: &Rc<Thread>, _: Args) -> Answer {
    wait(async {
        yield_now().await;
        Ok(0)
    })
}

/// Returns the process of the thread of that number; 0 is the caller.
fn named(thread: &Thread, id: u64) -> Result<Rc<Process>, Errno> {
    match id as i32 {
        0 => Ok(Rc::clone(&thread.process)),
        ..0 => Err(Errno::EINVAL),
        id => thread.system.thread(id).map(|(process, _)| process).ok_or(Errno::ESRCH),
    }
}

/// Whether there is one.
fn check(thread: &Thread, id: u64) -> Result<(), Errno> {
    named(thread, id).map(drop)
}

/// Whether there is one, and an address for its parameters.
fn check_with(thread: &Thread, id: u64, at: u64) -> Result<(), Errno> {
    if at == 0 { Err(Errno::EINVAL) } else { check(thread, id) }
}

/// Whether the caller may change how `process` is scheduled.
fn may_change(thread: &Thread, process: &Process) -> Result<(), Errno> {
    let may = thread.process.credentials.borrow().may_schedule(&process.credentials.borrow());
    if may { Ok(()) } else { Err(Errno::EPERM) }
}

/// The set has processor 0 alone: 8 bytes, as on a Linux for up to 64.
fn sched_getaffinity(thread: &Rc<Thread>, [id, size, to, ..]: Args) -> Answer {
    if size < 8 || !size.is_multiple_of(8) {
        return Err(Errno::EINVAL.into());
    }
    check(thread, id)?;
    thread.memory().put(to, &1_u64)?;
    Ok(8.into())
}

fn sched_setaffinity(thread: &Rc<Thread>, [id, size, from, ..]: Args) -> Answer {
    may_change(thread, &*named(thread, id)?)?;
    let mut first = [0];
    if size > 0 {
        thread.memory().read(from as usize, &mut first)?;
    }
    if first[0] & 1 == 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(0.into())
}

fn sched_getscheduler(thread: &Rc<Thread>, [id, ..]: Args) -> Answer {
    check(thread, id)?;
    Ok((raw::SCHED_NORMAL as usize).into())
}

/// The least and the greatest priority of a policy.
fn priorities(policy: u32) -> Result<(i32, i32), Errno> {
    match policy {
        raw::SCHED_FIFO | raw::SCHED_RR => Ok((1, 99)),
        raw::SCHED_NORMAL | raw::SCHED_BATCH | raw::SCHED_IDLE | raw::SCHED_DEADLINE => Ok((0, 0)),
        _ => Err(Errno::EINVAL),
    }
}

/// Real-time policies are refused, as Linux does without the privilege.
fn sched_setscheduler(thread: &Rc<Thread>, [id, policy, from, ..]: Args) -> Answer {
    check_with(thread, id, from)?;
    let priority: i32 = thread.memory().get(from)?;
    let (least, most) = priorities(policy as u32 & !raw::SCHED_RESET_ON_FORK)?;
    if !(least..=most).contains(&priority) {
        return Err(Errno::EINVAL.into());
    }
    if most > 0 {
        return Err(Errno::EPERM.into());
    }
    may_change(thread, &*named(thread, id)?)?;
    Ok(0.into())
}

fn sched_getparam(thread: &Rc<Thread>, [id, to, ..]: Args) -> Answer {
    check_with(thread, id, to)?;
    thread.memory().put(to, &0_i32)?;
    Ok(0.into())
}

fn sched_setparam(thread: &Rc<Thread>, [id, from, ..]: Args) -> Answer {
    check_with(thread, id, from)?;
    match thread.memory().get::<i32>(from)? {
        0 => Ok(0.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `struct sched_attr`, as it was first.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    times: [u64; 3],
}

fn sched_getattr(thread: &Rc<Thread>, [id, to, size, flags, ..]: Args) -> Answer {
    if (size as usize) < size_of::<Attributes>() || size > 4096 || flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    let nice = named(thread, id)?.controls.nice.get();
    let size = size_of::<Attributes>() as u32;
    thread.memory().put(to, &Attributes { size, nice, ..Attributes::default() })?;
    Ok(0.into())
}

fn sched_setattr(thread: &Rc<Thread>, [id, from, flags, ..]: Args) -> Answer {
    let process = named(thread, id)?;
    let asked: Attributes = thread.memory().get(from)?;
    let (_, most) = priorities(asked.policy)?;
    if flags as u32 != 0 {
        return Err(Errno::EINVAL.into());
    }
    if most > 0 || asked.policy == raw::SCHED_DEADLINE {
        return Err(Errno::EPERM.into());
    }
    may_change(thread, &process)?;
    let (nice, old) = (asked.nice.clamp(-20, 19), &process.controls.nice);
    if nice < old.get() && !thread.process.credentials.borrow().is_root() {
        return Err(Errno::EPERM.into());
    }
    old.set(nice);
    Ok(0.into())
}

fn sched_get_priority_max(_: &Rc<Thread>, [policy, ..]: Args) -> Answer {
    Ok((priorities(policy as u32)?.1 as usize).into())
}

fn sched_get_priority_min(_: &Rc<Thread>, [policy, ..]: Args) -> Answer {
    Ok((priorities(policy as u32)?.0 as usize).into())
}

fn sched_rr_get_interval(thread: &Rc<Thread>, [id, to, ..]: Args) -> Answer {
    check(thread, id)?;
    thread.memory().put(to, &Timespec { seconds: 0, nanoseconds: SLICE })?;
    Ok(0.into())
}

fn getcpu(thread: &Rc<Thread>, [processor, node, ..]: Args) -> Answer {
    for at in [processor, node] {
        if at != 0 {
            thread.memory().put(at, &0_u32)?;
        }
    }
    Ok(0.into())
}

/// With one processor, other threads have executed all barriers when they run.
fn membarrier(_: &Rc<Thread>, [command, flags, ..]: Args) -> Answer {
    /// Global and private ones, and their registrations.
    const KNOWN: u32 = 0x1F | 0x20 | 0x40;
    match (command as u32, flags as u32) {
        (_, 1..) => Err(Errno::EINVAL.into()),
        (0, _) => Ok((KNOWN as usize).into()),
        (it, _) if it.is_power_of_two() && it & KNOWN != 0 => Ok(0.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Best effort, level 4: what Linux says of those that said nothing.
fn ioprio_get(_: &Rc<Thread>, _: Args) -> Answer {
    Ok((2 << 13 | 4_usize).into())
}

fn ioprio_set(_: &Rc<Thread>, _: Args) -> Answer {
    Ok(0.into())
}
