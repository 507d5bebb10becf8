//! Uses a stack that it asked for: more than the 64 KiB of other guests and than the 2 MiB of a
//! page table, and in another run more than there is.
//!
//! test: no-verdict
//! test(deep): args depth=2900
//! test(deep): console-contains "2900 KiB deep and back"
//! test(panic): args depth=2900 panics=yes
//! test(panic): expect exit 101
//! test(panic): console-contains "at the bottom"
//! test(panic): console-contains "called from"
//! test(over): args depth=3400
//! test(over): expect crash "stack overflow: the stack of 3072 KiB ran into its guard page"
//! test(over): console-contains "going down"
//! test(deep,panic): not-in-check

#![no_std]
#![no_main]

use core::hint::black_box;
use kernel::println;

kernel::unikernel! {
    /// Uses a large stack.
    name: "stack",
    memory: 8 MiB,
    stack: 3 MiB,
    args: {
        /// KiB of it to use.
        depth: u32,
        /// Panic there.
        panics: bool = false,
    },
    main: start,
}

/// Goes down by a KiB and a little until `left` is 0, and adds up what it wrote on the way.
#[inline(never)]
fn go_down(left: u32, panics: bool) -> u64 {
    if left == 0 {
        assert!(!panics, "at the bottom");
        return 0;
    }
    let room = [u64::from(left); 128];
    black_box(&room);
    go_down(left - 1, panics) + black_box(&room)[left as usize % 128]
}

async fn start(depth: u32, panics: bool) -> Result<(), &'static str> {
    println!("going down");
    // What a frame takes besides is what the KiB are rounded down for.
    let sum = go_down(depth * 15 / 16, panics);
    if sum != (1..=u64::from(depth * 15 / 16)).sum() {
        return Err("what was on the stack is another thing now");
    }
    println!("{depth} KiB deep and back");
    Ok(())
}
