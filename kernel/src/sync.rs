//! What tasks share and tell each other: a mutex that may be held across an `.await`, a
//! channel, and a signal; and, for what else they may wait for, a list of [`Wakers`].
//!
//! The first three are those of the `embassy-sync` crate without a lock below, as a machine
//! has one vCPU and tasks do not interrupt each other. Put one into an
//! [`Rc`](alloc::rc::Rc) to share it. Data that nobody holds across an `.await` needs none of this: an `Rc<RefCell<T>>`,
//! borrowed for as long as it takes, is enough.
//!
//! ```
//! # use xenith_kernel as kernel;
//! use kernel::sync::{Channel, Mutex};
//! use kernel::task::{block_on, spawn};
//! use kernel::time::sleep;
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! kernel::testing::simulate_time();
//! block_on(async {
//!     // A task that is slow, and a channel with room for two that holds the other one up.
//!     let channel = Rc::new(Channel::<u32, 2>::new());
//!     let total = Rc::new(Mutex::new(0));
//!     let adder = spawn({
//!         let (channel, total) = (channel.clone(), total.clone());
//!         async move {
//!             for _ in 0..5 {
//!                 let number = channel.receive().await;
//!                 let mut total = total.lock().await;
//!                 sleep(Duration::from_secs(1)).await;
//!                 *total += number;
//!             }
//!         }
//!     });
//!     for number in 1..=5 {
//!         channel.send(number).await;
//!     }
//!     adder.await;
//!     assert_eq!(*total.lock().await, 15);
//! });
//! ```

mod wakers;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
pub use wakers::Wakers;

/// Gives one task at a time access to a `T`, also across an `.await`. Dropping the future
/// of [`lock`](embassy_sync::mutex::Mutex::lock) gives up the turn.
pub type Mutex<T> = embassy_sync::mutex::Mutex<NoopRawMutex, T>;

/// Passes values on in their order, `N` of them at a time. A value goes to one receiver.
/// Whoever sends into a full channel waits, and whoever receives from an empty one does.
pub type Channel<T, const N: usize> = embassy_sync::channel::Channel<NoopRawMutex, T, N>;

/// Keeps the latest value until one task takes it. A newer one takes the place of an older.
pub type Signal<T> = embassy_sync::signal::Signal<NoopRawMutex, T>;
