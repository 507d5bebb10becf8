//! Unix sockets (unix(7)): streams, datagrams and sequences between processes of this machine,
//! and descriptors that are passed with them.

mod flight;
mod flying;
mod queue;
mod registry;
mod socket;

pub use registry::{Place, Registry};
pub use socket::Unix;

#[cfg(test)]
mod tests;
