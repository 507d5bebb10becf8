//! Waiting for many files at once: poll, select and epoll.

pub mod calls;
mod epoll;
mod set;

pub use epoll::{Epoll, Interest};
pub use set::{Deadline, Polled, wait};
