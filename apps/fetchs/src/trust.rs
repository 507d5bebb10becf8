//! Whom a client is told to trust, by a disk or by fingerprints: for other apps too.

use alloc::vec::Vec;
use core::fmt;
use xenith::block::Block;
use xenith::text::Escaped;
use xenith::tls::{self, ClientConfig, ClientOptions, Identity, Trust};
use zeroize::Zeroizing;

/// Bytes of a disk that are read: several times what all public roots have.
const LONGEST: u64 = 1 << 20;

/// Says why nobody is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// This is no fingerprint.
    Fingerprint(&'static str),
    /// The disk with the roots cannot be read.
    Disk,
    /// What is on it cannot be used.
    Roots(tls::Error),
    /// What is on it to show to servers cannot be.
    Identity(tls::Error),
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
            Self::Identity(error) => {
                write!(f, "the client's certificate on the disk with the roots: {error}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Reads a fingerprint: 32 bytes in hexadecimal, with colons between them or without.
pub(crate) fn fingerprint(text: &'static str) -> Result<[u8; 32], Error> {
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

/// Reads whom the fingerprints or, if there are none, the roots of `pem` vouch for.
fn trust(pem: &[u8], fingerprints: &[&'static str]) -> Result<Trust, Error> {
    if fingerprints.is_empty() {
        return Trust::pem(pem).map_err(Error::Roots);
    }
    let all: Result<_, _> = fingerprints.iter().map(|&text| fingerprint(text)).collect();
    all.map(Trust::Fingerprints)
}

/// Makes what connections of HTTP have, of the fingerprints or, if there are none, the roots on the
/// disk.
///
/// # Errors
/// [`Error`].
pub async fn config(
    roots: &impl Block,
    fingerprints: &[&'static str],
    tls12: bool,
) -> Result<ClientConfig, Error> {
    // The disk does not matter beside fingerprints.
    let pem =
        if fingerprints.is_empty() { read(roots).await.ok_or(Error::Disk)? } else { Vec::new() };
    let options = ClientOptions::new(trust(&pem, fingerprints)?).protocols(&["http/1.1"]);
    if tls12 { options.tls12() } else { options }.build().map_err(Error::Roots)
}

/// What begins the lines that begin what a file in PEM form holds, and what ends that of a key.
const BEGIN: &[u8] = b"-----BEGIN ";
const KEY: &[u8] = b"PRIVATE KEY-----";

/// Where the first private key begins.
fn key_in(pem: &[u8]) -> Option<usize> {
    let end = pem.windows(KEY.len()).position(|it| it == KEY)?;
    pem[..end].windows(BEGIN.len()).rposition(|it| it == BEGIN)
}

/// Begins to say what connections of any protocol have: whom they trust, as [`config`] does, and
/// who they are. Where a private key follows the roots on the disk, it and the certificates behind
/// it are shown to servers that ask for one.
///
/// # Errors
/// [`Error`].
pub async fn options(
    disk: &impl Block,
    fingerprints: &[&'static str],
    tls12: bool,
) -> Result<ClientOptions, Error> {
    let pem = Zeroizing::new(read(disk).await.ok_or(Error::Disk)?);
    let (roots, own) = pem.split_at(key_in(&pem).unwrap_or(pem.len()));
    let options = ClientOptions::new(trust(roots, fingerprints)?);
    let options = if tls12 { options.tls12() } else { options };
    if own.is_empty() {
        return Ok(options);
    }
    let identity = Identity::from_pem(own, own).map_err(Error::Identity)?;
    Ok(options.identity(identity))
}
