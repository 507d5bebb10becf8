//! A disk that is taken away while it is written to, and comes back: requests end with
//! an error that says so, nothing hangs, and then all is well again. Then it is dropped, and opened
//! once more.
//!
//! The run `slow` attaches it by a script that takes longer than a guest used to wait, and `moved` by one
//! during which the guest becomes another domain.
//!
//! test: disk disk=8M
//! test: timeout 90
//! test: client-when "block_plug: writing"
//! test: client "xl block-detach $GUEST $VDEV"
//! test(fast): client "xl block-attach $GUEST format=raw,vdev=$VDEV,access=rw,target=$TARGET"
//! test(slow): client "sed '1 a [ $1 = remove ] || sleep 12' /etc/xen/scripts/block >/etc/xen/scripts/block-slow; chmod +x /etc/xen/scripts/block-slow"
//! test(slow): client "xl block-attach $GUEST format=raw,vdev=$VDEV,access=rw,script=block-slow,target=$TARGET & sleep 2; move copy $NAME; wait $!"
//! test(slow): console-contains "xvda: its back end in domain 0 is InitWait and has not connected for 10 s: waiting"
//! test(moved): client block-plug.sh
//! test: client-then wait
//! test(slow): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use kernel::task::join;
use kernel::time::{sleep, timeout};
use kernel::{Device, println};
use tests::Verdict;
use xenith::Block;
use xenith::block::{Block as _, ErrorKind, content};

kernel::unikernel! {
    name: "block_plug",
    memory: 8 MiB,
    devices: { disk: Block("xvda") },
    main: start,
}

/// Writes until the disk is gone.
async fn writes(disk: &Block, first: u64) -> ErrorKind {
    loop {
        if let Err(error) = disk.write(first, &[1; 65536]).await {
            return error;
        }
    }
}

async fn start(disk: Block) -> Verdict {
    if content::may_write(&disk, false, |_, _| false).await.is_err() {
        return Verdict::Fail("the disk is not blank");
    }
    println!("block_plug: writing");
    if join(writes(&disk, 0), writes(&disk, 1000)).await != (ErrorKind::Gone, ErrorKind::Gone) {
        return Verdict::Fail("a disk that is taken away is not gone");
    }
    while disk.info().generation == 1 || disk.write(0, &[2; 512]).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
    // Tells once of writes that failed on their way; those that were refused never began.
    let _ = disk.flush().await;
    let mut back = [0; 512];
    if disk.flush().await.is_err() || disk.read(0, &mut back).await.is_err() || back != [2; 512] {
        return Verdict::Fail("a disk that came back does not work");
    }
    // blkback is still connected to the front end that is dropped here.
    drop(disk);
    let opened = timeout(Duration::from_secs(20), <Block as Device>::open("xvda", ())).await;
    let Ok(Ok(again)) = opened else {
        return Verdict::Fail("a disk that was dropped does not open again");
    };
    if again.read(0, &mut back).await.is_err() || back != [2; 512] {
        return Verdict::Fail("a disk that was opened again is another one");
    }
    Verdict::Pass
}
