//! Asks for more memory than there is: an error where the caller can take one,
//! else one clear line and a crash code.
//!
//! test: expect exit 101
//! test: console-contains "asking nicely: refused"
//! test: no-verdict
//! test(large): args how=large
//! test(large): console-contains "memory allocation of 1073741824 bytes failed"
//! test(leak): args how=leak
//! test(leak): console-contains "memory allocation of 4096 bytes failed"
//! test(leak): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use kernel::println;

kernel::unikernel! {
    /// Asks for more memory than there is.
    name: "out_of_memory",
    memory: 4 MiB,
    args: {
        /// How: one large piece, or small ones for ever.
        how: &'static str,
    },
    main: start,
}

async fn start(how: &str) {
    let mut large = Vec::<u8>::new();
    let nicely = if large.try_reserve(1 << 30).is_err() { "refused" } else { "granted" };
    println!("asking nicely: {nicely}");
    if how == "large" {
        large.reserve_exact(1 << 30);
    }
    loop {
        core::mem::forget(core::hint::black_box(Box::new([0_u8; 4096])));
    }
}
