//! Walks the live page tables: nothing is writable and executable, what is
//! executable is only code, and page 0 is not mapped.

#![no_std]
#![no_main]

extern crate alloc;

use kernel::memory::mappings;
use tests::Verdict;

kernel::unikernel! {
    /// Walks the live page tables.
    name: "protection",
    memory: 16 MiB,
    main: start,
}

async fn start() -> Verdict {
    // Some of the heap's own mappings shall be among them.
    let held = alloc::vec![1_u8; 8 << 20];
    let here = start as *const () as usize;
    let (mut count, mut code, mut bytes, mut bad) = (0, 0, 0, None);
    mappings(|mapping| {
        count += 1;
        bytes += mapping.end - mapping.start;
        if mapping.write && mapping.execute {
            bad = Some("a page is writable and executable");
        }
        if mapping.start < 4096 {
            bad = Some("page 0 is mapped");
        }
        if mapping.execute {
            code += 1;
            if !(mapping.start..mapping.end).contains(&here) {
                bad = Some("something that is not code is executable");
            }
        }
    });
    kernel::machine::line(format_args!("protection: {count} ranges, {bytes} bytes"));
    match bad {
        Some(bad) => Verdict::Fail(bad),
        None if code != 1 => Verdict::Fail("code is not one range"),
        None if bytes < held.len() => Verdict::Fail("the heap is missing"),
        None => Verdict::Pass,
    }
}
