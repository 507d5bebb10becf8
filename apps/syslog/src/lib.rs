//! Sends the log of an app to a syslog server: RFC 5424 over UDP (RFC 5426) and TCP with counted
//! octets (RFC 6587, section 3.4.1).
//!
//! Any app does so that names its network in `main.rs` by this type; it gets the argument
//! `syslog=udp://10.0.0.1`, and is not changed otherwise:
//!
//! ```
//! /// The network, and the log to where `syslog=` says.
//! type Ip = xenith::ip::With<xenith::Ip, syslog::Syslog>;
//! ```
//!
//! A message has the time of its line, the app's name, and how many were sent before it
//! (`sequenceId`). What the server cannot take waits, up to 32 KiB of it; further lines are lost, and
//! the next message says how many. Nobody tells what was lost on the way: by UDP, or by TCP when a
//! server vanishes. A server that is away is tried again when the app returns, and then each second:
//! what waits is sent if that succeeds within 3 s. What a guest says when it panics is on its console
//! alone. `apps/syslogs` sends it by TLS.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod message;
mod send;
mod server;
#[cfg(test)]
mod tests;
mod way;

use core::time::Duration;
pub use send::{FAREWELL, Syslog, send};
pub use server::{Server, place};
pub use way::{PATIENCE, Way, connect, framed, has_ended, returned};
use xenith::args::Several;
use xenith::time::sleep;

/// Logs `lines`, with a `pause` between them, as logger(1) does. A line may begin with a level and
/// a colon, such as `warn: `; others are of the level `info`. Returns when the toolstack asks for
/// the end.
pub async fn start<I>(_ip: I, lines: Several, pause: Duration) {
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            sleep(pause).await;
        }
        let (level, text) = level(line);
        log::log!(level, "{text}");
    }
    xenith::shutdown::requested().await;
}

/// Takes the level off the beginning of a line.
fn level(line: &str) -> (log::Level, &str) {
    line.split_once(": ")
        .and_then(|(level, text)| Some((level.parse().ok()?, text)))
        .unwrap_or((log::Level::Info, line))
}
