//! What of page tables a suspension concerns: frames have other numbers in the domain that goes on.

use super::{DATA, PAGE, Paging, frame_of};
use ::xen::Errno;
use ::xen::hypercall::update_va_mapping;
use ::xen::memory::Mfn;
use ::xen::public::mmu::UVMF_INVLPG;

impl Paging {
    /// Returns the frame of the page at `address`, which is one of the image or behind it.
    pub(in crate::machine::xen) fn frame_at(&self, address: usize) -> Mfn {
        Mfn(self.mfn((address - self.layout.virt_base) / PAGE))
    }

    /// Returns the addresses of the tables that are known by their frames.
    pub(in crate::machine::xen) fn tables(&self) -> Option<[usize; 2]> {
        let frames = &::xen::domain().frames;
        Some([frames.address_of_frame(self.root)?, frames.address_of_frame(self.level2)?])
    }

    /// Sets the tables to those at `addresses`, whose frames are others now.
    pub(in crate::machine::xen) fn set_tables(&mut self, addresses: [usize; 2]) {
        let [root, level2] = addresses.map(|address| Mfn(::xen::domain().frames.frame(address)));
        (self.root, self.level2) = (root, level2);
    }

    /// Maps the shared info page at machine address `frame`, or nothing if that is 0.
    ///
    /// # Errors
    /// Xen's.
    ///
    /// # Safety
    /// Nothing accesses the page while it is not mapped.
    pub(in crate::machine::xen) unsafe fn map_shared_info(&self, frame: u64) -> Result<(), Errno> {
        let entry = if frame == 0 { 0 } else { frame | DATA };
        // SAFETY: passed on.
        unsafe { update_va_mapping(self.layout.shared_info as u64, entry, UVMF_INVLPG) }
    }

    /// Finds a mapped page whose frame is not this domain's, and returns its address and frame. A
    /// table that names such a frame is lost when the domain is saved, and the toolstack does not
    /// say so.
    pub(in crate::machine::xen) fn foreign(&self) -> Option<(usize, Mfn)> {
        let mut found = None;
        self.walk(&mut |address, entry| {
            if ::xen::domain().frames.address_of_frame(frame_of(entry)).is_none() {
                found = Some((address, frame_of(entry)));
            }
        });
        found
    }
}
