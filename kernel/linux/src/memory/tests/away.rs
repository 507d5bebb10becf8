//! Pages of files that are taken from programs when there are no others.

use super::*;
use crate::stop::Load;
use kernel::testing::{simulate_memory, simulate_memory_use};

/// The cache of a file, which gives up what nobody has mapped, and then has memory free.
struct Cache(Rc<Numbered>);

impl Reclaim for Cache {
    fn reclaim(&self, pages: usize) -> usize {
        let gone = {
            let mut frames = self.0.frames.borrow_mut();
            frames.extract_if(.., |_, frame| !frame.is_shared()).take(pages).count()
        };
        if gone > 0 {
            simulate_memory_use(0);
        }
        gone
    }

    fn pages(&self) -> usize {
        self.0.frames.borrow().len()
    }
}

/// A memory that maps `PAGES` pages of a file at each of `AT`, and the cache of the file.
fn mapped(kinds: &[(Access, bool)]) -> (Rc<Memory>, Rc<Cache>) {
    let memory = Rc::new(memory());
    let numbers = Numbered::new((PAGES * PAGE) as u64, PAGES as u64);
    let mapped = file(&numbers, true);
    for (&at, &(access, shared)) in AT.iter().zip(kinds) {
        let request = of_file(&mapped, PAGES * PAGE, access, shared);
        memory.map(&Request { at, place: Place::Fixed, ..request }).unwrap();
    }
    let cache = Rc::new(Cache(numbers));
    memory.ram().add(Rc::downgrade(&(cache.clone() as Rc<dyn Reclaim>)));
    memory.ram().adopt(&memory).unwrap();
    (memory, cache)
}

const PAGES: usize = 100;
const AT: [usize; 4] = [0x10_0000_0000, 0x20_0000_0000, 0x30_0000_0000, 0x40_0000_0000];

fn there(memory: &Memory, at: usize) -> usize {
    memory.resident(at..at + PAGES * PAGE)
}

#[test]
fn pages_of_a_file_that_were_only_read_are_taken_for_others_and_come_back() {
    let (memory, cache) = mapped(&[(READ, false)]);
    let other = room(&memory, 2 * PAGE);
    (0..PAGES).for_each(|page| memory.fault(AT[0] + page * PAGE, READ).unwrap());
    assert_eq!(there(&memory, AT[0]), PAGES);
    simulate_memory(1 << 20);
    simulate_memory_use(1 << 20);
    memory.fault(other, Access::WRITE).unwrap();
    assert_eq!((there(&memory, AT[0]), cache.pages()), (0, PAGES - 64));
    let Err(Fault::Load(Load { index: 7, .. })) = memory.fault(AT[0] + 7 * PAGE, READ) else {
        panic!("what was given up is read again");
    };
    kernel::task::block_on(cache.0.clone().load(7)).unwrap();
    assert_eq!(byte(&memory, AT[0] + 7 * PAGE).unwrap(), 8);
    assert_eq!(byte(&memory, AT[0] + 99 * PAGE).unwrap(), 100, "the cache has it yet");
    // What is mapped again is kept, as it is little; what is not goes first.
    simulate_memory_use(1 << 20);
    memory.fault(other, Access::WRITE).unwrap();
    simulate_memory_use(1 << 20);
    assert!(matches!(memory.fault(other + PAGE, Access::WRITE), Err(Fault::OutOfMemory)));
    assert_eq!(there(&memory, AT[0]), 1 + 4);
}

#[test]
fn what_a_program_wrote_or_locked_is_not_taken() {
    let write = READ | Access::WRITE;
    let (memory, cache) = mapped(&[(write, false), (write, true), (READ, false), (READ, true)]);
    memory.lock(AT[2]..AT[2] + PAGES * PAGE, true).unwrap();
    for at in AT {
        (0..PAGES).for_each(|page| memory.fault(at + page * PAGE, READ).unwrap());
    }
    memory.write(AT[0] + 5 * PAGE, b"own").unwrap();
    memory.write(AT[1] + 5 * PAGE, b"all").unwrap();
    let child = Rc::new(memory.copy().unwrap());
    memory.ram().adopt(&child).unwrap();
    let other = room(&memory, PAGE);
    simulate_memory(1 << 20);
    simulate_memory_use(1 << 20);
    assert!(matches!(memory.fault(other, Access::WRITE), Err(Fault::OutOfMemory)));
    simulate_memory_use(0);
    assert_eq!(AT.map(|at| there(&memory, at)), [PAGES, PAGES, PAGES, 0]);
    assert_eq!(cache.pages(), PAGES);
    assert_eq!(byte(&memory, AT[0] + 5 * PAGE).unwrap(), b'o');
    assert_eq!(byte(&child, AT[0] + 5 * PAGE).unwrap(), b'o');
    assert_eq!(byte(&memory, AT[3] + 5 * PAGE).unwrap(), b'a');
}

/// Has little to give: memory is short then, but not low.
struct Few(Cell<usize>);

impl Reclaim for Few {
    fn reclaim(&self, _: usize) -> usize {
        simulate_memory_use((1 << 20) - (1 << 20) / 14);
        self.0.take()
    }

    fn pages(&self) -> usize {
        self.0.get()
    }
}

#[test]
fn what_caches_gave_suffices_where_memory_is_low_no_more() {
    let memory = memory();
    let cache = Rc::new(Few(Cell::new(9)));
    memory.ram().add(Rc::downgrade(&(cache.clone() as Rc<dyn Reclaim>)));
    simulate_memory(1 << 20);
    simulate_memory_use(1 << 20);
    assert!(memory.ram().has_room());
    assert_eq!(cache.pages(), 0);
}

/// Gives nothing until it has looked at all that it has, by 512 pages at once.
struct Slow(Cell<usize>, usize);

impl Reclaim for Slow {
    fn reclaim(&self, pages: usize) -> usize {
        self.0.update(|it| it + pages * 8);
        if self.0.get() < self.1 {
            return 0;
        }
        simulate_memory_use(0);
        1
    }

    fn pages(&self) -> usize {
        self.1
    }
}

#[test]
fn a_cache_is_asked_until_it_has_looked_at_all_that_it_has() {
    let memory = memory();
    let cache = Rc::new(Slow(Cell::new(0), 10_000));
    memory.ram().add(Rc::downgrade(&(cache.clone() as Rc<dyn Reclaim>)));
    simulate_memory(1 << 20);
    simulate_memory_use(1 << 20);
    assert!(memory.ram().has_room());
}

/// The cache of a file, which gives up one page at a time that nobody has mapped, and suffices then.
struct Eager(Rc<Numbered>);

impl Reclaim for Eager {
    fn reclaim(&self, _: usize) -> usize {
        let mut frames = self.0.frames.borrow_mut();
        let gone = frames.extract_if(.., |_, frame| !frame.is_shared()).take(1).count();
        if gone > 0 {
            simulate_memory_use(0);
        }
        gone
    }

    fn pages(&self) -> usize {
        self.0.frames.borrow().len()
    }
}

#[test]
fn a_page_that_was_read_for_a_fault_is_not_given_up_for_that_fault() {
    let memory = Rc::new(memory());
    let numbers = Numbered::new((PAGES * PAGE) as u64, PAGES as u64);
    let request = of_file(&file(&numbers, false), PAGES * PAGE, READ, false);
    memory.map(&Request { at: AT[0], place: Place::Fixed, ..request }).unwrap();
    let cache = Rc::new(Eager(numbers));
    memory.ram().add(Rc::downgrade(&(cache.clone() as Rc<dyn Reclaim>)));
    memory.ram().adopt(&memory).unwrap();
    simulate_memory(1 << 20);
    let wanted = AT[0] + 7 * PAGE;
    for by_a_call in [false, true] {
        simulate_memory_use(0);
        memory.let_go(PAGES);
        cache.0.frames.borrow_mut().remove(&7);
        for page in (0..PAGES).filter(|&page| page != 7) {
            if let Err(Fault::Load(load)) = memory.fault(AT[0] + page * PAGE, READ) {
                kernel::task::block_on(load.wait()).unwrap();
                memory.fault(AT[0] + page * PAGE, READ).unwrap();
            }
        }
        let mut rounds = 0;
        loop {
            let result = match by_a_call {
                false => memory.fault(wanted, READ).map_err(Stop::from),
                true => byte(&memory, wanted).map(|it| assert_eq!(it, 8)),
            };
            match result {
                Err(Stop::Load(load)) => kernel::task::block_on(load.wait()).unwrap(),
                result => break result.unwrap(),
            }
            rounds += 1;
            assert!(rounds < 4, "it is read again and again");
            // Short, but not low.
            simulate_memory_use((1 << 20) - (1 << 20) / 14);
        }
    }
    simulate_memory(0);
}
