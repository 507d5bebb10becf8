//! Unikernels for Xen in Rust: typed devices, wired at compile time.
//!
//! An app is two files. `lib.rs` holds a function `start` that takes what the app needs, by
//! trait. `main.rs` is one [`unikernel!`] that says which device or driver each of them is.
//! `cargo mk` makes a domU's image of it, which holds the drivers that it names and no others.
//!
//! * What Xen gives: [`console`], [`net`] and [`block`] devices
//! * What stands on those: [`ip`] and [`http`]; files ([`fs`]) and values by key ([`kv`])
//! * What every app has: [`task`]s, [`time`], [`entropy`], [`memory`], [`metrics`](mod@metrics),
//!   [`args`], [`shutdown`] and [`Exit`]
//!
//! Each of `ip`, `http` and `storage` (which is `fs` and `kv`) is a feature that is on unless
//! `default-features = false` says otherwise; they decide what is compiled, and not what is
//! in an image, which is what the app calls.

#![no_std]
#![forbid(unsafe_code)]

#[doc(inline)]
pub use devices::{Block, Console, Net, block, console, net};
#[cfg(feature = "http")]
#[doc(inline)]
pub use http;
#[cfg(feature = "ip")]
#[doc(inline)]
pub use ip::{self, Ip};
#[doc(inline)]
pub use kernel::*;
#[cfg(feature = "storage")]
#[doc(inline)]
pub use storage::{fs, kv};
