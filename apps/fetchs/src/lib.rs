//! Fetches pages over HTTPS and HTTP and prints them: `fetch`, with TLS below it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod tests;

use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use embedded_io_async::Write;
use xenith::Exit;
use xenith::args::Several;
use xenith::block::Block;
use xenith::ip::{Resolve, Tcp};
use xenith::text::Escaped;
use xenith::tls::{self, Client, ClientConfig, ClientOptions, Trust};

/// Bytes of a disk that are read: several times what all public roots have.
const LONGEST: u64 = 1 << 20;

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

/// Why nothing is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Error {
    /// This is no fingerprint.
    Fingerprint(&'static str),
    /// The disk with the roots cannot be read.
    Disk,
    /// What is on it cannot be used.
    Roots(tls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(text) => {
                let text = Escaped(text.as_bytes());
                write!(f, "sha256={text} is no fingerprint: it has 64 hexadecimal digits")
            }
            Self::Disk => f.write_str("the disk with the roots cannot be read"),
            Self::Roots(error) => write!(f, "the disk with the roots: {error}"),
        }
    }
}

/// Reads a fingerprint: 32 bytes in hexadecimal, with colons between them or without.
fn fingerprint(text: &'static str) -> Result<[u8; 32], Error> {
    let mut digits = text.chars().filter(|&c| c != ':').map(|c| c.to_digit(16));
    let mut next = || digits.next().flatten().ok_or(Error::Fingerprint(text));
    let mut bytes = [0; 32];
    for byte in &mut bytes {
        // Two digits fit.
        *byte = (next()? * 16 + next()?) as u8;
    }
    if digits.next().is_some() { Err(Error::Fingerprint(text)) } else { Ok(bytes) }
}

/// Reads the beginning of a disk.
async fn read(disk: &impl Block) -> Option<Vec<u8>> {
    let info = disk.info();
    let size = u64::from(info.sector_size);
    let length = info.sectors.min(LONGEST / size.max(1)) * size;
    let mut content = Vec::new();
    content.try_reserve_exact(length as usize).ok()?;
    content.resize(length as usize, 0);
    disk.read(0, &mut content).await.ok()?;
    Some(content)
}

/// Makes what connections have, of the fingerprints or the roots on the disk.
async fn config(
    roots: &impl Block,
    fingerprints: &[&'static str],
    tls12: bool,
) -> Result<ClientConfig, Error> {
    let trust = if fingerprints.is_empty() {
        Trust::pem(&read(roots).await.ok_or(Error::Disk)?).map_err(Error::Roots)?
    } else {
        let all: Result<_, _> = fingerprints.iter().map(|&text| fingerprint(text)).collect();
        Trust::Fingerprints(all?)
    };
    let options = ClientOptions::new(trust).protocols(&["http/1.1"]);
    if tls12 { options.tls12() } else { options }.build().map_err(Error::Roots)
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
    match config(&roots, &sha256, tls12).await {
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
