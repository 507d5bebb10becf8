//! Lets tasks wait for file descriptors.
//!
//! [`Watched::poll`] tries an operation; if it would block, the task's waker is registered,
//! once. An idle machine calls poll(2) for all descriptors with registered wakers. All of this
//! belongs to the thread, as tasks do.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::ops::Deref;
use core::task::{Context, Poll, Waker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};

/// A timeout of zero.
pub(super) const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Says for which operation a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Read or accept (`POLLIN`).
    Read,
    /// Write or connect (`POLLOUT`).
    Write,
}

impl Interest {
    const fn flags(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
        }
    }
}

struct State<T: ?Sized> {
    waiting: RefCell<Vec<(Interest, Waker)>>,
    /// Whether [`WAITING`] contains it.
    listed: Cell<bool>,
    of: T,
}

thread_local! {
    /// The descriptors with registered wakers, and some that were dropped.
    static WAITING: RefCell<Vec<Weak<State<dyn AsFd>>>> = const { RefCell::new(Vec::new()) };
}

/// Wraps something with a file descriptor so that tasks can wait for it. Set it to be
/// non-blocking.
pub struct Watched<T>(Rc<State<T>>);

impl<T: AsFd + 'static> Watched<T> {
    /// Wraps `of`.
    pub fn new(of: T) -> Self {
        Self(Rc::new(State { waiting: RefCell::default(), listed: Cell::new(false), of }))
    }

    /// Wakes `waker` once, when the operation would not block, or on an error or the end of the
    /// peer.
    pub fn wait(&self, interest: Interest, waker: &Waker) {
        let mut waiting = self.0.waiting.borrow_mut();
        if !waiting.iter().any(|(other, of)| *other == interest && of.will_wake(waker)) {
            waiting.push((interest, waker.clone()));
        }
        if !self.0.listed.replace(true) {
            let state: Rc<State<dyn AsFd>> = self.0.clone();
            WAITING.with_borrow_mut(|list| list.push(Rc::downgrade(&state)));
        }
    }

    /// Calls `call`. If that fails with `EAGAIN`, registers the task to be woken for `interest`
    /// and returns `Pending`. After `EINTR`, calls it again.
    ///
    /// # Errors
    /// All others of `call`.
    pub fn poll<R>(
        &self,
        interest: Interest,
        context: &Context<'_>,
        mut call: impl FnMut(&T) -> Result<R, Errno>,
    ) -> Poll<Result<R, Errno>> {
        loop {
            match call(&self.0.of) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.wait(interest, context.waker());
                    return Poll::Pending;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Returns whether the operation would not block now.
    #[must_use]
    pub fn is_ready(&self, interest: Interest) -> bool {
        let mut this = [PollFd::new(&self.0.of, interest.flags())];
        matches!(poll(&mut this, Some(&NOW)), Ok(1..))
    }

    /// Returns whether the peer of a stream has ended, or the stream is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        let mut this = [PollFd::new(&self.0.of, PollFlags::RDHUP)];
        matches!(poll(&mut this, Some(&NOW)), Ok(1..))
    }
}

impl<T> Deref for Watched<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.of
    }
}

impl<T: fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.of.fmt(f)
    }
}

/// Waits until a descriptor is ready, for `timeout` at most or without a limit, and wakes the
/// tasks that wait for it.
pub(super) fn poll_all(timeout: Option<&Timespec>) {
    let waiting: Vec<_> = WAITING.take().iter().filter_map(Weak::upgrade).collect();
    let wanted = |state: &Rc<State<dyn AsFd>>| {
        let waiting = state.waiting.borrow();
        waiting.iter().fold(PollFlags::empty(), |all, (interest, _)| all | interest.flags())
    };
    let mut polled: Vec<_> = waiting
        .iter()
        .map(|state| PollFd::from_borrowed_fd(state.of.as_fd(), wanted(state)))
        .collect();
    // A signal ends the wait early; the executor then waits again.
    let some = matches!(poll(&mut polled, timeout), Ok(1..));
    let events: Vec<_> = polled.iter().map(PollFd::revents).collect();
    let mut ready = Vec::new();
    let mut left = Vec::with_capacity(waiting.len());
    for (state, events) in waiting.iter().zip(events) {
        let mut waiting = state.waiting.borrow_mut();
        if some && !events.is_empty() {
            // An error or a hangup ends every operation.
            let all = events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
            ready.extend(
                waiting
                    .extract_if(.., |(interest, _)| all || events.intersects(interest.flags()))
                    .map(|(_, waker)| waker),
            );
        }
        state.listed.set(!waiting.is_empty());
        if state.listed.get() {
            left.push(Rc::downgrade(state));
        }
    }
    // Woken and dropped without a borrow: a waker may drop other descriptors.
    WAITING.set(left);
    drop(waiting);
    ready.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{block_on, join, spawn, yield_now};
    use crate::time::{Instant, sleep, timeout};
    use core::future::poll_fn;
    use core::time::Duration;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Watched<UnixStream>, Watched<UnixStream>) {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        (Watched::new(one), Watched::new(other))
    }

    async fn read(from: &Watched<UnixStream>) -> usize {
        let mut to = [0; 16];
        poll_fn(|context| {
            from.poll(Interest::Read, context, |from| rustix::io::read(from, &mut to))
        })
        .await
        .unwrap()
    }

    #[test]
    fn a_reader_waits_for_a_writer_and_hears_of_the_end() {
        block_on(async {
            let (one, other) = pair();
            let writer = async {
                sleep(Duration::from_millis(20)).await;
                assert_eq!(rustix::io::write(&*other, b"abc"), Ok(3));
                drop(other);
            };
            let (count, ()) = join(read(&one), writer).await;
            assert_eq!((count, read(&one).await), (3, 0));
        });
    }

    #[test]
    fn a_writer_waits_for_room_and_a_reader_beside_it_sleeps_on() {
        block_on(async {
            let (one, other) = pair();
            let piece = [0; 4096];
            let fill = |one: &UnixStream| rustix::io::write(one, &piece);
            while fill(&one).is_ok() {}
            let write = poll_fn(|context| one.poll(Interest::Write, context, fill));
            let drain = async {
                sleep(Duration::from_millis(10)).await;
                let mut to = [0; 4096];
                while rustix::io::read(&*other, &mut to[..]).is_ok() {}
            };
            let nothing = timeout(Duration::from_millis(50), read(&one));
            let (nothing, (written, ())) = join(nothing, join(write, drain)).await;
            assert!(nothing.is_err() && written == Ok(4096));
        });
    }

    #[test]
    fn what_is_dropped_is_closed_though_somebody_waited_for_it() {
        block_on(async {
            let (one, other) = pair();
            let task = spawn(async move { read(&one).await });
            yield_now().await;
            drop(task);
            assert_eq!(read(&other).await, 0);
            assert!(WAITING.with_borrow(|list| list.iter().all(|it| it.upgrade().is_none())));
        });
    }

    #[test]
    fn who_does_not_wait_any_more_costs_one_turn_and_no_more() {
        block_on(async {
            let (one, other) = pair();
            assert!(timeout(Duration::from_millis(1), read(&one)).await.is_err());
            rustix::io::write(&*other, b"x").unwrap();
            let begun = Instant::now();
            sleep(Duration::from_millis(20)).await;
            assert!(begun.elapsed() >= Duration::from_millis(20));
            assert!(one.0.waiting.borrow().is_empty() && !one.0.listed.get());
            assert_eq!(read(&one).await, 1);
        });
    }
}
