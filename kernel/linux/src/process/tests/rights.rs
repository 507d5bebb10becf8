//! Tests of who may do what with whom.

use super::*;

fn call(thread: &Rc<Thread>, number: Sysno, args: [u64; 3]) -> Result<usize, Errno> {
    perform(thread, number, [args[0], args[1], args[2], 0, 0, 0])
}

#[test]
fn the_first_process_makes_no_brothers() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    let parent = u64::from(raw::CLONE_PARENT);
    first.memory().put(at, &[parent, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(call(&first, Sysno::clone3, [at, 64, 0]), Err(Errno::EINVAL));
    assert_eq!(call(&first, Sysno::clone, [parent, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn a_child_of_the_callers_parent_ends_as_the_caller_does() {
    let parent = u64::from(raw::CLONE_PARENT);
    for (number, flags) in [(Sysno::clone3, 0), (Sysno::clone, parent | u64::from(raw::SIGUSR1))] {
        let seen = Seen::default();
        let log = Rc::clone(&seen);
        let first = thread();
        let at = room(&first.memory(), 4096) as u64;
        first.memory().put(at, &[parent, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        play(move |step, registers, _| {
            let result = registers.rax;
            match step {
                0 => call_of(registers, Sysno::fork, &[]),
                1 if result == 0 && number == Sysno::clone3 => {
                    call_of(registers, number, &[at, 64])
                }
                1 if result == 0 => call_of(registers, number, &[flags]),
                1 => {
                    registers.rip = 20;
                    call_of(registers, Sysno::wait4, &[u64::MAX, 0, 0, 0])
                }
                10 | 11 => {
                    log.borrow_mut().push(result);
                    call_of(registers, Sysno::wait4, &[u64::MAX, 0, 0, 0])
                }
                12 => {
                    log.borrow_mut().push(result);
                    call_of(registers, Sysno::exit_group, &[0])
                }
                _ => call_of(registers, Sysno::exit_group, &[0]),
            }
        });
        ends_clean(first, 0);
        seen.borrow_mut()[..2].sort_unstable();
        assert_eq!(*seen.borrow(), [2, 3, Errno::ECHILD.result()], "{number}");
    }
}

#[test]
fn who_becomes_another_is_not_looked_into() {
    use Sysno::{setfsgid, setfsuid, setgid, setregid, setresuid, setreuid, setuid};
    const SAME: u64 = u32::MAX as u64;
    for (number, args, hides) in [
        (setuid, [0, 0, 0], false),
        (setreuid, [9, SAME, 0], false),
        (setresuid, [SAME, SAME, 9], false),
        (setfsuid, [0, 0, 0], false),
        (setfsuid, [SAME, 0, 0], false),
        (setuid, [9, 0, 0], true),
        (setgid, [9, 0, 0], true),
        (setregid, [SAME, 9, 0], true),
        (setfsuid, [9, 0, 0], true),
        (setfsgid, [9, 0, 0], true),
    ] {
        let first = thread();
        let controls = &first.process.controls;
        controls.parent_ended.set(9);
        call(&first, number, args).unwrap();
        assert_eq!(controls.undumpable.get(), hides, "{number} {args:?}");
        assert_eq!(controls.parent_ended.get(), if hides { 0 } else { 9 }, "{number} {args:?}");
    }
    let first = thread();
    call(&first, setuid, [9, 0, 0]).unwrap();
    first.process.controls.undumpable.set(false);
    assert_eq!(call(&first, setuid, [8, 0, 0]), Err(Errno::EPERM));
    assert_eq!(call(&first, setfsuid, [8, 0, 0]), Ok(9));
    assert!(!first.process.controls.undumpable.get(), "nothing was changed");
}

#[test]
fn descriptors_are_had_of_those_who_are_as_the_caller_really_is() {
    let first = thread();
    let own = &first.process;
    let child = own.fork(2, &first.memory(), 0, own).unwrap();
    first.system.add(&child);
    let fd = call(&first, Sysno::pidfd_open, [2, 0, 0]).unwrap() as u64;
    child.files().put(5, own.files().get(fd).unwrap(), false).unwrap();
    child.credentials.replace(Credentials::new(9, 9));
    let get = |real: u32, files: u32| {
        let ids = Ids { real, ..Ids::all(files) };
        let groups = Rc::clone(&own.credentials.borrow().groups);
        own.credentials.replace(Credentials { user: ids, group: ids, groups });
        call(&first, Sysno::pidfd_getfd, [fd, 5, 0]).map(drop)
    };
    assert_eq!((get(9, 9), get(7, 9), get(9, 7)), (Ok(()), Err(Errno::EPERM), Ok(())));
    // To look into /proc is for who opens files as that one.
    own.credentials.borrow_mut().user = Ids { real: 7, ..Ids::all(9) };
    own.credentials.borrow_mut().group = Ids { real: 7, ..Ids::all(9) };
    assert!(child.may_look(&*first, &first.credentials()));
    child.controls.undumpable.set(true);
    assert_eq!(get(9, 9), Err(Errno::EPERM));
    assert_eq!(get(7, 0), Ok(()), "root");
}
