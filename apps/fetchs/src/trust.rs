//! Whom a client is told to trust, by a disk or by fingerprints: for other apps too.

use alloc::vec::Vec;
use core::fmt;
use xenith::block::Block;
use xenith::text::Escaped;
use xenith::tls::{self, ClientConfig, ClientOptions, Trust};

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

/// Makes what connections have, of the fingerprints or, if there are none, the roots on the disk.
///
/// # Errors
/// [`Error`].
pub async fn config(
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
