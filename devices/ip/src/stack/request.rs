//! An echo request, and who waits for its answer.

use crate::Error;
use core::net::IpAddr;
use kernel::sync::Wakers;

/// A request, and its answer.
pub(super) struct Echo {
    pub(super) to: IpAddr,
    pub(super) ident: u16,
    /// Bytes of its payload, until it is sent.
    pub(super) unsent: Option<usize>,
    pub(super) done: Option<Result<(), Error>>,
    pub(super) waker: Wakers,
}

impl Echo {
    /// It is over.
    pub(super) fn finish(&mut self, result: Result<(), Error>) {
        self.done.get_or_insert(result);
        self.waker.wake();
    }

    /// Wakes who waits.
    pub(super) fn wake_all(&mut self) {
        self.waker.wake();
    }
}
