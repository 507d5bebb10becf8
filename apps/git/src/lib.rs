//! Reads a git repository over the network, serves the files of its newest commit, and makes commits.
//!
//! [`newest`] reads what a branch or tag stands for as a [`Snapshot`], which is a
//! [`Tree`](xenith::fs::Tree) for any app; [`start`] is one that serves it over HTTP, or lists it in
//! the form of `git ls-tree -r`. It is git's wire protocol of version 2, by `git://` or by smart HTTP,
//! whose lines and packs are read here: the crates that do so (`gix`, `git2`) need the standard
//! library and a disk. Inflating, and the sum of zlib's format, is `miniz_oxide`'s; SHA-1 is RustCrypto's. Packs are
//! written here, too, by the protocol of receive-pack: of whole objects that are not compressed.
//!
//! [`Snapshot::edit`] makes the commit that follows by some [changes](Change), and [`push`] has it be the
//! branch's, if that has not moved meanwhile.
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
mod edit;
mod error;
mod id;
mod object;
mod pack;
mod packet;
mod place;
mod protocol;
mod remote;
mod send;
mod serve;
mod smart;
mod snapshot;
#[cfg(test)]
mod tests;
mod write;

pub use edit::{Author, Change, Draft, Unfit};
pub use error::{Error, Flaw};
pub use id::{Id, Kind};
pub use object::Commit;
pub use pack::Limits;
pub use place::{Failure, Place, Wanted};
pub use remote::{newest, push, talk};
pub use serve::{Args, start};
pub use snapshot::{Lines, Node, Snapshot};
