//! Reads a git repository over the network, and serves the files of its newest commit.
//!
//! [`newest`] reads what a branch or tag stands for as a [`Snapshot`], which is a
//! [`Tree`](xenith::fs::Tree) for any app; [`start`] is one that serves it over HTTP, or lists it in
//! the form of `git ls-tree -r`. It is git's wire protocol of version 2, by `git://` or by smart HTTP,
//! whose lines and packs are read here: the crates that do so (`gix`, `git2`) need the standard
//! library and a disk. zlib's format is `miniz_oxide`'s, SHA-1 is RustCrypto's.
//!
//! Only the newest commit is asked for, without those before it, and it is held in memory. What a
//! server sends is bounded in bytes, objects, entries of folders and deltas of deltas. Every object is named by the
//! SHA-1 of its content, which finds what was damaged on the way; it does not prove who wrote it,
//! as SHA-1 can be made to collide, and over `git://` and `http://` anyone on the way may answer. Over
//! a network with TLS, as that of the app `gits`, it reads `https://` too.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate self as git;
#[cfg(test)]
extern crate std;

mod delta;
mod error;
mod id;
mod object;
mod pack;
mod packet;
mod protocol;
mod remote;
mod serve;
mod snapshot;
#[cfg(test)]
mod tests;

pub use error::{Error, Flaw};
pub use id::{Id, Kind};
pub use object::Commit;
pub use pack::Limits;
pub use remote::{Failure, Place, Wanted, newest, talk};
pub use serve::{Args, start};
pub use snapshot::{Lines, Node, Snapshot};
