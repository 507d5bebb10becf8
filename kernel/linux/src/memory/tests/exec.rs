//! What execve(2) puts into an empty memory.

use super::*;
use kernel::task::block_on;
use kernel::user::Frame;

const EXECUTE: Access = Access::READ.union(Access::EXECUTE);

#[test]
fn a_segment_is_its_file_and_zeros() {
    let memory = memory();
    let numbers = Numbered::new(3 * PAGE as u64 - 100, 0);
    let mapped = file(&numbers, false);
    let at = 0x40_0000;
    let length = 2 * PAGE - 0x80 - 200;
    let place = || memory.place(at + 0x80, &mapped, PAGE as u64 + 0x80, length, 5 * PAGE, RW);
    let Err(Stop::Load(load)) = place() else { panic!("its last page is not there") };
    assert_eq!((load.index, memory.usage().address_space), (2, 0));
    block_on(load.wait()).unwrap();
    place().unwrap();
    assert_eq!(areas(&memory, at, 8), ["0-2 rw-", "2-6 rw-"]);
    let end = at + 0x80 + length;
    assert_eq!((byte(&memory, end - 1).unwrap(), byte(&memory, end).unwrap()), (3, 0));
    assert_eq!(byte(&memory, at + 6 * PAGE - 1).unwrap(), 0);
    // The file is as it was.
    assert_eq!(numbers.frames.borrow()[&2].load_u32(3000), 0x0303_0303);
    assert!(numbers.dirty.borrow().is_empty());
}

#[test]
fn a_segment_that_may_not_be_written_ends_in_zeros_as_well() {
    let memory = memory();
    let numbers = Numbered::new(PAGE as u64, 1);
    let mapped = file(&numbers, false);
    memory.place(0x40_0000, &mapped, 0, 100, 200, EXECUTE).unwrap();
    assert_eq!(areas(&memory, 0x40_0000, 2), ["0-1 r-x"]);
    assert_eq!((byte(&memory, 0x40_0063).unwrap(), byte(&memory, 0x40_0064).unwrap()), (1, 0));
    // One without anything of the file, over it.
    memory.place(0x40_0010, &mapped, 16, 0, PAGE, RW).unwrap();
    assert_eq!(areas(&memory, 0x40_0000, 2), ["0-2 rw-"]);
    assert_eq!(byte(&memory, 0x40_0000).unwrap(), 0);
    // All of a page.
    memory.place(0x40_0000, &mapped, 0, PAGE, PAGE, EXECUTE).unwrap();
    assert_eq!(byte(&memory, 0x40_0fff).unwrap(), 1);
}

#[test]
fn the_page_in_which_a_segment_ends_has_zeros_to_its_end() {
    let memory = memory();
    let file = Numbered::new(PAGE as u64, 1);
    let mapped = Mapped::new(file, b"ld.so", 1, 1, false).unwrap();
    memory.place(0x40_0000, &mapped, 0, 100, 200, RW).unwrap();
    // ld.so takes its first memory from behind its own, and expects zeros.
    let mut page = [9; PAGE];
    memory.read(0x40_0000, &mut page).unwrap();
    assert!(page[..100].iter().all(|&it| it == 1) && page[100..].iter().all(|&it| it == 0));
}

#[test]
fn segments_of_no_program_are_refused() {
    let memory = memory();
    let numbers = Numbered::new(PAGE as u64, 1);
    let mapped = file(&numbers, false);
    let place = |at, offset, file, all| errno(memory.place(at, &mapped, offset, file, all, RW));
    assert_eq!(place(0x40_0001, 0, 1, 1), Errno::EINVAL);
    assert_eq!(place(0x40_0000, 0, 2, 1), Errno::EINVAL);
    assert_eq!(place(usize::MAX - 0xfff, 0, 1, 1), Errno::ENOMEM);
    assert_eq!(place(0x40_0000, 0, 1, usize::MAX), Errno::ENOMEM);
    assert_eq!(place(kernel::user::TOP, 0, 1, 1), Errno::ENOMEM);
    assert_eq!(place(0x40_0000, 1 << 40, 1, 2), Errno::EINVAL);
    assert_eq!(place(0x40_0000, u64::MAX - 0xfff, 1, 2), Errno::EINVAL);
    assert_eq!(memory.usage().address_space, 0);
}

#[test]
fn the_kernels_pages_are_shown_and_copied_when_a_program_writes_them() {
    let memory = memory();
    let frames = [Frame::new().unwrap(), Frame::new().unwrap()];
    frames[1].write(0, b"code");
    let at = memory.map_frames(&frames, EXECUTE, "[vdso]").unwrap();
    assert_eq!(byte(&memory, at + PAGE).unwrap(), b'c');
    assert_eq!(errno(memory.write(at + PAGE, b"C")), Errno::EFAULT);
    memory.protect(at, 2 * PAGE, RW).unwrap();
    memory.write(at + PAGE, b"C").unwrap();
    assert_eq!(byte(&memory, at + PAGE).unwrap(), b'C');
    assert_eq!(frames[1].load_u32(0), u32::from_le_bytes(*b"code"));
    memory.each_area(&mut |view| assert_eq!(view.name, b"[vdso]"));
    assert_eq!(memory.map_frames(&[], READ, ""), Err(Errno::EINVAL));
}

#[test]
fn layouts_differ_and_leave_room_for_the_stack() {
    let all: Vec<_> = (0..8).map(|_| memory()).collect();
    for memory in &all {
        let (top, maps) = (memory.map_stack().unwrap(), memory.find(PAGE).unwrap());
        assert!(top.is_multiple_of(16) && top - maps > 128 << 20 && maps > 0x7000_0000_0000);
        assert!((0x5555_5555_4000..0x5655_5555_4000).contains(&memory.program_base()));
        assert_eq!(memory.map_stack(), Err(Errno::ENOMEM));
    }
    assert!(all.windows(2).any(|two| two[0].program_base() != two[1].program_base()));
}

#[test]
fn maps_are_shown_as_proc_has_them() {
    let memory = memory();
    let numbers = Numbered::new(4 * PAGE as u64, 1);
    let pages = numbers.clone() as Rc<dyn Pages>;
    let mapped = Mapped::new(pages, b"/bin/odd\nname", 0xfe03, 77, false).unwrap();
    memory.place(0x40_0000, &mapped, 0, PAGE, PAGE, EXECUTE).unwrap();
    memory.place(0x60_2000, &mapped, 2 * PAGE as u64, PAGE, 2 * PAGE, RW).unwrap();
    memory.map(&Request { backing: Backing::Shared, ..fixed(0x7000_0000_0000, 1, READ) }).unwrap();
    byte(&memory, 0x40_0000).unwrap();
    let text = String::from_utf8(memory.maps().unwrap()).unwrap();
    let expected = [
        "00400000-00401000 r-xp 00000000 fe:03 77                                 /bin/odd\\012name",
        "00602000-00603000 rw-p 00002000 fe:03 77                                 /bin/odd\\012name",
        "00603000-00604000 rw-p 00000000 00:00 0 ",
        "700000000000-700000001000 r--s 00000000 00:01 1                          /dev/zero (deleted)",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(memory.statm(), b"4 1 1 1 0 2 0\n");
}
