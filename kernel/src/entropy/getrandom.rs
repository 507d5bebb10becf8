//! The back end of the `getrandom` crate, which most of the ecosystem asks.

use super::fill;
use core::slice;

/// What the `getrandom` crate calls (its documentation, "Custom backend").
///
/// # Safety
/// `to` is valid for writing `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    to: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: valid, by contract; zeroed first, as a slice must be.
    unsafe { to.write_bytes(0, length) };
    // SAFETY: valid and initialised.
    let out = unsafe { slice::from_raw_parts_mut(to, length) };
    fill(out).map_err(|_| getrandom::Error::UNSUPPORTED)
}
