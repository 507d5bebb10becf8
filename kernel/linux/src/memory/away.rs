//! Takes pages of files away from programs, so that the caches of the files can give them up.

use super::Memory;
use super::area::{Area, Backing, Flags};
use heapless::Vec;
use kernel::user::{Access, PAGE, TOP};

/// Pages at a time.
const BATCH: usize = 64;

impl Memory {
    /// Takes about `most` pages that are as in their file, from where it ended last on. The program
    /// finds them again by a fault. None while something else changes the memory.
    pub(super) fn let_go(&self, most: usize) {
        let (Ok(areas), Ok(mut space)) = (self.areas.try_borrow(), self.space.try_borrow_mut())
        else {
            return;
        };
        let (from, mut left) = (self.hand.replace(0), most);
        for round in [from..TOP, 0..from] {
            for (start, area) in areas.within(round.clone()).filter(|it| is_as_file(it.1)) {
                let mut at = start.max(round.start);
                let end = area.end.min(round.end);
                while at < end && left > 0 {
                    let pages = space.pages(at..end).map(|(page, ..)| page);
                    let pages: Vec<usize, BATCH> = pages.take(BATCH.min(left)).collect();
                    let Some(&last) = pages.last() else { break };
                    space.unmap(at..last + 1);
                    at = last + PAGE;
                    left -= pages.len();
                }
                if left == 0 {
                    self.hand.set(at);
                    space.settle();
                    return;
                }
            }
        }
        space.settle();
    }
}

/// Whether all pages of an area are its file's, as they were read. Those that may be written are
/// known to be changed.
fn is_as_file(area: &Area) -> bool {
    let changes = match area.is_shared() {
        true => area.access.contains(Access::WRITE),
        false => area.own.get(),
    };
    matches!(area.backing, Backing::File(..)) && !changes && !area.flags.contains(Flags::LOCKED)
}
