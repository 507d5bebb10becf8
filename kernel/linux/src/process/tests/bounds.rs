//! Tests of what bounds processes: how many there may be, and what is left of those that have ended.

use super::*;

/// Forks by `call` until that fails, and returns how many children there were and the error. Each
/// ends at once, and nobody waits for it.
fn fork_until_it_fails(call: Sysno) -> (u64, u64) {
    let seen = Rc::new(Cell::new((0, 0)));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| {
        let result = registers.rax;
        match step {
            0 => call_of(registers, call, &[]),
            1 if result == 0 => call_of(registers, Sysno::exit_group, &[0]),
            _ if (result as i64) < 0 => {
                log.set((registers.r12, result));
                call_of(registers, Sysno::exit_group, &[0])
            }
            _ => {
                registers.r12 += 1;
                registers.rip = 0;
                Exit::Event
            }
        }
    });
    let first = thread();
    room(&first.memory(), 4096);
    assert_eq!(run(first), 0);
    seen.get()
}

#[test]
fn children_that_have_ended_count_until_somebody_has_waited_for_them() {
    kernel::testing::simulate_memory(1 << 22);
    assert_eq!(fork_until_it_fails(Sysno::fork), (63, Errno::EAGAIN.result()));
    assert_eq!(fork_until_it_fails(Sysno::vfork), (63, Errno::EAGAIN.result()));
}

#[test]
fn a_users_threads_and_ended_children_are_what_its_limit_bounds() {
    let first = thread();
    let own = &first.process;
    own.limits.set(raw::RLIMIT_NPROC, Limit { soft: 2, hard: 2 }, true).unwrap();
    let clone = |flags: u32| perform(&first, Sysno::clone, [flags.into(), 0, 0, 0, 0, 0]);
    let thread = raw::CLONE_VM | raw::CLONE_SIGHAND | raw::CLONE_THREAD;
    let others = own.fork(9, &first.memory(), 0, own).unwrap();
    first.system.add(&others);
    own.credentials.replace(Credentials::new(1000, 100));
    assert_eq!(clone(raw::CLONE_VM), Ok(2), "what root has does not count");
    assert_eq!(clone(raw::CLONE_VM), Err(Errno::EAGAIN));
    assert_eq!(clone(thread), Err(Errno::EAGAIN));
}

#[test]
fn little_memory_refuses_a_process_and_a_thread_in_the_same_memory() {
    kernel::testing::simulate_memory(1 << 26);
    let first = thread();
    let clone = |flags: u32| perform(&first, Sysno::clone, [flags.into(), 0, 0, 0, 0, 0]);
    kernel::testing::simulate_memory_use((1 << 26) - 4096);
    assert_eq!(clone(raw::CLONE_VM), Err(Errno::ENOMEM));
    let thread = raw::CLONE_VM | raw::CLONE_SIGHAND | raw::CLONE_THREAD;
    assert_eq!(clone(thread), Err(Errno::ENOMEM));
}

#[test]
fn a_table_of_descriptors_that_is_cleared_takes_no_memory() {
    let first = thread();
    let files = &first.process.files();
    let open = descriptor::ProcessFile::open(&*first, &first.process, 0).unwrap();
    files.put(1000, Rc::clone(&open), false).unwrap();
    files.put(5, open, false).unwrap();
    let _ = files.remove(1000);
    assert_eq!((files.room(), files.copy().unwrap().room()), (1024, 64));
    files.clear();
    assert_eq!((files.room(), files.numbers().count()), (64, 0));
}

/// Makes a child in a group and session.
fn child_in(parent: &Rc<Process>, of: &Thread, [id, group, session]: [i32; 3]) -> Rc<Process> {
    let child = parent.fork(id, &of.memory(), 0, parent).unwrap();
    child.set_group(group, session);
    of.system.add(&child);
    child
}

#[test]
fn the_end_of_a_process_hangs_up_groups_alone_that_it_held() {
    let first = thread();
    let (own, system) = (&first.process, &first.system);
    let ends = |it: &Rc<Process>| {
        it.leave(&Receiver::new(it.id, Set::EMPTY), Status::exit(0), 0);
        system.process_ended(it, Status::exit(0));
    };
    // A shell with a job that is stopped, and a sibling of that: the group of all has no parent
    // in its session, but that the sibling ends changes nothing.
    let stopped = child_in(own, &first, [2, 1, 1]);
    let sibling = child_in(own, &first, [3, 1, 1]);
    stopped.stop(Signal::STOP);
    ends(&sibling);
    assert!(stopped.signals.shared().is_empty() && stopped.signals.stopped().is_some());
    assert!(!first.has_signal());
    // The shell of a session of its own, and its job.
    let shell = child_in(own, &first, [4, 4, 4]);
    let job = child_in(&shell, &first, [5, 5, 4]);
    job.stop(Signal::STOP);
    ends(&shell);
    assert_eq!(job.signals.shared(), Set::of(&[Signal::HUP, Signal::CONT]));
    assert!(job.signals.stopped().is_none());
}

#[test]
fn each_group_that_loses_its_holder_is_told_and_no_other() {
    let first = thread();
    let (own, system) = (&first.process, &first.system);
    // A shell, jobs of its own of which every third is stopped, and those of another shell.
    let [shell, other] = [4, 5].map(|id| child_in(own, &first, [id, id, id]));
    let jobs = |shell: &Rc<Process>, from: i32| {
        let job = |id| {
            let job = child_in(shell, &first, [id, id, shell.id]);
            let second = child_in(&job, &first, [id + 100, id, shell.id]);
            if id % 3 == 0 {
                job.stop(Signal::STOP);
                second.stop(Signal::STOP);
            }
            [job, second]
        };
        (from..from + 9).flat_map(job).collect::<Vec<_>>()
    };
    let (told, left) = (jobs(&shell, 10), jobs(&other, 20));
    shell.leave(&Receiver::new(shell.id, Set::EMPTY), Status::exit(0), 0);
    system.process_ended(&shell, Status::exit(0));
    for it in told {
        let (sent, is_told) = (it.signals.shared(), it.group() % 3 == 0);
        assert_eq!([Signal::HUP, Signal::CONT].map(|it| sent.has(it)), [is_told; 2], "{}", it.id);
        assert!(it.signals.stopped().is_none(), "{}", it.id);
    }
    let unchanged = |it: &Rc<Process>| it.signals.stopped().is_some() == (it.group() % 3 == 0);
    assert!(left.iter().all(|it| !it.signals.shared().has(Signal::HUP) && unchanged(it)));
}

#[test]
fn who_has_ended_lets_nobody_go_on() {
    let first = thread();
    let (own, system) = (&first.process, &first.system);
    let leave = |it: &Rc<Process>| {
        it.leave(&Receiver::new(it.id, Set::EMPTY), Status::exit(0), 0);
        system.process_ended(it, Status::exit(0));
    };
    // A shell, the leader of its job, and what that began, which is stopped. The shell has not waited
    // for the leader, which ends, and the other one has a parent elsewhere then.
    let shell = child_in(own, &first, [4, 4, 4]);
    let leader = child_in(&shell, &first, [5, 5, 4]);
    let job = child_in(&leader, &first, [6, 5, 4]);
    job.stop(Signal::STOP);
    leave(&leader);
    assert_eq!((leader.status(), system.process_count()), (Some(Status::exit(0)), 4));
    assert_eq!(job.signals.shared(), Set::of(&[Signal::HUP, Signal::CONT]));
    assert!(job.is_child_of(own) && job.signals.stopped().is_none());
    // A group that one child has already become the last of is told of once.
    let many: Vec<_> = (10..20).map(|id| child_in(&shell, &first, [id, 10, 4])).collect();
    many.iter().for_each(|it| it.stop(Signal::STOP));
    leave(&shell);
    assert!(many.iter().all(|it| it.is_child_of(own) && it.signals.stopped().is_none()));
    assert_eq!(
        system.children(own).map(|it| it.id).collect::<Vec<_>>(),
        [4, 5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    );
}

#[test]
fn with_the_first_process_all_are_gone_that_nobody_waited_for() {
    let first = thread();
    let (own, system) = (&first.process, &first.system);
    let leave = |it: &Rc<Process>| {
        it.leave(&Receiver::new(it.id, Set::EMPTY), Status::exit(0), 0);
        system.process_ended(it, Status::exit(0));
    };
    let [ended, runs] = [2, 3].map(|id| child_in(own, &first, [id, 1, 1]));
    leave(&ended);
    assert_eq!(system.process_count(), 3);
    leave(own);
    assert!(system.processes().map(|it| it.id).eq([3]) && runs.is_over());
    leave(&runs);
    assert_eq!(system.process_count(), 0);
}

#[test]
fn a_table_of_descriptors_is_copied_where_there_is_memory_for_it_u4() {
    kernel::testing::simulate_memory(1 << 20);
    let first = thread();
    let files = &first.process.files();
    let open = descriptor::ProcessFile::open(&*first, &first.process, 0).unwrap();
    let fork = |fd: usize| {
        files.put(fd, Rc::clone(&open), false).unwrap();
        kernel::testing::simulate_memory_use((1 << 20) - 4096);
        let copied = files.copy().map(|it| it.numbers().count());
        kernel::testing::simulate_memory_use(0);
        copied
    };
    assert_eq!(fork(100), Ok(1), "what is short is there");
    assert_eq!(fork(1000), Err(Errno::ENOMEM));
    assert_eq!(files.copy().map(|it| it.numbers().count()), Ok(2));
}

#[test]
fn what_waits_for_others_takes_no_memory_while_it_is_low_u4() {
    kernel::testing::simulate_memory(1 << 20);
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    first.memory().write(at as usize, b"\x01\0\0name\0/\0").unwrap();
    let call = |name, args: &[u64]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&first, name, all)
    };
    let folder = at + 8;
    let nonblocking = u64::from(raw::O_NONBLOCK) | 1;
    let [listener, client] =
        [0; 2].map(|_| call(Sysno::socket, &[1, nonblocking, 0]).unwrap() as u64);
    call(Sysno::bind, &[listener, at, 7]).unwrap();
    call(Sysno::listen, &[listener, 5]).unwrap();
    let [epoll, event, inotify] = [
        call(Sysno::epoll_create1, &[0]).unwrap() as u64,
        call(Sysno::eventfd2, &[1, 0]).unwrap() as u64,
        call(Sysno::inotify_init1, &[nonblocking & !1]).unwrap() as u64,
    ];
    first.memory().put(at + 64, &[1_u32, 0, 0]).unwrap();
    let calls: [(Sysno, &[u64]); 3] = [
        (Sysno::connect, &[client, at, 7]),
        (Sysno::epoll_ctl, &[epoll, 1, event, at + 64]),
        (Sysno::inotify_add_watch, &[inotify, folder, u64::from(raw::IN_CREATE)]),
    ];
    for (name, args) in calls {
        kernel::testing::simulate_memory_use((1 << 20) - 4096);
        assert_eq!(call(name, args), Err(Errno::ENOMEM), "{name}");
        kernel::testing::simulate_memory_use(0);
        assert!(call(name, args).is_ok(), "{name}");
    }
    // Events that find no room are told of by one, which does.
    let made = |name: &[u8; 3]| {
        first.memory().write(at as usize + 100, name).unwrap();
        call(Sysno::mkdir, &[at + 100, 0o777]).unwrap();
    };
    made(b"/a\0");
    kernel::testing::simulate_memory_use((1 << 20) - (1 << 20) / 24);
    let told = |most: u64| call(Sysno::read, &[inotify, at + 128, most]);
    for name in [b"/b\0", b"/c\0"] {
        first.memory().write(at as usize + 100, name).unwrap();
        let _ = call(Sysno::rmdir, &[at + 100]);
        let inodes = first.system.tree.root();
        crate::file::notify::named(&inodes, &name[1..2], raw::IN_CREATE, 0, false);
    }
    kernel::testing::simulate_memory_use(0);
    made(b"/d\0");
    assert_eq!(call(Sysno::ioctl, &[inotify, 0x541b, at + 512]), Ok(0));
    assert_eq!(first.memory().get::<u32>(at + 512).unwrap(), 32 + 16 + 32);
    assert_eq!(told(32), Ok(32));
    assert_eq!(told(8), Err(Errno::EINVAL), "less than there is");
    assert_eq!(told(400), Ok(16 + 32));
    let words: [u32; 4] = first.memory().get(at + 128).unwrap();
    assert_eq!(words, [u32::MAX, raw::IN_Q_OVERFLOW, 0, 0]);
}

#[test]
fn terminals_and_timers_hold_little_while_memory_is_low_u4() {
    kernel::testing::simulate_memory(1 << 22);
    let first = thread();
    let at = room(&first.memory(), 65_536) as u64;
    let call = |name, args: &[u64]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&first, name, all)
    };
    call(Sysno::timer_create, &[1, 0, at]).unwrap();
    let timer = u64::from(first.memory().get::<u32>(at).unwrap());
    first.memory().put(at, &[0_u64, 0, 100, 0]).unwrap();
    kernel::testing::simulate_memory_use((1 << 22) - 4096);
    assert_eq!(call(Sysno::timer_settime, &[timer, 0, at, 0]), Err(Errno::ENOMEM));
    first.memory().put(at + 64, &[0_u64; 4]).unwrap();
    assert_eq!(call(Sysno::timer_settime, &[timer, 0, at + 64, 0]), Ok(0), "to stop it");
    kernel::testing::simulate_memory_use(0);
    assert_eq!(call(Sysno::timer_settime, &[timer, 0, at, 0]), Ok(0));
}

/// Makes files by `call` until that fails, and returns how many and why.
fn open_until_it_fails(thread: &Rc<Thread>, call: Sysno, args: [u64; 6]) -> (usize, Errno) {
    let mut made = 0;
    loop {
        match perform(thread, call, args) {
            Ok(_) => made += 1,
            Err(errno) => return (made, errno),
        }
    }
}

#[test]
fn open_files_are_bounded_for_the_machine_and_by_its_memory_u4() {
    kernel::testing::simulate_memory(1 << 20);
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    first.memory().write(at as usize + 64, b"/\0").unwrap();
    let calls = [
        (Sysno::socketpair, [1, 1, 0, at, 0, 0], 2),
        (Sysno::socket, [1, 1, 0, 0, 0, 0], 1),
        (Sysno::pipe2, [at, 0, 0, 0, 0, 0], 2),
        (Sysno::eventfd2, [0; 6], 1),
        (Sysno::timerfd_create, [1, 0, 0, 0, 0, 0], 1),
        (Sysno::signalfd4, [u64::MAX, at, 8, 0, 0, 0], 1),
        (Sysno::epoll_create1, [0; 6], 1),
        (Sysno::inotify_init1, [0; 6], 1),
        (Sysno::pidfd_open, [1, 0, 0, 0, 0, 0], 1),
        (Sysno::memfd_create, [at + 65, 0, 0, 0, 0, 0], 1),
        (Sysno::open, [at + 64, 0, 0, 0, 0, 0], 1),
    ];
    let most = (1 << 20) / 10_240;
    for (call, args, each) in calls {
        first.process.credentials.replace(Credentials::new(0, 0));
        let (made, errno) = open_until_it_fails(&first, call, args);
        assert_eq!((made, errno), (1024 / each, Errno::EMFILE), "{call:?} of root");
        first.process.files().clear();
        first.process.credentials.replace(Credentials::new(1000, 100));
        let (made, errno) = open_until_it_fails(&first, call, args);
        assert_eq!((made, errno), (most / each, Errno::ENFILE), "{call:?}");
        first.process.files().clear();
        assert_eq!(first.system.ram.opens.get(), 0, "{call:?}");
        kernel::testing::simulate_memory_use((1 << 20) - 4096);
        first.process.credentials.replace(Credentials::new(0, 0));
        let (made, errno) = open_until_it_fails(&first, call, args);
        assert_eq!((made, errno), (0, Errno::ENOMEM), "{call:?} without memory");
        kernel::testing::simulate_memory_use(0);
    }
}

#[test]
fn lists_whose_length_a_program_chooses_leave_memory_to_the_kernel_u4() {
    kernel::testing::simulate_memory(1 << 20);
    let first = thread();
    let at = room(&first.memory(), 65_536) as u64;
    kernel::testing::simulate_memory_use((1 << 20) - 4096);
    let call = |name, args| perform(&first, name, args);
    assert_eq!(call(Sysno::poll, [at, 1000, 0, 0, 0, 0]), Err(Errno::ENOMEM));
    assert_eq!(call(Sysno::poll, [at, 0, 1, 0, 0, 0]), Ok(0), "what is short is there");
    assert_eq!(call(Sysno::readv, [0, at, 1000, 0, 0, 0]), Err(Errno::EBADF));
    kernel::testing::simulate_memory_use(0);
    first.memory().put(at, &[at + 24, 0, 0, u64::from(b'a')]).unwrap();
    let execve = || call(Sysno::execve, [at + 24, at, 0, 0, 0, 0]);
    assert_eq!(execve(), Err(Errno::ENOENT));
    kernel::testing::simulate_memory_use((1 << 20) - 4096);
    assert_eq!(execve(), Err(Errno::ENOMEM));
    kernel::testing::simulate_memory_use(0);
    let fd = call(Sysno::eventfd2, [0; 6]).unwrap() as u64;
    kernel::testing::simulate_memory_use((1 << 20) - 4096);
    assert_eq!(call(Sysno::readv, [fd, at, 1000, 0, 0, 0]), Err(Errno::ENOMEM));
    assert_eq!(call(Sysno::dup2, [fd, 1000, 0, 0, 0, 0]), Err(Errno::ENOMEM));
    kernel::testing::simulate_memory_use(0);
    assert_eq!(call(Sysno::dup2, [fd, 1000, 0, 0, 0, 0]), Ok(1000));
}

#[test]
fn a_child_that_could_not_be_told_of_is_gone() {
    let first = thread();
    first.system.add(&first.process);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| match (step, registers.rax) {
        (0, _) => call_of(registers, Sysno::fork, &[]),
        (1, 0) => call_of(registers, Sysno::exit_group, &[0]),
        (1, _) => call_of(registers, Sysno::waitid, &[0, 0, 0, 0x0100_0004, 0]),
        (2, _) => call_of(registers, Sysno::wait4, &[u64::MAX, 8, 0, 0]),
        (3, result) => {
            log.borrow_mut().push(result);
            call_of(registers, Sysno::wait4, &[u64::MAX, 0, 0, 0])
        }
        (_, result) => {
            log.borrow_mut().push(result);
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    assert_eq!(run(first), 0);
    assert_eq!(*seen.borrow(), [Errno::EFAULT.result(), Errno::ECHILD.result()]);
}

#[test]
fn an_open_that_is_refused_makes_no_file_and_cuts_none_off_u4() {
    kernel::testing::simulate_memory(1 << 20);
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    first.memory().write(at as usize + 64, b"/\0/a\0/conf\0text").unwrap();
    let (root, new, old) = (at + 64, at + 66, at + 69);
    let call = |name, args: &[u64]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&first, name, all)
    };
    let [create, truncate] =
        [raw::O_CREAT | raw::O_EXCL | raw::O_WRONLY, raw::O_WRONLY | raw::O_TRUNC];
    let fd = call(Sysno::open, &[old, (raw::O_CREAT | raw::O_RDWR).into(), 0o666]).unwrap() as u64;
    assert_eq!(call(Sysno::write, &[fd, at + 75, 4]), Ok(4));
    call(Sysno::chmod, &[old, 0o666]).unwrap();
    call(Sysno::chmod, &[root, 0o777]).unwrap();
    let unchanged = || {
        assert_eq!(call(Sysno::access, &[new, 0]), Err(Errno::ENOENT));
        assert_eq!(call(Sysno::pread64, &[fd, at + 128, 9, 0]), Ok(4));
    };
    let refused = |errno| {
        assert_eq!(call(Sysno::open, &[new, create.into(), 0o666]), Err(errno));
        assert_eq!(call(Sysno::open, &[old, truncate.into()]), Err(errno));
        unchanged();
    };
    // Too many of the machine, no memory for one, and none for its number.
    first.process.credentials.replace(Credentials::new(1000, 100));
    while call(Sysno::eventfd2, &[0, 0]).is_ok() {}
    refused(Errno::ENFILE);
    first.process.credentials.replace(Credentials::new(0, 0));
    kernel::testing::simulate_memory_use((1 << 20) - 4096);
    refused(Errno::ENOMEM);
    kernel::testing::simulate_memory_use(0);
    let files = first.process.files();
    while files.has_spare() || files.numbers().count() < 256 {
        call(Sysno::eventfd2, &[0, 0]).unwrap();
    }
    // Root may open more while memory is low, until a table would have to grow.
    kernel::testing::simulate_memory_use((1 << 20) - (1 << 20) / 24);
    refused(Errno::ENOMEM);
    kernel::testing::simulate_memory_use(0);
    assert!(call(Sysno::open, &[old, truncate.into()]).is_ok());
    assert_eq!(call(Sysno::pread64, &[fd, at + 128, 9, 0]), Ok(0));
}

#[test]
fn calls_under_way_get_little_memory_while_it_is_low_s8() {
    kernel::testing::simulate_memory(1 << 20);
    let first = thread();
    let at = room(&first.memory(), 65_536) as u64;
    first.memory().write(at as usize, b"/a\0").unwrap();
    let call = |name, args: &[u64]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&first, name, all)
    };
    let both = (raw::O_CREAT | raw::O_RDWR).into();
    let fd = call(Sysno::open, &[at, both, 0o666]).unwrap() as u64;
    assert_eq!(call(Sysno::write, &[fd, at, 8192]), Ok(8192));
    let folder = call(Sysno::open, &[at + 1024, 0]);
    assert_eq!(folder, Err(Errno::ENOENT));
    first.memory().write(at as usize + 1024, b"/\0").unwrap();
    let folder = call(Sysno::open, &[at + 1024, 0]).unwrap() as u64;
    // Two parts, a descriptor to poll, a set of it, a timeout of nothing, and an offset.
    let (parts, polled, set, time, offset) = (at + 64, at + 128, at + 256, at + 512, at + 576);
    let buffer = at + 4096;
    first.memory().write(buffer as usize, &[0; 32_768]).unwrap();
    first.memory().put(parts, &[buffer, 8, buffer + 8, 8]).unwrap();
    first.memory().put(polled, &[fd | 1 << 32]).unwrap();
    let message = at + 640;
    first.memory().put(message, &[0_u64, 0, parts, 2, 0, 0, 0]).unwrap();
    call(Sysno::socketpair, &[1, 1, 0, at + 768]).unwrap();
    let [one, other] = first.memory().get::<[u32; 2]>(at + 768).unwrap().map(u64::from);
    assert_eq!(call(Sysno::sendto, &[one, buffer, 8, 0, 0, 0]), Ok(8));
    kernel::testing::simulate_memory_use((1 << 20) - (1 << 20) / 24);
    assert!(kernel::memory::is_low());
    call(Sysno::lseek, &[fd, 0, 0]).unwrap();
    assert_eq!(call(Sysno::readv, &[fd, parts, 2]), Ok(16));
    assert_eq!(call(Sysno::writev, &[fd, parts, 2]), Ok(16));
    assert_eq!(call(Sysno::poll, &[0, 0, 0]), Ok(0));
    assert_eq!(call(Sysno::poll, &[polled, 1, 0]), Ok(1));
    first.memory().put(set, &[1_u64 << fd]).unwrap();
    assert_eq!(call(Sysno::select, &[fd + 1, set, 0, 0, time]), Ok(1));
    assert_eq!(call(Sysno::select, &[0, 0, 0, 0, time]), Ok(0));
    assert_eq!(call(Sysno::recvmsg, &[other, message, 0]), Ok(8));
    first.memory().put(offset, &[4096_u64]).unwrap();
    call(Sysno::lseek, &[fd, 0, 0]).unwrap();
    assert_eq!(call(Sysno::sendfile, &[fd, fd, offset, 4096]), Ok(4096));
    assert!(call(Sysno::getdents64, &[folder, buffer, 32_768]).unwrap() > 0);
    assert!(call(Sysno::open, &[at, raw::O_RDONLY.into()]).is_ok());
    // Large ones may wait.
    assert_eq!(call(Sysno::readv, &[fd, buffer, 1000]), Err(Errno::ENOMEM));
    assert_eq!(call(Sysno::poll, &[buffer, 1000, 0]), Err(Errno::ENOMEM));
    kernel::testing::simulate_memory_use((1 << 20) - 4096);
    assert_eq!(call(Sysno::sendfile, &[fd, fd, offset, 4096]), Err(Errno::ENOMEM));
}

#[test]
fn a_connection_that_finds_no_number_stays_for_the_next_call_u4() {
    kernel::testing::simulate_memory(1 << 20);
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    first.memory().write(at as usize, b"\x01\0\0name").unwrap();
    let call = |name, args: &[u64]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&first, name, all)
    };
    let nonblocking = u64::from(raw::O_NONBLOCK) | 1;
    let [listener, client] =
        [0; 2].map(|_| call(Sysno::socket, &[1, nonblocking, 0]).unwrap() as u64);
    call(Sysno::bind, &[listener, at, 7]).unwrap();
    call(Sysno::listen, &[listener, 5]).unwrap();
    call(Sysno::connect, &[client, at, 7]).unwrap();
    let files = first.process.files();
    while files.has_spare() || files.numbers().count() < 256 {
        call(Sysno::eventfd2, &[0, 0]).unwrap();
    }
    kernel::testing::simulate_memory_use((1 << 20) - (1 << 20) / 24);
    assert_eq!(call(Sysno::accept, &[listener, 0, 0]), Err(Errno::ENOMEM));
    kernel::testing::simulate_memory_use(0);
    assert_eq!(call(Sysno::accept, &[listener, 0, 0]), Ok(256));
    assert_eq!(call(Sysno::accept, &[listener, 0, 0]), Err(Errno::EAGAIN));
}
