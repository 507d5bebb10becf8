//! Copies pages that other domains granted to this one.

use super::Error;
use crate::hypercall::{grant_table_op_copy, virt_to_mfn};
use crate::ids::GrantRef;
use crate::memory::{PAGE_SIZE, Pages};
use crate::{DomId, Errno};

/// Copies the first `to.len()` bytes of pages that another domain, `peer`, granted to this one,
/// without mapping them: so nothing of them has to be unmapped, and what `peer` writes meanwhile
/// changes no copy.
///
/// # Errors
/// [`Error::Refused`] if there are fewer pages or `peer` does not grant one of them, else
/// [`Error::Memory`].
pub fn copy_from(peer: DomId, references: &[GrantRef], to: &mut [u8]) -> Result<(), Error> {
    let mut page = Pages::new(1).ok_or(Error::Memory)?;
    let mut references = references.iter();
    for piece in to.chunks_mut(PAGE_SIZE) {
        let reference = references.next().ok_or(Error::Refused(Errno::EINVAL))?;
        let frame = virt_to_mfn(page.bytes_mut().as_ptr() as usize);
        // SAFETY: the page is this function's, and borrowed by nobody meanwhile.
        unsafe { grant_table_op_copy(peer, *reference, frame) }.map_err(Error::Refused)?;
        piece.copy_from_slice(page.bytes().get(..piece.len()).unwrap_or_default());
    }
    Ok(())
}
