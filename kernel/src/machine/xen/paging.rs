//! Page tables: the image's protection, and memory for the heap.
//!
//! All memory is contiguous in the address space, pseudo-physical page 0 at `virt_base` (see the
//! pictures in ARCHITECTURE.md). The domain builder maps only the beginning of it, and all of that
//! writable and executable. [`Paging::protect`] restricts each page to what it is for, and
//! [`Paging::grow`] maps the rest, 2 MiB at a time and only when the heap needs it, so that boot
//! takes the same time with 1 MiB and with 4 GiB.
//!
//! Where code and data share 2 MiB, each of these pages would have to be restricted. Instead they
//! get a new table with the image's pages only, and the builder's tables are linked a second time
//! at higher addresses, where one bit in each upper entry forbids execution. Memory is used at
//! those addresses from then on.
//!
//! A PV guest can read its page tables but not write them: Xen checks and writes each entry
//! (`mmu_update`), which costs a few hundred instructions. For 512 pages it is cheaper to fill a
//! page of the guest, give up write access to it and have Xen accept it as a table, which `grow`
//! does.

mod suspend;
mod walk;

use ::xen::Errno;
use ::xen::hypercall::{mmu_update, mmuext_op_tlb_flush_local, update_va_mapping};
use ::xen::memory::{Mfn, PAGE_SIZE, mfn_to_pfn};
use ::xen::public::mmu::{
    MMU_NORMAL_PT_UPDATE, MmuUpdate, PTE_ACCESSED, PTE_ADDRESS, PTE_DIRTY, PTE_NO_EXECUTE,
    PTE_PRESENT, PTE_USER, PTE_WRITE, UVMF_INVLPG,
};
use core::ops::Range;

/// Bytes that one level-1 table maps: 512 pages.
const SLOT: usize = 2 << 20;

/// Bytes that one level-2 table maps.
const GIB: usize = 1 << 30;

const PAGE: usize = PAGE_SIZE;

/// The bits of an entry for a readable page.
const READ: u64 = PTE_PRESENT | PTE_ACCESSED;

/// The bits of an entry for a data page.
pub(super) const DATA: u64 = READ | PTE_WRITE | PTE_DIRTY | PTE_NO_EXECUTE;

/// The bits of an entry that points to a table.
const TABLE: u64 = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY;

/// The addresses that the linker assigned.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Of pseudo-physical page 0.
    pub virt_base: usize,
    /// Of the first byte that is not code.
    pub rodata: usize,
    /// Of the first byte that may be written.
    pub data: usize,
    /// Of the page below the stack.
    pub guard: usize,
    /// Of the page at which the shared info page is mapped.
    pub shared_info: usize,
    /// Of the page at which frames are mapped temporarily.
    pub scratch: usize,
    /// Of the first page behind the image.
    pub end: usize,
    /// Of the pages of `start_info` and of the console, which remain mapped there.
    pub kept: [usize; 2],
}

impl Layout {
    /// Returns the pages at whose addresses their own frames are not mapped.
    const fn replaced(&self) -> [usize; 3] {
        [self.guard, self.shared_info, self.scratch]
    }
}

/// The state of memory: what is mapped, and what holds page tables.
#[derive(Debug)]
pub(super) struct Paging {
    layout: Layout,
    /// Offset from `virt_base` at which memory is used, once it is protected.
    shift: usize,
    /// `start_info.mfn_list`: the frame behind each pseudo-physical page.
    mfn_list: *const u64,
    /// The first page that is not mapped yet.
    next: usize,
    /// The first page that holds a page table of ours, or the number of pages.
    limit: usize,
    /// Pages that are free because their addresses are used for something else.
    spare: heapless::Vec<usize, 3>,
    /// The level-4 table.
    root: Mfn,
    /// The level-2 table that `next` is in.
    level2: Mfn,
    /// Address of the first page that the domain builder did not map.
    builder_end: usize,
    /// Number of page tables of ours.
    tables: usize,
}

// SAFETY: the list belongs to the domain and is never moved; there is one thread.
unsafe impl Send for Paging {}

/// Updates that are made by one hypercall.
#[derive(Default)]
struct Batch(heapless::Vec<MmuUpdate, 64>);

impl Batch {
    /// # Safety
    /// As [`mmu_update`], for `update` and those before it.
    unsafe fn push(&mut self, update: MmuUpdate) -> Result<(), Errno> {
        if self.0.is_full() {
            // SAFETY: by contract.
            unsafe { self.flush() }?;
        }
        // There is room: if it was full, it has been flushed.
        let _ = self.0.push(update);
        Ok(())
    }

    /// # Safety
    /// As [`mmu_update`].
    unsafe fn flush(&mut self) -> Result<(), Errno> {
        if !self.0.is_empty() {
            // SAFETY: by contract.
            unsafe { mmu_update(&self.0) }?;
            self.0.clear();
        }
        Ok(())
    }
}

/// Returns the index of `address` in a table of `level` 1 to 4.
const fn index(address: usize, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1))) & 511
}

const fn frame_of(entry: u64) -> Mfn {
    Mfn((entry & PTE_ADDRESS) >> 12)
}

/// Returns whether an entry is valid.
const fn present(entry: u64) -> bool {
    entry & PTE_PRESENT != 0
}

/// Returns the update that writes `val` into entry `index` of `table`.
const fn update(table: Mfn, index: usize, val: u64) -> MmuUpdate {
    MmuUpdate { ptr: table.0 << 12 | (index as u64) << 3 | MMU_NORMAL_PT_UPDATE, val }
}

impl Paging {
    /// Describes the memory that the domain builder left: `pages` in all, those
    /// below `free` (an address) in use, `root` the address of the level-4 table.
    ///
    /// # Safety
    /// The addresses are those of this domain, and `mfn_list` has `pages` entries.
    pub(super) unsafe fn new(
        layout: Layout,
        mfn_list: *const u64,
        pages: usize,
        root: usize,
    ) -> Self {
        let mut paging = Self {
            next: pages,
            limit: pages,
            mfn_list,
            spare: heapless::Vec::new(),
            root: Mfn(0),
            level2: Mfn(0),
            builder_end: layout.virt_base + pages * PAGE,
            tables: 0,
            shift: 0,
            layout,
        };
        paging.root = Mfn(paging.mfn((root - paging.layout.virt_base) / PAGE));
        // The builder maps memory up to a 4 MiB boundary; find it.
        let mut end = paging.layout.virt_base;
        let mut level2 = paging.table(end, 2);
        while end < paging.builder_end
            && level2
                .and_then(|table| paging.builder_entry(table, index(end, 2)))
                .is_some_and(present)
        {
            end = (end + SLOT) & !(SLOT - 1);
            if end.is_multiple_of(GIB) {
                level2 = paging.table(end, 2);
            }
        }
        paging.builder_end = paging.builder_end.min(end);
        paging.next = (paging.builder_end - paging.layout.virt_base) / PAGE;
        // Memory is in one GiB with what follows it, or it is so large that nothing does.
        paging.level2 = paging.table(paging.builder_end - 1, 2).unwrap_or(Mfn(0));
        paging
    }

    /// Returns the machine frame of pseudo-physical page `pfn`.
    fn mfn(&self, pfn: usize) -> u64 {
        // SAFETY: callers stay below the number of pages, which the list has.
        let entry = unsafe { self.mfn_list.add(pfn) };
        // SAFETY: mapped, and written by nobody else.
        unsafe { entry.read() }
    }

    /// Returns the address at which page `pfn` is or would be mapped.
    const fn address(&self, pfn: usize) -> usize {
        self.layout.virt_base + self.shift + pfn * PAGE
    }

    /// Returns the address of `start_info.mfn_list`, which `protect` changes.
    pub(super) const fn mfn_list(&self) -> *const u64 {
        self.mfn_list
    }

    /// Returns the offset from `virt_base` at which memory is used.
    pub(super) const fn shift(&self) -> usize {
        self.shift
    }

    /// Reads entry `index` of a table that the domain builder made.
    fn builder_entry(&self, table: Mfn, index: usize) -> Option<u64> {
        let pfn = usize::try_from(mfn_to_pfn(table)?.0).ok()?;
        let original = self.layout.virt_base + pfn * PAGE;
        if original >= self.builder_end || self.layout.replaced().contains(&original) {
            return None;
        }
        let address = original + self.shift;
        // SAFETY: the builder mapped its tables, read-only, in this range.
        let entry = unsafe { (address as *const u64).add(index) };
        // SAFETY: as above; the processor sets accessed bits, hence volatile.
        Some(unsafe { entry.read_volatile() })
    }

    /// Returns the table of `level` 1 to 3 for `address`.
    fn table(&self, address: usize, level: u32) -> Option<Mfn> {
        let mut table = self.root;
        for above in ((level + 1)..=4).rev() {
            let entry = self.builder_entry(table, index(address, above))?;
            if entry & PTE_PRESENT == 0 {
                return None;
            }
            table = frame_of(entry);
        }
        Some(table)
    }

    /// Protects memory: code can be read and executed, read-only data read, everything else read
    /// and written; the guard page below the stack and the scratch page cannot be accessed. Also
    /// maps the shared info page, whose entry is `shared_info`.
    ///
    /// # Errors
    /// Xen's error, if it refuses an update.
    ///
    /// # Safety
    /// Called once, before anything uses the scratch page and the shared info page. The scratch
    /// page holds zeros.
    pub(super) unsafe fn protect(&mut self, shared_info: u64) -> Result<(), Errno> {
        let Layout { virt_base, data, guard, scratch, .. } = self.layout;
        let first = virt_base & !(SLOT - 1);
        // Memory stays at its addresses if data has a table of its own, or if there is no room
        // in the GiB to link all of the builder's tables twice (from about 256 GiB of memory on).
        let alone = data.is_multiple_of(SLOT);
        let mut shift = self.builder_end.next_multiple_of(SLOT) - first;
        if alone || self.builder_end + shift > GIB {
            shift = 0;
        }
        // Code is in one table, which is replaced; or its pages are restricted one by one.
        let replaces = shift > 0 || (alone && data == first + SLOT);
        let mut table = Mfn(0);
        if replaces {
            // SAFETY: by contract.
            table = unsafe { self.image_table(shared_info) };
        }
        // The new table has what is in its 2 MiB, but for the scratch page, which it is.
        let is_new = |page: usize| shift > 0 && page < first + SLOT;
        for (page, entry) in [(self.layout.shared_info, shared_info), (guard, 0), (scratch, 0)] {
            if page == scratch || !is_new(page) {
                // SAFETY: nothing uses these pages.
                unsafe { update_va_mapping(page as u64, entry, 0) }?;
            }
        }
        let mut batch = Batch::default();
        let mut rest = data.next_multiple_of(SLOT);
        // Constants beyond the table that is replaced are restricted one by one.
        let (start, end) = if replaces { (first + SLOT, data) } else { (virt_base, rest) };
        // SAFETY: no page loses access that it needs.
        unsafe { self.restrict(start..end, 1, 0, &mut batch) }?;
        let builders = if shift > 0 { self.table(virt_base, 1) } else { None };
        if shift > 0 {
            // SAFETY: nothing is mapped beyond what the builder mapped.
            unsafe { self.restrict(first..self.builder_end, 2, shift, &mut batch) }?;
        }
        if replaces {
            rest = first + SLOT;
            let level2 = self.table(first, 2).ok_or(Errno::ENOENT)?;
            let entry = table.0 << 12 | TABLE;
            // SAFETY: it has all pages of the image, and those that remain mapped.
            unsafe { batch.push(update(level2, index(first, 2), entry)) }?;
            self.tables = 1;
        }
        // SAFETY: there is no code in these.
        unsafe { self.restrict(rest..self.builder_end, 2, 0, &mut batch) }?;
        // SAFETY: as above.
        unsafe { batch.flush() }?;
        // Unmap code and constants at the addresses at which memory is used from now on, which
        // costs Xen less than to restrict them. Only now that the new table has them, as a
        // hypercall returns to code.
        for address in (virt_base..data.min(first + SLOT)).step_by(PAGE) {
            let Some(table) = builders else { break };
            // SAFETY: nothing uses them at these addresses.
            unsafe { batch.push(update(table, index(address, 1), 0)) }?;
        }
        // SAFETY: as above.
        unsafe { batch.flush() }?;
        // The TLB still has the old protection of pages that were used.
        mmuext_op_tlb_flush_local()?;
        self.shift = shift;
        self.mfn_list = self.mfn_list.wrapping_byte_add(shift);
        // The scratch page may have become a table.
        for page in [guard, self.layout.shared_info, scratch] {
            // The table of a page beyond is linked twice: who unmaps it where memory is used, unmaps it
            // here as well.
            let is_linked_twice = shift > 0 && !is_new(page);
            let is_table = page == scratch && replaces;
            if !(is_table || is_linked_twice) {
                // There is room for three.
                let _ = self.spare.push((page - virt_base) / PAGE);
            }
        }
        Ok(())
    }

    /// Removes permissions from the entries of the builder's tables of `level` 1 or 2 for
    /// `range`: at level 1, to write to anything but data and to execute anything but code; at
    /// level 2, to execute anything. The result is written to the entries for addresses `shift`
    /// bytes higher.
    ///
    /// # Safety
    /// As [`Batch::push`].
    unsafe fn restrict(
        &self,
        range: Range<usize>,
        level: u32,
        shift: usize,
        batch: &mut Batch,
    ) -> Result<(), Errno> {
        let (step, each) = if level == 1 { (PAGE, SLOT) } else { (SLOT, GIB) };
        let mut table = self.table(range.start, level);
        for address in range.step_by(step) {
            if address.is_multiple_of(each) {
                table = self.table(address, level);
            }
            let table = table.ok_or(Errno::ENOENT)?;
            let entry = self.builder_entry(table, index(address, level)).ok_or(Errno::ENOENT)?;
            let entry = match level {
                1 if address < self.layout.data => entry & !PTE_WRITE | self.no_execute(address),
                _ => entry | PTE_NO_EXECUTE,
            };
            // SAFETY: passed on.
            unsafe { batch.push(update(table, index(address + shift, level), entry)) }?;
        }
        Ok(())
    }

    /// Returns the bit that forbids execution, unless `address` is in code.
    const fn no_execute(&self, address: usize) -> u64 {
        if address < self.layout.rodata { 0 } else { PTE_NO_EXECUTE }
    }

    /// Fills the scratch page as the level-1 table of the 2 MiB in which the image begins, with
    /// the image's pages and those that remain mapped there. Returns its frame.
    ///
    /// # Safety
    /// The page holds zeros, and nothing else uses it.
    unsafe fn image_table(&self, shared_info: u64) -> Mfn {
        let Layout { virt_base, data, guard, scratch, end, kept, .. } = self.layout;
        let first = virt_base & !(SLOT - 1);
        let of = |address: usize| (address - virt_base) / PAGE;
        let kept = kept.into_iter().filter(|page| (virt_base..first + SLOT).contains(page));
        for address in (virt_base..end.min(first + SLOT)).step_by(PAGE).chain(kept) {
            let entry = match self.mfn(of(address)) << 12 {
                _ if address == guard || address == scratch => continue,
                _ if address == self.layout.shared_info => shared_info,
                frame if address < data => frame | READ | self.no_execute(address),
                frame => frame | DATA,
            };
            // SAFETY: the index is below 512.
            let to = unsafe { (scratch as *mut u64).add(index(address, 1)) };
            // SAFETY: nothing else refers to the page.
            unsafe { to.write(entry) };
        }
        Mfn(self.mfn(of(scratch)))
    }

    /// Takes a page for a table. Returns `None` if there is none.
    fn table_page(&mut self) -> Option<usize> {
        let page = self.spare.pop().or_else(|| {
            let last = self.limit.checked_sub(1)?;
            (last >= self.next).then(|| {
                self.limit = last;
                last
            })
        })?;
        self.tables += 1;
        Some(page)
    }

    /// Makes page `pfn` a table: fills it with `entries`, and gives up write
    /// access, so that Xen accepts it as one.
    fn make_table(&mut self, pfn: usize, entries: impl Fn(usize) -> u64) -> Result<(), Errno> {
        let scratch = self.layout.scratch;
        if self.shift > 0 && pfn < self.next {
            // One of the spare pages, which is mapped as memory too.
            // SAFETY: nothing uses it.
            unsafe { update_va_mapping(self.address(pfn) as u64, 0, UVMF_INVLPG) }?;
        }
        let entry = self.mfn(pfn) << 12 | DATA;
        // SAFETY: nothing else uses the scratch page; the frame is mapped nowhere else.
        unsafe { update_va_mapping(scratch as u64, entry, UVMF_INVLPG) }?;
        for index in 0..512 {
            // SAFETY: the scratch page has 512 entries.
            let to = unsafe { (scratch as *mut u64).add(index) };
            // SAFETY: mapped above; nothing refers to it.
            unsafe { to.write(entries(index)) };
        }
        // SAFETY: as above.
        unsafe { update_va_mapping(scratch as u64, 0, UVMF_INVLPG) }
    }

    /// Links page `pfn`, which is a table, into entry `index` of `table`.
    fn link(&mut self, table: Mfn, index: usize, pfn: usize) -> Result<(), Errno> {
        let entry = self.mfn(pfn) << 12 | TABLE;
        // SAFETY: the entry was empty.
        unsafe { mmu_update(&[update(table, index, entry)]) }
    }

    /// Maps up to 2 MiB of data after what is mapped, and returns the addresses. Returns `None`
    /// if all memory is mapped, or Xen refuses.
    pub(super) fn grow(&mut self) -> Option<Range<usize>> {
        let start = self.address(self.next);
        if self.next >= self.limit || !start.is_multiple_of(SLOT) {
            return None;
        }
        if start.is_multiple_of(GIB) {
            let page = self.table_page()?;
            let level3 = self.table(start, 3)?;
            self.make_table(page, |_| 0).ok()?;
            self.link(level3, index(start, 3), page).ok()?;
            self.level2 = Mfn(self.mfn(page));
        }
        let table = self.table_page()?;
        let count = (self.limit - self.next).min(512);
        let (next, list) = (self.next, self.mfn_list);
        let entry = |index: usize| {
            if index >= count {
                return 0;
            }
            // SAFETY: below the limit, hence in the list.
            let mfn = unsafe { list.add(next + index) };
            // SAFETY: mapped, and written by nobody else.
            unsafe { mfn.read() << 12 | DATA }
        };
        self.make_table(table, entry).ok()?;
        self.link(self.level2, index(start, 2), table).ok()?;
        self.next += count;
        Some(start..self.address(self.next))
    }

    /// Returns the bytes of memory that are not mapped.
    pub(super) const fn left(&self) -> usize {
        (self.limit - self.next) * PAGE
    }

    /// Returns the end of what the domain builder mapped, as an address at which memory is used.
    pub(super) const fn builder_end(&self) -> usize {
        self.builder_end + self.shift
    }

    /// Returns the number of mapped pages, and that of page tables of ours.
    pub(super) const fn mapped(&self) -> (usize, usize) {
        (self.next, self.tables)
    }
}
