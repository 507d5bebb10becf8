//! The wiring of `bridge`.
//!
//! test: client client.sh
//! test: console-contains "bridge: ready between 00:16:3e:00:00:"
//! test: console-contains " for want of room, 0 too long, 0 without a checksum, 0 refused"
//! test: timeout 120

#![no_std]
#![no_main]

use xenith::Net;

xenith::unikernel! {
    /// Bridges two networks: a machine on one of them reaches those on the other.
    name: "bridge",
    memory: 4 MiB,
    devices: { one: Net("0"), other: Net("1") },
    main: bridge::start,
}
