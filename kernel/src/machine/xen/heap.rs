//! The heap: the global allocator of the image.
//!
//! The allocator is the crate `talc`: maintained, small, fast for a single thread, and it asks
//! for more memory itself, so that pages are mapped only when they are needed. In front of it
//! are lists of small freed blocks ([`crate::lists`]).

use super::paging::Paging;
use crate::lists::Lists;
use crate::machine::{Mapping, Stats};
use ::xen::memory::PAGE_SIZE;
use ::xen::public::mmu::{PTE_NO_EXECUTE, PTE_WRITE};
use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;
use spin::Mutex;
use talc::TalcCell;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

#[global_allocator]
static HEAP: Lists<TalcCell<MorePages>> = {
    // SAFETY: there is one thread. The upcall handler, which interrupts it, allocates nothing,
    // and neither does `MorePages`.
    unsafe { Lists::new(TalcCell::new(MorePages)) }
};

// Names for the counters, by which `cargo mk symbolize --core` finds them in a dump. They take
// nothing of the image.
core::arch::global_asm!(
    ".globl heap_given_bytes, heap_given_blocks, heap_failures",
    ".set heap_given_bytes, {heap} + {bytes}",
    ".set heap_given_blocks, {heap} + {blocks}",
    ".set heap_failures, {heap} + {failures}",
    heap = sym HEAP,
    bytes = const COUNTERS[0],
    blocks = const COUNTERS[1],
    failures = const COUNTERS[2],
);

/// Where in [`HEAP`] its counters are: bytes and blocks that are given out, and failures.
const COUNTERS: [usize; 3] = Lists::<TalcCell<MorePages>>::COUNTERS;

/// The extent of the heap, and the page tables by which it grows.
#[derive(Debug)]
struct Extent {
    paging: Paging,
    /// Address of the first page that was free at boot.
    start: usize,
    end: Option<NonNull<u8>>,
}

// SAFETY: the end is a plain address here; there is one thread.
unsafe impl Send for Extent {}

/// `None` before the heap is opened.
static EXTENT: Mutex<Option<Extent>> = Mutex::new(None);

impl Extent {
    /// Returns the bytes that are mapped, those of the heap, and those of page tables.
    fn sizes(&self) -> [usize; 3] {
        let (mapped, tables) = self.paging.mapped();
        let heap = self.end.map_or(0, |end| end.as_ptr() as usize - self.start);
        [mapped * PAGE_SIZE, heap, tables * PAGE_SIZE]
    }
}

/// Extends the heap when the allocator has no room.
#[derive(Debug)]
struct MorePages;

// SAFETY: `acquire` allocates nothing.
unsafe impl Source for MorePages {
    // Not inlined, which keeps the common path of the allocator short.
    #[cold]
    #[inline(never)]
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let mut extent = EXTENT.lock();
        let extent = extent.as_mut().ok_or(())?;
        // What no memory could hold takes none of it.
        let [_, heap, _] = extent.sizes();
        if layout.size() > extent.paging.left() + heap.saturating_sub(HEAP.given()) {
            return Err(());
        }
        let old = extent.end.ok_or(())?;
        let Range { end, .. } = extent.paging.grow().ok_or(())?;
        // SAFETY: the pages up to `end` follow the heap's end, are mapped, and
        // nothing else uses them.
        extent.end = Some(unsafe { talc.extend(old, end as *mut u8) });
        Ok(())
    }
}

/// Opens the heap with the pages from address `start` on that the domain builder mapped.
///
/// # Safety
/// Called once, before anything is allocated; nothing uses memory from `start` on.
pub(super) unsafe fn open(paging: Paging, start: usize) {
    let size = paging.builder_end().saturating_sub(start);
    // SAFETY: nothing uses this memory, by contract.
    let end = unsafe { HEAP.behind().claim(start as *mut u8, size) };
    // There was none before: forgetting it leaves the code to drop one out of the image.
    core::mem::forget(EXTENT.lock().replace(Extent { paging, start, end }));
}

/// Calls `work` with the page tables. It must not allocate. `None` before the heap is opened.
pub(super) fn with_paging<T>(work: impl FnOnce(&mut Paging) -> T) -> Option<T> {
    EXTENT.lock().as_mut().map(|extent| work(&mut extent.paging))
}

/// Returns the bytes that are mapped, those of the heap, and those of page tables.
fn sizes() -> [usize; 3] {
    EXTENT.lock().as_ref().map_or([0; 3], Extent::sizes)
}

/// Returns how memory is used now. `total` is the size of memory in bytes.
pub(crate) fn stats(total: usize) -> Stats {
    let kept = HEAP.stats();
    let [mapped, heap, tables] = sizes();
    Stats {
        total,
        mapped,
        heap,
        allocated: kept.given_bytes - kept.bytes,
        tables,
        allocations: kept.given_blocks - kept.blocks,
        failures: kept.failures,
    }
}

/// Returns a lower bound of the free bytes of `total`: without those in lists.
pub(crate) fn left(total: usize) -> usize {
    let [mapped, heap, _] = sizes();
    total.saturating_sub(mapped) + heap.saturating_sub(HEAP.given())
}

/// Calls `each` for every mapped page. It must not allocate.
pub(crate) fn mappings(each: &mut dyn FnMut(Mapping)) {
    let extent = EXTENT.lock();
    let Some(extent) = extent.as_ref() else { return };
    extent.paging.walk(&mut |address, entry| {
        each(Mapping {
            start: address,
            end: address + PAGE_SIZE,
            write: entry & PTE_WRITE != 0,
            execute: entry & PTE_NO_EXECUTE == 0,
        });
    });
}
