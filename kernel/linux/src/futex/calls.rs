//! futex(2) and its kin.

use super::table::Waiter;
use crate::call::{Answer, Args, Group, calls, wait};
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::{Key, Memory};
use crate::stop::{Stop, boxed, loaded};
use crate::thread::Thread;
use crate::time::{Clock, Timespec};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;
use kernel::task::{Either, select};
use kernel::time::{Instant, sleep_until};
use linux_raw_sys::general as raw;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// futex(2) and its kin.
pub(crate) const CALLS: Group = calls! {
    futex(Hex, FUTEX, Int, Hex, Hex, Hex) = futex;
    futex_waitv(Hex, Int, Hex, Hex, Int) = futex_waitv;
    set_robust_list(Hex, Size) = set_robust_list;
    get_robust_list(Int, Hex, Hex) = get_robust_list;
};

/// Length of `struct robust_list_head`.
const HEAD: u64 = 24;

fn futex(thread: &Rc<Thread>, args: Args) -> Answer {
    let [at, operation, value, fourth, second, third] = args;
    let operation = operation as u32;
    let private = operation & raw::FUTEX_PRIVATE_FLAG != 0;
    let realtime = operation & raw::FUTEX_CLOCK_REALTIME != 0;
    let command = operation & !(raw::FUTEX_PRIVATE_FLAG | raw::FUTEX_CLOCK_REALTIME);
    if realtime && command != raw::FUTEX_WAIT_BITSET {
        return Err(Errno::ENOSYS.into());
    }
    let value = value as u32;
    match command {
        raw::FUTEX_WAIT => {
            let end = timeout(&thread.memory(), fourth)?;
            let end = end.map(|it| Instant::now().saturating_add(it));
            wait_at(thread, at, private, value, raw::FUTEX_BITSET_MATCH_ANY, end)
        }
        raw::FUTEX_WAIT_BITSET => {
            let bits = third as u32;
            if bits == 0 {
                return Err(Errno::EINVAL.into());
            }
            let clock = if realtime { Clock::Realtime } else { Clock::Monotonic };
            let end = timeout(&thread.memory(), fourth)?;
            let end = end.map(|it| clock.instant(crate::time::nanos(it)));
            wait_at(thread, at, private, value, bits, end)
        }
        raw::FUTEX_WAKE => wake(thread, at, private, value, raw::FUTEX_BITSET_MATCH_ANY),
        raw::FUTEX_WAKE_BITSET => wake(thread, at, private, value, third as u32),
        raw::FUTEX_REQUEUE => requeue(thread, [at, second], private, value, fourth as u32, None),
        raw::FUTEX_CMP_REQUEUE => {
            requeue(thread, [at, second], private, value, fourth as u32, Some(third as u32))
        }
        raw::FUTEX_WAKE_OP => {
            wake_op(thread, [at, second], private, [value, fourth as u32], third as u32)
        }
        // Those that inherit priorities: there are none here.
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn timeout(memory: &Memory, at: u64) -> Result<Option<core::time::Duration>, Stop> {
    match at {
        0 => Ok(None),
        at => Ok(Some(memory.get::<Timespec>(at)?.duration()?)),
    }
}

/// A place among those who wait, left when it is dropped.
struct Place {
    thread: Rc<Thread>,
    waiter: Rc<Waiter>,
}

impl Place {
    fn take(thread: &Rc<Thread>, key: Key, bits: u32) -> Result<Self, Errno> {
        let waiter = thread.system.futexes.add(key, bits).ok_or(Errno::ENOMEM)?;
        Ok(Self { thread: Rc::clone(thread), waiter })
    }

    async fn woken(&self) {
        poll_fn(|context| {
            if self.waiter.is_woken() {
                return Poll::Ready(());
            }
            self.waiter.set_waker(context.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.thread.system.futexes.remove(&self.waiter);
    }
}

/// Waits until it is woken, unless the word at `at` is not `value`.
fn wait_at(
    thread: &Rc<Thread>,
    at: u64,
    private: bool,
    value: u32,
    bits: u32,
    end: Option<Instant>,
) -> Answer {
    let memory = thread.memory();
    let key = memory.futex_key(at, private)?;
    if memory.load_u32(at)? != value {
        return Err(Errno::EAGAIN.into());
    }
    drop(memory);
    let place = Place::take(thread, key, bits)?;
    wait(async move {
        let thread = Rc::clone(&place.thread);
        let result = thread.interruptible(until(place.woken(), end)).await;
        match result {
            Ok(Ok(())) => Ok(0),
            Ok(Err(errno)) => Err(errno),
            Err(_) if place.waiter.is_woken() => Ok(0),
            // With an end, it goes on with what is left where no handler runs, and is not made again
            // behind one, whatever its flags are.
            Err(_) if end.is_some() => {
                thread.set_again(Box::new(move |thread| {
                    let thread = Rc::clone(thread);
                    boxed(async move {
                        let again = || wait_at(&thread, at, private, value, bits, end);
                        match loaded(again).await? {
                            crate::call::Outcome::Wait(future) => future.await,
                            _ => Ok(0),
                        }
                    })
                }));
                Err(Errno::ERESTART_RESTARTBLOCK)
            }
            Err(errno) => Err(errno),
        }
    })
}

/// Waits for `future`, until `end` at most.
async fn until(future: impl Future<Output = ()>, end: Option<Instant>) -> Result<(), Errno> {
    let Some(end) = end else {
        future.await;
        return Ok(());
    };
    match select(future, sleep_until(end)).await {
        Either::First(()) => Ok(()),
        Either::Second(()) => Err(Errno::ETIMEDOUT),
    }
}

/// A number of threads to wake: at least one, as on Linux, whose count is signed.
const fn many(count: u32) -> usize {
    if (count as i32) < 1 { 1 } else { count as usize }
}

fn wake(thread: &Rc<Thread>, at: u64, private: bool, count: u32, bits: u32) -> Answer {
    if bits == 0 {
        return Err(Errno::EINVAL.into());
    }
    let key = thread.memory().futex_key(at, private)?;
    Ok(thread.system.futexes.wake(key, many(count), bits).into())
}

fn requeue(
    thread: &Rc<Thread>,
    [from, to]: [u64; 2],
    private: bool,
    wake: u32,
    most: u32,
    expected: Option<u32>,
) -> Answer {
    if (wake as i32) < 0 || (most as i32) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let memory = thread.memory();
    let (from_key, to_key) = (memory.futex_key(from, private)?, memory.futex_key(to, private)?);
    if let Some(expected) = expected
        && memory.load_u32(from)? != expected
    {
        return Err(Errno::EAGAIN.into());
    }
    let futexes = &thread.system.futexes;
    let (woken, moved) =
        futexes.requeue(from_key, to_key, wake as usize, most as usize).ok_or(Errno::ENOMEM)?;
    // Both are counted, also where futex(2) speaks of those alone that were woken.
    Ok((woken + moved).into())
}

/// Changes the second word, wakes those at the first, and those at the second if the word was
/// what the operation compares it to.
fn wake_op(
    thread: &Rc<Thread>,
    [first, second]: [u64; 2],
    private: bool,
    counts: [u32; 2],
    operation: u32,
) -> Answer {
    let memory = thread.memory();
    let (first_key, second_key) =
        (memory.futex_key(first, private)?, memory.futex_key(second, private)?);
    let signed = |value: u32| (value << 20) as i32 >> 20;
    let (argument, compared) = (signed(operation >> 12), signed(operation));
    let argument = match operation >> 28 & raw::FUTEX_OP_OPARG_SHIFT {
        0 => argument as u32,
        _ => 1 << (argument & 31),
    };
    let old = loop {
        let old = memory.load_u32(second)?;
        let new = match operation >> 28 & 7 {
            raw::FUTEX_OP_SET => argument,
            raw::FUTEX_OP_ADD => old.wrapping_add(argument),
            raw::FUTEX_OP_OR => old | argument,
            raw::FUTEX_OP_ANDN => old & !argument,
            raw::FUTEX_OP_XOR => old ^ argument,
            _ => return Err(Errno::ENOSYS.into()),
        };
        if memory.compare_exchange_u32(second, old, new)?.is_ok() {
            break old as i32;
        }
    };
    let wakes = match operation >> 24 & 15 {
        raw::FUTEX_OP_CMP_EQ => old == compared,
        raw::FUTEX_OP_CMP_NE => old != compared,
        raw::FUTEX_OP_CMP_LT => old < compared,
        raw::FUTEX_OP_CMP_GE => old >= compared,
        raw::FUTEX_OP_CMP_LE => old <= compared,
        raw::FUTEX_OP_CMP_GT => old > compared,
        _ => return Err(Errno::ENOSYS.into()),
    };
    let futexes = &thread.system.futexes;
    let mut woken = futexes.wake(first_key, many(counts[0]), u32::MAX);
    if wakes {
        woken += futexes.wake(second_key, many(counts[1]), u32::MAX);
    }
    Ok(woken.into())
}

/// `struct futex_waitv`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct One {
    value: u64,
    at: u64,
    flags: u32,
    reserved: u32,
}

fn futex_waitv(thread: &Rc<Thread>, [list, count, flags, end, clock, _]: Args) -> Answer {
    let count = count as u32;
    if flags as u32 != 0 || count == 0 || count > raw::FUTEX_WAITV_MAX || list == 0 {
        return Err(Errno::EINVAL.into());
    }
    let memory = thread.memory();
    let end = match timeout(&memory, end)? {
        None => None,
        Some(it) => Some(match clock as u32 {
            raw::CLOCK_MONOTONIC => Clock::Monotonic.instant(crate::time::nanos(it)),
            raw::CLOCK_REALTIME => Clock::Realtime.instant(crate::time::nanos(it)),
            _ => return Err(Errno::EINVAL.into()),
        }),
    };
    let mut keys = Vec::new();
    keys.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    for index in 0..u64::from(count) {
        let one: One = memory.get(list.wrapping_add(index * size_of::<One>() as u64))?;
        let private = one.flags & raw::FUTEX_PRIVATE_FLAG != 0;
        if one.flags & !raw::FUTEX_PRIVATE_FLAG != raw::FUTEX_32 || one.reserved != 0 {
            return Err(Errno::EINVAL.into());
        }
        let key = memory.futex_key(one.at, private)?;
        if u64::from(memory.load_u32(one.at)?) != one.value {
            return Err(Errno::EAGAIN.into());
        }
        keys.push(key);
    }
    let mut places = Vec::new();
    places.try_reserve_exact(keys.len()).map_err(|_| Errno::ENOMEM)?;
    for key in keys {
        places.push(Place::take(thread, key, u32::MAX)?);
    }
    let thread = Rc::clone(thread);
    wait(async move {
        let woken = poll_fn(|context| {
            if places.iter().any(|it| it.waiter.is_woken()) {
                return Poll::Ready(());
            }
            places.iter().for_each(|it| it.waiter.set_waker(context.waker()));
            Poll::Pending
        });
        let result = thread.interruptible(until(woken, end)).await;
        if let Some(index) = places.iter().position(|it| it.waiter.is_woken()) {
            return Ok(index);
        }
        result?.map(|()| 0)
    })
}

fn set_robust_list(thread: &Rc<Thread>, [head, length, ..]: Args) -> Answer {
    if length != HEAD {
        return Err(Errno::EINVAL.into());
    }
    thread.robust.set(head);
    Ok(0.into())
}

/// Lists of other threads are not shown: who may, reads them where they are.
fn get_robust_list(thread: &Rc<Thread>, [id, head, length, ..]: Args) -> Answer {
    match id as i32 {
        0 => {}
        id if id == thread.id() => {}
        id => {
            let known = thread.system.thread(id).is_some();
            return Err(if known { Errno::EPERM } else { Errno::ESRCH }.into());
        }
    }
    let memory = thread.memory();
    memory.put(length, &HEAD)?;
    memory.put(head, &thread.robust.get())?;
    Ok(0.into())
}
