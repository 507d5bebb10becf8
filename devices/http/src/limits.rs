//! What a server bears, and what it counts.

use core::cell::Cell;
use core::time::Duration;
use kernel::metrics::{Metric, Source};

/// Bounds what clients may take of a server's memory and time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time: 256 by default. A further one closes the one that has been idle
    /// for longest; if none is idle, it is answered with 503.
    pub connections: usize,
    /// Bytes of a request's head: 16 KiB by default. A longer one is answered with 431.
    pub head: usize,
    /// Bytes of a request's target, which count as its head's as well: 8000 by default (RFC
    /// 9112, section 3). A longer one is answered with 414.
    pub target: usize,
    /// Fields of a request's head: 128 by default. More are answered with 431.
    pub fields: usize,
    /// Bytes of a request's body: 1 GiB by default. A longer one is answered with 413.
    pub body: u64,
    /// Time for which a connection may be idle between requests: 30 s by default.
    pub idle: Duration,
    /// Time for a request's head to arrive: 10 s by default. A slower one is answered with 408.
    pub request: Duration,
    /// Time for which a client may pause within a body: 20 s by default. Waiting uses it up, and
    /// each byte gives back as much as it takes at [`rate`](Self::rate), which the client has to
    /// keep up on average.
    pub pause: Duration,
    /// The same for a client that takes a response: 30 s by default. A slower one is reset. Where there
    /// are several on a connection (HTTP/2), what it takes of all of them counts.
    pub response: Duration,
    /// Bytes a second of a body that a client has to send, and of a response that it has to
    /// take: 500 by default.
    pub rate: u32,
    /// Time from the first byte of a request to the last one of its body: an hour by default.
    pub whole: Duration,
    /// Bytes that all connections together may hold: for heads, for what handlers
    /// [collect](super::Body::collect) and [read as JSON](super::json::read), for messages of
    /// WebSockets. By default a quarter of the machine's memory, and 64 MiB on Linux. A request
    /// that needs more is answered with 503.
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

/// Counts what a server did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections open now.
    pub open: usize,
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused because there were too many, or no memory.
    pub refused: u64,
    /// Requests answered by the handler.
    pub requests: u64,
    /// Requests refused because they were wrong, too large or too slow.
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
