//! Two services on one port: the second one is told so.
//!
//! test(tcp): args kind=tcp
//! test(udp): args kind=udp
//! test: console-contains "error: port 7 is in use\n"
//! test: expect exit 1
//! test: dom0 "true"
//! test: no-verdict
//! test(udp): not-in-check

#![no_std]
#![no_main]

use xenith::Ip;
use xenith::ip::{Error, Tcp, Udp, any};

kernel::unikernel! {
    /// Takes a port twice.
    name: "port_in_use",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// Of which kind: tcp or udp.
        kind: &'static str,
    },
    main: start,
}

async fn start(ip: Ip, kind: &str) -> Result<(), Error> {
    if kind == "udp" {
        let _first = Udp::bind(&ip, any(7)).await?;
        Udp::bind(&ip, any(7)).await.map(drop)
    } else {
        let _first = Tcp::bind(&ip, any(7)).await?;
        Tcp::bind(&ip, any(7)).await.map(drop)
    }
}
