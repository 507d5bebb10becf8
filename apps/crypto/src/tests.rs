//! The vectors are right on this machine, and each that is made wrong is found.

use super::*;
use crate::vectors::{Aead, Digest, Exchange, Signed};
use alloc::boxed::Box;
use std::vec::Vec;
use xenith::task::block_on;

fn run(all: &[Primitive], kib: usize) -> (Result<(), Error>, String) {
    let mut out = Vec::new();
    let result = block_on(test(&mut out, all, kib));
    (result, String::from_utf8(out).unwrap())
}

#[test]
fn everything_is_tested_and_measured() {
    let (result, out) = run(ALL, 1);
    assert_eq!(result, Ok(()), "{out}");
    assert_eq!(out.lines().count(), ALL.len() + 2, "{out}");
    assert_eq!(out.matches(" ns a byte ").count(), 7, "{out}");
    assert_eq!(out.matches(" ns a ").count(), ALL.len(), "{out}");
    assert!(!run(ALL, 0).1.contains(" ns a "));
}

#[test]
fn what_is_wrong_is_named_and_the_rest_is_tested() {
    let broken = |vectors| Primitive { name: "x", by: || "y", vectors, run: |_| (), unit: BYTE };
    let all = [broken(|| Err("RFC 1")), broken(|| Ok(3))];
    let (result, out) = run(&all, 0);
    assert_eq!(result, Err(Error::Wrong(1)));
    assert!(out.contains("WRONG: RFC 1  y\n") && out.contains(" 3 vectors  y\n"), "{out}");
}

#[test]
fn too_much_data_is_an_error() {
    assert_eq!(run(&[], usize::MAX).0, Err(Error::Memory));
    assert_eq!(run(&[], usize::MAX >> 11).0, Err(Error::Memory));
}

/// The same with its last bit flipped.
fn flipped(bytes: &[u8]) -> &'static [u8] {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    Box::leak(bytes.into_boxed_slice())
}

/// Makes each vector wrong by itself, which `check` has to find.
fn finds<V: Copy>(vectors: &[V], spoil: impl Fn(&mut V), check: impl Fn(&[V]) -> Verdict) {
    assert_eq!(check(vectors), Ok(vectors.len()));
    for at in 0..vectors.len() {
        let mut vectors = vectors.to_vec();
        spoil(&mut vectors[at]);
        assert!(check(&vectors).is_err(), "vector {at}");
    }
}

#[test]
fn wrong_results_are_found() {
    let aead = |it: &mut Aead| match it.good {
        true => it.sealed = flipped(it.sealed),
        false => it.good = true,
    };
    finds(vectors::AES_128_GCM, aead, check::aead::<Aes128Gcm>);
    finds(vectors::AES_256_GCM, aead, check::aead::<Aes256Gcm>);
    finds(vectors::CHACHA20_POLY1305, aead, check::aead::<ChaCha20Poly1305>);
    let digest = |it: &mut Digest| it.digest = flipped(it.digest);
    finds(vectors::SHA256, digest, check::hash::<Sha256>);
    finds(vectors::SHA384, digest, check::hash::<Sha384>);
    finds(vectors::HMAC_SHA256, digest, check::hmac::<Sha256>);
    finds(vectors::HMAC_SHA384, digest, check::hmac::<Sha384>);
    let exchange =
        |it: &mut Exchange| it.shared = it.shared.map_or(Some(&[0; 32]), |it| Some(flipped(it)));
    finds(vectors::X25519, exchange, check::x25519);
    finds(vectors::P256, exchange, check::p256);
    let signed = |it: &mut Signed| it.good = !it.good;
    finds(vectors::ECDSA, signed, check::ecdsa);
    finds(vectors::ED25519, signed, check::ed25519);
    finds(vectors::SIGN_ECDSA, signed, check::sign_ecdsa);
    finds(vectors::SIGN_ED25519, signed, check::sign_ed25519);
}
