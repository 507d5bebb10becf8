//! What the machine beneath an app costs, measured from within. On Xen with
//! counted instructions a ns is an instruction; on Linux the same code shows
//! what the system allocator and the system clock cost.
//!
//! test: args rounds=100
//! test: console-contains "bench: task_ns="
//! test: no-verdict
//! test: not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::Display;
use core::hint::black_box;
use core::time::Duration;
use kernel::println;
use kernel::task::{spawn, yield_now};
use kernel::time::{Instant, sleep};
use kernel::user::{Access, Exit};
use tests::programs::{CALLS, TOUCH};
use tests::user::{Outcome, Program, frame, text};
use xen::hypercall::vcpu_op_get_runstate_info;
use xen::public::vcpu::RUNSTATE_RUNNING;

kernel::unikernel! {
    /// Measures what the machine costs.
    name: "bench_machine",
    memory: 16 MiB,
    args: {
        /// How often each thing is done.
        rounds: u32 = 10_000,
        /// Whether all memory is touched at the end.
        touch: bool = false,
    },
    main: start,
}

/// Measures from when it was made.
struct Watch {
    begun: u64,
}

impl Watch {
    fn start() -> Self {
        Self { begun: Self::now() }
    }

    /// In ns. On Xen this domain's CPU time, without what others took meanwhile.
    fn now() -> u64 {
        let running = xen::attached().and_then(|_| vcpu_op_get_runstate_info(0).ok());
        running.map_or_else(|| Instant::now().as_nanos(), |info| info.time[RUNSTATE_RUNNING])
    }

    /// Prints what one of `rounds` rounds took.
    fn report(self, what: impl Display, rounds: u32) {
        let tenths = (Self::now() - self.begun) * 10 / u64::from(rounds.max(1));
        println!("bench: {what}_ns={}.{}", tenths / 10, tenths % 10);
    }
}

/// Pairs of allocate and free: a size each in turn, and pieces that live long.
fn heap(rounds: u32) {
    for size in [16_usize, 64, 512, 4096] {
        let watch = Watch::start();
        for _ in 0..rounds {
            black_box(Vec::<u8>::with_capacity(black_box(size)));
        }
        watch.report(format_args!("heap_{size}"), rounds);
    }
    let mut held: Vec<Box<[u8]>> = Vec::new();
    held.resize_with(256, || Vec::new().into_boxed_slice());
    let watch = Watch::start();
    for round in 0..rounds as usize {
        let size = 16 + (round * 7919) % 1009;
        held[(round * 31) % 256] = alloc::vec![0_u8; size].into_boxed_slice();
    }
    watch.report("heap_mixed", rounds);
}

async fn tasks(rounds: u32) {
    let watch = Watch::start();
    for _ in 0..rounds {
        spawn(async { black_box(1) }).await;
    }
    watch.report("task", rounds);
    let watch = Watch::start();
    for _ in 0..rounds {
        yield_now().await;
    }
    watch.report("yield", rounds);
}

async fn timers(rounds: u32) {
    let watch = Watch::start();
    for _ in 0..rounds {
        black_box(Instant::now());
    }
    watch.report("clock", rounds);
    let mut late = Duration::ZERO;
    let rounds = rounds.min(100);
    for _ in 0..rounds {
        let begun = Instant::now();
        sleep(Duration::from_millis(1)).await;
        late += begun.elapsed().saturating_sub(Duration::from_millis(1));
    }
    println!("bench: timer_late_ns={}.0", late.as_nanos() / u128::from(rounds.max(1)));
}

fn hypercalls(rounds: u32) {
    if xen::attached().is_none() {
        return;
    }
    let watch = Watch::start();
    for _ in 0..rounds {
        xen::hypercall::sched_op_yield();
    }
    watch.report("hypercall_yield", rounds);
    let watch = Watch::start();
    for _ in 0..rounds {
        let _ = black_box(vcpu_op_get_runstate_info(0));
    }
    watch.report("hypercall_runstate", rounds);
}

/// What a program in user mode costs, with Xen's share and without a task between.
fn user(rounds: u32) -> Outcome {
    if xen::attached().is_none() {
        return Ok(());
    }
    let mut program = Program::new(CALLS)?;
    let watch = Watch::start();
    for number in 0..rounds {
        while program.space.run(&mut program.thread).map_err(text)? != Exit::Call {
            xen::evtchn::scan();
        }
        program.thread.registers_mut().rax = number.into();
    }
    watch.report("user_call", rounds);
    let mut other = program.thread.copy().ok_or("no memory")?;
    let watch = Watch::start();
    for _ in 0..rounds {
        program.call()?;
        core::mem::swap(&mut program.thread, &mut other);
    }
    watch.report("user_thread", rounds);
    let mut others = Program::new(CALLS)?;
    let watch = Watch::start();
    for _ in 0..rounds {
        program.call()?;
        core::mem::swap(&mut program, &mut others);
    }
    watch.report("user_space", rounds);
    let mut program = Program::new(TOUCH)?;
    program.thread.registers_mut().rdi = 1 << 32;
    // Most of what there is, so that the table is seldom new.
    let pages = rounds.min(2000);
    let watch = Watch::start();
    for _ in 0..pages {
        let Exit::Page { address, .. } = program.run()? else { return Err("no fault".into()) };
        program.space.map(address, frame()?, Access::WRITE).map_err(text)?;
    }
    watch.report("user_fault", pages);
    let watch = Watch::start();
    program.space.unmap(1 << 32..1 << 40);
    watch.report("user_unmap", pages);
    let watch = Watch::start();
    for _ in 0..pages {
        drop(Program::new(CALLS)?);
    }
    watch.report("user_new", pages);
    Ok(())
}

/// Takes all memory and writes to each page once.
fn touch() {
    let total = kernel::memory::stats().total;
    if total == 0 {
        return;
    }
    let calls = xen::hypercall::count();
    let watch = Watch::start();
    let mut pages = 0;
    let mut held = Vec::new();
    loop {
        let mut piece = Vec::<u8>::new();
        if held.try_reserve(1).is_err() || piece.try_reserve_exact(256 * 1024).is_err() {
            break;
        }
        for page in piece.spare_capacity_mut().chunks_mut(4096) {
            page[0].write(1);
            pages += 1;
        }
        held.push(piece);
    }
    watch.report("touch_page", pages);
    println!("bench: touched_pages={pages}.0");
    println!("bench: touch_hypercalls={}.0", xen::hypercall::count() - calls);
}

async fn start(rounds: u32, all: bool) {
    println!("bench: boot_hypercalls={}.0", xen::hypercall::count());
    heap(rounds);
    tasks(rounds).await;
    timers(rounds).await;
    hypercalls(rounds);
    if let Err(error) = user(rounds) {
        println!("user mode: {error}");
    }
    if all {
        touch();
    }
}
