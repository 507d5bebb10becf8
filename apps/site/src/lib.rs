//! Serves a folder from a disk over HTTP, as web servers do: entity tags, conditions, ranges,
//! packed forms beside their files (`style.css.br`), lists of folders.
//!
//! All of that is [`StaticFiles`]; here it is given a tar archive on a disk.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod tests;

use core::fmt;
use xenith::block::Block;
use xenith::fs::tar::Tar;
use xenith::fs::{self, Tree};
use xenith::http::Server;
use xenith::http::files::{Options, StaticFiles};
use xenith::ip::{self, Tcp};
use xenith::println;

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no folder on the disk.
    Disk(fs::Error),
    /// There is no network.
    Network(ip::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(fs::Error::OtherFormat) => {
                f.write_str("there is no tar archive on the disk: give a folder or such a file")
            }
            Self::Disk(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
        }
    }
}

/// Serves the archive on `disk` until the network is down. `cache` is in KiB, `max_age` and
/// `hidden` are as in [`Options`].
///
/// # Errors
/// See [`Error`].
pub async fn start<T: Tcp, B: Block + 'static>(
    ip: T,
    disk: B,
    port: u16,
    cache: usize,
    max_age: u32,
    hidden: bool,
) -> Result<(), Error> {
    let files = Tar::open(disk).await.map_err(Error::Disk)?;
    let options = Options { cache: cache.saturating_mul(1024), max_age, hidden };
    serve(&ip, files, port, options).await.map_err(Error::Network)
}

/// Serves `files` until the network is down.
///
/// # Errors
/// Those of [`Tcp::bind`].
pub async fn serve<T: Tcp, F: Tree + 'static>(
    ip: &T,
    files: F,
    port: u16,
    options: Options,
) -> Result<(), ip::Error> {
    let server = Server::new(StaticFiles::new(files, options)).http2();
    let server = server.bind(ip, ip::any(port)).await?;
    println!("site: listening on port {}", server.local_addr().port());
    server.serve().await
}
