//! How a machine comes by its addresses, and what is said when it does not.
//!
//! test(late): args peer=10.0.1.1
//! test(late): xl vif=["bridge=xenbr1"]
//! test(late): client-when "no DHCP server answers: asking again, for 8 s"
//! test(late): client dhcp.sh
//! test(late): client-then wait
//! test(late): console-contains "net: 10.0.1.150/24 by DHCP, no gateway, dns none"
//! test(late): console-contains "10.0.1.1 answers"
//! test(late): timeout 60
//! test(static): args ip=10.0.0.2/24,fd00::2/64 gateway=10.0.0.1
//! test(static): console-contains "10.0.0.1 answers"
//! test(prefix): args ip=10.0.0.2
//! test(prefix): console-contains "ip=10.0.0.2: not a list of dhcp, address/prefix"
//! test(prefix): expect exit 2
//! test(text): args ip=here/24
//! test(text): console-contains "ip=here/24: not a list of dhcp, address/prefix"
//! test(text): expect exit 2
//! test(network): args ip=10.0.0.0/24
//! test(network): console-contains "ip=10.0.0.0/24: not a list of dhcp, address/prefix"
//! test(network): expect exit 2
//! test(gateway): args ip=10.0.0.2/24 gateway=10.0.0.2
//! test(gateway): console-contains "gateway=10.0.0.2: not a list of routers on the link, one a version"
//! test(gateway): expect exit 2
//! test(route): args ip=10.9.0.50/32 gateway=172.31.1.1 stay=yes
//! test(route): xl vif=["bridge=xenbr1"]
//! test(route): dom0 "busybox ip addr add 172.31.1.1/32 dev xenbr1; busybox ip route add 10.9.0.50/32 dev xenbr1"
//! test(route): client "ping -c 2 -i 0.2 -q 10.9.0.50; busybox ip route del 10.9.0.50/32; busybox ip addr del 172.31.1.1/32 dev xenbr1"
//! test(route): client-when "10.0.0.1 answers"
//! test(odd): args stay=yes
//! test(odd): client-when "10.0.0.1 answers"
//! test(odd): xl vif=["bridge=xenbr1"]
//! test(odd): dom0 dhcp-odd.sh
//! test(odd): client "ping -c 2 -i 0.2 -q 10.9.0.51; busybox ip route del 10.9.0.51/32; busybox ip addr del 172.31.1.1/32 dev xenbr1"
//! test(odd): console-contains "net: 10.9.0.51/32 by DHCP, gateway 172.31.1.1, dns none"
//! test(taken): args ip=10.77.0.2/24 peer=10.77.0.9
//! test(taken): xl vif=["bridge=xenbr1"]
//! test(taken): dom0 "busybox ip addr add 10.77.0.2/24 dev xenbr1"
//! test(taken): client-when "10.77.0.2 is used by"
//! test(taken): client "busybox ip addr del 10.77.0.2/24 dev xenbr1"
//! test(taken): client-then wait
//! test(taken): console-contains "as well, and goes on being used here: give one of the two another address"
//! test(taken): expect exit 1
//! test: dom0 "true"
//! test: no-verdict
//! test(prefix,text,network,gateway,odd): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::Ip;
use xenith::ip::{Error, Ping, Resolve};

kernel::unikernel! {
    /// Says whether a peer answers.
    name: "addresses",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// The peer's address.
        peer: &'static str = "10.0.0.1",
        /// Wait for the request to end.
        stay: bool = false,
    },
    main: start,
}

async fn start(ip: Ip, peer: &str, stay: bool) -> Result<(), Error> {
    for address in ip.resolve(peer).await? {
        ip.ping(address, 8, Duration::from_secs(5)).await?;
        kernel::println!("{address} answers");
    }
    if stay {
        kernel::shutdown_requested().await;
    }
    Ok(())
}
