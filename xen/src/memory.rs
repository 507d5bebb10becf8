//! Converts frame numbers, and owns pages: the guest's own and those that a peer may write.
//!
//! A page has 4096 bytes ([`PAGE_SIZE`]).

use crate::hypercall::{self, copy, page_freed};
pub use crate::public::{PAGE_SHIFT, PAGE_SIZE};
use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU64, Ordering, fence};
use volatile::VolatilePtr;

/// Numbers a frame in the guest's own, dense numbering from 0: a pseudo-physical frame number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pfn(pub u64);

/// Numbers a frame as the hardware does: a machine frame number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mfn(pub u64);

/// The text of the panic for an access that is not within its page.
const OUTSIDE: &str = "outside the page";

/// Number of frames that x86-64's 52 bits of physical address can name.
const MFN_LIMIT: u64 = 1 << (52 - PAGE_SHIFT);

/// Looks up machine frame `mfn` in Xen's machine-to-physical table. Returns `None` for numbers
/// beyond 52 bits of address.
///
/// Pass only frames that Xen or the domain builder named: the table has holes where the machine
/// has no memory. For a frame of another domain the result is a pfn of that domain, so check it,
/// for instance by [`Frames::frame`].
#[must_use]
pub fn mfn_to_pfn(mfn: Mfn) -> Option<Pfn> {
    (mfn.0 < MFN_LIMIT).then(|| Pfn(hypercall::mach2phys(mfn.0)))
}

/// Maps a frame that Xen allocated for this domain, such as one of its grant table, permanently.
/// Returns `None` if there is no memory for an address, or Xen refuses.
pub(crate) fn map_frame(mfn: u64) -> Option<SharedPage> {
    // A page of the heap gives its address; its own frame is not reachable from here on.
    let page = || Pages::new(1).map(|page| ManuallyDrop::new(page).base());
    // SAFETY: nothing but that value, which is never dropped, refers to the page.
    let base = unsafe { hypercall::map_frame(mfn, page) }?;
    // SAFETY: mapped above, permanently.
    Some(unsafe { SharedPage::new(base) })
}

/// Unmaps what [`map_frame`] mapped, until [`remap_frame`]. Nothing may access the page meanwhile.
pub(crate) fn unmap_frame(page: &SharedPage) {
    // SAFETY: as the caller promises, nothing accesses it.
    unsafe { hypercall::unmap_frame(page.base) };
}

/// Maps a frame where [`map_frame`] had mapped another one, and lets `page` be that. Returns `None`
/// if Xen refuses.
pub(crate) fn remap_frame(page: &mut SharedPage, mfn: u64) -> Option<()> {
    let place = page.base;
    // SAFETY: the page is one that `map_frame` took for good.
    page.base = unsafe { hypercall::map_frame(mfn, || Some(place)) }?;
    Some(())
}

/// Accesses a page that Xen or another domain may write at any time.
///
/// Bytes are copied in and out by volatile accesses, and no reference points into the page: a
/// peer that writes meanwhile can change values and nothing else. Offsets are in bytes.
///
/// # Panics
/// All accesses panic if they are not within the page or not aligned: offsets are the caller's
/// own, never a peer's.
#[derive(Debug)]
pub struct SharedPage {
    base: NonNull<u8>,
}

// SAFETY: the page is only ever accessed by volatile loads and stores.
unsafe impl Send for SharedPage {}
// SAFETY: as above; racing accesses read some value that was stored.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// Wraps the page at `base`, which is not freed on drop.
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

    /// Loads the `u32` at `offset`. Later accesses to memory happen after it (acquire).
    #[must_use]
    pub fn load_u32(&self, offset: usize) -> u32 {
        let value = self.word::<u32>(offset).read();
        fence(Ordering::Acquire);
        value
    }

    /// Stores a `u32` at `offset`. Earlier accesses to memory happen before it (release).
    pub fn store_u32(&self, offset: usize, value: u32) {
        fence(Ordering::Release);
        self.word::<u32>(offset).write(value);
    }

    /// Loads the `u64` at `offset` (acquire).
    #[must_use]
    pub fn load_u64(&self, offset: usize) -> u64 {
        let value = self.word::<u64>(offset).read();
        fence(Ordering::Acquire);
        value
    }

    /// Stores a `u64` at `offset`. Earlier accesses to memory happen before it (release).
    pub fn store_u64(&self, offset: usize, value: u64) {
        fence(Ordering::Release);
        self.word::<u64>(offset).write(value);
    }

    /// Clears the bits of `mask` in the `u64` at `offset` in one atomic operation, and returns
    /// those that were set.
    pub fn take_bits(&self, offset: usize, mask: u64) -> u64 {
        self.atomic(offset).fetch_and(!mask, Ordering::AcqRel) & mask
    }

    /// Sets the bits of `mask` in the `u64` at `offset` in one atomic operation.
    pub fn set_bits(&self, offset: usize, mask: u64) {
        self.atomic(offset).fetch_or(mask, Ordering::AcqRel);
    }

    /// Returns the word at `offset` as an atomic. A reference to an atomic promises nothing about
    /// its content, so this does not break the rule above.
    fn atomic(&self, offset: usize) -> &AtomicU64 {
        let word = self.word::<u64>(offset).as_raw_ptr();
        // SAFETY: aligned and mapped; everyone else accesses it atomically.
        unsafe { AtomicU64::from_ptr(word.as_ptr()) }
    }

    /// Replaces the `u16` at `offset` by `new` if it is `old`, in one atomic operation.
    ///
    /// # Errors
    /// The value, if it is not `old`. The page is then unchanged.
    pub fn compare_exchange_u16(&self, offset: usize, old: u16, new: u16) -> Result<(), u16> {
        let word = self.word::<u16>(offset).as_raw_ptr();
        // SAFETY: aligned and mapped; everyone else accesses it atomically.
        let word = unsafe { AtomicU16::from_ptr(word.as_ptr()) };
        word.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }

    /// Loads the `u16` at `offset` (acquire).
    #[must_use]
    pub fn load_u16(&self, offset: usize) -> u16 {
        let value = self.word::<u16>(offset).read();
        fence(Ordering::Acquire);
        value
    }

    /// Copies `to.len()` bytes from `offset` on to `to`.
    pub fn copy_out(&self, offset: usize, to: &mut [u8]) {
        assert!(offset <= PAGE_SIZE && to.len() <= PAGE_SIZE - offset, "{OUTSIDE}");
        // SAFETY: the offset is inside the page or at its end.
        let from = unsafe { self.base.add(offset) };
        // SAFETY: the range is inside the page, which is mapped by `new`'s
        // contract; no slice of ours overlaps with it.
        unsafe { copy(from.as_ptr(), to.as_mut_ptr(), to.len()) };
    }

    /// Copies `from` into the page, from `offset` on.
    pub fn copy_in(&self, offset: usize, from: &[u8]) {
        assert!(offset <= PAGE_SIZE && from.len() <= PAGE_SIZE - offset, "{OUTSIDE}");
        // SAFETY: the offset is inside the page or at its end.
        let to = unsafe { self.base.add(offset) };
        // SAFETY: as in `copy_out`, and writable.
        unsafe { copy(from.as_ptr(), to.as_ptr(), from.len()) };
    }
}

/// Owns contiguous, page-aligned memory that can be granted to other domains. It comes from the
/// heap and is zeroed, both when it is allocated and when it is freed (rule G2).
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
    /// Allocates `count` pages, at least one. Returns `None` if there is no memory.
    #[must_use]
    pub fn new(count: usize) -> Option<Self> {
        let bytes = count.max(1).checked_mul(PAGE_SIZE)?;
        let layout = Layout::from_size_align(bytes, PAGE_SIZE).ok()?;
        // SAFETY: the size is not 0.
        let base = unsafe { alloc_zeroed(layout) };
        Some(Self { base: NonNull::new(base)?, layout })
    }

    /// Returns the address of the first page.
    #[must_use]
    pub const fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Returns the number of pages.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.layout.size() / PAGE_SIZE
    }

    /// Returns the address of each page.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = NonNull<u8>> {
        (0..self.count()).map(|page| {
            // SAFETY: it is inside the allocation.
            unsafe { self.base.add(page * PAGE_SIZE) }
        })
    }

    /// Returns the content. Only for pages that no other domain may write.
    pub(crate) const fn bytes(&self) -> &[u8] {
        // SAFETY: they are ours, initialised, and nobody writes them while the
        // reference lives.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.layout.size()) }
    }

    /// Returns the content for writing. Only for pages that no other domain may write.
    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: they are ours, initialised, and nobody else accesses them for
        // writing; a reader of another domain sees some mixture of old and new.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // Zeroed, so that what the peer wrote or was sent does not leak to the next user.
        self.bytes_mut().fill(0);
        // Keeps the compiler from leaving out writes to memory that is freed.
        core::hint::black_box(self.base);
        for page in self.addresses() {
            page_freed(page.as_ptr() as usize);
        }
        // SAFETY: it was allocated with this layout, and is not used any more.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// Converts between addresses and frame numbers of this domain, by its pfn-to-mfn list
/// (`start_info.mfn_list`). All its memory is contiguous in the address space, in the order of
/// pseudo-physical frame numbers.
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
    /// Has no frames: for the fake, which numbers pages itself.
    pub const NONE: Self = Self { list: core::ptr::null(), base: 0, count: 0 };

    /// Describes the `count` frames of `list`, the first of which is mapped at address `base`.
    ///
    /// # Safety
    /// `list` has `count` entries and remains mapped. Each frame that is mapped for use as memory
    /// is mapped at `base + pfn * PAGE_SIZE`.
    #[must_use]
    pub const unsafe fn new(list: *const u64, base: usize, count: usize) -> Self {
        Self { list, base, count }
    }

    /// Returns their number.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Returns the address of frame `pfn`, or `None` if the domain has no such frame.
    #[must_use]
    pub fn address_of(&self, pfn: Pfn) -> Option<usize> {
        let pfn = usize::try_from(pfn.0).ok().filter(|&pfn| pfn < self.count)?;
        Some(self.base + pfn * PAGE_SIZE)
    }

    /// Returns the address of machine frame `frame`, or `None` if it is not this domain's. As for
    /// [`mfn_to_pfn`], pass only frames that Xen or the domain builder named.
    #[must_use]
    pub fn address_of_frame(&self, frame: Mfn) -> Option<usize> {
        let address = self.address_of(mfn_to_pfn(frame)?)?;
        // The machine-to-physical table is global, so the frame may be another domain's.
        (self.frame(address) == frame.0).then_some(address)
    }

    /// Returns the machine frame number of the page at `address`.
    ///
    /// # Panics
    /// If that is not an address of the domain's memory.
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
