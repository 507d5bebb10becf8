//! Tests of what both machines promise of user mode, on the one of a host.

use super::*;
use crate::testing::play;

const AT: usize = 0x40_0000;

fn frame(byte: u8) -> Frame {
    let frame = Frame::new().unwrap();
    frame.fill(0, PAGE, byte);
    frame
}

fn byte(space: &Space, at: usize) -> Option<u8> {
    let mut byte = [0];
    space.frame(at)?.0.read(0, &mut byte);
    Some(byte[0])
}

#[test]
fn a_frame_is_shared_by_its_clones_and_not_by_its_copies() {
    let one = frame(1);
    assert!(!one.is_shared());
    let (two, three) = (one.clone(), one.copy().unwrap());
    assert!(one.is_shared() && two.is_shared() && !three.is_shared());
    assert!(one.same(&two) && !one.same(&three));
    two.write(4095, &[9]);
    let mut bytes = [0; 2];
    one.read(4094, &mut bytes);
    assert_eq!(bytes, [1, 9]);
    three.read(4094, &mut bytes);
    assert_eq!(bytes, [1, 1]);
    drop(two);
    assert!(!one.is_shared());
}

#[test]
fn words_are_exchanged_if_they_are_what_was_expected() {
    let frame = frame(0);
    frame.store_u32(4092, 5);
    assert_eq!(frame.compare_exchange_u32(4092, 4, 6), Err(5));
    assert_eq!(frame.compare_exchange_u32(4092, 5, 6), Ok(5));
    assert_eq!(frame.load_u32(4092), 6);
}

#[test]
#[should_panic]
fn an_access_past_the_end_of_a_frame_is_our_bug() {
    frame(0).read(4095, &mut [0; 2]);
}

#[test]
#[should_panic]
fn a_word_that_is_not_aligned_is_our_bug() {
    let _ = frame(0).load_u32(2);
}

#[test]
fn pages_are_where_they_were_put() {
    let mut space = Space::new().unwrap();
    for page in 0..600 {
        let access = if page % 2 == 0 { Access::READ } else { Access::WRITE };
        space.map(AT + page * PAGE, frame(page as u8), access).unwrap();
    }
    assert_eq!(space.stats().pages, 600);
    assert_eq!(space.stats().tables, 1 + 1 + 1 + 2);
    assert_eq!(byte(&space, AT + 515 * PAGE), Some(3));
    assert_eq!(space.map(AT, frame(77), Access::all()), Ok(()));
    assert_eq!((byte(&space, AT), space.stats().pages), (Some(77), 600));
    let found: Vec<_> = space.pages(AT + 1..AT + 3 * PAGE).map(|(at, _, it)| (at, it)).collect();
    assert_eq!(found, [(AT + PAGE, Access::WRITE), (AT + 2 * PAGE, Access::READ)]);
    space.protect(AT..AT + 2 * PAGE, Access::empty()).unwrap();
    space.set_access(AT + 2 * PAGE, Access::EXECUTE).unwrap();
    let found: Vec<_> = space.pages(AT..AT + 4 * PAGE).map(|(_, _, it)| it).collect();
    assert_eq!(found, [Access::empty(), Access::empty(), Access::EXECUTE, Access::WRITE]);
    space.unmap(AT + PAGE..AT + 599 * PAGE);
    let left: Vec<_> = space.pages(0..TOP).map(|(at, ..)| at).collect();
    assert_eq!(left, [AT, AT + 599 * PAGE]);
    let (taken, access) = space.take(AT).unwrap();
    assert_eq!((access, taken.is_shared()), (Access::empty(), false));
    assert!(space.take(AT).is_none() && space.frame(AT).is_none());
}

#[test]
fn what_is_not_there_is_neither_changed_nor_found() {
    let mut space = Space::new().unwrap();
    space.protect(0..TOP, Access::WRITE).unwrap();
    space.set_access(AT, Access::WRITE).unwrap();
    space.unmap(0..TOP);
    // Ends below where it starts.
    let backwards = core::ops::Range { start: TOP, end: 0 };
    space.unmap(backwards.clone());
    assert_eq!(space.pages(backwards).count(), 0);
    assert!(space.frame(AT).is_none());
    for at in [TOP, AT + 1, usize::MAX & !4095] {
        assert_eq!(space.map(at, frame(0), Access::READ), Err(Error::Address));
    }
    assert_eq!(space.stats().pages, 0);
}

#[test]
fn a_played_program_sees_its_space_and_its_registers() {
    play(|space, context| {
        let registers = context.registers_mut();
        registers.rax = registers.rdi + 1;
        assert_eq!(registers.rflags, 0x202);
        space.frame(AT).unwrap().0.write(0, b"done");
        Exit::Call
    });
    let mut space = Space::new().unwrap();
    space.map(AT, frame(0), Access::WRITE).unwrap();
    let mut context = Context::new(1, 2).unwrap();
    assert_eq!((context.registers().rip, context.registers().rsp), (1, 2));
    for number in [3, 4] {
        // IOPL, TF.
        context.registers_mut().rflags = 0x3100;
        context.registers_mut().rdi = number;
        assert_eq!(space.run(&mut context), Ok(Exit::Call));
        assert_eq!(context.registers().rax, number + 1);
    }
    assert_eq!(byte(&space, AT), Some(b'd'));
}

#[test]
fn a_copy_of_a_thread_is_its_own() {
    let mut one = Context::new(1, 2).unwrap();
    one.set_fs_base(0x1000).unwrap();
    assert_eq!(one.set_fs_base(1 << 47), Err(Invalid));
    let mut state = one.xstate().to_vec();
    state[160] = 7;
    one.set_xstate(&state).unwrap();
    let mut two = one.copy().unwrap();
    two.registers_mut().rax = 5;
    two.set_gs_base(u64::MAX).unwrap();
    assert_eq!((one.registers().rax, one.gs_base()), (0, 0));
    assert_eq!((two.xstate(), two.fs_base()), (one.xstate(), 0x1000));
    state[160] = 8;
    two.set_xstate(&state).unwrap();
    assert_eq!((one.xstate()[160], two.xstate()[160]), (7, 8));
}
