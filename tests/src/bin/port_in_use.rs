//! Two services on one port: the second one is told so.
//!
//! test(tcp): args kind=tcp
//! test(udp): args kind=udp
//! test: console-contains "error: the port is in use\n"
//! test: expect exit 1
//! test: dom0 "true"
//! test: no-verdict

#![no_std]
#![no_main]

use xenith::Ip;
use xenith::ip::{Error, Tcp, Udp};

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
        let _first = ip.bind(7).await?;
        ip.bind(7).await.map(drop)
    } else {
        let _first = ip.listen(7).await?;
        ip.listen(7).await.map(drop)
    }
}
