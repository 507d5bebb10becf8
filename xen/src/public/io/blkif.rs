//! `public/io/blkif.h`, in its 64-bit form (`x86_64-abi`): the ring of a block
//! device. Slots are bytes with fields at the offsets of the header's structures,
//! little-endian as x86 is: they are made and taken apart here, outside of shared
//! memory.
//!
//! Positions and lengths are in units of 512 bytes, whatever the device's own
//! sectors are: so do Linux's two ends, and so this one.

use crate::gnttab::GrantRef;

/// Bytes of a slot of the ring.
pub const SLOT: usize = 112;

/// Bytes of the sectors that requests count in.
pub const SECTOR: usize = 512;

/// `BLKIF_OP_READ`.
pub const OP_READ: u8 = 0;
/// `BLKIF_OP_WRITE`.
pub const OP_WRITE: u8 = 1;
/// `BLKIF_OP_WRITE_BARRIER`.
pub const OP_WRITE_BARRIER: u8 = 2;
/// `BLKIF_OP_FLUSH_DISKCACHE`.
pub const OP_FLUSH_DISKCACHE: u8 = 3;
/// `BLKIF_OP_DISCARD`.
pub const OP_DISCARD: u8 = 5;
/// `BLKIF_OP_INDIRECT`: segments stand in pages of their own.
pub const OP_INDIRECT: u8 = 6;

/// `BLKIF_RSP_OKAY`.
pub const RSP_OKAY: i16 = 0;
/// `BLKIF_RSP_ERROR`.
pub const RSP_ERROR: i16 = -1;
/// `BLKIF_RSP_EOPNOTSUPP`.
pub const RSP_EOPNOTSUPP: i16 = -2;

/// `BLKIF_MAX_SEGMENTS_PER_REQUEST`: segments in a slot itself.
pub const SEGMENTS_MAX: usize = 11;

/// Segments of an indirect request that this front end makes at most; the header
/// allows 8 pages of 512, and Linux's back end takes 256.
pub const INDIRECT_MAX: usize = 256;

/// `BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST`.
pub const INDIRECT_PAGES_MAX: usize = 8;

/// `VDISK_READONLY`, in the back end's node `info`.
pub const VDISK_READONLY: u64 = 4;

/// Bytes of a segment.
pub const SEGMENT: usize = 8;

/// `struct blkif_request_segment`: a part of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The grant of the page.
    pub gref: GrantRef,
    /// The first of the page's sectors.
    pub first: u8,
    /// The last one.
    pub last: u8,
}

impl Segment {
    /// The bytes of it.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; SEGMENT] {
        let [g0, g1, g2, g3] = self.gref.0.to_le_bytes();
        [g0, g1, g2, g3, self.first, self.last, 0, 0]
    }

    /// What the bytes say.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SEGMENT]) -> Self {
        let [g0, g1, g2, g3, first, last, ..] = bytes;
        Self { gref: GrantRef(u32::from_le_bytes([g0, g1, g2, g3])), first, last }
    }
}

/// Puts bytes into a slot.
fn put<const N: usize>(slot: &mut [u8; SLOT], at: usize, bytes: [u8; N]) {
    slot[at..at + N].copy_from_slice(&bytes);
}

/// What all requests begin with: the operation, two bytes of its own, the device's
/// handle for those that have it there, the id and the first sector.
fn head(operation: u8, own: u8, number: u16, id: u64, sector: u64) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    put(&mut slot, 0, [operation, own]);
    put(&mut slot, 2, number.to_le_bytes());
    put(&mut slot, 8, id.to_le_bytes());
    put(&mut slot, 16, sector.to_le_bytes());
    slot
}

/// `struct blkif_request`: to read or write, or, without segments, to flush.
/// As many of `segments` as a slot has room for are in it.
#[must_use]
pub fn direct(
    operation: u8,
    handle: u16,
    id: u64,
    sector: u64,
    segments: &[Segment],
) -> [u8; SLOT] {
    let count = segments.len().min(SEGMENTS_MAX);
    let mut slot = head(operation, count as u8, handle, id, sector);
    for (segment, at) in segments.iter().take(count).zip((24..).step_by(SEGMENT)) {
        put(&mut slot, at, segment.to_bytes());
    }
    slot
}

/// `struct blkif_request_indirect`: to read or write what `count` segments on the
/// page `gref` name, at most as many as that has room for.
#[must_use]
pub fn indirect(
    operation: u8,
    handle: u16,
    id: u64,
    sector: u64,
    count: u16,
    gref: GrantRef,
) -> [u8; SLOT] {
    let mut slot = head(OP_INDIRECT, operation, count, id, sector);
    put(&mut slot, 24, handle.to_le_bytes());
    put(&mut slot, 28, gref.0.to_le_bytes());
    slot
}

/// `struct blkif_request_discard`.
#[must_use]
pub fn discard(handle: u16, id: u64, sector: u64, count: u64) -> [u8; SLOT] {
    let mut slot = head(OP_DISCARD, 0, handle, id, sector);
    put(&mut slot, 24, count.to_le_bytes());
    slot
}

/// `struct blkif_response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// That of the request.
    pub id: u64,
    /// That of the request.
    pub operation: u8,
    /// `BLKIF_RSP_*`.
    pub status: i16,
}

impl Response {
    /// What the bytes of a slot say.
    #[must_use]
    pub const fn from_bytes(slot: [u8; SLOT]) -> Self {
        let [i0, i1, i2, i3, i4, i5, i6, i7, operation, _, s0, s1, ..] = slot;
        Self {
            id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            operation,
            status: i16::from_le_bytes([s0, s1]),
        }
    }

    /// The bytes of the slot.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SLOT] {
        let mut slot = [0; SLOT];
        put(&mut slot, 0, self.id.to_le_bytes());
        put(&mut slot, 8, [self.operation]);
        put(&mut slot, 10, self.status.to_le_bytes());
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offsets are those that a C compiler gives the header's structures
    /// without `__i386__`.
    #[test]
    fn fields_are_where_the_header_has_them() {
        let segments = [Segment { gref: GrantRef(0x0403_0201), first: 5, last: 6 }; 12];
        let slot =
            direct(OP_WRITE, 0x0807, 0x1817_1615_1413_1211, 0x2827_2625_2423_2221, &segments);
        assert_eq!(slot[..4], [1, 11, 7, 8]);
        assert_eq!(slot[8..16], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
        assert_eq!(slot[16..24], [0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28]);
        assert_eq!(slot[24..32], [1, 2, 3, 4, 5, 6, 0, 0]);
        assert_eq!(slot[104..112], [1, 2, 3, 4, 5, 6, 0, 0]);
        let slot = indirect(OP_READ, 0x0807, 9, 10, 0x0100, GrantRef(0x0403_0201));
        assert_eq!(slot[..4], [6, 0, 0, 1]);
        assert_eq!((slot[8], slot[16]), (9, 10));
        assert_eq!(slot[24..34], [7, 8, 0, 0, 1, 2, 3, 4, 0, 0]);
        let slot = discard(0x0807, 9, 10, 0x0102);
        assert_eq!(slot[..4], [5, 0, 7, 8]);
        assert_eq!((slot[8], slot[16], slot[24], slot[25]), (9, 10, 2, 1));
        let response = Response { id: 7, operation: OP_FLUSH_DISKCACHE, status: RSP_EOPNOTSUPP };
        assert_eq!(Response::from_bytes(response.to_bytes()), response);
        assert_eq!(response.to_bytes()[8..12], [3, 0, 0xFE, 0xFF]);
    }
}
