//! The wiring of `blkbench`.
//!
//! test: disk disk=8M
//! test: timeout 120
//! test(all): args count=128
//! test(all): console-contains "bench: seq-write size=1048576 depth=4 "
//! test(all): console-contains "bench: rand-read size=4096 depth=32 ops=128 "
//! test(all): console-contains "bench: flush "
//! test(moved): args count=4000
//! test(moved): client-when ""
//! test(moved): cycles 3
//! test(moved): client-then wait
//! test(moved): console-contains "bench: flush "
//! test(moved): timeout 240
//! test(destroyed): args count=1000000
//! test(destroyed): client-when ""
//! test(destroyed): client "sleep 3; xenstore-read /local/domain/$GUEST/device/vbd/51712/state"
//! test(destroyed): client-then destroy
//! test(detached): args count=1000000
//! test(detached): client-when ""
//! test(detached): client "sleep 3; xl block-detach $GUEST $VDEV"
//! test(detached): client-then wait
//! test(detached): expect exit 1
//! test(detached): console-contains "the disk is gone"
//! test(moved,destroyed): not-in-check

#![no_std]
#![no_main]

use xenith::Block;

xenith::unikernel! {
    /// Measures a disk, and writes over a blank one.
    name: "blkbench",
    memory: 32 MiB,
    devices: { disk: Block("xvda") },
    args: {
        /// Random requests at each depth.
        count: u32 = 1024,
        /// Writes also where the disk holds something.
        overwrite: bool = false,
    },
    main: blkbench::start,
}
