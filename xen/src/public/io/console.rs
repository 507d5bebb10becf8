//! `public/io/console.h`: `struct xencons_interface`, the page that a guest shares with the
//! console daemon. Declared as offsets, because no reference may point into shared memory.

use crate::ring::Layout;

/// Offset of `in_cons`; `in_prod`, `out_cons` and `out_prod` follow it.
const INDICES: usize = 1024 + 2048;

/// The byte ring that the daemon writes and the guest reads: 1024 bytes.
pub const IN: Layout = Layout { data: 0, size: 1024, cons: INDICES, prod: INDICES + 4 };

/// The byte ring that the guest writes and the daemon reads: 2048 bytes.
pub const OUT: Layout = Layout { data: 1024, size: 2048, cons: INDICES + 8, prod: INDICES + 12 };
