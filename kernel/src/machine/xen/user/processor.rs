//! What the processor has of programs: whose page tables, whose record, whose segments.

use super::table::Table;
use ::xen::Errno;
use ::xen::hypercall::{mmuext_op_new_user_baseptr, set_segment_base, stack_switch};
use ::xen::memory::Mfn;
use ::xen::public::user::{SEGBASE_FS, SEGBASE_GS_USER};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The [key](Table::key) of the table of level 4 that user mode has, or 0.
static ROOT: AtomicUsize = AtomicUsize::new(0);

/// The end of the record that Xen writes to, or 0 if it or the bases of FS and GS are to be set.
static RECORD: AtomicUsize = AtomicUsize::new(0);

/// The bases of FS and GS that the processor was told.
static FS: AtomicU64 = AtomicU64::new(0);
static GS: AtomicU64 = AtomicU64::new(0);

/// No base, as it is not canonical.
const UNKNOWN: u64 = 1 << 63;

/// Returns whether the table of that key is the one that user mode has.
pub(super) fn has_root(key: usize) -> bool {
    ROOT.load(Ordering::Relaxed) == key
}

/// Makes `root` the table of level 4 of user mode. Xen does not flush the TLB for it.
///
/// # Safety
/// It maps pages of a program alone, and is not freed before [`leave`].
pub(super) unsafe fn set_root(root: &Table) -> Result<(), Errno> {
    // SAFETY: by contract.
    unsafe { mmuext_op_new_user_baseptr(root.mfn()) }?;
    ROOT.store(root.key(), Ordering::Relaxed);
    Ok(())
}

/// Takes a table from user mode, if it has it.
pub(super) fn leave(root: &Table) -> Result<(), Errno> {
    if has_root(root.key()) { leave_all() } else { Ok(()) }
}

/// Takes its tables from user mode, if it has any. In a new domain their frames have other
/// numbers.
pub(super) fn leave_all() -> Result<(), Errno> {
    if !has_root(0) {
        // SAFETY: nothing is mapped then.
        unsafe { mmuext_op_new_user_baseptr(Mfn(0)) }?;
        ROOT.store(0, Ordering::Relaxed);
    }
    Ok(())
}

/// Returns whether the record that ends at `end` is that which Xen writes to.
pub(super) fn has_record(end: usize) -> bool {
    RECORD.load(Ordering::Relaxed) == end
}

/// Lets Xen write to the record that ends at `end`, and takes from the processor what segments
/// another thread loaded.
///
/// # Safety
/// There are a thread's registers below, which nobody refers to while user mode runs, until
/// [`forget_record`].
pub(super) unsafe fn set_record(end: usize) -> Result<(), Errno> {
    // SAFETY: by contract.
    unsafe { stack_switch(end as u64) }?;
    RECORD.store(end, Ordering::Relaxed);
    clear_selectors();
    // A program loads bases of 0 with selectors, and no others.
    for base in [&FS, &GS] {
        if base.load(Ordering::Relaxed) != 0 {
            base.store(UNKNOWN, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Forgets a record that is dropped, as another one may get its place, or whose bases changed.
pub(super) fn forget_record(end: usize) {
    if has_record(end) {
        RECORD.store(0, Ordering::Relaxed);
    }
}

/// Sets the bases of FS and GS that user mode has.
pub(super) fn set_bases(fs: u64, gs: u64) -> Result<(), Errno> {
    for (which, known, base) in [(SEGBASE_FS, &FS, fs), (SEGBASE_GS_USER, &GS, gs)] {
        if known.load(Ordering::Relaxed) != base {
            set_segment_base(which, base)?;
            known.store(base, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Loads null selectors, if there are others.
fn clear_selectors() {
    let all: u64;
    // SAFETY: it reads registers.
    unsafe {
        core::arch::asm!(
            "mov {0:e}, ds",
            "mov {1:e}, es",
            "or {0}, {1}",
            "mov {1:e}, fs",
            "or {0}, {1}",
            "mov {1:e}, gs",
            "or {0}, {1}",
            out(reg) all,
            out(reg) _,
            options(nomem, nostack),
        );
    }
    if all != 0 {
        // SAFETY: this kernel uses none of them, and 64-bit mode does not look at DS and ES.
        unsafe {
            core::arch::asm!(
                "mov ds, {0:e}",
                "mov es, {0:e}",
                "mov fs, {0:e}",
                "mov gs, {0:e}",
                in(reg) 0,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}
