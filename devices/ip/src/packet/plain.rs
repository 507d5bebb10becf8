//! Packets that were made plain: without options, extension headers and fragments, so that
//! everything behind [`judge`](super::judge()) sees the same whichever way it came.

use super::verdict::Folded;
use super::{HEADER, IPV4, fold, put, sum};
use alloc::vec::Vec;

impl Folded {
    /// Returns the frame without what was passed over; `None` without memory.
    pub(crate) fn unfold(self, frame: &[u8]) -> Option<Vec<u8>> {
        rewrite(frame, self.protocol, &[frame.get(self.transport..self.end)?])
    }
}

/// How long the Ethernet and the IP header are in front of what a plain frame carries.
pub(super) fn head(frame: &[u8]) -> usize {
    HEADER + if frame.get(12..HEADER) == Some(&IPV4) { 20 } else { 40 }
}

/// Returns a frame with the addresses of `old`, which carries `parts` of `protocol`; `None`
/// without memory, or if that is more than a packet may have.
pub(super) fn rewrite(old: &[u8], protocol: u8, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let head = head(old);
    let length: usize = parts.iter().map(|it| it.len()).sum();
    let mut frame = Vec::new();
    frame.try_reserve_exact(head + length).ok()?;
    frame.extend_from_slice(old.get(..head)?);
    parts.iter().for_each(|it| frame.extend_from_slice(it));
    if head == HEADER + 20 {
        frame[HEADER] = 0x45;
        frame[HEADER + 9] = protocol;
        put(&mut frame, HEADER + 2, u16::try_from(20 + length).ok()?);
        put(&mut frame, HEADER + 6, 0);
        seal(&mut frame);
    } else {
        frame[HEADER + 6] = protocol;
        put(&mut frame, HEADER + 4, u16::try_from(length).ok()?);
    }
    Some(frame)
}

/// Fills in the checksum of an IPv4 header without options.
pub(super) fn seal(frame: &mut [u8]) {
    put(frame, HEADER + 10, 0);
    let header = frame.get(HEADER..HEADER + 20).map_or(0, sum);
    put(frame, HEADER + 10, !fold(header));
}
