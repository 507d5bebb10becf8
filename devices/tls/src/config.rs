//! What ends of connections are to have, and whom they trust.

use crate::session::{CHAIN, HELLO};
use crate::trust::{Chains, Clients, Fingerprints, Trust, certificates_in, roots};
use crate::{Error, provider};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::ops::DerefMut;
use core::time::Duration;
use kernel::text::Escaped;
use rustls::SupportedProtocolVersion;
use rustls::client::{
    ClientSessionMemoryCache, Resumption, UnbufferedClientConnection, WebPkiServerVerifier,
};
use rustls::lock::{Lock, MakeMutex, MutexGuard, Poisoned};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
    UnbufferedServerConnection, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Sessions that can be resumed.
const SESSIONS: usize = 256;

/// Bytes of early data: none, as anybody may send them again.
const EARLY: u32 = 0;

/// Tickets for a client, each for one connection, which brings the next one. Each costs a
/// handshake some of its instructions.
const TICKETS: usize = 1;

const MODERN: &[&SupportedProtocolVersion] = &[&TLS13];
const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Names the other end, for the log.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Client(SocketAddr),
    Server(String),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(address) => address.fmt(f),
            Self::Server(name) => Escaped(name.as_bytes()).fmt(f),
        }
    }
}

/// Tells rustls the time, by which certificates are judged.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(kernel::time::wall_clock()))
    }
}

/// A lock, of which rustls has no own without a standard library.
struct Spin<T>(spin::Mutex<T>);

impl<T> fmt::Debug for Spin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spin")
    }
}

impl<T: Send + 'static> Lock<T> for Spin<T> {
    fn lock(&self) -> Result<MutexGuard<'_, T>, Poisoned> {
        Ok(Box::new(self.0.lock()) as Box<dyn DerefMut<Target = T> + '_>)
    }
}

struct Spins;

impl MakeMutex for Spins {
    fn make_mutex<T: Send + 'static>(value: T) -> Arc<dyn Lock<T>> {
        Arc::new(Spin(spin::Mutex::new(value)))
    }
}

/// A certificate with those that certify it, and its private key, which is overwritten when it is
/// not needed any more.
#[derive(Clone, Debug)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Claims a certificate that `other` has the key of.
    #[cfg(test)]
    pub(crate) fn pretending(certificates: &[u8], other: &Self) -> Self {
        let chain = certificates_in(certificates).unwrap();
        Self(Arc::new(CertifiedKey::new(chain, Arc::clone(&other.0.key))))
    }

    /// Reads files in PEM form (RFC 7468): the certificate, first, with those that lead from it to
    /// a root; and the private key, P-256 or Ed25519, in PKCS #8 or SEC 1. What `key` holds is the
    /// caller's to overwrite.
    ///
    /// # Errors
    /// [`Error::NoCertificate`], [`Error::NoKey`], [`Error::OtherKey`] if the two do not belong
    /// together, [`Error::BadCertificate`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = certificates_in(certificates)?;
        let both = CertifiedKey::new(chain, provider::key_in(key).ok_or(Error::NoKey)?);
        both.keys_match()?;
        Ok(Self(Arc::new(both)))
    }
}

/// Chooses the certificate that a client asks for by name (SNI, RFC 6066).
#[derive(Debug)]
struct Names {
    first: Identity,
    others: Vec<(String, Identity)>,
}

impl ResolvesServerCert for Names {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = client_hello.server_name().unwrap_or_default();
        let named = self.others.iter().find(|(name, _)| name.eq_ignore_ascii_case(asked));
        Some(Arc::clone(&named.map_or(&self.first, |(_, identity)| identity).0))
    }
}

/// Says what the server's end of connections has: certificates, protocols, limits.
#[derive(Debug)]
pub struct ServerOptions {
    names: Names,
    protocols: Vec<Vec<u8>>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    tls12: bool,
    handshake: Duration,
    sessions: usize,
}

impl ServerOptions {
    /// Begins with one certificate, for clients that ask for no other; TLS 1.3 alone.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self {
            names: Names { first: identity, others: Vec::new() },
            protocols: Vec::new(),
            clients: None,
            tls12: false,
            handshake: HANDSHAKE,
            sessions: SESSIONS,
        }
    }

    /// Adds a certificate for clients that ask for `name`.
    #[must_use]
    pub fn named(mut self, name: &str, identity: Identity) -> Self {
        self.names.others.push((name.into(), identity));
        self
    }

    /// Sets the protocols that it speaks, the one that it prefers first (ALPN, RFC 7301). A client
    /// that names others alone is refused.
    #[must_use]
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        self
    }

    /// Asks clients for a certificate that one of those in `pem` has signed, and refuses those that
    /// have none. Each shows it with each connection, and no session is resumed: one would outlive
    /// the certificate (RFC 8446, section 4.6.1).
    ///
    /// # Errors
    /// [`Error::NoCertificate`], and [`Error::BadCertificate`] for roots that are none.
    pub fn clients(mut self, pem: &[u8]) -> Result<Self, Error> {
        let roots = Arc::new(roots(certificates_in(pem)?)?);
        // Made here, so that an image that never asks has nothing of what verifies certificates.
        let provider = provider::verifying(false);
        let algorithms = provider.signature_verification_algorithms;
        let chains =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider).build();
        let bad = |error| Error::BadCertificate(alloc::format!("{error}"));
        self.clients = Some(Arc::new(Clients { roots, chains: chains.map_err(bad)?, algorithms }));
        Ok(self)
    }

    /// Speaks TLS 1.2 too (RFC 5246), with the suites that RFC 9325 recommends.
    #[must_use]
    pub const fn tls12(mut self) -> Self {
        self.tls12 = true;
        self
    }

    /// Sets how long a handshake may take: 10 s by default.
    #[must_use]
    pub const fn handshake(mut self, limit: Duration) -> Self {
        self.handshake = limit;
        self
    }

    /// Sets how many sessions can be resumed, 256 by default; each takes some 200 bytes. The
    /// oldest make room for new ones. There are none where [clients](Self::clients) show
    /// certificates.
    #[must_use]
    pub const fn sessions(mut self, count: usize) -> Self {
        self.sessions = count;
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    /// [`Error::Protocol`], which no options lead to.
    pub fn build(self) -> Result<ServerConfig, Error> {
        let provider = provider::of_servers(self.tls12);
        let builder = rustls::ServerConfig::builder_with_details(provider, Arc::new(Clock))
            .with_protocol_versions(versions(self.tls12))?;
        let asks = self.clients.is_some();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(Arc::new(self.names));
        config.alpn_protocols = self.protocols;
        config.max_early_data_size = EARLY;
        if asks {
            // Who is let in by a session is not asked whether the certificate has expired.
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        } else {
            config.send_tls13_tickets = TICKETS;
            config.session_storage = ServerSessionMemoryCache::new::<Spins>(self.sessions);
        }
        let longest = if asks { CHAIN } else { HELLO };
        Ok(ServerConfig { inner: Arc::new(config), handshake: self.handshake, longest })
    }
}

/// The versions, with TLS 1.2 or without.
const fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    if tls12 { BOTH } else { MODERN }
}

/// The server's end of connections, as [`ServerOptions`] say. Copies share their sessions.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    inner: Arc<rustls::ServerConfig>,
    handshake: Duration,
    /// Bytes that a message of a client's handshake may have.
    longest: usize,
}

impl ServerConfig {
    /// How long a handshake may take, and how many bytes a message of it may have.
    pub(crate) const fn limits(&self) -> (Duration, usize) {
        (self.handshake, self.longest)
    }

    pub(crate) fn connection(&self) -> Result<UnbufferedServerConnection, Error> {
        Ok(UnbufferedServerConnection::new(Arc::clone(&self.inner))?)
    }
}

/// Says what the client's end of connections has: whom it trusts, who it is, protocols.
#[derive(Debug)]
pub struct ClientOptions {
    trust: Trust,
    identity: Option<Identity>,
    protocols: Vec<Vec<u8>>,
    tls12: bool,
    handshake: Duration,
}

impl ClientOptions {
    /// Begins with whom it trusts; TLS 1.3 alone.
    #[must_use]
    pub const fn new(trust: Trust) -> Self {
        let protocols = Vec::new();
        Self { trust, identity: None, protocols, tls12: false, handshake: HANDSHAKE }
    }

    /// Shows a certificate to servers that ask for one.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the protocols that it speaks (ALPN, RFC 7301).
    #[must_use]
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        self
    }

    /// Speaks TLS 1.2 too, as [`ServerOptions::tls12`].
    #[must_use]
    pub const fn tls12(mut self) -> Self {
        self.tls12 = true;
        self
    }

    /// Sets how long a handshake may take: 10 s by default.
    #[must_use]
    pub const fn handshake(mut self, limit: Duration) -> Self {
        self.handshake = limit;
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    /// [`Error::BadCertificate`] for roots that are none.
    pub fn build(self) -> Result<ClientConfig, Error> {
        let provider = provider::verifying(self.tls12);
        let algorithms = provider.signature_verification_algorithms;
        let builder =
            rustls::ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Clock))
                .with_protocol_versions(versions(self.tls12))?;
        let builder = match self.trust {
            Trust::Roots(roots) => {
                let roots = Arc::new(roots);
                let chains =
                    WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider)
                        .build();
                let chains =
                    chains.map_err(|error| Error::BadCertificate(alloc::format!("{error}")))?;
                let verifier = Arc::new(Chains { roots, chains, algorithms });
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
            Trust::Fingerprints(all) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Fingerprints { all, algorithms })),
        };
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(
                rustls::sign::SingleCertAndKey::from(identity.0),
            )),
        };
        config.alpn_protocols = self.protocols;
        config.resumption =
            Resumption::store(Arc::new(ClientSessionMemoryCache::new::<Spins>(SESSIONS)));
        Ok(ClientConfig { inner: Arc::new(config), handshake: self.handshake })
    }
}

/// The client's end of connections, as [`ClientOptions`] say. Copies share their sessions.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    inner: Arc<rustls::ClientConfig>,
    pub(crate) handshake: Duration,
}

impl ClientConfig {
    /// Leaves it TLS 1.2 alone.
    #[cfg(test)]
    pub(crate) fn only_tls12(&mut self) {
        let trust = Trust::pem(include_bytes!("../../../tests/tls/ca.pem")).ok();
        let Some(Trust::Roots(roots)) = trust else { return };
        let provider = provider::verifying(true);
        let config = rustls::ClientConfig::builder_with_details(provider, Arc::new(Clock));
        let config = config.with_protocol_versions(&[&TLS12]).unwrap();
        self.inner = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    }

    /// Has it tell the keys of a connection.
    #[cfg(test)]
    pub(crate) fn tell_keys(&mut self) {
        let mut inner = (*self.inner).clone();
        inner.enable_secret_extraction = true;
        self.inner = Arc::new(inner);
    }

    pub(crate) fn connection(&self, name: &str) -> Result<UnbufferedClientConnection, Error> {
        let name = ServerName::try_from(name).map_err(|_| Error::BadName)?.to_owned();
        Ok(UnbufferedClientConnection::new(Arc::clone(&self.inner), name)?)
    }
}
