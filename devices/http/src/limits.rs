//! What a server bears, and what it counts.

use core::cell::Cell;
use core::time::Duration;
use kernel::metrics::{Metric, Source};

/// What a client may ask of the server's patience and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. A further one takes the place of one that is idle; where none
    /// is, it is answered with 503.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a request's target, which are a part of its head (RFC 9112, section 3).
    pub target: usize,
    /// Fields of a request's head.
    pub fields: usize,
    /// Bytes of a request's body.
    pub body: u64,
    /// How long a connection may be idle between requests.
    pub idle: Duration,
    /// How long a head may take to arrive.
    pub request: Duration,
    /// How long a client may pause within a body. Each byte that it sends gives back of
    /// that what it takes at [`rate`](Self::rate), which it so has to keep up on average.
    pub pause: Duration,
    /// The same for a client that takes an answer.
    pub response: Duration,
    /// Bytes of a body in a second that a client has to send, and of an answer to take.
    pub rate: u32,
    /// How long a request may take from its first byte until its body was read.
    pub whole: Duration,
    /// Bytes that all connections together may hold for heads, answers and what handlers
    /// [collect](super::Body::collect). Who needs more is answered with 503.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: 16 * 1024,
            target: 8000,
            fields: 128,
            body: 1 << 30,
            idle: Duration::from_secs(30),
            request: Duration::from_secs(10),
            pause: Duration::from_secs(20),
            response: Duration::from_secs(30),
            rate: 500,
            whole: Duration::from_secs(3600),
            memory: memory(),
        }
    }
}

/// A quarter of the machine's, where that is known.
fn memory() -> usize {
    match kernel::memory::stats().total {
        0 => 64 << 20,
        total => total / 4,
    }
}

/// What a server did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that are open.
    pub open: usize,
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused because there were too many, or no memory.
    pub refused: u64,
    /// Requests answered by the handler.
    pub requests: u64,
    /// Requests refused because they were wrong or too slow.
    pub bad: u64,
}

impl Source for Stats {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        kernel::metrics! { each;
            gauge("http_connections_open", "Connections open.", self.open as u64),
            counter("http_connections", "Connections accepted.", self.connections),
            counter("http_refused", "Connections refused.", self.refused),
            counter("http_requests", "Requests answered.", self.requests),
            counter("http_bad_requests", "Requests refused.", self.bad),
        }
    }
}

pub(super) fn count(stats: &Cell<Stats>, f: impl FnOnce(&mut Stats)) {
    let mut all = stats.get();
    f(&mut all);
    stats.set(all);
}
