//! Sockets of TCP without a connection, kept for their buffers.

use super::duration;
use crate::Error;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

/// A peer that is silent for this long, though something awaits its answer, is gone:
/// longer than the two longest waits of smoltcp between probes of a window that is
/// closed, and than the 100 s of RFC 9293, section 3.8.3.
const SILENCE: Duration = Duration::from_secs(125);

/// An idle peer is asked for a sign of life this often, which is something to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(40);

/// Sockets without a connection that are kept, for their buffers.
const SPARES: usize = 16;

/// A socket without a connection, in the set that it will have.
pub(crate) struct Spare {
    pub(super) set: SocketSet<'static>,
    pub(super) handle: SocketHandle,
    /// Bytes of its buffers, each way.
    pub(super) size: usize,
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spare({})", self.size)
    }
}

/// Sockets without connections, to be used again: the longest unused first to go.
#[derive(Default)]
pub(super) struct Spares(Vec<Spare>);

impl Spares {
    /// One with buffers of `size` bytes, closed.
    pub(super) fn take(&mut self, size: usize) -> Result<Spare, Error> {
        let at = self.0.iter().rposition(|it| it.size == size);
        let mut spare = match at {
            Some(at) => self.0.remove(at),
            None => Spare::new(size)?,
        };
        spare.socket().set_congestion_control(tcp::CongestionControl::Reno);
        Ok(spare)
    }

    pub(super) fn put(&mut self, mut spare: Spare) {
        spare.socket().abort();
        if self.0.len() >= SPARES {
            self.0.remove(0);
        }
        if self.0.try_reserve(1).is_ok() {
            self.0.push(spare);
        }
    }
}

/// Bytes of a receive buffer that may have `size`: as many as 16 bits of window say, or
/// these times the power of two that windows are scaled by (RFC 7323, section 2.2).
///
/// smoltcp remembers the window of its SYN|ACK, which is never scaled, and takes it for
/// a scaled one. It is right when both say the same; otherwise data beyond the buffer is
/// taken for good, and ends in a panic or as bytes that nobody sent.
const fn receive_size(size: usize) -> usize {
    match size >> 16 {
        0 => size,
        times => 0xffff << times.ilog2(),
    }
}

impl Spare {
    fn new(size: usize) -> Result<Self, Error> {
        let (receive, send) = (super::buffer(receive_size(size))?, super::buffer(size)?);
        let mut socket =
            tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
        socket.set_nagle_enabled(false);
        socket.set_keep_alive(Some(duration(KEEP_ALIVE)));
        socket.set_timeout(Some(duration(SILENCE)));
        let mut storage = Vec::new();
        storage.try_reserve_exact(1).map_err(|_| Error::Exhausted)?;
        let mut set = SocketSet::new(storage);
        let handle = set.add(socket);
        Ok(Self { set, handle, size })
    }

    pub(super) fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }
}
