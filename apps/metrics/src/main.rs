//! The wiring of `metrics`.
//!
//! test(serves): client client.sh
//! test(crowd): client crowd.sh
//! test: timeout 90
//! test(crowd): not-in-check

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
    /// Serves numbers about the machine, for Prometheus, at /metrics.
    name: "metrics",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// TCP port to listen on.
        port: u16 = 9100,
    },
    main: metrics::start,
}
