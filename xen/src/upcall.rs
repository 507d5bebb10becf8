//! Masks upcalls, by which events enter the guest, and acknowledges them (`struct vcpu_info`).
//!
//! An event on a port that is not masked makes an upcall pending. Xen enters the guest for it when
//! it returns there and upcalls are not masked. It makes none pending again until the guest has
//! acknowledged it.

use crate::memory::SharedPage;
use crate::public::{shared_info, vcpu_info};
use core::mem::offset_of;

/// Offset of the word of [`vcpu_info`] that begins with `evtchn_upcall_pending`, a byte.
const UPCALL: usize =
    offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, evtchn_upcall_pending);

/// The byte `evtchn_upcall_pending`: an event is pending.
const PENDING: u64 = 0xFF;

/// What Xen writes there.
const RAISED: u64 = 1;

/// The byte `evtchn_upcall_mask`, which follows it: upcalls are masked.
const MASKED: u64 = 0xFF00;

/// Offset of the word that says which words of [`shared_info::evtchn_pending`] have pending,
/// unmasked ports.
const SELECTOR: usize =
    offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, evtchn_pending_sel);

/// Returns whether upcalls are masked.
#[must_use]
pub fn is_masked(page: &SharedPage) -> bool {
    page.load_u64(UPCALL) & MASKED != 0
}

/// Masks upcalls.
pub fn mask(page: &SharedPage) {
    page.set_bits(UPCALL, MASKED);
}

/// Unmasks upcalls. One that is pending comes when Xen next returns to the guest.
pub fn unmask(page: &SharedPage) {
    page.take_bits(UPCALL, MASKED);
}

/// Returns whether an upcall is pending.
#[must_use]
pub fn is_pending(page: &SharedPage) -> bool {
    page.load_u64(UPCALL) & PENDING != 0
}

/// Makes an upcall pending for a port of word `word`, as Xen does.
pub(crate) fn raise(page: &SharedPage, word: u32) {
    page.set_bits(SELECTOR, 1 << word);
    page.set_bits(UPCALL, RAISED);
}

/// Acknowledges what is pending. Do so before looking for pending ports: an event that comes
/// meanwhile makes an upcall pending again.
pub fn acknowledge(page: &SharedPage) {
    page.take_bits(UPCALL, PENDING);
    page.take_bits(SELECTOR, !0);
}
