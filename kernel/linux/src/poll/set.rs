//! A list of files that are waited for once (poll(2), select(2)).

use crate::errno::Errno;
use crate::file::Open;
use crate::thread::Thread;
use crate::watch::Ready;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;
use kernel::task::{Either, select};
use kernel::time::{Instant, sleep_until};

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Not at all.
    Now,
    /// Until then.
    At(Instant),
    /// For as long as it takes.
    Never,
}

impl Deadline {
    /// Returns when `wait` will be over; `None` waits for ever.
    #[must_use]
    pub fn after(wait: Option<Duration>) -> Self {
        match wait {
            None => Self::Never,
            Some(Duration::ZERO) => Self::Now,
            Some(wait) => Self::At(Instant::now().saturating_add(wait)),
        }
    }

    /// Returns what is left of it.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::At(at) => Some(at.saturating_duration_since(Instant::now())),
            Self::Never => None,
        }
    }

    /// Waits for `future` until it is over. `None`: it was over first.
    ///
    /// # Errors
    /// `ERESTARTSYS` if a signal comes before.
    pub async fn wait<T>(
        self,
        thread: &Thread,
        future: impl Future<Output = T>,
    ) -> Result<Option<T>, Errno> {
        match self {
            Self::Now => Ok(None),
            Self::Never => thread.interruptible(future).await.map(Some),
            Self::At(at) => match thread.interruptible(select(future, sleep_until(at))).await? {
                Either::First(value) => Ok(Some(value)),
                Either::Second(()) => Ok(None),
            },
        }
    }
}

/// One of them.
pub struct Polled {
    /// What is waited for; `None` is a descriptor that is not open, or open by its name alone
    /// (`O_PATH`), which is ready for that.
    pub open: Option<Rc<Open>>,
    /// For what.
    pub interest: Ready,
}

impl Polled {
    /// Returns what it is ready for, to `thread`, of what is asked for.
    #[must_use]
    pub fn ready(&self, thread: &Thread) -> Ready {
        match &self.open {
            Some(open) => open.file.ready_by(thread) & (self.interest | Ready::ERR | Ready::HUP),
            None => Ready::NVAL,
        }
    }
}

/// Waits until one of `all` is ready, and returns whether one is. Which ones, they say themselves.
///
/// # Errors
/// `ERESTARTSYS` if a signal comes before.
pub async fn wait(thread: &Thread, all: &[Polled], deadline: Deadline) -> Result<bool, Errno> {
    let mut changes: Vec<u64> = thread.system.ram.sized(all.len())?;
    let ready = poll_fn(|context| look(thread, all, &mut changes, context));
    Ok(deadline.wait(thread, ready).await?.is_some())
}

/// Looks whether one is ready, and otherwise has `context` woken when one may be.
fn look(
    thread: &Thread,
    all: &[Polled],
    changes: &mut Vec<u64>,
    context: &Context<'_>,
) -> Poll<()> {
    let watches = || all.iter().filter_map(|it| it.open.as_ref()?.file.watch_by(thread));
    // When nothing changed since the last look, none of them has to be asked.
    let before = core::mem::take(changes);
    changes.extend(watches().map(|it| it.changes()));
    let changed = before.is_empty() || before != *changes;
    if changed && all.iter().any(|it| !it.ready(thread).is_empty()) {
        return Poll::Ready(());
    }
    watches().for_each(|it| it.add(context.waker()));
    Poll::Pending
}
