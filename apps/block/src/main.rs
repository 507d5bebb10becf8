//! The wiring of `block`.
//!
//! test: console-contains "block: the disk keeps what it is given"
//! test(small): disk disk=8M
//! test(small): args size=512
//! test(large): disk disk=8M
//! test(large): args size=2097152
//! test(sectors): disk disk=8M,4096
//! test(sectors): console-contains "2048 sectors of 4096 bytes"
//! test(read-only): disk disk=128K,ro
//! test(read-only): dom0 fill.sh
//! test(read-only): console-contains "read-only"
//! test(read-only): console-contains "block: both ends are as this app writes them"
//! test: client-when "block: the disk keeps"
//! test: client compare.sh
//! test: client-then wait

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
