//! `public/io/blkif.h`, the layout for 64-bit guests (`protocol` is `x86_64-abi`): requests and
//! responses of a block device.
//!
//! They are encoded to and decoded from the bytes of a slot here, outside of shared memory. Fields
//! are at the offsets of the header's structures, little-endian. Sectors have 512 bytes, whatever
//! the device's own sector size is, as both ends in Linux have it.

use crate::gnttab::GrantRef;

/// Size of a slot in bytes (`sizeof(union blkif_sring_entry)`).
pub const SLOT: usize = 112;

/// Size of a sector in bytes, in which requests count.
pub const SECTOR: usize = 512;

/// `BLKIF_OP_READ`: reads sectors.
pub const OP_READ: u8 = 0;
/// `BLKIF_OP_WRITE`: writes sectors.
pub const OP_WRITE: u8 = 1;
/// `BLKIF_OP_WRITE_BARRIER`: writes after all earlier requests and before all later ones
/// (`feature-barrier`).
pub const OP_WRITE_BARRIER: u8 = 2;
/// `BLKIF_OP_FLUSH_DISKCACHE`: flushes the disk's write cache (`feature-flush-cache`).
pub const OP_FLUSH_DISKCACHE: u8 = 3;
/// `BLKIF_OP_DISCARD`: discards sectors (`feature-discard`).
pub const OP_DISCARD: u8 = 5;
/// `BLKIF_OP_INDIRECT`: reads or writes, with the segments in separate pages
/// (`feature-max-indirect-segments`).
pub const OP_INDIRECT: u8 = 6;

/// `BLKIF_RSP_OKAY`: the request succeeded.
pub const RSP_OKAY: i16 = 0;
/// `BLKIF_RSP_ERROR`: the request failed.
pub const RSP_ERROR: i16 = -1;
/// `BLKIF_RSP_EOPNOTSUPP`: the back end does not support the operation.
pub const RSP_EOPNOTSUPP: i16 = -2;

/// `BLKIF_MAX_SEGMENTS_PER_REQUEST`: most segments in a slot.
pub const SEGMENTS_MAX: usize = 11;

/// Most segments of an indirect request of this front end. The header allows 8 pages of 512;
/// Linux's back end accepts 256.
pub const INDIRECT_MAX: usize = 256;

/// `BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST`: most pages with segments.
pub const INDIRECT_PAGES_MAX: usize = 8;

/// `VDISK_READONLY`, a bit of the back end's node `info`: the device is read-only.
pub const VDISK_READONLY: u64 = 4;

/// Size of a segment in bytes.
pub const SEGMENT: usize = 8;

/// `struct blkif_request_segment`: contiguous sectors of one page, to read into or to write from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Grant reference of the page.
    pub gref: GrantRef,
    /// First sector in the page, 0 to 7 (`first_sect`).
    pub first: u8,
    /// Last sector in the page, inclusive (`last_sect`).
    pub last: u8,
}

impl Segment {
    /// Encodes the segment.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; SEGMENT] {
        let [g0, g1, g2, g3] = self.gref.0.to_le_bytes();
        [g0, g1, g2, g3, self.first, self.last, 0, 0]
    }

    /// Decodes a segment.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SEGMENT]) -> Self {
        let [g0, g1, g2, g3, first, last, ..] = bytes;
        Self { gref: GrantRef(u32::from_le_bytes([g0, g1, g2, g3])), first, last }
    }
}

/// Writes bytes into a slot.
fn put<const N: usize>(slot: &mut [u8; SLOT], at: usize, bytes: [u8; N]) {
    slot[at..at + N].copy_from_slice(&bytes);
}

/// Encodes the common start of all requests: the operation, the byte and the number that depend on
/// it, the id and the first sector.
fn head(operation: u8, own: u8, number: u16, id: u64, sector: u64) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    put(&mut slot, 0, [operation, own]);
    put(&mut slot, 2, number.to_le_bytes());
    put(&mut slot, 8, id.to_le_bytes());
    put(&mut slot, 16, sector.to_le_bytes());
    slot
}

/// Encodes a `struct blkif_request`: a read or write from sector `sector` on, or, without
/// segments, a flush. `handle` is the device's number (`virtual-device`). At most
/// [`SEGMENTS_MAX`] of `segments` are used.
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

/// Encodes a `struct blkif_request_indirect`: a read or write with the first `count` segments of
/// the page with grant reference `gref`. A page has 512.
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

/// Encodes a `struct blkif_request_discard` of `count` sectors from `sector` on.
#[must_use]
pub fn discard(handle: u16, id: u64, sector: u64, count: u64) -> [u8; SLOT] {
    let mut slot = head(OP_DISCARD, 0, handle, id, sector);
    put(&mut slot, 24, count.to_le_bytes());
    slot
}

/// `struct blkif_response`: the result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Id of the request.
    pub id: u64,
    /// Operation of the request.
    pub operation: u8,
    /// `BLKIF_RSP_*`.
    pub status: i16,
}

impl Response {
    /// Decodes a slot.
    #[must_use]
    pub const fn from_bytes(slot: [u8; SLOT]) -> Self {
        let [i0, i1, i2, i3, i4, i5, i6, i7, operation, _, s0, s1, ..] = slot;
        Self {
            id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            operation,
            status: i16::from_le_bytes([s0, s1]),
        }
    }

    /// Encodes a slot.
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
