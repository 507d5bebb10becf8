//! AVX is there for libraries, or not.
//!
//! test(on): memory 2
//! test(off): args avx=off expected=off
//! test(off): memory 2
//! test(strange): args avx=loud
//! test(strange): expect exit 2
//! test(strange): console-contains "there is no argument avx"
//! test(strange): no-verdict
//! test(off): not-in-check

#![no_std]
#![no_main]

use tests::{Verdict, avx};

kernel::unikernel! {
    /// Looks for AVX, and uses it.
    name: "avx",
    memory: 1 MiB,
    args: {
        /// Whether it should be there.
        expected: bool = true,
    },
    main: start,
}

async fn start(expected: bool) -> Verdict {
    if avx::is_enabled() != expected {
        return Verdict::Fail("AVX is not as expected");
    }
    // Between them, the kernel waits in Xen.
    for _ in 0..10 {
        if expected && !avx::works() {
            return Verdict::Fail("AVX computes something else");
        }
        kernel::time::sleep(core::time::Duration::from_millis(1)).await;
    }
    Verdict::Pass
}
