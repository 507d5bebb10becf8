//! The cipher suites, in the order of preference: AES-128 first, which processors with AES do in
//! the fewest instructions.

use super::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};
use super::hash::{SHA256, SHA384};
use super::sign::{ECDSA, RSA};
use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, KeyExchangeAlgorithm};
use rustls::{CipherSuite, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

/// Records of one key of AES-GCM (draft-irtf-cfrg-aead-limits, section 5.1), after which rustls
/// takes another.
const GCM_RECORDS: u64 = 1 << 24;

/// The same of ChaCha20-Poly1305: more than a sequence number can count.
const CHACHA_RECORDS: u64 = u64::MAX;

macro_rules! tls13 {
    ($name:ident, $hash:ident, $aead:ident, $limit:ident) => {
        SupportedCipherSuite::Tls13(
            const {
                &Tls13CipherSuite {
                    common: CipherSuiteCommon {
                        suite: CipherSuite::$name,
                        hash_provider: &$hash,
                        confidentiality_limit: $limit,
                    },
                    hkdf_provider: &HkdfUsingHmac(&$hash),
                    aead_alg: &$aead,
                    quic: None,
                }
            },
        )
    };
}

macro_rules! tls12 {
    ($name:ident, $sign:ident, $hash:ident, $aead:ident, $limit:ident) => {
        SupportedCipherSuite::Tls12(
            const {
                &Tls12CipherSuite {
                    common: CipherSuiteCommon {
                        suite: CipherSuite::$name,
                        hash_provider: &$hash,
                        confidentiality_limit: $limit,
                    },
                    kx: KeyExchangeAlgorithm::ECDHE,
                    sign: $sign,
                    aead_alg: &$aead,
                    prf_provider: &PrfUsingHmac(&$hash),
                }
            },
        )
    };
}

pub(super) static TLS13: [SupportedCipherSuite; 3] = [
    tls13!(TLS13_AES_128_GCM_SHA256, SHA256, AES_128_GCM, GCM_RECORDS),
    tls13!(TLS13_AES_256_GCM_SHA384, SHA384, AES_256_GCM, GCM_RECORDS),
    tls13!(TLS13_CHACHA20_POLY1305_SHA256, SHA256, CHACHA20_POLY1305, CHACHA_RECORDS),
];

const ECDSA_AES_128: SupportedCipherSuite =
    tls12!(TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, ECDSA, SHA256, AES_128_GCM, GCM_RECORDS);
const ECDSA_AES_256: SupportedCipherSuite =
    tls12!(TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, ECDSA, SHA384, AES_256_GCM, GCM_RECORDS);
const ECDSA_CHACHA: SupportedCipherSuite = tls12!(
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ECDSA,
    SHA256,
    CHACHA20_POLY1305,
    CHACHA_RECORDS
);

pub(super) static TLS12: [SupportedCipherSuite; 3] = [ECDSA_AES_128, ECDSA_AES_256, ECDSA_CHACHA];

/// Those of clients, whose server may have an RSA key.
pub(super) static TLS12_WITH_RSA: [SupportedCipherSuite; 6] = [
    ECDSA_AES_128,
    ECDSA_AES_256,
    ECDSA_CHACHA,
    tls12!(TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, RSA, SHA256, AES_128_GCM, GCM_RECORDS),
    tls12!(TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, RSA, SHA384, AES_256_GCM, GCM_RECORDS),
    tls12!(
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        RSA,
        SHA256,
        CHACHA20_POLY1305,
        CHACHA_RECORDS
    ),
];
