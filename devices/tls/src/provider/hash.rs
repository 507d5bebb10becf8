//! Hashes and HMAC: SHA-2 by the crates `sha2` and `hmac`.

use alloc::boxed::Box;
use hmac::{EagerHash, KeyInit, Mac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac, Key, Tag};
use sha2::{Digest, Sha256, Sha384};

/// A hash function, and the HMAC of it.
pub(super) struct Sha<D> {
    algorithm: HashAlgorithm,
    start: fn() -> D,
}

pub(super) static SHA256: Sha<Sha256> =
    Sha { algorithm: HashAlgorithm::SHA256, start: Sha256::new };
pub(super) static SHA384: Sha<Sha384> =
    Sha { algorithm: HashAlgorithm::SHA384, start: Sha384::new };

struct Running<D>(D);

/// What both need of a hash function.
pub(super) trait Function: EagerHash<Core: Send + Sync> + Send + Sync + 'static {}

impl<D: EagerHash<Core: Send + Sync> + Send + Sync + 'static> Function for D {}

impl<D: Function> Hash for Sha<D> {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Running((self.start)()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&D::digest(data))
    }

    fn output_len(&self) -> usize {
        <D as Digest>::output_size()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }
}

impl<D: Function> Context for Running<D> {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

/// Both blocks that the key makes are hashed once, however many messages there are.
struct Keyed<D: Function>(hmac::Hmac<D>);

impl<D: Function> Hmac for Sha<D> {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        let keyed = hmac::Hmac::new_from_slice(key);
        Box::new(Keyed::<D>(keyed.expect("HMAC takes keys of any length")))
    }

    fn hash_output_len(&self) -> usize {
        <D as Digest>::output_size()
    }
}

impl<D: Function> Key for Keyed<D> {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        middle.iter().for_each(|part| mac.update(part));
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        <D as Digest>::output_size()
    }
}
