//! The heap: the global allocator of the image.
//!
//! The allocator is `talc`: kept, small, fast for single-threaded use, and it
//! asks for more memory itself, which is what lets pages be mapped only when
//! they are needed. In front of it are lists of small blocks that were given back.

use super::paging::Paging;
use crate::lists::Lists;
use crate::machine::{Mapping, Stats};
use ::xen::memory::PAGE_SIZE;
use ::xen::public::mmu::{PTE_NO_EXECUTE, PTE_WRITE};
use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;
use talc::TalcLock;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

#[global_allocator]
static HEAP: Lists<TalcLock<spin::Mutex<()>, Grow>> = {
    let heap = TalcLock::new(Grow { paging: None, start: 0, end: None });
    // SAFETY: there is one thread. The watchdog, which interrupts it, allocates nothing,
    // and neither does `Grow`.
    unsafe { Lists::new(heap) }
};

/// Where the heap gets more memory from.
#[derive(Debug)]
struct Grow {
    paging: Option<Paging>,
    /// Address of the first page that was free at boot.
    start: usize,
    end: Option<NonNull<u8>>,
}

// SAFETY: the end is a plain address here; there is one thread.
unsafe impl Send for Grow {}

// SAFETY: `acquire` allocates nothing.
unsafe impl Source for Grow {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, _: Layout) -> Result<(), ()> {
        let Range { end, .. } = talc.source.paging.as_mut().and_then(Paging::grow).ok_or(())?;
        let old = talc.source.end.ok_or(())?;
        // SAFETY: the pages up to `end` follow the heap's end, are mapped, and
        // nothing else uses them.
        talc.source.end = Some(unsafe { talc.extend(old, end as *mut u8) });
        Ok(())
    }
}

/// Gives the heap its first pages: those from `start` on that the domain
/// builder mapped; and the means to get more.
///
/// # Safety
/// Called once, before anything is allocated; nothing uses memory from `start` on.
pub(super) unsafe fn open(paging: Paging, start: usize) {
    let mut heap = HEAP.behind().lock();
    let size = paging.builder_end().saturating_sub(start);
    // SAFETY: the caller's promise.
    let end = unsafe { heap.claim(start as *mut u8, size) };
    heap.source = Grow { paging: Some(paging), start, end };
}

/// Where memory goes now.
pub(crate) fn stats(total: usize) -> Stats {
    let kept = HEAP.stats();
    let heap = HEAP.behind().lock();
    let (mapped, tables) = heap.source.paging.as_ref().map_or((0, 0), Paging::mapped);
    let counters = heap.counters();
    Stats {
        total,
        mapped: mapped * PAGE_SIZE,
        heap: heap.source.end.map_or(0, |end| end.as_ptr() as usize - heap.source.start),
        allocated: counters.allocated_bytes - kept.bytes,
        tables: tables * PAGE_SIZE,
        allocations: counters.allocation_count - kept.blocks,
        failures: kept.failures,
    }
}

/// Bytes that are left of `total` at least: without those that the lists keep.
pub(crate) fn left(total: usize) -> usize {
    let heap = HEAP.behind().lock();
    let mapped = heap.source.paging.as_ref().map_or(0, |paging| paging.mapped().0) * PAGE_SIZE;
    let end = heap.source.end.map_or(0, |end| end.as_ptr() as usize - heap.source.start);
    total.saturating_sub(mapped) + end.saturating_sub(heap.counters().allocated_bytes)
}

/// Tells `each` about every page that is mapped. It must not allocate.
pub(crate) fn mappings(each: &mut dyn FnMut(Mapping)) {
    let heap = HEAP.behind().lock();
    let Some(paging) = heap.source.paging.as_ref() else { return };
    paging.walk(&mut |address, entry| {
        each(Mapping {
            start: address,
            end: address + PAGE_SIZE,
            write: entry & PTE_WRITE != 0,
            execute: entry & PTE_NO_EXECUTE == 0,
        });
    });
}
