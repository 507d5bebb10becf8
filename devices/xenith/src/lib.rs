//! Unikernels for Xen in Rust: typed devices, wired at compile time.
//!
//! A Xenith app is a library crate that is linked with the drivers it asks for, and with no
//! others, into an image that Xen boots as a guest (a paravirtualised domU). There is no
//! operating system below it and no process beside it. The same app runs as a Linux process
//! for development, and its library in `cargo test`, in memory and in simulated time.
//!
//! # Getting started
//!
//! ```text
//! $ cargo mk new greeter           # makes an app: two files and a Cargo.toml
//! $ cargo test -p greeter          # runs its test on this host
//! $ cargo mk run greeter --on linux
//! $ cargo mk run greeter           # boots real Xen in QEMU, where xl creates the guest
//! $ cargo mk build greeter         # makes the image, and the configuration for xl
//! ```
//!
//! An app is two files. `lib.rs` is what it does: an `async fn start` that takes what the app
//! needs by trait, and names no machine. This is the whole of `apps/hello`, with its test:
//!
//! ```standalone_crate
#![doc = include_str!("../docs/hello/lib.rs")]
//! # fn main() {}
//! ```
//!
//! `main.rs` is its wiring: one [`unikernel!`] that says which device each parameter is, and
//! which arguments a user may give. The devices come first, then the arguments, in this order:
//!
//! ```no_run,standalone_crate
//! # #![allow(unused_attributes)]
#![doc = include_str!("../docs/hello/main.rs")]
//! # mod hello { pub async fn start<C>(_: C, _: &str) {} }
//! ```
//!
//! A device that the domain lacks, an argument that nobody knows, a value of the wrong type:
//! each ends the guest with an error that says what to do, before `start` runs.
//!
//! # What an app may ask for
//!
//! | module | traits | on Xen | on Linux | in tests |
//! |---|---|---|---|---|
//! | [`console`] | `Read`, `Write` of `embedded-io-async` | [`Console`] | [`Console`] | `&mut [u8]` |
//! | [`net`] | [`net::Net`]: Ethernet frames | [`Net`], netfront | [`Net`], a tap | [`net::cable`], [`net::fault`] |
//! | [`block`] | [`block::Block`]: sectors | [`Block`], blkfront | [`Block`], a file | [`block::memory`], [`block::fault`] |
#![cfg_attr(
    feature = "ip",
    doc = "| [`ip`] | [`ip::Tcp`], [`ip::Udp`], [`ip::Ping`], [`ip::Resolve`] | [`Ip`], a stack on [`Net`] | [`Ip`], sockets | an [`ip::Stack`] on a cable |"
)]
#![cfg_attr(feature = "http", doc = "| [`http`] | a server and a client | on any TCP | | |")]
#![cfg_attr(feature = "tls", doc = "| [`tls`] | a server and a client | on any TCP | | |")]
#![cfg_attr(
    feature = "storage",
    doc = "| [`fs`] | [`fs::Tree`], [`fs::Files`] | tar, ext4, FAT, files in the image, on any [`block::Block`] | | |"
)]
#![cfg_attr(
    feature = "storage",
    doc = "| [`kv`] | [`kv::Store`]: values by key | a log on any [`block::Block`] | | |"
)]
//!
//! And what every app has, as plain functions:
//!
//! * [`task`]: spawns tasks, and joins and selects futures. There is one processor and no
//!   preemption, so futures need not be `Send`: tasks share by `Rc` and `Cell`
//! * [`time`]: clocks, sleeping, timeouts; [`calendar`]: dates
//! * [`entropy`]: random bytes fit for keys; [`memory`]: how much there is, and how little left
//! * [`println!`] and the macros of the `log` crate: lines on the console
//! * [`shutdown`]: what the toolstack asks for; [`Exit`]: how an app ends
//! * [`suspend`]: being saved, restored, copied and moved
//! * [`update`]: being replaced by a new image, which goes on with connections and state
//! * [`metrics`](mod@metrics): numbers about the running machine; [`args`]: typed arguments
//! * `testing`: a machine with simulated time, on the host alone
//!
//! # How the wiring works
//!
//! `start` is generic, and `main.rs` names types: the compiler links them, and what is not
//! named is not in the image. Higher devices are built of lower ones by generics as well. The
//! names [`Console`], [`Net`] and [`Block`] are those of the target: the front ends of Xen's
//! split drivers in an image, their Linux counterparts in a process. So an app has no `cfg`.
//!
//! [`unikernel!`] also writes the list of devices and arguments into an ELF note, from which
//! `cargo mk` makes the configuration for `xl`. A driver of your own that implements
//! [`Device`] can be named there like any other.
//!
//! # Features
//!
//! `ip`, `http` (which needs `ip`) and `storage` ([`fs`] and [`kv`]) are on unless
//! `default-features = false`; `linux`, which runs programs of Linux and needs both, and `tls`
//! are off. They decide what is compiled, not what is in an image, which is what the app calls.
//!
//! # Where to go on
//!
//! The examples of each trait are apps in little: begin with [`block::Block`],
//! [`net::Net`], [`fs::Files`], [`kv::Store`]. The repository has more than twenty whole apps
//! in `apps/`, and ARCHITECTURE.md for how it works inside.

#![no_std]
#![forbid(unsafe_code)]
#![allow(clippy::test_attr_in_doctest, reason = "the app's test is shown here, and run there")]

#[doc(inline)]
pub use devices::*;
#[cfg(feature = "http")]
#[doc(inline)]
pub use http;
#[cfg(feature = "ip")]
#[doc(inline)]
pub use ip::{self, Ip};
#[doc(inline)]
pub use kernel::*;
#[cfg(feature = "linux")]
#[doc(inline)]
pub use linux;
#[cfg(feature = "storage")]
#[doc(inline)]
pub use storage::{fs, kv};
#[cfg(feature = "tls")]
#[doc(inline)]
pub use tls;
