//! `public/xen.h`, page tables and exceptions of x86-64 PV guests.

/// Bit of a page table entry: the entry is valid.
pub const PTE_PRESENT: u64 = 1 << 0;
/// Bit of a page table entry: allows writing.
pub const PTE_WRITE: u64 = 1 << 1;
/// Bit of a page table entry: allows access in ring 3, in which the kernel of a PV guest runs.
pub const PTE_USER: u64 = 1 << 2;
/// Bit of a page table entry: accessed. The processor sets it; presetting it saves that.
pub const PTE_ACCESSED: u64 = 1 << 5;
/// Bit of a page table entry: written to. The processor sets it; presetting it saves that.
pub const PTE_DIRTY: u64 = 1 << 6;
/// Bit of a page table entry: the translation stays in the TLB when the tables change.
pub const PTE_GLOBAL: u64 = 1 << 8;
/// Bit of a page table entry: forbids execution.
pub const PTE_NO_EXECUTE: u64 = 1 << 63;
/// Bits of a page table entry: the machine address.
pub const PTE_ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// `MMU_NORMAL_PT_UPDATE`, in the low bits of [`MmuUpdate::ptr`]: check the entry and write it.
pub const MMU_NORMAL_PT_UPDATE: u64 = 0;

/// `UVMF_INVLPG`: flush the page's TLB entry on this CPU.
pub const UVMF_INVLPG: u64 = 2;

/// `DOMID_SELF`: the calling domain.
pub const DOMID_SELF: u64 = 0x7FF0;

/// `struct mmu_update`: a write of one page table entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmuUpdate {
    /// Machine address of the entry; the command in its two low bits.
    pub ptr: u64,
    /// The new entry.
    pub val: u64,
}

/// `MMUEXT_PIN_L4_TABLE`: check a level-4 table and all below it, and keep it checked.
pub const MMUEXT_PIN_L4_TABLE: u32 = 3;
/// `MMUEXT_UNPIN_TABLE`: let a table be memory again, once nothing uses it.
pub const MMUEXT_UNPIN_TABLE: u32 = 4;
/// `MMUEXT_NEW_USER_BASEPTR`: set the level-4 table of user mode.
pub const MMUEXT_NEW_USER_BASEPTR: u32 = 15;

/// `MMUEXT_TLB_FLUSH_LOCAL`: flush the TLB of this CPU.
pub const MMUEXT_TLB_FLUSH_LOCAL: u32 = 6;

/// `struct mmuext_op`: an extended operation on page tables.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MmuextOp {
    /// One of `MMUEXT_*`.
    pub cmd: u32,
    /// A machine frame or an address, depending on the command.
    pub arg1: u64,
    /// A number or a pointer, depending on the command.
    pub arg2: u64,
}

/// `struct trap_info` (`public/arch-x86/xen.h`): the handler of one exception.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TrapInfo {
    /// Vector of the exception.
    pub vector: u8,
    /// Bits 0 and 1: the least privileged ring that may raise it by an `int` instruction. Bit 2:
    /// mask events on entry.
    pub flags: u8,
    /// Code selector of the handler.
    pub cs: u16,
    /// Address of the handler; 0 ends the table.
    pub address: u64,
}

/// `FLAT_KERNEL_CS64`: the code selector of a 64-bit PV guest's kernel.
pub const FLAT_KERNEL_CS: u16 = 0xE033;
