//! Tells what the machine's memory is used for.
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
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::vec::Vec;

/// Where memory goes now. On Linux, where the heap is the system's, zeros.
#[must_use]
pub fn stats() -> Stats {
    machine::memory_stats()
}

/// Whether less than a sixteenth of the memory is left. Whoever serves others should
/// begin nothing new then: the rest is for what is under way, which cannot all be told
/// that there is none (rule S8). Never on Linux.
#[must_use]
pub fn is_low() -> bool {
    falls_below(16)
}

/// Whether less than an eighth of the memory is left. Whoever serves others should close
/// what is idle then, before memory [is low](is_low) and new ones are turned away. Never on
/// Linux.
#[must_use]
pub fn is_scarce() -> bool {
    falls_below(8)
}

/// Whether less than this part of the memory is left: exactly only where it may be so, as
/// servers ask with every request.
fn falls_below(part: usize) -> bool {
    let (total, least) = machine::memory_left();
    least < total / part && left(&stats(), part)
}

/// Whether less than this part of the memory is left.
const fn left(stats: &Stats, part: usize) -> bool {
    let unmapped = stats.total.saturating_sub(stats.mapped);
    unmapped + stats.heap.saturating_sub(stats.allocated) < stats.total / part
}

/// `length` zeros; nothing when there is no memory for them. `Vec::resize`, in code that
/// is to be small, spends five instructions on each byte.
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
    // SAFETY: the global allocator gave them, as many, aligned for bytes, and initialised.
    Some(unsafe { Vec::from_raw_parts(bytes, length, length) })
}

/// Tells `each` what is mapped, by address, as the processor sees it. Slow:
/// for tests and for looking into a running machine.
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
    use super::{Stats, left, zeroed};

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
    fn a_sixteenth_is_kept_for_what_is_under_way_s8() {
        let all = Stats { total: 4096, mapped: 2048, heap: 1024, ..Stats::default() };
        let low = |stats: &Stats| left(stats, 16);
        assert!(!low(&all));
        assert!(!low(&Stats { mapped: 4096, allocated: 768, ..all }));
        assert!(low(&Stats { mapped: 4096, allocated: 769, ..all }));
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
