//! When each of many things is due next: a heap in which an entry can be moved.

use alloc::vec::Vec;
use kernel::time::Instant;

/// The place of what has no deadline.
const NOWHERE: u32 = u32::MAX;

/// The deadlines of things that have numbers, one each.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// Each is due no later than the two at twice its place.
    heap: Vec<(Instant, u32)>,
    /// Where each thing stands in the heap.
    places: Vec<u32>,
}

impl Deadlines {
    /// Whether the things below this number may have deadlines without more memory.
    pub(super) fn reserve(&mut self, things: usize) -> bool {
        let (heap, places) = (self.heap.len(), self.places.len());
        self.heap.try_reserve(things.saturating_sub(heap)).is_ok()
            && self.places.try_reserve(things.saturating_sub(places)).is_ok()
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Sees to it that thing `id` is due at `at` or earlier. An earlier deadline stays:
    /// whoever is told too early asks again, and most deadlines move on with every packet.
    pub(super) fn arm(&mut self, id: u32, at: Instant) {
        let index = id as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, NOWHERE);
        }
        let place = self.places[index] as usize;
        match self.heap.get_mut(place) {
            Some((old, _)) if *old <= at => {}
            Some((old, _)) => {
                *old = at;
                self.rise(place);
            }
            None => {
                self.heap.push((at, id));
                self.rise(self.heap.len() - 1);
            }
        }
    }

    /// Takes out one that is due at `now`.
    pub(super) fn take(&mut self, now: Instant) -> Option<u32> {
        let &(at, id) = self.heap.first()?;
        (at <= now).then(|| {
            self.remove(id);
            id
        })
    }

    /// Forgets the deadline of `id`.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(place) = self.places.get_mut(id as usize) else { return };
        let place = core::mem::replace(place, NOWHERE) as usize;
        if place >= self.heap.len() {
            return;
        }
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.rise(place);
            self.sink(self.places[self.heap[place].1 as usize] as usize);
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.places[self.heap[one].1 as usize] = one as u32;
        self.places[self.heap[other].1 as usize] = other as u32;
    }

    /// Moves the one at `place` up to where it belongs.
    fn rise(&mut self, mut place: usize) {
        self.places[self.heap[place].1 as usize] = place as u32;
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].0 <= self.heap[place].0 {
                break;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    /// Moves the one at `place` down to where it belongs.
    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let first = match (self.heap.get(left), self.heap.get(right)) {
                (Some((one, _)), Some((other, _))) if other < one => right,
                (Some(_), _) => left,
                (None, _) => return,
            };
            if self.heap[place].0 <= self.heap[first].0 {
                return;
            }
            self.swap(place, first);
            place = first;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use core::time::Duration;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_due_comes_in_order_whatever_moved_or_went() {
        kernel::testing::simulate_time();
        let (begin, mut random) = (Instant::now(), 1_u64);
        let mut deadlines = Deadlines::default();
        let mut model = BTreeMap::<u32, Instant>::new();
        for _ in 0..20_000 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let (id, what) = ((random >> 33) as u32 % 100, random >> 60);
            let at = begin.saturating_add(Duration::from_micros(random >> 40 & 0xffff));
            match what {
                0..10 => {
                    deadlines.arm(id, at);
                    let earlier = model.entry(id).or_insert(at);
                    *earlier = at.min(*earlier);
                }
                10..13 => {
                    deadlines.remove(id);
                    model.remove(&id);
                }
                _ => {
                    let first = model.values().min().copied();
                    assert_eq!(deadlines.next(), first);
                    let taken = deadlines.take(at);
                    assert_eq!(taken.is_some(), first.is_some_and(|first| first <= at));
                    if let Some(taken) = taken {
                        assert_eq!(model.remove(&taken), first);
                    }
                }
            }
        }
        while let Some(at) = deadlines.next() {
            assert_eq!(model.remove(&deadlines.take(at).unwrap()), Some(at));
        }
        assert!(model.is_empty());
    }
}
