//! Frames of which only the beginning was copied so far.

use super::Engine;
use crate::packet::{self, Segment, Verdict};
use crate::stack::Handle;
use crate::wire::Wire;
use devices::net::{Frame, Meta};
use kernel::time::Instant;

impl Engine {
    /// Takes in a frame that arrived. The payload of a TCP segment that a connection waits for goes
    /// to where it belongs by one copy; whatever else comes is copied first, and looked at then.
    pub(crate) fn take_in(&mut self, frame: Frame<'_>, meta: Meta, wire: &dyn Wire) {
        let foreseen = match frame.is_whole() {
            true => None,
            false => packet::foresee(frame.head(), frame.len(), meta),
        };
        let Some(segment) = foreseen else {
            return match frame.whole() {
                Some(frame) => self.receive(frame, meta, wire),
                None => self.pass_over(),
            };
        };
        let now = Instant::now();
        self.stats.received += 1;
        match self.waits_for(frame.head(), &segment) {
            Some(handle) => {
                self.stir();
                self.protocols.receive_staged(handle, frame, &segment, now);
                self.protocols.send_urgent(handle, wire, now);
            }
            None => match frame.whole() {
                Some(frame) => self.act(Verdict::Tcp(segment), frame, wire, now),
                None => self.stats.useless += 1,
            },
        }
    }

    /// Counts a frame that there is no memory to look at.
    const fn pass_over(&mut self) {
        self.stats.received += 1;
        self.stats.useless += 1;
    }

    /// The connection that waits for a segment, which is in a frame that begins with `head`.
    fn waits_for(&mut self, head: &[u8], segment: &Segment) -> Option<Handle> {
        if !head.starts_with(&self.protocols.mac().0) {
            return None;
        }
        let handle = self.protocols.find(segment)?;
        self.protocols.expects(handle, segment).then_some(handle)
    }
}
