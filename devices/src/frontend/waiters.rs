//! Keeps the tasks that wait for something of a front end.

use core::cell::RefCell;
use core::task::Waker;
use kernel::sync::Wakers;

/// The tasks that wait for a front end to change, each once.
#[derive(Debug, Default)]
pub(crate) struct Waiters(RefCell<Wakers>);

impl Waiters {
    /// Wakes the task of `waker` with the next [`wake`](Self::wake).
    pub(crate) fn add(&self, waker: &Waker) {
        self.0.borrow_mut().add(waker);
    }

    /// Wakes the tasks that wait.
    pub(crate) fn wake(&self) {
        self.0.borrow_mut().wake();
    }
}

/// One task of a front end's own, to be woken when there is work for it.
#[derive(Debug, Default)]
pub(crate) struct Worker(RefCell<Option<Waker>>);

impl Worker {
    /// Wakes the task of `waker`, which takes the place of an older one, with the next
    /// [`wake`](Self::wake).
    pub(crate) fn wait(&self, waker: &Waker) {
        match &mut *self.0.borrow_mut() {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Wakes the task, if it waits.
    pub(crate) fn wake(&self) {
        let waker = self.0.take();
        waker.into_iter().for_each(Waker::wake);
    }
}
