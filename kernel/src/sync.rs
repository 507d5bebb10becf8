//! Synchronises tasks: a mutex that can be held across an `.await`, a channel, and a signal; and
//! for everything else that tasks wait for, a list of [`Wakers`].
//!
//! The first three are those of the crate `embassy-sync`, without a lock inside: a machine has one
//! vCPU, and tasks do not preempt each other. Put one into an [`Rc`](alloc::rc::Rc) to share it.
//! For data that is not held across an `.await`, an `Rc<RefCell<T>>` is enough.
//!
//! They keep one waker for each side that waits: of a mutex one task may wait at a time, and of a
//! channel one that sends and one that receives. Two that wait for the same wake each other in turn
//! and take the whole vCPU until one of them has what it waits for. Where more may wait, use
//! [`Wakers`].
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

/// Gives one task at a time access to a `T`, also across an `.await`. Dropping the future of
/// [`lock`](embassy_sync::mutex::Mutex::lock) stops waiting.
pub type Mutex<T> = embassy_sync::mutex::Mutex<NoopRawMutex, T>;

/// Queues up to `N` values, first in, first out. Each value goes to one receiver. Senders wait
/// while it is full, receivers while it is empty.
pub type Channel<T, const N: usize> = embassy_sync::channel::Channel<NoopRawMutex, T, N>;

/// Holds the latest value until a task takes it. A newer value replaces an older one.
pub type Signal<T> = embassy_sync::signal::Signal<NoopRawMutex, T>;
