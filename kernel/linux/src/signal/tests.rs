//! Tests of signals: handlers, faults, and what interrupts a call.

use super::*;
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::Process;
use crate::testing::{call_of, perform, play, room, run, thread, word};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::user::{Exit, Trap};
use linux_raw_sys::general as raw;
use syscalls::Sysno;

type Seen = Rc<RefCell<Vec<u64>>>;

/// The step that handlers are, and the one that they return to.
const HANDLER: u64 = 100;
const RESTORER: u64 = 101;

fn handles(process: &Process, signal: Signal, flags: u32) {
    let flags = u64::from(flags | raw::SA_RESTORER | raw::SA_SIGINFO);
    let action = Action {
        handler: 2 * HANDLER,
        flags,
        restorer: 2 * RESTORER,
        mask: Set::of(&[Signal::USR2]),
    };
    process.signals.set_action(signal, action);
}

/// A thread on a stack of its own.
fn on_stack() -> (Rc<crate::thread::Thread>, u64) {
    let thread = thread();
    let stack = room(&thread.memory(), 65_536) as u64;
    thread.context().borrow_mut().registers_mut().rsp = stack + 65_536;
    (thread, stack)
}

#[test]
fn a_handler_is_called_and_its_return_brings_all_back() {
    let (first, stack) = on_stack();
    handles(&first.process, Signal::USR1, 0);
    let seen = Seen::default();
    let log = Rc::clone(&seen);
    play(move |step, registers, space| match step {
        0 => {
            (registers.rbx, registers.r15, registers.rflags) = (77, 88, 0x202 | 1);
            call_of(registers, Sysno::kill, &[1, Signal::USR1.number() as u64])
        }
        HANDLER => {
            let (info, user) = (registers.rsi, registers.rdx);
            assert_eq!(registers.rsp % 16, 8, "as after a call");
            assert!(registers.rsp < stack + 65_536 - 128, "the red zone is left alone");
            let fpstate = word(space, user + 40 + 184);
            log.borrow_mut().extend([
                registers.rdi,
                word(space, info) & 0xFFFF_FFFF,
                word(space, info + 8) & 0xFFFF_FFFF,
                word(space, info + 16) & 0xFFFF_FFFF,
                word(space, user + 40 + 8 * 11),
                // The state of the units: its first magic number, the other one.
                word(space, fpstate + 464) & 0xFFFF_FFFF,
                word(space, fpstate + (word(space, fpstate + 480) & 0xFFFF_FFFF)) & 0xFFFF_FFFF,
            ]);
            (registers.rbx, registers.r15) = (0, 0);
            registers.rsp += 8;
            registers.rip = 2 * RESTORER;
            Exit::Event
        }
        RESTORER => call_of(registers, Sysno::rt_sigreturn, &[]),
        _ => {
            let of_kill = registers.rax;
            log.borrow_mut().extend([of_kill, registers.rbx, registers.r15, registers.rflags & 1]);
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    assert_eq!(run(first), 0);
    let expected = [10, 10, 0, 1, 77, 0x4650_5853, 0x4650_5845, 0, 77, 88, 1];
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn the_mask_of_a_handler_ends_with_it() {
    let (first, _) = on_stack();
    handles(&first.process, Signal::USR1, 0);
    let thread = Rc::clone(&first);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| {
        log.borrow_mut().push(thread.signals.mask());
        match step {
            0 => call_of(registers, Sysno::tgkill, &[1, 1, 10]),
            HANDLER => {
                registers.rsp += 8;
                call_of(registers, Sysno::rt_sigreturn, &[])
            }
            _ => call_of(registers, Sysno::exit_group, &[0]),
        }
    });
    run(first);
    let within = Set::of(&[Signal::USR1, Signal::USR2]);
    assert_eq!(*seen.borrow(), [Set::EMPTY, within, Set::EMPTY]);
}

#[test]
fn what_the_processor_refuses_is_a_signal_with_its_reason() {
    let page = |address, write| Exit::Page { address, write, execute: false, present: false };
    let trap = |vector| Exit::Trap(Trap { vector, error: 0 });
    let cases = [
        (page(0x1234, false), Signal::SEGV, raw::SEGV_MAPERR, 0x1234),
        (page(8, true), Signal::SEGV, raw::SEGV_MAPERR, 8),
        (trap(0), Signal::FPE, raw::FPE_INTDIV, 2),
        (trap(1), Signal::TRAP, raw::TRAP_TRACE, 2),
        (trap(3), Signal::TRAP, raw::SI_KERNEL, 0),
        (trap(4), Signal::SEGV, raw::SI_KERNEL, 0),
        (trap(5), Signal::SEGV, raw::SI_KERNEL, 0),
        (trap(6), Signal::ILL, raw::ILL_ILLOPN, 2),
        (trap(12), Signal::BUS, raw::SI_KERNEL, 0),
        (trap(13), Signal::SEGV, raw::SI_KERNEL, 0),
        (trap(17), Signal::BUS, raw::BUS_ADRALN, 0),
    ];
    for (exit, signal, code, address) in cases {
        let (first, _) = on_stack();
        handles(&first.process, signal, 0);
        play(move |step, registers, space| match step {
            0 => exit,
            HANDLER => {
                let info = registers.rsi;
                let told = (word(space, info + 8) as u32, word(space, info + 16));
                assert_eq!((registers.rdi as i32, told), (signal.number(), (code, address)));
                call_of(registers, Sysno::exit_group, &[42])
            }
            _ => unreachable!(),
        });
        assert_eq!(run(first), 42, "{signal:?}");
        // Without a handler it ends the program, also if it is blocked or ignored.
        for ignored in [false, true] {
            let (first, _) = on_stack();
            if ignored {
                let action = Action { handler: Action::IGNORE, ..Action::default() };
                first.process.signals.set_action(signal, action);
            } else {
                first.process.signals.set_mask(&first.signals, Set::ALL);
            }
            play(move |_, _, _| exit);
            assert_eq!(run(first), 128 + signal.number());
        }
    }
}

#[test]
fn exceptions_of_floating_point_tell_which() {
    for (flags, code) in [
        (1_u32, raw::FPE_FLTINV),
        (4, raw::FPE_FLTDIV),
        (8, raw::FPE_FLTOVF),
        (16, raw::FPE_FLTUND),
        (32, raw::FPE_FLTRES),
    ] {
        let (first, _) = on_stack();
        handles(&first.process, Signal::FPE, 0);
        {
            let mut context = first.context().borrow_mut();
            let mut state = context.xstate().to_vec();
            state[24..28].copy_from_slice(&(flags | 0x1F80 & !(flags << 7)).to_le_bytes());
            context.set_xstate(&state).unwrap();
        }
        play(move |step, registers, space| match step {
            0 => Exit::Trap(Trap { vector: 19, error: 0 }),
            _ => {
                assert_eq!(word(space, registers.rsi + 8) as u32, code);
                call_of(registers, Sysno::exit_group, &[0])
            }
        });
        assert_eq!(run(first), 0);
    }
}

#[test]
fn without_a_stack_for_the_handler_the_program_ends() {
    let first = thread();
    handles(&first.process, Signal::SEGV, 0);
    first.context().borrow_mut().registers_mut().rsp = 0x10_0000;
    play(|_, _, _| Exit::Page { address: 0x10_0000, write: true, execute: false, present: false });
    assert_eq!(run(first), 139);
}

#[test]
fn a_handler_may_have_a_stack_of_its_own() {
    let (first, _) = on_stack();
    handles(&first.process, Signal::SEGV, raw::SA_ONSTACK);
    let stack = room(&first.memory(), 16_384) as u64;
    let at = room(&first.memory(), 64) as u64;
    first.memory().put(at, &[stack, 0, 16_384]).unwrap();
    let set = |at: u64, old: u64| perform(&first, Sysno::sigaltstack, [at, old, 0, 0, 0, 0]);
    assert_eq!(set(at, 0), Ok(0));
    assert_eq!(set(0, at + 24), Ok(0));
    assert_eq!(first.memory().get::<[u64; 3]>(at + 24).unwrap(), [stack, 0, 16_384]);
    first.memory().put(at + 24, &[stack, 0, 2047]).unwrap();
    assert_eq!(set(at + 24, 0), Err(Errno::ENOMEM));
    first.memory().put(at + 24, &[stack, 8, 4096]).unwrap();
    assert_eq!(set(at + 24, 0), Err(Errno::EINVAL));
    play(move |step, registers, _| match step {
        0 => {
            // Its own stack is used up.
            registers.rsp = 0;
            Exit::Page { address: 0, write: true, execute: false, present: false }
        }
        HANDLER => {
            assert!((stack..stack + 16_384).contains(&registers.rsp));
            call_of(registers, Sysno::sigaltstack, &[at, 0])
        }
        _ => {
            assert_eq!(registers.rax, Errno::EPERM.result(), "it is in use");
            call_of(registers, Sysno::exit_group, &[0])
        }
    });
    assert_eq!(run(first), 0);
}

/// Plays a program that makes the call of `number`, which waits, while a second process sends it
/// `SIGUSR1`. Returns what the call returned, how often it was made, and how often the handler
/// was called.
fn interrupted(flags: Option<u32>, number: Sysno, args: &'static [u64]) -> (u64, u64, u64) {
    let (first, _) = on_stack();
    if let Some(flags) = flags {
        handles(&first.process, Signal::USR1, flags);
    }
    let seen = Rc::new(RefCell::new((0, 0, 0)));
    let log = Rc::clone(&seen);
    play(move |step, registers, _| {
        let result = registers.rax;
        let mut log = log.borrow_mut();
        match step {
            0 => call_of(registers, Sysno::fork, &[]),
            1 if result != 0 => {
                log.1 += 1;
                if log.1 > 1 {
                    return call_of(registers, Sysno::exit_group, &[0]);
                }
                registers.rip = 20;
                Exit::Event
            }
            1 => call_of(registers, Sysno::sched_yield, &[]),
            2 => call_of(registers, Sysno::sched_yield, &[]),
            3 => call_of(registers, Sysno::kill, &[1, 10]),
            4 => call_of(registers, Sysno::exit_group, &[0]),
            10 => {
                log.1 += 1;
                if log.1 > 2 {
                    return call_of(registers, Sysno::exit_group, &[0]);
                }
                call_of(registers, number, args)
            }
            HANDLER => {
                log.2 += 1;
                registers.rsp += 8;
                call_of(registers, Sysno::rt_sigreturn, &[])
            }
            _ => {
                log.0 = result;
                call_of(registers, Sysno::exit_group, &[0])
            }
        }
    });
    run(first);
    seen.take()
}

#[test]
fn a_call_that_a_handler_interrupts_fails_or_begins_again() {
    // futex at address 0 fails; pause waits whatever SA_RESTART says.
    assert_eq!(interrupted(Some(0), Sysno::pause, &[]), (Errno::EINTR.result(), 2, 1));
    let restarts = Some(raw::SA_RESTART);
    assert_eq!(interrupted(restarts, Sysno::pause, &[]), (Errno::EINTR.result(), 2, 1));
}

#[test]
fn a_process_that_says_nothing_ends_by_its_signal() {
    for signal in [Signal::HUP, Signal::TERM, Signal::ALRM, Signal::PIPE, Signal::KILL] {
        let (first, _) = on_stack();
        let number = signal.number() as u64;
        play(move |_, registers, _| call_of(registers, Sysno::kill, &[0, number]));
        assert_eq!(run(first), 128 + signal.number());
    }
}

#[test]
fn sending_has_its_errors() {
    let first = thread();
    let call = |number: Sysno, args: [i64; 3]| {
        let [one, two, three] = args.map(|it| it as u64);
        perform(&first, number, [one, two, three, 0, 0, 0])
    };
    let cases = [
        (Sysno::kill, [1, 65, 0], Err(Errno::EINVAL)),
        (Sysno::kill, [1, 0, 0], Ok(0)),
        (Sysno::kill, [9, 0, 0], Err(Errno::ESRCH)),
        (Sysno::kill, [-9, 15, 0], Err(Errno::ESRCH)),
        (Sysno::kill, [-1, 15, 0], Err(Errno::ESRCH)),
        (Sysno::kill, [i64::from(i32::MIN), 15, 0], Err(Errno::ESRCH)),
        (Sysno::tgkill, [0, 1, 15], Err(Errno::EINVAL)),
        (Sysno::tgkill, [1, 0, 15], Err(Errno::EINVAL)),
        (Sysno::tgkill, [1, 2, 15], Err(Errno::ESRCH)),
        (Sysno::tkill, [-1, 15, 0], Err(Errno::EINVAL)),
        (Sysno::tkill, [7, 15, 0], Err(Errno::ESRCH)),
        (Sysno::rt_sigqueueinfo, [1, 10, 1], Err(Errno::EFAULT)),
        (Sysno::rt_sigaction, [10, 0, 0], Err(Errno::EINVAL)),
        (Sysno::sigaltstack, [8, 0, 0], Err(Errno::EFAULT)),
        (Sysno::rt_sigsuspend, [0, 7, 0], Err(Errno::EINVAL)),
        (Sysno::signalfd, [-1, 8, 8], Err(Errno::EFAULT)),
        (Sysno::signalfd, [-1, 8, 4], Err(Errno::EINVAL)),
        (Sysno::signalfd, [3, 8, 4], Err(Errno::EINVAL)),
    ];
    for (number, args, result) in cases {
        assert_eq!(call(number, args), result, "{number} {args:?}");
    }
    let size = 8;
    let action =
        |signal: u64, new: u64| perform(&first, Sysno::rt_sigaction, [signal, new, 0, size, 0, 0]);
    let at = room(&first.memory(), 64) as u64;
    assert_eq!(action(0, 0), Err(Errno::EINVAL));
    assert_eq!(action(65, 0), Err(Errno::EINVAL));
    assert_eq!(action(9, at), Err(Errno::EINVAL));
    assert_eq!(action(19, at), Err(Errno::EINVAL));
    assert_eq!(action(9, 0), Ok(0));
    assert_eq!(action(10, 1), Err(Errno::EFAULT));
}

#[test]
fn a_frame_that_is_none_ends_the_program() {
    for rsp in [0, 8, u64::MAX - 7, 0x8000_0000_0000, 1 << 40] {
        let first = thread();
        play(move |_, registers, _| {
            registers.rsp = rsp;
            call_of(registers, Sysno::rt_sigreturn, &[])
        });
        assert_eq!(run(first), 139);
    }
}

#[test]
fn a_full_queue_refuses_real_time_signals() {
    let first = thread();
    let at = room(&first.memory(), 4096) as u64;
    first.process.signals.set_mask(&first.signals, Set::ALL);
    first.memory().put(at, &[40_i32, 0, raw::SI_QUEUE, 0, 1, 0, 77, 0]).unwrap();
    let queue = |signal: u64| perform(&first, Sysno::rt_sigqueueinfo, [1, signal, at, 0, 0, 0]);
    first.memory().put(at + 256, &[512_u64, 512]).unwrap();
    let pending = raw::RLIMIT_SIGPENDING.into();
    let limit = perform(&first, Sysno::prlimit64, [0, pending, at + 256, 0, 0, 0]);
    assert_eq!(limit, Ok(0));
    for _ in 0..512 {
        assert_eq!(queue(40), Ok(0));
    }
    assert_eq!(queue(40), Err(Errno::EAGAIN));
    assert_eq!(queue(10), Ok(0), "a standard one is pending all the same");
    let taken = first.process.signals.take(&first.signals, Set::ALL).unwrap();
    assert_eq!(taken.signal(), Signal::USR1);
    let taken = first.process.signals.take(&first.signals, Set::ALL).unwrap();
    assert_eq!((taken.signal().number(), taken.code(), taken.fields()[1]), (40, raw::SI_QUEUE, 77));
}
