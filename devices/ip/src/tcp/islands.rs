//! What arrived behind a gap: which sequence numbers, and which of them to tell of first
//! (RFC 2018, section 4).

use super::seq::{Range, Seq};
use alloc::vec::Vec;

/// Islands that are held at most, and how many bytes of window allow for one, above some.
const MOST: usize = 1024;
const EACH: u32 = 512;
const SOME: usize = 16;

/// Changes that are remembered: more than an acknowledgement has blocks, since islands merge.
const RECENT: usize = 8;

/// Ranges of sequence numbers that arrived out of order: apart from each other, the first
/// first. They are of one window, so that any two can be compared.
#[derive(Debug, Default)]
pub(crate) struct Islands {
    ranges: Vec<Range>,
    /// A number of each island that changed last, the newest first.
    recent: heapless::Vec<Seq, RECENT>,
}

/// What a range is to islands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// All of it is in one.
    Within,
    /// It touches some, or overlaps them.
    Beside,
    /// It would be one more.
    Apart,
    /// It would be one more than may be.
    Beyond,
}

impl Islands {
    pub(crate) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Returns what a range that is not empty is to them, and the first part of it that they
    /// hold already (RFC 2883, section 4: "the first duplicate contiguous sequence"). A
    /// `window` of so many bytes bounds how many there may be; memory does, too.
    pub(crate) fn place(&mut self, range: Range, window: u32) -> (Place, Option<Range>) {
        let (first, behind) = self.touched(range);
        let touched = self.ranges.get(first..behind).unwrap_or_default();
        let common = |it: &Range| Range::new(it.start.max(range.start), it.end.min(range.end));
        let duplicate = touched.iter().map(common).find(|it| !it.is_empty());
        let place = if touched.first().is_some_and(|it| it.contains(range)) {
            Place::Within
        } else if !touched.is_empty() {
            Place::Beside
        } else if self.ranges.len() < MOST.min((window / EACH) as usize + SOME)
            && self.ranges.try_reserve(1).is_ok()
        {
            Place::Apart
        } else {
            Place::Beyond
        };
        (place, duplicate)
    }

    /// Adds a range that is not empty, and for whose [place](Self::place) there is room.
    pub(crate) fn insert(&mut self, range: Range) {
        let (first, behind) = self.touched(range);
        let last = behind.wrapping_sub(1);
        if first == behind {
            if self.ranges.try_reserve(1).is_ok() {
                self.ranges.insert(first, range);
            }
        } else if let Some(end) = self.ranges.get(last).map(|it| it.end)
            && let Some(it) = self.ranges.get_mut(first)
        {
            *it = Range::new(it.start.min(range.start), end.max(range.end));
            self.ranges.drain(first + 1..behind);
        }
        self.touch(range.start);
    }

    /// Remembers that of all islands the one with this number was the last to be hit.
    pub(crate) fn touch(&mut self, number: Seq) {
        let Some(island) = self.with(number) else { return };
        self.recent.retain(|&it| it.is_before(island.start) || !it.is_before(island.end));
        if self.recent.is_full() {
            self.recent.pop();
        }
        // There is room.
        let _ = self.recent.insert(0, number);
    }

    /// Removes those that begin at `next` or before it. Returns where the last one of them ends,
    /// or `next` when that is further.
    pub(crate) fn join(&mut self, next: Seq) -> Seq {
        let mut end = next;
        let mut count = 0;
        while let Some(it) = self.ranges.get(count)
            && !it.start.is_after(end)
        {
            end = end.max(it.end);
            count += 1;
        }
        self.ranges.drain(..count);
        if self.ranges.is_empty() {
            self.clear();
        }
        end
    }

    pub(crate) fn clear(&mut self) {
        self.recent.clear();
        self.ranges.clear();
        if self.ranges.capacity() > SOME {
            self.ranges = Vec::new();
        }
    }

    /// Puts islands behind what `out` has until it has `most`: that which changed last first,
    /// then those before (RFC 2018, section 4), then the first ones.
    pub(crate) fn newest(&self, out: &mut heapless::Vec<Range, 4>, most: usize) {
        let told = out.len();
        let recent = self.recent.iter().filter_map(|&number| self.with(number));
        for range in recent.chain(self.ranges.iter().copied()) {
            if out.len() >= most {
                break;
            }
            if !out.iter().skip(told).any(|it| *it == range) && out.push(range).is_err() {
                break;
            }
        }
    }

    /// Returns the island with that number.
    fn with(&self, number: Seq) -> Option<Range> {
        let at = self.ranges.partition_point(|it| !it.end.is_after(number));
        self.ranges.get(at).copied().filter(|it| !it.start.is_after(number))
    }

    /// Returns which ones `range` touches or overlaps: from the first to before the second.
    fn touched(&self, range: Range) -> (usize, usize) {
        let first = self.ranges.partition_point(|it| it.end.is_before(range.start));
        let from = self.ranges.get(first..).unwrap_or_default();
        (first, first + from.partition_point(|it| !it.start.is_after(range.end)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::tests::Numbers;
    use super::*;

    const WINDOW: u32 = 1 << 16;

    fn range(start: u32, end: u32) -> Range {
        // Around the end of numbers.
        let zero = Seq(u32::MAX - 1000);
        Range::new(zero + start, zero + end)
    }

    fn islands(ranges: &[(u32, u32)]) -> Islands {
        let mut islands = Islands::default();
        ranges.iter().for_each(|&(start, end)| islands.insert(range(start, end)));
        islands
    }

    fn told(islands: &Islands, most: usize) -> heapless::Vec<Range, 4> {
        let mut out = heapless::Vec::new();
        islands.newest(&mut out, most);
        out
    }

    #[test]
    fn those_that_touch_are_one() {
        for (more, all) in [
            ((30, 40), &[(10, 20), (30, 40), (50, 60), (80, 90)][..]),
            ((20, 30), &[(10, 30), (50, 60), (80, 90)]),
            ((20, 50), &[(10, 60), (80, 90)]),
            ((0, 10), &[(0, 20), (50, 60), (80, 90)]),
            ((15, 55), &[(10, 60), (80, 90)]),
            ((0, 100), &[(0, 100)]),
            ((55, 58), &[(10, 20), (50, 60), (80, 90)]),
            ((90, 91), &[(10, 20), (50, 60), (80, 91)]),
            ((1500, 1600), &[(10, 20), (50, 60), (80, 90), (1500, 1600)]),
        ] {
            let islands = islands(&[(50, 60), (10, 20), (80, 90), more]);
            assert!(islands.ranges.iter().eq(islands_of(all).iter()), "{more:?}: {islands:?}");
        }
    }

    fn islands_of(all: &[(u32, u32)]) -> Vec<Range> {
        all.iter().map(|&(start, end)| range(start, end)).collect()
    }

    #[test]
    fn a_range_is_placed_and_its_first_duplicate_part_found() {
        let mut islands = islands(&[(10, 20), (30, 40)]);
        for ((start, end), place, duplicate) in [
            ((12, 15), Place::Within, Some((12, 15))),
            ((10, 20), Place::Within, Some((10, 20))),
            ((15, 25), Place::Beside, Some((15, 20))),
            ((5, 35), Place::Beside, Some((10, 20))),
            ((20, 35), Place::Beside, Some((30, 35))),
            ((20, 30), Place::Beside, None),
            ((22, 28), Place::Apart, None),
        ] {
            let duplicate = duplicate.map(|(start, end)| range(start, end));
            assert_eq!(islands.place(range(start, end), WINDOW), (place, duplicate));
        }
    }

    #[test]
    fn the_window_bounds_how_many_there_are_t3() {
        for (window, most) in [(0, 16), (WINDOW, 144), (1 << 30, MOST)] {
            let mut islands = Islands::default();
            let mut start = 0;
            while islands.place(range(start, start + 1), window).0 == Place::Apart {
                islands.insert(range(start, start + 1));
                start += 2;
            }
            assert_eq!(islands.len(), most);
            assert_eq!(islands.place(range(9, 10), window).0, Place::Beside);
            islands.insert(range(9, 10));
            assert_eq!(islands.len(), most - 1);
            islands.clear();
            assert!(islands.is_empty() && islands.ranges.capacity() <= SOME);
        }
    }

    #[test]
    fn the_one_that_changed_last_is_told_first() {
        let mut islands = islands(&[(10, 20), (70, 80), (30, 40), (50, 60), (90, 95)]);
        let ranges = |all: &[(u32, u32)]| islands_of(all);
        assert_eq!(told(&islands, 4), *ranges(&[(90, 95), (50, 60), (30, 40), (70, 80)]));
        islands.touch(range(15, 16).start);
        assert_eq!(told(&islands, 3), *ranges(&[(10, 20), (90, 95), (50, 60)]));
        // What is said before them counts, and does not stand for one of them.
        let mut out = heapless::Vec::from_slice(&ranges(&[(10, 20)])).unwrap();
        islands.newest(&mut out, 2);
        assert_eq!(out, *ranges(&[(10, 20), (10, 20)]));
        islands.insert(range(60, 70));
        assert_eq!(told(&islands, 4), *ranges(&[(50, 80), (10, 20), (90, 95), (30, 40)]));
        // One that changes with each packet does not push the others out.
        for end in 96..120 {
            islands.insert(range(end - 1, end));
        }
        assert_eq!(told(&islands, 4).len(), 4);
        assert_eq!(islands.join(range(0, 30).end), range(0, 40).end);
        assert_eq!(told(&islands, 4), *ranges(&[(90, 119), (50, 80)]));
        assert_eq!(islands.join(range(0, 119).end), range(0, 119).end);
        assert!(islands.is_empty() && told(&islands, 4).is_empty());
    }

    #[test]
    fn they_are_as_a_set_of_numbers_is() {
        for seed in 0..100 {
            let mut numbers = Numbers(seed);
            let (mut islands, mut set, mut next) = (Islands::default(), [false; 2200], 0);
            for step in 0..100 {
                if numbers.below(5) == 0 {
                    let to = (next + numbers.below(300)).min(2000);
                    let end = islands.join(range(0, to as u32).end);
                    next = to + set[to..].iter().take_while(|it| **it).count();
                    set[..next].fill(false);
                    assert_eq!(end, range(0, next as u32).end, "seed {seed}, step {step}");
                }
                if next > 2000 {
                    break;
                }
                let start = next + 1 + numbers.below(2001 - next);
                let end = start + 1 + numbers.below(60);
                let new = range(start as u32, end as u32);
                let (place, duplicate) = islands.place(new, WINDOW);
                let here = &set[start..end];
                let first = here.iter().position(|it| *it);
                let count = first.map_or(0, |at| here[at..].iter().take_while(|it| **it).count());
                assert_eq!(duplicate.map_or(0, Range::len), count as u32);
                let at = first.map(|at| range((start + at) as u32, 0).start);
                assert_eq!(duplicate.map(|it| it.start), at);
                assert_eq!(place == Place::Within, here.iter().all(|it| *it));
                islands.insert(new);
                set[start..end].fill(true);
                let edges: Vec<usize> =
                    (1..set.len()).filter(|&at| set[at - 1] != set[at]).collect();
                let edge = |at: usize| range(at as u32, 0).start;
                let model = edges.chunks(2).map(|it| Range::new(edge(it[0]), edge(it[1])));
                assert!(islands.ranges.iter().copied().eq(model), "seed {seed}, step {step}");
                let told = told(&islands, 4);
                assert!(told[0].contains(new) && told.len() == islands.len().min(4));
            }
        }
    }
}
