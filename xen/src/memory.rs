//! Frame numbers, the machine-to-physical table, and pages that a peer may write.

use crate::hypercall::{self, copy, page_freed};
pub use crate::public::{PAGE_SHIFT, PAGE_SIZE};
use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU64, Ordering, fence};
use volatile::VolatilePtr;

/// A pseudo-physical frame number: the guest's own, dense numbering from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pfn(pub u64);

/// A machine frame number: the hardware's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mfn(pub u64);

/// What an access to a shared page must not be.
const OUTSIDE: &str = "outside the page";

/// Frames that x86-64's 52 address bits can name; larger numbers are nonsense.
const MFN_LIMIT: u64 = 1 << (52 - PAGE_SHIFT);

/// The pseudo-physical frame that `mfn` is in this domain, looked up in Xen's table.
///
/// Only an mfn that Xen itself or the domain builder named may be asked for:
/// the table has holes where the machine has no memory. For a frame of another
/// domain the answer is that domain's number, so callers check it.
#[must_use]
pub fn mfn_to_pfn(mfn: Mfn) -> Option<Pfn> {
    (mfn.0 < MFN_LIMIT).then(|| Pfn(hypercall::mach2phys(mfn.0)))
}

/// Maps a frame that Xen made for this domain, such as one of its grant table, for good.
/// `None` without memory for a place in the address space, or when Xen refuses.
pub(crate) fn map_frame(mfn: u64) -> Option<SharedPage> {
    // A page of the heap, whose own frame is out of sight from here on.
    let page = || Pages::new(1).map(|page| ManuallyDrop::new(page).base());
    // SAFETY: nothing but that value, which is never dropped, refers to the page.
    let place = unsafe { hypercall::map_frame(mfn, page) }?;
    // SAFETY: mapped a moment ago, for good.
    Some(unsafe { SharedPage::new(place) })
}

/// A page that Xen or another domain may write at any time.
///
/// Bytes are copied in and out by volatile accesses; nothing ever refers into
/// the page, so what the peer does to it meanwhile can only change values.
#[derive(Debug)]
pub struct SharedPage {
    base: NonNull<u8>,
}

// SAFETY: the page is only ever accessed by volatile loads and stores.
unsafe impl Send for SharedPage {}
// SAFETY: as above; racing accesses read some value that was stored.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// Takes charge of the page at `base`.
    ///
    /// # Safety
    /// `base` is page aligned, mapped and writable for as long as this value
    /// lives, and no reference points into that page.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u8>) -> Self {
        Self { base }
    }

    fn word<T>(&self, offset: usize) -> VolatilePtr<'_, T> {
        let inside = offset.is_multiple_of(size_of::<T>()) && offset + size_of::<T>() <= PAGE_SIZE;
        assert!(inside, "{OUTSIDE}");
        // SAFETY: the offset is inside the page.
        let word = unsafe { self.base.add(offset) };
        // SAFETY: aligned and mapped, by the assertion and by `new`'s contract.
        unsafe { VolatilePtr::new(word.cast()) }
    }

    /// Loads the `u32` at `offset`, which must be aligned and inside the page.
    /// Later accesses to memory happen after it (acquire).
    #[must_use]
    pub fn load_u32(&self, offset: usize) -> u32 {
        let value = self.word::<u32>(offset).read();
        fence(Ordering::Acquire);
        value
    }

    /// Stores a `u32` at `offset`, which must be aligned and inside the page.
    /// Earlier accesses to memory happen before it (release).
    pub fn store_u32(&self, offset: usize, value: u32) {
        fence(Ordering::Release);
        self.word::<u32>(offset).write(value);
    }

    /// Loads the `u64` at `offset`, which must be aligned and inside the page.
    #[must_use]
    pub fn load_u64(&self, offset: usize) -> u64 {
        let value = self.word::<u64>(offset).read();
        fence(Ordering::Acquire);
        value
    }

    /// Clears the bits of `mask` in the `u64` at `offset` in one atomic step
    /// and returns those of them that were set.
    pub fn take_bits(&self, offset: usize, mask: u64) -> u64 {
        self.atomic(offset).fetch_and(!mask, Ordering::AcqRel) & mask
    }

    /// Sets the bits of `mask` in the `u64` at `offset` in one atomic step.
    pub fn set_bits(&self, offset: usize, mask: u64) {
        self.atomic(offset).fetch_or(mask, Ordering::AcqRel);
    }

    /// The word at `offset` as an atomic. An atomic is made for memory that
    /// others write meanwhile, so this reference, which does not outlive one
    /// operation, promises nothing about the word.
    fn atomic(&self, offset: usize) -> &AtomicU64 {
        let word = self.word::<u64>(offset).as_raw_ptr();
        // SAFETY: aligned and mapped; everyone else accesses it atomically.
        unsafe { AtomicU64::from_ptr(word.as_ptr()) }
    }

    /// Compares the `u16` at `offset` with `old` and, if they are equal, sets it
    /// to `new`, in one atomic step; otherwise what it was.
    ///
    /// # Errors
    /// The value that was there instead.
    pub fn compare_exchange_u16(&self, offset: usize, old: u16, new: u16) -> Result<(), u16> {
        let word = self.word::<u16>(offset).as_raw_ptr();
        // SAFETY: aligned and mapped; everyone else accesses it atomically.
        let word = unsafe { AtomicU16::from_ptr(word.as_ptr()) };
        word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }

    /// Loads the `u16` at `offset`, which must be aligned and inside the page.
    #[must_use]
    pub fn load_u16(&self, offset: usize) -> u16 {
        let value = self.word::<u16>(offset).read();
        fence(Ordering::Acquire);
        value
    }

    /// Copies bytes from `offset` on into `to`. The range must be inside the page.
    pub fn copy_out(&self, offset: usize, to: &mut [u8]) {
        assert!(offset <= PAGE_SIZE && to.len() <= PAGE_SIZE - offset, "{OUTSIDE}");
        // SAFETY: the offset is inside the page or at its end.
        let from = unsafe { self.base.add(offset) };
        // SAFETY: the range is inside the page, which is mapped by `new`'s
        // contract; no slice of ours overlaps with it.
        unsafe { copy(from.as_ptr(), to.as_mut_ptr(), to.len()) };
    }

    /// Copies `from` into the page from `offset` on. The range must be inside the page.
    pub fn copy_in(&self, offset: usize, from: &[u8]) {
        assert!(offset <= PAGE_SIZE && from.len() <= PAGE_SIZE - offset, "{OUTSIDE}");
        // SAFETY: the offset is inside the page or at its end.
        let to = unsafe { self.base.add(offset) };
        // SAFETY: as in `copy_out`, and writable.
        unsafe { copy(from.as_ptr(), to.as_ptr(), from.len()) };
    }
}

/// Pages of our own, one after the other in the address space, that can be lent
/// to other domains. They come from the heap, zeroed (rule G2).
#[derive(Debug)]
pub struct Pages {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is memory like any other on the heap.
unsafe impl Send for Pages {}
// SAFETY: as above; a shared reference gives no access to it.
unsafe impl Sync for Pages {}

impl Pages {
    /// Takes `count` pages, at least one, from the heap. `None` when it has no room.
    #[must_use]
    pub fn new(count: usize) -> Option<Self> {
        let bytes = count.max(1).checked_mul(PAGE_SIZE)?;
        let layout = Layout::from_size_align(bytes, PAGE_SIZE).ok()?;
        // SAFETY: the size is not 0.
        let base = unsafe { alloc_zeroed(layout) };
        Some(Self { base: NonNull::new(base)?, layout })
    }

    /// The address of the first page.
    #[must_use]
    pub const fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.layout.size() / PAGE_SIZE
    }

    /// The address of each.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = NonNull<u8>> {
        (0..self.count()).map(|page| {
            // SAFETY: it is inside the allocation.
            unsafe { self.base.add(page * PAGE_SIZE) }
        })
    }

    /// What they hold. Only for pages that no other domain may write.
    pub(crate) const fn bytes(&self) -> &[u8] {
        // SAFETY: they are ours, initialised, and nobody writes them while the
        // reference lives.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.layout.size()) }
    }

    /// What they hold. Only for pages that no other domain may write.
    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: they are ours, initialised, and nobody else accesses them for
        // writing; a reader of another domain sees some mixture of old and new.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // Scrubbed, for whoever gets the memory next is none of the peer's business.
        self.bytes_mut().fill(0);
        // To the compiler, writing to what is given back is worth nothing.
        core::hint::black_box(self.base);
        for page in self.addresses() {
            page_freed(page.as_ptr() as usize);
        }
        // SAFETY: it was allocated with this layout, and is not used any more.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// Where the frames of this domain are: its pfn-to-mfn list, and the address of
/// pseudo-physical page 0, from which on all pages lie in order.
#[derive(Debug)]
pub struct Frames {
    list: *const u64,
    base: usize,
    count: usize,
}

// SAFETY: the list belongs to the domain and stays where it is.
unsafe impl Send for Frames {}
// SAFETY: as above; it is only read.
unsafe impl Sync for Frames {}

impl Frames {
    /// A domain without frames, as on the fake, which numbers pages itself.
    pub const NONE: Self = Self { list: core::ptr::null(), base: 0, count: 0 };

    /// The frames of `list`, whose first is mapped at `base`.
    ///
    /// # Safety
    /// `list` has `count` entries and stays; the page of each that is mapped at
    /// all for our own use is mapped at its place behind `base`.
    #[must_use]
    pub const unsafe fn new(list: *const u64, base: usize, count: usize) -> Self {
        Self { list, base, count }
    }

    /// The address of page `pfn`, if the domain has it.
    #[must_use]
    pub fn place(&self, pfn: Pfn) -> Option<usize> {
        let pfn = usize::try_from(pfn.0).ok().filter(|&pfn| pfn < self.count)?;
        Some(self.base + pfn * PAGE_SIZE)
    }

    /// The machine frame behind the page at `address`.
    ///
    /// # Panics
    /// When that is not a page of the domain: our bug.
    #[must_use]
    pub fn frame(&self, address: usize) -> u64 {
        let pfn = address.wrapping_sub(self.base) / PAGE_SIZE;
        assert!(pfn < self.count, "{address:#x} is not a page of this domain");
        // SAFETY: the list has that entry.
        let entry = unsafe { self.list.add(pfn) };
        // SAFETY: the list is mapped, by `new`'s contract.
        unsafe { entry.read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::leaked_page;

    #[test]
    fn bytes_go_in_and_out() {
        let page = leaked_page();
        page.copy_in(4090, b"sixsix");
        let mut back = [0; 6];
        page.copy_out(4090, &mut back);
        assert_eq!(&back, b"sixsix");
        page.store_u32(8, 0xdead_beef);
        assert_eq!(page.load_u32(8), 0xdead_beef);
    }

    #[test]
    fn taking_bits_leaves_the_others() {
        let page = leaked_page();
        page.copy_in(16, &0b1011_u64.to_le_bytes());
        assert_eq!(page.take_bits(16, 0b0110), 0b0010);
        assert_eq!(page.load_u64(16), 0b1001);
        assert_eq!(page.take_bits(16, 0b0110), 0);
    }

    #[test]
    #[should_panic(expected = "outside the page")]
    fn a_range_past_the_end_is_our_bug() {
        leaked_page().copy_in(4090, b"sevenly");
    }

    #[test]
    fn nonsense_frames_are_not_looked_up() {
        assert_eq!(mfn_to_pfn(Mfn(u64::MAX)), None);
        assert_eq!(mfn_to_pfn(Mfn(5)), Some(Pfn(5)));
    }
}
