//! Zeros to copy from, which take no room in the image.

use kernel::user::PAGE;
use spin::Once;

/// Is made when it is first asked for, as a constant would be a page of the file.
static ZEROS: Once<[u8; PAGE]> = Once::new();

/// Returns a page of zeros.
pub(crate) fn zeros() -> &'static [u8; PAGE] {
    ZEROS.call_once(|| [0; PAGE])
}
