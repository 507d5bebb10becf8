//! Calls in any order, beside a model that knows each page by itself.

use super::*;
use alloc::collections::BTreeMap;
use core::ops::Range;

/// Where it all happens, and over how many pages.
const AT: usize = 0x10_0000_0000;
const PAGES: usize = 48;

/// A page: what may be done with it, and its first byte.
type Model = BTreeMap<usize, (Access, u8)>;

struct Random(u64);

impl Random {
    /// A number below `limit` (xorshift64*).
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn access(&mut self) -> Access {
        [NONE, READ, RW, RW, READ | Access::EXECUTE][self.below(5)]
    }

    /// A range of pages, of at least one.
    fn range(&mut self) -> Range<usize> {
        let start = self.below(PAGES);
        start..(start + 1 + self.below(8)).min(PAGES)
    }
}

/// Compares each page, and that neighbours that could be one area are one.
fn compare(memory: &Memory, model: &Model, what: &str) {
    let mut seen = BTreeMap::new();
    let mut last: Option<(usize, Access)> = None;
    let (mut total, mut data) = (0, 0);
    memory.each_area(&mut |view| {
        assert!(last.is_none_or(|it| it != (view.range.start, view.access)), "{what}: not merged");
        last = Some((view.range.end, view.access));
        total += view.range.len();
        data += if view.access.contains(Access::WRITE) { view.range.len() } else { 0 };
        for page in view.range.clone().step_by(PAGE) {
            seen.insert((page - AT) / PAGE, view.access);
        }
    });
    let expected: BTreeMap<_, _> =
        model.iter().map(|(page, (access, _))| (*page, *access)).collect();
    assert_eq!(seen, expected, "{what}");
    let usage = memory.usage();
    assert_eq!((usage.address_space, usage.data), (total, data), "{what}");
    for page in 0..PAGES {
        let found = byte(memory, AT + page * PAGE).ok();
        let readable = model.get(&page).filter(|(access, _)| *access != NONE);
        assert_eq!(found, readable.map(|it| it.1), "{what}: page {page}");
    }
}

fn step(memory: &Memory, model: &mut Model, random: &mut Random) -> String {
    let range = random.range();
    let (at, length) = (AT + range.start * PAGE, range.len() * PAGE);
    let all = range.clone().all(|page| model.contains_key(&page));
    match random.below(8) {
        0 | 1 => {
            let access = random.access();
            memory.map(&fixed(at, range.len(), access)).unwrap();
            model.extend(range.clone().map(|page| (page, (access, 0))));
            format!("map {range:?} {access:?}")
        }
        2 => {
            memory.unmap(at, length).unwrap();
            model.retain(|page, _| !range.contains(page));
            format!("unmap {range:?}")
        }
        3 => {
            let access = random.access();
            assert_eq!(memory.protect(at, length, access).is_ok(), all);
            let first = range.clone().take_while(|page| model.contains_key(page)).last();
            for page in first.map_or(0..0, |last| range.start..last + 1) {
                model.get_mut(&page).unwrap().0 = access;
            }
            format!("protect {range:?} {access:?}")
        }
        4 => {
            assert_eq!(memory.advise(at..at + length, Advice::DontNeed).is_ok(), all);
            model.range_mut(range.clone()).for_each(|(_, page)| page.1 = 0);
            format!("advise {range:?}")
        }
        5 => {
            let to = random.below(PAGES + 1 - range.len());
            let apart = to + range.len() <= range.start || to >= range.end;
            let access = model.get(&range.start).map(|it| it.0);
            let one = all && range.clone().all(|page| Some(model[&page].0) == access);
            let place = Move::To(AT + to * PAGE);
            let moved = memory.remap(at, length, length, place);
            if apart && model.contains_key(&range.start) {
                let target = to..to + range.len();
                model.retain(|page, _| !target.contains(page));
                if one {
                    for page in range.clone() {
                        let kept = model.remove(&page).unwrap();
                        model.insert(page - range.start + to, kept);
                    }
                }
            }
            assert_eq!(moved.is_ok(), one && apart);
            format!("remap {range:?} to {to}")
        }
        _ => {
            let value = random.below(256) as u8;
            for page in range.clone() {
                let may = model.get(&page).is_some_and(|it| it.0.contains(Access::WRITE));
                assert_eq!(memory.write(AT + page * PAGE, &[value]).is_ok(), may);
                if may {
                    model.get_mut(&page).unwrap().1 = value;
                }
            }
            format!("write {range:?} {value}")
        }
    }
}

#[test]
fn any_order_of_calls_does_what_each_page_says() {
    for seed in 1..20 {
        let mut random = Random(seed << 32 | 0x9E37_79B9);
        let memory = memory();
        let mut model = Model::new();
        let mut family: Vec<(Memory, Model)> = Vec::new();
        for number in 0..400 {
            let what = step(&memory, &mut model, &mut random);
            compare(&memory, &model, &format!("seed {seed}, {number}: {what}"));
            if random.below(20) == 0 {
                family.push((memory.copy().unwrap(), model.clone()));
            }
            // A child goes its own way.
            let children = family.len();
            if children > 0 {
                let (child, model) = &mut family[random.below(children)];
                let what = step(child, model, &mut random);
                compare(child, model, &format!("seed {seed}, {number}, child: {what}"));
            }
            if children > 4 {
                family.remove(random.below(children));
            }
        }
        for (child, model) in &family {
            compare(child, model, &format!("seed {seed}, at the end"));
        }
    }
}
