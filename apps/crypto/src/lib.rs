//! Tests the cryptography that an image holds, by published vectors, and says which instructions
//! of the processor it uses and how long it takes.
//!
//! It is what `xenith-tls` computes by, called in the same way: RustCrypto's crates. The vectors are
//! those of the standards and some of Wycheproof's, which have a mistake in them that is to be
//! found. As a process of Linux the same is tested there.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod check;
mod measure;
mod processor;
#[cfg(test)]
mod tests;
mod vectors;

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use chacha20poly1305::ChaCha20Poly1305;
use check::Verdict;
use core::fmt::{self, Write as _};
use embedded_io_async::Write;
use sha2::{Sha256, Sha384};
use xenith::task::yield_now;

/// Whether ChaCha20 is compiled for SSE2 alone, as `cargo mk` does for all images.
const NARROW: bool = cfg!(target_os = "xen");

/// Why it does not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// So many of the primitives were wrong somewhere.
    Wrong(usize),
    /// There is no memory for the data to measure with.
    Memory,
    /// The console failed.
    Console,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(count) => {
                write!(f, "{count} of the primitives do not compute what they should")
            }
            Self::Memory => f.write_str("there is not enough memory for kib="),
            Self::Console => f.write_str("the console failed"),
        }
    }
}

/// One thing that is tested.
struct Primitive {
    name: &'static str,
    /// What it runs by on this processor.
    by: fn() -> &'static str,
    vectors: fn() -> Verdict,
    run: fn(&mut [u8]),
    unit: &'static str,
}

/// What is measured by the byte; everything else is by the time.
const BYTE: &str = "byte";

/// What there is, in the order in which it is printed.
const ALL: &[Primitive] = &[
    Primitive {
        name: "AES-128-GCM",
        by: processor::aes_gcm,
        vectors: || check::aead::<Aes128Gcm>(vectors::AES_128_GCM),
        run: measure::aead::<Aes128Gcm>,
        unit: BYTE,
    },
    Primitive {
        name: "AES-256-GCM",
        by: processor::aes_gcm,
        vectors: || check::aead::<Aes256Gcm>(vectors::AES_256_GCM),
        run: measure::aead::<Aes256Gcm>,
        unit: BYTE,
    },
    Primitive {
        name: "ChaCha20-Poly1305",
        by: processor::chacha20_poly1305,
        vectors: || check::aead::<ChaCha20Poly1305>(vectors::CHACHA20_POLY1305),
        run: measure::aead::<ChaCha20Poly1305>,
        unit: BYTE,
    },
    Primitive {
        name: "SHA-256",
        by: processor::sha256,
        vectors: || check::hash::<Sha256>(vectors::SHA256),
        run: measure::hash::<Sha256>,
        unit: BYTE,
    },
    Primitive {
        name: "SHA-384",
        by: processor::sha512,
        vectors: || check::hash::<Sha384>(vectors::SHA384),
        run: measure::hash::<Sha384>,
        unit: BYTE,
    },
    Primitive {
        name: "HMAC-SHA-256",
        by: processor::sha256,
        vectors: || check::hmac::<Sha256>(vectors::HMAC_SHA256),
        run: measure::hmac::<Sha256>,
        unit: BYTE,
    },
    Primitive {
        name: "HMAC-SHA-384",
        by: processor::sha512,
        vectors: || check::hmac::<Sha384>(vectors::HMAC_SHA384),
        run: measure::hmac::<Sha384>,
        unit: BYTE,
    },
    Primitive {
        name: "X25519",
        by: processor::x25519,
        vectors: || check::x25519(vectors::X25519),
        run: measure::x25519,
        unit: "exchange",
    },
    Primitive {
        name: "ECDH P-256",
        by: processor::portable,
        vectors: || check::p256(vectors::P256),
        run: measure::p256,
        unit: "exchange",
    },
    Primitive {
        name: "ECDSA P-256, sign",
        by: processor::portable,
        vectors: || check::sign_ecdsa(vectors::SIGN_ECDSA),
        run: measure::sign_ecdsa,
        unit: "signature",
    },
    Primitive {
        name: "ECDSA P-256, verify",
        by: processor::portable,
        vectors: || check::ecdsa(vectors::ECDSA),
        run: measure::ecdsa,
        unit: "signature",
    },
    Primitive {
        name: "Ed25519, sign",
        by: processor::edwards,
        vectors: || check::sign_ed25519(vectors::SIGN_ED25519),
        run: measure::sign_ed25519,
        unit: "signature",
    },
    Primitive {
        name: "Ed25519, verify",
        by: processor::edwards,
        vectors: || check::ed25519(vectors::ED25519),
        run: measure::ed25519,
        unit: "signature",
    },
];

/// Tests everything, and measures it with `kib` KiB of data, unless that is 0. A line each goes to
/// `console`.
///
/// # Errors
/// See [`Error`].
pub async fn start<C: Write>(mut console: C, kib: usize) -> Result<(), Error> {
    test(&mut console, ALL, kib).await
}

async fn test<C: Write>(console: &mut C, all: &[Primitive], kib: usize) -> Result<(), Error> {
    let mut data = Vec::new();
    let length = kib.checked_mul(1024).ok_or(Error::Memory)?;
    data.try_reserve_exact(length).map_err(|_| Error::Memory)?;
    data.resize(length, 0);
    let mut text = String::from("crypto: the processor has");
    for (name, there) in processor::features() {
        // Writing to a string does not fail.
        let _ = write!(text, " {}{name}", if there { "" } else { "no-" });
    }
    say(console, text).await?;
    let mut wrong = 0;
    for it in all {
        let verdict = match (it.vectors)() {
            Ok(count) => format!("{count:2} vectors"),
            Err(from) => {
                wrong += 1;
                format!("WRONG: {from}")
            }
        };
        let mut text = format!("{:20} {verdict}", it.name);
        if kib > 0 {
            let count = if it.unit == BYTE { length } else { 1 };
            let took = measure::hundredths(count, || (it.run)(&mut data));
            let _ = write!(text, "  {:8}.{:02} ns a {:9}", took / 100, took % 100, it.unit);
        }
        let _ = write!(text, "  {}", (it.by)());
        say(console, text).await?;
        yield_now().await;
    }
    if wrong > 0 {
        return Err(Error::Wrong(wrong));
    }
    say(console, String::from("crypto: all vectors are right")).await
}

async fn say(console: &mut impl Write, mut line: String) -> Result<(), Error> {
    line.push('\n');
    console.write_all(line.as_bytes()).await.map_err(|_| Error::Console)
}
