//! Reads a git repository over HTTPS, and serves the files of its newest commit: `git`, with TLS
//! below it, which trusts whom `fetchs` trusts.
//!
//! What is served goes over HTTP, as that of `git` does.

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
use xenith::args::{Several, Size};
use xenith::block::Block;
use xenith::ip::{Resolve, Tcp};
use xenith::tls::Client;

/// What the manifest explains.
#[derive(Clone, Debug)]
pub struct Args {
    /// Where the repository is.
    pub url: &'static str,
    /// The branch or tag.
    pub branch: &'static str,
    /// Seconds until the server is asked again, 0 for never.
    pub every: u32,
    /// Whether files are listed, and nothing served.
    pub list: bool,
    /// The TCP port to listen on.
    pub port: u16,
    /// Seconds for which browsers use what they have.
    pub max_age: u32,
    /// Whether names are served that begin with a dot.
    pub hidden: bool,
    /// The most bytes of all files.
    pub limit: Size,
    /// The most objects, and the most entries of folders.
    pub objects: u32,
    /// How long the server may be silent, and each of its addresses.
    pub patience: Duration,
    /// How long it may take to read all, or to write.
    pub time: Duration,
    /// Whether files are taken, too.
    pub write: bool,
    /// What a client has to know for that.
    pub token: Option<&'static str>,
    /// Whether it need not know anything.
    pub open: bool,
    /// Who makes commits: `Name <mail>`.
    pub author: &'static str,
    /// Fingerprints of certificates that are trusted, in place of those on the disk.
    pub sha256: Several,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
}

/// Serves the newest files, as [`git::start`] does, from a server that the certificates on `roots`
/// vouch for.
pub async fn start<C: Write, I: Tcp + Resolve>(
    mut console: C,
    ip: I,
    roots: impl Block,
    args: Args,
) -> Exit {
    let Args { url, branch, every, list, port, max_age, hidden, limit, objects, .. } = args;
    let Args { patience, time, write, token, open, author, sha256, tls12, .. } = args;
    match trust::config(&roots, &sha256, tls12).await {
        Ok(config) => {
            let args = git::Args {
                url,
                branch,
                every,
                list,
                port,
                max_age,
                hidden,
                limit,
                objects,
                patience,
                time,
                write,
                token,
                open,
                author,
            };
            git::start(console, Client::new(ip, config), args).await
        }
        Err(error) => {
            // A console that cannot be used is nothing to tell of.
            let _ = console.write_all(format!("error: {error}\n").as_bytes()).await;
            Exit::USAGE
        }
    }
}
