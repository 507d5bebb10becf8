//! The wiring of `ntp`.
//!
//! test: disk dom0=debian:chrony
//! test: dom0 chrony.sh
//! test: xl rtc_timeoffset=86400
//! test: args ntp=10.0.0.1,10.0.0.251
//! test: client-when "the time is that of 1 of 1 servers"
//! test: client "ss -lnu | grep -q :123"
//! test: console-contains "the clock was 86"
//! test: console-contains " s ahead\n"

#![no_std]
#![no_main]

/// The network, and a clock that follows the servers of `ntp=`.
type Ip = xenith::ip::With<xenith::Ip, ntp::Ntp>;

xenith::unikernel! {
    /// Keeps its clock right by time servers, and says so: a service of any app, alone.
    name: "ntp",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    main: ntp::start,
}
