//! Runs small programs in user mode: calls, faults, what they may not, and what of them stays in
//! the processor. Some run for ever, others are random bytes.
//!
//! test: memory 4
//! test(watched): args watchdog=30
//! test(unwatched): args watchdog=0
//! test(fault): args fault=on time=0
//! test(fault): expect crash "invalid opcode"
//! test(fault): no-verdict
//! test(hang): args watchdog=2 hang=on time=0
//! test(hang): expect watchdog
//! test(hang): no-verdict
//! test(never): args watchdog=2 spin=on time=0
//! test(never): expect watchdog
//! test(never): no-verdict
//! test(unwatched,never): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;
use kernel::task::{Either, select, yield_now};
use kernel::time::{Instant, sleep};
use kernel::user::{Access, Context, Exit, PAGE, TOP, Trap};
use tests::programs::*;
use tests::user::{self, CODE, DATA, Outcome, Program, STACK, frame, kernel_works, text, thread};
use tests::{Verdict, ensure};

kernel::unikernel! {
    /// Runs programs in user mode.
    name: "user",
    memory: 4 MiB,
    args: {
        /// For how many ms programs run against each other.
        time: u64 = 500,
        /// Whether this kernel faults after it ran programs.
        fault: bool = false,
        /// Whether it hangs then.
        hang: bool = false,
        /// Whether it lets a program run for ever then, and never awaits.
        spin: bool = false,
    },
    main: start,
}

async fn start(time: u64, fault: bool, hang: bool, spin: bool) -> Verdict {
    let verdict = user::all(&[
        ("calls pass registers", calls),
        ("all registers are restored", registers),
        ("faults name address and reason", faults),
        ("what is privileged is refused", privileged),
        ("flags of the system stay out", flags),
        ("the state of units is kept", units),
        ("segments are a thread's own", segments),
        ("the kernel is out of reach", reach),
        ("random programs end in an exit", random),
    ])
    .await;
    if fault {
        // SAFETY: an invalid opcode touches nothing; the domain ends.
        unsafe { core::arch::asm!("ud2", options(noreturn)) }
    }
    if spin && let Ok(mut program) = Program::new(SPIN) {
        let _ = program.run();
    }
    if hang {
        loop {
            core::hint::spin_loop();
        }
    }
    match preemption(Duration::from_millis(time)).await {
        Ok(()) => verdict,
        Err(error) => {
            kernel::println!("{error}");
            Verdict::Fail("see above")
        }
    }
}

fn calls() -> Outcome {
    let mut program = Program::new(ADD)?;
    let registers = program.thread.registers_mut();
    (registers.rdi, registers.rsi, registers.rbx) = (5, 7, 99);
    program.call()?;
    ensure!(program.thread.registers().rax == 19, "rax is {}", program.thread.registers().rax);
    ensure!(program.rip() == CODE as u64 + 6, "rip is {:#x}", program.rip());
    program.thread.registers_mut().rax = u64::MAX - 1;
    program.call()?;
    let registers = program.thread.registers();
    ensure!(registers.rax == u64::MAX && registers.rbx == 99, "{registers:x?}");
    Ok(())
}

fn registers() -> Outcome {
    let mut program = Program::new(REGISTERS)?;
    // Once by `sysret` and once by `iret`, where it gets all.
    program.call()?;
    let registers = program.thread.registers_mut();
    (registers.rip, registers.rsp) = (CODE as u64, (STACK + PAGE) as u64);
    (registers.rcx, registers.r11, registers.rax) = (1, 2, 3);
    (registers.rbx, registers.rdx, registers.rsi, registers.rdi) = (4, 5, 6, 7);
    (registers.rbp, registers.r8, registers.r9, registers.r10) = (8, 9, 10, 11);
    (registers.r12, registers.r13, registers.r14, registers.r15) = (12, 13, 14, 15);
    program.call()?;
    let (stack, _) = program.space.frame(STACK).ok_or("no stack")?;
    for number in 1..=15 {
        let mut word = [0; 8];
        stack.read(PAGE - 8 * number, &mut word);
        ensure!(u64::from_le_bytes(word) == number as u64, "register {number} is {word:x?}");
    }
    let all = *program.thread.registers();
    ensure!(all.rcx == all.rip && all.r11 == all.rflags, "a call leaves {all:x?}");
    Ok(())
}

fn faults() -> Outcome {
    let page =
        |address: usize, write, execute, present| Exit::Page { address, write, execute, present };
    let trap = |vector, error| Exit::Trap(Trap { vector, error });
    let (none, odd) = (0x7000_0123_4567_usize, 0x8000_0000_0000_u64);
    for (code, rdi, expected) in [
        (READ, none as u64, page(none, false, false, false)),
        (WRITE, none as u64, page(none, true, false, false)),
        (JUMP, none as u64, page(none, false, true, false)),
        (READ, 0, page(0, false, false, false)),
        (WRITE, CODE as u64, page(CODE, true, false, true)),
        (JUMP, DATA as u64, page(DATA, false, true, true)),
        (READ, (TOP - 8) as u64, page(TOP - 8, false, false, false)),
        (READ, odd, trap(13, 0)),
        (WRITE, odd, trap(13, 0)),
        (JUMP, odd, trap(13, 0)),
        (READ, (DATA + 8) as u64, Exit::Call),
        (WRITE, (DATA + 8) as u64, Exit::Call),
    ] {
        let (exit, _) = Program::once(code, rdi, 1)?;
        ensure!(exit == expected, "{exit:x?} instead of {expected:x?}");
    }
    // A stack exception, where QEMU has a general protection.
    let (exit, _) = Program::once(PUSH, 2 * odd, 0)?;
    ensure!(exit == trap(12, 0) || exit == trap(13, 0), "{exit:x?} for the stack");
    // A fault changes nothing, and what it asks for can be given.
    let mut program = Program::new(READ)?;
    program.thread.registers_mut().rdi = none as u64;
    for _ in 0..2 {
        let exit = program.run()?;
        ensure!(exit == page(none, false, false, false), "{exit:x?}");
    }
    let given = frame()?;
    given.write(none % PAGE, &77_u64.to_le_bytes());
    program.space.map(none & !(PAGE - 1), given, Access::READ).map_err(text)?;
    program.call()?;
    ensure!(program.thread.registers().rax == 77, "not what was given");
    // A thread that was sent to where no code can be.
    for rip in [odd, 1 << 63, u64::MAX] {
        program.thread.registers_mut().rip = rip;
        let exit = program.run()?;
        ensure!(exit == trap(13, 0), "{exit:x?} at {rip:#x}");
    }
    Ok(())
}

fn privileged() -> Outcome {
    for (name, code, vector) in FORBIDDEN {
        let (exit, _) = Program::once(code, 0, 0)?;
        match exit {
            Exit::Trap(trap) if trap.vector == *vector => (),
            exit => return Err(format!("{name}: {exit:x?} instead of {vector}")),
        }
    }
    Ok(())
}

fn flags() -> Outcome {
    /// TF, IF, IOPL, NT, RF, VM.
    const SYSTEM: u64 = 0x3_7300;
    for rdi in [0_u64, 0x3000, 0x4000, 0x7000, 0x2_0000, 0x1_0000] {
        let mut program = Program::new(FLAGS)?;
        program.thread.registers_mut().rflags = u64::MAX;
        program.thread.registers_mut().rdi = rdi;
        program.call()?;
        let seen = program.thread.registers().rax;
        ensure!(seen & SYSTEM == 0x200, "the program has flags {seen:#x}");
        program.call()?;
        let seen = program.thread.registers().rax;
        ensure!(seen & SYSTEM & !0x4000 == 0x200, "it gave itself flags {seen:#x}");
        kernel_works()?;
    }
    let mut program = Program::new(FLAGS)?;
    program.call()?;
    // TF: a step after the next instruction, and not again.
    program.thread.registers_mut().rdi = 0x302;
    let exit = program.run()?;
    ensure!(matches!(exit, Exit::Trap(Trap { vector: 1, .. })), "{exit:x?} for a step");
    program.call()?;
    let (exit, _) = Program::once(UNALIGNED, 0, 0)?;
    ensure!(matches!(exit, Exit::Call | Exit::Trap(Trap { vector: 17, .. })), "{exit:x?}");
    let mut program = Program::new(BACKWARDS)?;
    program.call()?;
    kernel_works()?;
    ensure!(program.thread.registers().rflags & 0x400 != 0, "DF is lost");
    Ok(())
}

/// Offsets in the state of XSAVE: st0 and st1, xmm0 and xmm1, the upper halves of ymm2 and ymm3.
const ST: [usize; 2] = [32, 48];
const XMM: [usize; 4] = [160, 176, 192, 208];
const YMM: [usize; 2] = [576 + 2 * 16, 576 + 3 * 16];

/// The 80 bits of small numbers.
const EXTENDED: [[u8; 10]; 4] = [
    [0; 10],
    [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f],
    [0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0x40],
    [0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0x40],
];

/// Gives a thread counters in all units, which begin at 0, and the step by which they count.
fn set_counters(thread: &mut Context, step: u64) -> Outcome {
    let mut state = thread.xstate().to_vec();
    let avx = state.len() >= 832;
    state[4] = 0xff;
    for (at, value) in ST.into_iter().zip([0, step]) {
        state[at..at + 10].copy_from_slice(&EXTENDED[value as usize]);
    }
    for half in [0, 8] {
        state[XMM[1] + half..][..8].copy_from_slice(&step.to_le_bytes());
        state[XMM[3] + half..][..8].copy_from_slice(&(step as f64).to_le_bytes());
        if avx {
            state[YMM[1] + half..][..8].copy_from_slice(&(step as f64).to_le_bytes());
        }
    }
    state[512] = if avx { 7 } else { 3 };
    thread.set_xstate(&state).map_err(|error| format!("{error}"))
}

/// Whether all counters stand at `count`; x87 counts by `rounds` up to 3 alone.
fn check_counters(thread: &Context, count: u64, avx: bool) -> Outcome {
    let state = thread.xstate();
    let word = |at: usize| {
        let bytes = state.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    for half in [0, 8] {
        ensure!(word(XMM[0] + half) == count, "SSE has {} not {count}", word(XMM[0] + half));
        if avx {
            let (low, high) = (word(XMM[2] + half), word(YMM[0] + half));
            let expected = (count as f64).to_bits();
            ensure!(low == expected && high == expected, "AVX has {low:x} {high:x} not {count}");
        }
    }
    if let Some(expected) = EXTENDED.get(count as usize) {
        ensure!(state[ST[0]..ST[0] + 10] == expected[..], "x87 has {:x?}", &state[32..42]);
    }
    Ok(())
}

fn units() -> Outcome {
    let length = thread()?.xstate().len();
    let avx = length >= 832;
    kernel::println!("units: {length} bytes of state");
    let code = if avx { COUNT_AVX } else { COUNT };
    let mut one = Program::new(code)?;
    let mut two = thread()?;
    set_counters(&mut one.thread, 1)?;
    set_counters(&mut two, 3)?;
    for round in 1..=100 {
        one.call()?;
        kernel_works()?;
        check_counters(&one.thread, round, avx)?;
        if round % 2 == 0 {
            while one.space.run(&mut two).map_err(text)? == Exit::Event {
                xen::evtchn::scan();
            }
            check_counters(&two, 3 * round / 2, avx)?;
        }
    }
    // A third begins with nothing of theirs.
    let mut fresh = Program::new(&[0x0f, 0x05])?;
    fresh.call()?;
    let state = fresh.thread.xstate();
    ensure!(state[32..512].iter().all(|&byte| byte == 0), "a new thread has others' registers");
    if avx && state[512] & 4 != 0 {
        ensure!(state[576..832].iter().all(|&byte| byte == 0), "a new thread has others' AVX");
    }
    // What is copied is all.
    let mut copy = one.thread.copy().ok_or("no memory")?;
    one.call()?;
    check_counters(&copy, 100, avx)?;
    while one.space.run(&mut copy).map_err(text)? == Exit::Event {
        xen::evtchn::scan();
    }
    check_counters(&copy, 101, avx)
}

fn segments() -> Outcome {
    let mut program = Program::new(SEGMENTS)?;
    let (data, _) = program.space.frame(DATA).ok_or("no data")?;
    for number in 0..8 {
        data.write(8 * number, &(number as u64).to_le_bytes());
    }
    let mut threads = Vec::new();
    for number in 0..4_usize {
        let mut thread = thread()?;
        // The last two have the same bases.
        let base = (DATA + 16 * number.min(2)) as u64;
        thread.set_fs_base(base).map_err(|_| "fs")?;
        thread.set_gs_base(base + 8).map_err(|_| "gs")?;
        threads.push((thread, 2 * number.min(2) as u64));
    }
    ensure!(threads[0].0.set_fs_base(1 << 47).is_err(), "a base that is not canonical");
    let mut thief = Program::new(SELECTORS)?;
    for at in [0, 1, 2, 3, 2, 0, 3, 1] {
        thief.call()?;
        let (thread, number) = &mut threads[at];
        thread.registers_mut().rip = CODE as u64;
        program.thread = thread.copy().ok_or("no memory")?;
        program.call()?;
        let registers = program.thread.registers();
        let found = (registers.rax, registers.rdx, registers.rsi);
        ensure!(found == (*number, *number + 1, 0), "thread {at} has {found:x?}");
        thief.thread.registers_mut().rip = CODE as u64;
    }
    Ok(())
}

fn reach() -> Outcome {
    let heap = alloc::boxed::Box::new(1_u64);
    let local = 1_u64;
    let own = frame()?;
    for (name, address) in [
        ("code", reach as *const () as usize),
        ("constants", CONSTANT.as_ptr() as usize),
        ("heap", &raw const *heap as usize),
        ("stack", &raw const local as usize),
        ("an own page", &raw const own as usize),
        ("Xen's table of frames", FRAMES),
        ("Xen", 0xffff_82d0_4020_0000),
        ("Xen's map of memory", 0xffff_8300_0000_0000),
        ("the last page", 0xffff_ffff_ffff_f000),
    ] {
        if [CODE, DATA, STACK].contains(&(address & !(PAGE - 1))) {
            continue;
        }
        for code in [READ, WRITE, JUMP] {
            let (exit, _) = Program::once(code, address as u64, !0)?;
            // With xpti, Xen lets every program read this one.
            if address == FRAMES && code == READ && exit == Exit::Call {
                kernel::println!("programs can read Xen's table of frames");
                continue;
            }
            ensure!(
                matches!(exit, Exit::Page { address: at, .. } if at == address),
                "{name} at {address:#x}: {exit:x?}"
            );
        }
    }
    ensure!(*heap == 1 && local == 1, "a program wrote here");
    Ok(())
}

/// Where Xen has the table of machine frames.
const FRAMES: usize = 0xffff_8000_0000_0000;

/// A constant of this image.
static CONSTANT: &[u8] = ADD;

fn random() -> Outcome {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut kinds = [0_u32; 4];
    for _ in 0..1000 {
        let mut code = [0; 64];
        code.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&next().to_le_bytes()));
        let mut program = Program::new(&code)?;
        program.space.set_access(CODE, Access::all()).map_err(text)?;
        let registers = program.thread.registers_mut();
        (registers.rax, registers.rbx, registers.rcx) = (next(), next(), DATA as u64);
        (registers.rdi, registers.rsi, registers.rflags) = (DATA as u64, STACK as u64, next());
        for _ in 0..8 {
            let exit = program.space.run(&mut program.thread).map_err(text)?;
            let (kind, end) = match exit {
                Exit::Call => (0, false),
                Exit::Event => (1, false),
                Exit::Page { .. } => (2, true),
                Exit::Trap(_) => (3, true),
            };
            kinds[kind] += 1;
            if end {
                break;
            }
        }
        kernel_works()?;
    }
    kernel::println!("random: {kinds:?} calls, events, page faults, traps");
    Ok(())
}

/// A program that never calls lets others run, and its registers are kept.
async fn preemption(time: Duration) -> Outcome {
    let mut program = Program::new(COUNT_FOR_EVER)?;
    let avx = thread()?.xstate().len() >= 832;
    if !avx {
        program = Program::new(SPIN)?;
    }
    set_counters(&mut program.thread, 1)?;
    let (slices, ticks, longest) = (Cell::new(0), Cell::new(0), Cell::new(Duration::ZERO));
    let work = async {
        loop {
            let begun = Instant::now();
            match program.space.run(&mut program.thread) {
                Ok(Exit::Event) => slices.set(slices.get() + 1),
                other => return Err::<(), _>(format!("{other:x?} instead of an event")),
            }
            longest.set(longest.get().max(begun.elapsed()));
            let count = program.thread.registers().rax;
            let state = program.thread.xstate();
            let word = |at: usize| {
                state
                    .get(at..at + 8)
                    .map_or(0, |it| u64::from_le_bytes(it.try_into().unwrap_or_default()))
            };
            let [sse, low, high] = [word(XMM[0]), word(XMM[2]), word(YMM[0])];
            if avx {
                // Between two instructions of a round.
                let doubles = [(count as f64).to_bits(), (count.wrapping_sub(1) as f64).to_bits()];
                ensure!(
                    count.wrapping_sub(sse) <= 1 && low == high && doubles.contains(&low),
                    "{count} rounds, but {sse}, {low:x} and {high:x}"
                );
            }
            yield_now().await;
        }
    };
    let tick = async {
        let begun = Instant::now();
        while begun.elapsed() < time {
            sleep(Duration::from_millis(5)).await;
            ticks.set(ticks.get() + 1);
        }
    };
    if let Either::First(result) = select(work, tick).await {
        return result;
    }
    let (slices, ticks, longest) = (slices.get(), ticks.get(), longest.get());
    kernel::println!(
        "preemption: {slices} slices, {ticks} ticks, {} us at most",
        longest.as_micros()
    );
    ensure!(slices >= 10 && ticks >= 10, "{slices} slices and {ticks} ticks in {time:?}");
    Ok(())
}
