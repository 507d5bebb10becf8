//! Futexes: words of memory that threads wait at (futex(2)).

pub mod calls;
mod table;

pub use table::{Futexes, Waiter};
