//! Serves a folder from a disk over HTTPS, as `https` does, with a certificate that it gets and
//! renews by itself, by ACME (RFC 8555).
//!
//! The CA is answered on port 80 (http-01). The account's key and the certificate's are made here and
//! kept in a store on a disk, so that they survive restarts; nobody else has them. As long as there
//! is no certificate, nothing listens on port 443.
//!
//! A certificate that has expired is shown all the same while a newer one is sought. A client that
//! cares sees that it has expired, where a closed port tells it nothing; and it may be this machine's
//! clock that is wrong, with which no site should go down.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod certificate;
mod challenges;
mod config;
mod error;
mod jose;
mod keeper;
mod order;
mod session;
mod store;
#[cfg(test)]
mod tests;

pub use certificate::Flaw;
pub use config::Misuse;
pub use error::{Error, Identifier, Problem, Subproblem};

use alloc::rc::Rc;
use challenges::{Challenges, Plain};
use config::Config;
use core::fmt;
use core::pin::pin;
use core::time::Duration;
use https::{Redirect, Site};
use keeper::{Keeper, Trusted};
use store::{Certificate, Store};
use xenith::args::Several;
use xenith::block::Block;
use xenith::fs::tar::Tar;
use xenith::http::Server;
use xenith::http::files::{Options, StaticFiles};
use xenith::ip::{self, Resolve, Tcp};
use xenith::println;
use xenith::task::{Either, select};
use xenith::time::Instant;
use xenith::tls::{self, ServerConfig, ServerOptions};

/// Says why it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An argument.
    Args(Misuse),
    /// The disk with the site, or the network.
    Site(site::Error),
    /// The disk with the keys, or the one with the roots.
    Acme(Error),
    /// The certificate that is kept cannot be shown.
    Tls(tls::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Args(error) => error.fmt(f),
            Self::Site(error) => error.fmt(f),
            Self::Acme(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Failure {}

impl From<ip::Error> for Failure {
    fn from(error: ip::Error) -> Self {
        Self::Site(site::Error::Network(error))
    }
}

/// What the manifest explains.
#[derive(Clone, Debug)]
pub struct Args {
    /// Names that the certificate is for.
    pub domain: Several,
    /// The URL of the CA's directory.
    pub directory: &'static str,
    /// Consent to the CA's terms.
    pub terms: Option<&'static str>,
    /// Addresses of mail for the CA.
    pub contact: Several,
    /// How long before its end a certificate is renewed.
    pub renew: Option<Duration>,
    /// Fingerprints of the CA's server, in place of the roots.
    pub sha256: Several,
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
}

/// Serves the archive on `disk`, with a certificate and keys that are kept on `kept`, from a CA
/// that the certificates on `roots` vouch for, until the network is down.
///
/// # Errors
/// See [`Failure`]. A CA that fails is none of them: it is asked again.
pub async fn start<T, B, R, K>(disk: B, roots: R, kept: K, ip: T, args: Args) -> Result<(), Failure>
where
    T: Tcp + Resolve,
    B: Block + 'static,
    R: Block,
    K: Block + 'static,
{
    let Args { domain, directory, terms, contact, renew, sha256, port, plain, tls12, .. } = args;
    let config = Config::new(&domain, directory, terms, &contact, renew).map_err(Failure::Args)?;
    let files = Tar::open(disk).await.map_err(|error| Failure::Site(site::Error::Disk(error)))?;
    let options = Options {
        cache: args.cache.saturating_mul(1024),
        max_age: args.max_age,
        hidden: args.hidden,
    };
    // What is wrong with these two is told now, and not when the CA is asked.
    let trust = fetchs::trust::config(&roots, &sha256, tls12).await;
    drop(trust.map_err(|error| Failure::Acme(Error::Roots(error)))?);
    let store = Store::open(kept, config.directory.clone()).await.map_err(Failure::Acme)?;
    let held = match store.certificate().await {
        Err(error @ Error::Store(_)) => return Err(Failure::Acme(error)),
        Err(error) => {
            log::error!("acme: the certificate that is kept: {error}");
            None
        }
        Ok(held) => held,
    };
    let challenges = Rc::new(Challenges::default());
    let trusted = Trusted { roots, fingerprints: sha256, tls12 };
    let mut keeper = Keeper {
        net: &ip,
        config,
        trusted,
        store,
        challenges: Rc::clone(&challenges),
        held,
        not_before: Instant::now(),
    };

    let answers = Plain { challenges: Rc::clone(&challenges), redirect: Redirect { port } };
    let answers = Server::new(answers).bind(&ip, ip::any(plain)).await?;
    println!("acme: listening on port {plain}");
    let mut answers = pin!(answers.serve());
    // Another takes its place, as where it cannot be read.
    if let Some(Err(error)) = keeper.held.as_ref().map(|it| shown(it, tls12)) {
        log::error!("acme: the certificate on the disk cannot be used: {error}");
        keeper.held = None;
    }
    let first = match &keeper.held {
        Some(held) => shown(held, tls12)?,
        None => match select(answers.as_mut(), pin!(keeper.next())).await {
            Either::First(ended) => return Ok(ended?),
            Either::Second(first) => shown(first, tls12)?,
        },
    };
    let secure = tls::Server::new(&ip, first);
    let site = Site { files: StaticFiles::new(files, options), hsts: args.hsts };
    let site = Server::new(site).http2().bind(&secure, ip::any(port)).await?;
    challenges.is_ready.set(true);
    println!("acme: listening on ports {port} and {plain}");
    let mut site = pin!(site.serve());
    let served = async {
        // At the end, both finish what they have begun.
        match select(site.as_mut(), answers.as_mut()).await {
            Either::First(ended) => ended.and(answers.await),
            Either::Second(ended) => ended.and(site.await),
        }
    };
    let renewed = async {
        loop {
            let next = keeper.next().await;
            match shown(next, tls12) {
                Ok(config) => secure.replace(config),
                Err(error) => log::error!("acme: the certificate stays as it is: {error}"),
            }
        }
    };
    match select(pin!(served), pin!(renewed)).await {
        Either::First(ended) => Ok(ended?),
        Either::Second(never) => never,
    }
}

/// What connections are shown.
fn shown(certificate: &Certificate, tls12: bool) -> Result<ServerConfig, Failure> {
    let identity = certificate.identity().map_err(Failure::Tls)?;
    let options = ServerOptions::new(identity).protocols(&["h2", "http/1.1"]);
    if tls12 { options.tls12() } else { options }.build().map_err(Failure::Tls)
}
