//! The wiring of `iperf`.
//!
//! test(moves): client client.sh
//! test(crowd): client crowd.sh
//! test(moves): memory 64
//! test(moves): args ip=10.0.0.2/24,fd00::2/64
//! test: timeout 240
//! test(crowd): not-in-check

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
    /// Measures TCP throughput as a server of iperf3.
    name: "iperf",
    memory: 16 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// The port.
        port: u16 = 5201,
    },
    main: iperf::start,
}
