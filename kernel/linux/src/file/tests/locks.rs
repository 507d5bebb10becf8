//! Tests of locks of files: fcntl(2), flock(2).

use super::*;
use crate::testing::{call_of, play, run};
use core::cell::RefCell;

#[test]
fn locks_keep_others_out() {
    let it = Program::new();
    it.file("/a", b"text");
    let (a, b) = (it.open("/a", abi::O_RDWR).unwrap(), it.open("/a", abi::O_RDWR).unwrap());
    let lock = |kind: u16, start: i64, length: i64| {
        let mut bytes = [0_u8; 32];
        bytes[..2].copy_from_slice(&kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&start.to_le_bytes());
        bytes[16..24].copy_from_slice(&length.to_le_bytes());
        it.put(&bytes)
    };
    // Of one process no lock stands in another's way.
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(1, 0, 0)]), Ok(0));
    assert_eq!(it.call(Sysno::fcntl, &[b, 6, lock(1, 0, 0)]), Ok(0));
    // An open file's do.
    assert_eq!(it.call(Sysno::fcntl, &[b, 37, lock(0, 0, 1)]), Err(Errno::EAGAIN));
    assert_eq!(it.call(Sysno::fcntl, &[b, 36, lock(0, 0, 1)]), Ok(0));
    let said = it.got(32);
    assert_eq!((said[0], said[24]), (1, it.thread.process.id as u8));
    // Any close ends those of the process.
    let other = it.open("/a", abi::O_RDONLY).unwrap();
    it.close(other);
    assert_eq!(it.call(Sysno::fcntl, &[b, 37, lock(0, 0, 1)]), Ok(0));
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(1, 0, 1)]), Err(Errno::EAGAIN));
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(1, 1, 1)]), Ok(0));
    it.close(b);
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(1, 0, 1)]), Ok(0));
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(7, 0, 1)]), Err(Errno::EINVAL));
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(1, -1, 1)]), Err(Errno::EINVAL));
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(1, 5, -6)]), Err(Errno::EINVAL));
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, lock(1, i64::MAX, 2)]), Err(Errno::EOVERFLOW));
    assert_eq!(it.call(Sysno::fcntl, &[a, 6, 8]), Err(Errno::EFAULT));

    let b = it.open("/a", abi::O_RDONLY).unwrap();
    let nonblocking = |how| u64::from(how | abi::LOCK_NB);
    assert_eq!(it.call(Sysno::flock, &[a, nonblocking(abi::LOCK_SH)]), Ok(0));
    assert_eq!(it.call(Sysno::flock, &[b, nonblocking(abi::LOCK_SH)]), Ok(0));
    assert_eq!(it.call(Sysno::flock, &[b, nonblocking(abi::LOCK_EX)]), Err(Errno::EAGAIN));
    // What could not be had alone is not shared any more either.
    assert_eq!(it.call(Sysno::flock, &[a, nonblocking(abi::LOCK_EX)]), Ok(0));
    assert_eq!(it.call(Sysno::flock, &[a, nonblocking(abi::LOCK_EX)]), Ok(0));
    assert_eq!(it.call(Sysno::flock, &[b, nonblocking(abi::LOCK_SH)]), Err(Errno::EAGAIN));
    it.close(a);
    assert_eq!(it.call(Sysno::flock, &[b, nonblocking(abi::LOCK_EX)]), Ok(0));

    // What ends a process, or its program, ends its locks.
    let close_on_exec = it.open("/a", abi::O_RDWR | abi::O_CLOEXEC).unwrap();
    let files = &it.thread.process.files();
    assert_eq!(it.call(Sysno::fcntl, &[close_on_exec, 6, lock(1, 0, 1)]), Ok(0));
    files.exec();
    let c = it.open("/a", abi::O_RDWR).unwrap();
    assert_eq!(it.call(Sysno::fcntl, &[c, 37, lock(1, 0, 1)]), Ok(0));
}

/// `struct flock` of an exclusive lock of one byte.
const fn one_byte(start: u64) -> [u64; 4] {
    [1, start, 1, 0]
}

#[test]
fn two_who_would_wait_for_each_other_are_told() {
    let it = Program::new();
    it.file("/a", b"text");
    let fd = it.open("/a", abi::O_RDWR).unwrap();
    let (first, second) = (it.room as u64, it.room as u64 + 64);
    it.thread.memory().put(first, &one_byte(0)).unwrap();
    it.thread.memory().put(second, &one_byte(1)).unwrap();
    assert_eq!(it.call(Sysno::fcntl, &[fd, 6, first]), Ok(0));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        (1, 0) => call_of(registers, Sysno::fcntl, &[fd, 6, second]),
        (2, _) => call_of(registers, Sysno::fcntl, &[fd, 7, first]),
        (1, _) => {
            registers.rip = 20;
            call_of(registers, Sysno::sched_yield, &[])
        }
        (10..14, _) => call_of(registers, Sysno::sched_yield, &[]),
        (14, _) => call_of(registers, Sysno::fcntl, &[fd, 7, second]),
        // It gives up its own, and the other one goes on.
        (15, result) => {
            log.borrow_mut().push(result);
            registers.rip = 32;
            call_of(registers, Sysno::close, &[fd])
        }
        (3, result) => {
            log.borrow_mut().push(result);
            call_of(registers, Sysno::exit_group, &[0])
        }
        (16, _) => call_of(registers, Sysno::wait4, &[2, 0, 0, 0]),
        _ => call_of(registers, Sysno::exit_group, &[0]),
    });
    assert_eq!(run(Rc::clone(&it.thread)), 0);
    assert_eq!(*seen.borrow(), [Errno::EDEADLK.result(), 0]);
}

#[test]
fn who_gave_up_what_another_waits_for_may_wait_for_that_one() {
    let it = Program::new();
    it.file("/a", b"text");
    let fd = it.open("/a", abi::O_RDWR).unwrap();
    let [first, second, free] = [0, 64, 128].map(|offset| it.room as u64 + offset);
    it.thread.memory().put(first, &one_byte(0)).unwrap();
    it.thread.memory().put(second, &one_byte(1)).unwrap();
    it.thread.memory().put(free, &[2_u64, 0, 1, 0]).unwrap();
    assert_eq!(it.call(Sysno::fcntl, &[fd, 6, first]), Ok(0));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        (1, 0) => call_of(registers, Sysno::fcntl, &[fd, 6, second]),
        (2, _) => call_of(registers, Sysno::fcntl, &[fd, 7, first]),
        (1, _) => {
            registers.rip = 20;
            call_of(registers, Sysno::sched_yield, &[])
        }
        (10..14, _) => call_of(registers, Sysno::sched_yield, &[]),
        // The other one does not run between these two.
        (14, _) => call_of(registers, Sysno::fcntl, &[fd, 6, free]),
        (15, _) => call_of(registers, Sysno::fcntl, &[fd, 7, second]),
        (3 | 16, result) => {
            log.borrow_mut().push((step, result));
            call_of(registers, Sysno::exit_group, &[0])
        }
        _ => unreachable!("step {step}"),
    });
    assert_eq!(run(Rc::clone(&it.thread)), 0);
    assert_eq!(*seen.borrow(), [(3, 0), (16, 0)]);
}
