//! mmap(2), munmap(2), mprotect(2), brk(2): which areas there are after them.

use super::*;
use kernel::user::TOP;

#[test]
fn neighbours_that_are_equal_are_one_area_and_a_change_cuts_them() {
    let memory = memory();
    let at = room(&memory, 4 * PAGE);
    memory.map(&fixed(at + 4 * PAGE, 4, RW)).unwrap();
    assert_eq!(areas(&memory, at, 8), ["0-8 rw-"]);
    memory.protect(at + 2 * PAGE, 3 * PAGE, READ).unwrap();
    assert_eq!(areas(&memory, at, 8), ["0-2 rw-", "2-5 r--", "5-8 rw-"]);
    memory.protect(at + 3 * PAGE, PAGE, NONE).unwrap();
    assert_eq!(areas(&memory, at, 8), ["0-2 rw-", "2-3 r--", "3-4 ---", "4-5 r--", "5-8 rw-"]);
    memory.protect(at, 8 * PAGE, RW).unwrap();
    assert_eq!(areas(&memory, at, 8), ["0-8 rw-"]);
    memory.unmap(at + PAGE, 2 * PAGE).unwrap();
    assert_eq!(areas(&memory, at, 8), ["0-1 rw-", "3-8 rw-"]);
    memory.unmap(at, 8 * PAGE).unwrap();
    assert_eq!(areas(&memory, at, 8), [""; 0]);
    assert_eq!(memory.usage().address_space, 0);
}

#[test]
fn maps_go_downwards_into_the_highest_place_that_is_large_enough() {
    let memory = memory();
    let first = room(&memory, 4 * PAGE);
    let second = room(&memory, PAGE);
    assert_eq!(second, first - PAGE);
    let third = room(&memory, 3 * PAGE);
    memory.unmap(second, PAGE).unwrap();
    assert_eq!(room(&memory, 2 * PAGE), third - 2 * PAGE);
    assert_eq!(memory.find(PAGE), Ok(second));
    assert_eq!(room(&memory, PAGE), second);
}

#[test]
fn a_place_may_be_wished_for_and_a_fixed_one_replaces_what_is_there() {
    let memory = memory();
    let at = 0x10_0000_0000;
    let hint = |at| Request { at, ..Request::anonymous(PAGE, RW) };
    assert_eq!(memory.map(&hint(at + PAGE + 1)), Ok(at + PAGE), "that page");
    assert_ne!(memory.map(&hint(at + PAGE)), Ok(at + PAGE));
    memory.write(at + PAGE, b"old").unwrap();
    assert_eq!(memory.map(&fixed(at, 3, RW)), Ok(at));
    assert_eq!(byte(&memory, at + PAGE).unwrap(), 0);
    let new = Request { place: Place::FixedNoReplace, ..fixed(at + 2 * PAGE, 2, RW) };
    assert_eq!(memory.map(&new), Err(Errno::EEXIST));
    let new = Request { place: Place::FixedNoReplace, ..fixed(at + 3 * PAGE, 2, RW) };
    assert_eq!(memory.map(&new), Ok(at + 3 * PAGE));
    let low = Request { place: Place::Low, ..Request::anonymous(PAGE, RW) };
    assert!(memory.map(&low).unwrap() < 1 << 31);
}

#[test]
fn what_cannot_be_mapped_is_refused() {
    let memory = memory();
    assert_eq!(memory.map(&Request::anonymous(0, RW)), Err(Errno::EINVAL));
    assert_eq!(memory.map(&Request::anonymous(usize::MAX, RW)), Err(Errno::ENOMEM));
    assert_eq!(memory.map(&Request::anonymous(TOP + 1, RW)), Err(Errno::ENOMEM));
    assert_eq!(memory.map(&fixed(PAGE + 1, 1, RW)), Err(Errno::EINVAL));
    assert_eq!(memory.map(&fixed(TOP, 1, RW)), Err(Errno::ENOMEM));
    assert_eq!(memory.map(&fixed(usize::MAX / PAGE * PAGE, 1, RW)), Err(Errno::ENOMEM));
    assert_eq!(memory.map(&fixed(TOP - PAGE, 1, RW)), Ok(TOP - PAGE));
    assert_eq!(memory.unmap(PAGE + 1, PAGE), Err(Errno::EINVAL));
    assert_eq!(memory.unmap(PAGE, 0), Err(Errno::EINVAL));
    assert_eq!(memory.unmap(TOP, PAGE), Err(Errno::EINVAL));
    assert_eq!(memory.unmap(PAGE, usize::MAX), Err(Errno::EINVAL));
    assert_eq!(memory.unmap(0x5000_0000, 1 << 40), Ok(()));
    let numbers = Numbered::new(PAGE as u64, 1);
    let offset = |offset| {
        let file = file(&numbers, false);
        let backing = Backing::File { file, offset, shared: false };
        memory.map(&Request { backing, ..Request::anonymous(PAGE, READ) })
    };
    assert_eq!(offset(1), Err(Errno::EINVAL));
    assert_eq!(offset(i64::MAX as u64 / PAGE as u64 * PAGE as u64), Err(Errno::EOVERFLOW));
    assert_eq!(offset(u64::MAX / PAGE as u64 * PAGE as u64), Err(Errno::EOVERFLOW));
}

#[test]
fn terabytes_are_reserved_for_nothing() {
    let memory = memory();
    let at = memory.map(&Request::anonymous(64 << 40, NONE)).unwrap();
    memory.protect(at + (32 << 40), PAGE, RW).unwrap();
    memory.write(at + (32 << 40), b"here").unwrap();
    assert_eq!(memory.resident(at..at + (64 << 40)), 1);
    assert_eq!(errno(byte(&memory, at)), Errno::EFAULT);
    assert_eq!(memory.map(&Request::anonymous(127 << 40, NONE)), Err(Errno::ENOMEM));
    memory.unmap(at, 64 << 40).unwrap();
    assert_eq!(memory.usage().resident, 0);
}

#[test]
fn protection_is_changed_as_far_as_something_is_mapped() {
    let memory = memory();
    let at = 0x10_0000_0000;
    memory.map(&fixed(at, 2, RW)).unwrap();
    memory.map(&fixed(at + 3 * PAGE, 2, RW)).unwrap();
    assert_eq!(memory.protect(at + PAGE, 3 * PAGE, READ), Err(Errno::ENOMEM));
    assert_eq!(areas(&memory, at, 5), ["0-1 rw-", "1-2 r--", "3-5 rw-"]);
    assert_eq!(memory.protect(at + 1, PAGE, READ), Err(Errno::EINVAL));
    assert_eq!(memory.protect(at + 2 * PAGE, PAGE, READ), Err(Errno::ENOMEM));
    assert_eq!(memory.protect(at, 0, READ), Ok(()));
    assert_eq!(memory.protect(at, usize::MAX, READ), Err(Errno::ENOMEM));
    memory.write(at, b"kept").unwrap();
    memory.protect(at, PAGE, NONE).unwrap();
    assert_eq!(errno(byte(&memory, at)), Errno::EFAULT);
    memory.protect(at, PAGE, READ).unwrap();
    assert_eq!(byte(&memory, at).unwrap(), b'k');
    assert_eq!(errno(memory.write(at, b"no")), Errno::EFAULT);
}

#[test]
fn a_file_that_is_not_open_for_writing_is_not_mapped_so() {
    let memory = memory();
    let numbers = Numbered::new(3 * PAGE as u64, 3);
    let file = file(&numbers, false);
    assert_eq!(memory.map(&of_file(&file, PAGE, RW, true)), Err(Errno::EACCES));
    let at = memory.map(&of_file(&file, 3 * PAGE, READ, true)).unwrap();
    memory.map(&fixed(at, 1, READ)).unwrap();
    assert_eq!(memory.protect(at, 3 * PAGE, RW), Err(Errno::EACCES));
    assert_eq!(areas(&memory, at, 3), ["0-1 rw-", "1-3 r--"]);
    let at = memory.map(&of_file(&file, PAGE, RW, false)).unwrap();
    memory.write(at, b"own").unwrap();
    assert!(numbers.dirty.borrow().is_empty());
    assert_eq!(numbers.frames.borrow()[&0].load_u32(0), 0x0101_0101);
}

#[test]
fn limits_are_held() {
    let memory = memory();
    memory.set_limits(Limits { address_space: 8 * PAGE, data: 4 * PAGE, ..Limits::default() });
    assert_eq!(memory.map(&Request::anonymous(9 * PAGE, READ)), Err(Errno::ENOMEM));
    assert_eq!(memory.map(&Request::anonymous(5 * PAGE, RW)), Err(Errno::ENOMEM));
    let at = memory.map(&Request::anonymous(5 * PAGE, READ)).unwrap();
    assert_eq!(memory.protect(at, 5 * PAGE, RW), Err(Errno::ENOMEM));
    memory.protect(at, 4 * PAGE, RW).unwrap();
    assert_eq!(memory.map(&Request::anonymous(4 * PAGE, READ)), Err(Errno::ENOMEM));
    // What is replaced does not count.
    memory.map(&fixed(at, 5, READ)).unwrap();
    memory.map(&fixed(at, 4, RW)).unwrap();
    memory.map(&Request::anonymous(3 * PAGE, READ)).unwrap();
    assert_eq!(memory.usage().address_space, 8 * PAGE);
}

#[test]
fn what_could_never_be_given_is_refused_at_once() {
    const MOST: usize = 1 << 30;
    let memory = memory();
    let anonymous = |length, access| memory.map(&Request::anonymous(length, access));
    assert_eq!(anonymous(MOST + PAGE, RW), Err(Errno::ENOMEM));
    let shared = Request { backing: Backing::Shared, ..Request::anonymous(MOST + PAGE, RW) };
    assert_eq!(memory.map(&shared), Err(Errno::ENOMEM));
    memory.map(&Request { no_reserve: true, ..shared }).unwrap();
    let at = anonymous(MOST, RW).unwrap();
    assert_eq!(memory.remap(at, MOST, 3 * MOST, Move::May), Err(Errno::ENOMEM));
    // Reserving addresses asks for no memory, until they are made writable.
    let at = anonymous(1 << 40, NONE).unwrap();
    assert_eq!(memory.protect(at, MOST + PAGE, RW), Err(Errno::ENOMEM));
    memory.protect(at, MOST, RW).unwrap();
    let unreserved = Request { no_reserve: true, ..Request::anonymous(1 << 40, RW) };
    let at = memory.map(&unreserved).unwrap();
    memory.protect(at, 1 << 40, NONE).unwrap();
    memory.protect(at, 1 << 40, RW).unwrap();
    memory.set_brk_start(0x40_0000);
    let heap = memory.brk(0);
    assert_eq!(memory.brk(heap + MOST + PAGE), heap);
}

#[test]
fn a_process_has_at_most_65530_areas() {
    let memory = memory();
    let at = memory.map(&Request::anonymous(200_000 * PAGE, READ)).unwrap();
    let refused = (0..).find(|it| memory.protect(at + 2 * it * PAGE, PAGE, NONE).is_err());
    assert_eq!(memory.protect(at, PAGE, RW), Err(Errno::ENOMEM));
    assert_eq!(memory.map(&Request::anonymous(PAGE, NONE)), Err(Errno::ENOMEM));
    let cut = at + 190_001 * PAGE;
    assert_eq!(memory.unmap(cut, PAGE), Err(Errno::ENOMEM));
    assert_eq!((refused, areas(&memory, at, 200_000).len()), (Some(32_765), 65_530));
    memory.unmap(at, 100 * PAGE).unwrap();
    memory.unmap(cut, PAGE).unwrap();
}

#[test]
fn the_heap_grows_and_shrinks_up_to_what_is_behind_it_and_its_limit() {
    let memory = memory();
    assert_eq!(memory.brk(0x1000_0000), 0);
    memory.set_brk_start(0x40_1234);
    let start = memory.brk(0);
    assert!((0x40_1234..0x40_2000 + (32 << 20)).contains(&start));
    assert_eq!(memory.brk(start + 10), start + 10);
    memory.write(start, b"heap").unwrap();
    assert_eq!(memory.brk(start + 3 * PAGE), start + 3 * PAGE);
    let mut names = Vec::new();
    memory.each_area(&mut |view| names.push((view.range.clone(), view.name.to_vec())));
    assert_eq!(names, [(start..start + 3 * PAGE, b"[heap]".to_vec())]);
    assert_eq!(memory.brk(start - 1), start + 3 * PAGE);
    assert_eq!(memory.brk(start + PAGE), start + PAGE);
    assert_eq!(errno(byte(&memory, start + PAGE)), Errno::EFAULT);
    memory.map(&fixed(start + 5 * PAGE, 1, RW)).unwrap();
    assert_eq!(memory.brk(start + 5 * PAGE), start + PAGE);
    assert_eq!(memory.brk(start + 4 * PAGE), start + 4 * PAGE);
    assert_eq!(memory.brk(usize::MAX), start + 4 * PAGE);
    memory.unmap(start + 5 * PAGE, PAGE).unwrap();
    memory.set_limits(Limits { data: 5 * PAGE, ..Limits::default() });
    assert_eq!(memory.brk(start + 6 * PAGE), start + 4 * PAGE);
    assert_eq!(memory.brk(start), start);
    assert_eq!(memory.usage(), Usage { tables: memory.usage().tables, ..Usage::default() });
}

#[test]
fn an_area_is_cut_in_two_as_long_as_there_is_memory_for_that_u4() {
    let memory = memory();
    let at = 0x10_0000_0000;
    memory.map(&fixed(at, 100, RW)).unwrap();
    kernel::testing::simulate_memory(1 << 20);
    kernel::testing::simulate_memory_use((1 << 20) - (1 << 20) / 24);
    assert_eq!(memory.unmap(at + PAGE, PAGE), Ok(()), "low, and not nearly gone");
    kernel::testing::simulate_memory_use((1 << 20) - 4096);
    assert_eq!(memory.unmap(at + 3 * PAGE, PAGE), Err(Errno::ENOMEM));
    assert_eq!(memory.unmap(at + 90 * PAGE, 10 * PAGE), Ok(()), "what cuts none takes none");
    assert_eq!(memory.unmap(at, 50 * PAGE), Ok(()));
    kernel::testing::simulate_memory_use(0);
    assert_eq!(areas(&memory, at, 100), ["50-90 rw-"]);
}

#[test]
fn a_cut_passes_while_memory_is_nearly_gone_where_it_gives_a_page_back() {
    kernel::testing::simulate_memory(1 << 22);
    let memory = memory();
    let at = 0x10_0000_0000;
    memory.map(&fixed(at, 9, RW)).unwrap();
    memory.write(at + 6 * PAGE, b"there").unwrap();
    kernel::testing::simulate_memory_use((1 << 22) - 4096);
    assert_eq!(memory.unmap(at + 2 * PAGE, PAGE), Err(Errno::ENOMEM));
    assert_eq!(memory.unmap(at + 6 * PAGE, PAGE), Ok(()));
    assert_eq!(memory.unmap(at + 7 * PAGE, 2 * PAGE), Ok(()), "nothing is cut in two");
    kernel::testing::simulate_memory_use(0);
    assert_eq!(areas(&memory, at, 9), ["0-6 rw-"]);
}
