//! Proves to a server that the password is known, and has the server prove the same:
//! SCRAM-SHA-256 (RFC 5802, RFC 7677), bound to a channel where there is one.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Says what a login is bound to (RFC 5802, section 6), so that it is of no use to who stands between
/// the two.
pub trait Channel {
    /// Whether there is a channel that is encrypted.
    const IS: bool;

    /// Whether a login can be bound to it.
    fn can_bind(&self) -> bool;

    /// Takes note that the server offers that.
    fn offer(&mut self);

    /// Returns the name of what identifies it to both ends, such as `tls-server-end-point`, and that
    /// itself, if the server offers to bind the login.
    fn binding(&self) -> Option<(&'static str, &[u8])>;
}

/// No channel: whoever stands between the two can read what they say.
#[derive(Clone, Copy, Debug)]
pub struct Open;

impl Channel for Open {
    const IS: bool = false;

    fn can_bind(&self) -> bool {
        false
    }

    fn offer(&mut self) {}

    fn binding(&self) -> Option<(&'static str, &[u8])> {
        None
    }
}

/// What begins the first message without a channel: no binding, and no other identity (section 7).
const HEADER: &str = "n,,";

/// The most rounds that a server may ask for: PostgreSQL's default is 4096. More would keep this
/// machine busy before the server has proved anything.
const ROUNDS: u32 = 200_000;

/// A login that has begun.
pub(crate) struct Scram {
    password: Zeroizing<String>,
    nonce: String,
}

/// What the server has to answer at the end.
pub(crate) struct Expected {
    key: Zeroizing<[u8; 32]>,
    message: String,
}

fn mac(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac)
}

fn hmac(key: &[u8], message: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    Some(Zeroizing::new(mac(key, message)?.finalize().into_bytes().into()))
}

/// What begins the first message: whether the login is bound, to what, and if not whether it could
/// have been, in which case a server that did offer it knows that somebody has hidden that.
pub(crate) fn header(channel: &impl Channel) -> Cow<'static, str> {
    match channel.binding() {
        Some((name, _)) => format!("p={name},,").into(),
        None if channel.can_bind() => "y,,".into(),
        None => HEADER.into(),
    }
}

/// What a login is bound to.
pub(crate) fn bound(channel: &impl Channel) -> Cow<'static, [u8]> {
    match channel.binding() {
        Some((_, data)) => [header(channel).as_bytes(), data].concat().into(),
        None if channel.can_bind() => b"y,,"[..].into(),
        None => HEADER.as_bytes().into(),
    }
}

impl Scram {
    /// Begins with 18 random bytes.
    pub(crate) fn new(password: &str, random: &[u8; 18]) -> Self {
        let nonce = Base64::encode_string(random);
        Self { password: Zeroizing::new(password.into()), nonce }
    }

    /// The first message. PostgreSQL takes the user's name from the startup message.
    pub(crate) fn first(&self, header: &str) -> String {
        format!("{header}n=,r={}", self.nonce)
    }

    /// Answers the server's first message; `None` if that makes no sense. The login is bound to
    /// `bound`: what the first message began with, and the channel's binding.
    pub(crate) fn answer(&self, server: &str, bound: &[u8]) -> Option<(String, Expected)> {
        let mut fields = server.split(',');
        let nonce = fields.next()?.strip_prefix("r=")?;
        let salt = fields.next()?.strip_prefix("s=")?;
        let rounds = fields.next()?.strip_prefix("i=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return None;
        }
        let salt: Vec<u8> = Base64::decode_vec(salt).ok().filter(|salt| !salt.is_empty())?;
        let rounds = rounds.parse().ok().filter(|rounds| (1..=ROUNDS).contains(rounds))?;
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, rounds, &mut *salted);
        let client = hmac(&*salted, b"Client Key")?;
        let stored = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(*client)));
        let bare = format!("c={},r={nonce}", Base64::encode_string(bound));
        let message = format!("n=,r={},{server},{bare}", self.nonce);
        let mut proof = *hmac(&*stored, message.as_bytes())?;
        proof.iter_mut().zip(*client).for_each(|(byte, key)| *byte ^= key);
        let answer = format!("{bare},p={}", Base64::encode_string(&proof));
        Some((answer, Expected { key: hmac(&*salted, b"Server Key")?, message }))
    }
}

impl Expected {
    /// Whether the server's last message proves that it knows the password.
    pub(crate) fn is_proved(&self, server: &str) -> bool {
        let proof = server.strip_prefix("v=").and_then(|it| it.split(',').next());
        let proof = proof.and_then(|it| Base64::decode_vec(it).ok());
        let mac = mac(&*self.key, self.message.as_bytes());
        // The comparison takes as long however much is right.
        mac.zip(proof).is_some_and(|(mac, proof)| mac.verify_slice(&proof).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677_comes_out() {
        // Section 3, but that PostgreSQL's clients name no user.
        let scram = Scram {
            password: Zeroizing::new("pencil".into()),
            nonce: "rOprNGfwEbeRWgbNEkqO".into(),
        };
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (answer, expected) = scram.answer(server, b"n,,").unwrap();
        assert!(
            answer.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")
        );
        // With the name of the example, the proofs of both sides are those of the RFC.
        let message = expected.message.replacen("n=,", "n=user,", 1);
        let expected = Expected { message, ..expected };
        assert!(expected.is_proved("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!expected.is_proved("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!expected.is_proved("v="));
        assert!(!expected.is_proved("e=other-error"));
    }

    #[test]
    fn what_no_server_should_say_is_refused() {
        let scram = Scram { password: Zeroizing::new("x".into()), nonce: "abc".into() };
        for server in [
            "",
            "r=abc,s=AAAA,i=4096",
            "r=xabc1,s=AAAA,i=4096",
            "r=abc1,s=,i=4096",
            "r=abc1,s=?,i=4096",
            "r=abc1,s=AAAA,i=0",
            "r=abc1,s=AAAA,i=4000000000",
            "r=abc1,s=AAAA",
        ] {
            assert!(scram.answer(server, b"n,,").is_none(), "{server}");
        }
        assert!(scram.answer("r=abc1,s=AAAA,i=1", b"n,,").is_some());
    }
}
