//! Asks a PostgreSQL server by TLS: `pgx`, with TLS below it, which trusts whom `fetchs` trusts.
//!
//! The server is asked for TLS first (SSLRequest). One that has none, or that is not the host of the
//! argument `server=`, is told nothing else. A password is proved by SCRAM-SHA-256, bound to the
//! server's certificate if the server offers that (SCRAM-SHA-256-PLUS).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod tests;
mod way;

use alloc::format;
use core::time::Duration;
use embedded_io_async::Write;
use fetchs::trust;
use way::Secure;
use xenith::Exit;
use xenith::args::Several;
use xenith::block::Block;
use xenith::ip::{Resolve, Tcp};

/// The name of what is spoken (ALPN), which servers know since PostgreSQL 17.
const PROTOCOL: &str = "postgresql";

/// What the manifest explains.
#[derive(Clone, Debug)]
pub struct Args {
    /// The server's name or address, and its port.
    pub server: &'static str,
    /// See [`server`](Self::server).
    pub port: u16,
    /// Who logs in.
    pub user: &'static str,
    /// To what.
    pub database: &'static str,
    /// With which password, if with one.
    pub password: Option<&'static str>,
    /// Commands without values, in their order.
    pub run: Several,
    /// After them, a command with values.
    pub query: Option<&'static str>,
    /// Its values.
    pub value: Several,
    /// The most bytes of a row.
    pub limit: u32,
    /// How long an answer may take.
    pub patience: Duration,
    /// Fingerprints of certificates that are trusted, in place of those on the disk.
    pub sha256: Several,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
}

/// Prints the answers, as [`pgx::start`] does, of a server that the certificates on `roots` vouch
/// for. Returns 4 for one that is not to be trusted, too, and 2 for roots that cannot be used.
pub async fn start<C: Write, I: Tcp + Resolve>(
    mut console: C,
    ip: I,
    roots: impl Block,
    args: Args,
) -> Exit {
    let Args { server, port, user, database, password, run, query, value, limit, .. } = args;
    let Args { patience, sha256, tls12, .. } = args;
    let options = trust::options(&roots, &sha256, tls12).await;
    let config = options
        .and_then(|options| options.protocols(&[PROTOCOL]).build().map_err(trust::Error::Roots));
    match config {
        Ok(config) => {
            let args = pgx::Args {
                server,
                port,
                user,
                database,
                password,
                run,
                query,
                value,
                limit,
                patience,
            };
            pgx::over(console, Secure { ip, config }, args).await
        }
        Err(error) => {
            // A console that cannot be used is nothing to tell of.
            let _ = console.write_all(format!("error: {error}\n").as_bytes()).await;
            Exit::USAGE
        }
    }
}
