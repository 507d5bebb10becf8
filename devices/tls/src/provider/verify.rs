//! Signatures of peers and of who certified them: ECDSA, Ed25519 and RSA.

use p256::ecdsa::signature::Verifier;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::{PublicKey, pkcs1v15, pss};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Sha256, Sha384, Sha512};

/// Checks a signature: of a key, over a message.
type Check = fn(&[u8], &[u8], &[u8]) -> Option<()>;

/// A way to sign, by the names that certificates have for it.
#[derive(Debug)]
struct Algorithm {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    check: Check,
}

impl SignatureVerificationAlgorithm for Algorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        (self.check)(public_key, message, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

static ECDSA_P256: Algorithm = Algorithm {
    key: alg_id::ECDSA_P256,
    signature: alg_id::ECDSA_SHA256,
    check: |key, message, signature| {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = p256::ecdsa::DerSignature::try_from(signature).ok()?;
        key.verify(message, &signature).ok()
    },
};

static ECDSA_P384: Algorithm = Algorithm {
    key: alg_id::ECDSA_P384,
    signature: alg_id::ECDSA_SHA384,
    check: |key, message, signature| {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
        let signature = p384::ecdsa::DerSignature::try_from(signature).ok()?;
        key.verify(message, &signature).ok()
    },
};

static ED25519: Algorithm = Algorithm {
    key: alg_id::ED25519,
    signature: alg_id::ED25519,
    check: |key, message, signature| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
        key.verify_strict(message, &signature).ok()
    },
};

/// Reads the key of a certificate. One of less than 2048 bits protects nothing, and one of more
/// than 8192 takes long (CA/Browser Forum, Baseline Requirements, section 6.1.5).
fn rsa(key: &[u8]) -> Option<PublicKey> {
    use rsa::traits::PublicKeyParts;
    let key = PublicKey::from_pkcs1_der(key).ok()?;
    (256..=1024).contains(&key.size()).then_some(key)
}

macro_rules! rsa {
    ($pkcs1:ident, $pss:ident, $sha:ident, $pkcs1_id:ident, $pss_id:ident) => {
        static $pkcs1: Algorithm = Algorithm {
            key: alg_id::RSA_ENCRYPTION,
            signature: alg_id::$pkcs1_id,
            check: |key, message, signature| {
                let signature = pkcs1v15::Signature::try_from(signature).ok()?;
                pkcs1v15::VerifyingKey::<$sha>::new(rsa(key)?).verify(message, &signature).ok()
            },
        };

        static $pss: Algorithm = Algorithm {
            key: alg_id::RSA_ENCRYPTION,
            signature: alg_id::$pss_id,
            check: |key, message, signature| {
                let signature = pss::Signature::try_from(signature).ok()?;
                pss::VerifyingKey::<$sha>::new(rsa(key)?).verify(message, &signature).ok()
            },
        };
    };
}

rsa!(PKCS1_SHA256, PSS_SHA256, Sha256, RSA_PKCS1_SHA256, RSA_PSS_SHA256);
rsa!(PKCS1_SHA384, PSS_SHA384, Sha384, RSA_PKCS1_SHA384, RSA_PSS_SHA384);
rsa!(PKCS1_SHA512, PSS_SHA512, Sha512, RSA_PKCS1_SHA512, RSA_PSS_SHA512);

/// What servers have keys for as well.
pub(super) const SMALL: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&ECDSA_P256, &ED25519],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[&ECDSA_P256]),
        (SignatureScheme::ED25519, &[&ED25519]),
    ],
};

/// What public servers and those who certify them use.
pub(super) const ALL: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        &ECDSA_P256,
        &ECDSA_P384,
        &ED25519,
        &PKCS1_SHA256,
        &PKCS1_SHA384,
        &PKCS1_SHA512,
        &PSS_SHA256,
        &PSS_SHA384,
        &PSS_SHA512,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[&ECDSA_P256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[&ECDSA_P384]),
        (SignatureScheme::ED25519, &[&ED25519]),
        (SignatureScheme::RSA_PSS_SHA256, &[&PSS_SHA256]),
        (SignatureScheme::RSA_PSS_SHA384, &[&PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA512, &[&PSS_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[&PKCS1_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[&PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[&PKCS1_SHA512]),
    ],
};
