//! The seam between a guest and its hypervisor: one function per hypercall,
//! named by the ABI.
//!
//! On Xen a hypercall is a call into the page that the domain builder filled
//! (`XEN_ELFNOTE_HYPERCALL_PAGE`): number * 32 is the entry, arguments go in
//! rdi, rsi, rdx, r10 and r8, the result comes back in rax, and rcx, r11 and
//! the argument registers may change (`public/arch-x86/xen-x86_64.h`).
//! Everywhere else it is a call into `fake`, which reads the same
//! numbers and the same structures.

use crate::evtchn::PortNumber;
use crate::public::callback::{CALLBACKOP_REGISTER, CALLBACKTYPE_EVENT, CallbackRegister};
use crate::public::grant_table::{
    GNTST_OKAY, GNTTABOP_QUERY_SIZE, GNTTABOP_SETUP_TABLE, QuerySize, SetupTable,
};
use crate::public::mmu::{DOMID_SELF, MMUEXT_TLB_FLUSH_LOCAL, MmuUpdate, MmuextOp, TrapInfo};
use crate::public::vcpu::{
    VCPUOP_GET_RUNSTATE_INFO, VCPUOP_SET_SINGLESHOT_TIMER, VCPUOP_STOP_PERIODIC_TIMER,
    VcpuRunstateInfo, VcpuSetSingleshotTimer,
};
use crate::public::{
    CONSOLEIO_write, EVTCHNOP_alloc_unbound, EVTCHNOP_bind_virq, EVTCHNOP_close, EVTCHNOP_send,
    EVTCHNOP_status, SCHEDOP_poll, SCHEDOP_shutdown, SCHEDOP_yield, evtchn_alloc_unbound,
    evtchn_bind_virq, evtchn_close, evtchn_send, evtchn_status, sched_poll, sched_shutdown,
};
use crate::{DomId, Errno};
use core::ptr::NonNull;
use core::ptr::from_mut;
use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(target_os = "xen")]
use xen_sys::__HYPERVISOR_iret;
use xen_sys::{
    __HYPERVISOR_callback_op, __HYPERVISOR_console_io, __HYPERVISOR_event_channel_op,
    __HYPERVISOR_grant_table_op, __HYPERVISOR_mmu_update, __HYPERVISOR_mmuext_op,
    __HYPERVISOR_sched_op, __HYPERVISOR_set_trap_table, __HYPERVISOR_update_va_mapping,
    __HYPERVISOR_vcpu_op, EVTCHNSTAT_interdomain, evtchn_status__bindgen_ty_1,
};

/// Hypercalls so far, by their numbers.
static COUNTS: [AtomicU64; 40] = [const { AtomicU64::new(0) }; 40];

/// How many hypercalls this domain made so far.
#[must_use]
pub fn count() -> u64 {
    COUNTS.iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

/// How many of them were of the kinds that a running device makes.
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

/// Hypercalls by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// `event_channel_op`: notifications, once ports are open.
    pub event_channel: u64,
    /// `grant_table_op`.
    pub grant_table: u64,
    /// `sched_op`: waits.
    pub sched: u64,
}

#[cfg(target_os = "xen")]
core::arch::global_asm!(
    // Xen writes the whole page before the guest runs, so the file holds none
    // of it; it is executable because link.ld ends the text segment with it.
    ".pushsection .hypercall_page, \"ax\", @nobits",
    ".balign 4096",
    ".global hypercall_page",
    "hypercall_page: .skip 4096",
    ".popsection",
    // Returns from an event: jumped to with everything restored but what Xen
    // pushed from rip on. The entry of `iret` pushes rcx, r11 and rax itself;
    // the 0 are the flags of `iret_context` (public/arch-x86/xen-x86_64.h).
    ".pushsection .text.iret, \"ax\", @progbits",
    ".global hypercall_iret",
    "hypercall_iret:",
    "push 0",
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
    // There is one vCPU, so this needs no lock prefix. The watchdog may come
    // between the two and make calls; then one of its own is not counted.
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
    // SAFETY: the caller's promise is passed on.
    Errno::check(unsafe { crate::fake::hypercall(NR, args) })
}

/// The entry of machine frame `mfn` in the machine-to-physical table, which Xen
/// maps read-only into every 64-bit PV guest at `MACH2PHYS_VIRT_START`
/// (`public/arch-x86/xen-x86_64.h`). It has holes where the machine has no
/// memory, so only a frame that Xen or the domain builder named may be asked for.
#[cfg(target_os = "xen")]
pub(crate) fn mach2phys(mfn: u64) -> u64 {
    const MACH2PHYS: *const u64 = 0xFFFF_8000_0000_0000 as *const u64;
    // SAFETY: `memory::mfn_to_pfn` bounds mfn, so this stays in Xen's range.
    let entry = unsafe { MACH2PHYS.add(mfn as usize) };
    // SAFETY: mapped for all memory there is; Xen may change it, hence volatile.
    unsafe { entry.read_volatile() }
}

/// On the fake, frames have the same number in both worlds.
#[cfg(not(target_os = "xen"))]
pub(crate) fn mach2phys(mfn: u64) -> u64 {
    mfn
}

/// The machine frame behind the page of ours at `address`.
#[cfg(target_os = "xen")]
pub(crate) fn virt_to_mfn(address: usize) -> u64 {
    crate::domain().frames.frame(address)
}

/// The fake numbers pages itself.
#[cfg(not(target_os = "xen"))]
pub(crate) fn virt_to_mfn(address: usize) -> u64 {
    crate::fake::virt_to_mfn(address)
}

/// Maps a frame that Xen made for this domain in place of the page that `page` gives, for
/// good. `None` without such a page, or when Xen refuses.
///
/// # Safety
/// The page is the caller's, and nobody uses it.
#[cfg(target_os = "xen")]
pub(crate) unsafe fn map_frame(
    mfn: u64,
    page: impl FnOnce() -> Option<NonNull<u8>>,
) -> Option<NonNull<u8>> {
    use crate::public::mmu::{
        PTE_ACCESSED, PTE_DIRTY, PTE_NO_EXECUTE, PTE_PRESENT, PTE_WRITE, UVMF_INVLPG,
    };
    const DATA: u64 = PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_NO_EXECUTE;
    let place = page()?;
    let entry = (mfn << crate::public::PAGE_SHIFT) | DATA;
    // SAFETY: the caller's promise.
    unsafe { update_va_mapping(place.as_ptr() as u64, entry, UVMF_INVLPG) }.ok()?;
    Some(place)
}

/// The fake's frames are mapped already.
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

/// Tells the fake that the page at `address` goes back to the allocator.
#[cfg(target_os = "xen")]
pub(crate) fn page_freed(_: usize) {}

/// The fake makes sure that nobody else uses it any more.
#[cfg(not(target_os = "xen"))]
pub(crate) fn page_freed(address: usize) {
    crate::fake::page_freed(address);
}

/// Copies `length` bytes. Unlike `memcpy`, either side may change meanwhile by
/// somebody else's hand: what arrives is some mixture of what was there.
///
/// # Safety
/// `from` is mapped and `to` is mapped and writable for `length` bytes; they do
/// not overlap.
#[cfg(target_os = "xen")]
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: the caller's promise. To the compiler this is an operation on
    // memory that it knows nothing of, so it assumes nothing of the bytes.
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

/// As on Xen, byte by byte.
///
/// # Safety
/// As on Xen.
#[cfg(not(target_os = "xen"))]
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    for i in 0..length {
        // SAFETY: inside, by the caller's promise.
        let from = unsafe { from.add(i) };
        // SAFETY: as above.
        let to = unsafe { to.add(i) };
        // SAFETY: mapped, by the caller's promise.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: as above.
        unsafe { to.write_volatile(byte) };
    }
}

/// The processor's time stamp counter, which Xen may emulate.
#[cfg(target_os = "xen")]
#[must_use]
pub fn rdtsc() -> u64 {
    // SAFETY: every x86-64 processor has it, and Xen lets PV guests read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The fake's time stamp counter.
#[cfg(not(target_os = "xen"))]
#[must_use]
pub fn rdtsc() -> u64 {
    crate::fake::rdtsc()
}

fn address<T>(value: &mut T) -> u64 {
    from_mut(value) as u64
}

/// `SCHEDOP_yield`: lets other vCPUs run first.
pub fn sched_op_yield() {
    // SAFETY: takes no argument and touches no memory.
    let result = unsafe { hypercall::<__HYPERVISOR_sched_op>([u64::from(SCHEDOP_yield), 0, 0, 0]) };
    debug_assert!(result.is_ok());
}

/// `SCHEDOP_poll`: waits until one of `ports` is pending, masked or not, or
/// until `deadline` (system time in ns; 0 waits for ever).
///
/// # Errors
/// `EINVAL` for more than 128 ports or a port that does not exist.
pub fn sched_op_poll(ports: &mut [PortNumber], deadline: u64) -> Result<(), Errno> {
    let mut arg = sched_poll {
        ports: ports.as_mut_ptr().cast(),
        nr_ports: ports.len() as u32,
        timeout: deadline,
    };
    // SAFETY: Xen reads `arg` and the `nr_ports` ports behind it; both outlive the call.
    unsafe {
        hypercall::<__HYPERVISOR_sched_op>([u64::from(SCHEDOP_poll), address(&mut arg), 0, 0])
    }
    .map(drop)
}

/// `SCHEDOP_shutdown`: ends this domain for one of the `SHUTDOWN_*` reasons.
pub fn sched_op_shutdown(reason: u32) -> ! {
    let mut arg = sched_shutdown { reason };
    loop {
        // SAFETY: Xen reads `arg`, which outlives the call.
        let _ = unsafe {
            hypercall::<__HYPERVISOR_sched_op>([
                u64::from(SCHEDOP_shutdown),
                address(&mut arg),
                0,
                0,
            ])
        };
    }
}

/// `EVTCHNOP_close`: gives `port` back.
///
/// # Errors
/// `EINVAL` for a port that is not open.
pub fn event_channel_op_close(port: PortNumber) -> Result<(), Errno> {
    let mut arg = evtchn_close { port: port.0 };
    // SAFETY: Xen reads `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_close),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(drop)
}

/// `EVTCHNOP_status`: whether another domain holds the other end of `port`.
///
/// # Errors
/// `EINVAL` for a number that is no port.
pub fn event_channel_op_status(port: PortNumber) -> Result<bool, Errno> {
    let mut arg = evtchn_status {
        dom: DomId::SELF.0,
        port: port.0,
        status: 0,
        vcpu: 0,
        u: evtchn_status__bindgen_ty_1 { pirq: 0 },
    };
    // SAFETY: Xen reads and writes `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_status),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(|_| arg.status == EVTCHNSTAT_interdomain)
}

/// `EVTCHNOP_send`: makes `port` pending at its other end.
///
/// # Errors
/// `EINVAL` for a port that cannot be sent on.
pub fn event_channel_op_send(port: PortNumber) -> Result<(), Errno> {
    let mut arg = evtchn_send { port: port.0 };
    // SAFETY: Xen reads `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_send),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(drop)
}

/// `EVTCHNOP_alloc_unbound`: makes a port that domain `remote` may bind to.
///
/// # Errors
/// `ENOSPC` when the domain has all the ports it may have.
pub fn event_channel_op_alloc_unbound(remote: DomId) -> Result<PortNumber, Errno> {
    let mut arg = evtchn_alloc_unbound { dom: DomId::SELF.0, remote_dom: remote.0, port: 0 };
    // SAFETY: Xen reads and writes `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_alloc_unbound),
            address(&mut arg),
            0,
            0,
        ])
    }?;
    Ok(PortNumber(arg.port))
}

/// `GNTTABOP_query_size`: how many frames this domain's grant table has, and
/// how many it may have.
///
/// # Errors
/// `EINVAL` when Xen answers with another status than `GNTST_okay`.
pub fn grant_table_op_query_size() -> Result<(u32, u32), Errno> {
    let mut arg = QuerySize { dom: DomId::SELF.0, ..QuerySize::default() };
    // SAFETY: Xen reads and writes one structure, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_grant_table_op>([
            u64::from(GNTTABOP_QUERY_SIZE),
            address(&mut arg),
            1,
            0,
        ])
    }?;
    if arg.status == GNTST_OKAY {
        Ok((arg.nr_frames, arg.max_nr_frames))
    } else {
        Err(Errno::EINVAL)
    }
}

/// `GNTTABOP_setup_table`: makes this domain's grant table as many frames long
/// as `frames`, if it is shorter, and writes their machine frame numbers there.
///
/// # Errors
/// `ENOSPC` when it may not be as long.
pub fn grant_table_op_setup_table(frames: &mut [u64]) -> Result<(), Errno> {
    let mut arg = SetupTable {
        dom: DomId::SELF.0,
        nr_frames: frames.len() as u32,
        status: 0,
        frame_list: frames.as_mut_ptr(),
    };
    // SAFETY: Xen reads and writes one structure and as many numbers as `frames` has.
    unsafe {
        hypercall::<__HYPERVISOR_grant_table_op>([
            u64::from(GNTTABOP_SETUP_TABLE),
            address(&mut arg),
            1,
            0,
        ])
    }?;
    if arg.status == GNTST_OKAY { Ok(()) } else { Err(Errno::ENOSPC) }
}

/// `CONSOLEIO_write`: prints on the hypervisor's own console, which a guest
/// may do when Xen was built or started to allow it. For last words only.
///
/// # Errors
/// `EPERM` where it is not allowed.
pub fn console_io_write(text: &[u8]) -> Result<(), Errno> {
    // SAFETY: Xen reads `text.len()` bytes behind the pointer.
    unsafe {
        hypercall::<__HYPERVISOR_console_io>([
            u64::from(CONSOLEIO_write),
            text.len() as u64,
            text.as_ptr() as u64,
            0,
        ])
    }
    .map(drop)
}

/// `HYPERVISOR_update_va_mapping`: sets the page table entry of one page.
///
/// # Safety
/// The caller owns the virtual page, and nothing refers to what it mapped before.
///
/// # Errors
/// `EINVAL` or `EPERM` when Xen refuses the entry.
pub unsafe fn update_va_mapping(virt: u64, entry: u64, flags: u64) -> Result<(), Errno> {
    // SAFETY: the hypercall reads no memory; what it changes is the caller's promise.
    unsafe { hypercall::<__HYPERVISOR_update_va_mapping>([virt, entry, flags, 0]) }.map(drop)
}

/// `HYPERVISOR_mmu_update`: writes entries of page tables, in order.
///
/// # Safety
/// As [`update_va_mapping`], for every page that an entry stands for.
///
/// # Errors
/// Xen's reason to refuse an entry; those before it were written.
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

/// `MMUEXT_TLB_FLUSH_LOCAL`: makes changes of page tables count at once.
///
/// # Errors
/// Xen's reason to refuse.
pub fn mmuext_op_tlb_flush_local() -> Result<(), Errno> {
    let mut op = MmuextOp { cmd: MMUEXT_TLB_FLUSH_LOCAL, ..MmuextOp::default() };
    // SAFETY: Xen reads one operation, which outlives the call.
    unsafe { hypercall::<__HYPERVISOR_mmuext_op>([address(&mut op), 1, 0, DOMID_SELF]) }.map(drop)
}

/// `HYPERVISOR_set_trap_table`: what to run on exceptions.
///
/// # Safety
/// The last entry's address is 0; the others' are handlers that take the
/// frame that Xen pushes.
///
/// # Errors
/// `EPERM` for a selector that a guest may not use.
pub unsafe fn set_trap_table(table: &[TrapInfo]) -> Result<(), Errno> {
    // SAFETY: Xen reads the table up to its end mark.
    unsafe { hypercall::<__HYPERVISOR_set_trap_table>([table.as_ptr() as u64, 0, 0, 0]) }.map(drop)
}

/// `VCPUOP_get_runstate_info` of vCPU `vcpu`.
///
/// # Errors
/// `ENOENT` when there is no such vCPU.
pub fn vcpu_op_get_runstate_info(vcpu: u32) -> Result<VcpuRunstateInfo, Errno> {
    let mut info = VcpuRunstateInfo::default();
    // SAFETY: Xen writes one `vcpu_runstate_info`, whose layout `info` has.
    unsafe {
        hypercall::<__HYPERVISOR_vcpu_op>([
            u64::from(VCPUOP_GET_RUNSTATE_INFO),
            u64::from(vcpu),
            address(&mut info),
            0,
        ])
    }
    .map(|_| info)
}

/// `VCPUOP_stop_periodic_timer` of vCPU `vcpu`.
///
/// # Errors
/// `ENOENT` when there is no such vCPU.
pub fn vcpu_op_stop_periodic_timer(vcpu: u32) -> Result<(), Errno> {
    // SAFETY: takes no argument and touches no memory.
    unsafe {
        hypercall::<__HYPERVISOR_vcpu_op>([
            u64::from(VCPUOP_STOP_PERIODIC_TIMER),
            u64::from(vcpu),
            0,
            0,
        ])
    }
    .map(drop)
}

/// `VCPUOP_set_singleshot_timer` of vCPU `vcpu`: raises `VIRQ_TIMER` at
/// `deadline` (system time in ns), whether the domain is paused or not.
///
/// # Errors
/// `EINVAL` for another vCPU than the caller's.
pub fn vcpu_op_set_singleshot_timer(vcpu: u32, deadline: u64) -> Result<(), Errno> {
    let mut arg = VcpuSetSingleshotTimer { timeout_abs_ns: deadline, flags: 0 };
    // SAFETY: Xen reads `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_vcpu_op>([
            u64::from(VCPUOP_SET_SINGLESHOT_TIMER),
            u64::from(vcpu),
            address(&mut arg),
            0,
        ])
    }
    .map(drop)
}

/// `EVTCHNOP_bind_virq`: makes a port that virtual interrupt `virq` of vCPU
/// `vcpu` is raised on.
///
/// # Errors
/// `EEXIST` when it is bound, `ENOSPC` when the domain has all the ports it may have.
pub fn event_channel_op_bind_virq(virq: u32, vcpu: u32) -> Result<PortNumber, Errno> {
    let mut arg = evtchn_bind_virq { virq, vcpu, port: 0 };
    // SAFETY: Xen reads and writes `arg`, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_event_channel_op>([
            u64::from(EVTCHNOP_bind_virq),
            address(&mut arg),
            0,
            0,
        ])
    }?;
    Ok(PortNumber(arg.port))
}

/// `CALLBACKOP_register` of `CALLBACKTYPE_event`: sets the address at which Xen
/// enters the guest when an event is pending and events are not masked.
///
/// # Safety
/// There is code for it that saves and restores what it interrupts, and returns
/// by `hypercall_iret`, if it does.
///
/// # Errors
/// `EINVAL` for an address that is none.
pub unsafe fn callback_op_register_event(entry: u64) -> Result<(), Errno> {
    let mut arg = CallbackRegister { kind: CALLBACKTYPE_EVENT, flags: 0, address: entry };
    // SAFETY: Xen reads `arg`, which outlives the call; the entry is the caller's promise.
    unsafe {
        hypercall::<__HYPERVISOR_callback_op>([
            u64::from(CALLBACKOP_REGISTER),
            address(&mut arg),
            0,
            0,
        ])
    }
    .map(drop)
}
