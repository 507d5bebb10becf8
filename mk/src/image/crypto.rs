//! Which crates of cryptography are optimised for speed, and whether an image holds another one.

use super::elf::Elf;
use cargo_metadata::Metadata;
use std::collections::BTreeSet;

/// Those that are optimised for speed in small images too: most of what a connection by TLS costs
/// is theirs. A generic is compiled with the crate that uses it, so xenith-tls and the app crypto are
/// among them.
pub(crate) const FAST: &[&str] = &[
    "aead",
    "aes",
    "aes-gcm",
    "chacha20poly1305",
    "cmov",
    "crypto",
    "crypto-bigint",
    "ctr",
    "ctutils",
    "curve25519-dalek",
    "ecdsa",
    "ed25519",
    "ed25519-dalek",
    "elliptic-curve",
    "ghash",
    "hmac",
    "p256",
    "p384",
    "poly1305",
    "polyval",
    "primefield",
    "primeorder",
    "rfc6979",
    "rsa",
    "sha2",
    "subtle",
    "universal-hash",
    "wnaf",
    "x25519-dalek",
    "xenith-tls",
];

/// Those of them for which LLVM weighs as usual what a call costs: a number of P-256's is multiplied in
/// some dozen instructions, and a signature has thousands of those.
pub(crate) const INLINED: &[&str] = &["p256"];

/// Those that stay small, as what they do is little beside the rest: random numbers of the
/// kernel's, a block at a time (chacha20), hashes of single words (siphasher), the handshake of
/// WebSocket (sha1), the formats and the protocol around keys, and generics, which are compiled with
/// the crate that uses them.
const SMALL: &[&str] = &[
    "base64ct",
    "block-buffer",
    "chacha20",
    "cipher",
    "const-oid",
    "crypto-common",
    "der",
    "digest",
    "pem-rfc7468",
    "pkcs1",
    "pkcs8",
    "rustls",
    "rustls-pki-types",
    "rustls-webpki",
    "sec1",
    "sha1",
    "signature",
    "siphasher",
    "spki",
    "x509-cert",
    "xenith-kernel",
    "zeroize",
];

/// Finds crates of cryptography in `image` that neither list names.
pub(crate) fn unlisted(metadata: &Metadata, image: &Elf<'_>) -> Vec<String> {
    let inside = crates(image);
    let packages = metadata.packages.iter();
    let of_cryptography =
        packages.filter(|package| package.categories.iter().any(|it| it == "cryptography"));
    let found: BTreeSet<_> = of_cryptography
        .map(|package| &**package.name)
        .filter(|name| !FAST.contains(name) && !SMALL.contains(name))
        .filter(|name| inside.contains(&name.replace('-', "_")))
        .collect();
    let say = |name| {
        format!(
            "{name} is cryptography that is optimised for size: name it in \
             mk/src/image/crypto.rs, as fast or as small"
        )
    };
    found.into_iter().map(say).collect()
}

/// The crates whose code is in `image`, by what its symbols begin with.
fn crates(image: &Elf<'_>) -> BTreeSet<String> {
    let names = image.symbols.iter().map(|it| format!("{:#}", rustc_demangle::demangle(it.name)));
    names.filter_map(|name| first(&name).map(String::from)).collect()
}

/// The crate of a symbol: `a::b`, `<a::B as c::D>::e`.
fn first(name: &str) -> Option<&str> {
    let path = name.trim_start_matches(['<', '&', '(', '[']);
    path.split_once("::").map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_tell_their_crates() {
        assert_eq!(first("aes::soft::encrypt"), Some("aes"));
        assert_eq!(first("<aes::Aes128 as cipher::Init>::new"), Some("aes"));
        assert_eq!(first("<&p256::Scalar as core::ops::Mul>::mul"), Some("p256"));
        assert_eq!(first("memcpy"), None);
    }

    #[test]
    fn no_crate_is_on_both_lists() {
        assert!(FAST.iter().all(|name| !SMALL.contains(name)));
    }
}
