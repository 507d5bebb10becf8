//! System calls: what one is, and how one that waits is written.
//!
//! A call is a function `fn(&Rc<Thread>, Args) -> Answer`. It does what it can at once. Where it
//! would have to wait, it answers with a future, and where a page of a file has to be read
//! first, it returns [`Stop::Load`] *before* it has changed anything: it is then called again.
//! So a call that neither waits nor reads a disk takes no memory and is as fast as a function.
//!
//! Each group of calls is a module of its own with a list `CALLS`, made by `calls!`; the
//! [table](crate::table) is made of these lists at compile time.

use crate::errno::Errno;
use crate::file::Open;
use crate::stop::{Boxed, Stop};
use crate::thread::Thread;
use crate::trace::kind::Kinds;
use crate::watch::{Ready, Watch};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::time::Duration;
use kernel::task::{Either, select};
use kernel::time::{Instant, sleep_until};

/// The arguments of a call, as the registers have them: rdi, rsi, rdx, r10, r8, r9.
pub type Args = [u64; 6];

/// What a call does.
pub enum Outcome {
    /// It is done, with this result.
    Value(usize),
    /// It is done when this future is.
    Wait(Boxed<Result<usize, Errno>>),
    /// The thread has other registers now (execve, rt_sigreturn), which no result may change.
    Resume,
}

impl From<usize> for Outcome {
    fn from(value: usize) -> Self {
        Self::Value(value)
    }
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Value(0)
    }
}

/// What the function of a call returns.
pub type Answer = Result<Outcome, Stop>;

/// Answers with a future.
///
/// # Errors
/// `ENOMEM`
pub fn wait(future: impl Future<Output = Result<usize, Errno>> + 'static) -> Answer {
    let future = kernel::memory::boxed(future).map_err(|_| Errno::ENOMEM)?;
    Ok(Outcome::Wait(Box::into_pin(future)))
}

/// Tries `attempt` until it can be done: at once, or whenever `open` changes. A descriptor with
/// `O_NONBLOCK` does not wait (`EAGAIN`). A signal ends the wait (`ERESTARTSYS`).
///
/// `attempt` must have changed nothing when it returns [`Stop::Wait`] or [`Stop::Load`]. What is
/// done in parts (a long write) keeps count itself and returns what was done so far.
///
/// # Errors
/// Those of `attempt`.
pub fn blocking(
    thread: &Rc<Thread>,
    open: &Rc<Open>,
    attempt: impl FnMut(&Rc<Thread>, &Rc<Open>) -> Result<usize, Stop> + 'static,
) -> Answer {
    blocking_for(thread, open, None, attempt)
}

/// Does the same for so long at most: then it is `EAGAIN` (`SO_RCVTIMEO` of socket(7)).
///
/// # Errors
/// Those of `attempt`.
pub fn blocking_for(
    thread: &Rc<Thread>,
    open: &Rc<Open>,
    limit: Option<Duration>,
    mut attempt: impl FnMut(&Rc<Thread>, &Rc<Open>) -> Result<usize, Stop> + 'static,
) -> Answer {
    let changes = open.file.watch().map(|it| it.changes());
    let stopped = match attempt(thread, open) {
        Ok(count) => return Ok(count.into()),
        Err(Stop::Fail(errno)) => return Err(errno.into()),
        Err(Stop::Wait) if open.is_nonblocking() => return Err(Errno::EAGAIN.into()),
        Err(stop) => stop,
    };
    let (thread, open) = (Rc::clone(thread), Rc::clone(open));
    let end = limit.map(|limit| Instant::now().saturating_add(limit));
    wait(async move {
        let (mut stopped, mut changes) = (stopped, changes);
        loop {
            match stopped {
                Stop::Fail(errno) => return Err(errno),
                Stop::Load(load) => load.wait().await?,
                Stop::Wait => {
                    let (watch, seen) = open.file.watch().zip(changes).ok_or(Errno::EAGAIN)?;
                    changed(&thread, watch, seen, end).await?;
                }
            }
            changes = open.file.watch().map(|it| it.changes());
            match attempt(&thread, &open) {
                Ok(count) => return Ok(count),
                Err(Stop::Wait) if open.is_nonblocking() => return Err(Errno::EAGAIN),
                Err(stop) => stopped = stop,
            }
        }
    })
}

/// Waits until `watch` was raised more often than `seen`, or until `end`.
///
/// # Errors
/// `EAGAIN` then; when a signal comes first, `ERESTARTSYS`, or `EINTR` where there is an end: a
/// call that began again would wait for all of its time again (signal(7)).
pub(crate) async fn changed(
    thread: &Thread,
    watch: &Watch,
    seen: u64,
    end: Option<Instant>,
) -> Result<(), Errno> {
    let changed = thread.interruptible(watch.changed_since(seen));
    let Some(end) = end else { return changed.await };
    match select(changed, sleep_until(end)).await {
        Either::First(Err(_)) => Err(Errno::EINTR),
        Either::First(Ok(())) => Ok(()),
        Either::Second(()) => Err(Errno::EAGAIN),
    }
}

/// Waits until `open` is ready for something of `interest`, for calls that look and act in two
/// steps.
///
/// # Errors
/// [`Errno::ERESTARTSYS`] when a signal comes first.
pub async fn ready(thread: &Thread, open: &Open, interest: Ready) -> Result<Ready, Errno> {
    loop {
        let changes = open.file.watch().map(|it| it.changes());
        let ready = open.file.ready() & (interest | Ready::ERR | Ready::HUP);
        match (open.file.watch(), changes) {
            (Some(watch), Some(seen)) if ready.is_empty() => {
                thread.interruptible(watch.changed_since(seen)).await?;
            }
            _ => return Ok(ready),
        }
    }
}

/// One system call.
#[derive(Clone, Copy)]
pub struct Call {
    /// What its arguments are.
    pub args: Kinds,
    /// What it does.
    pub run: fn(&Rc<Thread>, Args) -> Answer,
}

/// A group of calls, each with its number.
pub type Group = &'static [(u32, Call)];

/// Lists calls: `calls! { read(Fd, Hex, Size) = function; ... }`.
macro_rules! calls {
    ($($name:ident($($kind:ident),*) = $run:path;)*) => {
        &[$((
            ::syscalls::Sysno::$name as u32,
            $crate::call::Call {
                args: $crate::trace::kind::kinds(&[$($crate::trace::kind::Kind::$kind),*]),
                run: $run,
            },
        )),*]
    };
}

pub(crate) use calls;
