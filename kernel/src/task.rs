//! Futures, and the loop that runs them.

use crate::{machine, time};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Runs `future` to its end; while it waits, so does the machine.
///
/// Whatever ends the machine's wait, the future is polled again: leaf futures
/// look at their device or at the clock, not at who woke them.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        time::forget_deadline();
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        machine::idle(time::deadline());
    }
}
