//! The wiring of `ping`.
//!
//! test(answers): client "ping -c 20 -i 0.05 -q $IP"
//! test(fragments): args ip=10.0.0.2/24,fd00::2/64
//! test(fragments): dom0 "echo 0 >/proc/sys/net/ipv6/conf/xenbr0/disable_ipv6; ip addr replace fd00::1/64 dev xenbr0 nodad"
//! test(fragments): client "ping -c 5 -i 0.2 -q -s 4000 10.0.0.2 && ping -6 -c 5 -i 0.2 -q -s 4000 fd00::2"
//! test(asks): args to=10.0.0.1 every=100
//! test(asks): console-contains "4 sent, 4 received, 0 lost"
//! test(silence): args to=10.0.0.250 count=1
//! test(silence): expect exit 1
//! test: dom0 "true"
//! test(fragments,silence): not-in-check

#![no_std]
#![no_main]

use xenith::Ip;

xenith::unikernel! {
    /// Asks a machine whether it is there; without `to` it only answers.
    name: "ping",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// Whom to ask: a name or an address.
        to: Option<&'static str>,
        /// How often.
        count: u32 = 4,
        /// Milliseconds from one to the next.
        every: u32 = 1000,
        /// Bytes of data.
        size: u16 = 56,
    },
    main: ping::start,
}
