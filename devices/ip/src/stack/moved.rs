//! Connections that go on in another image of the same machine.

use super::Protocols;
use super::sets::Handle;
use crate::tcp::moved::Moved;
use crate::tcp::secret;
use alloc::vec::Vec;
use kernel::time::Instant;

impl Protocols {
    /// Returns how many bytes [`save_connection`](Self::save_connection) writes at most.
    pub(crate) fn saved_length(&self, handle: Handle) -> usize {
        self.sets.endpoint(handle).connection.saved_length()
    }

    /// Writes a connection to the end of `to`. `None` if there is no memory.
    pub(crate) fn save_connection(
        &self,
        handle: Handle,
        to: Vec<u8>,
        now: Instant,
    ) -> Option<Vec<u8>> {
        self.sets.endpoint(handle).connection.save(to, now)
    }

    /// Adds a connection that was saved. `None` if it makes no sense, is for no address of ours or
    /// there already, or if there is no memory.
    pub(crate) fn restore_connection(&mut self, moved: &Moved<'_>, now: Instant) -> Option<Handle> {
        let terms = moved.terms(self.share(), self.limits.buffer, now)?;
        let ends = (moved.local, moved.peer);
        let new = self.sets.find(super::sets::Key::tcp(ends.0, ends.1)).is_none();
        if !new || !self.has(ends.0.ip()) || !self.has_capacity() {
            return None;
        }
        let mut whole = false;
        let handle = self.join(ends, &terms, now, |connection, pool| {
            whole = connection.restore(moved, pool, now);
        })?;
        if !whole {
            self.drop_connection(handle);
            return None;
        }
        Some(handle)
    }

    /// Puts bytes back that were read last from a connection. Whether there was memory for them.
    pub(crate) fn put_back(&mut self, handle: Handle, bytes: &[u8]) -> bool {
        bytes.is_empty() || self.tcp(handle).put_back(bytes)
    }

    /// Returns what another image goes on with of what nobody is to guess.
    pub(crate) fn secret(&mut self, now: Instant) -> secret::Moved {
        self.secret.save(now)
    }

    /// Takes it over from another image.
    pub(crate) fn set_secret(&mut self, secret: &secret::Moved, now: Instant) {
        self.secret.restore(secret, now);
    }
}
