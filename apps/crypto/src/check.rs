//! Runs the vectors.

use crate::vectors::{Aead, Digest, Exchange, Signed};
use aes_gcm::KeyInit;
use aes_gcm::aead::{AeadInOut, Tag};
use ed25519_dalek::Signer as _;
use hmac::{Mac, SimpleHmac};
use p256::ecdsa::signature::Verifier;
use sha2::digest::block_api::BlockSizeUser;
use x25519_dalek::{PublicKey, StaticSecret};

/// How many vectors are right, or which one is not.
pub(crate) type Verdict = Result<usize, &'static str>;

/// Bytes of the tag behind what is encrypted.
pub(crate) const TAG: usize = 16;

/// The longest text of a vector.
const LONGEST: usize = 512;

/// Looks at all vectors with `right`.
fn each<V>(
    vectors: &[V],
    from: impl Fn(&V) -> &'static str,
    right: impl Fn(&V) -> bool,
) -> Verdict {
    vectors.iter().find(|it| !right(it)).map_or(Ok(vectors.len()), |it| Err(from(it)))
}

/// Encrypts and decrypts each, and finds which are forged.
pub(crate) fn aead<A: AeadInOut + KeyInit>(vectors: &[Aead]) -> Verdict {
    each(vectors, |it| it.from, |it| sealed::<A>(it).is_some())
}

fn sealed<A: AeadInOut + KeyInit>(vector: &Aead) -> Option<()> {
    let cipher = A::new_from_slice(vector.key).ok()?;
    let nonce = vector.nonce.try_into().ok()?;
    let (sealed, tag) = vector.sealed.split_at_checked(vector.sealed.len().checked_sub(TAG)?)?;
    let tag = Tag::<A>::try_from(tag).ok()?;
    let mut buffer = [0; LONGEST];
    let text = buffer.get_mut(..sealed.len())?;
    text.copy_from_slice(sealed);
    let opened = cipher.decrypt_inout_detached(&nonce, vector.aad, (&mut *text).into(), &tag);
    if !vector.good {
        return opened.is_err().then_some(());
    }
    (opened.is_ok() && text == vector.text).then_some(())?;
    let made = cipher.encrypt_inout_detached(&nonce, vector.aad, (&mut *text).into()).ok()?;
    (made == tag && text == sealed).then_some(())
}

/// Hashes each.
pub(crate) fn hash<D: sha2::Digest>(vectors: &[Digest]) -> Verdict {
    each(vectors, |it| it.from, |it| D::digest(it.message)[..] == *it.digest)
}

/// Hashes each with its key.
pub(crate) fn hmac<D: sha2::Digest + BlockSizeUser + Clone>(vectors: &[Digest]) -> Verdict {
    let right = |it: &Digest| {
        let mac = SimpleHmac::<D>::new_from_slice(it.key).ok();
        mac.is_some_and(|mac| mac.chain_update(it.message).verify_slice(it.digest).is_ok())
    };
    each(vectors, |it| it.from, right)
}

/// Makes the shared secret of each, and finds which have none.
pub(crate) fn x25519(vectors: &[Exchange]) -> Verdict {
    let shared = |it: &Exchange| {
        let secret = StaticSecret::from(<[u8; 32]>::try_from(it.private).ok()?);
        let public = PublicKey::from(<[u8; 32]>::try_from(it.public).ok()?);
        let shared = secret.diffie_hellman(&public);
        shared.was_contributory().then(|| shared.to_bytes())
    };
    each(vectors, |it| it.from, |it| shared(it).as_ref().map(|it| &it[..]) == it.shared)
}

/// The same by P-256.
pub(crate) fn p256(vectors: &[Exchange]) -> Verdict {
    let right = |it: &Exchange| {
        let secret = p256::SecretKey::from_slice(it.private).ok();
        let public = p256::PublicKey::from_sec1_bytes(it.public).ok();
        let shared = secret.zip(public).map(|(secret, public)| secret.diffie_hellman(&public));
        shared.as_ref().map(|it| &it.raw_secret_bytes()[..]) == it.shared
    };
    each(vectors, |it| it.from, right)
}

/// Verifies each signature by P-256.
pub(crate) fn ecdsa(vectors: &[Signed]) -> Verdict {
    let verified = |it: &Signed| {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(it.key).ok()?;
        let signature = p256::ecdsa::DerSignature::try_from(it.signature).ok()?;
        key.verify(it.message, &signature).ok()
    };
    each(vectors, |it| it.from, |it| verified(it).is_some() == it.good)
}

/// The same of Ed25519.
pub(crate) fn ed25519(vectors: &[Signed]) -> Verdict {
    let verified = |it: &Signed| {
        let key = ed25519_dalek::VerifyingKey::from_bytes(it.key.try_into().ok()?).ok()?;
        let signature = ed25519_dalek::Signature::from_slice(it.signature).ok()?;
        key.verify_strict(it.message, &signature).ok()
    };
    each(vectors, |it| it.from, |it| verified(it).is_some() == it.good)
}

/// Signs by P-256. `key` is the private one, and signatures are r and s, not DER.
pub(crate) fn sign_ecdsa(vectors: &[Signed]) -> Verdict {
    let signed = |it: &Signed| {
        let key = p256::ecdsa::SigningKey::from_slice(it.key).ok()?;
        let made: p256::ecdsa::Signature = key.try_sign(it.message).ok()?;
        Some(made.to_bytes()[..] == *it.signature)
    };
    each(vectors, |it| it.from, |it| signed(it) == Some(it.good))
}

/// The same by Ed25519.
pub(crate) fn sign_ed25519(vectors: &[Signed]) -> Verdict {
    let signed = |it: &Signed| {
        let key = ed25519_dalek::SigningKey::from_bytes(it.key.try_into().ok()?);
        Some(key.sign(it.message).to_bytes()[..] == *it.signature)
    };
    each(vectors, |it| it.from, |it| signed(it) == Some(it.good))
}
