//! Changes many pages of an address space, a few at a time.

use core::ops::Range;
use heapless::Vec;
use kernel::user::{Access, Error, Frame, Space};

/// Pages at a time.
const BATCH: usize = 64;

/// Changes the access of each page within `range` to what `choose` returns.
pub(super) fn set_access(
    space: &mut Space,
    range: Range<usize>,
    choose: impl Fn(&Frame, Access) -> Access,
) -> Result<(), Error> {
    let mut at = range.start;
    loop {
        let mut changes = Vec::<(usize, Access), BATCH>::new();
        for (page, frame, access) in space.pages(at..range.end) {
            let new = choose(frame, access);
            if new != access && changes.push((page, new)).is_err() {
                break;
            }
        }
        for &(page, access) in &changes {
            space.set_access(page, access)?;
        }
        match changes.last() {
            Some(&(page, _)) if changes.is_full() => at = page + 1,
            _ => return Ok(()),
        }
    }
}
