//! The wiring of `syslog`.
//!
//! test: disk dom0=debian:rsyslog
//! test: dom0 rsyslog.sh
//! test(udp): args syslog=udp://10.0.0.1 syslog.host=lab line="error: the disk is full" line="grüße" line="warn: a \"b\" \\ c"
//! test(tcp): args syslog=tcp://10.0.0.1:601 syslog.host=lab line="error: the disk is full" line="grüße" line="warn: a \"b\" \\ c"
//! test: client-when "a \"b\""
//! test: client said.sh
//! test: timeout 60
//! test(udp): not-in-check

#![no_std]
#![no_main]

use core::time::Duration;
use xenith::args::Several;

/// The network, and the log to where `syslog=` says.
type Ip = xenith::ip::With<xenith::Ip, syslog::Syslog>;

xenith::unikernel! {
    /// Logs lines, to the console and to a syslog server, as logger(1) does.
    name: "syslog",
    memory: 4 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// What to log; it may begin with a level, as "warn: it is late".
        line: Several,
        /// The time between lines.
        pause: Duration = "0",
    },
    main: syslog::start,
}
