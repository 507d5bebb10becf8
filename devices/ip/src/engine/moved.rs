//! What goes on in another image of the same machine: the lease, connections that are asked for,
//! those that nobody accepted or whose programs left them, and those that are about to end.
//!
//! Connections in TIME-WAIT stay behind, and so do those that a program holds, and those from and
//! to addresses that routers gave: the new image answers them with a reset.

use super::Engine;
use crate::dhcp;
use crate::late::Early;
use crate::packet::Segment;
use crate::stack::Handle;
use crate::tcp::connection::Offer;
use crate::tcp::moved::Moved;
use crate::tcp::secret;
use crate::tcp::segment::{ACK, RST, SYN};
use crate::tcp::seq::Seq;
use crate::tcp::syn::Asked;
use alloc::vec::Vec;
use core::net::SocketAddr;
use devices::net::HEADER;
use kernel::time::Instant;
use serde::{Deserialize, Serialize};

/// The version of what [`Engine::save`] writes.
pub(crate) const VERSION: u32 = 2;

/// Bytes of a [`Head`] at most.
const HEAD: usize = 512;

/// What comes before the connections.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    secret: secret::Moved,
    lease: Option<dhcp::Moved>,
    half_open: u32,
}

/// A connection that is asked for: [`Asked`].
#[derive(Debug, Serialize, Deserialize)]
struct MovedAsked {
    local: SocketAddr,
    peer: SocketAddr,
    iss: u32,
    irs: u32,
    mss: u16,
    scale: Option<u8>,
    sack: bool,
    stamp: Option<u32>,
    ecn: bool,
    window: u16,
    header: [u8; HEADER],
    answers: u8,
}

impl MovedAsked {
    fn new(asked: &Asked) -> Self {
        let Asked { local, peer, iss, ref offer, header, answers, .. } = *asked;
        let Offer { irs, mss, scale, sack, stamp, ecn, window } = *offer;
        let (iss, irs) = (iss.0, irs.0);
        Self { local, peer, iss, irs, mss, scale, sack, stamp, ecn, window, header, answers }
    }

    fn asked(self, now: Instant) -> Asked {
        let Self { local, peer, mss, scale, sack, stamp, ecn, window, header, answers, .. } = self;
        let offer = Offer { irs: Seq(self.irs), mss, scale, sack, stamp, ecn, window };
        // When it was answered is not known here, and so no round trip (RFC 6298, section 3).
        let answers = answers.max(2);
        Asked { local, peer, iss: Seq(self.iss), offer, header, answered: now, answers }
    }
}

/// Reads a value from the front.
fn take<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    *bytes = rest;
    Some(value)
}

impl Engine {
    /// Leaves a connection, whose holder does not hold it any more, to the next image or, if there
    /// is none, to a listener as if it was new. `unread` was read of it last, and is to be read
    /// again.
    pub(crate) fn leave(&mut self, handle: Handle, unread: &[u8]) {
        if self.protocols.put_back(handle, unread) && self.left.try_reserve(1).is_ok() {
            self.left.push(handle);
        } else {
            self.protocols.abort(handle);
            self.release(handle);
        }
    }

    /// Keeps a segment that asks for a connection, or confirms one, until there is a listener, where
    /// this image has just taken over. Whether it does.
    pub(super) fn keep_early(&mut self, frame: &[u8], segment: &Segment, now: Instant) -> bool {
        let Some(early) = &mut self.early else { return false };
        let asks = segment.flags & (SYN | ACK | RST) == SYN;
        let confirms =
            segment.flags & RST == 0 && self.half_open.get((segment.local, segment.peer)).is_some();
        (asks || confirms) && early.keep(frame, now)
    }

    /// Returns frames that were kept until there was a listener.
    pub(crate) fn early(&mut self) -> Vec<u8> {
        self.early.as_mut().map(Early::take).unwrap_or_default()
    }

    /// Gives listeners the connections that were left and that they take.
    pub(crate) fn find_listeners(&mut self) {
        if let Some(early) = &mut self.early {
            early.hear();
            self.protocols.kick();
        }
        let left = core::mem::take(&mut self.left);
        for handle in left {
            if !self.wait_for_accept(handle) {
                self.left.push(handle);
            }
        }
    }

    /// Goes on with what was to be handed over.
    pub(crate) fn resume(&mut self) {
        self.find_listeners();
        while let Some(handle) = self.left.pop() {
            self.abandon(handle);
        }
        self.protocols.kick();
    }

    /// Writes what another image goes on with, in `room` bytes at most. What has no room stays
    /// behind, and is reset: the connections that hold most, so that a client which sends more than
    /// anybody reads keeps no update from going on. `None` if there is no memory.
    pub(crate) fn save(&mut self, room: usize) -> Option<Vec<u8>> {
        let now = Instant::now();
        self.turn(false);
        let all = self.waiting_for_accept().chain(self.left.iter().copied());
        let all = all.chain(self.leaving.orderly());
        let mut handles = Vec::new();
        handles.try_reserve_exact(all.clone().count()).ok()?;
        handles.extend(all.map(|it| (self.protocols.saved_length(it), it)));
        handles.sort_unstable_by_key(|&(length, _)| length);
        let half_open = self.half_open.len();
        let mut length = half_open * size_of::<MovedAsked>() + HEAD;
        let fits = handles.iter().take_while(|&&(more, _)| {
            let sum = length.saturating_add(more);
            let fits = sum <= room;
            length = if fits { sum } else { length };
            fits
        });
        let fitting = fits.count();
        let behind = handles.len() - fitting;
        if behind > 0 {
            log::warn!("{}: {behind} connections hold too much, and stay behind", self.name);
        }
        handles.truncate(fitting);
        let mut all = Vec::new();
        all.try_reserve_exact(length).ok()?;
        let head = Head {
            secret: self.protocols.secret(now),
            lease: self.dhcp.as_ref().and_then(|it| it.save(now)),
            half_open: half_open as u32,
        };
        all = kernel::update::encode(&head, all)?;
        for asked in self.half_open.iter() {
            all = kernel::update::encode(&MovedAsked::new(asked), all)?;
        }
        for (_, handle) in handles {
            all = self.protocols.save_connection(handle, all, now)?;
        }
        Some(all)
    }

    /// Takes over what another image wrote. `None` if it makes no sense; a connection for which
    /// there is no memory or no place is left out.
    pub(crate) fn restore(&mut self, mut bytes: &[u8]) -> Option<()> {
        let now = Instant::now();
        let head: Head = take(&mut bytes)?;
        self.early = Some(Early::new(now));
        self.protocols.set_secret(&head.secret, now);
        if let Some((client, lease)) = self.dhcp.as_mut().zip(head.lease)
            && client.restore(lease, now)
        {
            self.take_lease();
        }
        for _ in 0..head.half_open {
            let asked: MovedAsked = take(&mut bytes)?;
            self.half_open.add(asked.asked(now));
        }
        while !bytes.is_empty() {
            let moved: Moved<'_> = take(&mut bytes)?;
            let Some(handle) = self.protocols.restore_connection(&moved, now) else { continue };
            if moved.is_ending() && self.leaving.has_memory() {
                self.leaving.adopt(handle);
            } else if !moved.is_ending() && self.left.try_reserve(1).is_ok() {
                self.left.push(handle);
            } else {
                self.release(handle);
            }
            self.protocols.find_way(moved.peer.ip(), now);
        }
        Some(())
    }
}
