//! Tells what binds a login to the channel that it goes through (RFC 5929).

use alloc::vec::Vec;
use p256::pkcs8::ObjectIdentifier;
use p256::pkcs8::der::asn1::{AnyRef, ContextSpecific};
use p256::pkcs8::der::{Decode, Error, Reader, SliceReader, TagNumber};
use p256::pkcs8::spki::AlgorithmIdentifierRef;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A hash by which a certificate is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

const fn oid(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}

/// RSA with a hash that its parameters name (RFC 8017, appendix A.2.3).
const PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");

/// Signatures by RSA (RFC 8017, appendix A.2.4) and by ECDSA (RFC 5758, section 3.2) with one hash
/// each. In the place of MD5 and of SHA-1 stands SHA-256 (RFC 5929, section 4.1).
const SIGNATURES: [(ObjectIdentifier, Hash); 9] = [
    (oid("1.2.840.113549.1.1.4"), Hash::Sha256),
    (oid("1.2.840.113549.1.1.5"), Hash::Sha256),
    (oid("1.2.840.113549.1.1.11"), Hash::Sha256),
    (oid("1.2.840.113549.1.1.12"), Hash::Sha384),
    (oid("1.2.840.113549.1.1.13"), Hash::Sha512),
    (oid("1.2.840.10045.4.1"), Hash::Sha256),
    (oid("1.2.840.10045.4.3.2"), Hash::Sha256),
    (oid("1.2.840.10045.4.3.3"), Hash::Sha384),
    (oid("1.2.840.10045.4.3.4"), Hash::Sha512),
];

/// Hashes by themselves (RFC 5754).
const HASHES: [(ObjectIdentifier, Hash); 3] = [
    (oid("2.16.840.1.101.3.4.2.1"), Hash::Sha256),
    (oid("2.16.840.1.101.3.4.2.2"), Hash::Sha384),
    (oid("2.16.840.1.101.3.4.2.3"), Hash::Sha512),
];

fn of(table: &[(ObjectIdentifier, Hash)], wanted: ObjectIdentifier) -> Option<Hash> {
    table.iter().find(|(oid, _)| *oid == wanted).map(|(_, hash)| *hash)
}

/// The hash of an algorithm of signatures.
fn hash(algorithm: &AlgorithmIdentifierRef<'_>) -> Option<Hash> {
    if algorithm.oid != PSS {
        return of(&SIGNATURES, algorithm.oid);
    }
    // Without a hash among them SHA-1 is meant.
    let named = algorithm.parameters?.sequence(|parameters| {
        let named = ContextSpecific::<AlgorithmIdentifierRef<'_>>::decode_explicit(
            parameters,
            TagNumber(0),
        )?;
        parameters.drain(parameters.remaining_len())?;
        Ok::<_, Error>(named)
    });
    named.ok()?.map_or(Some(Hash::Sha256), |named| of(&HASHES, named.value.oid))
}

/// The hash by which a certificate in DER form is signed (RFC 5280, section 4.1).
fn signed_by(certificate: &[u8]) -> Option<Hash> {
    let mut whole = SliceReader::new(certificate).ok()?;
    let algorithm = whole.sequence(|parts| {
        AnyRef::decode(parts)?;
        let algorithm = AlgorithmIdentifierRef::decode(parts)?;
        AnyRef::decode(parts)?;
        Ok::<_, Error>(algorithm)
    });
    hash(&algorithm.ok()?)
}

/// Hashes a certificate by the hash that it is signed by (`tls-server-end-point`, section 4.1).
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signed_by(certificate)? {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::certificates_in;

    fn of(pem: &[u8]) -> Option<Hash> {
        signed_by(&certificates_in(pem).unwrap()[0])
    }

    #[test]
    fn certificates_are_hashed_as_they_are_signed() {
        macro_rules! pem {
            ($name:literal) => {
                include_bytes!(concat!("../../../tests/tls/", $name))
            };
        }
        assert_eq!(of(pem!("server.pem")), Some(Hash::Sha256));
        assert_eq!(of(pem!("by-p384.pem")), Some(Hash::Sha384));
        assert_eq!(of(pem!("by-rsa.pem")), Some(Hash::Sha256));
        let der = &certificates_in(pem!("server.pem")).unwrap()[0];
        assert_eq!(end_point(der), Some(Sha256::digest(der).to_vec()));
        // No part of one is taken for one.
        for length in 0..der.len() {
            assert_eq!(signed_by(&der[..length]), None, "{length}");
        }
    }

    #[test]
    fn pss_says_its_hash_and_edwards_curves_have_none() {
        let hash = |der: &[u8]| hash(&AlgorithmIdentifierRef::from_der(der).unwrap());
        let pss = |parameters: &[u8]| {
            let oid = [6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 10];
            let length = u8::try_from(oid.len() + parameters.len()).unwrap();
            [&[0x30, length][..], &oid, parameters].concat()
        };
        // [0] of them a hash, and [2] how long the salt is.
        let named = |last| {
            let hash = [0xA0, 13, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, last];
            pss(&[&[0x30, 20][..], &hash, &[0xA2, 3, 2, 1, 48]].concat())
        };
        assert_eq!(hash(&named(2)), Some(Hash::Sha384));
        assert_eq!(hash(&named(3)), Some(Hash::Sha512));
        assert_eq!(hash(&named(9)), None);
        assert_eq!(hash(&pss(&[0x30, 0])), Some(Hash::Sha256));
        assert_eq!(hash(&pss(&[])), None);
        // Ed25519 (RFC 8410).
        assert_eq!(hash(&[0x30, 5, 6, 3, 0x2B, 0x65, 0x70]), None);
        let ecdsa = [0x30, 10, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 4];
        assert_eq!(hash(&ecdsa), Some(Hash::Sha512));
    }
}
