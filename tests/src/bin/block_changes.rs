//! What is agreed on with Linux's back end: a ring of several pages, persistent grants,
//! requests of 1 MiB; and a disk whose size changes while it is used.
//!
//! test: disk disk=8M
//! test: memory 32
//! test: timeout 90
//! test: client-when "block_changes: ready"
//! test: client block-changes.sh
//! test: client-then wait

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::time::Duration;
use kernel::println;
use kernel::time::sleep;
use tests::{Verdict, metric};
use xen::hypercall::counts;
use xenith::Block;
use xenith::block::{Block as _, ErrorKind, content};

kernel::unikernel! {
    name: "block_changes",
    memory: 32 MiB,
    devices: { disk: Block("xvda") },
    main: start,
}

/// Sectors of a mebibyte.
const MIB: u64 = 2048;

/// Reads until the disk has `sectors` sectors: the back end looks at its size when it is
/// asked for something.
async fn becomes(disk: &Block, sectors: u64) -> Result<(), ErrorKind> {
    while disk.info().sectors != sectors {
        disk.read(0, &mut [0; 512]).await?;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn run(disk: &Block) -> Result<Result<(), &'static str>, ErrorKind> {
    let large = vec![7; 1 << 20];
    // The pages are lent the first time.
    disk.write(0, &large).await?;
    let (requests, calls) = (metric(disk, "block_requests"), counts());
    disk.write(MIB, &large).await?;
    if metric(disk, "block_requests") != requests + 1 {
        return Ok(Err("a mebibyte is not one request"));
    }
    if counts().grant_table != calls.grant_table {
        return Ok(Err("a request takes grant operations"));
    }
    println!("block_changes: ready");
    becomes(disk, 4 * MIB).await?;
    let mut sector = [0; 512];
    if disk.read(4 * MIB, &mut sector).await != Err(ErrorKind::OutOfRange) {
        return Ok(Err("there is something behind the end of a disk that shrank"));
    }
    disk.write(4 * MIB - 1, &[1; 512]).await?;
    becomes(disk, 12 * MIB).await?;
    disk.write(12 * MIB - 1, &[2; 512]).await?;
    disk.flush().await?;
    disk.read(12 * MIB - 1, &mut sector).await?;
    Ok(if sector == [2; 512] {
        Ok(())
    } else {
        Err("a disk that grew does not keep what is written")
    })
}

async fn start(disk: Block) -> Verdict {
    if content::may_write(&disk, false, |_, _| false).await.is_err() {
        return Verdict::Fail("the disk is not blank");
    }
    match run(&disk).await {
        Ok(Ok(())) => Verdict::Pass,
        Ok(Err(wrong)) => Verdict::Fail(wrong),
        Err(error) => {
            println!("block_changes: {error}");
            Verdict::Fail("a request failed")
        }
    }
}
