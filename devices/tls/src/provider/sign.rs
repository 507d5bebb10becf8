//! Private keys of certificates: ECDSA on P-256, and Ed25519.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use core::fmt;
use ed25519_dalek::Signer as _;
use p256::pkcs8::DecodePrivateKey;
use rustls::crypto::KeyProvider;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use zeroize::{Zeroize, Zeroizing};

/// How ECDHE is signed in TLS 1.2, where the cipher suite says so.
pub(super) static ECDSA: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
];

/// The same by an RSA key, which none of ours is.
pub(super) static RSA: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Reads private keys.
#[derive(Debug)]
pub(super) struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(
        &self,
        mut key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, Error> {
        let loaded = match &key {
            PrivateKeyDer::Pkcs8(der) => of_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(der) => of_sec1(der.secret_sec1_der()),
            _ => None,
        };
        key.zeroize();
        loaded.map(shared).ok_or_else(|| {
            Error::General(String::from("the private key is none of P-256 or Ed25519"))
        })
    }
}

/// Reads a private key in PEM form (RFC 7468), whose label says whether it is PKCS #8 or SEC 1, and
/// overwrites what it was decoded to. Lines may be of any length, and around it there may be
/// something else.
pub(crate) fn in_pem(pem: &[u8]) -> Option<Arc<dyn SigningKey>> {
    let find = |text: &[u8], label: &[u8]| text.windows(label.len()).position(|it| it == label);
    let section = |begin: &[u8], end: &[u8]| {
        let rest = pem.get(find(pem, begin)? + begin.len()..)?;
        let lines = rest.get(..find(rest, end)?)?;
        // Neither grows, as what a vector has outgrown is not overwritten.
        let mut text = Zeroizing::new(Vec::with_capacity(lines.len()));
        text.extend(lines.iter().filter(|it| !it.is_ascii_whitespace()));
        let mut der = Zeroizing::new(alloc::vec![0; text.len() / 4 * 3]);
        let length = Base64::decode(text.as_slice(), &mut der).ok()?.len();
        der.truncate(length);
        Some(der)
    };
    let pkcs8 = section(b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----");
    let sec1 = || section(b"-----BEGIN EC PRIVATE KEY-----", b"-----END EC PRIVATE KEY-----");
    let loaded = match pkcs8 {
        Some(der) => of_pkcs8(&der),
        None => of_sec1(&sec1()?),
    };
    loaded.map(shared)
}

fn of_pkcs8(der: &[u8]) -> Option<Secret> {
    let p256 = p256::SecretKey::from_pkcs8_der(der).ok().map(Secret::p256);
    let ed25519 = || ed25519_dalek::SigningKey::from_pkcs8_der(der).ok();
    p256.or_else(|| ed25519().map(Secret::Ed25519))
}

fn of_sec1(der: &[u8]) -> Option<Secret> {
    p256::SecretKey::from_sec1_der(der).ok().map(Secret::p256)
}

fn shared(key: Secret) -> Arc<dyn SigningKey> {
    Arc::new(Private(Arc::new(key)))
}

/// A private key, which is overwritten when the last that has it drops it.
enum Secret {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl Secret {
    fn p256(key: p256::SecretKey) -> Self {
        Self::P256(key.into())
    }

    const fn scheme(&self) -> SignatureScheme {
        match self {
            Self::P256(_) => SignatureScheme::ECDSA_NISTP256_SHA256,
            Self::Ed25519(_) => SignatureScheme::ED25519,
        }
    }
}

struct Private(Arc<Secret>);

/// Without the key: what is printed ends up in logs.
impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Private").field(&self.0.scheme()).finish()
    }
}

impl SigningKey for Private {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let fits = offered.contains(&self.0.scheme());
        fits.then(|| Box::new(Self(Arc::clone(&self.0))) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(match &*self.0 {
            Secret::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                public_key_to_spki(&alg_id::ECDSA_P256, point.as_bytes())
            }
            Secret::Ed25519(key) => {
                public_key_to_spki(&alg_id::ED25519, key.verifying_key().as_bytes())
            }
        })
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match &*self.0 {
            Secret::P256(_) => SignatureAlgorithm::ECDSA,
            Secret::Ed25519(_) => SignatureAlgorithm::ED25519,
        }
    }
}

impl Signer for Private {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &*self.0 {
            Secret::P256(key) => {
                let signature: Result<p256::ecdsa::Signature, _> = key.try_sign(message);
                let failed = |_| Error::General(String::from("the signature failed"));
                Ok(signature.map_err(failed)?.to_der().as_bytes().to_vec())
            }
            Secret::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}
