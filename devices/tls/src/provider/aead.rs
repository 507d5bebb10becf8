//! Records, encrypted and authenticated: RFC 8446, section 5.2, and, for TLS 1.2, RFC 5288 and
//! RFC 7905.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, Tag};
use aes_gcm::aes::{Aes128Enc, Aes256Enc};
use aes_gcm::{AesGcm, KeyInit};
use alloc::boxed::Box;
use chacha20poly1305::ChaCha20Poly1305;
use core::marker::PhantomData;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, NONCE_LEN, Nonce, OutboundOpaqueMessage, OutboundPlainMessage,
    PrefixedPayload, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
    make_tls12_aad, make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

/// Bytes of a tag, of all of them.
pub(super) const TAG: usize = 16;

/// Bytes of the nonce of AES-GCM that TLS 1.2 sends with each record, and that it derives.
const EXPLICIT: usize = 8;
const IMPLICIT: usize = NONCE_LEN - EXPLICIT;

/// An algorithm of records.
pub(super) struct Algorithm<A> {
    key: usize,
    secrets: fn(AeadKey, Iv) -> ConnectionTrafficSecrets,
    /// Bytes of the nonce that TLS 1.2 sends.
    explicit: usize,
    cipher: PhantomData<fn() -> A>,
}

macro_rules! algorithm {
    ($name:ident, $cipher:ty, $secrets:ident, $key:literal, $explicit:expr) => {
        pub(super) static $name: Algorithm<$cipher> = Algorithm {
            key: $key,
            secrets: |key, iv| ConnectionTrafficSecrets::$secrets { key, iv },
            explicit: $explicit,
            cipher: PhantomData,
        };
    };
}

// GCM encrypts counters, in both directions: AES's keys for decryption would be half of what each way of a
// connection holds.
algorithm!(AES_128_GCM, AesGcm<Aes128Enc, U12>, Aes128Gcm, 16, EXPLICIT);
algorithm!(AES_256_GCM, AesGcm<Aes256Enc, U12>, Aes256Gcm, 32, EXPLICIT);
algorithm!(CHACHA20_POLY1305, ChaCha20Poly1305, Chacha20Poly1305, 32, 0);

/// What is needed of a cipher.
pub(super) trait Cipher: AeadInOut + KeyInit + Send + Sync + 'static {}

impl<A: AeadInOut + KeyInit + Send + Sync + 'static> Cipher for A {}

/// One direction of a connection. `None` for a key of the wrong length, which rustls has not.
pub(super) struct Way<A> {
    cipher: Option<A>,
    iv: Iv,
    explicit: usize,
}

impl<A: Cipher> Way<A> {
    pub(super) fn new(key: &[u8], iv: Iv, explicit: usize) -> Self {
        Self { cipher: A::new_from_slice(key).ok(), iv, explicit }
    }

    /// Encrypts what is in `payload` from `start` on, and appends the tag.
    pub(super) fn seal(
        &self,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut PrefixedPayload,
        start: usize,
    ) -> Option<()> {
        let text = payload.as_mut().get_mut(start..)?;
        let nonce = nonce.try_into().ok()?;
        let sealed = self.cipher.as_ref()?.encrypt_inout_detached(&nonce, aad, text.into());
        payload.extend_from_slice(&sealed.ok()?);
        Some(())
    }

    /// Decrypts what is in `payload` from `start` on, without the tag; how many bytes that are.
    pub(super) fn open(
        &self,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut [u8],
        start: usize,
    ) -> Option<usize> {
        let sealed = payload.get_mut(start..)?;
        let length = sealed.len().checked_sub(TAG)?;
        let (text, tag) = sealed.split_at_mut(length);
        let tag = Tag::<A>::try_from(&*tag).ok()?;
        let nonce = nonce.try_into().ok()?;
        let cipher = self.cipher.as_ref()?;
        cipher.decrypt_inout_detached(&nonce, aad, text.into(), &tag).ok()?;
        Some(length)
    }
}

struct Tls13<A>(Way<A>);

impl<A: Cipher> Tls13AeadAlgorithm for Algorithm<A> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Tls13(Way::<A>::new(key.as_ref(), iv, 0)))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Tls13(Way::<A>::new(key.as_ref(), iv, 0)))
    }

    fn key_len(&self) -> usize {
        self.key
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Ok((self.secrets)(key, iv))
    }
}

impl<A: Cipher> MessageEncrypter for Tls13<A> {
    fn encrypt(
        &mut self,
        msg: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let length = self.encrypted_payload_len(msg.payload.len());
        let mut payload = PrefixedPayload::with_capacity(length);
        payload.extend_from_chunks(&msg.payload);
        payload.extend_from_slice(&msg.typ.to_array());
        let (nonce, aad) = (Nonce::new(&self.0.iv, seq), make_tls13_aad(length));
        self.0.seal(&nonce.0, &aad, &mut payload, 0).ok_or(Error::EncryptError)?;
        // As records of TLS 1.2, which all records look like.
        let (typ, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        Ok(OutboundOpaqueMessage::new(typ, version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + TAG
    }
}

impl<A: Cipher> MessageDecrypter for Tls13<A> {
    fn decrypt<'a>(
        &mut self,
        mut msg: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let (nonce, aad) = (Nonce::new(&self.0.iv, seq), make_tls13_aad(msg.payload.len()));
        let opened = self.0.open(&nonce.0, &aad, &mut msg.payload, 0);
        msg.payload.truncate(opened.ok_or(Error::DecryptError)?);
        msg.into_tls13_unpadded_message()
    }
}

struct Tls12<A>(Way<A>);

impl<A: Cipher> Tls12<A> {
    fn boxed(key: &AeadKey, iv: &[u8], extra: &[u8], explicit: usize) -> Box<Self> {
        let mut whole = [0; NONCE_LEN];
        let given = iv.iter().chain(extra);
        whole.iter_mut().zip(given).for_each(|(byte, given)| *byte = *given);
        Box::new(Self(Way::new(key.as_ref(), Iv::new(whole), explicit)))
    }
}

impl<A: Cipher> Tls12AeadAlgorithm for Algorithm<A> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        Tls12::<A>::boxed(&key, iv, extra, self.explicit)
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Tls12::<A>::boxed(&key, iv, &[], self.explicit)
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape {
            enc_key_len: self.key,
            fixed_iv_len: NONCE_LEN - self.explicit,
            explicit_nonce_len: self.explicit,
        }
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        let mut whole = [0; NONCE_LEN];
        let given = iv.iter().chain(explicit);
        whole.iter_mut().zip(given).for_each(|(byte, given)| *byte = *given);
        Ok((self.secrets)(key, Iv::new(whole)))
    }
}

impl<A: Cipher> MessageEncrypter for Tls12<A> {
    fn encrypt(
        &mut self,
        msg: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let mut payload =
            PrefixedPayload::with_capacity(self.encrypted_payload_len(msg.payload.len()));
        let nonce = Nonce::new(&self.0.iv, seq);
        let start = self.0.explicit;
        payload.extend_from_slice(&nonce.0[NONCE_LEN - start..]);
        payload.extend_from_chunks(&msg.payload);
        let aad = make_tls12_aad(seq, msg.typ, msg.version, msg.payload.len());
        self.0.seal(&nonce.0, &aad, &mut payload, start).ok_or(Error::EncryptError)?;
        Ok(OutboundOpaqueMessage::new(msg.typ, msg.version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + self.0.explicit + TAG
    }
}

impl<A: Cipher> MessageDecrypter for Tls12<A> {
    fn decrypt<'a>(
        &mut self,
        mut msg: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let start = self.0.explicit;
        let length = msg.payload.len().checked_sub(start + TAG).ok_or(Error::DecryptError)?;
        let mut nonce = Nonce::new(&self.0.iv, seq);
        if start > 0 {
            nonce.0[..IMPLICIT].copy_from_slice(&self.0.iv.as_ref()[..IMPLICIT]);
            nonce.0[IMPLICIT..].copy_from_slice(&msg.payload[..EXPLICIT]);
        }
        let aad = make_tls12_aad(seq, msg.typ, msg.version, length);
        let opened = self.0.open(&nonce.0, &aad, &mut msg.payload, start);
        opened.ok_or(Error::DecryptError)?;
        Ok(msg.into_plain_message_range(start..start + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_of_a_connection_holds_aes_keys_for_encryption_alone() {
        // 15 of them for AES-256 (FIPS 197, section 5.2), and eight powers of GHASH's.
        let most = 15 * 16 + 8 * 16;
        let (key, iv) = (AeadKey::from([7; 32]), Iv::copy(&[7; NONCE_LEN]));
        let way = Tls13AeadAlgorithm::encrypter(&AES_256_GCM, key, iv);
        let size = size_of_val(&*way);
        assert!(size <= most + 64, "{size}");
    }
}
