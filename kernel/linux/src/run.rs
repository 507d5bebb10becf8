//! Runs a thread: user mode until it needs something, that, and on.

use crate::call::Outcome;
use crate::errno::Errno;
use crate::stop::{Boxed, Load, Stop};
use crate::table::call;
use crate::thread::Thread;
use alloc::boxed::Box;
use alloc::rc::Rc;
use kernel::task::yield_now;
use kernel::user::Exit;

/// Runs `thread` to its end: the body of its task.
#[must_use]
pub fn body(thread: Rc<Thread>) -> Boxed<()> {
    Box::pin(run(thread))
}

async fn run(thread: Rc<Thread>) {
    while !thread.process.is_over() {
        match thread.enter() {
            Ok(Exit::Call) => perform(&thread).await,
            Ok(Exit::Event) => yield_now().await,
            Ok(Exit::Page { .. } | Exit::Trap(_)) | Err(_) => return,
        }
    }
}

/// Performs the call that the thread's registers ask for, and puts its result there.
async fn perform(thread: &Rc<Thread>) {
    let Some(answer) = begin(thread) else { return };
    let result = match answer {
        Waiting::Load(load) => match load.wait().await {
            // It begins again: the instruction pointer still stands behind `syscall`, and the
            // number in the registers is as it was.
            Ok(()) => return Box::pin(perform(thread)).await,
            Err(errno) => Err(errno),
        },
        Waiting::Future(future) => future.await,
    };
    thread.finish_call(result);
}

enum Waiting {
    Future(Boxed<Result<usize, Errno>>),
    Load(Load),
}

/// Performs what can be done at once. Returns what is left.
fn begin(thread: &Rc<Thread>) -> Option<Waiting> {
    let (number, args) = thread.call();
    let answer = match call(number) {
        Some(call) => (call.run)(thread, args),
        None => Err(thread.system.unknown_call(number).into()),
    };
    let result = match answer {
        Ok(Outcome::Value(value)) => Ok(value),
        Ok(Outcome::Resume) => return None,
        Ok(Outcome::Wait(future)) => return Some(Waiting::Future(future)),
        Err(Stop::Load(load)) => return Some(Waiting::Load(load)),
        Err(Stop::Fail(errno)) => Err(errno),
        Err(Stop::Wait) => Err(Errno::EAGAIN),
    };
    thread.finish_call(result);
    None
}
