//! The wiring of `echo-server`.
//!
//! test(echoes): client client.sh
//! test(neighbors): args ip=10.0.0.2/24,fd00::2/64
//! test(neighbors): dom0 "echo 0 >/proc/sys/net/ipv6/conf/xenbr0/disable_ipv6; ip addr replace fd00::1/64 dev xenbr0 nodad; ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:99 dev xenbr0 nud stale"
//! test(neighbors): client neighbors.sh
//! test(crowd): client crowd.sh
//! test: timeout 60
//! test(neighbors): not-in-check

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
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
