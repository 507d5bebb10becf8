//! The end of a running machine: what the toolstack asks for (`xl shutdown`, `xl reboot`;
//! on Linux, SIGTERM and SIGINT), and what is finished before.
//!
//! A domain with devices follows by itself, and so does a process. An app that has something
//! to finish first waits for [`requested`] beside its work: then it has [`grace`] to return.
//! Servers of this project do so: they stop accepting, finish what is under way within that
//! time, close each connection, and return.
//!
//! However an app ends, also by itself: what it wrote to connections that were open then is
//! sent before the machine is gone, for no longer than [`grace`] again. Whoever has such
//! things to finish keeps a [`Hold`].
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! # use xenith::task::block_on;
//! use core::time::Duration;
//! use xenith::shutdown;
//! use xenith::task::{Either, select};
//!
//! /// Works until it is done, or until the toolstack asks for the end.
//! async fn start(work: impl Future<Output = ()>) {
//!     shutdown::set_grace(Duration::from_secs(30));
//!     match select(work, shutdown::requested()).await {
//!         Either::First(()) => xenith::println!("done"),
//!         Either::Second(request) => xenith::println!("ending, as asked: {request:?}"),
//!     }
//! }
//!
//! block_on(start(async {}));
//! ```

#[cfg(not(target_os = "xen"))]
mod linux;
#[cfg(target_os = "xen")]
mod xen;

use crate::machine;
use crate::sync::Wakers;
use crate::task::block_on;
use crate::time::timeout;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::task::{Poll, Waker};
use core::time::Duration;
#[cfg(not(target_os = "xen"))]
use linux as here;
use spin::{Mutex, Once};
#[cfg(target_os = "xen")]
use xen as here;

pub use here::serve;

/// How long an app may take to return once the toolstack asks for its end, unless it says
/// otherwise by [`set_grace`].
pub const GRACE: Duration = Duration::from_secs(10);

/// After this much more, the machine ends whatever is under way.
const LAST: Duration = Duration::from_secs(5);

/// How far a machine is from its end.
struct Ending {
    /// In ms.
    grace: AtomicU64,
    /// The app has returned.
    over: AtomicBool,
    held: AtomicUsize,
    /// Those who want to know of a change.
    waiting: Mutex<Wakers>,
    /// What waits for the last [`Hold`]: in the images of those alone who have one.
    finish: Once<fn()>,
}

machine::local! {
    /// How far this machine is from its end.
    static ENDING: Ending = Ending::new();
}

impl Ending {
    const fn new() -> Self {
        Self {
            grace: AtomicU64::new(GRACE.as_millis() as u64),
            over: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            waiting: Mutex::new(Wakers::new()),
            finish: Once::new(),
        }
    }

    fn wait(&self, waker: &Waker) {
        self.waiting.lock().add(waker);
    }

    fn wake(&self) {
        self.waiting.lock().wake();
    }
}

/// Lets those finish what they have to finish who keep a [`Hold`]: the app returned.
pub(crate) fn finish() {
    if let Some(finish) = ENDING.get().finish.get() {
        finish();
    }
}

/// How long an app may take to return once the toolstack asks for its end.
#[must_use]
pub fn grace() -> Duration {
    Duration::from_millis(ENDING.get().grace.load(Ordering::Relaxed))
}

/// From here on, the app may take this long to return once the toolstack asks for its end.
pub fn set_grace(grace: Duration) {
    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    ENDING.get().grace.store(grace, Ordering::Relaxed);
}

/// Keeps the machine from ending for as long as there is one, within [`grace`] from the
/// moment on at which the app returned.
#[derive(Debug)]
#[must_use = "it holds as long as it is kept"]
pub struct Hold(());

impl Hold {
    /// One more.
    pub fn new() -> Self {
        let ending = ENDING.get();
        ending.held.fetch_add(1, Ordering::Relaxed);
        ending.finish.call_once(|| || block_on(finished()));
        Self(())
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let ending = ENDING.get();
        if ending.held.fetch_sub(1, Ordering::Relaxed) == 1 && ending.over.load(Ordering::Relaxed) {
            ending.wake();
        }
    }
}

/// Whether the app has returned, so that what is open is to be finished and closed.
#[must_use]
pub fn is_over() -> bool {
    ENDING.get().over.load(Ordering::Relaxed)
}

/// Wakes `waker` when the app returns.
pub fn tell_when_over(waker: &Waker) {
    ENDING.get().wait(waker);
}

/// Waits until nobody keeps a [`Hold`], for [`grace`] at most, as the machine does when the
/// app has returned.
pub async fn finished() {
    let ending = ENDING.get();
    ending.over.store(true, Ordering::Relaxed);
    ending.wake();
    let last = poll_fn(|context| {
        if ending.held.load(Ordering::Relaxed) == 0 {
            return Poll::Ready(());
        }
        ending.wait(context.waker());
        Poll::Pending
    });
    if timeout(grace(), last).await.is_err() {
        log::warn!("what was written was not taken within {} s", grace().as_secs());
    }
}

/// What the toolstack asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// To power off, or to halt, which is the same here.
    Poweroff,
    /// To end in order to be started anew.
    Reboot,
}

impl Request {
    /// The request that `value` is, if it is one (rule X14).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"poweroff" | b"halt" => Some(Self::Poweroff),
            b"reboot" => Some(Self::Reboot),
            _ => None,
        }
    }
}

/// Waits until the toolstack asks this machine to end; at once if it has.
pub async fn requested() -> Request {
    here::requested().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::spawn;
    use crate::time::{Instant, sleep};
    use core::pin::pin;
    use core::task::Context;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_end_waits_for_what_is_held_within_bounds() {
        crate::testing::simulate_time();
        finish();
        for (takes, waits) in [(1, 1), (9, 9), (60, 10)] {
            ENDING.get().over.store(false, Ordering::Relaxed);
            let told = spawn(async move {
                let hold = Hold::new();
                poll_fn(|context| {
                    tell_when_over(context.waker());
                    if is_over() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                let told = Instant::now();
                sleep(SECOND * takes).await;
                drop(hold);
                told
            });
            block_on(sleep(SECOND * 3));
            let begun = Instant::now();
            finish();
            assert_eq!(begun.elapsed(), SECOND * waits);
            assert_eq!(block_on(told), begun);
        }
        ENDING.get().over.store(false, Ordering::Relaxed);
    }

    #[test]
    fn who_waits_for_the_end_again_and_again_is_not_kept_alive_t3() {
        crate::testing::simulate_time();
        // A server has a task for each connection, which waits for the end beside its work.
        for _ in 0..1000 {
            block_on(spawn(poll_fn(|context| {
                tell_when_over(context.waker());
                Poll::Ready(())
            })));
        }
        assert!(crate::task::alive() < 100, "{}", crate::task::alive());
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            assert!(pin!(requested()).poll(&mut context).is_pending());
        }
    }

    #[test]
    fn only_known_words_end_the_machine_x14() {
        assert_eq!(Request::parse(b"poweroff"), Some(Request::Poweroff));
        assert_eq!(Request::parse(b"halt"), Some(Request::Poweroff));
        assert_eq!(Request::parse(b"reboot"), Some(Request::Reboot));
        for other in [&b"suspend"[..], b"", b"Poweroff", b"poweroff\0", b"poweroff ", b"\xFF"] {
            assert_eq!(Request::parse(other), None, "{other:?}");
        }
    }
}
