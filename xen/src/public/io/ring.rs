//! `public/io/ring.h`: the layout of a ring of requests and responses (`struct name_sring`), in
//! bytes.

use crate::memory::PAGE_SIZE;

/// Offset of `req_prod`, the producer index of requests.
pub const REQ_PROD: usize = 0;
/// Offset of `req_event`, the index of the request at which the back end wants to be notified.
pub const REQ_EVENT: usize = 4;
/// Offset of `rsp_prod`, the producer index of responses.
pub const RSP_PROD: usize = 8;
/// Offset of `rsp_event`, the index of the response at which the front end wants to be notified.
pub const RSP_EVENT: usize = 12;
/// Offset of `ring`, the first slot.
pub const SLOTS: usize = 64;

/// Returns the number of slots of `size` bytes in a ring of one page: a power of two
/// (`__CONST_RING_SIZE`).
#[must_use]
pub const fn slots(size: usize) -> u32 {
    slots_in(1, size)
}

/// Returns the number of slots of `size` bytes in a ring of `pages` pages (`__RING_SIZE`).
#[must_use]
pub const fn slots_in(pages: usize, size: usize) -> u32 {
    1 << ((pages * PAGE_SIZE - SLOTS) / size).ilog2()
}
