//! The suite for block devices, on disks of Linux's back end.
//!
//! test(plain): disk disk=16M
//! test(sectors): disk disk=16M,4096
//! test(read-only): disk disk=16M,ro
//! test: memory 16
//! test: timeout 90
//! test(sectors,read-only): not-in-check

#![no_std]
#![no_main]

use tests::Verdict;
use xenith::Block;
use xenith::block::conformance::check;
use xenith::block::content;

kernel::unikernel! {
    name: "block_suite",
    memory: 16 MiB,
    devices: { disk: Block("xvda") },
    main: start,
}

async fn start(disk: Block) -> Verdict {
    if content::may_write(&disk, false, |_, _| false).await.is_err() {
        return Verdict::Fail("the disk is not blank");
    }
    match check(&disk).await {
        Ok(()) => Verdict::Pass,
        Err(wrong) => Verdict::Fail(wrong),
    }
}
