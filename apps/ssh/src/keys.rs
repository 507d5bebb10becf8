//! Keys as arguments: the public ones of who may log in, and the private one of the guest.

use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Base64Unpadded, Encoding};
use core::fmt;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use sha2::{Digest, Sha256};
use sunset::{PubKey, SignKey};
use xenith::entropy;
use zeroize::{Zeroize, Zeroizing};

/// The type of the keys (RFC 8709).
const ED25519: &str = "ssh-ed25519";

/// The longest private key, in base64.
const LONGEST: usize = 512;

/// A public key of Ed25519.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Public([u8; 32]);

impl Public {
    /// Reads a line of `authorized_keys` without options, which is what `*.pub` files hold:
    /// `ssh-ed25519 AAAA... name`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (kind, encoded) = (words.next()?, words.next()?);
        let blob = Base64::decode_vec(encoded).ok()?;
        let (name, rest) = string(&blob)?;
        let (key, rest) = string(rest)?;
        let whole = kind == ED25519 && name == ED25519.as_bytes() && rest.is_empty();
        whole.then_some(Self(key.try_into().ok()?))
    }

    /// Whether it is the key that a client shows.
    pub(crate) fn is(&self, shown: &PubKey<'_>) -> bool {
        matches!(shown, PubKey::Ed25519(key) if key.key.0 == self.0)
    }

    /// Prints as `ssh-keygen -l` does.
    pub(crate) fn fingerprint(&self) -> String {
        let mut blob = Vec::new();
        for part in [ED25519.as_bytes(), &self.0] {
            let length = u32::try_from(part.len()).unwrap_or_default();
            blob.extend(length.to_be_bytes());
            blob.extend(part);
        }
        alloc::format!("SHA256:{}", Base64Unpadded::encode_string(&Sha256::digest(&blob)))
    }
}

/// What is printed is the fingerprint.
impl fmt::Debug for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

/// A string of SSH (RFC 4251, section 5), and what is behind it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The guest's own key, and the public part of it.
pub(crate) fn host(key: Option<&str>) -> Result<(SignKey, Public), entropy::Unseeded> {
    let key = match key.and_then(private) {
        Some(key) => key,
        None => {
            let mut seed = Zeroizing::new([0; 32]);
            entropy::fill(&mut *seed)?;
            SigningKey::from_bytes(&seed)
        }
    };
    let public = Public(key.verifying_key().to_bytes());
    Ok((SignKey::Ed25519(key), public))
}

/// Whether `text` is a private key as PKCS#8 in base64, which is what stands between the first and
/// the last line of `openssl genpkey -algorithm ed25519`.
pub(crate) fn is_private(text: &str) -> bool {
    private(text).is_some()
}

fn private(text: &str) -> Option<SigningKey> {
    if text.len() > LONGEST {
        return None;
    }
    let mut der = Base64::decode_vec(text.trim()).ok()?;
    let key = SigningKey::from_pkcs8_der(&der).ok();
    der.zeroize();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `ssh-keygen -t ed25519`, with the fingerprint that `ssh-keygen -l` prints.
    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIsJ3krkJ8G3txFX1QivvtmRBeJJDa6ZcoEPXIH3baE/ me@lab";

    #[test]
    fn public_keys_are_those_of_openssh() {
        let key = Public::parse(LINE).unwrap();
        assert_eq!(key.fingerprint(), "SHA256:D53c9d3Y8f1S0HZs5kkOdIPRuZB8rpsSoUyVPQp/Gsc");
        let encoded = LINE.split(' ').nth(1).unwrap();
        let other = |kind| alloc::format!("{kind} {encoded}");
        assert!(Public::parse(&other("ssh-ed25519")).is_some());
        for wrong in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            &other("ssh-rsa"),
            encoded,
            &LINE.replace("AAAAC3", "AAAAC4"),
        ] {
            assert!(Public::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn private_keys_are_those_of_openssl() {
        // RFC 8410, section 10.3.
        let key = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
        assert!(is_private(key) && is_private(&alloc::format!("{key}\n")));
        let (_, public) = host(Some(key)).unwrap();
        let expected = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let hex: String = public.0.iter().map(|byte| alloc::format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        assert_ne!(host(None).unwrap().1, host(None).unwrap().1);
        assert!(!is_private("") && !is_private(&"A".repeat(600)) && !is_private("AAAA"));
    }
}
