//! Runs a thread: user mode until it needs something, that, and on.

use crate::call::{Args, Outcome};
use crate::errno::Errno;
use crate::fault;
use crate::process::Status;
use crate::signal::{Info, Interrupted, Signal, deliver};
use crate::stop::{Boxed, Load, Stop, boxed};
use crate::system::System;
use crate::table::call;
use crate::thread::Thread;
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::future::poll_fn;
use core::pin::pin;
use kernel::shutdown;
use kernel::task::{Either, select, yield_now};
use kernel::time::timeout;
use kernel::user::Exit;

/// Runs `thread` to its end: the body of its task. Counts the time that it has the processor.
#[must_use]
pub fn body(thread: Rc<Thread>) -> Boxed<()> {
    Box::pin(async move {
        let mut run = pin!(run(&thread));
        poll_fn(|context| {
            thread.signals.begin_slice();
            let polled = run.as_mut().poll(context);
            let ran = thread.signals.end_slice();
            thread.system.ran.update(|it| it + ran);
            if thread.process.intervals.counts() || thread.process.timers.counts() {
                crate::time::expire(&thread.process, &thread.signals);
            }
            polled
        })
        .await;
    })
}

/// Waits until process 1 has ended, and all others with it. When the toolstack asks for the end,
/// process 1 gets `SIGTERM`, and after [`shutdown::grace`] `SIGKILL`. Returns its exit status as
/// a shell has it.
pub async fn to_end(system: &System) -> i32 {
    let status = match select(pin!(system.ended()), pin!(shutdown::requested())).await {
        Either::First(status) => status,
        Either::Second(_) => {
            if let Some(first) = system.process(1) {
                let _ = first.send(Info::kernel(Signal::TERM));
            }
            if let Ok(status) = timeout(shutdown::grace(), pin!(system.ended())).await {
                status
            } else {
                let kill = Status::signal(Signal::KILL);
                system.processes().for_each(|it| it.end(kill));
                system.ended().await
            }
        }
    };
    status.code()
}

async fn run(thread: &Rc<Thread>) {
    loop {
        if thread.signals.attention() && !deliver(thread, None).await {
            break;
        }
        let left = match ahead(thread) {
            Step::Begun(left) => left,
            Step::Stopped(Ok(Exit::Call)) => {
                if let Some(tracer) = thread.tracer() {
                    tracer.begins(thread).await;
                }
                begin(thread, thread.call())
            }
            Step::Stopped(Ok(Exit::Event)) => {
                thread.signals.preempt();
                yield_now().await;
                thread.system.clocks.update();
                continue;
            }
            Step::Stopped(Ok(Exit::Page { address, write, execute, present })) => {
                fault::page(thread, address, write, execute, present).await;
                thread.system.clocks.update();
                continue;
            }
            Step::Stopped(Ok(Exit::Trap(trap))) => {
                fault::trap(thread, trap);
                // User mode may not have been entered, where alone events are seen: that of a
                // handler whose address is none is.
                yield_now().await;
                thread.system.clocks.update();
                continue;
            }
            Step::Stopped(Err(_)) => {
                fault::out_of_memory(thread);
                continue;
            }
        };
        if let Some((number, waiting)) = left {
            perform(thread, number, waiting).await;
        } else if thread.signals.attention() {
            // A call that has a mask of its own, and did not wait.
            thread.process.signals.restore_mask(&thread.signals);
        }
    }
    leave(thread).await;
}

/// What a thread has come to that is not done by a function call.
enum Step {
    /// User mode stopped. A call is to be traced first.
    Stopped(Result<Exit, Errno>),
    /// A call has begun, and what is left of it may wait; or there is something to be done before
    /// the program goes on.
    Begun(Option<(u64, Waiting)>),
}

/// Runs user mode, and the calls that need not wait, up to something else. It is no part of the
/// future that a thread is, whose state is memory: so such a call costs a third less.
#[inline(never)]
fn ahead(thread: &Rc<Thread>) -> Step {
    let traced = thread.tracer().is_some();
    // It is replaced by futures alone, of which none is polled here.
    let memory = thread.memory_now();
    loop {
        if let Err(other) = thread.enter(&memory) {
            return Step::Stopped(other);
        }
        if traced {
            return Step::Stopped(Ok(Exit::Call));
        }
        let left = begin(thread, thread.call());
        if left.is_some() || thread.signals.attention() {
            return Step::Begun(left);
        }
    }
}

/// The thread ends, and with the last one its process.
async fn leave(thread: &Rc<Thread>) {
    let resident = thread.memory_now().resident_bytes();
    thread.process.resident.update(|it| it.max(resident));
    thread.leave_memory().await;
    let (process, system) = (&thread.process, &thread.system);
    system.count_threads(-1);
    if let Some(tracer) = thread.tracer() {
        tracer.ended(thread).await;
    }
    let ended = process.leave(&thread.signals, thread.status(), thread.signals.cpu_time());
    if let Some(status) = ended {
        system.process_ended(process, status);
    }
}

enum Waiting {
    Future(Boxed<Result<usize, Errno>>),
    Load(Load),
}

/// Waits for what a call waits for, and puts its result where the program finds it.
async fn perform(thread: &Rc<Thread>, number: u64, mut waiting: Waiting) {
    let result = loop {
        let result = match waiting {
            Waiting::Future(future) => {
                if let Some(tracer) = thread.tracer() {
                    tracer.waits(thread);
                }
                match thread.until_killed(future).await {
                    Some(result) => break result,
                    None => return,
                }
            }
            Waiting::Load(load) => thread.until_killed(load.wait()).await,
        };
        match result {
            None => return,
            Some(Err(errno)) => break Err(errno),
            // It begins again: the registers are as they were.
            Some(Ok(())) => match begin(thread, thread.call()) {
                Some((_, next)) => waiting = next,
                // No signal ended it: those that only its own mask lets in stay pending.
                None => return thread.process.signals.restore_mask(&thread.signals),
            },
        }
    };
    thread.system.clocks.update();
    thread.finish_call(result);
    match result {
        Err(errno) if errno.is_restart() => {
            deliver(thread, Some(Interrupted { number, errno })).await;
        }
        Err(Errno::EINTR) => {
            deliver(thread, None).await;
        }
        _ => thread.process.signals.restore_mask(&thread.signals),
    }
}

/// Performs what can be done at once of the call of that number. Returns its number and what is
/// left.
#[inline(always)]
fn begin(thread: &Rc<Thread>, (number, args): (u64, Args)) -> Option<(u64, Waiting)> {
    let answer = match call(number) {
        Some(call) => (call.run)(thread, args),
        None => Err(thread.system.unknown_call(number).into()),
    };
    let errno = match answer {
        Ok(Outcome::Value(value)) => {
            thread.finish_call(Ok(value));
            return None;
        }
        Ok(Outcome::Resume) => {
            if let Some(tracer) = thread.tracer() {
                tracer.ends(thread);
            }
            return None;
        }
        Ok(Outcome::Wait(future)) => return Some((number, Waiting::Future(future))),
        Err(Stop::Load(load)) => return Some((number, Waiting::Load(load))),
        // A signal decides what becomes of it, as if it had waited.
        Err(Stop::Fail(errno)) if errno.is_restart() => {
            let future = boxed(core::future::ready(Err(errno)));
            return Some((number, Waiting::Future(future)));
        }
        Err(Stop::Fail(errno)) => errno,
        Err(Stop::Wait) => Errno::EAGAIN,
    };
    thread.finish_call(Err(errno));
    None
}
