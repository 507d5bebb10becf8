//! Tells what binds a login to the channel that it goes through (RFC 5929).

use alloc::vec::Vec;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Tags of what is read of a certificate (X.690).
const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const FIRST: u8 = 0xA0;

/// What stands before the number of an algorithm: of signatures by RSA (RFC 8017) and by ECDSA
/// (RFC 5758), and of hashes (RFC 5754).
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04];
const HASH: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// A hash by which a certificate is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Takes an element off the front of `from`, if it has that tag: its content.
fn take<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let [found, length, rest @ ..] = *from else { return None };
    if *found != tag {
        return None;
    }
    let (length, rest) = match *length {
        short @ ..=0x7F => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        // No certificate of a handshake is as long.
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *from = rest;
    Some(content)
}

/// The hash of an algorithm of signatures, with what follows its number.
fn hash(algorithm: &[u8], mut parameters: &[u8]) -> Option<Hash> {
    Some(match (algorithm.strip_prefix(RSA), algorithm.strip_prefix(ECDSA)) {
        // MD5 and SHA-1, in whose place stands SHA-256.
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => Hash::Sha256,
        (Some([12]), _) | (_, Some([3, 3])) => Hash::Sha384,
        (Some([13]), _) | (_, Some([3, 4])) => Hash::Sha512,
        // PSS, which names its hash, or means SHA-1.
        (Some([10]), _) => {
            let mut parameters = take(&mut parameters, SEQUENCE)?;
            let Some(mut named) = take(&mut parameters, FIRST) else { return Some(Hash::Sha256) };
            match take(&mut take(&mut named, SEQUENCE)?, OID)?.strip_prefix(HASH)? {
                [1] => Hash::Sha256,
                [2] => Hash::Sha384,
                [3] => Hash::Sha512,
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// The hash by which a certificate in DER form is signed.
fn signed_by(mut certificate: &[u8]) -> Option<Hash> {
    let mut parts = take(&mut certificate, SEQUENCE)?;
    take(&mut parts, SEQUENCE)?;
    let mut algorithm = take(&mut parts, SEQUENCE)?;
    hash(take(&mut algorithm, OID)?, algorithm)
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
        let pss = [RSA, &[10]].concat();
        let named = |last| {
            let oid = [&[OID, 9][..], HASH, &[last]].concat();
            [&[SEQUENCE, 15, FIRST, 13, SEQUENCE, 11][..], &oid].concat()
        };
        assert_eq!(hash(&pss, &named(2)), Some(Hash::Sha384));
        assert_eq!(hash(&pss, &named(3)), Some(Hash::Sha512));
        assert_eq!(hash(&pss, &named(9)), None);
        assert_eq!(hash(&pss, &[SEQUENCE, 0]), Some(Hash::Sha256));
        assert_eq!(hash(&pss, &[]), None);
        // Ed25519 (RFC 8410).
        assert_eq!(hash(&[0x2B, 0x65, 0x70], &[]), None);
        assert_eq!(hash(&[RSA, &[13]].concat(), &[5, 0]), Some(Hash::Sha512));
        assert_eq!(hash(&[ECDSA, &[3, 4]].concat(), &[]), Some(Hash::Sha512));
    }
}
