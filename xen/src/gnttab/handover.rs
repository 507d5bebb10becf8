//! Something that one other domain takes, or that this one takes back: exactly one of the two.
//!
//! The offer is a granted page. Who takes it has Xen copy a byte into the page, which Xen refuses
//! once the grant is revoked; and who takes it back revokes the grant, and looks at the byte then.
//! So Xen's grant table decides, in a hypercall or a compare-and-exchange, and neither side waits
//! for anybody: not for xenstore either.

use super::{Error, ReadWriteGrant};
use crate::DomId;
use crate::hypercall::{grant_table_op_copy_to, virt_to_mfn};
use crate::ids::GrantRef;
use crate::memory::Pages;

/// What is written into the page of an offer that is taken.
const TAKEN: u8 = 1;

/// Offers something to one other domain.
#[derive(Debug)]
pub struct Offer {
    page: ReadWriteGrant,
}

impl Offer {
    /// Makes an offer to domain `peer`. Dropping it takes it back.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(peer: DomId) -> Result<Self, Error> {
        ReadWriteGrant::new(peer, 1).map(|page| Self { page })
    }

    /// Returns the reference by which the peer [takes](take) it; `None` when it was taken back.
    #[must_use]
    pub fn reference(&self) -> Option<GrantRef> {
        self.page.references().first().copied()
    }

    /// Returns whether it was taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let mut byte = [0];
        self.page.copy_out(0, &mut byte);
        byte == [TAKEN]
    }

    /// Takes the offer back. Returns whether it was: else the peer has taken it. `None` while the
    /// peer is at it, for the time of a copy; only one that maps the page instead takes longer.
    #[must_use]
    pub fn withdraw(&mut self) -> Option<bool> {
        self.page.grant.end().then(|| !self.is_taken())
    }
}

/// Takes what domain `peer` offers by `reference`. Once is enough, and a second time changes
/// nothing.
///
/// # Errors
/// [`Error::Refused`] if there is no such offer, or it was taken back, else [`Error::Memory`].
pub fn take(peer: DomId, reference: GrantRef) -> Result<(), Error> {
    let mut page = Pages::new(1).ok_or(Error::Memory)?;
    let bytes = page.bytes_mut();
    bytes.iter_mut().take(1).for_each(|byte| *byte = TAKEN);
    let frame = virt_to_mfn(bytes.as_ptr() as usize);
    grant_table_op_copy_to(peer, reference, frame, 1).map_err(Error::Refused)
}
