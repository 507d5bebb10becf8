//! The wiring of `disk-lottery`.
//!
//! test: disk disk=4K
//! test(new): args reset_all=on
//! test(new): console-contains "8 slots are empty now"
//! test(empty): expect exit 6
//! test(empty): console-contains "begin one with reset=on"
//! test(beyond): args slot=8
//! test(beyond): expect exit 5
//! test(empty,beyond): not-in-check

#![no_std]
#![no_main]

use xenith::Block;

xenith::unikernel! {
    /// Draws a number, and keeps the highest on a disk.
    name: "disk-lottery",
    memory: 4 MiB,
    devices: { disk: Block("xvda") },
    args: {
        /// The sector to play in.
        slot: u64 = 0,
        /// Empties the slot.
        reset: bool = false,
        /// Empties all slots.
        reset_all: bool = false,
        /// Resets also where the disk holds something else.
        overwrite: bool = false,
    },
    main: disk_lottery::start,
}
