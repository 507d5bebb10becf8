//! Excludes tasks from a change that another one has not finished.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;
use kernel::sync::Wakers;

/// A mutex that tasks wait for.
#[derive(Debug, Default)]
pub(super) struct Mutex {
    busy: Cell<bool>,
    waiting: RefCell<Wakers>,
}

/// Unlocks the mutex when it is dropped.
#[derive(Debug)]
pub(super) struct Guard<'a>(&'a Mutex);

impl Mutex {
    /// Waits until the mutex is free, and locks it.
    pub(super) async fn lock(&self) -> Guard<'_> {
        poll_fn(|context| {
            if self.busy.replace(true) {
                self.waiting.borrow_mut().add(context.waker());
                return Poll::Pending;
            }
            Poll::Ready(Guard(self))
        })
        .await
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.waiting.borrow_mut().wake();
    }
}
