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
use spin::Mutex;
use talc::TalcCell;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

#[global_allocator]
static HEAP: Lists<TalcCell<More>> = {
    // SAFETY: there is one thread. The watchdog, which interrupts it, allocates nothing,
    // and neither does `More`.
    unsafe { Lists::new(TalcCell::new(More)) }
};

/// What the heap consists of, and where it gets more from.
#[derive(Debug)]
struct Grow {
    paging: Paging,
    /// Address of the first page that was free at boot.
    start: usize,
    end: Option<NonNull<u8>>,
}

// SAFETY: the end is a plain address here; there is one thread.
unsafe impl Send for Grow {}

/// Nothing before the heap is opened.
static GROW: Mutex<Option<Grow>> = Mutex::new(None);

impl Grow {
    /// Bytes that are mapped, those of them that are the heap, and bytes of page tables.
    fn sizes(&self) -> [usize; 3] {
        let (mapped, tables) = self.paging.mapped();
        let heap = self.end.map_or(0, |end| end.as_ptr() as usize - self.start);
        [mapped * PAGE_SIZE, heap, tables * PAGE_SIZE]
    }
}

/// What the allocator asks for more memory.
#[derive(Debug)]
struct More;

// SAFETY: `acquire` allocates nothing.
unsafe impl Source for More {
    // Apart from the allocator's usual way, which is shorter without it.
    #[cold]
    #[inline(never)]
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, _: Layout) -> Result<(), ()> {
        let mut grow = GROW.lock();
        let grow = grow.as_mut().ok_or(())?;
        let old = grow.end.ok_or(())?;
        let Range { end, .. } = grow.paging.grow().ok_or(())?;
        // SAFETY: the pages up to `end` follow the heap's end, are mapped, and
        // nothing else uses them.
        grow.end = Some(unsafe { talc.extend(old, end as *mut u8) });
        Ok(())
    }
}

/// Gives the heap its first pages: those from `start` on that the domain
/// builder mapped; and the means to get more.
///
/// # Safety
/// Called once, before anything is allocated; nothing uses memory from `start` on.
pub(super) unsafe fn open(paging: Paging, start: usize) {
    let size = paging.builder_end().saturating_sub(start);
    // SAFETY: the caller's promise.
    let end = unsafe { HEAP.behind().claim(start as *mut u8, size) };
    // There was none before; dropping that would be code for nothing.
    core::mem::forget(GROW.lock().replace(Grow { paging, start, end }));
}

/// Bytes that are mapped, those of them that are the heap, and bytes of page tables.
fn sizes() -> [usize; 3] {
    GROW.lock().as_ref().map_or([0; 3], Grow::sizes)
}

/// Where memory goes now.
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

/// Bytes that are left of `total` at least: without those that the lists keep.
pub(crate) fn left(total: usize) -> usize {
    let [mapped, heap, _] = sizes();
    total.saturating_sub(mapped) + heap.saturating_sub(HEAP.given())
}

/// Tells `each` about every page that is mapped. It must not allocate.
pub(crate) fn mappings(each: &mut dyn FnMut(Mapping)) {
    let grow = GROW.lock();
    let Some(grow) = grow.as_ref() else { return };
    grow.paging.walk(&mut |address, entry| {
        each(Mapping {
            start: address,
            end: address + PAGE_SIZE,
            write: entry & PTE_WRITE != 0,
            execute: entry & PTE_NO_EXECUTE == 0,
        });
    });
}
