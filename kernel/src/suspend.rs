//! Lets the machine be saved, restored, copied and moved to another host (`xl save`, `xl restore`,
//! `xl migrate`) while programs and their connections live on.
//!
//! Most code need not know: the monotonic clock goes on from where it was, timers fire once, and
//! devices connect anew by themselves. Who has to finish something first is a [`Participant`]; who
//! has to do something afterwards waits for [`resumed`].
//!
//! A suspension ends in one of two ways ([`Outcome`]). Where it is cancelled, as by `xl save -c`,
//! nothing has changed. Else the machine is another domain, perhaps one of several copies, and its
//! [`generation`] is one more. Its random numbers are its own: the generator is seeded anew before
//! any task runs.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::suspend::{Outcome, Participant, resumed};
//!
//! /// Keeps what is half done from being saved.
//! async fn settle(mut flush: impl AsyncFnMut()) {
//!     let mut participant = Participant::new();
//!     loop {
//!         participant.requested().await;
//!         flush().await;
//!         if participant.ready().await == Outcome::Renewed {
//!             xenith::println!("this is another domain");
//!         }
//!     }
//! }
//!
//! /// Registers again with a service that knows its clients by their sessions.
//! async fn stay_registered(mut register: impl AsyncFnMut()) {
//!     let mut resumed = resumed();
//!     loop {
//!         register().await;
//!         resumed.next().await;
//!     }
//! }
//! # let _ = (settle(async || ()), stay_registered(async || ()));
//! ```

use crate::entropy;
use crate::machine;
use crate::sync::Wakers;
use crate::time::timeout;
use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;
use spin::Mutex;

/// Time that participants have to be ready. The toolstack gives up after 60 s.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Says what became of a suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was cancelled: this is the domain that it was.
    Cancelled,
    /// This is another domain.
    Renewed,
}

/// The state of suspensions.
#[derive(Debug)]
struct State {
    generation: u32,
    /// The number of the last suspension, and what became of it, if it has ended.
    round: u32,
    ended: Option<Outcome>,
    participants: usize,
    /// Those of them that are not ready.
    busy: usize,
    waiting: Wakers,
}

machine::local! {
    /// The state of this machine's suspensions.
    static STATE: Mutex<State> = Mutex::new(State {
        generation: 0,
        round: 0,
        ended: Some(Outcome::Cancelled),
        participants: 0,
        busy: 0,
        waiting: Wakers::new(),
    });
}

/// Waits until `look` finds something, which it is asked for after each change.
async fn wait<T>(mut look: impl FnMut(&mut State) -> Option<T>) -> T {
    poll_fn(|context: &mut Context<'_>| {
        let mut state = STATE.get().lock();
        match look(&mut state) {
            Some(found) => Poll::Ready(found),
            None => {
                state.waiting.add(context.waker());
                Poll::Pending
            }
        }
    })
    .await
}

/// Returns how often this machine has become another domain since boot.
#[must_use]
pub fn generation() -> u32 {
    STATE.get().lock().generation
}

/// Tells of each time that the machine has become another domain; see [`resumed`].
#[derive(Debug)]
pub struct Resumed {
    seen: u32,
}

/// Tells from now on whenever the machine has become another domain.
#[must_use]
pub fn resumed() -> Resumed {
    Resumed { seen: generation() }
}

impl Resumed {
    /// Waits until the machine is another domain than when this last returned, and returns its
    /// [`generation`]. Several in between are told of once. Dropping the future loses nothing.
    pub async fn next(&mut self) -> u32 {
        let seen = self.seen;
        self.seen = wait(|state| Some(state.generation).filter(|&it| it != seen)).await;
        self.seen
    }
}

/// Takes part in suspensions: the machine is suspended when all participants are ready, or after
/// [`PATIENCE`]. One that is dropped is not waited for.
#[derive(Debug)]
pub struct Participant {
    /// The last suspension that it is ready for.
    round: u32,
}

impl Participant {
    /// Makes a participant of suspensions that begin from now on.
    #[must_use]
    pub fn new() -> Self {
        let mut state = STATE.get().lock();
        state.participants += 1;
        Self { round: state.round }
    }

    /// Makes a participant, unless a suspension is under way: one made now would not be waited for.
    #[must_use]
    pub fn in_time() -> Option<Self> {
        let over = STATE.get().lock().ended.is_some();
        over.then(Self::new)
    }

    /// Waits until a suspension begins.
    pub async fn requested(&mut self) {
        let round = self.round;
        wait(|state| (state.round != round).then_some(())).await;
    }

    /// Says that it is ready, and waits until the suspension is over. Returns what became of it;
    /// without one that has begun, of the last one.
    pub async fn ready(&mut self) -> Outcome {
        self.answer();
        wait(|state| state.ended).await
    }

    /// Counts it as ready for the suspension that has begun.
    fn answer(&mut self) {
        let mut state = STATE.get().lock();
        if self.round != state.round {
            self.round = state.round;
            state.busy = state.busy.saturating_sub(1);
            drop(state);
            wake();
        }
    }
}

impl Default for Participant {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.answer();
        STATE.get().lock().participants -= 1;
    }
}

/// Carries out a suspension: waits for all participants, calls `suspend`, and tells what became of
/// it. `suspend` does not run tasks between the last request of a device and its own.
pub(crate) async fn carry_out(suspend: impl AsyncFnOnce() -> Outcome) -> Outcome {
    begin();
    if timeout(PATIENCE, wait(|state| (state.busy == 0).then_some(()))).await.is_err() {
        log::warn!("not all is ready to be suspended after {} s", PATIENCE.as_secs());
    }
    let outcome = suspend().await;
    if outcome == Outcome::Renewed {
        entropy::reseed();
    }
    let mut state = STATE.get().lock();
    state.generation += u32::from(outcome == Outcome::Renewed);
    state.ended = Some(outcome);
    drop(state);
    wake();
    outcome
}

fn begin() {
    let mut state = STATE.get().lock();
    state.round = state.round.wrapping_add(1);
    state.ended = None;
    state.busy = state.participants;
    drop(state);
    wake();
}

/// Wakes those who wait for a change: without the lock, as a waker may ask for the state.
fn wake() {
    let mut waiting = core::mem::take(&mut STATE.get().lock().waiting);
    waiting.wake();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{block_on, join, spawn, yield_now};
    use crate::time::{Instant, sleep};
    use alloc::rc::Rc;
    use core::cell::Cell;

    /// Suspends the machine, and returns how long that took to begin.
    async fn suspended(outcome: Outcome) -> Duration {
        let begun = Instant::now();
        let waited = Cell::new(Duration::ZERO);
        carry_out(async || {
            waited.set(begun.elapsed());
            outcome
        })
        .await;
        waited.get()
    }

    #[test]
    fn it_waits_for_all_participants_within_bounds() {
        crate::testing::simulate_time();
        for (takes, waits) in [(0, 0), (3, 3), (1000, 20)] {
            let mut participant = Participant::new();
            let task = spawn(async move {
                participant.requested().await;
                sleep(Duration::from_secs(takes)).await;
                participant.ready().await
            });
            let waited = block_on(suspended(Outcome::Cancelled));
            assert_eq!(waited.as_secs(), waits);
            assert_eq!(block_on(task), Outcome::Cancelled);
        }
        // Who must not be suspended for a while holds one, and begins nothing where it is too late.
        let held = Participant::in_time();
        assert!(held.is_some(), "no suspension is under way");
        let work = async {
            sleep(Duration::from_secs(4)).await;
            assert!(Participant::in_time().is_none(), "one has begun");
            drop(held);
        };
        assert_eq!(block_on(join(suspended(Outcome::Cancelled), work)).0.as_secs(), 4);
        // One that is gone is not waited for, before or meanwhile.
        drop(Participant::new());
        let mut participant = Participant::new();
        let leaves = async {
            participant.requested().await;
            drop(participant);
        };
        let (waited, ()) = block_on(join(suspended(Outcome::Renewed), leaves));
        assert_eq!(waited, Duration::ZERO);
    }

    /// Notes how often it is woken, and whether the state could be asked for each time.
    struct Asks(core::sync::atomic::AtomicU32, core::sync::atomic::AtomicBool);

    impl alloc::task::Wake for Asks {
        fn wake(self: alloc::sync::Arc<Self>) {
            use core::sync::atomic::Ordering::Relaxed;
            self.0.fetch_add(1, Relaxed);
            self.1.fetch_and(STATE.get().try_lock().is_some(), Relaxed);
        }
    }

    #[test]
    fn who_is_woken_may_ask_for_the_state() {
        use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
        crate::testing::simulate_time();
        let asks = alloc::sync::Arc::new(Asks(AtomicU32::new(0), AtomicBool::new(true)));
        let waker = asks.clone().into();
        let waits = || STATE.get().lock().waiting.add(&waker);
        let mut participant = Participant::new();
        waits();
        begin();
        waits();
        participant.answer();
        drop(participant);
        waits();
        block_on(suspended(Outcome::Cancelled));
        // The beginning, the answer, and the beginning of the other one, whose end nobody waits for.
        assert_eq!((asks.0.load(Relaxed), asks.1.load(Relaxed)), (3, true));
        block_on(carry_out(async || {
            waits();
            Outcome::Cancelled
        }));
        assert_eq!((asks.0.load(Relaxed), asks.1.load(Relaxed)), (4, true));
    }

    #[test]
    fn only_a_new_domain_is_a_new_generation() {
        crate::testing::simulate_time();
        let seen = Rc::new(Cell::new(0));
        let told = seen.clone();
        let _task = spawn(async move {
            let mut resumed = resumed();
            loop {
                told.set(told.get() + 1000 + resumed.next().await);
            }
        });
        block_on(async {
            yield_now().await;
            for (outcome, expected) in [
                (Outcome::Cancelled, 0),
                (Outcome::Renewed, 1001),
                (Outcome::Cancelled, 1001),
                (Outcome::Renewed, 2003),
            ] {
                suspended(outcome).await;
                yield_now().await;
                assert_eq!(seen.get(), expected);
            }
        });
        assert_eq!(generation(), 2);
    }

    #[test]
    fn a_new_domain_draws_other_numbers() {
        crate::testing::simulate_time();
        let draw = |outcome| {
            // The generator that two copies have in common.
            *entropy::POOL.lock() = None;
            crate::testing::simulate_randomness();
            entropy::next_u64().unwrap();
            block_on(suspended(outcome));
            entropy::next_u64().unwrap()
        };
        assert_eq!(draw(Outcome::Cancelled), draw(Outcome::Cancelled));
        assert_ne!(draw(Outcome::Cancelled), draw(Outcome::Renewed));
    }
}
