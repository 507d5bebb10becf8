//! Makes the calls about page tables (`public/xen.h`).

use super::{address, hypercall};
use crate::Errno;
use crate::public::mmu::{DOMID_SELF, MMUEXT_TLB_FLUSH_LOCAL, MmuUpdate, MmuextOp};
use xen_sys::{__HYPERVISOR_mmu_update, __HYPERVISOR_mmuext_op, __HYPERVISOR_update_va_mapping};

/// Sets the level-1 page table entry of the page at address `virt`
/// (`HYPERVISOR_update_va_mapping`). `flags` is [`UVMF_INVLPG`](crate::public::mmu::UVMF_INVLPG)
/// or 0.
///
/// # Safety
/// The caller owns the virtual page, and nothing refers to what it mapped before.
///
/// # Errors
/// `EINVAL` or `EPERM` if Xen refuses the entry.
pub unsafe fn update_va_mapping(virt: u64, entry: u64, flags: u64) -> Result<(), Errno> {
    // SAFETY: the hypercall reads no memory; what it changes is the caller's promise.
    unsafe { hypercall::<__HYPERVISOR_update_va_mapping>([virt, entry, flags, 0]) }.map(drop)
}

/// Writes page table entries, in order (`HYPERVISOR_mmu_update`).
///
/// # Safety
/// As [`update_va_mapping`], for every page that the entries map or stop mapping.
///
/// # Errors
/// The error for the first entry that Xen refuses; those before it have been written.
pub unsafe fn mmu_update(updates: &[MmuUpdate]) -> Result<(), Errno> {
    // SAFETY: Xen reads as many updates as it is told; what they change is the
    // caller's promise.
    unsafe {
        hypercall::<__HYPERVISOR_mmu_update>([
            updates.as_ptr() as u64,
            updates.len() as u64,
            0,
            DOMID_SELF,
        ])
    }
    .map(drop)
}

/// Flushes the TLB of this processor, so that earlier changes of page tables take effect
/// (`MMUEXT_TLB_FLUSH_LOCAL`).
///
/// # Errors
/// Those of Xen; none is expected.
pub fn mmuext_op_tlb_flush_local() -> Result<(), Errno> {
    let mut op = MmuextOp { cmd: MMUEXT_TLB_FLUSH_LOCAL, ..MmuextOp::default() };
    // SAFETY: Xen reads one operation, which outlives the call.
    unsafe { hypercall::<__HYPERVISOR_mmuext_op>([address(&mut op), 1, 0, DOMID_SELF]) }.map(drop)
}
