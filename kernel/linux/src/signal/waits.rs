//! Tests of waiting for signals, and of waits that signals end: between processes.

use super::*;
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::{Backing, Mapped, Request};
use crate::process::Status;
use crate::testing::{Numbered, RW, call_of, perform, play, room, run, thread, word};
use crate::thread::Thread;
use crate::watch::Ready;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;
use kernel::task::{block_on, spawn};
use kernel::testing::simulate_time;
use kernel::time::{Instant, sleep};
use kernel::user::{Exit, PAGE};
use linux_raw_sys::general as raw;
use syscalls::Sysno;

/// A thread on a stack of its own, and a page of memory.
fn begin() -> (Rc<Thread>, u64) {
    simulate_time();
    let thread = thread();
    let stack = room(&thread.memory(), 65_536) as u64;
    thread.context().borrow_mut().registers_mut().rsp = stack + 65_536;
    let at = room(&thread.memory(), 4096) as u64;
    (thread, at)
}

fn handle(thread: &Thread, signal: Signal, flags: u32) {
    let flags = u64::from(flags | raw::SA_RESTORER | raw::SA_SIGINFO);
    let action = Action { handler: 200, flags, ..Action::default() };
    thread.process.signals.set_action(signal, action);
}

/// Runs `thread` while `other` does something to its process.
fn run_beside(thread: Rc<Thread>, other: impl Future<Output = ()> + 'static) -> i32 {
    let system = Rc::clone(&thread.system);
    block_on(async {
        let other = spawn(other);
        thread.start().unwrap();
        let status = system.ended().await;
        drop(other);
        status.code()
    })
}

/// Plays a read of an empty pipe, which `SIGUSR1` interrupts after 5 ms, and which has a byte
/// after 9. Returns what it returned, and how often it was called.
fn interrupted_read(flags: Option<u32>) -> (u64, usize) {
    let (first, at) = begin();
    match flags {
        Some(flags) => handle(&first, Signal::USR1, flags),
        None => {
            let action = Action { handler: Action::IGNORE, ..Action::default() };
            first.process.signals.set_action(Signal::USR1, action);
        }
    }
    perform(&first, Sysno::pipe, [at, 0, 0, 0, 0, 0]).unwrap();
    let process = Rc::clone(&first.process);
    let write = process.files().get(1).unwrap();
    let seen = Rc::new(RefCell::new((0, 0)));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| match step {
        0 => {
            log.borrow_mut().1 += 1;
            call_of(registers, Sysno::poll, &[at + 64, 0, u64::MAX])
        }
        100 => {
            registers.rsp += 8;
            call_of(registers, Sysno::rt_sigreturn, &[])
        }
        _ => {
            log.borrow_mut().0 = registers.rax;
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    let other = async move {
        sleep(Duration::from_millis(5)).await;
        process.send(Info::kernel(Signal::USR1)).unwrap();
        sleep(Duration::from_millis(4)).await;
        drop(write);
        process.end(Status::exit(0));
    };
    run_beside(first, other);
    seen.take()
}

#[test]
fn a_poll_is_interrupted_by_handlers_alone() {
    let eintr = Errno::EINTR.result();
    assert_eq!(interrupted_read(Some(0)), (eintr, 1));
    assert_eq!(interrupted_read(Some(raw::SA_RESTART)), (eintr, 1), "poll never begins again");
    assert_eq!(interrupted_read(None), (0, 1), "an ignored signal is none");
}

/// Plays a program that makes one call and ends, and whose handlers return. What the call
/// returned stands where this points to once it has run.
fn played(number: Sysno, args: [u64; 6]) -> Rc<RefCell<u64>> {
    let seen = Rc::new(RefCell::new(0));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| match step {
        0 => call_of(registers, number, &args),
        100 => {
            registers.rsp += 8;
            call_of(registers, Sysno::rt_sigreturn, &[])
        }
        _ => {
            *log.borrow_mut() = registers.rax;
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    seen
}

/// Plays the opening of a pipe with a name, which `SIGUSR1` interrupts after 5 ms, and whose other
/// side is opened after 9, when the name is gone. Returns what it returned.
fn interrupted_open(flags: u32) -> u64 {
    use crate::file::{New, Open};
    let (first, at) = begin();
    handle(&first, Signal::USR1, flags);
    let caller = Rc::clone(&first);
    let place = first.system.tree.make(&*first, None, b"/fifo", New::Pipe, 0o600).unwrap();
    let name = u64::from_le_bytes(*b"/fifo\0\0\0");
    first.memory().put(at, &name).unwrap();
    let seen = played(Sysno::open, [at, 0, 0, 0, 0, 0]);
    run_beside(first, async move {
        sleep(Duration::from_millis(5)).await;
        caller.process.send(Info::kernel(Signal::USR1)).unwrap();
        sleep(Duration::from_millis(4)).await;
        perform(&caller, Sysno::unlink, [at, 0, 0, 0, 0, 0]).unwrap();
        let end = crate::channel::fifo::open(&*caller, raw::O_WRONLY, &place).unwrap();
        drop(Open::uncounted(end, raw::O_WRONLY));
    });
    seen.take()
}

#[test]
fn the_opening_of_a_pipe_ends_by_a_signal_or_by_who_comes_although_its_name_is_gone() {
    assert_eq!(interrupted_open(0), Errno::EINTR.result());
    assert_eq!(interrupted_open(raw::SA_RESTART), 0, "the descriptor");
}

#[test]
fn a_wait_for_a_futex_with_an_end_is_not_made_again_behind_a_handler() {
    // Until 2 s of the monotonic clock.
    for (end, expected) in [(true, Errno::EINTR), (false, Errno::EAGAIN)] {
        let (first, at) = begin();
        handle(&first, Signal::USR1, raw::SA_RESTART);
        first.memory().put(at, &[0_u64, 2_000, 0]).unwrap();
        let other = Rc::clone(&first);
        let end = if end { at + 8 } else { 0 };
        let (operation, bits) = (raw::FUTEX_WAIT_BITSET.into(), raw::FUTEX_BITSET_MATCH_ANY.into());
        let seen = played(Sysno::futex, [at, operation, 0, end, 0, bits]);
        run_beside(first, async move {
            sleep(Duration::from_millis(5)).await;
            // Made again, it finds another value.
            other.memory().put(at, &1_u32).unwrap();
            other.process.send(Info::kernel(Signal::USR1)).unwrap();
        });
        assert_eq!(seen.take(), expected.result());
    }
}

/// Plays a wait for a child, during which `SIGUSR1` comes. Returns what it returned.
fn interrupted_wait(flags: u32) -> u64 {
    let (first, at) = begin();
    handle(&first, Signal::USR1, flags);
    let process = Rc::clone(&first.process);
    let seen = Rc::new(RefCell::new(0));
    let log = Rc::clone(&seen);
    first.memory().put(at, &[0_u64, 20_000_000]).unwrap();
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        (1, 0) => {
            registers.rip = 20;
            call_of(registers, Sysno::nanosleep, &[at, 0])
        }
        (1, _) => {
            registers.rip = 10;
            Exit::Event
        }
        (5, _) => call_of(registers, Sysno::wait4, &[u64::MAX, 0, 0, 0]),
        (10, _) => call_of(registers, Sysno::exit_group, &[0]),
        (100, _) => {
            registers.rsp += 8;
            call_of(registers, Sysno::rt_sigreturn, &[])
        }
        (_, result) => {
            *log.borrow_mut() = result;
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    let other = async move {
        sleep(Duration::from_millis(5)).await;
        process.send(Info::kernel(Signal::USR1)).unwrap();
    };
    run_beside(first, other);
    seen.take()
}

#[test]
fn a_wait_for_a_child_begins_again_if_the_handler_says_so() {
    assert_eq!(interrupted_wait(0), Errno::EINTR.result());
    assert_eq!(interrupted_wait(raw::SA_RESTART), 2);
}

#[test]
fn sigtimedwait_takes_what_is_blocked_and_gives_up_in_time() {
    let (first, at) = begin();
    first.process.signals.set_mask(&first.signals, Set::ALL);
    let memory = first.memory();
    memory.put(at, &Set::of(&[Signal::USR1, Signal::USR2])).unwrap();
    memory.put(at + 16, &[0_u64, 10_000_000]).unwrap();
    let wait =
        |size: u64| perform(&first, Sysno::rt_sigtimedwait, [at, at + 64, at + 16, size, 0, 0]);
    assert_eq!(wait(4), Err(Errno::EINVAL));
    let begun = Instant::now();
    assert_eq!(wait(8), Err(Errno::EAGAIN));
    assert_eq!(begun.elapsed().as_millis(), 10);
    first.process.send(Info::user(Signal::HUP, 5, 0)).unwrap();
    first.process.send(Info::user(Signal::USR2, 5, 0)).unwrap();
    assert_eq!(wait(8), Ok(12));
    assert_eq!(memory.get::<i32>(at + 64).unwrap(), 12);
    assert_eq!(memory.get::<i32>(at + 64 + 16).unwrap(), 5, "who sent it");
    let process = Rc::clone(&first.process);
    let call = crate::table::call(Sysno::rt_sigtimedwait as u64).unwrap();
    memory.put(at + 16, &[9_u64, 0]).unwrap();
    let taken = block_on(async {
        let sender = spawn(async move {
            sleep(Duration::from_millis(3)).await;
            process.send(Info::user(Signal::USR1, 6, 0)).unwrap();
        });
        let answer = (call.run)(&first, [at, 0, at + 16, 8, 0, 0]);
        let Ok(crate::call::Outcome::Wait(future)) = answer else { panic!("it waits") };
        sender.await;
        future.await
    });
    assert_eq!(taken, Ok(10));
    assert_eq!(first.process.signals.pending(&first.signals), Set::of(&[Signal::HUP]));
}

#[test]
fn sigsuspend_lets_one_in_and_the_mask_comes_back() {
    let (first, at) = begin();
    handle(&first, Signal::USR1, 0);
    let blocked = Set::of(&[Signal::USR1, Signal::USR2]);
    first.process.signals.set_mask(&first.signals, blocked);
    first.process.send(Info::kernel(Signal::USR2)).unwrap();
    first.memory().put(at, &Set::of(&[Signal::USR2])).unwrap();
    let (process, thread) = (Rc::clone(&first.process), Rc::clone(&first));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, space| match step {
        0 => call_of(registers, Sysno::rt_sigsuspend, &[at, 8]),
        100 => {
            log.borrow_mut().push(thread.signals.mask());
            // The mask of the frame is the one from before the call.
            log.borrow_mut().push(Set::from_bits(word(space, registers.rdx + 296)));
            registers.rsp += 8;
            call_of(registers, Sysno::rt_sigreturn, &[])
        }
        _ => {
            assert_eq!(registers.rax, Errno::EINTR.result());
            log.borrow_mut().push(thread.signals.mask());
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    run_beside(first, async move {
        sleep(Duration::from_millis(3)).await;
        process.send(Info::kernel(Signal::USR1)).unwrap();
    });
    assert_eq!(*seen.borrow(), [blocked, blocked, blocked]);
}

#[test]
fn a_mask_for_a_call_ends_with_it_where_a_page_had_to_be_read() {
    let (first, at) = begin();
    handle(&first, Signal::USR1, 0);
    let blocked = Set::of(&[Signal::USR1]);
    first.process.signals.set_mask(&first.signals, blocked);
    first.process.send(Info::kernel(Signal::USR1)).unwrap();
    first.memory().put(at, &Set::EMPTY).unwrap();
    // What is asked for is in a page that is not there yet, and of files that are not open.
    let file = Mapped::new(Numbered::new(4096, 0), b"", 1, 1, false).unwrap();
    let backing = Backing::File { file, offset: 0, shared: false };
    let list = first.memory().map(&Request { backing, ..Request::anonymous(4096, RW) }).unwrap();
    let thread = Rc::clone(&first);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| {
        log.borrow_mut().push((step, registers.rax, thread.signals.mask()));
        match step {
            0 => call_of(registers, Sysno::ppoll, &[list as u64, 2, 0, at, 8]),
            100 => {
                registers.rsp += 8;
                call_of(registers, Sysno::rt_sigreturn, &[])
            }
            _ => call_of(registers, Sysno::exit_group, &[0]),
        }
    });
    assert_eq!(run(first), 0);
    assert_eq!(*seen.borrow(), [(0, 0, blocked), (1, 2, blocked)], "no handler was called");
}

#[test]
fn a_signalfd_is_read_and_waited_for() {
    let (first, at) = begin();
    first.process.signals.set_mask(&first.signals, Set::ALL);
    first.memory().put(at, &Set::of(&[Signal::CHLD, Signal::KILL])).unwrap();
    let new = u64::from(u32::MAX);
    let fd = perform(&first, Sysno::signalfd4, [new, at, 8, 0x800, 0, 0]).unwrap() as u64;
    let open = first.process.files().get(fd).unwrap();
    let ready = || open.file.ready_by(&*first);
    let changes = || open.file.watch_by(&*first).unwrap().changes();
    assert!(open.is_nonblocking() && ready().is_empty());
    let before = changes();
    first.process.send(Info::child(Signal::CHLD, raw::CLD_EXITED, 7, 0, 3)).unwrap();
    first.send(Info::kernel(Signal::HUP));
    assert!(changes() > before);
    assert!(ready().contains(Ready::IN));
    let read = |size| perform(&first, Sysno::read, [fd, at + 256, size, 0, 0, 0]);
    assert_eq!(read(127), Err(Errno::EINVAL));
    assert_eq!(read(300), Ok(128));
    let word = |offset: u64| first.memory().get::<u32>(at + 256 + offset).unwrap();
    assert_eq!((word(0), word(8), word(12), word(40)), (17, 1, 7, 3));
    assert_eq!(read(300), Err(Errno::EAGAIN));
    first.memory().put(at, &Set::of(&[Signal::HUP])).unwrap();
    assert_eq!(perform(&first, Sysno::signalfd4, [fd, at, 8, 0, 0, 0]), Ok(fd as usize));
    assert!(ready().contains(Ready::IN));
}

/// Makes a descriptor for `SIGUSR1`, which the thread blocks.
fn signalfd(thread: &Rc<Thread>, at: u64, flags: u32) -> u64 {
    let usr1 = Set::of(&[Signal::USR1]);
    thread.process.signals.set_mask(&thread.signals, usr1);
    thread.memory().put(at, &usr1).unwrap();
    let args = [u64::from(u32::MAX), at, 8, flags.into(), 0, 0];
    perform(thread, Sysno::signalfd4, args).unwrap() as u64
}

/// Gives a descriptor to another process, and returns its number there.
fn give(from: &Thread, fd: u64, to: &Thread) -> u64 {
    let open = from.process.files().get(fd).unwrap();
    to.process.files().add(open, false, 0).unwrap() as u64
}

#[test]
fn a_signalfd_has_the_signals_of_whoever_reads_or_polls_and_not_of_its_maker() {
    let ((maker, at), (other, room)) = (begin(), begin());
    let fd = signalfd(&maker, at, raw::O_NONBLOCK);
    let given = give(&maker, fd, &other);
    let pollfd = |fd: u64| fd | 1 << 32;
    maker.memory().put(at, &pollfd(fd)).unwrap();
    other.memory().put(room, &pollfd(given)).unwrap();
    let poll = |thread: &Rc<Thread>, at| perform(thread, Sysno::poll, [at, 1, 0, 0, 0, 0]);
    let read = |thread: &Rc<Thread>, fd, at| perform(thread, Sysno::read, [fd, at, 128, 0, 0, 0]);
    let usr1 = Set::of(&[Signal::USR1]);
    other.process.signals.set_mask(&other.signals, usr1);
    other.process.send(Info::user(Signal::USR1, 5, 0)).unwrap();
    assert_eq!((poll(&maker, at), poll(&other, room)), (Ok(0), Ok(1)));
    assert_eq!(read(&maker, fd, at + 256), Err(Errno::EAGAIN));
    assert_eq!(read(&other, given, room + 256), Ok(128));
    assert_eq!(other.memory().get::<u32>(room + 256 + 12).unwrap(), 5);
    // One that was sent to another thread of the same process is not for this one.
    let second = Rc::new(Receiver::new(77, usr1));
    maker.process.signals.add(Rc::clone(&second)).unwrap();
    maker.process.signals.send_to(&second, Info::user(Signal::USR1, 5, 0)).unwrap();
    assert_eq!((poll(&maker, at), read(&maker, fd, at + 256)), (Ok(0), Err(Errno::EAGAIN)));
    assert_eq!(maker.process.signals.pending(&second), usr1);
}

#[test]
fn a_read_and_a_poll_of_a_signalfd_wait_for_the_signals_of_who_waits() {
    for call in [Sysno::read, Sysno::poll] {
        let ((maker, at), (other, room)) = (begin(), begin());
        let given = give(&maker, signalfd(&maker, at, 0), &other);
        other.process.signals.set_mask(&other.signals, Set::of(&[Signal::USR1]));
        other.memory().put(room, &(given | 1 << 32)).unwrap();
        let (args, result) = match call {
            Sysno::read => ([given, room, 128, 0, 0, 0], 128),
            _ => ([room, 1, 1000, 0, 0, 0], 1),
        };
        let answer = (crate::table::call(call as u64).unwrap().run)(&other, args);
        let Ok(crate::call::Outcome::Wait(future)) = answer else { panic!("it waits") };
        let process = Rc::clone(&other.process);
        let taken = block_on(async move {
            let sender = async move {
                maker.process.send(Info::kernel(Signal::USR1)).unwrap();
                sleep(Duration::from_millis(3)).await;
                process.send(Info::kernel(Signal::USR1)).unwrap();
            };
            kernel::task::join(future, sender).await.0
        });
        assert_eq!(taken, Ok(result), "{call}");
    }
}

#[test]
fn an_epoll_hears_of_the_signals_of_who_added_a_signalfd_and_tells_who_waits_of_its_own() {
    let ((maker, at), (other, room)) = (begin(), begin());
    let fd = signalfd(&maker, at, raw::O_NONBLOCK);
    let epoll = perform(&maker, Sysno::epoll_create1, [0; 6]).unwrap() as u64;
    maker.memory().put(at, &[1_u64, 0]).unwrap();
    perform(&maker, Sysno::epoll_ctl, [epoll, raw::EPOLL_CTL_ADD.into(), fd, at, 0, 0]).unwrap();
    let given = give(&maker, epoll, &other);
    other.process.signals.set_mask(&other.signals, Set::of(&[Signal::USR1]));
    let told = |thread, epoll, at| perform(thread, Sysno::epoll_wait, [epoll, at, 4, 0, 0, 0]);
    let both = || [told(&maker, epoll, at), told(&other, given, room)];
    // The other process is not told of its own (BUGS of signalfd(2)).
    other.process.send(Info::kernel(Signal::USR1)).unwrap();
    assert_eq!(told(&other, given, room), Ok(0));
    let change = [epoll, raw::EPOLL_CTL_MOD.into(), fd, at, 0, 0];
    maker.memory().put(at, &[1_u64, 0]).unwrap();
    perform(&maker, Sysno::epoll_ctl, change).unwrap();
    assert_eq!(both(), [Ok(0), Ok(0)]);
    maker.process.send(Info::kernel(Signal::USR1)).unwrap();
    assert_eq!(both(), [Ok(1), Ok(1)]);
    // What one asks for and does not find ready is not told the other either, as on Linux.
    let read = |thread, fd, at| perform(thread, Sysno::read, [fd, at, 128, 0, 0, 0]);
    assert_eq!(read(&other, give(&maker, fd, &other), room), Ok(128));
    assert_eq!([told(&other, given, room), told(&maker, epoll, at)], [Ok(0), Ok(0)]);
    assert_eq!(read(&maker, fd, at), Ok(128));
}

#[test]
fn a_stop_and_what_follows_are_told_to_the_parent() {
    let (first, at) = begin();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let options = u64::from(raw::WUNTRACED | raw::WCONTINUED);
    play(move |step, registers, space| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        (1, 0) => call_of(registers, Sysno::kill, &[2, 19]),
        (1, _) => {
            registers.rip = 20;
            Exit::Event
        }
        // The child goes on behind its stop.
        (2, _) => call_of(registers, Sysno::exit_group, &[6]),
        (10, _) => call_of(registers, Sysno::wait4, &[2, at, options, 0]),
        (11, result) => {
            log.borrow_mut().extend([result, word(space, at)]);
            call_of(registers, Sysno::kill, &[2, 18])
        }
        (12, _) => call_of(registers, Sysno::wait4, &[2, at, options, 0]),
        (13, result) => {
            log.borrow_mut().extend([result, word(space, at)]);
            call_of(registers, Sysno::waitid, &[1, 2, at + 64, raw::WEXITED.into(), 0])
        }
        (14, result) => {
            let info = [at + 64, at + 72, at + 80, at + 88].map(|it| word(space, it) as u32);
            log.borrow_mut().push(result);
            log.borrow_mut().extend(info.map(u64::from));
            call_of(registers, Sysno::exit_group, &[0])
        }
        other => unreachable!("{other:?}"),
    });
    assert_eq!(run(first), 0);
    let exited = [0, 17, raw::CLD_EXITED.into(), 2, 6];
    assert_eq!(seen.borrow()[..4], [2, 0x137F, 2, 0xFFFF]);
    assert_eq!(seen.borrow()[4..], exited);
}

#[test]
fn children_of_a_parent_that_ignores_them_leave_nothing() {
    let (first, _) = begin();
    let action = Action { handler: Action::IGNORE, ..Action::default() };
    first.process.signals.set_action(Signal::CHLD, action);
    let system = Rc::clone(&first.system);
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        (1, 0) => call_of(registers, Sysno::exit_group, &[6]),
        (1, _) => call_of(registers, Sysno::wait4, &[u64::MAX, 0, 0, 0]),
        (_, result) => {
            assert_eq!(result, Errno::ECHILD.result());
            assert_eq!(system.process_count(), 1);
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    assert_eq!(run(first), 0);
}

#[test]
fn a_group_gets_a_signal_and_each_member_ends() {
    let (first, at) = begin();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, space| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        (1, 0) => call_of(registers, Sysno::setpgid, &[0, 0]),
        (1, _) => {
            registers.rip = 20;
            call_of(registers, Sysno::sched_yield, &[])
        }
        // The leader of the group has a child of its own.
        (2, _) => call_of(registers, Sysno::fork, &[]),
        (3, _) => call_of(registers, Sysno::pause, &[]),
        (10, _) => call_of(registers, Sysno::sched_yield, &[]),
        (11, _) => call_of(registers, Sysno::kill, &[(-2_i64) as u64, 15]),
        (12 | 13, result) => {
            log.borrow_mut().extend([result, word(space, at)]);
            call_of(registers, Sysno::wait4, &[u64::MAX, at, 0, 0])
        }
        (_, result) => {
            log.borrow_mut().extend([result, word(space, at)]);
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    first_touch(&first, at);
    assert_eq!(run(first), 0);
    assert_eq!(*seen.borrow(), [0, 0, 2, 15, 3, 15]);
}

fn first_touch(thread: &Thread, at: u64) {
    thread.memory().put(at, &0_u64).unwrap();
}

#[test]
fn a_thread_that_ends_leaves_its_robust_futexes() {
    let (first, at) = begin();
    let (head, lock) = (at, at + 128);
    // A list of one entry, whose futex is 16 bytes behind it and has waiters.
    first.memory().put(head, &[lock, 16, 0]).unwrap();
    first.memory().put(lock, &[head]).unwrap();
    first.memory().put(lock + 16, &(2_u32 | raw::FUTEX_WAITERS)).unwrap();
    let flags = u64::from(
        raw::CLONE_VM | raw::CLONE_FS | raw::CLONE_FILES | raw::CLONE_SIGHAND | raw::CLONE_THREAD,
    );
    let held = u64::from(2 | raw::FUTEX_WAITERS);
    let seen = Rc::new(RefCell::new(0));
    let log = Rc::clone(&seen);
    play(move |step, registers, space| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::clone, &[flags, 4096]),
        (1, 0) => call_of(registers, Sysno::sched_yield, &[]),
        (2, _) => call_of(registers, Sysno::set_robust_list, &[head, 24]),
        (1, _) => {
            registers.rip = 20;
            Exit::Event
        }
        (3, result) => {
            assert_eq!(result, 0);
            call_of(registers, Sysno::exit, &[0])
        }
        (10, _) => call_of(registers, Sysno::futex, &[lock + 16, 0, held, 0]),
        (_, result) => {
            assert_eq!(result, 0);
            *log.borrow_mut() = word(space, lock + 16) as u32;
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    assert_eq!(run(first), 0);
    assert_eq!(seen.take(), raw::FUTEX_WAITERS | raw::FUTEX_OWNER_DIED);
}

#[test]
fn who_ends_between_unlocking_and_waking_leaves_nobody_waiting() {
    let (first, at) = begin();
    let (head, lock) = (at, at + 128);
    // The list is empty, and an entry pending.
    first.memory().put(head, &[head, 16, lock]).unwrap();
    let held = u64::from(2 | raw::FUTEX_WAITERS);
    first.memory().put(lock + 16, &held).unwrap();
    let flags = u64::from(
        raw::CLONE_VM | raw::CLONE_FS | raw::CLONE_FILES | raw::CLONE_SIGHAND | raw::CLONE_THREAD,
    );
    play(move |step, registers, space| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::clone, &[flags, 4096]),
        (1, 0) => call_of(registers, Sysno::sched_yield, &[]),
        (2, _) => call_of(registers, Sysno::set_robust_list, &[head, 24]),
        (1, _) => {
            registers.rip = 20;
            Exit::Event
        }
        (3, result) => {
            assert_eq!(result, 0);
            let at = (lock + 16) as usize;
            let (frame, _) = space.frame(at / PAGE * PAGE).unwrap();
            frame.write(at % PAGE, &[0; 4]);
            call_of(registers, Sysno::exit, &[0])
        }
        (10, _) => call_of(registers, Sysno::futex, &[lock + 16, 0, held, 0]),
        (_, result) => {
            assert_eq!(result, 0);
            call_of(registers, Sysno::exit_group, &[4])
        }
    });
    assert_eq!(run(first), 4);
}

#[test]
fn a_robust_list_that_never_ends_ends() {
    let (first, at) = begin();
    first.memory().put(at, &[at + 64, 8, u64::MAX - 3]).unwrap();
    first.memory().put(at + 64, &[at + 64]).unwrap();
    for length in [0, 23, 25] {
        let result = perform(&first, Sysno::set_robust_list, [at, length, 0, 0, 0, 0]);
        assert_eq!(result, Err(Errno::EINVAL));
    }
    play(move |step, registers, _| match step {
        0 => call_of(registers, Sysno::set_robust_list, &[at, 24]),
        _ => call_of(registers, Sysno::exit, &[3]),
    });
    assert_eq!(run(first), 3);
}
