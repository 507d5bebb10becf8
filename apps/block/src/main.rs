//! The wiring of `block`.
//!
//! test: dom0 "truncate -s 8M /tmp/disk"
//! test: xl disk=["format=raw,vdev=xvda,access=rw,target=/tmp/disk"]
//! test: console-contains "block: the disk keeps what it is given"

#![no_std]
#![no_main]

use devices::Block;

kernel::unikernel! {
    /// Checks that a disk keeps what is written to it, and refuses what it has no room for.
    name: "block",
    memory: 8 MiB,
    devices: { disk: Block("xvda") },
    args: {
        /// Bytes to write at each end, in whole sectors.
        size: u32 = 65536,
    },
    main: block::start,
}
