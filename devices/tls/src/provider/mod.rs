//! Gives rustls its arithmetic: RustCrypto's crates, and randomness of the kernel's.
//!
//! A provider is a struct of tables, and what no table names is not linked into an image.

mod aead;
mod exchange;
mod hash;
mod sign;
mod suites;
mod verify;
#[cfg(test)]
mod wycheproof;

pub(crate) use sign::in_pem as key_in;
pub(crate) use verify::is_unusable_rsa;

use alloc::sync::Arc;
use rustls::SupportedCipherSuite;
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};

/// Draws from the kernel's generator.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buf: &mut [u8]) -> Result<(), GetRandomFailed> {
        kernel::entropy::fill(buf).map_err(|_| GetRandomFailed)
    }
}

/// What reads private keys, for rustls.
const KEYS: &dyn KeyProvider = &sign::Keys;

/// Nothing that signatures are verified by: for servers that ask clients for no certificate.
const NONE: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms { all: &[], mapping: &[] };

/// Returns the provider of servers: TLS 1.3, and 1.2 if that is asked for.
pub(crate) fn of_servers(tls12: bool) -> Arc<CryptoProvider> {
    provider(NONE, if tls12 { &suites::TLS12 } else { &[] })
}

/// Returns the provider of whoever is shown certificates, in the same way.
pub(crate) fn verifying(tls12: bool) -> Arc<CryptoProvider> {
    provider(verify::ALL, if tls12 { &suites::TLS12_WITH_RSA } else { &[] })
}

fn provider(
    signature_verification_algorithms: WebPkiSupportedAlgorithms,
    tls12: &[SupportedCipherSuite],
) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: [&suites::TLS13, tls12].concat(),
        kx_groups: exchange::GROUPS.to_vec(),
        signature_verification_algorithms,
        secure_random: &Random,
        key_provider: KEYS,
    })
}
