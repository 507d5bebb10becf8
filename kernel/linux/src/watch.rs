//! Tells those who wait when something can be read or written.

use crate::errno::Errno;
use alloc::sync::{Arc, Weak};
use alloc::task::Wake;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Poll, Waker};
use kernel::sync::Wakers;
use spin::Mutex;

bitflags::bitflags! {
    /// What can be done without waiting: the bits of poll(2) and of epoll(7), which are equal.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Ready: u32 {
        /// There is something to read, or its end.
        const IN = 0x1;
        /// There is something urgent to read.
        const PRI = 0x2;
        /// There is room to write.
        const OUT = 0x4;
        /// It failed. Always looked for.
        const ERR = 0x8;
        /// The other side has closed both ways. Always looked for.
        const HUP = 0x10;
        /// There is no such descriptor (poll(2) alone).
        const NVAL = 0x20;
        /// As `IN`.
        const RDNORM = 0x40;
        /// As `OUT`.
        const WRNORM = 0x100;
        /// The other side will send nothing more.
        const RDHUP = 0x2000;
    }
}

/// What a change came of: all that is raised by one change is of one cause, which no other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(u64);

impl Cause {
    /// Makes a new one.
    #[must_use]
    pub fn another() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// The last cause that something heard of.
#[derive(Debug, Default)]
pub struct Heard(AtomicU64);

impl Heard {
    /// Hears of `cause`. Returns whether it is another one than the last.
    pub fn is_new(&self, cause: Cause) -> bool {
        self.0.swap(cause.0, Ordering::Relaxed) != cause.0
    }
}

/// Hears of each change of a [`Watch`].
pub trait Listener: Send + Sync {
    /// Something may be ready now that was not before. Must not block, nor change the watch. Another
    /// watch is raised by it with the same `cause`.
    fn changed(&self, cause: Cause);
}

/// Tells when a file may have become ready. What it *is* ready for, only the file knows
/// ([`File::ready`](crate::file::File::ready)); this says when to ask again.
///
/// A [`Waker`] of it raises it, so whatever wakes a task can be watched:
/// `Waker::from(Arc<Watch>)`.
#[derive(Debug, Default)]
pub struct Watch(Mutex<State>);

#[derive(Default)]
struct State {
    /// Another one that is raised with this one.
    outer: Weak<Watch>,
    /// How often it was raised. For edge-triggered epolls, and so that no change is missed.
    changes: u64,
    wakers: Wakers,
    listeners: Vec<Weak<dyn Listener>>,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("changes", &self.changes).finish_non_exhaustive()
    }
}

impl Watch {
    /// Makes one that nobody watches.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns how often it was raised.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Wakes all who wait, and tells all who listen.
    pub fn raise(&self) {
        self.raise_by(None);
    }

    /// As [`raise`](Self::raise), by who was told of a change.
    pub fn pass_on(&self, cause: Cause) {
        self.raise_by(Some(cause));
    }

    fn raise_by(&self, cause: Option<Cause>) {
        let mut state = self.0.lock();
        state.changes += 1;
        if !state.wakers.is_empty() {
            state.wakers.wake();
        }
        let outer = state.outer.upgrade();
        if outer.is_none() && state.listeners.is_empty() {
            return;
        }
        let listeners = core::mem::take(&mut state.listeners);
        drop(state);
        let cause = cause.unwrap_or_else(Cause::another);
        if let Some(outer) = outer {
            outer.pass_on(cause);
        }
        let mut alive = listeners;
        alive.retain(|it| it.strong_count() > 0);
        alive.iter().filter_map(Weak::upgrade).for_each(|it| it.changed(cause));
        // None comes meanwhile: it would have to change the watch.
        self.0.lock().listeners = alive;
    }

    /// Waits until it was raised more often than `changes`.
    pub async fn changed_since(&self, changes: u64) {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if state.changes != changes {
                return Poll::Ready(());
            }
            state.wakers.add(context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Has `outer` raised whenever this one is.
    pub fn forward(&self, outer: &Arc<Self>) {
        self.0.lock().outer = Arc::downgrade(outer);
    }

    /// Adds a waker that is woken by the next [`raise`](Self::raise).
    pub fn add(&self, waker: &Waker) {
        self.0.lock().wakers.add(waker);
    }

    /// Adds a listener, until it is dropped.
    ///
    /// # Errors
    /// `ENOMEM`
    pub fn listen(&self, listener: Weak<dyn Listener>) -> Result<(), Errno> {
        let listeners = &mut self.0.lock().listeners;
        if listeners.len() == listeners.capacity() {
            // It may never be raised. Those that are gone make room, before there is more.
            listeners.retain(|it| it.strong_count() > 0);
            listeners.try_reserve(listeners.len().max(4)).map_err(|_| Errno::ENOMEM)?;
        }
        listeners.push(listener);
        Ok(())
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU32;
    use kernel::task::{block_on, join, yield_now};

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Listener for Count {
        fn changed(&self, _: Cause) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_change_wakes_who_waits_and_tells_who_listens_until_it_is_dropped() {
        let watch = Watch::new();
        let count = Arc::new(Count::default());
        let listener: Weak<dyn Listener> = Arc::downgrade(&(count.clone() as Arc<dyn Listener>));
        watch.listen(listener).unwrap();
        let before = watch.changes();
        block_on(join(watch.changed_since(before), async {
            yield_now().await;
            Waker::from(watch.clone()).wake();
        }));
        watch.raise();
        assert_eq!((watch.changes(), count.0.load(Ordering::Relaxed)), (2, 2));
        drop(count);
        watch.raise();
        assert!(watch.0.lock().listeners.is_empty());
    }

    #[test]
    fn listeners_that_are_gone_take_no_memory_though_it_is_never_raised() {
        let watch = Watch::new();
        let listener = || Arc::new(Count::default()) as Arc<dyn Listener>;
        let stays = listener();
        watch.listen(Arc::downgrade(&stays)).unwrap();
        for _ in 0..1000 {
            watch.listen(Arc::downgrade(&listener())).unwrap();
        }
        let listeners = watch.0.lock().listeners.len();
        assert!(listeners <= 8, "{listeners}");
    }

    #[test]
    fn a_change_before_the_wait_is_not_missed() {
        let watch = Watch::new();
        let before = watch.changes();
        watch.raise();
        block_on(watch.changed_since(before));
    }
}
