//! Reads, writes and watches xenstore, the tree of small values that all domains of a host share:
//! the client of its daemon, xenstored (`public/io/xs_wire.h`, Xen's docs/misc/xenstore.txt).
//!
//! Paths are absolute, or relative to the domain's home path (`/local/domain/<domid>`).
//!
//! Requests are pipelined: each has an id, and its reply is matched by id, type and transaction
//! (rule X2). Whichever task polls first moves the ring on for all. Values are bytes (rule X9).
//! Requests and watches wait without a time limit: callers that want one drop the future
//! (rule X10).

mod client;
mod error;
mod request;
#[cfg(test)]
mod tests;
mod transaction;
mod watch;
mod wire;

pub(crate) use client::{Client, reattach};
pub use client::{Quiet, Stats, attach, quiet, stats};
pub use error::Error;
pub use request::{
    Done, Reply, directory, domain_path, mkdir, permissions, read, remove, set_permissions, write,
};
pub use transaction::{Transaction, transaction};
pub use watch::{Changed, Watch, watch};
pub use wire::number;
