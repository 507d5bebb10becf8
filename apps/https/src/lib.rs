//! Serves a folder from a disk over HTTPS, as `site` does over HTTP, which sends clients here.
//!
//! The certificate and its key are files of a second disk, which is looked at again and again: when
//! they change, so does what new connections are shown.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod keys;
#[cfg(test)]
mod tests;

use alloc::format;
use core::fmt::{self, Write as _};
use core::pin::pin;
use core::time::Duration;
use keys::Keys;
use xenith::block::Block;
use xenith::fs::tar::Tar;
use xenith::fs::{self, Tree};
use xenith::http::files::{Options, StaticFiles};
use xenith::http::{self, Exchange, Handler, Limits, Server, Status};
use xenith::ip::{self, Tcp};
use xenith::println;
use xenith::task::{Either, select};
use xenith::tls;

/// Tells browsers to come by HTTPS alone, for two years (RFC 6797).
const HSTS: (&str, &str) = ("Strict-Transport-Security", "max-age=63072000");

/// Why it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no folder on the disk.
    Site(site::Error),
    /// A file of the disk with the keys cannot be read.
    Keys(&'static str, fs::Error),
    /// They cannot be used.
    Tls(tls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(error) => error.fmt(f),
            Self::Keys(file, error) => write!(f, "the disk with the keys, {file}: {error}"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl From<ip::Error> for Error {
    fn from(error: ip::Error) -> Self {
        Self::Site(site::Error::Network(error))
    }
}

/// What the manifest explains.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    /// The port of HTTPS.
    pub port: u16,
    /// The port of HTTP.
    pub plain: u16,
    /// KiB of files in memory.
    pub cache: usize,
    /// Seconds for which browsers use what they have.
    pub max_age: u32,
    /// Whether hidden files are served.
    pub hidden: bool,
    /// Whether browsers are told to come by HTTPS alone.
    pub hsts: bool,
    /// Whether TLS 1.2 is spoken.
    pub tls12: bool,
    /// Seconds between looks at the keys.
    pub reload: u32,
    /// Connections by TLS at a time.
    pub connections: u32,
    /// Seconds for which a connection may be idle.
    pub idle: u32,
}

/// Serves the archive on `disk` with the keys in that on `keys`, until the network is down.
///
/// # Errors
/// See [`Error`].
pub async fn start<T: Tcp, B: Block + 'static, K: Block + 'static>(
    ip: T,
    disk: B,
    keys: K,
    args: Args,
) -> Result<(), Error> {
    let files = Tar::open(disk).await.map_err(|error| Error::Site(site::Error::Disk(error)))?;
    let mut keys = Keys::new(keys);
    let config = keys.read(args.tls12).await?;
    let options = Options {
        cache: args.cache.saturating_mul(1024),
        max_age: args.max_age,
        hidden: args.hidden,
    };
    let redirect = Server::new(Redirect { port: args.port }).bind(&ip, ip::any(args.plain)).await?;
    let secure = tls::Server::new(ip, config);
    let site = Site { files: StaticFiles::new(files, options), hsts: args.hsts };
    let limits = Limits {
        connections: args.connections as usize,
        idle: Duration::from_secs(args.idle.into()),
        ..Limits::default()
    };
    let server = Server::new(site).http2().limits(limits);
    let server = server.bind(&secure, ip::any(args.port)).await?;
    println!("https: listening on ports {} and {}", args.port, args.plain);
    let (mut server, mut redirect) = (pin!(server.serve()), pin!(redirect.serve()));
    let both = async {
        // At the end, each finishes what it has begun.
        match select(server.as_mut(), redirect.as_mut()).await {
            Either::First(Ok(())) => redirect.await,
            Either::Second(Ok(())) => server.await,
            Either::First(failed) | Either::Second(failed) => failed,
        }
    };
    let renewed = async {
        loop {
            xenith::time::sleep(Duration::from_secs(args.reload.max(1).into())).await;
            renew(&mut keys, &secure, args.tls12).await;
        }
    };
    match select(pin!(both), pin!(renewed)).await {
        Either::First(ended) => Ok(ended?),
        Either::Second(never) => never,
    }
}

/// Takes what has changed on the disk with the keys. What cannot be used changes nothing.
async fn renew<T: Tcp, K: Block + 'static>(keys: &mut Keys<K>, to: &tls::Server<T>, tls12: bool) {
    match keys.changed(tls12).await {
        Ok(Some(config)) => {
            to.replace(config);
            log::info!("https: another certificate");
        }
        Ok(None) => {}
        Err(error) => log::warn!("https: the certificate stays as it is: {error}"),
    }
}

/// Serves files by HTTPS.
#[derive(Debug)]
pub struct Site<F> {
    /// The files.
    pub files: StaticFiles<F>,
    /// Whether browsers are told to come by HTTPS alone.
    pub hsts: bool,
}

impl<F: Tree + 'static> Handler for Site<F> {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        if self.hsts {
            exchange.add_field(HSTS);
        }
        self.files.handle(exchange).await
    }
}

/// Sends clients of HTTP to HTTPS.
#[derive(Clone, Copy, Debug)]
pub struct Redirect {
    /// The port of HTTPS.
    pub port: u16,
}

impl Handler for Redirect {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        let request = exchange.request();
        let host = without_port(request.host());
        if host.is_empty() {
            return exchange.respond(Status::BAD_REQUEST, &[], b"").await;
        }
        let mut to = format!("https://{host}");
        // Writing to a string does not fail.
        if self.port != 443 {
            let _ = write!(to, ":{}", self.port);
        }
        to.push_str(request.path());
        if let Some(query) = request.query() {
            let _ = write!(to, "?{query}");
        }
        exchange.respond(Status(308), &[("Location", &to)], b"").await
    }
}

/// The host of an authority, with the brackets of an IPv6 address.
fn without_port(authority: &str) -> &str {
    let bracket = authority.rfind(']').unwrap_or(0);
    match authority.get(bracket..).and_then(|end| end.find(':')) {
        Some(colon) => authority.get(..bracket + colon).unwrap_or_default(),
        None => authority,
    }
}
