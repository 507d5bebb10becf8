//! The wiring of `chat`.
//!
//! test: client client.sh
//! test: timeout 60

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
    /// A chat in the browser, by WebSockets and server-sent events.
    name: "chat",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// TCP port to listen on.
        port: u16 = 80,
    },
    main: chat::start,
}
