//! One page table of a program, and the changes that wait for Xen.

use super::frame::Frame;
use crate::machine::program::{Access, Error};
use ::xen::Errno;
use ::xen::hypercall::{mmu_update, update_va_mapping};
use ::xen::memory::Mfn;
use ::xen::public::mmu::{
    MMU_NORMAL_PT_UPDATE, MmuUpdate, PTE_ACCESSED, PTE_ADDRESS, PTE_DIRTY, PTE_NO_EXECUTE,
    PTE_PRESENT, PTE_WRITE, UVMF_INVLPG,
};
use core::mem::forget;

/// What all entries have.
const READ: u64 = PTE_PRESENT | PTE_ACCESSED;

/// What an entry for a table has.
const TABLE: u64 = READ | PTE_WRITE | PTE_DIRTY;

/// Returns the address at which this kernel has a page.
fn address(frame: &Frame) -> u64 {
    frame.page().as_ptr() as u64
}

/// Replaces the address of a page in `word` by its machine address. What has none is 0.
fn to_machine(word: u64) -> u64 {
    if word == 0 {
        return 0;
    }
    let frame = ::xen::domain().frames.frame((word & PTE_ADDRESS) as usize);
    frame << 12 | word & !PTE_ADDRESS
}

/// Returns the entry for a page, with the address at which this kernel has it; 0 without any
/// access.
///
/// The bit that allows access from user mode is not set in it. Xen sets it in any case. Where the
/// guest has set it, Xen makes the page global as well, and then the processor keeps a program's
/// translation in kernel mode, where this kernel is at such addresses (`adjust_guest_l1e` in
/// `xen/arch/x86/include/asm/pv/mm.h`).
pub(super) fn page_entry(frame: &Frame, access: Access) -> u64 {
    if access.is_empty() {
        return 0;
    }
    let write = if access.contains(Access::WRITE) { PTE_WRITE | PTE_DIRTY } else { 0 };
    let execute = if access.contains(Access::EXECUTE) { 0 } else { PTE_NO_EXECUTE };
    address(frame) | READ | write | execute
}

/// Owns a page that is a table. Xen alone writes it.
#[derive(Debug)]
pub(super) struct Table(Frame);

impl Table {
    /// Makes an empty table.
    pub(super) fn new() -> Result<Self, Error> {
        let table = Self(Frame::new().ok_or(Error::Memory)?);
        table.set_writable(false).map_err(refused)?;
        Ok(table)
    }

    /// Changes whether this kernel may write the page, which Xen asks of a table.
    fn set_writable(&self, writable: bool) -> Result<(), Errno> {
        let write = if writable { PTE_WRITE | PTE_DIRTY } else { 0 };
        let entry = to_machine(address(&self.0) | READ | PTE_NO_EXECUTE | write);
        // SAFETY: the same page stays mapped there, and no reference is into it.
        unsafe { update_va_mapping(self.0.page().as_ptr() as u64, entry, UVMF_INVLPG) }
    }

    /// Returns what tells it from other tables while it is not freed; not 0.
    pub(super) fn key(&self) -> usize {
        self.0.key()
    }

    /// Returns the machine frame, which is another one after a suspension.
    pub(super) fn mfn(&self) -> Mfn {
        Mfn(::xen::domain().frames.frame(address(&self.0) as usize))
    }

    /// Returns the entry for this table, with the address at which this kernel has it.
    pub(super) fn entry(&self) -> u64 {
        address(&self.0) | TABLE
    }

    /// Returns the place of entry `index`, for a [`Batch`].
    pub(super) fn place(&self, index: usize) -> u64 {
        address(&self.0) | (index as u64) << 3 | MMU_NORMAL_PT_UPDATE
    }

    /// Reads entry `index` as it is now.
    pub(super) fn read(&self, index: usize) -> u64 {
        let mut entry = [0; 8];
        self.0.read(index % 512 * 8, &mut entry);
        u64::from_le_bytes(entry)
    }

    /// Lets the page be memory again. Nothing uses the table any more, and the TLB was flushed.
    pub(super) fn free(self) {
        if self.set_writable(true).is_err() {
            // Xen still takes it for a table.
            forget(self.0);
        }
    }
}

/// Converts what Xen says.
pub(super) fn refused(errno: Errno) -> Error {
    Error::Refused(errno.0.into())
}

/// Collects changes of entries, for one hypercall. Places and entries have this kernel's addresses
/// of pages until then, so that a suspension, after which frames have other numbers, may come in
/// between.
#[derive(Debug, Default)]
pub(super) struct Batch {
    updates: heapless::Vec<MmuUpdate, 64>,
    /// Why Xen refused some. The tables are not what was asked for then.
    failed: Option<Error>,
}

impl Batch {
    /// Adds a change.
    pub(super) fn push(&mut self, ptr: u64, val: u64) {
        if self.updates.is_full() {
            self.flush();
        }
        // There is room.
        let _ = self.updates.push(MmuUpdate { ptr, val });
    }

    /// Whether nothing waits, and nothing has failed.
    pub(super) fn is_settled(&self) -> bool {
        self.updates.is_empty() && self.failed.is_none()
    }

    /// Makes the changes.
    pub(super) fn flush(&mut self) {
        if self.updates.is_empty() {
            return;
        }
        for update in &mut self.updates {
            (update.ptr, update.val) = (to_machine(update.ptr), to_machine(update.val));
        }
        // SAFETY: they change what user mode sees, and map pages of programs alone.
        if let Err(errno) = unsafe { mmu_update(&self.updates) } {
            self.failed = Some(refused(errno));
        }
        self.updates.clear();
    }

    /// Fails if Xen ever refused a change.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }
}
