//! Tests of who may do what with whom.

use super::*;

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
