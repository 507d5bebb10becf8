//! Says what one of each takes.

use crate::check::TAG;
use crate::vectors::{ECDSA, ED25519, P256, SIGN_ECDSA, SIGN_ED25519, Signed, X25519};
use aes_gcm::KeyInit;
use aes_gcm::aead::AeadInOut;
use core::hint::black_box;
use ed25519_dalek::Signer as _;
use hmac::{Mac, SimpleHmac};
use p256::ecdsa::signature::Verifier;
use sha2::digest::block_api::BlockSizeUser;
use xenith::time::Instant;

/// Of so many runs the quickest counts: in the others something came between.
const RUNS: u32 = 3;

/// Returns how many hundredths of a ns each of `count` takes.
pub(crate) fn hundredths(count: usize, mut run: impl FnMut()) -> u64 {
    let once = |_| {
        let begun = Instant::now();
        run();
        u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    };
    let least = (0..RUNS).map(once).min().unwrap_or_default();
    least.saturating_mul(100) / count.max(1) as u64
}

/// Encrypts `data` in place as one message.
pub(crate) fn aead<A: AeadInOut + KeyInit>(data: &mut [u8]) {
    let (key, nonce) = (Default::default(), Default::default());
    let tag = A::new(&key).encrypt_inout_detached(&nonce, &[0; TAG], data.into());
    black_box(tag.is_ok());
}

/// Hashes `data`.
pub(crate) fn hash<D: sha2::Digest>(data: &mut [u8]) {
    black_box(D::digest(data));
}

/// Hashes `data` with a key.
pub(crate) fn hmac<D: sha2::Digest + BlockSizeUser + Clone>(data: &mut [u8]) {
    let mac = SimpleHmac::<D>::new_from_slice(&[0; TAG]).ok();
    black_box(mac.map(|mac| mac.chain_update(data).finalize()));
}

/// One exchange: the public key of a secret, and the shared one.
pub(crate) fn x25519(_: &mut [u8]) {
    let secret = x25519_dalek::StaticSecret::from([9; 32]);
    let peer: Option<[u8; 32]> = X25519.first().and_then(|it| it.public.try_into().ok());
    let own = black_box(x25519_dalek::PublicKey::from(&secret));
    black_box(secret.diffie_hellman(&peer.map_or(own, Into::into)).to_bytes());
}

/// The same by P-256.
pub(crate) fn p256(_: &mut [u8]) {
    let Some(vector) = P256.first() else { return };
    let secret = p256::SecretKey::from_slice(vector.private).ok();
    let peer = p256::PublicKey::from_sec1_bytes(vector.public).ok();
    let shared = |(secret, peer): (p256::SecretKey, _)| {
        black_box(secret.public_key());
        *secret.diffie_hellman(&peer).raw_secret_bytes()
    };
    black_box(secret.zip(peer).map(shared));
}

/// Verifies one signature by P-256.
pub(crate) fn ecdsa(_: &mut [u8]) {
    let verified = |it: &Signed| {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(it.key).ok()?;
        let signature = p256::ecdsa::DerSignature::try_from(it.signature).ok()?;
        key.verify(it.message, &signature).ok()
    };
    black_box(ECDSA.first().and_then(verified));
}

/// Makes one.
pub(crate) fn sign_ecdsa(_: &mut [u8]) {
    let signed = |it: &Signed| {
        let key = p256::ecdsa::SigningKey::from_slice(it.key).ok()?;
        let made: Result<p256::ecdsa::Signature, _> = key.try_sign(it.message);
        made.ok()
    };
    black_box(SIGN_ECDSA.first().and_then(signed));
}

/// Verifies one signature by Ed25519.
pub(crate) fn ed25519(_: &mut [u8]) {
    let verified = |it: &Signed| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(it.key.try_into().ok()?).ok()?;
        let signature = ed25519_dalek::Signature::from_slice(it.signature).ok()?;
        key.verify_strict(it.message, &signature).ok()
    };
    black_box(ED25519.first().and_then(verified));
}

/// Makes one.
pub(crate) fn sign_ed25519(_: &mut [u8]) {
    let key = |it: &Signed| Some(ed25519_dalek::SigningKey::from_bytes(it.key.try_into().ok()?));
    let vector = SIGN_ED25519.first();
    black_box(vector.and_then(|it| Some(key(it)?.sign(it.message))));
}
