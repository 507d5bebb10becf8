//! The wiring of `random`.
//!
//! test: expect poweroff
//! test(seeded): args seed=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
//! test(unseeded): xl cpuid="host,rdrand=0,rdseed=0"
//! test(unseeded): expect exit 1
//! test(unseeded): console-contains "no randomness"
//! test(seed-only): xl cpuid="host,rdrand=0,rdseed=0"
//! test(seed-only): args seed=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
//! test(unseeded,seed-only): not-in-check

#![no_std]
#![no_main]

use xenith::Console;

xenith::unikernel! {
    /// Prints random bytes, and tests the generator.
    name: "random",
    memory: 2 MiB,
    devices: { console: Console },
    args: {
        /// How many bytes.
        count: usize = 32,
    },
    main: random::start,
}
