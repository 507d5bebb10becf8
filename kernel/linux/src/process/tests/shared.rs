//! Tests of what processes share, and of how they stop.

use super::*;

/// Makes a child that shares memory and descriptors.
fn sharing(first: &Thread) -> Rc<Process> {
    let own = &first.process;
    let flags = u64::from(raw::CLONE_FILES | raw::CLONE_VM);
    let child = own.fork(2, &first.memory(), flags, own).unwrap();
    first.system.add(&child);
    child
}

fn call(thread: &Rc<Thread>, number: Sysno, args: [u64; 4]) -> Result<usize, Errno> {
    perform(thread, number, [args[0], args[1], args[2], args[3], 0, 0])
}

#[test]
fn descriptors_are_shared_until_one_side_wants_its_own() {
    let first = thread();
    let child = sharing(&first);
    let fd = call(&first, Sysno::pidfd_open, [1, 0, 0, 0]).unwrap() as u64;
    assert!(child.files().get(fd).is_ok());
    assert_eq!(call(&first, Sysno::close_range, [fd, fd, 2, 0]), Ok(0), "CLOSE_RANGE_UNSHARE");
    assert!(child.files().get(fd).is_ok() && first.process.files().get(fd).is_err());
    let child = sharing(&first);
    assert_eq!(call(&first, Sysno::unshare, [raw::CLONE_FILES.into(), 0, 0, 0]), Ok(0));
    assert!(!Rc::ptr_eq(&child.files(), &first.process.files()));
}

#[test]
fn one_thread_of_several_cannot_leave_what_they_share() {
    let first = thread();
    let other = Rc::new(Receiver::new(5, Set::EMPTY));
    first.process.signals.add(other).unwrap();
    let unshare = |flags: u32| call(&first, Sysno::unshare, [flags.into(), 0, 0, 0]);
    assert_eq!(unshare(raw::CLONE_FILES), Err(Errno::EINVAL));
    // Who asks for this takes a refusal for a reason to end.
    assert_eq!(unshare(raw::CLONE_FS), Ok(0));
    assert_eq!(call(&first, Sysno::close_range, [0, 9, 2, 0]), Err(Errno::EINVAL));
}

#[test]
fn the_last_process_alive_closes_what_it_shared_with_one_that_has_ended() {
    let first = thread();
    let child = sharing(&first);
    let open = descriptor::ProcessFile::open(&*first, &first.process, 0).unwrap();
    first.process.files().add(Rc::clone(&open), false, 0).unwrap();
    child.leave(&Receiver::new(2, Set::EMPTY), Status::exit(0), 0);
    assert_eq!(Rc::strong_count(&open), 2);
    let files = first.process.files();
    assert_eq!(Rc::strong_count(&files), 2, "the process's, and this");
    drop(files);
    first.process.leave(&first.signals, Status::exit(0), 0);
    assert_eq!(Rc::strong_count(&open), 1);
}

#[test]
fn record_locks_end_with_those_who_share_the_descriptors_u4() {
    let first = thread();
    let memory = first.memory();
    let at = room(&memory, 4096) as u64;
    memory.write(at as usize, b"/a\0").unwrap();
    let flags = u64::from(raw::O_RDWR | raw::O_CREAT);
    let open = || call(&first, Sysno::open, [at, flags, 0o600, 0]).unwrap() as u64;
    let lock = |thread: &Rc<Thread>, fd, command: u32| {
        memory.put(at + 8, &[u64::from(raw::F_WRLCK), 0, 1, 0]).unwrap();
        call(thread, Sysno::fcntl, [fd, command.into(), at + 8, 0])
    };
    let (shared, own) = (open(), open());
    let child = sharing(&first);
    let signals = Receiver::new(2, Set::EMPTY);
    let context = kernel::user::Context::new(0, 0).unwrap();
    let system = Rc::clone(&first.system);
    let body = crate::run::body;
    let two =
        Thread::new(signals, Rc::clone(&child), system, first.memory(), context, body).unwrap();
    assert_eq!(lock(&two, shared, raw::F_SETLK), Ok(0));
    assert_eq!(lock(&first, shared, raw::F_SETLK), Ok(0), "it is theirs");
    assert_eq!(lock(&first, own, raw::F_OFD_SETLK), Err(Errno::EAGAIN));
    child.leave(&two.signals, Status::exit(0), 0);
    assert_eq!(lock(&first, own, raw::F_OFD_SETLK), Err(Errno::EAGAIN), "one of them lives");
    assert_eq!(call(&first, Sysno::close, [shared, 0, 0, 0]), Ok(0));
    assert_eq!(lock(&first, own, raw::F_OFD_SETLK), Ok(0));
}

#[test]
fn a_lock_that_comes_after_its_descriptor_was_closed_is_given_up_u4() {
    let first = thread();
    let memory = first.memory();
    let at = room(&memory, 4096) as u64;
    memory.write(at as usize, b"/a\0").unwrap();
    let flags = u64::from(raw::O_RDWR | raw::O_CREAT);
    let open = || call(&first, Sysno::open, [at, flags, 0o600, 0]).unwrap() as u64;
    let (one, two) = (open(), open());
    memory.put(at + 8, &[u64::from(raw::F_WRLCK), 0, 1, 0]).unwrap();
    let lock = |fd, command: u32| call(&first, Sysno::fcntl, [fd, command.into(), at + 8, 0]);
    assert_eq!(lock(two, raw::F_OFD_SETLK), Ok(0));
    let other = Rc::clone(&first);
    kernel::task::spawn(async move {
        for fd in [one, two] {
            yield_now().await;
            assert_eq!(call(&other, Sysno::close, [fd, 0, 0, 0]), Ok(0));
        }
    })
    .detach();
    assert_eq!(lock(one, raw::F_SETLKW), Err(Errno::EBADF));
    assert_eq!(lock(open(), raw::F_OFD_SETLK), Ok(0));
}

#[test]
fn limits_of_a_child_in_its_parents_memory_are_its_own() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    let child = sharing(&first);
    let limit = |id: u64, bytes: u64| {
        first.memory().put(at, &[bytes, bytes]).unwrap();
        call(&first, Sysno::prlimit64, [id, raw::RLIMIT_AS.into(), at, 0])
    };
    let memory = first.memory();
    let before = memory.limits().address_space;
    assert_eq!(limit(2, 1 << 30), Ok(0));
    assert_eq!(memory.limits().address_space, before);
    assert_eq!(child.memory_limits().address_space, 1 << 30);
    // A copy of that memory holds the child's.
    let copy = Rc::new(memory.copy().unwrap());
    let grandchild = child.fork(3, &copy, 0, &child).unwrap();
    assert_eq!(copy.limits().address_space, 1 << 30);
    drop(grandchild);
    assert_eq!(limit(1, 1 << 31), Ok(0));
    assert_eq!(memory.limits().address_space, 1 << 31);
}

#[test]
fn flags_of_clone3_that_there_are_not_are_refused() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    for flags in [1_u64 << 33, 1 << 34, 1 << 63, 1] {
        first.memory().put(at, &flags).unwrap();
        assert_eq!(call(&first, Sysno::clone3, [at, 64, 0, 0]), Err(Errno::EINVAL), "{flags:x}");
    }
    first.memory().put(at, &u64::from(raw::CLONE_NEWTIME)).unwrap();
    assert_eq!(call(&first, Sysno::clone3, [at, 64, 0, 0]), Err(Errno::EPERM));
}

#[test]
fn others_run_while_much_is_random() {
    let first = thread();
    let length = 5 << 20;
    let at = room(&first.memory(), length) as u64;
    let turns = Rc::new(Cell::new(0));
    let count = Rc::clone(&turns);
    kernel::task::spawn(async move {
        for turn in 1..=4 {
            count.set(turn);
            yield_now().await;
        }
    })
    .detach();
    assert_eq!(call(&first, Sysno::getrandom, [at, length as u64, 0, 0]), Ok(length));
    assert_eq!(turns.get(), 4);
}
