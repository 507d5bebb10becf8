//! `public/io/ring.h`: the pages of a ring of requests and responses.

use crate::memory::PAGE_SIZE;

/// Offset of the requests' producer index.
pub const REQ_PROD: usize = 0;
/// Offset of the request at which the back end wants to be notified.
pub const REQ_EVENT: usize = 4;
/// Offset of the responses' producer index.
pub const RSP_PROD: usize = 8;
/// Offset of the response at which the front end wants to be notified.
pub const RSP_EVENT: usize = 12;
/// Offset of the first slot.
pub const SLOTS: usize = 64;

/// How many slots of `size` bytes a ring of one page has: a power of two
/// (`__CONST_RING_SIZE`).
#[must_use]
pub const fn slots(size: usize) -> u32 {
    slots_in(1, size)
}

/// How many slots of `size` bytes a ring of `pages` pages has (`__RING_SIZE`).
#[must_use]
pub const fn slots_in(pages: usize, size: usize) -> u32 {
    1 << ((pages * PAGE_SIZE - SLOTS) / size).ilog2()
}
