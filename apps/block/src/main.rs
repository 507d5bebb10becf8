//! The wiring of `block`.
//!
//! test(small): console-contains "block: the disk keeps what it is given"
//! test(small): disk disk=8M
//! test(small): args size=512
//! test(large): console-contains "block: the disk keeps what it is given"
//! test(large): disk disk=8M
//! test(large): args size=2097152
//! test(sectors): console-contains "block: the disk keeps what it is given"
//! test(sectors): disk disk=8M,4096
//! test(sectors): console-contains "2048 sectors of 4096 bytes"
//! test(read-only): console-contains "block: the disk keeps what it is given"
//! test(read-only): disk disk=128K,ro
//! test(read-only): dom0 fill.sh
//! test(read-only): console-contains "read-only"
//! test(read-only): console-contains "block: both ends are as this app writes them"
//! test(table): disk disk=8M
//! test(table): dom0 "printf 'o\nn\np\n1\n2048\n\nw\n' | fdisk $DISK >/dev/null 2>&1 || true"
//! test(table): dom0 "md5sum <$DISK >$DISK.made"
//! test(table): expect exit 1
//! test(table): console-contains "the disk holds a boot sector or a partition table (MBR), which would be lost"
//! test(table): client-when "which would be lost"
//! test(table): client "md5sum <$DISK | cmp - $DISK.made"
//! test(small): client-when "block: the disk keeps"
//! test(small): client compare.sh
//! test(large): client-when "block: the disk keeps"
//! test(large): client compare.sh
//! test(sectors): client-when "block: the disk keeps"
//! test(sectors): client compare.sh
//! test(read-only): client-when "block: the disk keeps"
//! test(read-only): client compare.sh
//! test: client-then wait
//! test(large,read-only): not-in-check

#![no_std]
#![no_main]

use xenith::Block;

xenith::unikernel! {
    /// Checks that a disk keeps what is written to it, and refuses what it has no room for.
    name: "block",
    memory: 8 MiB,
    devices: { disk: Block("xvda") },
    args: {
        /// Bytes to write at each end, in whole sectors.
        size: u32 = 65536,
        /// Writes also where the disk holds something.
        overwrite: bool = false,
    },
    main: block::start,
}
