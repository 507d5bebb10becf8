//! Reports how memory is used, and allocates buffers without panicking.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::memory;
//!
//! /// Turns a visitor away while memory is short.
//! fn accept() -> Result<Vec<u8>, &'static str> {
//!     if memory::is_low() {
//!         return Err("come back later");
//!     }
//!     memory::zeroed(64 * 1024).ok_or("come back later")
//! }
//!
//! assert_eq!(accept().map(|buffer| buffer.len()), Ok(65_536));
//! ```

use crate::machine;
pub use crate::machine::{Mapping, Stats};
use alloc::alloc::{Layout, alloc, alloc_zeroed};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// Returns how memory is used now, in bytes. On Linux, where the heap is the system's, all is 0.
#[must_use]
pub fn stats() -> Stats {
    machine::memory_stats()
}

/// Returns whether less than 1/16 of the memory is free. Servers should then accept no new work:
/// the rest is for requests in progress, where not every allocation can fail (rule S8). Always
/// false on Linux.
#[must_use]
pub fn is_low() -> bool {
    falls_below(16)
}

/// Returns whether less than 1/12 of the memory is free. Caches that may give up what they have at
/// any time should do so then: what [is low](is_low) is refused to others. Always false on Linux.
#[must_use]
pub fn is_short() -> bool {
    falls_below(12)
}

/// Returns whether less than 1/8 of the memory is free. Servers should then close idle
/// connections, before memory [is low](is_low) and new ones are refused. Always false on Linux.
#[must_use]
pub fn is_scarce() -> bool {
    falls_below(8)
}

/// Returns whether less than 1/32 of the memory is free. What can wait for some of its own to be
/// given back should then take none: the rest is for allocations that cannot fail (rule S8).
/// Always false on Linux.
#[must_use]
pub fn is_nearly_gone() -> bool {
    falls_below(32)
}

/// Returns whether less than `1/divisor` of the memory is free. Servers ask this for every
/// request, so the exact statistics are collected only if a cheap lower bound is below.
fn falls_below(divisor: usize) -> bool {
    let (total, least) = machine::memory_left();
    least < total / divisor && is_below(&stats(), divisor)
}

/// Returns whether less than `1/divisor` of the memory is free.
const fn is_below(stats: &Stats, divisor: usize) -> bool {
    let unmapped = stats.total.saturating_sub(stats.mapped);
    unmapped + stats.heap.saturating_sub(stats.allocated) < stats.total / divisor
}

/// Allocates `length` zeroed bytes, or returns `None` if there is no memory. Faster than
/// `Vec::resize`, which takes five instructions for each byte in code that is optimised for size.
#[must_use]
pub fn zeroed(length: usize) -> Option<Vec<u8>> {
    let layout = Layout::array::<u8>(length).ok()?;
    if length == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the layout has a size.
    let bytes = unsafe { alloc_zeroed(layout) };
    if bytes.is_null() {
        return None;
    }
    // SAFETY: allocated above by the global allocator, with this layout, and initialised.
    Some(unsafe { Vec::from_raw_parts(bytes, length, length) })
}

/// Appends `count` zeroed bytes to `bytes`, or returns `None` and appends nothing if there is no
/// memory. Faster than `Vec::resize`, as [`zeroed`] is.
#[must_use]
pub fn extend_zeroed(bytes: &mut Vec<u8>, count: usize) -> Option<()> {
    bytes.try_reserve(count).ok()?;
    let length = bytes.len();
    // SAFETY: that much of its memory was reserved behind its end.
    let end = unsafe { bytes.as_mut_ptr().add(length) };
    // SAFETY: as above, `count` bytes are reserved from there on.
    unsafe { end.write_bytes(0, count) };
    // SAFETY: they are initialised.
    unsafe { bytes.set_len(length + count) };
    Some(())
}

/// Moves `value` to the heap, or gives it back if there is no memory for it, where `Box::new` would
/// end the program.
///
/// # Errors
/// The value.
pub fn boxed<T>(value: T) -> Result<Box<T>, T> {
    match uninit() {
        Some(place) => Ok(Box::write(place, value)),
        None => Err(value),
    }
}

/// Makes a value for the heap if there is memory for it, with one move fewer than by [`boxed`]: for
/// what is large and made often.
pub fn boxed_with<T>(make: impl FnOnce() -> T) -> Option<Box<T>> {
    uninit().map(|place| Box::write(place, make()))
}

/// Returns memory for a `T`, if there is any.
fn uninit<T>() -> Option<Box<MaybeUninit<T>>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Some(Box::new_uninit());
    }
    if machine::is_spent() {
        return None;
    }
    // SAFETY: the layout has a size.
    let place = unsafe { alloc(layout) }.cast::<MaybeUninit<T>>();
    if place.is_null() {
        return None;
    }
    // SAFETY: allocated above by the global allocator, with this layout, and it holds anything.
    Some(unsafe { Box::from_raw(place) })
}

/// Calls `each` for each range of mapped addresses with equal protection, in ascending order, as
/// the page tables have it. Slow: for tests and for debugging. `each` must not allocate.
pub fn mappings(mut each: impl FnMut(Mapping)) {
    let mut last: Option<Mapping> = None;
    machine::mappings(&mut |next: Mapping| match &mut last {
        Some(last)
            if last.end == next.start
                && last.write == next.write
                && last.execute == next.execute =>
        {
            last.end = next.end;
        }
        last => {
            if let Some(done) = last.replace(next) {
                each(done);
            }
        }
    });
    last.map(each);
}

#[cfg(test)]
mod tests {
    use super::{Stats, is_below, zeroed};

    #[test]
    fn zeros_are_as_many_as_asked_for_or_none() {
        for length in [0, 1, 4096, 100_000] {
            let zeros = zeroed(length).unwrap();
            assert!(zeros.len() == length && zeros.iter().all(|&byte| byte == 0));
        }
        assert!(zeroed(usize::MAX).is_none());
        assert!(zeroed(isize::MAX as usize).is_none());
    }

    #[test]
    fn zeros_are_appended_behind_what_is_there_or_nothing_is() {
        let mut bytes = Vec::from([7; 3]);
        for count in [0, 1, 5000] {
            let before = bytes.clone();
            super::extend_zeroed(&mut bytes, count).unwrap();
            let (old, new) = bytes.split_at(before.len());
            assert!(old == before && new.len() == count && new.iter().all(|&byte| byte == 0));
        }
        for count in [usize::MAX, isize::MAX as usize] {
            assert!(super::extend_zeroed(&mut bytes, count).is_none());
            assert_eq!(bytes.len(), 3 + 1 + 5000);
        }
    }

    #[test]
    fn what_is_moved_to_the_heap_is_whole() {
        let boxed = super::boxed([7_u64; 300]).unwrap();
        assert!(boxed.iter().all(|&word| word == 7));
        assert_eq!(super::boxed(()), Ok(Box::new(())));
        assert_eq!(super::boxed_with(|| [7_u64; 300]).as_deref(), Some(&[7; 300]));
    }

    #[test]
    fn a_sixteenth_is_kept_for_what_is_under_way_s8() {
        let all = Stats { total: 4096, mapped: 2048, heap: 1024, ..Stats::default() };
        let low = |stats: &Stats| is_below(stats, 16);
        assert!(!low(&all));
        assert!(!low(&Stats { mapped: 4096, allocated: 768, ..all }));
        let last = Stats { mapped: 4096, allocated: 769, ..all };
        assert!(low(&last) && !is_below(&last, 32), "work under way gets half of it");
        assert!(is_below(&Stats { allocated: 897, ..last }, 32));
        assert!(!low(&Stats::default()));
    }

    #[test]
    fn this_code_is_mapped_executable_and_not_writable() {
        let here = this_code_is_mapped_executable_and_not_writable as *const () as usize;
        let mut found = 0;
        super::mappings(|mapping| {
            if (mapping.start..mapping.end).contains(&here) {
                assert!(mapping.execute && !mapping.write);
                found += 1;
            }
        });
        assert_eq!(found, 1);
    }
}
