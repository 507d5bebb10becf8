//! Reads all page tables.

use super::{Paging, READ, frame_of};
use ::xen::hypercall::update_va_mapping;
use ::xen::memory::Mfn;
use ::xen::public::mmu::{PTE_NO_EXECUTE, PTE_PRESENT, UVMF_INVLPG};

impl Paging {
    /// Calls `each` with the address and the entry of every mapped page, in ascending order.
    /// Two hypercalls for each table of ours.
    pub(in crate::machine::xen) fn walk(&self, each: &mut dyn FnMut(usize, u64)) {
        // Entries from 256 on are Xen's own, and the upper half of the address space.
        self.walk_table(self.root, 4, 0, 256, 0, each);
    }

    fn walk_table(
        &self,
        table: Mfn,
        level: u32,
        base: usize,
        entries: usize,
        inherited: u64,
        each: &mut dyn FnMut(usize, u64),
    ) {
        let Some(all) = self.read(table) else { return };
        for (index, entry) in all.into_iter().enumerate().take(entries) {
            if entry & PTE_PRESENT == 0 {
                continue;
            }
            let address = base + (index << (12 + 9 * (level - 1)));
            // An upper entry that forbids execution does so for everything below.
            let inherited = inherited | entry & PTE_NO_EXECUTE;
            if level == 1 {
                each(address, entry | inherited);
            } else {
                self.walk_table(frame_of(entry), level - 1, address, 512, inherited, each);
            }
        }
    }

    /// Reads all entries of any table.
    fn read(&self, table: Mfn) -> Option<[u64; 512]> {
        let mut entries = [0; 512];
        if self.builder_entry(table, 0).is_some() {
            for (index, entry) in entries.iter_mut().enumerate() {
                *entry = self.builder_entry(table, index)?;
            }
            return Some(entries);
        }
        let scratch = self.layout.scratch as u64;
        let entry = table.0 << 12 | READ | PTE_NO_EXECUTE;
        // SAFETY: nothing else uses the scratch page.
        unsafe { update_va_mapping(scratch, entry, UVMF_INVLPG) }.ok()?;
        for (index, entry) in entries.iter_mut().enumerate() {
            // SAFETY: the index is below 512.
            let from = unsafe { (scratch as *const u64).add(index) };
            // SAFETY: mapped above.
            *entry = unsafe { from.read_volatile() };
        }
        // SAFETY: as above.
        unsafe { update_va_mapping(scratch, 0, UVMF_INVLPG) }.ok()?;
        Some(entries)
    }
}
