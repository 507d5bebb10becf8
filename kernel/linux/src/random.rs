//! Random calls with random arguments, by processes and threads that they make: nothing panics,
//! hangs, or is left.

use crate::file::Caller;
use crate::process::Status;
use crate::signal::{Action, Signal};
use crate::table::TABLE;
use crate::testing::{play, room, thread};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;
use kernel::task::{Either, alive, block_on, select, yield_now};
use kernel::testing::{simulate_randomness, simulate_time};
use kernel::time::sleep;
use kernel::user::{Exit, TOP, Trap};
use linux_raw_sys::general as raw;

/// Numbers that are as good as random (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    /// An argument: a small number, an address, or what an address or number must not be.
    fn argument(&mut self, at: u64) -> u64 {
        match self.below(12) {
            0 => 0,
            1..4 => self.below(16),
            4..7 => at + 8 * self.below(512),
            7 => at + self.below(16_384),
            8 => [u64::MAX, 1 << 63, i32::MAX as u64, TOP as u64, TOP as u64 - 8, 1 << 47]
                [self.below(6) as usize],
            9 => 1 << self.below(64),
            10 => self.next() & self.next(),
            _ => 4096 * self.below(64),
        }
    }
}

/// Plays one program of random calls.
fn play_one(seed: u64, calls: u64) {
    simulate_time();
    simulate_randomness();
    let first = thread();
    let at = room(&first.memory(), 16_384) as u64;
    let stack = room(&first.memory(), 65_536) as u64 + 65_536;
    first.context().borrow_mut().registers_mut().rsp = stack;
    let handler = Action { handler: 64, flags: raw::SA_RESTORER.into(), ..Action::default() };
    for signal in [Signal::SEGV, Signal::USR1, Signal::PIPE, Signal::ALRM, Signal::TERM] {
        first.process.signals.set_action(signal, handler);
    }
    let numbers: Vec<u64> =
        (0..).zip(&TABLE).filter(|(_, it)| it.is_some()).map(|(number, _)| number).collect();
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    // So that there are structures to be read.
    for offset in (0..16_384).step_by(8) {
        let word = dice.argument(at);
        first.memory().put(at + offset, &word).unwrap();
    }
    let (system, memory) = (Rc::clone(&first.system), Rc::downgrade(&first.memory()));
    let mut left = calls;
    play(move |_, registers, _| {
        left = left.saturating_sub(1);
        registers.rip = 2 * dice.below(64);
        let number = match dice.below(64) {
            _ if left == 0 => raw::__NR_exit_group.into(),
            0 => return Exit::Event,
            1 => {
                let vector = dice.below(20) as u8;
                return Exit::Trap(Trap { vector, error: 0 });
            }
            2 => {
                let address = dice.argument(at) as usize;
                let (write, execute) = (dice.below(2) == 0, dice.below(4) == 0);
                return Exit::Page { address, write, execute, present: dice.below(2) == 0 };
            }
            3 => raw::__NR_fork.into(),
            4 => raw::__NR_wait4.into(),
            5 => raw::__NR_rt_sigreturn.into(),
            6 => {
                registers.rsp = stack;
                raw::__NR_getpid.into()
            }
            _ => numbers[dice.below(numbers.len() as u64) as usize],
        };
        // The end of all is not to come at once.
        let ends = [raw::__NR_exit_group, raw::__NR_exit].map(u64::from).contains(&number);
        registers.rax = if ends && left > 0 && dice.below(8) > 0 { 39 } else { number };
        let places = [
            &mut registers.rdi,
            &mut registers.rsi,
            &mut registers.rdx,
            &mut registers.r10,
            &mut registers.r8,
            &mut registers.r9,
        ];
        places.into_iter().for_each(|place| *place = dice.argument(at));
        Exit::Call
    });
    block_on(async {
        first.start().unwrap();
        let over = async {
            sleep(Duration::from_secs(10)).await;
            for process in system.processes() {
                process.end(Status::signal(Signal::KILL));
            }
        };
        if let Either::Second(()) = select(system.ended(), over).await {
            system.ended().await;
        }
        // What was dropped is cancelled when it next has its turn.
        for _ in 0..4 {
            yield_now().await;
        }
    });
    assert_eq!((system.threads(), alive()), (0, 0), "seed {seed}");
    assert!(memory.upgrade().is_none() && system.process_count() == 0, "seed {seed}");
    assert!(system.futexes.is_empty(), "seed {seed}");
}

#[test]
fn random_calls_neither_panic_nor_leave_anything() {
    for seed in 0..200 {
        play_one(seed, 400);
    }
}
