//! Reads the clocks, sleeps, and limits how long a future may take.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use core::time::Duration;
//! use xenith::task::block_on;
//! use xenith::time::{Instant, interval, sleep, timeout};
//!
//! # xenith::testing::simulate_time();
//! block_on(async {
//!     let begun = Instant::now();
//!     let mut seconds = interval(Duration::from_secs(1));
//!     for _ in 0..3 {
//!         seconds.tick().await;
//!     }
//!     assert_eq!(begun.elapsed(), Duration::from_secs(3));
//!
//!     // Whatever takes too long is dropped.
//!     let answer = timeout(Duration::from_secs(5), sleep(Duration::from_secs(60)));
//!     assert!(answer.await.is_err());
//!     assert_eq!(begun.elapsed(), Duration::from_secs(8));
//! });
//! ```

use crate::machine;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::num::NonZeroU64;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use spin::{Mutex, Once};

/// Reads and compares times of the monotonic clock, in ns since boot. The clock never goes back.
/// It runs while the domain is paused, and stops while it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// ns since the start of the machine's clock, and 1 for none, so that an `Option` of it is as
    /// small as it.
    ns: NonZeroU64,
}

impl Instant {
    /// Returns the current time.
    #[must_use]
    pub fn now() -> Self {
        Self { ns: NonZeroU64::new(machine::monotonic()).unwrap_or(NonZeroU64::MIN) }
    }

    /// Returns the time since this instant; zero if it is in the future.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }

    /// Returns the time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.ns.get().saturating_sub(earlier.ns.get()))
    }

    /// Returns the instant `duration` after this one; at most 584 years after the start of the
    /// clock.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let ns = duration.as_secs().saturating_mul(1_000_000_000);
        Self { ns: self.ns.saturating_add(ns).saturating_add(duration.subsec_nanos().into()) }
    }

    /// Returns the ns since the start of the machine's clock: on Xen, when Xen started.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.ns.get()
    }
}

/// Returns the time of day that this machine was told, if it was. A pointer, so that only images
/// that set their clock contain the code.
pub(crate) static TOLD: Once<fn() -> Option<Duration>> = Once::new();

/// Returns the wall clock: the time since 1970-01-01 00:00:00 UTC. Whoever administers the host
/// can set it at any time, also back, and so can `clock::set`.
#[must_use]
pub fn wall_clock() -> Duration {
    TOLD.get().and_then(|told| told()).unwrap_or_else(machine::wall_clock)
}

/// The timers of a machine.
#[derive(Debug)]
struct Timers(Mutex<TimerHeap>);

machine::local! {
    /// The timers of this machine.
    static TIMERS: Timers = Timers::new();
}

/// A heap of deadlines, each with the number of the slot that holds its waker. Stopping a timer
/// frees its slot at once and leaves its deadline in the heap; the heap is swept when most of it
/// is such stale deadlines.
#[derive(Debug)]
struct TimerHeap {
    heap: BinaryHeap<Reverse<Deadline>>,
    slots: Vec<Slot>,
    /// The first free slot; each free slot names the next.
    free: Option<usize>,
    running: usize,
    started: u64,
}

/// Ordered by time, and among equal ones by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    moment: Instant,
    timer: u64,
    slot: usize,
}

#[derive(Debug)]
enum Slot {
    Running { timer: u64, waker: Waker },
    Free { next: Option<usize> },
}

/// Number of timers that a task has at once, in most cases at most.
const PER_TASK: usize = 2;

/// Number of stale deadlines that are not worth a sweep.
const STALE: usize = 32;

impl Timers {
    const fn new() -> Self {
        Self(Mutex::new(TimerHeap {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: None,
            running: 0,
            started: 0,
        }))
    }

    /// Returns the number of running timers.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().running
    }
}

/// Reserves memory for the timers of `tasks` tasks and one more. Returns whether that succeeded.
pub(crate) fn reserve(tasks: usize) -> bool {
    let mut running = TIMERS.get().0.lock();
    let timers = PER_TASK * (tasks + 1);
    let slots = timers.saturating_sub(running.slots.len());
    let heap = (2 * timers + STALE).saturating_sub(running.heap.len());
    running.slots.try_reserve(slots).is_ok() && running.heap.try_reserve(heap).is_ok()
}

impl TimerHeap {
    fn start(&mut self, moment: Instant, waker: Waker) -> Deadline {
        if self.heap.len() > 2 * self.running + STALE {
            let slots = &self.slots;
            self.heap.retain(|Reverse(deadline)| {
                let slot = slots.get(deadline.slot);
                matches!(slot, Some(Slot::Running { timer, .. }) if *timer == deadline.timer)
            });
        }
        self.started += 1;
        self.running += 1;
        let new = Slot::Running { timer: self.started, waker };
        let free = self.free.and_then(|slot| Some((slot, self.slots.get_mut(slot)?)));
        let slot = if let Some((slot, entry)) = free {
            if let Slot::Free { next } = core::mem::replace(entry, new) {
                self.free = next;
            }
            slot
        } else {
            self.slots.push(new);
            self.slots.len() - 1
        };
        let deadline = Deadline { moment, timer: self.started, slot };
        self.heap.push(Reverse(deadline));
        deadline
    }

    /// Returns the waker of a timer, if it is still running.
    fn waker(&mut self, deadline: Deadline) -> Option<&mut Waker> {
        match self.slots.get_mut(deadline.slot)? {
            Slot::Running { timer, waker } if *timer == deadline.timer => Some(waker),
            _ => None,
        }
    }

    /// Stops a timer. Returns its waker, if it was still running.
    fn stop(&mut self, deadline: Deadline) -> Option<Waker> {
        self.waker(deadline)?;
        let slot = self.slots.get_mut(deadline.slot)?;
        let old = core::mem::replace(slot, Slot::Free { next: self.free });
        self.free = Some(deadline.slot);
        self.running -= 1;
        match old {
            Slot::Running { waker, .. } => Some(waker),
            Slot::Free { .. } => None,
        }
    }
}

/// Fires all timers whose deadline has come. Returns the next deadline.
pub(crate) fn fire() -> Option<Instant> {
    let timers = TIMERS.get();
    loop {
        let mut running = timers.0.lock();
        let &Reverse(next) = running.heap.peek()?;
        if running.waker(next).is_some() && next.moment > Instant::now() {
            return Some(next.moment);
        }
        running.heap.pop();
        let waker = running.stop(next);
        // Without the lock, as a waker may start or stop a timer.
        drop(running);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Completes at a deadline: see [`sleep`] and [`sleep_until`]. Dropping it stops its timer.
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    moment: Instant,
    timer: Option<Deadline>,
}

/// Waits for `duration`. With zero, it completes at the first poll, without yielding to other
/// tasks.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now().saturating_add(duration))
}

/// Waits until `moment`. If that is in the past, it completes at the first poll.
pub const fn sleep_until(moment: Instant) -> Sleep {
    Sleep { moment, timer: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.moment {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        let mut running = TIMERS.get().0.lock();
        // A spurious poll keeps the timer, with the waker of whoever polls now.
        let old = match self.timer.and_then(|timer| running.waker(timer)) {
            Some(old) => Some(core::mem::replace(old, waker)),
            None => {
                self.timer = Some(running.start(self.moment, waker));
                None
            }
        };
        drop(running);
        // Without the lock, as dropping the last waker of a task drops its future.
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let waker = TIMERS.get().0.lock().stop(timer);
            drop(waker);
        }
    }
}

/// Ticks at regular times: see [`interval`].
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    /// In ns.
    period: NonZeroU64,
}

/// Makes an interval that ticks every `period`, first one period from now.
///
/// # Panics
/// If `period` is zero.
#[must_use]
pub fn interval(period: Duration) -> Interval {
    let next = Instant::now().saturating_add(period);
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
    let period = NonZeroU64::new(period).expect("the period of an interval is zero");
    Interval { next, period }
}

impl Interval {
    /// Waits for the next tick. After a delay it completes once, at once, and skips other ticks
    /// that were missed; the following ones are at multiples of the period again.
    pub async fn tick(&mut self) {
        sleep_until(self.next).await;
        let late = Instant::now().as_nanos().saturating_sub(self.next.as_nanos());
        let step = self.period.get().saturating_mul((late / self.period).saturating_add(1));
        self.next = Instant { ns: self.next.ns.saturating_add(step) };
    }
}

/// Reports that a [`timeout`] expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl core::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("timed out")
    }
}

impl core::error::Error for Elapsed {}

/// Waits for `future`, for `duration` at most.
///
/// # Errors
/// [`Elapsed`] if `future` is not ready by then. It is dropped with the wait.
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(duration) }
}

/// Completes with a future or at a deadline: see [`timeout`]. It is no `async fn`, which would
/// hold the future twice: where it was passed, and where it is polled.
#[derive(Debug)]
#[must_use = "a timeout does nothing unless it is awaited"]
pub struct Timeout<F> {
    future: F,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of it here.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is pinned with the whole, which has no `Drop` and moves it nowhere.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        if let Poll::Ready(output) = future.poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut this.sleep).poll(context).map(|()| Err(Elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{block_on, spawn, yield_now};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_instant_that_may_be_none_is_no_larger() {
        assert_eq!(size_of::<Option<Instant>>(), size_of::<u64>());
    }

    #[test]
    fn sleeping_takes_as_long_as_it_says() {
        crate::testing::simulate_time();
        block_on(async {
            let begun = Instant::now();
            sleep(SECOND * 3).await;
            assert_eq!(begun.elapsed(), SECOND * 3);
            sleep(Duration::ZERO).await;
            sleep_until(begun).await;
            assert_eq!(begun.elapsed(), SECOND * 3);
        });
    }

    #[test]
    fn real_time_passes_too() {
        let begun = std::time::Instant::now();
        block_on(sleep(Duration::from_millis(30)));
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn a_timeout_cuts_short_and_leaves_no_timer() {
        crate::testing::simulate_time();
        block_on(async {
            let begun = Instant::now();
            assert_eq!(timeout(SECOND, sleep(SECOND * 9)).await, Err(Elapsed));
            assert_eq!(begun.elapsed(), SECOND);
            assert_eq!(timeout(SECOND * 9, async { 4 }).await, Ok(4));
            assert_eq!(begun.elapsed(), SECOND);
            assert!(TIMERS.get().len() == 0);
        });
    }

    #[test]
    fn an_interval_keeps_its_rhythm() {
        crate::testing::simulate_time();
        block_on(async {
            let begun = Instant::now();
            let mut interval = interval(SECOND);
            interval.tick().await;
            sleep(Duration::from_millis(2500)).await;
            interval.tick().await;
            assert_eq!(begun.elapsed(), Duration::from_millis(3500), "late, but at once");
            interval.tick().await;
            assert_eq!(begun.elapsed(), SECOND * 4, "back in step");
        });
    }

    #[test]
    fn a_thousand_timers_wake_in_order_and_cancelled_ones_never() {
        crate::testing::simulate_time();
        block_on(async {
            let begun = Instant::now();
            let tasks: Vec<_> = (0..1000_u32)
                .map(|n| {
                    spawn(async move {
                        sleep(Duration::from_millis(u64::from(n * 7919 % 1000))).await;
                        Instant::now()
                    })
                })
                .collect();
            yield_now().await;
            for (n, task) in tasks.into_iter().enumerate() {
                if n % 3 == 0 {
                    drop(task);
                } else {
                    let due = Duration::from_millis((n * 7919 % 1000) as u64);
                    assert_eq!(task.await.saturating_duration_since(begun), due);
                }
            }
            yield_now().await;
            assert!(TIMERS.get().len() == 0);
        });
    }

    #[test]
    fn the_wall_clock_is_this_century() {
        let years = wall_clock().as_secs() / (365 * 24 * 3600);
        assert!((50..130).contains(&years));
    }

    #[test]
    fn stopped_timers_do_not_pile_up() {
        crate::testing::simulate_time();
        block_on(async {
            for _ in 0..10_000 {
                assert_eq!(timeout(SECOND * 3600, yield_now()).await, Ok(()));
            }
            let running = TIMERS.get().0.lock();
            assert!(running.heap.len() <= STALE + 2, "{}", running.heap.len());
            assert!(running.slots.len() <= 2);
        });
    }
}
