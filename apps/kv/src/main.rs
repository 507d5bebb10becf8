//! The wiring of `kv`.
//!
//! test(commands): disk store=1M
//! test(commands): input "set a one two\nset b 3\nrename a c\ndelete b\nget c\nget a\nexit\n"
//! test(commands): console-contains "kv: ready\nok\nok\nok\nok\none two\nerror: there is nothing"
//! test(crash): disk store=256K
//! test(crash): args run="count n"
//! test(crash): client crash.sh
//! test(crash): client-when "n begins at 0"
//! test(crash): client-then destroy
//! test(crash): timeout 300
//! test(moved): disk store=256K
//! test(moved): args run="count n"
//! test(moved): client moved.sh
//! test(moved): client-when "n begins at 0"
//! test(moved): client-then destroy
//! test(moved): timeout 300
//! test(crash,moved): not-in-check

#![no_std]
#![no_main]

use xenith::{Block, Console};

xenith::unikernel! {
    /// Keeps values by key on a disk, through any loss of power.
    name: "kv",
    memory: 8 MiB,
    devices: { console: Console, store: Block("xvda") },
    args: {
        /// Commands, separated by semicolons; without, they come from the console.
        run: Option<&'static str>,
        /// Makes an empty store also where the disk holds something else, or a store that is damaged.
        overwrite: bool = false,
        /// The memory that the index of keys may take, in KiB; a quarter of what is free without it,
        /// but at least 1024.
        index: Option<u32>,
    },
    main: kv::start,
}
