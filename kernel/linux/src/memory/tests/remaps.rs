//! mremap(2).

use super::super::remap::Remap;
use super::*;

#[test]
fn memory_grows_in_its_place_or_moves_with_its_pages() {
    let memory = memory();
    let at = 0x10_0000_0000;
    memory.map(&fixed(at, 2, RW)).unwrap();
    memory.write(at + PAGE, b"moved").unwrap();
    assert_eq!(memory.remap(at, 2 * PAGE, 4 * PAGE, Move::Never), Ok(at));
    assert_eq!(areas(&memory, at, 8), ["0-4 rw-"]);
    memory.map(&fixed(at + 4 * PAGE, 1, READ)).unwrap();
    assert_eq!(memory.remap(at, 4 * PAGE, 5 * PAGE, Move::Never), Err(Errno::ENOMEM));
    let to = memory.remap(at, 4 * PAGE, 5 * PAGE, Move::May).unwrap();
    assert_eq!(areas(&memory, at, 8), ["4-5 r--"]);
    assert_eq!(areas(&memory, to, 5), ["0-5 rw-"]);
    assert_eq!(byte(&memory, to + PAGE).unwrap(), b'm');
    assert_eq!(errno(byte(&memory, at + PAGE)), Errno::EFAULT);
    assert_eq!(memory.remap(to, 5 * PAGE, PAGE + 1, Move::Never), Ok(to));
    assert_eq!(areas(&memory, to, 5), ["0-2 rw-"]);
    assert_eq!(memory.usage().address_space, 3 * PAGE);
}

#[test]
fn a_piece_of_an_area_moves_to_where_it_is_told() {
    let memory = memory();
    let at = 0x10_0000_0000;
    let numbers = Numbered::new(8 * PAGE as u64, 8);
    let mapped = file(&numbers, true);
    let request = of_file(&mapped, 8 * PAGE, READ, true);
    memory.map(&Request { at, place: Place::Fixed, ..request }).unwrap();
    let to = at + 100 * PAGE;
    memory.map(&fixed(to, 4, RW)).unwrap();
    assert_eq!(memory.remap(at + 2 * PAGE, 3 * PAGE, 3 * PAGE, Move::To(to)), Ok(to));
    assert_eq!(areas(&memory, at, 8), ["0-2 r--", "5-8 r--"]);
    assert_eq!(areas(&memory, to, 4), ["0-3 r--", "3-4 rw-"]);
    assert_eq!((byte(&memory, to).unwrap(), byte(&memory, at + 5 * PAGE).unwrap()), (3, 6));
    // Shrunk and moved at once.
    assert_eq!(memory.remap(to, 3 * PAGE, PAGE, Move::To(at + 2 * PAGE)), Ok(at + 2 * PAGE));
    assert_eq!(areas(&memory, at, 8), ["0-3 r--", "5-8 r--"]);
    assert_eq!(areas(&memory, to, 4), ["3-4 rw-"]);
    // A second map of shared memory.
    let copy = memory.remap(at, 0, 2 * PAGE, Move::May).unwrap();
    assert_eq!((byte(&memory, copy + PAGE).unwrap(), byte(&memory, at + PAGE).unwrap()), (2, 2));
    // The first is one area as before, also where the second begins within it.
    memory.remap(at + PAGE, 0, PAGE, Move::May).unwrap();
    assert_eq!(areas(&memory, at, 8), ["0-3 r--", "5-8 r--"]);
    assert!(memory.remap(at, 3 * PAGE, 9 * PAGE, Move::May).is_ok());
}

#[test]
fn pages_move_and_leave_zeros_where_that_is_asked_for() {
    let memory = memory();
    let at = room(&memory, 2 * PAGE);
    memory.write(at, b"gone").unwrap();
    let how = Move::Pages { to: 0, fixed: false };
    let to = memory.remap(at, 2 * PAGE, 2 * PAGE, how).unwrap();
    assert_eq!((byte(&memory, to).unwrap(), byte(&memory, at).unwrap()), (b'g', 0));
    assert_eq!(memory.usage().address_space, 4 * PAGE);
}

#[test]
fn much_memory_moves_to_where_whole_tables_can_and_stays_without_memory() {
    let memory = memory();
    let (at, pages) = (0x10_0000_3000, 1024);
    memory.map(&fixed(at, pages, RW)).unwrap();
    (0..pages).for_each(|page| memory.write(at + page * PAGE, &page.to_le_bytes()).unwrap());
    let kept = |at: usize| {
        let mut word = [0; 8];
        (0..pages).all(|page| {
            memory.read(at + page * PAGE, &mut word).unwrap();
            usize::from_le_bytes(word) == page
        })
    };
    memory.map(&fixed(at + pages * PAGE, 1, READ)).unwrap();
    let to = memory.remap(at, pages * PAGE, (pages + 1) * PAGE, Move::May).unwrap();
    assert_eq!((to - at) % (2 << 20), 0);
    assert!(kept(to));
    kernel::testing::simulate_memory(1 << 26);
    // The room for one table is asked for, and no more is there.
    let failed = memory.space().borrow_mut().relocate(to..to + pages * PAGE, at, &|| false);
    assert!(failed.is_err() && kept(to));
    kernel::testing::simulate_memory_use((1 << 26) - 4096);
    assert_eq!(memory.remap(to, PAGE, PAGE, Move::To(at)), Err(Errno::ENOMEM));
    kernel::testing::simulate_memory_use(0);
    assert!(kept(to));
}

#[test]
fn much_memory_moves_in_steps_each_of_which_leaves_it_whole() {
    const PAGES: usize = 1000;
    let memory = memory();
    let (at, to) = (0x10_0000_3000, 0x20_0000_4000);
    let byte_at = |page: usize| byte(&memory, at + page * PAGE).ok();
    let moved = |page: usize| byte(&memory, to + page * PAGE).ok();
    let whole = |done: usize| {
        for page in (0..PAGES).step_by(37).chain([done.saturating_sub(1), done.min(PAGES - 1)]) {
            let (here, there) = (page < done)
                .then_some(page as u8)
                .map_or((Some(page as u8), None), |it| (None, Some(it)));
            assert_eq!((byte_at(page), moved(page)), (here, there), "page {page} of {done}");
        }
    };
    memory.map(&fixed(at, PAGES, RW)).unwrap();
    (0..PAGES).for_each(|page| memory.write(at + page * PAGE, &[page as u8]).unwrap());
    let begin = |from, new: usize, how| match memory
        .begin_remap(from, PAGES * PAGE, new * PAGE, how)
        .unwrap()
    {
        Remap::Moving(moving) => moving,
        Remap::Done(at) => panic!("it is at {at:#x}"),
    };
    // Only the first step is refused while memory is low.
    kernel::testing::simulate_memory(1 << 26);
    let mut moving = begin(at, PAGES + 2, Move::To(to));
    assert!(moving.is_long(&memory, 100) && !moving.is_long(&memory, PAGES));
    kernel::testing::simulate_memory_use((1 << 26) - 4096);
    assert_eq!(moving.step(&memory, 500), Err(Errno::ENOMEM));
    whole(0);
    assert_eq!(areas(&memory, to, PAGES), [""; 0]);
    kernel::testing::simulate_memory_use(0);
    assert_eq!(moving.step(&memory, 500), Ok(false));
    whole(500);
    assert_eq!(areas(&memory, at, PAGES), ["500-1000 rw-"]);
    assert_eq!(areas(&memory, to, PAGES), ["0-500 rw-"]);
    // There is none at all for its second step, and all is back.
    kernel::testing::simulate_memory_use(1 << 26);
    assert_eq!(moving.step(&memory, 500), Err(Errno::ENOMEM));
    whole(0);
    kernel::testing::simulate_memory_use(0);
    assert_eq!(areas(&memory, at, PAGES), ["0-1000 rw-"]);
    assert_eq!(areas(&memory, to, PAGES), [""; 0]);
    let mut moving = begin(at, PAGES + 2, Move::To(to));
    let mut done = 0;
    while !moving.step(&memory, 300).unwrap() {
        kernel::testing::simulate_memory_use((1 << 26) - 4096);
        done += 300;
        whole(done);
    }
    kernel::testing::simulate_memory_use(0);
    whole(PAGES);
    assert_eq!(areas(&memory, to, PAGES + 2), ["0-1002 rw-"]);
    assert_eq!(memory.usage().address_space, (PAGES + 2) * PAGE);
    // Whole tables are one page each to it, where both places are alike; of what is not there nothing
    // is to be moved.
    let mut moving =
        match memory.begin_remap(to, PAGES * PAGE, PAGES * PAGE, Move::To(to + (8 << 20))) {
            Ok(Remap::Moving(moving)) => moving,
            _ => panic!("it is moved"),
        };
    assert!(!moving.is_long(&memory, 3) && moving.is_long(&memory, 1));
    assert_eq!((moving.step(&memory, 1), moving.step(&memory, 1)), (Ok(false), Ok(true)));
    assert_eq!(byte(&memory, to + (8 << 20) + 999 * PAGE).unwrap(), 999_usize as u8);
}

#[test]
fn what_finds_no_table_on_its_way_back_stays_where_it_is() {
    const PAGES: usize = 1600;
    let memory = memory();
    let (at, to) = (0x10_0000_3000, 0x20_0000_4000);
    memory.map(&fixed(at, PAGES, RW)).unwrap();
    (0..PAGES).for_each(|page| memory.write(at + page * PAGE, &[page as u8]).unwrap());
    let begun = memory.begin_remap(at, PAGES * PAGE, PAGES * PAGE, Move::To(to)).unwrap();
    let Remap::Moving(mut moving) = begun else { panic!("it is moved") };
    assert_eq!(moving.step(&memory, 1015), Ok(false));
    // The second table of the old place still has pages, which the first has not.
    kernel::testing::simulate_memory(1 << 26);
    kernel::testing::simulate_memory_use(1 << 26);
    assert_eq!(moving.step(&memory, 1015), Err(Errno::ENOMEM));
    kernel::testing::simulate_memory_use(0);
    assert_eq!(areas(&memory, at, PAGES), ["509-1600 rw-"]);
    assert_eq!(areas(&memory, to, PAGES), ["0-509 rw-"]);
    for page in 0..PAGES {
        let place = if page < 509 { to } else { at };
        assert_eq!(byte(&memory, place + page * PAGE).ok(), Some(page as u8), "page {page}");
    }
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let memory = memory();
    let at = 0x10_0000_0000;
    memory.map(&fixed(at, 2, RW)).unwrap();
    memory.map(&fixed(at + 2 * PAGE, 2, READ)).unwrap();
    let remap = |at, old, new, how| memory.remap(at, old, new, how);
    assert_eq!(remap(at + 1, PAGE, PAGE, Move::May), Err(Errno::EINVAL));
    assert_eq!(remap(at, PAGE, 0, Move::May), Err(Errno::EINVAL));
    assert_eq!(remap(at + 9 * PAGE, PAGE, PAGE, Move::May), Err(Errno::EFAULT));
    assert_eq!(remap(at, 3 * PAGE, 5 * PAGE, Move::May), Err(Errno::EFAULT));
    assert_eq!(remap(at, 0, PAGE, Move::May), Err(Errno::EINVAL));
    assert_eq!(remap(at, PAGE, 1 << 47, Move::May), Err(Errno::ENOMEM));
    assert_eq!(remap(at, PAGE, PAGE, Move::To(at)), Err(Errno::EINVAL));
    assert_eq!(remap(at, PAGE, 3 * PAGE, Move::To(at - PAGE)), Err(Errno::EINVAL));
    assert_eq!(remap(at, PAGE, PAGE, Move::To(at + 100)), Err(Errno::EINVAL));
    assert_eq!(remap(at, PAGE, PAGE, Move::To(usize::MAX / PAGE * PAGE)), Err(Errno::EINVAL));
    assert_eq!(remap(at, PAGE, PAGE, Move::To(kernel::user::TOP)), Err(Errno::EINVAL));
    memory.set_limits(Limits { address_space: 5 * PAGE, ..Limits::default() });
    assert_eq!(remap(at, PAGE, 3 * PAGE, Move::May), Err(Errno::ENOMEM));
    assert_eq!(areas(&memory, at, 4), ["0-2 rw-", "2-4 r--"]);
}
