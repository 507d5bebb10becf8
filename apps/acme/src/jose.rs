//! Signed requests: JWS (RFC 7515) by ES256, and the account's key as a JWK (RFC 7517).

use crate::error::Error;
use alloc::format;
use alloc::string::String;
use base64ct::{Base64UrlUnpadded, Encoding};
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde::Serialize;
use sha2::{Digest, Sha256};
use xenith::http::json;
use zeroize::Zeroizing;

/// Codes bytes as base64url without padding (RFC 7515, section 2).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Makes a P-256 key by the machine's generator.
pub(crate) fn new_key() -> Result<SecretKey, Error> {
    loop {
        let mut bytes = Zeroizing::new([0; 32]);
        xenith::entropy::fill(&mut *bytes).map_err(|_| Error::Entropy)?;
        // One in 2^32 is none.
        if let Ok(key) = SecretKey::from_slice(&*bytes) {
            return Ok(key);
        }
    }
}

/// Returns the thumbprint of a key (RFC 7638, section 3) by the members that its sort requires,
/// sorted by name.
pub(crate) fn thumbprint(members: &[(&str, &str)]) -> String {
    base64url(&Sha256::digest(object(members)))
}

/// Writes texts without escapes as an object.
fn object(members: &[(&str, &str)]) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in members.iter().enumerate() {
        let before = if at == 0 { "" } else { "," };
        text.push_str(&format!("{before}\"{name}\":\"{value}\""));
    }
    text.push('}');
    text
}

/// The public half of the account's key.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Jwk {
    crv: &'static str,
    kty: &'static str,
    x: String,
    y: String,
}

impl Jwk {
    /// Returns its thumbprint, which a challenge's answer ends in.
    pub(crate) fn thumbprint(&self) -> String {
        thumbprint(&[("crv", self.crv), ("kty", self.kty), ("x", &self.x), ("y", &self.y)])
    }
}

/// What a request says of who signs it.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<&'a Jwk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    nonce: &'a str,
    url: &'a str,
}

/// A JWS in its flattened form (RFC 7515, section 7.2.2).
#[derive(Serialize)]
struct Flattened<'a> {
    protected: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// The account's key, which is overwritten when it is dropped, and its URL once it is known.
pub(crate) struct Account {
    key: SigningKey,
    jwk: Jwk,
    url: Option<String>,
}

impl Account {
    pub(crate) fn new(key: &SecretKey) -> Self {
        let key = SigningKey::from(key);
        let point = key.verifying_key().to_sec1_point(false);
        // The byte that says how it is written, and two coordinates.
        let (x, y) = point.as_bytes().get(1..).unwrap_or_default().split_at(32);
        let jwk = Jwk { crv: "P-256", kty: "EC", x: base64url(x), y: base64url(y) };
        Self { key, jwk, url: None }
    }

    /// Takes what the CA calls it.
    pub(crate) fn named(&mut self, url: String) {
        self.url = Some(url);
    }

    /// Returns what a challenge is answered with (RFC 8555, section 8.1).
    pub(crate) fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.jwk.thumbprint())
    }

    /// Signs a request to `url` (RFC 8555, section 6.2): in the account's name, once it has one.
    pub(crate) fn sign(&self, nonce: &str, url: &str, payload: &str) -> Result<String, Error> {
        let kid = self.url.as_deref();
        let jwk = kid.is_none().then_some(&self.jwk);
        let header = Header { alg: "ES256", jwk, kid, nonce, url };
        let protected = base64url(json::text(&header).map_err(|_| Error::Memory)?.as_bytes());
        let payload = base64url(payload.as_bytes());
        let signature = self.signature(&format!("{protected}.{payload}"))?;
        let all = Flattened { protected: &protected, payload: &payload, signature: &signature };
        json::text(&all).map_err(|_| Error::Memory)
    }

    /// Signs a text by ES256 (RFC 7518, section 3.4).
    pub(crate) fn signature(&self, text: &str) -> Result<String, Error> {
        let signature: Signature = self.key.try_sign(text.as_bytes()).map_err(|_| Error::Key)?;
        Ok(base64url(&signature.to_bytes()))
    }
}
