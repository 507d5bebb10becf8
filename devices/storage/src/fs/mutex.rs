//! Excludes tasks from a change that another one has not finished.

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// A mutex that tasks wait for.
#[derive(Debug, Default)]
pub(super) struct Mutex {
    busy: Cell<bool>,
    waiting: RefCell<VecDeque<Waker>>,
}

/// Unlocks the mutex when it is dropped.
#[derive(Debug)]
pub(super) struct Guard<'a>(&'a Mutex);

impl Mutex {
    /// Waits until the mutex is free, and locks it.
    pub(super) async fn lock(&self) -> Guard<'_> {
        poll_fn(|context| {
            if self.busy.replace(true) {
                self.waiting.borrow_mut().push_back(context.waker().clone());
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
        let waiting = self.0.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }
}
