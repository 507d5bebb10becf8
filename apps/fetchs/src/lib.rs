//! Fetches pages over HTTPS and HTTP and prints them: `fetch`, with TLS below it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod tests;
pub mod trust;

use alloc::format;
use embedded_io_async::Write;
use xenith::Exit;
use xenith::args::Several;
use xenith::block::Block;
use xenith::ip::{Resolve, Tcp};
use xenith::tls::Client;

/// What the manifest explains.
#[derive(Clone, Debug)]
pub struct Args {
    /// Where the pages are.
    pub url: Several,
    /// The method, if it is not GET, or POST with a body.
    pub method: Option<&'static str>,
    /// Fields of the requests.
    pub field: Several,
    /// What is sent.
    pub body: Option<&'static str>,
    /// Whether heads are printed.
    pub head: bool,
    /// Whether content is printed.
    pub print: bool,
    /// Whether nothing but that is, as it is.
    pub raw: bool,
    /// Fingerprints of certificates that are trusted, in place of those on the disk.
    pub sha256: Several,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
    /// Whether redirects from HTTPS to HTTP are followed.
    pub downgrade: bool,
}

/// Fetches the pages, as [`fetch::start`] does, from servers that the certificates on `roots` vouch
/// for.
pub async fn start<C: Write, I: Tcp + Resolve>(
    mut console: C,
    ip: I,
    roots: impl Block,
    args: Args,
) -> Exit {
    let Args { url, method, field, body, head, print, raw, sha256, tls12, downgrade } = args;
    match trust::config(&roots, &sha256, tls12).await {
        Ok(config) => {
            let pages =
                fetch::Args { url, method, field, body, head, print, raw, ..Default::default() };
            fetch::run(console, Client::new(ip, config), pages, downgrade).await
        }
        Err(error) => {
            // A console that cannot be used is nothing to tell of.
            let _ = console.write_all(format!("error: {error}\n").as_bytes()).await;
            Exit::USAGE
        }
    }
}
