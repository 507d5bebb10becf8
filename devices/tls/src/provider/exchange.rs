//! Key exchange: X25519 (RFC 7748) and P-256 (SP 800-56A), each key for one handshake.

use alloc::boxed::Box;
use p256::elliptic_curve::sec1::ToSec1Point;
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use zeroize::Zeroizing;

/// The groups, in the order of preference.
pub(super) static GROUPS: [&dyn SupportedKxGroup; 2] = [&X25519, &P256];

/// Draws 32 bytes.
fn draw() -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    kernel::entropy::fill(&mut *bytes).map_err(|_| GetRandomFailed)?;
    Ok(bytes)
}

fn invalid() -> Error {
    PeerMisbehaved::InvalidKeyShare.into()
}

#[derive(Debug)]
struct X25519;

pub(super) struct X25519Key {
    secret: x25519_dalek::StaticSecret,
    public: x25519_dalek::PublicKey,
}

impl X25519Key {
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        let secret = x25519_dalek::StaticSecret::from(*bytes);
        Self { public: x25519_dalek::PublicKey::from(&secret), secret }
    }
}

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(X25519Key::new(&*draw()?)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for X25519Key {
    fn complete(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        let peer: [u8; 32] = peer_pub_key.try_into().map_err(|_| invalid())?;
        let shared = self.secret.diffie_hellman(&peer.into());
        // All zeros are to be refused (RFC 8446, section 7.4.2).
        if !shared.was_contributory() {
            return Err(invalid());
        }
        Ok(SharedSecret::from(&shared.as_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

#[derive(Debug)]
struct P256;

pub(super) struct P256Key {
    secret: p256::SecretKey,
    public: Box<[u8]>,
}

impl P256Key {
    /// `None` for bytes that are no key.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let secret = p256::SecretKey::from_slice(bytes).ok()?;
        let public = secret.public_key().to_sec1_point(false).as_bytes().into();
        Some(Self { secret, public })
    }
}

impl SupportedKxGroup for P256 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        // All but one of 2^32 draws are keys.
        for _ in 0..4 {
            if let Some(key) = P256Key::new(&*draw()?) {
                return Ok(Box::new(key));
            }
        }
        Err(GetRandomFailed.into())
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp256r1
    }
}

impl ActiveKeyExchange for P256Key {
    fn complete(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        // Uncompressed points alone are allowed (RFC 8446, section 4.2.8.2).
        if peer_pub_key.first() != Some(&4) {
            return Err(invalid());
        }
        let peer = p256::PublicKey::from_sec1_bytes(peer_pub_key).map_err(|_| invalid())?;
        let shared = self.secret.diffie_hellman(&peer);
        Ok(SharedSecret::from(&shared.raw_secret_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp256r1
    }
}
