//! Serves an image that is compressed and sealed: made by `mkfs.erofs` and `veritysetup`, and
//! verified by one hash, which is an argument. A bit that differs from what was sealed is never
//! served.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt;
use xenith::block::Block;
use xenith::block::verity::{self, Root, Verity};
use xenith::fs;
use xenith::fs::erofs::Erofs;
use xenith::http::files::Options;
use xenith::ip::{self, Tcp};

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The disk is not the one with this root.
    Seal(verity::Error<E>),
    /// There is no folder on the disk.
    Disk(fs::Error),
    /// There is no network.
    Network(ip::Error),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal(error) => error.fmt(f),
            Self::Disk(fs::Error::OtherFormat) => {
                f.write_str("there is no EROFS on the disk: make one with `cargo mk disk`")
            }
            Self::Disk(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
        }
    }
}

/// Serves what is on `disk`, whose root is `sealed`, until the network is down. `cache` is in KiB.
///
/// # Errors
/// See [`Error`].
pub async fn start<T: Tcp, B: Block + 'static>(
    ip: T,
    disk: B,
    sealed: Root,
    port: u16,
    cache: usize,
) -> Result<(), Error<B::Error>> {
    let disk = Verity::open(disk, sealed).await.map_err(Error::Seal)?;
    let files = Erofs::open(disk).await.map_err(Error::Disk)?;
    let options = Options { cache: cache.saturating_mul(1024), ..Options::default() };
    site::serve(&ip, files, port, options).await.map_err(Error::Network)
}
