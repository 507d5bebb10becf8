//! What is there when a page is first touched, and what a program hears of the rest.

use super::*;
use kernel::testing::{simulate_memory, simulate_memory_use};
use linux_raw_sys::general::{BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGSEGV};

fn signal(result: Result<(), Fault>) -> (u32, u32) {
    match result {
        Err(Fault::Signal { signal, code }) => (signal as u32, code as u32),
        other => panic!("no signal: {other:?}"),
    }
}

const MAPERR: (u32, u32) = (SIGSEGV, SEGV_MAPERR);
const ACCERR: (u32, u32) = (SIGSEGV, SEGV_ACCERR);

#[test]
fn faults_are_answered_as_the_processor_and_the_area_allow() {
    let memory = memory();
    let at = 0x10_0000_0000;
    let kinds = [NONE, READ, Access::WRITE, Access::EXECUTE, READ | Access::EXECUTE];
    for (index, access) in kinds.into_iter().enumerate() {
        let page = at + index * PAGE;
        memory.map(&fixed(page, 1, access)).unwrap();
        let may = |wanted| memory.fault(page, wanted).is_ok();
        assert_eq!(may(READ), access != NONE, "{access:?}");
        assert_eq!(may(Access::WRITE), access.contains(Access::WRITE), "{access:?}");
        assert_eq!(may(Access::EXECUTE), access.contains(Access::EXECUTE), "{access:?}");
    }
    assert_eq!(signal(memory.fault(at, READ)), ACCERR);
    assert_eq!(signal(memory.fault(at + PAGE, Access::WRITE)), ACCERR);
    assert_eq!(signal(memory.fault(at - 1, READ)), MAPERR);
    assert_eq!(signal(memory.fault(at + 5 * PAGE, READ)), MAPERR);
    assert_eq!(signal(memory.fault(usize::MAX, READ)), MAPERR);
    assert_eq!(signal(memory.fault(0, READ)), MAPERR);
}

#[test]
fn what_may_be_written_may_be_read_before_that() {
    let memory = memory();
    let at = 0x10_0000_0000;
    memory.map(&fixed(at, 2, Access::WRITE)).unwrap();
    assert_eq!(byte(&memory, at).unwrap(), 0);
    memory.write(at, b"a").unwrap();
    let child = memory.copy().unwrap();
    assert_eq!((byte(&memory, at).unwrap(), byte(&child, at).unwrap()), (b'a', b'a'));
    // A page that both have, of memory that becomes so.
    let other = room(&memory, PAGE);
    memory.write(other, b"b").unwrap();
    let child = memory.copy().unwrap();
    memory.protect(other, PAGE, Access::WRITE).unwrap();
    child.protect(other, PAGE, READ).unwrap();
    child.protect(other, PAGE, Access::WRITE).unwrap();
    assert_eq!((byte(&memory, other).unwrap(), byte(&child, other).unwrap()), (b'b', b'b'));
}

#[test]
fn what_is_only_read_takes_no_memory_until_it_is_written() {
    let memory = memory();
    let at = room(&memory, 3 * PAGE);
    let frame = |page| memory.space.borrow().frame(at + page * PAGE).unwrap().0.clone();
    memory.fault(at, READ).unwrap();
    memory.fault(at + PAGE, READ).unwrap();
    assert!(frame(0).same(&frame(1)));
    memory.fault(at + PAGE, Access::WRITE).unwrap();
    memory.write(at + 2 * PAGE, b"x").unwrap();
    let shared = |page| memory.space.borrow().frame(at + page * PAGE).unwrap().0.is_shared();
    assert!(!frame(0).same(&frame(1)));
    assert_eq!([shared(0), shared(1), shared(2)], [true, false, false]);
    memory.write(at, b"a").unwrap();
    assert_eq!((byte(&memory, at).unwrap(), byte(&memory, at + PAGE).unwrap()), (b'a', 0));
}

#[test]
fn a_copy_crosses_pages_and_stops_where_the_program_would() {
    let memory = memory();
    let at = 0x10_0000_0000;
    memory.map(&fixed(at, 2, RW)).unwrap();
    memory.map(&fixed(at + 2 * PAGE, 1, READ)).unwrap();
    memory.write(at + PAGE - 3, b"across").unwrap();
    let mut back = [0; 6];
    memory.read(at + PAGE - 3, &mut back).unwrap();
    assert_eq!(&back, b"across");
    assert_eq!(errno(memory.write(at + 2 * PAGE - 3, b"across")), Errno::EFAULT);
    assert_eq!(memory.text((at + PAGE - 3) as u64, 20).unwrap(), b"across");
    assert_eq!(errno(memory.text((at + PAGE - 3) as u64, 5)), Errno::ENAMETOOLONG);
    memory.write(at + PAGE, &[b'x'; PAGE]).unwrap();
    memory.unmap(at + 2 * PAGE, PAGE).unwrap();
    assert_eq!(errno(memory.text((at + PAGE) as u64, 10_000)), Errno::EFAULT);
    for wild in [usize::MAX, usize::MAX - 2, 0, kernel::user::TOP, 1 << 63, kernel::user::TOP - 2] {
        assert_eq!(errno(memory.read(wild, &mut [0; 4])), Errno::EFAULT);
        assert_eq!(errno(memory.write(wild, &[0; 4])), Errno::EFAULT);
    }
}

#[test]
fn pages_of_files_are_loaded_and_those_around_come_with_them() {
    let memory = memory();
    let numbers = Numbered::new(40 * PAGE as u64 - 7, 0);
    let mapped = file(&numbers, false);
    let at = 0x10_0000_0000;
    memory
        .map(&Request { at, place: Place::Fixed, ..of_file(&mapped, 64 * PAGE, READ, false) })
        .unwrap();
    let Err(Fault::Load(load)) = memory.fault(at + 20 * PAGE, READ) else { panic!("not loaded") };
    assert_eq!(load.index, 20);
    (0..40).for_each(|it| kernel::task::block_on(numbers.clone().load(it)).unwrap());
    memory.fault(at + 20 * PAGE + 5, READ).unwrap();
    assert_eq!(memory.resident(at..at + 64 * PAGE), 16);
    assert_eq!(memory.resident(at + 16 * PAGE..at + 32 * PAGE), 16);
    assert_eq!(byte(&memory, at + 39 * PAGE).unwrap(), 40);
    assert_eq!(byte(&memory, at + 40 * PAGE - 7).unwrap(), 0);
    assert_eq!(memory.resident(at..at + 64 * PAGE), 24);
    assert_eq!(signal(memory.fault(at + 40 * PAGE, READ)), (SIGBUS, BUS_ADRERR));
    assert_eq!(errno(byte(&memory, at + 40 * PAGE)), Errno::EFAULT);
}

#[test]
fn a_shared_map_writes_the_file_and_a_private_one_its_own_copy() {
    let memory = memory();
    let numbers = Numbered::new(2 * PAGE as u64, 2);
    let mapped = file(&numbers, true);
    let shared = memory.map(&of_file(&mapped, 2 * PAGE, RW, true)).unwrap();
    let private = memory.map(&of_file(&mapped, 2 * PAGE, RW, false)).unwrap();
    assert_eq!(byte(&memory, shared).unwrap(), 1);
    assert_eq!(byte(&memory, private).unwrap(), 1);
    assert!(numbers.dirty.borrow().is_empty());
    memory.write(shared, b"S").unwrap();
    memory.write(shared + PAGE, b"T").unwrap();
    assert_eq!(numbers.dirty.borrow().iter().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        (byte(&memory, private).unwrap(), byte(&memory, private + PAGE).unwrap()),
        (b'S', b'T')
    );
    memory.write(private, b"P").unwrap();
    assert_eq!((byte(&memory, private).unwrap(), byte(&memory, shared).unwrap()), (b'P', b'S'));
    // The second write after a change of protection is told as well.
    numbers.dirty.borrow_mut().clear();
    memory.protect(shared, PAGE, READ).unwrap();
    memory.protect(shared, PAGE, RW).unwrap();
    memory.write(shared, b"U").unwrap();
    assert_eq!(numbers.dirty.borrow().iter().copied().collect::<Vec<_>>(), [0]);
    numbers.sealed.set(true);
    memory.protect(shared, PAGE, READ).unwrap();
    memory.protect(shared, PAGE, RW).unwrap();
    assert_eq!(signal(memory.fault(shared, Access::WRITE)), ACCERR);
    numbers.sealed.set(false);
    numbers.full.set(true);
    assert_eq!(signal(memory.fault(shared, Access::WRITE)), (SIGBUS, BUS_ADRERR));
}

#[test]
fn what_a_file_loses_is_no_longer_there() {
    let memory = memory();
    let numbers = Numbered::new(4 * PAGE as u64, 4);
    let mapped = file(&numbers, true);
    let at = memory.map(&of_file(&mapped, 4 * PAGE, RW, false)).unwrap();
    (0..4).for_each(|it| memory.write(at + it * PAGE, b"own").unwrap());
    numbers.size.set(PAGE as u64 + 1);
    memory.forget(&(numbers.clone() as Rc<dyn Pages>), 2);
    assert_eq!(byte(&memory, at + PAGE).unwrap(), b'o');
    assert_eq!(signal(memory.fault(at + 2 * PAGE, READ)), (SIGBUS, BUS_ADRERR));
}

#[test]
fn a_stack_grows_to_its_limit_and_keeps_away_from_others() {
    let memory = memory();
    memory.set_limits(Limits { stack: 64 * PAGE, ..Limits::default() });
    let top = memory.map_stack().unwrap();
    memory.write(top - 8, b"argument").unwrap();
    assert_eq!(areas(&memory, top - 64 * PAGE, 64), ["31-64 rw-"]);
    memory.fault(top - 60 * PAGE, Access::WRITE).unwrap();
    assert_eq!(areas(&memory, top - 64 * PAGE, 64), ["4-64 rw-"]);
    assert_eq!(signal(memory.fault(top - 65 * PAGE, Access::WRITE)), MAPERR);
    memory.set_limits(Limits { stack: usize::MAX, ..Limits::default() });
    memory.map(&fixed(top - 400 * PAGE, 1, RW)).unwrap();
    memory.write(top - 143 * PAGE, b"x").unwrap();
    assert_eq!(errno(memory.write(top - 144 * PAGE, b"x")), Errno::EFAULT);
    let mut names = Vec::new();
    memory.each_area(&mut |view| names.push((view.range.end, view.name.to_vec())));
    assert_eq!(names[1], (top, b"[stack]".to_vec()));
    // No other map is put where it grows to.
    memory.map(&fixed(top, 1 << 20, NONE)).ok();
    let hint = Request { at: top - 145 * PAGE, ..Request::anonymous(PAGE, RW) };
    assert_ne!(memory.map(&hint), Ok(top - 145 * PAGE));
}

#[test]
fn a_program_that_takes_all_memory_is_told_so() {
    struct Cache(Cell<usize>);
    impl Reclaim for Cache {
        fn reclaim(&self, pages: usize) -> usize {
            self.0.set(self.0.get() + pages);
            simulate_memory_use(0);
            pages
        }

        fn pages(&self) -> usize {
            self.0.get()
        }
    }
    let memory = memory();
    let at = room(&memory, 4 * PAGE);
    memory.write(at, b"x").unwrap();
    simulate_memory(1 << 20);
    simulate_memory_use(1 << 20);
    assert!(matches!(memory.fault(at + PAGE, Access::WRITE), Err(Fault::OutOfMemory)));
    assert_eq!(errno(memory.write(at + PAGE, b"x")), Errno::ENOMEM);
    assert_eq!(memory.map(&Request::anonymous(PAGE, RW)), Err(Errno::ENOMEM));
    assert!(matches!(memory.copy(), Err(Errno::ENOMEM)));
    memory.write(at, b"y").unwrap();
    // A cache has something to give.
    let cache = Rc::new(Cache(0.into()));
    memory.ram().add(Rc::downgrade(&(cache.clone() as Rc<dyn Reclaim>)));
    memory.write(at + PAGE, b"x").unwrap();
    assert_eq!(cache.0.get(), 64);
}

#[test]
fn words_are_compared_and_exchanged_and_known_by_what_they_are() {
    let memory = memory();
    let at = room(&memory, PAGE) as u64;
    memory.store_u32(at + 8, 5).unwrap();
    assert_eq!(memory.compare_exchange_u32(at + 8, 4, 6).unwrap(), Err(5));
    assert_eq!(memory.compare_exchange_u32(at + 8, 5, 6).unwrap(), Ok(5));
    assert_eq!(memory.load_u32(at + 8).unwrap(), 6);
    assert_eq!(errno(memory.load_u32(at + 2)), Errno::EINVAL);
    assert_eq!(errno(memory.load_u32(8)), Errno::EFAULT);
    assert_eq!(errno(memory.load_u32(u64::MAX - 3)), Errno::EFAULT);
    assert_eq!(errno(memory.futex_key(at + 1, true)), Errno::EINVAL);
    assert_eq!(errno(memory.futex_key(8, false)), Errno::EFAULT);

    let request = Request { backing: Backing::Shared, ..Request::anonymous(2 * PAGE, RW) };
    let shared = memory.map(&request).unwrap() as u64;
    let numbers = Numbered::new(2 * PAGE as u64, 2);
    let mapped = file(&numbers, true);
    let of = |shared| memory.map(&of_file(&mapped, 2 * PAGE, RW, shared)).unwrap() as u64;
    let (one, other, own) = (of(true), of(true), of(false));
    let child = memory.copy().unwrap();
    let key = |memory: &Memory, at, private| memory.futex_key(at, private).unwrap();
    assert_eq!(key(&memory, one + 4, false), key(&memory, other + 4, false));
    assert_eq!(key(&memory, one + 4, false), key(&child, one + 4, false));
    assert_eq!(key(&memory, shared + 4, false), key(&child, shared + 4, false));
    assert_ne!(key(&memory, shared + 4, false), key(&memory, shared + 8, false));
    assert_ne!(key(&memory, one + 4, true), key(&memory, other + 4, true));
    assert_ne!(key(&memory, own, false), key(&child, own, false));
    assert_ne!(key(&memory, at, false), key(&child, at, false));
    assert_eq!(key(&memory, at, false), key(&memory, at, true));
}
