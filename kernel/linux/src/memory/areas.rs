//! All areas of a process, by address: looked up, cut, merged, and the free places between them.

use super::area::{Area, Flags};
use alloc::collections::BTreeMap;
use core::ops::Range;
use kernel::user::PAGE;

/// Areas that a process may have (`vm.max_map_count`).
pub(super) const MOST: usize = 65_530;

/// What stays free below an area that grows down (`stack_guard_gap`).
pub(super) const GUARD: usize = 256 * PAGE;

/// The areas of a process. None overlaps another; neighbours that are equal are one.
#[derive(Default)]
pub(super) struct Areas {
    by_start: BTreeMap<usize, Area>,
    /// Bytes in all of them.
    pub(super) total: usize,
    /// Bytes that count for `RLIMIT_DATA`.
    pub(super) data: usize,
}

impl Areas {
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Returns whether there may be two more, which is what one change can add.
    pub(super) fn can_grow(&self) -> bool {
        self.len() + 2 <= MOST
    }

    /// Returns the area that holds `address`, and where it begins.
    pub(super) fn at(&self, address: usize) -> Option<(usize, &Area)> {
        self.below(address).filter(|(_, area)| address < area.end)
    }

    /// Returns the last area that begins at or below `address`.
    pub(super) fn below(&self, address: usize) -> Option<(usize, &Area)> {
        self.by_start.range(..=address).next_back().map(|(&start, area)| (start, area))
    }

    /// Returns the first area that begins above `address`.
    pub(super) fn above(&self, address: usize) -> Option<(usize, &Area)> {
        self.by_start.range(address + 1..).next().map(|(&start, area)| (start, area))
    }

    /// Returns all that have addresses within `range`, by ascending address.
    pub(super) fn within(&self, range: Range<usize>) -> impl Iterator<Item = (usize, &Area)> {
        let first = self.at(range.start).map_or(range.start, |(start, _)| start);
        let range = first..range.end.max(first);
        self.by_start.range(range).map(|(&start, area)| (start, area))
    }

    /// Returns whether no area has an address within `range`.
    pub(super) fn is_free(&self, range: Range<usize>) -> bool {
        self.within(range).next().is_none()
    }

    /// Returns how far `range` is covered from its start on without a hole: its end, if all is.
    pub(super) fn covered(&self, range: Range<usize>) -> usize {
        let mut reached = range.start;
        for (start, area) in self.within(range.clone()) {
            if start > reached {
                break;
            }
            reached = area.end.min(range.end);
        }
        reached
    }

    /// Returns how many bytes of `range` are in areas.
    pub(super) fn bytes(&self, range: Range<usize>) -> usize {
        let each = self.within(range.clone());
        each.map(|(start, area)| area.end.min(range.end) - start.max(range.start)).sum()
    }

    /// Returns the highest free place of `length` bytes within `range`, or the lowest.
    pub(super) fn gap(&self, length: usize, range: Range<usize>, highest: bool) -> Option<usize> {
        if highest {
            let mut end = range.end;
            for (start, area) in self.by_start.range(..range.end).rev() {
                if area.end < end && end - area.end >= length {
                    break;
                }
                end = end.min(guarded(*start, area));
                if end < range.start + length {
                    return None;
                }
            }
            return end.checked_sub(length).filter(|&at| at >= range.start);
        }
        let mut at = self.at(range.start).map_or(range.start, |(_, area)| area.end);
        for (start, area) in self.by_start.range(at..) {
            if guarded(*start, area).saturating_sub(at) >= length {
                break;
            }
            at = area.end;
        }
        (at + length <= range.end).then_some(at)
    }

    /// Adds `area`, whose place is free, and merges it with its neighbours where they are equal.
    pub(super) fn insert(&mut self, start: usize, area: Area) {
        self.count(start, &area);
        self.by_start.insert(start, area);
        self.merge(start);
        let end = self.at(start).map_or(start, |(_, area)| area.end);
        self.merge(end);
    }

    /// Removes all of `range`. What stands out of it stays.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        self.split(range.start);
        self.split(range.end);
        let gone = self.by_start.extract_if(range.start..range.end.max(range.start), |_, _| true);
        let (mut total, mut data) = (0, 0);
        for (start, area) in gone {
            total += area.end - start;
            data += if area.is_data() { area.end - start } else { 0 };
        }
        self.total -= total;
        self.data -= data;
    }

    /// Changes all areas within `range`, each of which is cut at its ends, and merges what is
    /// equal after that.
    pub(super) fn change(&mut self, range: Range<usize>, mut change: impl FnMut(&mut Area)) {
        self.split(range.start);
        self.split(range.end);
        let mut data = self.data;
        for (start, area) in self.by_start.range_mut(range.clone()) {
            let length = area.end - start;
            data -= if area.is_data() { length } else { 0 };
            change(area);
            data += if area.is_data() { length } else { 0 };
        }
        self.data = data;
        // From the end, as merging removes the upper of two.
        let mut last = range.end;
        while let Some((&start, _)) = self.by_start.range(range.start..=last).next_back() {
            self.merge(start);
            if start == range.start {
                break;
            }
            last = start - 1;
        }
    }

    /// Moves where the area at `start` begins down to `to`.
    pub(super) fn grow_down(&mut self, start: usize, to: usize) {
        let Some(area) = self.by_start.remove(&start) else { return };
        let more = start - to;
        self.total += more;
        self.data += if area.is_data() { more } else { 0 };
        self.by_start.insert(to, area);
        self.merge(to);
    }

    /// Returns each by ascending address.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Area)> {
        self.by_start.iter().map(|(&start, area)| (start, area))
    }

    fn count(&mut self, start: usize, area: &Area) {
        self.total += area.end - start;
        self.data += if area.is_data() { area.end - start } else { 0 };
    }

    /// Makes `at` a boundary, if it is within an area.
    fn split(&mut self, at: usize) {
        let Some((&start, area)) = self.by_start.range_mut(..at).next_back() else { return };
        if area.end <= at {
            return;
        }
        let mut upper = area.clone();
        upper.backing = area.backing.at(at - start);
        area.end = at;
        self.by_start.insert(at, upper);
    }

    /// Makes the area that begins at `at` one with that which ends there, if they are equal.
    fn merge(&mut self, at: usize) {
        let Some(upper) = self.by_start.get(&at) else { return };
        let Some((&start, lower)) = self.by_start.range(..at).next_back() else { return };
        if lower.end != at || !lower.continues(start, upper) {
            return;
        }
        let Some(upper) = self.by_start.remove(&at) else { return };
        if let Some(lower) = self.by_start.get_mut(&start) {
            lower.end = upper.end;
            lower.own.set(lower.own.get() || upper.own.get());
        }
    }
}

/// Returns the first address that nothing is mapped to of itself: below it an area begins, or is
/// room to grow.
fn guarded(start: usize, area: &Area) -> usize {
    match area.flags.contains(Flags::GROWS_DOWN) {
        true => start.saturating_sub(GUARD),
        false => start,
    }
}
