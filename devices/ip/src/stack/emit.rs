//! Frames of what TCP connections have to send.

use super::sets::Handle;
use super::{Protocols, Way};
use crate::packet;
use crate::tcp::congestion::Cubic;
use crate::tcp::connection::{Connection, Emission};
use crate::tcp::secret::Ends;
use crate::tcp::segment::{self, STAMPS};
use crate::wire::Wire;
use devices::net::{HEADER, Part};
use kernel::time::Instant;

/// Segments that a connection may send before others get their turn: what the ACKs of one turn
/// allow in slow start, one for each segment. With fewer, one that is short of time would take
/// ACKs in faster than it sends.
const BURST: usize = 128;

/// The longest headers of a frame with a TCP segment.
const HEADERS: usize = packet::segment_head(false) + 60;

/// Parts of a frame: its headers, the chunks or pages that the largest one begins and ends in the
/// middle of, and some more.
const PARTS: usize = 32;

impl Protocols {
    /// Sends what a connection has to say before anything else is taken in.
    pub(crate) fn send_urgent(&mut self, handle: Handle, wire: &dyn Wire, now: Instant) {
        if self.sets.endpoint(handle).connection.is_urgent() {
            self.send_tcp(handle, wire, now);
        }
    }

    /// Sends what a connection has to say.
    pub(super) fn send_tcp(&mut self, handle: Handle, wire: &dyn Wire, now: Instant) {
        let (local, peer) = self.ends(handle);
        let way = self.way_to_one(peer.ip(), now);
        let endpoint = self.sets.endpoint_mut(handle);
        let before = endpoint.shape();
        let known = matches!(way, Way::Known(_));
        let large = if known { self.out.large() } else { 0 };
        let head = packet::segment_head(local.is_ipv4());
        let large = large.saturating_sub(head + segment::HEADER + STAMPS);
        let (mac, mut more) = (self.info.mac, true);
        for _ in 0..BURST {
            if !wire.ready() {
                break;
            }
            // It is not moved, as it is not small.
            let emission = endpoint.connection.next(large as u32, now);
            let Some(emission) = &emission else {
                more = false;
                break;
            };
            let connection = &endpoint.connection;
            let write = |frame: &mut [u8], header: [u8; HEADER]| {
                write(frame, header, (local, peer), connection, emission);
            };
            let length = head + emission.len();
            match way {
                Way::Known(header) => {
                    let (blank, segment) = (wire.blank(), emission.segment);
                    let parts = connection.parts(emission).filter(|_| blank);
                    let shown = parts.and_then(|parts| {
                        show(wire, length, header, (local, peer), emission, parts)
                    });
                    let sent = match shown {
                        Some(sent) => sent,
                        None if blank => wire.transmit_blank(length, segment, &mut |frame| {
                            write(frame, header);
                            packet::blank_tcp(frame, length, local.is_ipv4());
                        }),
                        None => wire.transmit(length, segment, &mut |frame| write(frame, header)),
                    };
                    self.out.sent.set(self.out.sent.get() + u64::from(sent));
                }
                // It counts as sent, and is sent again if it is lost here.
                Way::Sought(hop) => {
                    if let Some(mut frame) = kernel::memory::zeroed(length) {
                        write(&mut frame, packet::header(packet::BROADCAST, mac, local.is_ipv4()));
                        self.neighbors.hold(hop, frame, now);
                    }
                }
                Way::None => {}
            }
        }
        endpoint.wake(before);
        if let Some(at) = endpoint.connection.deadline() {
            self.sets.deadlines.arm(handle.0, at);
        }
        if more {
            self.sets.touch(handle);
        }
    }
}

/// Sends an emission, some parts of which stay where they are. Returns whether it did, or `None`
/// when these are too many.
fn show<'a>(
    wire: &dyn Wire,
    length: usize,
    header: [u8; HEADER],
    ends: Ends,
    emission: &Emission,
    parts: impl Iterator<Item = Part<'a>>,
) -> Option<bool> {
    let mut headers = [0; HEADERS];
    let count = length - emission.length;
    let headers = headers.get_mut(..count)?;
    packet::tcp_head(headers, length, header, ends, &emission.head, emission.ecn);
    packet::blank_tcp(headers, length, ends.0.is_ipv4());
    let mut all = heapless::Vec::<Part<'_>, PARTS>::new();
    all.push(Part::Bytes(headers)).ok()?;
    for part in parts {
        all.push(part).ok()?;
    }
    Some(wire.transmit_parts(&all, emission.segment))
}

/// Writes an emission into a frame of its length.
fn write(
    frame: &mut [u8],
    header: [u8; HEADER],
    ends: Ends,
    connection: &Connection<Cubic>,
    emission: &Emission,
) {
    let payload = packet::tcp(frame, header, ends, &emission.head, emission.ecn);
    connection.payload(emission, payload);
}
