//! What the processor shows, as the libraries ask it, and what each of them makes of that.

/// An instruction set that a library looks for, by the same crate as they do.
macro_rules! feature {
    ($name:ident, $($feature:tt),+) => {
        mod $name {
            cpufeatures::new!(found, $($feature),+);
            pub(crate) fn get() -> bool {
                found::get()
            }
        }
    };
}

feature!(aes, "aes");
feature!(clmul, "avx", "pclmulqdq");
feature!(avx, "avx");
feature!(avx2, "avx2");
feature!(vaes, "vaes");
feature!(sha, "sha", "sse4.1");

/// Returns the names of what is there and of what is not.
pub(crate) fn features() -> [(&'static str, bool); 6] {
    [
        ("aes", aes::get()),
        ("avx", avx::get()),
        ("avx2", avx2::get()),
        ("pclmulqdq", clmul::get()),
        ("sha", sha::get()),
        ("vaes", vaes::get()),
    ]
}

/// What a library without instructions of its own runs.
const PORTABLE: &str = "portable code";

/// The crates `aes` and `polyval`.
pub(crate) fn aes_gcm() -> &'static str {
    match (vaes::get(), aes::get(), clmul::get()) {
        (true, _, true) => "VAES, PCLMULQDQ",
        (_, true, true) => "AES-NI, PCLMULQDQ",
        (_, true, false) => "AES-NI, portable GHASH",
        _ => PORTABLE,
    }
}

/// The crates `chacha20` and `poly1305`.
pub(crate) fn chacha20_poly1305() -> &'static str {
    match (crate::NARROW || !avx2::get(), avx2::get()) {
        (true, true) => "SSE2, Poly1305 by AVX2",
        (true, false) => "SSE2, portable Poly1305",
        (false, _) => "AVX2",
    }
}

/// The crate `sha2`, for hashes of 256 bits.
pub(crate) fn sha256() -> &'static str {
    if sha::get() { "SHA" } else { PORTABLE }
}

/// The crate `sha2`, for hashes of 384 and 512 bits.
pub(crate) fn sha512() -> &'static str {
    if avx2::get() { "AVX2" } else { PORTABLE }
}

/// The crate `curve25519-dalek`, for points of Edwards' form.
pub(crate) fn edwards() -> &'static str {
    if avx2::get() { "AVX2" } else { PORTABLE }
}

/// The crate `x25519-dalek`, whose public keys are points of Edwards' form at first.
pub(crate) fn x25519() -> &'static str {
    if avx2::get() { "AVX2 for the public key" } else { PORTABLE }
}

/// Libraries that look for nothing.
pub(crate) const fn portable() -> &'static str {
    PORTABLE
}
