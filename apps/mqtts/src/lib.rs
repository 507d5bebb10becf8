//! Publishes messages to an MQTT broker, and prints those that others publish: `mqtt`, with TLS
//! below it, which trusts whom `fetchs` trusts.
//!
//! The broker has to prove that it is the host of the argument `broker=`. One that does not is an
//! error, unless it did in an earlier connection: then it is tried again as one that is away, as
//! it may get another certificate.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod tests;

use alloc::format;
use core::time::Duration;
use embedded_io_async::Write;
use fetchs::trust;
use xenith::Exit;
use xenith::args::Several;
use xenith::block::Block;
use xenith::ip::{Resolve, Tcp};
use xenith::tls::Client;

/// What the manifest explains.
#[derive(Clone, Debug)]
pub struct Args {
    /// The broker's name or address, and its port.
    pub broker: &'static str,
    /// See [`broker`](Self::broker).
    pub port: u16,
    /// The name by which the broker knows the session.
    pub id: &'static str,
    /// Who logs in.
    pub user: Option<&'static str>,
    /// With which password.
    pub password: Option<&'static str>,
    /// What is published.
    pub publish: Several,
    /// Whether the broker is to keep it.
    pub retain: bool,
    /// Filters of topics.
    pub subscribe: Several,
    /// The quality of service.
    pub quality: u8,
    /// How many messages are received before it ends.
    pub count: u32,
    /// Seconds of silence that are allowed.
    pub keepalive: u16,
    /// The most bytes of a packet of the broker.
    pub limit: u32,
    /// How long an answer may take.
    pub patience: Duration,
    /// Fingerprints of certificates that are trusted, in place of those on the disk.
    pub sha256: Several,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
}

/// Publishes and prints, as [`mqtt::start`] does, with a broker that the certificates on `roots`
/// vouch for.
pub async fn start<C: Write, I: Tcp + Resolve>(
    mut console: C,
    ip: I,
    roots: impl Block,
    args: Args,
) -> Exit {
    let Args { broker, port, id, user, password, publish, retain, subscribe, quality, .. } = args;
    let Args { count, keepalive, limit, patience, sha256, tls12, .. } = args;
    let options = trust::options(&roots, &sha256, tls12).await;
    match options.and_then(|options| options.build().map_err(trust::Error::Roots)) {
        Ok(config) => {
            let ip = Client::new(ip, config).named(broker);
            let args = mqtt::Args {
                broker,
                port,
                id,
                user,
                password,
                publish,
                retain,
                subscribe,
                quality,
                count,
                keepalive,
                limit,
                patience,
            };
            mqtt::start(console, ip, args).await
        }
        Err(error) => {
            // A console that cannot be used is nothing to tell of.
            let _ = console.write_all(format!("mqtt: {error}\n").as_bytes()).await;
            Exit(5)
        }
    }
}
