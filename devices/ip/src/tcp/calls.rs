//! What a program asks of a connection (RFC 9293, section 3.10.1 to 3.10.5).

use super::congestion::Control;
use super::connection::{Connection, State};
use super::outgoing::LEAST;
use super::pool::CHUNK;
use crate::TcpOptions;
use core::ops::Range;
use core::time::Duration;
use devices::net::Shared;
use kernel::time::Instant;

/// What may be written in any case, if the share allows it.
const LEAST_OUT: usize = 16 << 10;

/// What may be written beyond what was sent: some of the largest bursts, which a writer that is
/// woken has time to replace.
const AHEAD: usize = 256 << 10;

/// Bytes for which a writer is woken, so that chunks come back a few at a time and are used again
/// at once: more than the pool keeps would come from the allocator, filled with zeros.
const PIECE: usize = 128 << 10;

impl<C: Control> Connection<C> {
    /// Returns how many bytes may be written before some are acknowledged: twice what the
    /// path bears, so that there is always something to send, but not more than [`AHEAD`]
    /// beyond what was sent, within this connection's share of the memory.
    fn most_unacknowledged(&self) -> usize {
        let window = 2 * self.recovery.control.window() as usize;
        let sent = self.out.len() - self.unsent();
        window.min(sent + AHEAD).max(LEAST_OUT).min(self.share)
    }

    /// Returns whether bytes can still be written, now or later.
    pub(crate) const fn may_write(&self) -> bool {
        matches!(self.state, State::Established | State::CloseWait | State::SynReceived)
            && !self.ending
    }

    /// Returns whether there is room for a sensible piece to be written: a third of what may be
    /// there, so that the writer is back before all is sent, or [`PIECE`]; whether there is memory
    /// for it is another question.
    pub(crate) fn has_room(&self) -> bool {
        let limit = self.most_unacknowledged();
        self.may_write() && self.out.len() + PIECE.min(limit / 3) <= limit
    }

    /// Returns whether [`write`](Self::write) would take some of a sensible piece.
    pub(crate) fn is_writable(&self) -> bool {
        let spare = self.out.len() >= self.most_unacknowledged().min(CHUNK);
        self.has_room() && self.out.has_memory(spare)
    }

    /// Takes bytes to send (RFC 9293, section 3.10.2). Returns how many there was room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        if !self.may_write() {
            return 0;
        }
        let limit = self.most_unacknowledged();
        // The last quarter of the memory is for what arrives: peers that take nothing do not
        // keep others from sending. A chunk is for each.
        let first = self.out.append(bytes, limit.min(CHUNK), false);
        first + self.out.append(bytes.get(first..).unwrap_or_default(), limit, true)
    }

    /// Takes bytes to send as [`write`](Self::write) does, but leaves them where they are.
    pub(crate) fn share(&mut self, shared: &Shared, range: Range<usize>) -> usize {
        let limit = self.most_unacknowledged();
        if range.len().min(limit.saturating_sub(self.out.len())) < LEAST {
            return self.write(shared.bytes().get(range).unwrap_or_default());
        }
        if self.may_write() { self.out.share(shared, range, limit) } else { 0 }
    }

    /// Returns how many bytes can be read.
    pub(crate) fn readable(&self) -> usize {
        self.receiver.len()
    }

    /// Returns whether the peer has ended, and all before that was read.
    pub(crate) fn is_finished(&self) -> bool {
        self.receiver.is_finished() && self.receiver.len() == 0
    }

    /// Returns whether the peer has ended, which may not be read yet.
    pub(crate) fn has_ended(&self) -> bool {
        self.receiver.has_ended()
    }

    /// Copies what can be read, without taking it.
    pub(crate) fn peek(&self, to: &mut [u8]) -> usize {
        self.receiver.peek(0, to)
    }

    /// Reads (RFC 9293, section 3.10.3). Returns how many bytes were.
    pub(crate) fn read(&mut self, to: &mut [u8], now: Instant) -> usize {
        self.receiver.read(to, now)
    }

    /// Throws away what can be read.
    pub(crate) fn discard(&mut self, now: Instant) {
        let count = self.receiver.len();
        self.receiver.consume(count, now);
    }

    /// Ends this side behind what was written (RFC 9293, section 3.10.4).
    pub(crate) fn close(&mut self) {
        self.ending = true;
        self.state = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            State::SynSent => State::Closed,
            // The FIN is sent when the connection is established.
            state => state,
        };
    }

    /// Resets the connection (RFC 9293, section 3.10.5).
    pub(crate) fn abort(&mut self) {
        let tells = !matches!(self.state, State::SynSent | State::TimeWait | State::Closed);
        if tells {
            self.reset = Some(self.reset_head());
        }
        self.fail();
    }

    /// Bounds each of its buffers. What is in them already stays.
    pub(crate) fn set_share(&mut self, share: usize) {
        self.share = share;
        self.receiver.set_share(share);
    }

    /// Asks the peer for a sign of life after so long without any; `None` does not, which is
    /// the default (RFC 9293, section 3.8.4).
    pub(crate) fn set_keep_alive(&mut self, idle: Option<Duration>, now: Instant) {
        self.keep_alive = idle;
        self.keep = idle.map(|idle| now.saturating_add(idle));
    }

    /// Gives the connection up when the peer acknowledges nothing for so long (RFC 9293,
    /// section 3.8.3).
    pub(crate) fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        self.user_timeout = timeout;
    }

    /// Sends small segments at once, without waiting for acknowledgements of others.
    pub(crate) fn set_no_delay(&mut self, no_delay: bool) {
        self.nagle = !no_delay;
    }

    pub(crate) const fn options(&self) -> TcpOptions {
        let Self { nagle, keep_alive, user_timeout, .. } = *self;
        TcpOptions { no_delay: !nagle, keep_alive, user_timeout }
    }

    pub(crate) fn set_options(&mut self, options: TcpOptions, now: Instant) {
        self.set_no_delay(options.no_delay);
        self.set_user_timeout(options.user_timeout);
        if self.keep_alive != options.keep_alive {
            self.set_keep_alive(options.keep_alive, now);
        }
    }
}
