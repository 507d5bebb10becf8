//! Lists the tasks that wait for one thing.

use alloc::vec::Vec;
use core::task::Waker;

/// From this many tasks on, a list without room is searched for tasks that are gone.
const MANY: usize = 16;

/// Holds the wakers of the tasks that wait for one thing, each once.
///
/// A task adds its waker whenever it has to wait, and looks again when it is woken, as it
/// does in [`poll_fn`](core::future::poll_fn). The first waker takes no memory from the heap.
///
/// A waker does not tell whether its task still waits, so a task that gave up, or is gone,
/// stays listed until the next [`wake`](Self::wake). So that such tasks do not pile up, a list
/// of 16 and more that has no room wakes all of them: those that still wait add themselves
/// again, and the others are dropped when it has no room the next time. So the memory of a list
/// is a small multiple of what those take that wait at once, and one whose tasks do not give up
/// wakes them needlessly only while it grows.
///
/// # Example
/// ```
/// # use xenith_kernel as kernel;
/// use kernel::sync::Wakers;
/// use kernel::task::{block_on, join, yield_now};
/// use std::cell::{Cell, RefCell};
/// use std::future::poll_fn;
/// use std::task::Poll;
///
/// let (open, waiting) = (Cell::new(false), RefCell::new(Wakers::new()));
/// let opened = || {
///     poll_fn(|context| {
///         if open.get() {
///             return Poll::Ready(());
///         }
///         waiting.borrow_mut().add(context.waker());
///         Poll::Pending
///     })
/// };
/// block_on(join(opened(), async {
///     yield_now().await;
///     open.set(true);
///     waiting.borrow_mut().wake();
/// }));
/// ```
#[derive(Debug, Default)]
pub struct Wakers {
    /// The one that waits longest. Without it there are no others.
    first: Option<Waker>,
    others: Vec<Other>,
}

/// One that is not the first.
#[derive(Debug)]
struct Other {
    waker: Waker,
    /// It was woken to see whether it still waits, and has not said so yet.
    asked: bool,
}

impl Wakers {
    /// Makes an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: None, others: Vec::new() }
    }

    /// Returns whether nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds `waker`, unless one that wakes the same task is listed. Without memory for it, it
    /// is woken at once, to try again.
    pub fn add(&mut self, waker: &Waker) {
        match &self.first {
            None => self.first = Some(waker.clone()),
            Some(first) if first.will_wake(waker) => {}
            Some(_) => self.add_other(waker),
        }
    }

    fn add_other(&mut self, waker: &Waker) {
        if let Some(other) = self.others.iter_mut().find(|it| it.waker.will_wake(waker)) {
            other.asked = false;
            return;
        }
        if self.others.len() == self.others.capacity() && self.others.len() >= MANY {
            self.ask();
        }
        if self.others.try_reserve(1).is_ok() {
            self.others.push(Other { waker: waker.clone(), asked: false });
        } else {
            waker.wake_by_ref();
        }
    }

    /// Drops those that did not answer the last time, and asks the rest.
    #[cold]
    fn ask(&mut self) {
        let room = self.others.capacity();
        self.others.retain(|it| !it.asked);
        // With little room, the living would soon be asked again.
        if self.others.len() > room - room / 4 {
            let _ = self.others.try_reserve(room);
        }
        for other in &mut self.others {
            other.asked = true;
            other.waker.wake_by_ref();
        }
    }

    /// Removes `waker`: its task waits no more.
    pub fn remove(&mut self, waker: &Waker) {
        self.others.retain(|it| !it.waker.will_wake(waker));
        if self.first.as_ref().is_some_and(|it| it.will_wake(waker)) {
            self.first = (!self.others.is_empty()).then(|| self.others.remove(0).waker);
        }
    }

    /// Wakes all tasks, in the order in which they began to wait, and empties the list.
    pub fn wake(&mut self) {
        let others = self.others.drain(..).map(|it| it.waker);
        self.first.take().into_iter().chain(others).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;
    use std::task::Wake;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    fn counters(count: usize) -> Vec<(Arc<Count>, Waker)> {
        let one = || Arc::new(Count::default());
        core::iter::repeat_with(one).take(count).map(|it| (it.clone(), it.into())).collect()
    }

    #[test]
    fn each_task_is_woken_once_however_often_it_waits() {
        let tasks = counters(40);
        let mut wakers = Wakers::new();
        for _ in 0..100 {
            tasks.iter().take(3).for_each(|it| wakers.add(&it.1));
        }
        wakers.wake();
        assert!(wakers.is_empty());
        assert!(tasks.iter().take(3).all(|it| it.0.take() == 1));
        wakers.wake();
        assert!(tasks.iter().all(|it| it.0.take() == 0));
    }

    #[test]
    fn one_task_takes_no_memory() {
        let tasks = counters(1);
        let mut wakers = Wakers::new();
        for _ in 0..3 {
            wakers.add(&tasks[0].1);
            assert_eq!(wakers.others.capacity(), 0);
            wakers.wake();
        }
    }

    #[test]
    fn one_that_is_removed_is_not_woken_and_the_others_are() {
        for gone in 0..4 {
            let tasks = counters(4);
            let mut wakers = Wakers::new();
            tasks.iter().for_each(|it| wakers.add(&it.1));
            wakers.remove(&tasks[gone].1);
            // No waker is listed twice, also when the first one is gone.
            tasks.iter().skip(gone + 1).for_each(|it| wakers.add(&it.1));
            wakers.wake();
            let woken: Vec<usize> = tasks.iter().map(|it| it.0.take()).collect();
            assert_eq!(woken, (0..4).map(|at| usize::from(at != gone)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn tasks_that_are_gone_do_not_pile_up_and_the_living_stay_t3() {
        let living = counters(30);
        let mut wakers = Wakers::new();
        living.iter().for_each(|it| wakers.add(&it.1));
        let mut needless = 0;
        for _ in 0..20_000 {
            // It waits once, and gives up. What is woken looks, and waits on.
            wakers.add(&counters(1)[0].1);
            for (count, waker) in &living {
                let woken = count.take();
                needless += woken;
                (0..woken).for_each(|_| wakers.add(waker));
            }
        }
        assert!(wakers.others.capacity() <= 5 * living.len(), "{}", wakers.others.capacity());
        assert!(needless <= 20_000, "{needless}");
        living.iter().for_each(|it| assert_eq!(it.0.take(), 0));
        wakers.wake();
        living.iter().for_each(|it| assert_eq!(it.0.take(), 1));
    }

    #[test]
    fn many_that_wait_are_asked_seldom() {
        let living = counters(1000);
        let mut wakers = Wakers::new();
        let mut needless = 0;
        for _ in 0..10 {
            for (_, waker) in &living {
                wakers.add(waker);
                for (count, waker) in &living {
                    let woken = count.take();
                    needless += woken;
                    (0..woken).for_each(|_| wakers.add(waker));
                }
            }
            wakers.wake();
            assert!(living.iter().all(|it| it.0.take() == 1), "none is lost");
        }
        assert!(needless <= 2 * 1000, "only while it grows: {needless}");
    }
}
