//! Excludes tasks from a change that another one has not finished.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;
use kernel::sync::Wakers;

/// A mutex that tasks wait for.
#[derive(Debug, Default)]
pub(super) struct Mutex {
    busy: Cell<bool>,
    holds: Rc<Holds>,
}

#[derive(Debug, Default)]
struct Holds {
    count: Cell<usize>,
    waiting: RefCell<Wakers>,
}

/// Unlocks the mutex when it is dropped.
#[derive(Debug)]
pub(super) struct Guard<'a>(&'a Mutex);

/// Keeps the mutex locked also when its guard is dropped.
#[derive(Debug)]
pub(super) struct Hold(Rc<Holds>);

impl Mutex {
    /// Waits until the mutex is free, and locks it.
    pub(super) async fn lock(&self) -> Guard<'_> {
        poll_fn(|context| {
            if self.busy.get() || self.holds.count.get() > 0 {
                self.holds.waiting.borrow_mut().add(context.waker());
                return Poll::Pending;
            }
            self.busy.set(true);
            Poll::Ready(Guard(self))
        })
        .await
    }

    /// Keeps the mutex, which is locked, so until what is returned is dropped.
    pub(super) fn hold(&self) -> Hold {
        self.holds.count.set(self.holds.count.get() + 1);
        Hold(self.holds.clone())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.holds.waiting.borrow_mut().wake();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.waiting.borrow_mut().wake();
    }
}
