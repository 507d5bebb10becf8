//! Tests of clocks, sleeps and timers, in simulated time.

use super::*;
use crate::errno::Errno;
use crate::file::Caller;
use crate::signal::{Action, Signal};
use crate::testing::{call_of, perform, play, room, run, thread, word};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::task::{block_on, spawn};
use kernel::testing::simulate_time;
use kernel::time::{Instant, sleep};
use kernel::user::Exit;
use linux_raw_sys::general as raw;
use syscalls::Sysno;

const MS: u64 = 1_000_000;

/// A thread, and the address of a page of its memory.
fn with_page() -> (Rc<Thread>, u64) {
    simulate_time();
    let thread = thread();
    let at = room(&thread.memory(), 4096) as u64;
    (thread, at)
}

fn call(thread: &Rc<Thread>, number: Sysno, args: &[u64]) -> Result<usize, Errno> {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    perform(thread, number, all)
}

fn put_time(thread: &Thread, at: u64, seconds: i64, nanoseconds: i64) {
    thread.memory().put(at, &Timespec { seconds, nanoseconds }).unwrap();
}

#[test]
fn clocks_that_are_there_are_read_and_others_are_not() {
    let (thread, at) = with_page();
    for id in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, -2_i64, -6, -10, -14] {
        assert_eq!(call(&thread, Sysno::clock_gettime, &[id as u64, at]), Ok(0), "{id}");
        assert_eq!(call(&thread, Sysno::clock_getres, &[id as u64, 0]), Ok(0), "{id}");
    }
    for id in [10, 12, 99, -5_i64, -9] {
        let result = call(&thread, Sysno::clock_gettime, &[id as u64, at]);
        assert_eq!(result, Err(Errno::EINVAL), "{id}");
    }
    assert_eq!(call(&thread, Sysno::clock_gettime, &[0, 8]), Err(Errno::EFAULT));
    assert_eq!(call(&thread, Sysno::clock_settime, &[1, at]), Err(Errno::EINVAL));
    assert_eq!(call(&thread, Sysno::clock_settime, &[0, at]), Err(Errno::EPERM));
    let now = Instant::now().as_nanos();
    call(&thread, Sysno::clock_gettime, &[1, at]).unwrap();
    let told: Timespec = thread.memory().get(at).unwrap();
    assert_eq!(nanos(told.duration().unwrap()), now);
}

#[test]
fn times_that_are_none_are_refused_by_all_that_take_one() {
    const EINVAL: Result<usize, Errno> = Err(Errno::EINVAL);
    let (thread, at) = with_page();
    let call = |number, args: &[u64]| call(&thread, number, args);
    let (word, list, set) = (at + 512, at + 600, at + 700);
    let timer = {
        call(Sysno::timer_create, &[1, 0, at]).unwrap();
        u64::from(thread.memory().get::<u32>(at).unwrap())
    };
    let timerfd = call(Sysno::timerfd_create, &[1, 0]).unwrap() as u64;
    let epoll = call(Sysno::epoll_create1, &[0]).unwrap() as u64;
    let [one, _] = {
        call(Sysno::socketpair, &[1, 1, 0, at]).unwrap();
        thread.memory().get::<[u32; 2]>(at).unwrap().map(u64::from)
    };
    thread.memory().put(list, &[0_u64, word, 2]).unwrap();
    thread.memory().put(set, &[1_u64, 8]).unwrap();
    // With an address where a time stands, the first of a pair, the other of which is right.
    let of_ns: [(Sysno, &[u64]); 13] = [
        (Sysno::clock_settime, &[0, at]),
        (Sysno::nanosleep, &[at, 0]),
        (Sysno::clock_nanosleep, &[1, 0, at, 0]),
        (Sysno::clock_nanosleep, &[0, 1, at, 0]),
        (Sysno::timer_settime, &[timer, 0, at, 0]),
        (Sysno::timer_settime, &[timer, 1, at - 16, 0]),
        (Sysno::timerfd_settime, &[timerfd, 0, at, 0]),
        (Sysno::timerfd_settime, &[timerfd, 1, at - 16, 0]),
        (Sysno::ppoll, &[0, 0, at, 0]),
        (Sysno::pselect6, &[0, 0, 0, 0, at, 0]),
        (Sysno::epoll_pwait2, &[epoll, word, 1, at, 0, 0]),
        (Sysno::futex, &[word, 0, 0, at]),
        (Sysno::rt_sigtimedwait, &[set, 0, at, 8]),
    ];
    let at = at + 16;
    let moved = |args: &[u64]| -> Vec<u64> {
        let before = at - 16;
        args.iter()
            .map(|&it| if it == before || it == before - 16 { it + 16 } else { it })
            .collect()
    };
    let second = 1_000_000_000;
    for time in [(-1, 0), (0, -1), (0, second), (i64::MIN, 0), (0, i64::MIN), (1, i64::MAX)] {
        thread.memory().put(at - 16, &[0_u64; 6]).unwrap();
        put_time(&thread, at, time.0, time.1);
        for (number, args) in of_ns {
            assert_eq!(call(number, &moved(args)), EINVAL, "{number} {args:?} of {time:?}");
        }
        // Times of files may be those of long ago.
        let told = call(Sysno::utimensat, &[one, 0, at, 0]);
        let right = (0..second).contains(&time.1);
        assert_eq!(told, if right { Ok(0) } else { EINVAL }, "{time:?}");
    }
    put_time(&thread, at, i64::MAX / second - 30 * 365 * 86_400, 0);
    assert_eq!(call(Sysno::clock_settime, &[0, at]), EINVAL, "too late");
    put_time(&thread, at, i64::MAX / second - 30 * 365 * 86_400 - 1, second - 1);
    assert_eq!(call(Sysno::clock_settime, &[0, at]), Err(Errno::EPERM));
    let million = 1_000_000;
    for time in [(-1, 0), (0, -1), (0, million), (i64::MIN, 0), (0, i64::MAX)] {
        thread.memory().put(at - 16, &[0_u64; 6]).unwrap();
        put_time(&thread, at, time.0, time.1);
        assert_eq!(call(Sysno::setitimer, &[0, at, 0]), EINVAL, "{time:?}");
        assert_eq!(call(Sysno::setitimer, &[0, at - 16, 0]), EINVAL, "{time:?}");
        assert_eq!(call(Sysno::settimeofday, &[at, 0]), EINVAL, "{time:?}");
        if time.0 < 0 || time.1 < 0 {
            assert_eq!(call(Sysno::select, &[0, 0, 0, 0, at]), EINVAL, "{time:?}");
        }
        let right = (0..million).contains(&time.1);
        let told = call(Sysno::setsockopt, &[one, 1, 20, at, 16]);
        assert_eq!(told, if right { Ok(0) } else { Err(Errno::EDOM) }, "{time:?}");
        let told = call(Sysno::futimesat, &[one, 0, at]);
        assert_eq!(told, if right { Ok(0) } else { EINVAL }, "{time:?}");
    }
    // Of select(2) microseconds may be more than a second.
    put_time(&thread, at, 1, 2 * million);
    let before = Instant::now();
    assert_eq!(call(Sysno::select, &[0, 0, 0, 0, at]), Ok(0));
    assert_eq!(before.elapsed().as_secs(), 3);
    // In ms, what is negative has no end.
    let event = call(Sysno::eventfd2, &[1, 0]).unwrap();
    thread.memory().put(word, &[event as u32, 1]).unwrap();
    for time in [-1_i32, i32::MIN] {
        assert_eq!(call(Sysno::poll, &[word, 1, u64::from(time as u32)]), Ok(1));
    }
}

#[test]
fn sleeps_last_as_long_as_they_are_told_to() {
    let (thread, at) = with_page();
    let slept = |number: Sysno, args: &[u64]| {
        let before = Instant::now();
        let result = call(&thread, number, args);
        (result, before.elapsed().as_millis())
    };
    put_time(&thread, at, 2, 5_000_000);
    assert_eq!(slept(Sysno::nanosleep, &[at, 0]), (Ok(0), 2005));
    assert_eq!(slept(Sysno::clock_nanosleep, &[1, 0, at, 0]), (Ok(0), 2005));
    let end = Instant::now().as_nanos() + 30 * MS;
    put_time(&thread, at, (end / 1_000_000_000) as i64, (end % 1_000_000_000) as i64);
    assert_eq!(slept(Sysno::clock_nanosleep, &[1, 1, at, 0]), (Ok(0), 30));
    assert_eq!(slept(Sysno::clock_nanosleep, &[1, 1, at, 0]), (Ok(0), 0), "it has passed");
    for (seconds, ns) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
        put_time(&thread, at, seconds, ns);
        assert_eq!(slept(Sysno::nanosleep, &[at, 0]), (Err(Errno::EINVAL), 0));
    }
    put_time(&thread, at, 1, 0);
    assert_eq!(slept(Sysno::clock_nanosleep, &[3, 0, at, 0]), (Err(Errno::EINVAL), 0));
    assert_eq!(slept(Sysno::clock_nanosleep, &[10, 0, at, 0]), (Err(Errno::EINVAL), 0));
    assert_eq!(slept(Sysno::nanosleep, &[8, 0]), (Err(Errno::EFAULT), 0));
}

#[test]
fn a_futex_waits_no_longer_than_its_end() {
    let (thread, at) = with_page();
    put_time(&thread, at + 16, 0, 40_000_000);
    let before = Instant::now();
    let wait = |operation: u64, value: u64, time: u64, bits: u64| {
        call(&thread, Sysno::futex, &[at, operation, value, time, 0, bits])
    };
    assert_eq!(wait(0, 0, at + 16, 0), Err(Errno::ETIMEDOUT));
    assert_eq!(before.elapsed().as_millis(), 40);
    assert_eq!(wait(0, 1, 0, 0), Err(Errno::EAGAIN));
    assert_eq!(wait(9, 0, at + 16, 0), Err(Errno::EINVAL), "no bits");
    assert_eq!(wait(9, 0, at + 16, 1), Err(Errno::ETIMEDOUT), "an end that has passed");
    assert_eq!(wait(9 | 256, 0, at + 16, 1), Err(Errno::ETIMEDOUT));
    // What nobody can write to never changes.
    thread.memory().protect(at as usize, 4096, kernel::user::Access::READ).unwrap();
    assert_eq!(wait(0, 0, 0, 0), Err(Errno::EFAULT));
    assert_eq!(wait(1, 0, 0, 0), Err(Errno::EFAULT));
    assert_eq!(wait(1 | 128, 0, 0, 0), Ok(0));
    thread
        .memory()
        .protect(at as usize, 4096, kernel::user::Access::READ | kernel::user::Access::WRITE)
        .unwrap();
    assert_eq!(wait(6, 0, 0, 0), Err(Errno::ENOSYS), "priorities");
    for operation in [0, 1, 3, 4, 5, 10] {
        let wait = wait(operation | 256, 0, at + 16, 1);
        assert_eq!(wait, Err(Errno::ENOSYS), "{operation}");
    }
    put_time(&thread, at + 16, 0, -1);
    assert_eq!(wait(0, 0, at + 16, 0), Err(Errno::EINVAL));
    assert_eq!(call(&thread, Sysno::futex, &[at + 1, 1, 1]), Err(Errno::EINVAL));
    assert_eq!(call(&thread, Sysno::futex, &[8, 0, 0]), Err(Errno::EFAULT));
    assert!(thread.system.futexes.is_empty());
}

#[test]
fn waiters_are_woken_moved_and_counted() {
    let (thread, at) = with_page();
    let futex = |args: [u64; 6]| call(&thread, Sysno::futex, &args);
    let waiters: Vec<_> = (0..5)
        .map(|_| {
            let call = crate::table::call(Sysno::futex as u64).unwrap();
            match (call.run)(&thread, [at, 0, 0, 0, 0, 0]) {
                Ok(crate::call::Outcome::Wait(future)) => spawn(future),
                _ => panic!("it waits"),
            }
        })
        .collect();
    assert_eq!(futex([at, 1, 1, 0, 0, 0]), Ok(1));
    assert_eq!(futex([at, 3, 1, 1, at + 4, 0]), Ok(2), "one woken, one moved");
    assert_eq!(futex([at, 4, 0, 9, at + 4, 1]), Err(Errno::EAGAIN), "it is not 1");
    assert_eq!(futex([at, 4, 0, 9, at + 4, 0]), Ok(2), "the others moved");
    assert_eq!(futex([at, 1, 9, 0, 0, 0]), Ok(0));
    // Sets the second word to 7, and wakes those at it if it was 0.
    assert_eq!(futex([at, 5, 1, 1, at + 4, 7 << 12]), Ok(1));
    assert_eq!(thread.memory().get::<u32>(at + 4).unwrap(), 7);
    assert_eq!(futex([at + 4, 1, 9, 0, 0, 0]), Ok(2));
    block_on(async {
        for waiter in waiters {
            assert_eq!(waiter.await, Ok(0));
        }
    });
    assert!(thread.system.futexes.is_empty());
}

#[test]
fn a_waiter_for_many_words_says_which_was_woken() {
    let (thread, at) = with_page();
    let one = |word: u64, flags: u32| [0, word, u64::from(flags)];
    thread.memory().put(at + 64, &[one(at, 2), one(at + 4, 2)]).unwrap();
    let list = at + 64;
    let wait = |count: u64| call(&thread, Sysno::futex_waitv, &[list, count, 0, 0, 1]);
    assert_eq!(wait(0), Err(Errno::EINVAL));
    assert_eq!(wait(129), Err(Errno::EINVAL));
    let system = Rc::clone(&thread.system);
    let key = thread.memory().futex_key(at + 4, false).unwrap();
    let woken = block_on(async {
        let waker = spawn(async move {
            sleep(Duration::from_millis(1)).await;
            system.futexes.wake(key, 1, 1)
        });
        let call = crate::table::call(Sysno::futex_waitv as u64).unwrap();
        let Ok(crate::call::Outcome::Wait(future)) = (call.run)(&thread, [list, 2, 0, 0, 1, 0])
        else {
            panic!("it waits")
        };
        (future.await, waker.await)
    });
    assert_eq!(woken, (Ok(1), 1));
    assert!(thread.system.futexes.is_empty());
    thread.memory().put(at + 64, &one(at, 1)).unwrap();
    assert_eq!(wait(1), Err(Errno::EINVAL), "not of 32 bits");
}

/// Plays a program that handles `signal` at step 100 and does `steps` before; the handler logs the
/// time in ms and ends the program at the call of number `count`.
fn expiries(
    signal: Signal,
    count: usize,
    mut steps: impl FnMut(u64, u64, &mut kernel::user::Registers, &mut kernel::user::Space) -> Exit
    + 'static,
) -> Vec<u128> {
    let (first, at) = with_page();
    let stack = room(&first.memory(), 65_536) as u64 + 65_536;
    first.context().borrow_mut().registers_mut().rsp = stack;
    let flags = u64::from(raw::SA_RESTORER | raw::SA_SIGINFO);
    let action = Action { handler: 200, flags, ..Action::default() };
    first.process.signals.set_action(signal, action);
    let times = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&times);
    let begun = Instant::now();
    play(move |step, registers, space| match step {
        100 => {
            log.borrow_mut().push(begun.elapsed().as_millis());
            if log.borrow().len() == count {
                return call_of(registers, Sysno::exit_group, &[0]);
            }
            registers.rsp += 8;
            call_of(registers, Sysno::rt_sigreturn, &[])
        }
        // Whatever is interrupted, it waits again.
        50.. => {
            registers.rip = 100;
            call_of(registers, Sysno::pause, &[])
        }
        step => steps(step, at, registers, space),
    });
    assert_eq!(run(first), 0);
    times.take()
}

fn store(space: &kernel::user::Space, at: u64, words: &[u64]) {
    let (frame, _) = space.frame(at as usize / 4096 * 4096).unwrap();
    for (index, word) in words.iter().enumerate() {
        frame.write(at as usize % 4096 + 8 * index, &word.to_le_bytes());
    }
}

#[test]
fn an_alarm_comes_once_and_an_interval_again() {
    let alarm = expiries(Signal::ALRM, 1, |step, _, registers, _| match step {
        0 => call_of(registers, Sysno::alarm, &[7]),
        1 => {
            assert_eq!(registers.rax, 0);
            call_of(registers, Sysno::alarm, &[3])
        }
        _ => {
            assert_eq!(registers.rax, 7, "what was left");
            registers.rip = 100;
            Exit::Event
        }
    });
    assert_eq!(alarm, [3000]);
    let interval = expiries(Signal::ALRM, 3, |step, at, registers, space| match step {
        0 => {
            // The page is there once it is touched by a call.
            call_of(registers, Sysno::getitimer, &[0, at])
        }
        1 => {
            store(space, at, &[0, 20_000, 0, 50_000]);
            call_of(registers, Sysno::setitimer, &[0, at, at + 64])
        }
        _ => {
            assert_eq!(registers.rax, 0);
            registers.rip = 100;
            Exit::Event
        }
    });
    assert_eq!(interval, [50, 70, 90]);
}

#[test]
fn what_is_left_of_an_alarm_is_rounded_and_never_none() {
    let (first, _) = with_page();
    let after = |milliseconds| {
        call(&first, Sysno::alarm, &[7]).unwrap();
        block_on(sleep(Duration::from_millis(milliseconds)));
        call(&first, Sysno::alarm, &[0])
    };
    assert_eq!([400, 600, 6900].map(after), [Ok(7), Ok(6), Ok(1)]);
    assert_eq!(call(&first, Sysno::alarm, &[0]), Ok(0));
}

#[test]
fn a_timer_sends_its_value_to_its_thread() {
    let times = expiries(Signal::USR1, 2, |step, at, registers, space| match step {
        0 => call_of(registers, Sysno::getitimer, &[0, at]),
        1 => {
            // SIGEV_THREAD_ID for thread 1, with the value 77.
            store(space, at, &[77, 10 | 4 << 32, 1]);
            call_of(registers, Sysno::timer_create, &[1, at, at + 64])
        }
        2 => {
            assert_eq!((registers.rax, word(space, at + 64) as u32), (0, 0));
            store(space, at, &[0, 30 * MS, 0, 10 * MS]);
            call_of(registers, Sysno::timer_settime, &[0, 0, at, 0])
        }
        3 => call_of(registers, Sysno::timer_gettime, &[0, at]),
        _ => {
            assert_eq!(registers.rax, 0);
            assert_eq!((word(space, at + 8), word(space, at + 24)), (30 * MS, 10 * MS));
            registers.rip = 100;
            Exit::Event
        }
    });
    assert_eq!(times, [10, 40]);
}

#[test]
fn timers_have_their_errors() {
    let (thread, at) = with_page();
    let memory = thread.memory();
    let create = |clock: u64, event: u64| call(&thread, Sysno::timer_create, &[clock, event, at]);
    assert_eq!(create(99, 0), Err(Errno::EINVAL));
    assert_eq!(create(1, 8), Err(Errno::EFAULT));
    for event in [[0_u64, 99, 0], [0, 10 | 9 << 32, 0], [0, 10 | 4 << 32, 55]] {
        memory.put(at + 64, &event).unwrap();
        assert_eq!(create(1, at + 64), Err(Errno::EINVAL), "{event:?}");
    }
    assert_eq!(create(1, 0), Ok(0));
    let id = u64::from(memory.get::<u32>(at).unwrap());
    for number in [Sysno::timer_delete, Sysno::timer_getoverrun] {
        assert_eq!(call(&thread, number, &[id + 1]), Err(Errno::EINVAL));
    }
    assert_eq!(call(&thread, Sysno::timer_settime, &[id, 0, 0, 0]), Err(Errno::EINVAL));
    memory.put(at, &[0_i64, 0, 0, -1]).unwrap();
    assert_eq!(call(&thread, Sysno::timer_settime, &[id, 0, at, 0]), Err(Errno::EINVAL));
    assert_eq!(call(&thread, Sysno::timer_delete, &[id]), Ok(0));
    assert_eq!(call(&thread, Sysno::timer_gettime, &[id, at]), Err(Errno::EINVAL));
    memory.put(at, &[0_i64, 0, 0, 1_000_000]).unwrap();
    assert_eq!(call(&thread, Sysno::setitimer, &[0, at, 0]), Err(Errno::EINVAL));
    assert_eq!(call(&thread, Sysno::setitimer, &[3, at, 0]), Err(Errno::EINVAL));
    for made in 0..1024 {
        assert_eq!(create(1, 0), Ok(0), "{made}");
    }
    assert_eq!(create(1, 0), Err(Errno::EAGAIN));
}

#[test]
fn an_interrupted_sleep_tells_what_is_left() {
    let (first, at) = with_page();
    let stack = room(&first.memory(), 65_536) as u64 + 65_536;
    first.context().borrow_mut().registers_mut().rsp = stack;
    let action = Action { handler: 200, flags: raw::SA_RESTORER.into(), ..Action::default() };
    first.process.signals.set_action(Signal::ALRM, action);
    put_time(&first, at, 10, 0);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, space| match step {
        0 => call_of(registers, Sysno::alarm, &[4]),
        1 => call_of(registers, Sysno::nanosleep, &[at, at + 16]),
        100 => {
            registers.rsp += 8;
            call_of(registers, Sysno::rt_sigreturn, &[])
        }
        _ => {
            log.borrow_mut().extend([registers.rax, word(space, at + 16), word(space, at + 24)]);
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    run(first);
    assert_eq!(*seen.borrow(), [Errno::EINTR.result(), 6, 0]);
}

#[test]
fn a_sleep_goes_on_after_a_stop() {
    let (first, at) = with_page();
    put_time(&first, at, 10, 0);
    let process = Rc::clone(&first.process);
    let begun = Instant::now();
    let seen = Rc::new(RefCell::new(0));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| match step {
        0 => call_of(registers, Sysno::nanosleep, &[at, 0]),
        // What begins again is restart_syscall, whose step is the same.
        _ => {
            assert_eq!(registers.rax, 0);
            *log.borrow_mut() = begun.elapsed().as_secs();
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    let other = async move {
        sleep(Duration::from_secs(2)).await;
        process.stop(Signal::STOP);
        sleep(Duration::from_secs(3)).await;
        process.send(crate::signal::Info::kernel(Signal::CONT)).unwrap();
    };
    let system = Rc::clone(&first.system);
    block_on(async {
        let other = spawn(other);
        first.start().unwrap();
        assert_eq!(system.ended().await.code(), 0);
        other.await;
    });
    // The test's program makes the whole call again, and not the rest of it.
    assert!((10..=15).contains(&*seen.borrow()));
}

#[test]
fn timers_of_running_time_expire_when_it_has_run() {
    let (first, at) = with_page();
    let (process, thread) = (&first.process, &first.signals);
    first.memory().put(at, &[0_u64, 0, 0, 10]).unwrap();
    assert_eq!(call(&first, Sysno::setitimer, &[2, at, 0]), Ok(0));
    first.memory().put(at, &[1_u64, 2]).unwrap();
    assert_eq!(call(&first, Sysno::prlimit64, &[0, raw::RLIMIT_CPU.into(), at, 0]), Ok(0));
    process.signals.set_mask(thread, crate::signal::Set::ALL);
    let pending = || process.signals.pending(thread);
    let ran = |ns: u64| {
        process.ran.set(ns);
        expire(process, thread);
    };
    ran(9000);
    assert!(pending().is_empty());
    ran(10_000);
    assert_eq!(pending(), crate::signal::Set::of(&[Signal::PROF]));
    assert_eq!(process.intervals.ran[1].get(), Setting::default(), "it comes once");
    ran(1000 * MS);
    assert!(pending().has(Signal::XCPU) && !process.is_over());
    ran(2000 * MS);
    assert!(process.is_over());
}

#[test]
fn who_waits_is_told_how_much_memory_a_child_had() {
    let (thread, at) = with_page();
    thread.system.add(&thread.process);
    let memory = thread.memory();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        // It has a page of its own.
        (1, 0) => call_of(registers, Sysno::uname, &[at + 512]),
        (2, 0) => call_of(registers, Sysno::exit_group, &[0]),
        (1, _) => call_of(registers, Sysno::wait4, &[u64::MAX, 0, 0, at]),
        (2, child) => {
            log.borrow_mut().push(child);
            call_of(registers, Sysno::getrusage, &[u64::MAX, at + 256])
        }
        (_, result) => {
            log.borrow_mut().push(result);
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    assert_eq!(run(thread), 0);
    assert_eq!(*seen.borrow(), [2, 0]);
    // `ru_maxrss` is behind two times.
    let most = [at, at + 256].map(|at| memory.get::<u64>(at + 32).unwrap());
    assert!(most[0] > 0 && most[0] == most[1], "{most:?}");
}
