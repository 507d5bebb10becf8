//! The wiring of `httpd`.
//!
//! test(serves): client client.sh
//! test(six): args ip=10.0.0.2/24,fd00::2/64
//! test(six): client six.sh
//! test(floods): client floods.sh
//! test(plug): client plug.sh
//! test(crowd): client crowd.sh
//! test(tight): memory 3
//! test(tight): client crowd.sh
//! test(silent): args connections=64
//! test(silent): client silent.sh
//! test(ends): args grace=4
//! test(ends): client ends.sh
//! test(ends): client-then wait
//! test(core): client "sleep 30 | nc $IP 80 >/dev/null & sleep 1"
//! test(core): client-then destroy
//! test(core): core-contains "memory: 1024 pages, 1024 of them in the file\n\nthe vCPU was at\n"
//! test(core): core-contains " kernel::task::block_on"
//! test(core): core-contains "  waits    devices::net::netfront::connect::run::{closure#0} ("
//! test(core): core-contains "  waits    http::server::admit::{closure#1} ("
//! test(core): core-contains " allocations failed\n"
//! test(moved): cycles 4 migrate copy save full save
//! test(moved): client moved.sh
//! test(updated): client updated.sh
//! test(updated): client-then destroy
//! test(moments): client moments.sh
//! test(moments): client-then destroy
//! test: timeout 480
//! test(crowd,tight,moments): not-in-check

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
    /// A web server with a page about itself.
    name: "httpd",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// TCP port to listen on.
        port: u16 = 80,
        /// Connections at a time; a further one takes the place of an idle one.
        connections: u32 = 256,
        /// Seconds for which a connection may be idle.
        idle: u32 = 30,
        /// Seconds for requests that are under way when the toolstack asks for the end.
        grace: u32 = 10,
        /// Bytes of a request's head.
        head: u32 = 16384,
        /// Bytes of a request's target.
        target: u32 = 8000,
        /// Fields of a request's head.
        fields: u32 = 128,
    },
    update: httpd::Kept,
    main: httpd::start,
}
