//! The wiring of `site`.
//!
//! test: dom0 site.sh
//! test: xl disk=["format=raw,vdev=xvda,access=ro,target=/tmp/site.tar"]
//! test(serves): client client.sh
//! test(crowd): client crowd.sh
//! test(moved): cycles 2 save copy
//! test(moved): client moved.sh
//! test(moved): args cache=0
//! test(moved): timeout 240
//! test(serves): timeout 300
//! test(crowd): timeout 480
//! test(crowd): not-in-check

#![no_std]
#![no_main]

use xenith::{Block, Ip};

xenith::unikernel! {
    /// Serves the folder in the tar archive on its disk.
    name: "site",
    memory: 16 MiB,
    devices: { ip: Ip("0"), site: Block("xvda") },
    args: {
        /// TCP port to listen on.
        port: u16 = 80,
        /// KiB of files to keep in memory.
        cache: usize = 4096,
        /// Seconds for which browsers use what they have; with 0 they ask each time.
        max_age: u32 = 0,
        /// Serve and list files and folders whose names begin with a dot.
        hidden: bool = false,
    },
    main: site::start,
}
