//! Shared memory of System V (sysvipc(7)): segments by key and number. There are no queues of messages
//! and no semaphores.

pub(crate) mod calls;
mod segments;
#[cfg(test)]
mod tests;

pub use segments::Segments;
