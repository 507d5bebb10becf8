//! The live page tables, looked through.

use crate::Verdict;
use kernel::memory::mappings;

/// Judges them: `code` is the address of some function of the image, and `held` bytes of
/// the heap are in use.
pub fn walk(code: usize, held: usize) -> Verdict {
    let (mut count, mut ranges, mut bytes, mut bad) = (0, 0, 0, None);
    let mut copies = 0;
    mappings(|mapping| {
        count += 1;
        bytes += mapping.end - mapping.start;
        if mapping.write && mapping.execute {
            bad = Some("a page is writable and executable");
        }
        if mapping.start < 4096 {
            bad = Some("page 0 is mapped");
        }
        if mapping.execute {
            ranges += 1;
            if !(mapping.start..mapping.end).contains(&code) {
                bad = Some("something that is not code is executable");
            }
        }
        if mapping.write {
            copies += copies_of(code, mapping.start..mapping.end);
        }
    });
    kernel::println!("protection: {count} ranges, {bytes} bytes");
    match bad {
        Some(bad) => Verdict::Fail(bad),
        None if ranges != 1 => Verdict::Fail("code is not one range"),
        None if copies != 0 => Verdict::Fail("code can be written at another address"),
        None if bytes < held => Verdict::Fail("the heap is missing"),
        None => Verdict::Pass,
    }
}

/// How many pages of `range` hold what the page of `code` does, where it is.
#[allow(clippy::undocumented_unsafe_blocks, reason = "a test reads what is mapped")]
fn copies_of(code: usize, range: core::ops::Range<usize>) -> usize {
    let length = 32.min(4096 - code % 4096);
    let bytes =
        |at: usize| (at..at + length).map(|at| unsafe { (at as *const u8).read_volatile() });
    range.step_by(4096).filter(|page| bytes(page + code % 4096).eq(bytes(code))).count()
}
