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

/// Moves the pages within `range` to where `to` begins. On an error all are where they were.
pub(super) fn relocate(space: &mut Space, range: Range<usize>, to: usize) -> Result<(), Error> {
    let mut at = range.start;
    loop {
        let pages = addresses(space, at..range.end);
        for &page in &pages {
            if let Err(error) = relocate_one(space, page, to + (page - range.start)) {
                let back = to..to + (page - range.start);
                while let Some(&page) = addresses(space, back.clone()).first() {
                    // Its table is there.
                    let _ = relocate_one(space, page, range.start + (page - to));
                }
                return Err(error);
            }
        }
        match pages.last() {
            Some(&page) if pages.is_full() => at = page + 1,
            _ => return Ok(()),
        }
    }
}

fn relocate_one(space: &mut Space, from: usize, to: usize) -> Result<(), Error> {
    let Some((frame, access)) = space.frame(from) else { return Ok(()) };
    let frame = frame.clone();
    space.map(to, frame, access)?;
    drop(space.take(from));
    Ok(())
}

fn addresses(space: &Space, range: Range<usize>) -> Vec<usize, BATCH> {
    space.pages(range).map(|(page, ..)| page).take(BATCH).collect()
}
