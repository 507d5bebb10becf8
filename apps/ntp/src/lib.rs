//! Sets the clock of an app by time servers (SNTP: RFC 4330, RFC 5905).
//!
//! A guest has the clock of its host, which may be wrong. Any app gets the argument
//! `ntp=pool.example,10.0.0.1` by the type of its network in `main.rs`, and is not changed otherwise:
//!
//! ```
//! /// The network, and a clock that follows the servers of `ntp=`.
//! type Ip = xenith::ip::With<xenith::Ip, ntp::Ntp>;
//! ```
//!
//! All servers are asked at once; the clock is set by one of those that agree with most others, if
//! these are more than half of those that answer. It is set at once however far off it is, so it may
//! go back, as [`wall_clock`](xenith::time::wall_clock) always may; after that it is asked again
//! after 64 s, and then ever later up to 1024 s. Where there is no time to be had, it is tried again
//! after 16 s, and as much later each time. Answers are not signed: who can change packets on
//! the way sets the clock.
//!
//! The packets are read here: `sntpc`, the crate that does it without the standard library, sends
//! the client's own time as what comes back with the answer, which can be guessed, and has no check
//! of the root distance.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod packet;
mod service;
#[cfg(test)]
mod tests;
mod vote;

pub use service::{Ntp, Servers};

/// Keeps the clock right until the toolstack asks for the end; what it does is in the log.
pub async fn start<I>(_ip: I) {
    xenith::shutdown::requested().await;
}
