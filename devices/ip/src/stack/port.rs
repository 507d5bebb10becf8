//! A UDP port, and who waits for it.

use super::queue::Queue;
use crate::Error;
use core::net::{IpAddr, SocketAddr};
use kernel::sync::Wakers;

/// Describes a datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Bytes that were copied.
    pub copied: usize,
    /// Bytes that it had; those that were not copied are lost.
    pub length: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// The bits of ECN that it came with, of which 3 says that a router marked it (RFC 3168,
    /// section 5).
    pub ecn: u8,
}

/// To how many something long was sent last: who says that what went to others was too long is not
/// heeded, as it may be made up.
const RECENT: usize = 32;

/// A UDP port.
pub(super) struct Port {
    /// The address that it is bound to, if it is not to all.
    pub(super) only: Option<IpAddr>,
    pub(super) number: u16,
    /// The only one that it hears.
    pub(super) peer: Option<SocketAddr>,
    /// What it sends is not cut into fragments.
    pub(super) whole: bool,
    /// What became of what was sent to that one.
    pub(super) error: Option<Error>,
    pub(super) recent: heapless::Deque<SocketAddr, RECENT>,
    pub(super) incoming: Queue,
    pub(super) outgoing: Queue,
    /// Who waits for a datagram.
    pub(super) readers: Wakers,
    /// Who waits for room.
    pub(super) writers: Wakers,
    /// Its socket was dropped: it goes when all is sent.
    pub(super) orphan: bool,
}

impl Port {
    /// One that is bound to an address, or to all, and whose socket is held.
    pub(super) fn new(
        (only, number): (Option<IpAddr>, u16),
        incoming: Queue,
        outgoing: Queue,
    ) -> Self {
        Self {
            only,
            number,
            peer: None,
            whole: false,
            error: None,
            recent: heapless::Deque::new(),
            incoming,
            outgoing,
            readers: Wakers::new(),
            writers: Wakers::new(),
            orphan: false,
        }
    }

    /// Wakes all who wait.
    pub(super) fn wake_all(&mut self) {
        self.readers.wake();
        self.writers.wake();
    }

    /// The error that is next to be told.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Remembers that something went to `peer` that may be too long for its way.
    pub(super) fn remember(&mut self, peer: SocketAddr) {
        if self.recent.back() == Some(&peer) || self.recent.iter().any(|it| *it == peer) {
            return;
        }
        if self.recent.is_full() {
            self.recent.pop_front();
        }
        // There is room.
        let _ = self.recent.push_back(peer);
    }
}
