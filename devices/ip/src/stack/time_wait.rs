//! Connections in TIME-WAIT that nobody holds: [`tcp::time_wait`](crate::tcp::time_wait), between
//! frames and connections.

use super::Protocols;
use super::sets::{Handle, Key};
use crate::packet::{self, Segment};
use crate::tcp::time_wait::Judgement;
use crate::wire::Wire;
use core::net::SocketAddr;
use kernel::time::Instant;

impl Protocols {
    /// Lets a connection that nobody holds wait as plain data, if it is in TIME-WAIT and has said
    /// all. Returns whether it is gone.
    pub(crate) fn retire(&mut self, handle: Handle, now: Instant) -> bool {
        let Some(rest) = self.sets.endpoint(handle).connection.rest() else { return false };
        self.time_wait.add(self.secret.id(self.ends(handle)), rest, now);
        self.drop_connection(handle);
        true
    }

    /// Whether this side may connect from `from` to `to`: nobody has, or what has is over.
    pub(crate) fn may_connect(&self, from: SocketAddr, to: SocketAddr, now: Instant) -> bool {
        self.sets.find(Key::tcp(from, to)).is_none()
            && self.time_wait.allows(self.secret.id((from, to)), now)
    }

    /// Deals with a segment for a connection in TIME-WAIT, which is answered if `may` say so.
    /// Returns whether it was for one; where a SYN begins another, and one `listens` for it, none
    /// is any more.
    pub(crate) fn hear_late(
        &mut self,
        frame: &[u8],
        segment: &Segment,
        listens: bool,
        may: impl FnOnce() -> bool,
        wire: &dyn Wire,
        now: Instant,
    ) -> bool {
        if self.time_wait.is_empty() {
            return false;
        }
        let ends = (segment.local, segment.peer);
        let id = self.secret.id(ends);
        let Some(rest) = self.time_wait.get(id) else { return false };
        let Some(arrived) = segment.read(frame) else { return true };
        match rest.judge(&arrived) {
            Judgement::Nothing => return true,
            Judgement::Anew if listens => {
                self.time_wait.remove(id);
                return false;
            }
            Judgement::Again => self.time_wait.add(id, rest, now),
            Judgement::Anew | Judgement::Answer => {}
        }
        if let Some(header) = packet::back(frame, self.info.mac).filter(|_| may()) {
            self.tell(&rest.answer(self.clock(ends, now)), header, ends, wire);
        }
        true
    }
}
