//! Signatures of peers and of who certified them: ECDSA by P-256 and P-384, Ed25519, and RSA.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::AlgorithmIdentifierRef;
use rsa::pkcs8::der::asn1::BitStringRef;
use rsa::pkcs8::der::{self, Decode, SliceReader};
use rsa::traits::PublicKeyParts;
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::digest::FixedOutputReset;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Bytes of an RSA modulus: 2048 bits at least (NIST SP 800-131A, section 3), and so many at most as
/// others take, which bounds what a peer's certificate can cost.
const RSA_BYTES: core::ops::RangeInclusive<usize> = 2048 / 8..=8192 / 8;

/// Checks a signature: of a key, over a message.
type Check = fn(&[u8], &[u8], &[u8]) -> Option<()>;

/// A way to sign, by the names that certificates have for it.
#[derive(Debug)]
pub(super) struct Algorithm {
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

/// By a key on P-256, with the hash `D`.
fn p256<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p256::ecdsa::DerSignature::try_from(signature).ok()?;
    key.verify_prehash(&D::digest(message), &signature).ok()
}

/// By a key on P-384, with the hash `D`.
fn p384<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p384::ecdsa::DerSignature::try_from(signature).ok()?;
    key.verify_prehash(&D::digest(message), &signature).ok()
}

fn rsa_key(der: &[u8]) -> Option<rsa::PublicKey> {
    let key = rsa::PublicKey::from_pkcs1_der(der).ok()?;
    RSA_BYTES.contains(&key.size()).then_some(key)
}

/// Whether a key is one of RSA that no signature is verified by: too short, too long, or malformed.
/// It is what stands in a SubjectPublicKeyInfo (RFC 5280).
pub(crate) fn is_unusable_rsa(key: &[u8]) -> bool {
    let parts = || {
        let mut reader = SliceReader::new(key)?;
        Ok((AlgorithmIdentifierRef::decode(&mut reader)?, BitStringRef::decode(&mut reader)?))
    };
    let Ok::<_, der::Error>((algorithm, key)) = parts() else { return false };
    algorithm.oid == rsa::pkcs1::ALGORITHM_OID && key.as_bytes().and_then(rsa_key).is_none()
}

/// By an RSA key with PKCS #1 v1.5 (RFC 8017, section 8.2), with the hash `D`. TLS 1.3 has it in
/// certificates alone.
fn pkcs1<D: Digest + rsa::pkcs8::AssociatedOid>(
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Option<()> {
    let key = rsa::pkcs1v15::VerifyingKey::<D>::new(rsa_key(key)?);
    key.verify(message, &rsa::pkcs1v15::Signature::try_from(signature).ok()?).ok()
}

/// By an RSA key with PSS (RFC 8017, section 8.1), with the hash `D` and a salt of its length, as
/// RFC 8446, section 4.2.3, asks for.
fn pss<D: Digest + FixedOutputReset>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = rsa::pss::VerifyingKey::<D>::new(rsa_key(key)?);
    key.verify(message, &rsa::pss::Signature::try_from(signature).ok()?).ok()
}

macro_rules! algorithms {
    ($($name:ident: $key:ident, $signature:ident, $check:expr;)*) => {
        $(
            pub(super) static $name: Algorithm = Algorithm {
                key: alg_id::$key,
                signature: alg_id::$signature,
                check: $check,
            };
        )*
    };
}

algorithms! {
    ECDSA_P256: ECDSA_P256, ECDSA_SHA256, p256::<Sha256>;
    ECDSA_P256_SHA384: ECDSA_P256, ECDSA_SHA384, p256::<Sha384>;
    ECDSA_P384_SHA256: ECDSA_P384, ECDSA_SHA256, p384::<Sha256>;
    ECDSA_P384: ECDSA_P384, ECDSA_SHA384, p384::<Sha384>;
    PKCS1_SHA256: RSA_ENCRYPTION, RSA_PKCS1_SHA256, pkcs1::<Sha256>;
    PKCS1_SHA384: RSA_ENCRYPTION, RSA_PKCS1_SHA384, pkcs1::<Sha384>;
    PKCS1_SHA512: RSA_ENCRYPTION, RSA_PKCS1_SHA512, pkcs1::<Sha512>;
    PSS_SHA256: RSA_ENCRYPTION, RSA_PSS_SHA256, pss::<Sha256>;
    PSS_SHA384: RSA_ENCRYPTION, RSA_PSS_SHA384, pss::<Sha384>;
    PSS_SHA512: RSA_ENCRYPTION, RSA_PSS_SHA512, pss::<Sha512>;
}

pub(super) static ED25519: Algorithm = Algorithm {
    key: alg_id::ED25519,
    signature: alg_id::ED25519,
    check: |key, message, signature| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
        key.verify_strict(message, &signature).ok()
    },
};

/// What signatures are verified by: what public servers and those who certify them have. Of the
/// algorithms of a scheme the first is that of TLS 1.3.
pub(super) const ALL: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        &ECDSA_P256,
        &ECDSA_P256_SHA384,
        &ECDSA_P384_SHA256,
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
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[&ECDSA_P256, &ECDSA_P384_SHA256]),
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[&ECDSA_P384, &ECDSA_P256_SHA384]),
        (SignatureScheme::ED25519, &[&ED25519]),
        (SignatureScheme::RSA_PSS_SHA256, &[&PSS_SHA256]),
        (SignatureScheme::RSA_PSS_SHA384, &[&PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA512, &[&PSS_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[&PKCS1_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[&PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[&PKCS1_SHA512]),
    ],
};
