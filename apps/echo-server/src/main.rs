//! The wiring of `echo-server`.
//!
//! test: client client.sh
//! test: timeout 60

#![no_std]
#![no_main]

use devices::Ip;

kernel::unikernel! {
    /// Echoes what comes by TCP and UDP.
    name: "echo-server",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// The port, of TCP and of UDP.
        port: u16 = 7,
    },
    main: echo_server::start,
}
