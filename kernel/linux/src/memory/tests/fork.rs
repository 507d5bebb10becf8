//! fork(2): what a child has, and what neither sees of the other.

use super::*;

#[test]
fn neither_sees_what_the_other_writes_and_the_last_one_does_not_copy() {
    let parent = memory();
    let at = room(&parent, 3 * PAGE);
    parent.write(at, b"before").unwrap();
    parent.write(at + PAGE, b"kept").unwrap();
    let frame = |memory: &Memory| memory.space.borrow().frame(at).unwrap().0.clone();
    let first = frame(&parent);
    let child = parent.copy().unwrap();
    assert!(frame(&child).same(&first));
    parent.write(at, b"P").unwrap();
    assert_eq!((byte(&parent, at).unwrap(), byte(&child, at).unwrap()), (b'P', b'b'));
    assert!(!frame(&parent).same(&first) && frame(&child).same(&first));
    drop(first);
    let first = frame(&child);
    drop(first);
    child.write(at, b"C").unwrap();
    child.write(at + 2 * PAGE, b"new").unwrap();
    assert_eq!((byte(&parent, at).unwrap(), byte(&child, at).unwrap()), (b'P', b'C'));
    assert_eq!(byte(&parent, at + 2 * PAGE).unwrap(), 0);
    drop(child);
    parent.write(at + PAGE, b"K").unwrap();
    assert_eq!(byte(&parent, at + PAGE).unwrap(), b'K');
}

#[test]
fn the_last_who_has_a_page_writes_it_in_its_place() {
    let parent = memory();
    let at = room(&parent, PAGE);
    parent.write(at, b"x").unwrap();
    let same = |memory: &Memory, frame: &kernel::user::Frame| {
        memory.space.borrow().frame(at).unwrap().0.same(frame)
    };
    let child = parent.copy().unwrap();
    let frame = parent.space.borrow().frame(at).unwrap().0.clone();
    drop(child);
    assert!(frame.is_shared());
    let weak = frame.clone();
    drop((frame, weak));
    let before = parent.space.borrow().stats().pages;
    parent.write(at, b"y").unwrap();
    let frame = parent.space.borrow().frame(at).unwrap().0.clone();
    assert!(same(&parent, &frame) && before == 1);
    assert_eq!(byte(&parent, at).unwrap(), b'y');
}

#[test]
fn shared_memory_and_shared_files_are_seen_by_both() {
    let parent = memory();
    let shared = Request { backing: Backing::Shared, ..Request::anonymous(2 * PAGE, RW) };
    let at = parent.map(&shared).unwrap();
    let numbers = Numbered::new(PAGE as u64, 1);
    let mapped = file(&numbers, true);
    let of_file = parent.map(&of_file(&mapped, PAGE, RW, true)).unwrap();
    parent.write(at, b"one").unwrap();
    let child = parent.copy().unwrap();
    child.write(at + PAGE, b"two").unwrap();
    child.write(of_file, b"three").unwrap();
    assert_eq!(byte(&child, at).unwrap(), b'o');
    assert_eq!(byte(&parent, at + PAGE).unwrap(), b't');
    parent.write(at, b"O").unwrap();
    assert_eq!(byte(&child, at).unwrap(), b'O');
    assert_eq!(byte(&parent, of_file).unwrap(), b't');
    // What is removed is zeros to both, and goes on being shared.
    child.advise(at..at + PAGE, Advice::Remove).unwrap();
    assert_eq!([&parent, &child].map(|it| byte(it, at).unwrap()), [0; 2]);
    parent.write(at, b"N").unwrap();
    assert_eq!([at, at + PAGE].map(|it| byte(&child, it).unwrap()), *b"Nt");
    // Beyond its end is nothing, though the map is made longer.
    let at = parent.remap(at, 2 * PAGE, 3 * PAGE, Move::May).unwrap();
    assert_eq!(errno(byte(&parent, at + 2 * PAGE)), Errno::EFAULT);
}

#[test]
fn a_childs_heap_limits_and_layout_are_its_parents() {
    let parent = memory();
    parent.set_brk_start(0x40_0000);
    let brk = parent.brk(parent.brk(0) + PAGE);
    parent.set_limits(Limits { data: PAGE, ..Limits::default() });
    let child = parent.copy().unwrap();
    assert_eq!((child.brk(0), child.limits().data), (brk, PAGE));
    assert_eq!(child.brk(brk + PAGE), brk);
    assert_eq!(child.usage().address_space, parent.usage().address_space);
}

#[test]
fn advice_decides_what_a_child_has() {
    let parent = memory();
    let at = room(&parent, 4 * PAGE);
    (0..4).for_each(|it| parent.write(at + it * PAGE, b"x").unwrap());
    parent.advise(at + PAGE..at + 2 * PAGE, Advice::Fork(false)).unwrap();
    parent.advise(at + 2 * PAGE..at + 3 * PAGE, Advice::WipeOnFork(true)).unwrap();
    let child = parent.copy().unwrap();
    assert_eq!(areas(&child, at, 4), ["0-1 rw-", "2-3 rw-", "3-4 rw-"]);
    assert_eq!(byte(&child, at).unwrap(), b'x');
    assert_eq!(errno(byte(&child, at + PAGE)), Errno::EFAULT);
    assert_eq!(byte(&child, at + 2 * PAGE).unwrap(), 0);
    parent.advise(at..at + 4 * PAGE, Advice::Fork(true)).unwrap();
    parent.advise(at..at + 4 * PAGE, Advice::WipeOnFork(false)).unwrap();
    assert_eq!(areas(&parent, at, 4), ["0-4 rw-"]);
}

#[test]
fn pages_of_a_file_that_were_written_are_the_childs_as_well() {
    let parent = memory();
    let numbers = Numbered::new(2 * PAGE as u64, 2);
    let mapped = file(&numbers, false);
    let at = parent.map(&of_file(&mapped, 2 * PAGE, RW, false)).unwrap();
    parent.write(at, b"mine").unwrap();
    let child = parent.copy().unwrap();
    assert_eq!((byte(&child, at).unwrap(), byte(&child, at + PAGE).unwrap()), (b'm', 2));
    child.write(at, b"C").unwrap();
    assert_eq!(byte(&parent, at).unwrap(), b'm');
}
