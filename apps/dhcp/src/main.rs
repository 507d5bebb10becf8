//! The wiring of `dhcp`.
//!
//! test(gives): args ip=10.0.1.2/24 pool=10.0.1.100-10.0.1.101 gateway=10.0.1.1 dns=10.0.1.1,10.0.1.9 domain=lab lease=20
//! test(gives): xl vif=["bridge=xenbr1"]
//! test(gives): client client.sh
//! test(gives): console-contains "dhcp: 10.0.1.100 is 02:00:00:00:00:01's\n"
//! test(gives): timeout 90
//! test(crowd): args ip=10.0.1.2/24 pool=10.0.1.100-10.0.1.115 lease=600
//! test(crowd): xl vif=["bridge=xenbr1"]
//! test(crowd): client crowd.sh
//! test(crowd): timeout 180
//! test(pool): args ip=10.0.1.2/24 pool=10.0.2.1-10.0.2.9
//! test(pool): console-contains "argument pool takes up to 4096 addresses of the server's network"
//! test(pool): expect exit 2
//! test(ip): args ip=here pool=10.0.1.100-10.0.1.101
//! test(ip): console-contains "argument ip takes the server's own address"
//! test(ip): expect exit 2
//! test(crowd,pool): not-in-check

#![no_std]
#![no_main]

use core::net::Ipv4Addr;
use core::time::Duration;
use xenith::Net;

xenith::unikernel! {
    /// Gives addresses to the machines of one network (a DHCPv4 server).
    name: "dhcp",
    memory: 4 MiB,
    devices: { net: Net("0") },
    args: dhcp::Args {
        /// The server's own address with the length of its network's prefix, such as 10.0.1.1/24.
        ip: &'static str,
        /// The range of addresses to lease, first and last, such as 10.0.1.100-10.0.1.199.
        pool: &'static str,
        /// The default router of clients; none if it is left out.
        gateway: Option<Ipv4Addr>,
        /// The name servers of clients, up to 4, separated by commas.
        dns: Option<&'static str>,
        /// The domain name of clients.
        domain: Option<&'static str>,
        /// How long an address is leased for, from 10 seconds on.
        lease: Duration = "1h",
    },
    main: dhcp::start,
}
