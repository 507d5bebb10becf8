//! Boots with little and with much memory.
//!
//! test(1): memory 1
//! test(2): memory 2
//! test(64): memory 64
//! test(1024): memory 1024

#![no_std]
#![no_main]

use tests::Verdict;

kernel::unikernel! {
    /// Boots with little and with much memory.
    name: "memory",
    memory: 1 MiB,
    main: start,
}

async fn start() -> Verdict {
    Verdict::Pass
}
