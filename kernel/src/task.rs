//! Runs tasks: futures that make progress beside each other.
//!
//! There is one vCPU and no preemption: a task runs until it awaits something that is not ready. A
//! task that never awaits keeps all others waiting, and the watchdog ends the machine. Tasks are
//! not `Send`, and share data by `Rc` and `Cell`.
//!
//! Wakers can be kept, cloned, dropped and called at any time; a task that is woken twice before
//! it runs, runs once. Tasks and wakers are those of the crate `async-task`, [`join`] and
//! [`select`] those of `embassy-futures`; the queue and the executor are here.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use core::time::Duration;
//! use xenith::task::{Either, block_on, join, select, spawn};
//! use xenith::time::sleep;
//!
//! async fn count(seconds: u32) -> u32 {
//!     sleep(Duration::from_secs(1) * seconds).await;
//!     seconds
//! }
//!
//! # xenith::testing::simulate_time();
//! block_on(async {
//!     // A task runs beside the one that started it. Dropping `task` would cancel it.
//!     let task = spawn(count(3));
//!     // Futures that are joined need no heap, and end with the one that takes longest.
//!     assert_eq!(join(count(1), count(2)).await, (1, 2));
//!     assert_eq!(task.await, 3);
//!     // The first one to be ready wins; the other is dropped.
//!     assert!(matches!(select(count(9), count(4)).await, Either::Second(4)));
//! });
//! ```

use crate::time::Instant;
use crate::{machine, time};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use async_task::Runnable;
use core::pin::{Pin, pin};
use core::ptr::from_ref;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
pub use embassy_futures::join::{join, join_array, join3, join4};
pub use embassy_futures::select::{
    Either, Either3, Either4, select, select_array, select3, select4,
};
pub use embassy_futures::yield_now;
use spin::Mutex;

/// The tasks that are ready to run, in the order in which they were woken.
#[derive(Debug)]
struct Queue {
    ready: Mutex<VecDeque<Runnable>>,
    /// Number of tasks that take memory: they have not returned, or a handle or waker refers to
    /// them.
    alive: AtomicUsize,
}

impl Queue {
    const fn new() -> Self {
        Self { ready: Mutex::new(VecDeque::new()), alive: AtomicUsize::new(0) }
    }

    fn push(&self, runnable: Runnable) {
        self.ready.lock().push_back(runnable);
    }

    fn pop(&self) -> Option<Runnable> {
        self.ready.lock().pop_front()
    }

    fn len(&self) -> usize {
        self.ready.lock().len()
    }

    /// Reserves memory for all tasks and one more to be ready at once. Returns whether that
    /// succeeded.
    fn reserve(&self) -> bool {
        let mut ready = self.ready.lock();
        let more = (self.alive.load(Ordering::Relaxed) + 1).saturating_sub(ready.len());
        ready.try_reserve(more).is_ok()
    }
}

machine::local! {
    /// The tasks of this machine that are ready.
    static QUEUE: Queue = Queue::new();
}

machine::local! {
    /// Whether the future that this machine blocks on was woken.
    static READY: Ready = Ready::new();
}

/// Puts one task into the queue when it is woken. It is dropped with the task.
struct Scheduler(&'static Queue);

impl Scheduler {
    fn new(queue: &'static Queue) -> Self {
        queue.alive.fetch_add(1, Ordering::Relaxed);
        Self(queue)
    }

    fn push(&self, runnable: Runnable) {
        self.0.push(runnable);
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Handles a [spawned](spawn) task. Awaiting it yields what the task returns; dropping it cancels
/// the task: its future is dropped before the task runs again.
#[derive(Debug)]
#[must_use = "dropping a task cancels it: keep it, await it or detach it"]
pub struct Task<T>(async_task::Task<T>);

impl<T> Task<T> {
    /// Lets the task continue without a handle.
    pub fn detach(self) {
        self.0.detach();
    }

    /// Returns whether the task has returned.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Cancels the task and waits until its future is dropped. Returns what the task returned,
    /// if it had returned before.
    pub async fn cancel(self) -> Option<T> {
        self.0.cancel().await
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context)
    }
}

/// Starts a task. It first runs when the current task awaits.
///
/// # Panics
/// If there is no memory for it: see [`try_spawn`].
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use xenith::task::{block_on, spawn, yield_now};
///
/// block_on(async {
///     // There are no threads, so tasks share by `Rc` and `Cell`, and need no locks.
///     let served = Rc::new(Cell::new(0));
///     for _ in 0..3 {
///         let served = served.clone();
///         spawn(async move { served.set(served.get() + 1) }).detach();
///     }
///     yield_now().await;
///     assert_eq!(served.get(), 3);
/// });
/// ```
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    start(Box::pin(future))
}

/// The same whatever the future is, so that what runs, wakes and drops tasks is in an image once
/// for each type of result.
fn start<T: 'static>(future: Pin<Box<dyn Future<Output = T>>>) -> Task<T> {
    let scheduler = Scheduler::new(QUEUE.get());
    let schedule = move |runnable| scheduler.push(runnable);
    // SAFETY: the future is 'static, and so is all that `schedule` holds. It
    // need not be Send: the queue belongs to this thread (there is no other on
    // Xen, and `QUEUE` is thread-local on Linux), only `block_on` of
    // this thread runs what is in it, and wakers leave the thread no more than
    // the futures that hold them.
    let (runnable, task) = unsafe { async_task::spawn_unchecked(future, schedule) };
    runnable.schedule();
    Task(task)
}

/// Most bytes that a task takes beside its future.
const OVERHEAD: usize = 128;

/// Starts a task as [`spawn`] does, or drops the future and returns `None` if there is no memory.
/// For tasks that a peer causes, so that running out of memory ends its request and not the
/// machine.
pub fn try_spawn<F>(future: F) -> Option<Task<F::Output>>
where
    F: Future + 'static,
    F::Output: 'static,
{
    if machine::is_spent() || !QUEUE.get().reserve() || !time::reserve(alive()) {
        return None;
    }
    // Neither the box nor `async-task` can fail, so see whether what they will allocate is there: last,
    // as the above may take it.
    let room = Vec::<u64>::new().try_reserve_exact((size_of::<F>() + OVERHEAD).div_ceil(8));
    room.is_ok().then(|| spawn(future))
}

/// Returns the number of tasks that take memory: they have not returned, or a handle or waker
/// refers to them.
#[must_use]
pub fn alive() -> usize {
    QUEUE.get().alive.load(Ordering::Relaxed)
}

/// Returns the number of tasks that are ready to run.
#[must_use]
pub fn ready() -> usize {
    QUEUE.get().len()
}

/// Says whether the future of [`block_on`] was woken. Its waker only sets this flag, so an app
/// that spawns no task contains no code for tasks.
#[derive(Debug)]
struct Ready(AtomicBool);

impl Ready {
    const fn new() -> Self {
        Self(AtomicBool::new(true))
    }

    fn waker(&'static self) -> Waker {
        // A static, as the copies of a constant may differ in address: `will_wake` compares it.
        static TABLE: RawWakerVTable = RawWakerVTable::new(
            |ready| RawWaker::new(ready, &TABLE),
            // SAFETY: the pointer is that of a `&'static Ready`.
            |ready| unsafe { &*ready.cast::<Ready>() }.0.store(true, Ordering::Release),
            // SAFETY: as above.
            |ready| unsafe { &*ready.cast::<Ready>() }.0.store(true, Ordering::Release),
            |_| {},
        );
        // SAFETY: the functions keep the contract of RawWaker: the flag lives
        // for ever, is shared by all clones, and is set atomically.
        unsafe { Waker::from_raw(RawWaker::new(from_ref(self).cast(), &TABLE)) }
    }
}

/// Size in bytes of the largest future that is kept on the stack; larger ones are boxed.
const ON_STACK: usize = 4096;

/// Runs `future` to completion, and all tasks meanwhile. Tasks that have not returned continue at
/// the next `block_on`.
pub fn block_on<F: Future>(future: F) -> F::Output {
    if const { size_of::<F>() <= ON_STACK } {
        run(pin!(future))
    } else {
        run(Box::pin(future).as_mut())
    }
}

/// Each turn runs the tasks that were ready when it began, then fires timers and scans for events,
/// so that tasks that keep waking each other starve neither (rule E3). When nothing is ready, the
/// machine idles until the next timer or event.
fn run<F: Future>(mut main: Pin<&mut F>) -> F::Output {
    let (queue, ready) = (QUEUE.get(), READY.get());
    let waker = ready.waker();
    let mut context = Context::from_waker(&waker);
    ready.0.store(true, Ordering::Relaxed);
    loop {
        if ready.0.swap(false, Ordering::Acquire)
            && let Poll::Ready(output) = main.as_mut().poll(&mut context)
        {
            return output;
        }
        for _ in 0..queue.len() {
            if let Some(runnable) = queue.pop() {
                runnable.run();
            }
        }
        let next = time::fire();
        if queue.len() > 0 || ready.0.load(Ordering::Relaxed) {
            machine::poll_events();
        } else {
            machine::idle(next.map(Instant::as_nanos));
            time::fire();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::sleep;
    use core::time::Duration;
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::rc::Rc;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn tasks_run_in_the_order_of_their_timers() {
        crate::testing::simulate_time();
        let order = Rc::new(RefCell::new(Vec::new()));
        block_on({
            let order = order.clone();
            async move {
                let tasks = [3, 1, 2].map(|n| {
                    let order = order.clone();
                    spawn(async move {
                        sleep(SECOND * n).await;
                        order.borrow_mut().push(n);
                        n * 10
                    })
                });
                let mut sum = 0;
                for task in tasks {
                    sum += task.await;
                }
                order.borrow_mut().push(sum);
            }
        });
        assert_eq!(*order.borrow(), [1, 2, 3, 60]);
    }

    #[test]
    fn dropping_a_task_cancels_it_and_drops_its_future() {
        crate::testing::simulate_time();
        let alive = Rc::new(());
        let seen = alive.clone();
        block_on(async move {
            let task = spawn(async move {
                let _held = seen;
                sleep(SECOND).await;
                unreachable!("it was cancelled");
            });
            yield_now().await;
            assert_eq!(super::alive(), 1);
            drop(task);
            sleep(SECOND * 2).await;
        });
        assert_eq!((Rc::strong_count(&alive), super::alive()), (1, 0));
    }

    #[test]
    fn cancelling_returns_what_was_ready() {
        crate::testing::simulate_time();
        block_on(async {
            let ready = spawn(async { 5 });
            let waiting = spawn(async {
                sleep(SECOND).await;
                6
            });
            yield_now().await;
            assert!(ready.is_finished());
            assert_eq!(ready.cancel().await, Some(5));
            assert_eq!(waiting.cancel().await, None);
        });
    }

    #[test]
    fn a_waker_may_be_called_twice_and_kept() {
        crate::testing::simulate_time();
        let polls = Rc::new(Cell::new(0));
        let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
        block_on({
            let (polls, kept) = (polls.clone(), kept.clone());
            async move {
                let task = spawn(poll_fn({
                    let (polls, kept) = (polls.clone(), kept.clone());
                    move |context| {
                        polls.set(polls.get() + 1);
                        *kept.borrow_mut() = Some(context.waker().clone());
                        if polls.get() == 2 { Poll::Ready(()) } else { Poll::Pending }
                    }
                }));
                yield_now().await;
                assert_eq!(polls.get(), 1);
                let waker = kept.borrow().clone().unwrap();
                waker.wake_by_ref();
                waker.wake_by_ref();
                task.await;
            }
        });
        assert_eq!(polls.get(), 2);
        kept.borrow().as_ref().unwrap().wake_by_ref();
    }

    #[test]
    fn busy_tasks_do_not_starve_timers_e3() {
        let started = Instant::now();
        block_on(async {
            let busy = spawn(async {
                loop {
                    yield_now().await;
                }
            });
            sleep(Duration::from_millis(20)).await;
            drop(busy);
        });
        assert!(started.elapsed() < SECOND * 5);
    }

    #[test]
    fn select_gives_the_first_and_drops_the_other() {
        crate::testing::simulate_time();
        block_on(async {
            let first = select(sleep(SECOND * 5), async {
                sleep(SECOND).await;
                "short"
            });
            assert!(matches!(first.await, Either::Second("short")));
            assert_eq!(join(async { 1 }, async { 2 }).await, (1, 2));
        });
    }
}
