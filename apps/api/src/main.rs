//! The wiring of `api`.
//!
//! test: args log=access=info
//! test: client client.sh
//! test: console-contains "- - ["
//! test: timeout 60

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
    /// A REST service: a list of notes, in memory.
    name: "api",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// TCP port to listen on.
        port: u16 = 80,
    },
    main: api::start,
}
