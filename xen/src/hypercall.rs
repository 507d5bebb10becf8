//! Makes hypercalls: one function per hypercall and sub-operation, with the names of the ABI in
//! lower case (`EVTCHNOP_send` of `event_channel_op` is [`event_channel_op_send`]).
//!
//! This module is the seam between a guest and its hypervisor. On Xen a hypercall is a call into
//! the page that the domain builder filled with stubs (`XEN_ELFNOTE_HYPERCALL_PAGE`): the stub of
//! hypercall `n` starts at byte `n * 32`, arguments go in rdi, rsi, rdx, r10 and r8, the result
//! comes back in rax, and rcx, r11 and the argument registers may change
//! (`public/arch-x86/xen-x86_64.h`). On any other target it is a call into `fake`, which
//! decodes the same numbers and the same structures. What else of the machine the fake replaces
//! (the machine-to-physical table, mapping, copies of shared memory, the time stamp counter) is
//! here for that reason.
//!
//! Failures are [`Errno`]s. Each function names those that a caller should expect; Xen may
//! return others.

mod event_channel;
mod grant_table;
mod mmu;
mod sched;
mod user;

use crate::Errno;
use core::ptr::{NonNull, from_mut};
use core::sync::atomic::{AtomicU64, Ordering};
pub use event_channel::{
    event_channel_op_alloc_unbound, event_channel_op_bind_virq, event_channel_op_close,
    event_channel_op_send, event_channel_op_status,
};
pub use grant_table::{
    grant_table_op_copy, grant_table_op_copy_to, grant_table_op_query_size,
    grant_table_op_setup_table,
};
pub use mmu::{mmu_update, mmuext_op_tlb_flush_local, update_va_mapping};
pub use sched::{
    callback_op_register_event, console_io_write, sched_op_poll, sched_op_shutdown,
    sched_op_suspend, sched_op_yield, set_trap_table, vcpu_op_get_runstate_info,
    vcpu_op_set_singleshot_timer, vcpu_op_stop_periodic_timer,
};
pub use user::{
    callback_op_register_failsafe, callback_op_register_syscall, mmuext_op_new_user_baseptr,
    mmuext_op_pin_l4_table, mmuext_op_unpin_table, set_segment_base, stack_switch,
    vm_assist_m2p_strict,
};
use xen_sys::{__HYPERVISOR_event_channel_op, __HYPERVISOR_grant_table_op, __HYPERVISOR_sched_op};
#[cfg(target_os = "xen")]
use xen_sys::{__HYPERVISOR_iret, __HYPERVISOR_update_va_mapping};

/// Hypercalls made so far, by hypercall number.
static COUNTS: [AtomicU64; 40] = [const { AtomicU64::new(0) }; 40];

/// Returns the number of hypercalls made since boot. On a host it is always 0.
#[must_use]
pub fn count() -> u64 {
    COUNTS.iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

/// Returns the number of hypercalls made since boot for each kind that a running device uses.
/// On a host all are 0.
#[must_use]
pub fn counts() -> Counts {
    let of = |number: u32| {
        let count = usize::try_from(number).ok().and_then(|number| COUNTS.get(number));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    };
    Counts {
        event_channel: of(__HYPERVISOR_event_channel_op),
        grant_table: of(__HYPERVISOR_grant_table_op),
        sched: of(__HYPERVISOR_sched_op),
    }
}

/// Counts hypercalls by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// `event_channel_op`: mostly notifications (`EVTCHNOP_send`).
    pub event_channel: u64,
    /// `grant_table_op`: growth of the grant table.
    pub grant_table: u64,
    /// `sched_op`: waits for events (`SCHEDOP_poll`).
    pub sched: u64,
}

#[cfg(target_os = "xen")]
core::arch::global_asm!(
    // Xen writes the whole page before the guest runs, so the file holds none
    // of it; it is executable because link.ld ends the text segment with it.
    // Sections whose names are identifiers of C's are not compared with others by lld
    // (--icf), which ends by a signal where one has no bytes.
    ".pushsection hypercalls, \"ax\", @nobits",
    ".balign 4096",
    ".global hypercall_page",
    "hypercall_page: .skip 4096",
    ".popsection",
    // Returns from an upcall. Jump here with all registers restored and rsp at the frame
    // that Xen pushed, from rip on. The stub of `iret` pushes rcx, r11 and rax itself; the 0
    // is `iret_context.flags` (public/arch-x86/xen-x86_64.h). `hypercall_iret_flags` is for
    // those who push them: the way into user mode.
    ".pushsection .text.iret, \"ax\", @progbits",
    ".global hypercall_iret",
    "hypercall_iret:",
    "push 0",
    ".global hypercall_iret_flags",
    "hypercall_iret_flags:",
    "jmp hypercall_page + {iret}",
    ".popsection",
    iret = const __HYPERVISOR_iret * 32,
);

/// # Safety
/// The arguments must be what hypercall `NR` takes: pointers among them must
/// be valid for what the hypercall reads and writes.
#[cfg(target_os = "xen")]
#[inline(always)]
unsafe fn hypercall<const NR: u32>(args: [u64; 4]) -> Result<u64, Errno> {
    // There is one vCPU, so this needs no lock prefix. If the watchdog's upcall interrupts
    // between load and store, its own hypercalls are not counted.
    let count = const { &COUNTS[NR as usize] };
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let raw: i64;
    // SAFETY: the stub follows the ABI above and touches no other register.
    // The call pushes a return address, so the stack must be declared as used.
    unsafe {
        core::arch::asm!(
            "call hypercall_page + {offset}",
            offset = const NR * 32,
            out("rax") raw,
            inlateout("rdi") args[0] => _,
            inlateout("rsi") args[1] => _,
            inlateout("rdx") args[2] => _,
            inlateout("r10") args[3] => _,
            out("rcx") _,
            out("r8") _,
            out("r9") _,
            out("r11") _,
        );
    }
    Errno::check(raw)
}

/// # Safety
/// As on Xen.
#[cfg(not(target_os = "xen"))]
unsafe fn hypercall<const NR: u32>(args: [u64; 4]) -> Result<u64, Errno> {
    // SAFETY: passed on.
    Errno::check(unsafe { crate::fake::hypercall(NR, args) })
}

/// Returns the entry of machine frame `mfn` in the machine-to-physical table, which Xen maps
/// read-only into every 64-bit PV guest at `MACH2PHYS_VIRT_START`
/// (`public/arch-x86/xen-x86_64.h`). The table has holes where the machine has no memory, so
/// pass only frames that Xen or the domain builder named.
#[cfg(target_os = "xen")]
pub(crate) fn mach2phys(mfn: u64) -> u64 {
    const MACH2PHYS: *const u64 = 0xFFFF_8000_0000_0000 as *const u64;
    // SAFETY: `memory::mfn_to_pfn` bounds mfn, so this stays in Xen's range.
    let entry = unsafe { MACH2PHYS.add(mfn as usize) };
    // SAFETY: mapped for all memory there is; Xen may change it, hence volatile.
    unsafe { entry.read_volatile() }
}

/// Returns `mfn`: in the fake, machine and pseudo-physical frame numbers are equal.
#[cfg(not(target_os = "xen"))]
pub(crate) fn mach2phys(mfn: u64) -> u64 {
    mfn
}

/// Returns the machine frame of this domain's page at `address`.
#[cfg(target_os = "xen")]
pub(crate) fn virt_to_mfn(address: usize) -> u64 {
    crate::domain().frames.frame(address)
}

/// Returns the machine frame of the page at `address`. The fake assigns the numbers.
#[cfg(not(target_os = "xen"))]
pub(crate) fn virt_to_mfn(address: usize) -> u64 {
    crate::fake::virt_to_mfn(address)
}

/// Maps a frame that Xen allocated for this domain at the address of the page that `page`
/// returns, permanently. Returns `None` if there is no such page or Xen refuses.
///
/// # Safety
/// The caller owns the page, and nothing uses it.
#[cfg(target_os = "xen")]
pub(crate) unsafe fn map_frame(
    mfn: u64,
    page: impl FnOnce() -> Option<NonNull<u8>>,
) -> Option<NonNull<u8>> {
    use crate::public::mmu::{
        PTE_ACCESSED, PTE_DIRTY, PTE_NO_EXECUTE, PTE_PRESENT, PTE_WRITE, UVMF_INVLPG,
    };
    const DATA: u64 = PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_NO_EXECUTE;
    let address = page()?;
    let entry = (mfn << crate::public::PAGE_SHIFT) | DATA;
    let args = [address.as_ptr() as u64, entry, UVMF_INVLPG, 0];
    // SAFETY: the hypercall reads no memory; nothing uses what was mapped there, by contract.
    unsafe { hypercall::<__HYPERVISOR_update_va_mapping>(args) }.ok()?;
    Some(address)
}

/// Returns the address of frame `mfn`: the fake's frames are mapped already.
///
/// # Safety
/// As above.
#[cfg(not(target_os = "xen"))]
pub(crate) unsafe fn map_frame(
    mfn: u64,
    _: impl FnOnce() -> Option<NonNull<u8>>,
) -> Option<NonNull<u8>> {
    crate::fake::map_frame(mfn)
}

/// Unmaps the page at `address`.
///
/// # Safety
/// Nothing accesses it until something is mapped there.
#[cfg(target_os = "xen")]
pub(crate) unsafe fn unmap_frame(address: NonNull<u8>) {
    use crate::public::mmu::UVMF_INVLPG;
    let args = [address.as_ptr() as u64, 0, UVMF_INVLPG, 0];
    // Xen refuses no entry of 0.
    // SAFETY: the hypercall reads no memory; nothing uses what was mapped there, by contract.
    let _ = unsafe { hypercall::<__HYPERVISOR_update_va_mapping>(args) };
}

/// Does nothing: the fake's frames stay mapped.
///
/// # Safety
/// As above.
#[cfg(not(target_os = "xen"))]
pub(crate) unsafe fn unmap_frame(_: NonNull<u8>) {}

/// Does nothing: only the fake has to know that a page goes back to the allocator.
#[cfg(target_os = "xen")]
pub(crate) fn page_freed(_: usize) {}

/// Tells the fake that the page at `address` goes back to the allocator. It panics if the page
/// is still granted.
#[cfg(not(target_os = "xen"))]
pub(crate) fn page_freed(address: usize) {
    crate::fake::page_freed(address);
}

/// Copies `length` bytes. Unlike with `memcpy`, a peer may write to either side meanwhile: the
/// result is then some mixture of old and new bytes.
///
/// # Safety
/// `from` is mapped and `to` is mapped and writable for `length` bytes; they do
/// not overlap.
#[cfg(target_os = "xen")]
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: valid and disjoint, by contract. The compiler does not look into the assembly,
    // so it assumes nothing about the bytes.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) length % 8,
            inout("rcx") length / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies as on Xen, byte by byte.
///
/// # Safety
/// As on Xen.
#[cfg(not(target_os = "xen"))]
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    for i in 0..length {
        // SAFETY: in bounds, by contract.
        let from = unsafe { from.add(i) };
        // SAFETY: as above.
        let to = unsafe { to.add(i) };
        // SAFETY: mapped, by contract.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: as above.
        unsafe { to.write_volatile(byte) };
    }
}

/// Reads the processor's time stamp counter, in ticks. Xen may emulate it (`tsc_mode` of the
/// domain's configuration).
#[cfg(target_os = "xen")]
#[must_use]
pub fn rdtsc() -> u64 {
    // SAFETY: every x86-64 processor has it, and Xen lets PV guests read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads the fake's time stamp counter, in ticks.
#[cfg(not(target_os = "xen"))]
#[must_use]
pub fn rdtsc() -> u64 {
    crate::fake::rdtsc()
}

/// Returns the address of `value`, as a hypercall takes it.
fn address<T>(value: &mut T) -> u64 {
    from_mut(value) as u64
}
