//! The wiring of `sealed`.
//!
//! test(serves,flipped,data,short,root): disk image=../../devices/storage/src/tests/images/sealed.img
//! test(serves,flipped,data,short): args sealed=24306c57c2bd8d0f175a57a0ce9d54bcd981504fb417774fad50233b4e5252c4@86016
//! test(serves): disk dom0=debian:cryptsetup-bin,erofs-utils
//! test(serves): client client.sh
//! test(flipped): dom0 "printf x | dd of=$DISK bs=1 seek=90500 conv=notrunc 2>/dev/null"
//! test(flipped): console-contains "verity: block 22 of the disk, one of hashes, does not match its own\n"
//! test(flipped): expect exit 1
//! test(data): dom0 "printf x | dd of=$DISK bs=1 seek=5000 conv=notrunc 2>/dev/null"
//! test(data): client "test $(curl -s -o /dev/null -w '%{http_code}' http://$IP/index.html) = 500"
//! test(data): console-contains "verity: block 1 of the data does not match its hash\n"
//! test(short): dom0 "truncate -s 90112 $DISK"
//! test(short): console-contains "the disk ends before its hashes do"
//! test(short): expect exit 1
//! test(root): args sealed=34306c57c2bd8d0f175a57a0ce9d54bcd981504fb417774fad50233b4e5252c4@86016
//! test(root): console-contains "verity: block 22 of the disk, one of hashes, does not match its own\n"
//! test(root): expect exit 1
//! test(data,short,root): not-in-check

#![no_std]
#![no_main]

use xenith::block::verity::Root;
use xenith::{Block, Ip};

xenith::unikernel! {
    /// Serves a compressed image that is verified by one hash.
    name: "sealed",
    memory: 16 MiB,
    devices: { ip: Ip("0"), image: Block("xvda") },
    args: {
        /// The hash at the root of the disk's content, and where its hashes begin.
        sealed: Root,
        /// TCP port to listen on.
        port: u16 = 80,
        /// KiB of files to keep in memory.
        cache: usize = 4096,
    },
    main: sealed::start,
}
