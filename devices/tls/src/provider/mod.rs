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

use alloc::sync::Arc;
use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom};

/// Draws from the kernel's generator.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buf: &mut [u8]) -> Result<(), GetRandomFailed> {
        kernel::entropy::fill(buf).map_err(|_| GetRandomFailed)
    }
}

/// Returns the provider of servers and clients: TLS 1.3.
pub(crate) fn standard() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: suites::TLS13.to_vec(),
        kx_groups: exchange::GROUPS.to_vec(),
        signature_verification_algorithms: verify::ALL,
        secure_random: &Random,
        key_provider: &sign::Keys,
    })
}

/// Returns what `provider` is with TLS 1.2 besides.
pub(crate) fn with_tls12(provider: &CryptoProvider) -> Arc<CryptoProvider> {
    let mut provider = provider.clone();
    provider.cipher_suites.extend_from_slice(&suites::TLS12);
    Arc::new(provider)
}
