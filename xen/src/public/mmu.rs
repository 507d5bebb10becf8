//! `public/xen.h`, the part on page tables: what x86-64 PV guests write into
//! them, and how they ask Xen to do it.

/// The entry maps something.
pub const PTE_PRESENT: u64 = 1 << 0;
/// What it maps may be written.
pub const PTE_WRITE: u64 = 1 << 1;
/// What it maps may be used in ring 3, which is where a PV guest's kernel runs.
pub const PTE_USER: u64 = 1 << 2;
/// Set by the processor on access; preset, it spares the processor that.
pub const PTE_ACCESSED: u64 = 1 << 5;
/// Set by the processor on writing; preset, it spares the processor that.
pub const PTE_DIRTY: u64 = 1 << 6;
/// What it maps may not be executed.
pub const PTE_NO_EXECUTE: u64 = 1 << 63;
/// The bits that hold the machine address.
pub const PTE_ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// `MMU_NORMAL_PT_UPDATE`: in the low bits of [`MmuUpdate::ptr`], "check and write".
pub const MMU_NORMAL_PT_UPDATE: u64 = 0;

/// `UVMF_INVLPG`: flush the TLB's entry of that page on this CPU.
pub const UVMF_INVLPG: u64 = 2;

/// `DOMID_SELF`: the calling domain.
pub const DOMID_SELF: u64 = 0x7FF0;

/// `struct mmu_update`: one entry of a page table to be written.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmuUpdate {
    /// Machine address of the entry; the command in its two low bits.
    pub ptr: u64,
    /// The new content.
    pub val: u64,
}

/// `MMUEXT_TLB_FLUSH_LOCAL`: forget every translation on this CPU.
pub const MMUEXT_TLB_FLUSH_LOCAL: u32 = 6;

/// `struct mmuext_op`: an operation on page tables as a whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MmuextOp {
    /// One of `MMUEXT_*`.
    pub cmd: u32,
    /// A machine frame or an address, as the command needs.
    pub arg1: u64,
    /// A number or a pointer, as the command needs.
    pub arg2: u64,
}

/// `struct trap_info` (`public/arch-x86/xen.h`): what to do on one exception.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TrapInfo {
    /// The exception's number.
    pub vector: u8,
    /// Bits 0 and 1: the highest ring that may raise it by an instruction;
    /// bit 2: mask events at its entry.
    pub flags: u8,
    /// Code selector of the handler.
    pub cs: u16,
    /// Address of the handler; 0 ends the table.
    pub address: u64,
}

/// `FLAT_KERNEL_CS64`: the code selector of a 64-bit PV guest's kernel.
pub const FLAT_KERNEL_CS: u16 = 0xE033;
