//! Makes the calls about user mode: its page tables, and where it is left to.

use super::{address, hypercall};
use crate::Errno;
use crate::memory::Mfn;
use crate::public::callback::{
    CALLBACKF_MASK_EVENTS, CALLBACKOP_REGISTER, CALLBACKTYPE_FAILSAFE, CALLBACKTYPE_SYSCALL,
    CallbackRegister,
};
use crate::public::mmu::{
    DOMID_SELF, MMUEXT_NEW_USER_BASEPTR, MMUEXT_PIN_L4_TABLE, MMUEXT_UNPIN_TABLE, MmuextOp,
};
use crate::public::user::{FLAT_USER_SS64, VMASST_CMD_ENABLE, VMASST_TYPE_M2P_STRICT};
use xen_sys::{
    __HYPERVISOR_callback_op, __HYPERVISOR_mmuext_op, __HYPERVISOR_set_segment_base,
    __HYPERVISOR_stack_switch, __HYPERVISOR_vm_assist,
};

/// Carries out the operation `cmd` on the table in frame `mfn`.
///
/// # Safety
/// That of the operation.
unsafe fn mmuext_op(cmd: u32, mfn: Mfn) -> Result<(), Errno> {
    let mut op = MmuextOp { cmd, arg1: mfn.0, ..MmuextOp::default() };
    // SAFETY: Xen reads one operation, which outlives the call; the rest is the caller's promise.
    unsafe { hypercall::<__HYPERVISOR_mmuext_op>([address(&mut op), 1, 0, DOMID_SELF]) }.map(drop)
}

/// Sets the level-4 table of user mode; 0 means none (`MMUEXT_NEW_USER_BASEPTR`). It does not
/// flush the TLB.
///
/// # Safety
/// What the table maps may be accessed by what runs in user mode.
///
/// # Errors
/// `EINVAL` or `EPERM` if Xen refuses the table.
pub unsafe fn mmuext_op_new_user_baseptr(mfn: Mfn) -> Result<(), Errno> {
    // SAFETY: passed on.
    unsafe { mmuext_op(MMUEXT_NEW_USER_BASEPTR, mfn) }
}

/// Makes a page a level-4 table, checks it, and keeps it checked while no vCPU uses it
/// (`MMUEXT_PIN_L4_TABLE`).
///
/// # Safety
/// Nobody writes the page until it is unpinned.
///
/// # Errors
/// `EINVAL` if the page is mapped writable, or has an entry that Xen refuses.
pub unsafe fn mmuext_op_pin_l4_table(mfn: Mfn) -> Result<(), Errno> {
    // SAFETY: passed on.
    unsafe { mmuext_op(MMUEXT_PIN_L4_TABLE, mfn) }
}

/// Ends that. The tables may be mapped writable again once nothing uses them
/// (`MMUEXT_UNPIN_TABLE`).
///
/// # Errors
/// `EINVAL` for a page that is not pinned.
pub fn mmuext_op_unpin_table(mfn: Mfn) -> Result<(), Errno> {
    // SAFETY: it takes no access from anybody.
    unsafe { mmuext_op(MMUEXT_UNPIN_TABLE, mfn) }
}

/// Keeps Xen's machine-to-physical table out of the level-4 tables of user mode that are set from
/// now on (`VMASST_TYPE_m2p_strict`). With `xpti`, Xen's own tables for user mode have it even so.
///
/// # Errors
/// `EINVAL` if Xen does not know of it.
pub fn vm_assist_m2p_strict() -> Result<(), Errno> {
    let args = [VMASST_CMD_ENABLE, VMASST_TYPE_M2P_STRICT, 0, 0];
    // SAFETY: it accesses no memory, and takes access from user mode alone.
    unsafe { hypercall::<__HYPERVISOR_vm_assist>(args) }.map(drop)
}

/// Sets where Xen pushes frames when user mode is left (`HYPERVISOR_stack_switch`): below `end`,
/// rounded down to 16.
///
/// # Safety
/// There is room for frames below `end` for as long as user mode runs.
///
/// # Errors
/// `EPERM` for a selector that a guest may not use: not for this one.
pub unsafe fn stack_switch(end: u64) -> Result<(), Errno> {
    // SAFETY: the hypercall accesses no memory; what will be written is the caller's promise.
    unsafe { hypercall::<__HYPERVISOR_stack_switch>([FLAT_USER_SS64, end, 0, 0]) }.map(drop)
}

/// Registers a callback that masks events (`CALLBACKOP_register`).
///
/// # Safety
/// The code at `entry` takes the frame of that callback.
unsafe fn callback_op_register(kind: u16, entry: u64) -> Result<(), Errno> {
    let mut arg = CallbackRegister { kind, flags: CALLBACKF_MASK_EVENTS, address: entry };
    let op = u64::from(CALLBACKOP_REGISTER);
    // SAFETY: Xen reads `arg`, which outlives the call; the entry is valid by contract.
    unsafe { hypercall::<__HYPERVISOR_callback_op>([op, address(&mut arg), 0, 0]) }.map(drop)
}

/// Sets the address at which `syscall` enters from user mode, with events masked
/// (`CALLBACKTYPE_syscall`).
///
/// # Safety
/// The code at `entry` takes the frame that Xen pushes (`public/arch-x86/xen-x86_64.h`).
///
/// # Errors
/// `EINVAL` for an address that is not canonical.
pub unsafe fn callback_op_register_syscall(entry: u64) -> Result<(), Errno> {
    // SAFETY: passed on.
    unsafe { callback_op_register(CALLBACKTYPE_SYSCALL, entry) }
}

/// Sets the address that Xen enters, with events masked, when it cannot return to the guest
/// (`CALLBACKTYPE_failsafe`).
///
/// # Safety
/// As [`callback_op_register_syscall`].
///
/// # Errors
/// `EINVAL` for an address that is not canonical.
pub unsafe fn callback_op_register_failsafe(entry: u64) -> Result<(), Errno> {
    // SAFETY: passed on.
    unsafe { callback_op_register(CALLBACKTYPE_FAILSAFE, entry) }
}

/// Sets the base of a segment, a `SEGBASE_*` of [`public::user`](crate::public::user)
/// (`HYPERVISOR_set_segment_base`).
///
/// # Errors
/// `EINVAL` for a base that is not canonical.
pub fn set_segment_base(which: u64, base: u64) -> Result<(), Errno> {
    // SAFETY: it accesses no memory, and this image uses neither FS nor GS.
    unsafe { hypercall::<__HYPERVISOR_set_segment_base>([which, base, 0, 0]) }.map(drop)
}
