//! Tests of processes and threads, played to their end.

mod bounds;
mod rights;
mod shared;

use super::*;
use crate::file::Caller;
use crate::testing::{call_of, perform, play, room, run, thread};
use crate::thread::Thread;
use kernel::task::{alive, block_on, yield_now};
use kernel::user::Exit;
use linux_raw_sys::general as raw;
use syscalls::Sysno;

type Seen = Rc<RefCell<Vec<u64>>>;

/// What is left of a machine whose process 1 has ended: nothing.
fn ends_clean(thread: Rc<Thread>, code: i32) {
    let (system, memory) = (Rc::clone(&thread.system), Rc::downgrade(&thread.memory()));
    assert_eq!(run(thread), code);
    block_on(yield_now());
    assert_eq!((system.threads(), alive()), (0, 0));
    assert!(memory.upgrade().is_none(), "its memory goes with the last thread");
    assert!(system.futexes.is_empty() && system.process_count() == 0);
}

#[test]
fn a_process_ends_with_the_status_that_it_says() {
    play(|_, registers, _| call_of(registers, Sysno::exit_group, &[0x107]));
    ends_clean(thread(), 7);
    play(|_, registers, _| call_of(registers, Sysno::exit, &[5]));
    ends_clean(thread(), 5);
}

#[test]
fn a_child_is_a_copy_that_its_parent_waits_for() {
    let seen = Seen::default();
    let log = Rc::clone(&seen);
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    play(move |step, registers, space| {
        let result = registers.rax;
        match step {
            0 => call_of(registers, Sysno::fork, &[]),
            1 if result == 0 => {
                assert!(space.frame(at as usize).is_some() || space.stats().pages == 0);
                call_of(registers, Sysno::exit_group, &[3])
            }
            1 => {
                log.borrow_mut().push(result);
                call_of(registers, Sysno::wait4, &[u64::MAX, at, 0, 0])
            }
            2 => {
                log.borrow_mut().extend([result, crate::testing::word(space, at)]);
                call_of(registers, Sysno::wait4, &[u64::MAX, at, 0, 0])
            }
            _ => {
                log.borrow_mut().push(result);
                call_of(registers, Sysno::exit_group, &[0])
            }
        }
    });
    ends_clean(first, 0);
    assert_eq!(*seen.borrow(), [2, 2, 0x300, Errno::ECHILD.result()]);
}

#[test]
fn waiting_has_its_errors() {
    let first = thread();
    let wait = |which: u64, options: u32| {
        perform(&first, Sysno::wait4, [which, 0, options.into(), 0, 0, 0])
    };
    assert_eq!(wait(u64::MAX, 0x100), Err(Errno::EINVAL));
    assert_eq!(wait(u64::MAX, raw::WNOHANG), Err(Errno::ECHILD));
    assert_eq!(wait(i32::MIN as u64, 0), Err(Errno::ESRCH));
    let waitid = |kind: u32, id: u64, options: u32| {
        perform(&first, Sysno::waitid, [kind.into(), id, 0, options.into(), 0, 0])
    };
    assert_eq!(waitid(raw::P_ALL, 0, raw::WNOHANG), Err(Errno::EINVAL));
    assert_eq!(waitid(raw::P_PID, 0, raw::WEXITED), Err(Errno::EINVAL));
    assert_eq!(waitid(9, 1, raw::WEXITED), Err(Errno::EINVAL));
    assert_eq!(waitid(raw::P_PID, 9, raw::WEXITED), Err(Errno::ECHILD));
}

const THREAD: u64 = (raw::CLONE_VM
    | raw::CLONE_FS
    | raw::CLONE_FILES
    | raw::CLONE_SIGHAND
    | raw::CLONE_THREAD
    | raw::CLONE_SYSVSEM
    | raw::CLONE_SETTLS
    | raw::CLONE_PARENT_SETTID
    | raw::CLONE_CHILD_CLEARTID) as u64;

/// Plays a program that starts and joins `count` threads, `at_once` at a time.
fn threads_come_and_go(count: u64, at_once: u64) {
    let first = thread();
    let at = room(&first.memory(), 8 * at_once as usize) as u64;
    let joined = Rc::new(Cell::new(0));
    let count_joined = Rc::clone(&joined);
    // r12 counts those that run, r13 those that have ended.
    play(move |step, registers, space| {
        let result = registers.rax;
        let place = |index: u64| at + 8 * index;
        match step {
            0 => {
                let word = place(registers.r12);
                call_of(registers, Sysno::clone, &[THREAD, 0x1000, word, word, 0x7000])
            }
            1 if result == 0 => call_of(registers, Sysno::exit, &[0]),
            1 => {
                assert!((result as i64) > 0, "{}", result as i64);
                registers.r12 += 1;
                if registers.r12 < at_once {
                    registers.rip = 0;
                }
                Exit::Event
            }
            // Joins them from the last to the first.
            2 => {
                let word = place(registers.r12 - 1);
                match crate::testing::word(space, word) & u64::from(u32::MAX) {
                    0 => Exit::Event,
                    now => call_of(registers, Sysno::futex, &[word, 0, now, 0]),
                }
            }
            3 => {
                let word = place(registers.r12 - 1);
                if crate::testing::word(space, word) as u32 != 0 {
                    registers.rip = 4;
                    return Exit::Event;
                }
                registers.r12 -= 1;
                registers.r13 += 1;
                count_joined.set(registers.r13);
                registers.rip = match registers.r12 {
                    0 if registers.r13 == count => 8,
                    0 => 0,
                    _ => 4,
                };
                Exit::Event
            }
            _ => call_of(registers, Sysno::exit_group, &[0]),
        }
    });
    ends_clean(first, 0);
    assert_eq!(joined.get(), count);
}

#[test]
fn ten_thousand_threads_one_after_another_leave_nothing() {
    threads_come_and_go(10_000, 1);
}

#[test]
fn a_thousand_threads_at_once_end_and_are_joined() {
    threads_come_and_go(1000, 1000);
}

#[test]
fn ten_thousand_children_leave_nothing() {
    let first = thread();
    let system = Rc::clone(&first.system);
    room(&first.memory(), 4096);
    play(move |step, registers, _| {
        let result = registers.rax;
        match step {
            0 => call_of(registers, Sysno::fork, &[]),
            1 if result == 0 => call_of(registers, Sysno::exit_group, &[1]),
            1 => call_of(registers, Sysno::wait4, &[result, 0, 0, 0]),
            _ => {
                assert!((result as i64) > 0, "{}", result as i64);
                assert!(system.process_count() == 1 && alive() < 8);
                registers.r12 += 1;
                if registers.r12 == 10_000 {
                    return call_of(registers, Sysno::exit_group, &[0]);
                }
                registers.rip = 0;
                Exit::Event
            }
        }
    });
    ends_clean(first, 0);
}

#[test]
fn the_end_of_a_process_drops_what_its_threads_wait_for() {
    let first = thread();
    let at = room(&first.memory(), 8) as u64;
    play(move |step, registers, _| {
        let result = registers.rax;
        match step {
            0 => call_of(registers, Sysno::clone, &[THREAD, 0x1000, at, at, 0]),
            1 if result == 0 => call_of(registers, Sysno::futex, &[at + 4, 0, 0, 0]),
            1 => call_of(registers, Sysno::sched_yield, &[]),
            2 => call_of(registers, Sysno::exit_group, &[9]),
            _ => unreachable!("it waits for ever"),
        }
    });
    ends_clean(first, 9);
}

#[test]
fn a_vfork_waits_until_the_child_lets_go_of_the_memory() {
    let seen = Seen::default();
    let log = Rc::clone(&seen);
    let first = thread();
    play(move |step, registers, _| {
        let result = registers.rax;
        match step {
            0 => call_of(registers, Sysno::vfork, &[]),
            1 if result == 0 => call_of(registers, Sysno::sched_yield, &[]),
            1 => {
                log.borrow_mut().push(1);
                call_of(registers, Sysno::exit_group, &[0])
            }
            _ => {
                log.borrow_mut().push(0);
                call_of(registers, Sysno::exit_group, &[0])
            }
        }
    });
    ends_clean(first, 0);
    assert_eq!(*seen.borrow(), [0, 1]);
}

#[test]
fn an_orphan_is_a_child_of_the_first_process() {
    let seen = Seen::default();
    let log = Rc::clone(&seen);
    let first = thread();
    let at = room(&first.memory(), 8) as u64;
    play(move |step, registers, _| {
        let result = registers.rax;
        match step {
            0 => call_of(registers, Sysno::fork, &[]),
            1 if result == 0 => call_of(registers, Sysno::fork, &[]),
            1 => {
                registers.rip = 20;
                call_of(registers, Sysno::wait4, &[u64::MAX, at, 0, 0])
            }
            // The child ends before its own.
            2 if result != 0 => call_of(registers, Sysno::exit_group, &[1]),
            2 => call_of(registers, Sysno::sched_yield, &[]),
            3 => call_of(registers, Sysno::sched_yield, &[]),
            4 => call_of(registers, Sysno::getppid, &[]),
            5 => {
                log.borrow_mut().push(result);
                call_of(registers, Sysno::exit_group, &[4])
            }
            10 => {
                log.borrow_mut().push(result);
                call_of(registers, Sysno::wait4, &[u64::MAX, at, 0, 0])
            }
            11 => {
                log.borrow_mut().push(result);
                call_of(registers, Sysno::exit_group, &[0])
            }
            _ => unreachable!(),
        }
    });
    ends_clean(first, 0);
    assert_eq!(*seen.borrow(), [2, 1, 3]);
}

#[test]
fn the_numbers_of_groups_and_sessions_keep_their_rules() {
    let first = thread();
    let call = |number: Sysno, one: i64, two: i64| {
        perform(&first, number, [one as u64, two as u64, 0, 0, 0, 0])
    };
    assert_eq!(call(Sysno::getpid, 0, 0), Ok(1));
    assert_eq!(call(Sysno::getppid, 0, 0), Ok(0));
    assert_eq!(call(Sysno::getpgid, 9, 0), Err(Errno::ESRCH));
    assert_eq!(call(Sysno::getsid, 0, 0), Ok(1));
    assert_eq!(call(Sysno::setsid, 0, 0), Err(Errno::EPERM), "it leads its group");
    assert_eq!(call(Sysno::setpgid, 0, 0), Err(Errno::EPERM), "it leads its session");
    assert_eq!(call(Sysno::setpgid, 0, -1), Err(Errno::EINVAL));
    assert_eq!(call(Sysno::setpgid, 9, 9), Err(Errno::ESRCH));
    let own = &first.process;
    let child = own.fork(2, &first.memory(), 0, own).unwrap();
    first.system.add(&child);
    assert_eq!(call(Sysno::setpgid, 2, 7), Err(Errno::EPERM), "there is no such group");
    assert_eq!(call(Sysno::setpgid, 2, 0), Ok(0));
    assert_eq!((child.group(), child.session()), (2, 1));
    child.program.borrow_mut().executed = true;
    assert_eq!(call(Sysno::setpgid, 2, 1), Err(Errno::EACCES));
}

#[test]
fn clone_refuses_what_makes_no_sense() {
    let first = thread();
    let clone = |flags: u32| perform(&first, Sysno::clone, [flags.into(), 0, 0, 0, 0, 0]);
    let cases = [
        (raw::CLONE_THREAD, Errno::EINVAL),
        (raw::CLONE_SIGHAND, Errno::EINVAL),
        (raw::CLONE_NEWPID, Errno::EPERM),
        (raw::CLONE_NEWUSER, Errno::EPERM),
        (raw::CLONE_FS | raw::CLONE_NEWNS, Errno::EINVAL),
        (raw::CLONE_PIDFD | raw::CLONE_PARENT_SETTID, Errno::EINVAL),
        (
            raw::CLONE_VM | raw::CLONE_SIGHAND | raw::CLONE_THREAD | raw::CLONE_PARENT_SETTID,
            Errno::EFAULT,
        ),
    ];
    for (flags, errno) in cases {
        assert_eq!(clone(flags), Err(errno), "{flags:#x}");
    }
    assert_eq!(perform(&first, Sysno::clone3, [0, 63, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(perform(&first, Sysno::clone3, [0, 8192, 0, 0, 0, 0]), Err(Errno::E2BIG));
    assert_eq!(perform(&first, Sysno::clone3, [8, 64, 0, 0, 0, 0]), Err(Errno::EFAULT));
    let at = room(&first.memory(), 4096) as u64;
    let parent = u64::from(raw::CLONE_PARENT);
    // What has the parent of its parent says no signal of its own; a list of numbers has a length.
    for (flags, signal, list) in [(parent, raw::SIGCHLD.into(), 0), (0, 0, 8), (1 << 40, 0, 0)] {
        first.memory().put(at, &[flags, 0, 0, 0, signal, 0, 0, 0, list, 0]).unwrap();
        let refused = perform(&first, Sysno::clone3, [at, 80, 0, 0, 0, 0]);
        assert_eq!(refused, Err(Errno::EINVAL), "{flags:#x} {signal} {list}");
    }
    assert_eq!(first.system.threads(), 1);
    assert_eq!(first.process.thread_count(), 1);
}

#[test]
fn limits_are_raised_by_root_alone() {
    let limits = Limits::new();
    let all = |soft, hard| Limit { soft, hard };
    assert_eq!(limits.get(raw::RLIMIT_NOFILE), all(1024, 4096));
    assert_eq!(limits.set(raw::RLIMIT_NOFILE, all(5, 4), true), Err(Errno::EINVAL));
    assert_eq!(limits.set(raw::RLIMIT_NOFILE, all(5, 4097), false), Err(Errno::EPERM));
    assert_eq!(limits.set(raw::RLIMIT_NOFILE, all(5, 4097), true), Ok(()));
    assert_eq!(limits.set(16, all(0, 0), true), Err(Errno::EINVAL));
    let beyond = limits.set(raw::RLIMIT_NOFILE, all(5, INFINITY), true);
    assert_eq!(beyond, Err(Errno::EPERM), "more than fs.nr_open");
    assert_eq!(limits.get(raw::RLIMIT_NOFILE), all(5, 4097));
}

#[test]
fn a_process_gives_up_who_it_is_for_good() {
    let first = thread();
    let call = |number: Sysno, args: [u64; 3]| {
        perform(&first, number, [args[0], args[1], args[2], 0, 0, 0])
    };
    let same = u64::from(u32::MAX);
    assert_eq!(call(Sysno::setresuid, [same, 1000, same]), Ok(0));
    assert_eq!(call(Sysno::geteuid, [0; 3]), Ok(1000));
    assert_eq!(call(Sysno::setuid, [5, 0, 0]), Err(Errno::EPERM));
    assert_eq!(call(Sysno::setuid, [0, 0, 0]), Ok(0), "its saved one");
    assert_eq!(call(Sysno::setuid, [1000, 0, 0]), Ok(0));
    for number in [Sysno::setuid, Sysno::setreuid, Sysno::setresuid] {
        assert_eq!(call(number, [0, 0, 0]), Err(Errno::EPERM), "{number}");
    }
    assert_eq!(call(Sysno::setgroups, [0, 0, 0]), Err(Errno::EPERM));
    assert_eq!(call(Sysno::setfsuid, [0, 0, 0]), Ok(1000));
    assert_eq!(call(Sysno::setfsuid, [same, 0, 0]), Ok(1000));
}

#[test]
fn the_domain_is_not_the_host() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    first.memory().write(at as usize, b"example").unwrap();
    assert_eq!(perform(&first, Sysno::setdomainname, [at, 7, 0, 0, 0, 0]), Ok(0));
    assert_eq!(perform(&first, Sysno::uname, [at, 0, 0, 0, 0, 0]), Ok(0));
    let text = |index: usize| {
        let mut text = [0; 8];
        first.memory().read(at as usize + index * 65, &mut text).unwrap();
        text
    };
    assert_eq!([text(1), text(5)], [*b"xenith\0\0", *b"example\0"]);
}

#[test]
fn priorities_are_those_of_who_is_named_and_may_be_changed() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    let own = &first.process;
    let child = own.fork(2, &first.memory(), 0, own).unwrap();
    child.signals.add(Rc::new(Receiver::new(2, Set::EMPTY))).unwrap();
    first.system.add(&child);
    let call = |number: Sysno, args: [u64; 4]| {
        perform(&first, number, [args[0], args[1], args[2], args[3], 0, 0])
    };
    // struct sched_attr: a nice value of 5.
    first.memory().put(at, &[48_u64, 0, 5, 0, 0, 0]).unwrap();
    assert_eq!(call(Sysno::sched_setattr, [2, at, 0, 0]), Ok(0));
    let nice = || [own, &child].map(|it| it.controls.nice.get());
    assert_eq!(nice(), [0, 5]);
    assert_eq!(call(Sysno::sched_getattr, [2, at + 64, 48, 0]), Ok(0));
    assert_eq!(first.memory().get::<[u64; 3]>(at + 64).unwrap(), [48, 0, 5]);
    own.credentials.replace(Credentials::new(1000, 100));
    assert_eq!(call(Sysno::sched_setattr, [2, at, 0, 0]), Err(Errno::EPERM));
    assert_eq!(call(Sysno::setpriority, [0, 2, 9, 0]), Err(Errno::EPERM));
    // Of a group, those are changed that may be.
    assert_eq!(call(Sysno::setpriority, [1, 0, 9, 0]), Err(Errno::EPERM));
    assert_eq!(nice(), [9, 5]);
    assert_eq!(call(Sysno::setpriority, [0, 0, 8, 0]), Err(Errno::EACCES));
}

#[test]
fn limits_of_who_may_become_somebody_else_are_not_a_users() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    let own = &first.process;
    let child = own.fork(2, &first.memory(), 0, own).unwrap();
    first.system.add(&child);
    own.credentials.replace(Credentials::new(1000, 100));
    let look = |other: Credentials| {
        child.credentials.replace(other);
        perform(&first, Sysno::prlimit64, [2, raw::RLIMIT_NOFILE.into(), 0, at, 0, 0])
    };
    let same = Credentials::new(1000, 100);
    assert_eq!(look(same.clone()), Ok(0));
    let mut other = same.clone();
    other.user.saved = 0;
    assert_eq!(look(other), Err(Errno::EPERM));
    let mut other = same;
    other.group.real = 0;
    assert_eq!(look(other), Err(Errno::EPERM));
}

#[test]
fn a_descriptor_of_a_process_outlives_it() {
    use crate::watch::Ready;
    let first = thread();
    let call = |number: Sysno, args: [u64; 4]| {
        perform(&first, number, [args[0], args[1], args[2], args[3], 0, 0])
    };
    assert_eq!(call(Sysno::pidfd_open, [9, 0, 0, 0]), Err(Errno::ESRCH));
    assert_eq!(call(Sysno::pidfd_open, [1, 1, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(call(Sysno::pidfd_open, [0, 0, 0, 0]), Err(Errno::EINVAL));
    let own = &first.process;
    let child = own.fork(2, &first.memory(), 0, own).unwrap();
    first.system.add(&child);
    let fd = call(Sysno::pidfd_open, [2, raw::O_NONBLOCK.into(), 0, 0]).unwrap() as u64;
    let open = own.files().get(fd).unwrap();
    assert!(own.files().closes_on_exec(fd).unwrap());
    assert_eq!(open.file.ready(), Ready::empty());
    let exited = u64::from(raw::WEXITED);
    let waitid = |options: u32| {
        call(Sysno::waitid, [raw::P_PIDFD.into(), fd, 0, exited | u64::from(options)])
    };
    assert_eq!(waitid(0), Err(Errno::EAGAIN));
    assert_eq!(waitid(raw::WNOHANG), Ok(0));
    // Where none is told of, all is 0 up to the status.
    let told = room(&first.memory(), kernel::user::PAGE) as u64;
    first.memory().put(told, &[7_u32; 8]).unwrap();
    let none = [raw::P_PIDFD.into(), fd, told, exited | u64::from(raw::WNOHANG)];
    assert_eq!(call(Sysno::waitid, none), Ok(0));
    assert_eq!(first.memory().get::<[u32; 8]>(told).unwrap(), [0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(call(Sysno::waitid, [raw::P_PIDFD.into(), 99, 0, exited]), Err(Errno::EBADF));
    assert_eq!(call(Sysno::pidfd_send_signal, [fd, 0, 0, 0]), Ok(0));
    assert_eq!(call(Sysno::pidfd_send_signal, [fd, 0, 0, 1]), Err(Errno::EINVAL));
    assert_eq!(call(Sysno::pidfd_send_signal, [fd, 99, 0, 0]), Err(Errno::EINVAL));
    let at = room(&first.memory(), 4096) as u64;
    first.memory().put(at, &Info::user(Signal::TERM, 1, 0)).unwrap();
    for (number, errno) in [(raw::SIGHUP, Errno::EINVAL), (raw::SIGTERM, Errno::EPERM)] {
        assert_eq!(call(Sysno::pidfd_send_signal, [fd, number.into(), at, 0]), Err(errno));
    }
    assert_eq!(call(Sysno::lseek, [fd, 0, 0, 0]), Err(Errno::ESPIPE));
    // What it has open, who may look into it has as well.
    child.files().put(5, own.files().get(fd).unwrap(), false).unwrap();
    assert_eq!(call(Sysno::pidfd_getfd, [fd, 6, 0, 0]), Err(Errno::EBADF));
    assert_eq!(call(Sysno::pidfd_getfd, [fd, 5, 1, 0]), Err(Errno::EINVAL));
    let copy = call(Sysno::pidfd_getfd, [fd, 5, 0, 0]).unwrap() as u64;
    assert!(Rc::ptr_eq(&own.files().get(copy).unwrap(), &open));
    assert!(own.files().closes_on_exec(copy).unwrap());
    call(Sysno::setuid, [9, 0, 0, 0]).unwrap();
    assert_eq!(call(Sysno::pidfd_getfd, [fd, 5, 0, 0]), Err(Errno::EPERM));
    let receiver = Receiver::new(2, Set::EMPTY);
    child.leave(&receiver, Status::exit(3), 0);
    assert_eq!(open.file.ready(), Ready::IN | Ready::RDNORM);
    drop(child);
    assert_eq!(waitid(0), Ok(0));
    assert_eq!(open.file.ready(), Ready::IN | Ready::RDNORM, "still after nothing is left of it");
    assert_eq!(waitid(0), Err(Errno::ECHILD));
    assert_eq!(call(Sysno::pidfd_send_signal, [fd, 0, 0, 0]), Err(Errno::ESRCH));
}

#[test]
fn a_parent_is_given_a_descriptor_of_its_child() {
    let seen = Seen::default();
    let log = Rc::clone(&seen);
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    play(move |step, registers, space| {
        let result = registers.rax;
        let flags = u64::from(raw::CLONE_PIDFD | raw::SIGCHLD);
        match step {
            0 => call_of(registers, Sysno::clone, &[flags, 0, at, 0, 0]),
            1 if result == 0 => call_of(registers, Sysno::close, &[0]),
            1 => {
                let fd = crate::testing::word(space, at) as u32;
                log.borrow_mut().push(fd.into());
                let exited = raw::WEXITED.into();
                registers.rip = 20;
                call_of(registers, Sysno::waitid, &[raw::P_PIDFD.into(), fd.into(), 0, exited])
            }
            2 => {
                log.borrow_mut().push(result);
                call_of(registers, Sysno::exit_group, &[0])
            }
            _ => {
                log.borrow_mut().push(result);
                call_of(registers, Sysno::exit_group, &[0])
            }
        }
    });
    ends_clean(first, 0);
    assert_eq!(*seen.borrow(), [0, Errno::EBADF.result(), 0], "the child has none");
}
