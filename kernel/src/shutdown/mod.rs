//! Ends a running machine in order, when the toolstack asks for it (`xl shutdown`, `xl reboot`; on
//! Linux, SIGTERM and SIGINT) and when the app returns.
//!
//! Without further code, a request ends a domain that has devices, and a process. An app that has
//! to finish something first waits for [`requested`] beside its work, and then has the time
//! [`grace`] to return. The servers of this project do so: they stop accepting, finish requests in
//! progress, close each connection, and return.
//!
//! When the app has returned, for whatever reason, the machine waits for those who keep a
//! [`Hold`], again for [`grace`] at most. The IP stack keeps one until what was written is sent.
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

/// Time in which an app has to return after a request, unless [`set_grace`] changes it.
pub const GRACE: Duration = Duration::from_secs(10);

/// Time after [`grace`] at which the machine ends although the app has not returned.
const MARGIN: Duration = Duration::from_secs(5);

/// The state of the end of a machine.
struct Ending {
    /// In ms.
    grace: AtomicU64,
    /// Whether the app has returned.
    over: AtomicBool,
    /// Number of [`Hold`]s.
    held: AtomicUsize,
    /// Wakers of those who wait for a change.
    waiting: Mutex<Wakers>,
    /// Waits for the last [`Hold`]. A pointer, so that only images with a hold contain the code.
    finish: Once<fn()>,
}

machine::local! {
    /// The state of this machine's end.
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
        // Without the lock, as a waker may wait again.
        let mut waiting = core::mem::take(&mut *self.waiting.lock());
        waiting.wake();
    }
}

/// Waits for those who keep a [`Hold`], if there are any, after the app has returned.
pub(crate) fn finish() {
    if let Some(finish) = ENDING.get().finish.get() {
        finish();
    }
}

/// Returns the time in which an app has to return after a request. What is under way has as long
/// before an [update](crate::update).
#[must_use]
pub fn grace() -> Duration {
    Duration::from_millis(ENDING.get().grace.load(Ordering::Relaxed))
}

/// Sets the time in which the app has to return after a request, in place of [`GRACE`]. It is
/// rounded down to ms.
pub fn set_grace(grace: Duration) {
    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    ENDING.get().grace.store(grace, Ordering::Relaxed);
}

/// Delays the end of the machine while it exists, for [`grace`] after the app has returned at
/// most.
#[derive(Debug)]
#[must_use = "it holds as long as it is kept"]
pub struct Hold(());

impl Hold {
    /// Makes a hold.
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

/// Returns whether the app has returned, so that what is open has to be finished and closed.
#[must_use]
pub fn is_over() -> bool {
    ENDING.get().over.load(Ordering::Relaxed)
}

/// Wakes `waker` once, when the app returns.
pub fn wake_when_over(waker: &Waker) {
    ENDING.get().wait(waker);
}

/// Waits until there is no [`Hold`], for [`grace`] at most, as the machine does when the app has
/// returned. From then on, [`is_over`] is true.
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
        log::warn!("what was written was not sent within {} s", grace().as_secs());
    }
}

/// Names what the toolstack asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Power off, or halt, which is the same here.
    Poweroff,
    /// Reboot: end, to be started again.
    Reboot,
}

impl Request {
    /// Parses the value of `control/shutdown`. Returns `None` for unknown requests (rule X14).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"poweroff" | b"halt" => Some(Self::Poweroff),
            b"reboot" => Some(Self::Reboot),
            _ => None,
        }
    }
}

/// Waits until the toolstack asks this machine to end. Returns at once if it has already.
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
                    wake_when_over(context.waker());
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
                wake_when_over(context.waker());
                Poll::Ready(())
            })));
        }
        assert!(crate::task::alive() < 100, "{}", crate::task::alive());
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            assert!(pin!(requested()).poll(&mut context).is_pending());
        }
    }

    /// Notes whether it could wait again when it was woken.
    #[derive(Default)]
    struct Again(core::sync::atomic::AtomicU32);

    impl alloc::task::Wake for Again {
        fn wake(self: alloc::sync::Arc<Self>) {
            let free = ENDING.get().waiting.try_lock().is_some();
            self.0.store(1 + u32::from(free), Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_woken_at_the_end_may_wait_again() {
        let again = alloc::sync::Arc::new(Again::default());
        wake_when_over(&again.clone().into());
        ENDING.get().wake();
        assert_eq!(again.0.load(Ordering::Relaxed), 2);
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
