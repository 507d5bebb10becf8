//! What survives a restart: keys, the certificate, an order under way, and for how long the CA is
//! to be left alone.

use crate::certificate::Facts;
use crate::error::Error;
use crate::jose;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use p256::SecretKey;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use serde::{Deserialize, Serialize};
use xenith::block::Block;
use xenith::http::json;
use xenith::kv::Store as _;
use xenith::kv::keys::{Batch, Keys};
use zeroize::Zeroizing;

/// The names of what is not an account's or an order's.
const CHAIN: &[u8] = b"certificate";
const KEY: &[u8] = b"certificate key";
const FROM: &[u8] = b"certificate from";

/// A certificate and its key.
pub(crate) struct Certificate {
    /// With those that lead to a root, in PEM form.
    chain: Vec<u8>,
    key: SecretKey,
    pub(crate) facts: Facts,
    /// The directory of the CA that it is from.
    pub(crate) from: String,
}

impl Certificate {
    pub(crate) const fn new(chain: Vec<u8>, key: SecretKey, facts: Facts, from: String) -> Self {
        Self { chain, key, facts, from }
    }

    /// Returns the key that everyone knows.
    #[cfg(test)]
    pub(crate) fn public(&self) -> p256::PublicKey {
        self.key.public_key()
    }

    /// Returns both as TLS takes them.
    pub(crate) fn identity(&self) -> Result<xenith::tls::Identity, xenith::tls::Error> {
        let key = pem(&self.key).map_err(|_| xenith::tls::Error::NoKey)?;
        xenith::tls::Identity::from_pem(&self.chain, key.as_bytes())
    }
}

/// An order that is under way.
pub(crate) struct Order {
    pub(crate) url: String,
    /// The key of the certificate that comes of it.
    pub(crate) key: SecretKey,
}

/// What was asked in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failures {
    /// What was asked for.
    pub(crate) of: String,
    /// How often, one after the other.
    pub(crate) count: u32,
    /// Until when the CA is to be left alone, in seconds since 1970.
    pub(crate) until: u64,
    /// The CA itself has said until when.
    pub(crate) limited: bool,
}

/// The store on a disk, as one directory's.
pub(crate) struct Store<B> {
    keys: Keys<B>,
    directory: String,
}

impl<B: Block + 'static> Store<B> {
    /// Opens it, or makes it on a disk that is blank.
    pub(crate) async fn open(disk: B, directory: String) -> Result<Self, Error> {
        Ok(Self { keys: Keys::open_or_format(disk).await?, directory })
    }

    fn name(&self, what: &str) -> Vec<u8> {
        format!("{what} {}", self.directory).into_bytes()
    }

    /// Returns the account's key, and makes it if there is none.
    pub(crate) async fn account(&self) -> Result<SecretKey, Error> {
        let name = self.name("account key");
        if let Some(text) = self.keys.get(&name).await? {
            return key(text);
        }
        let new = jose::new_key()?;
        self.keys.set(&name, pem(&new)?.as_bytes()).await?;
        Ok(new)
    }

    /// Returns the certificate that is kept, if there is one that can be used at all.
    pub(crate) async fn certificate(&self) -> Result<Option<Certificate>, Error> {
        let (Some(chain), Some(text)) = (self.keys.get(CHAIN).await?, self.keys.get(KEY).await?)
        else {
            return Ok(None);
        };
        let from = self.keys.get(FROM).await?.unwrap_or_default();
        let from = String::from_utf8_lossy(&from).into_owned();
        let key = key(text)?;
        let facts = Facts::read(&chain, &key).map_err(Error::Certificate)?;
        Ok(Some(Certificate { chain, key, facts, from }))
    }

    /// Keeps a certificate in place of the one before, as a whole, and forgets its order and what
    /// has failed.
    pub(crate) async fn keep(&self, new: &Certificate) -> Result<(), Error> {
        let key = pem(&new.key)?;
        let mut batch = Batch::new();
        batch.set(CHAIN, &new.chain).set(KEY, key.as_bytes()).set(FROM, new.from.as_bytes());
        batch.delete(&self.name("order")).delete(&self.name("order key"));
        batch.delete(&self.name("failures"));
        Ok(self.keys.apply(batch).await?)
    }

    /// Returns the order that is under way.
    pub(crate) async fn order(&self) -> Result<Option<Order>, Error> {
        let url = self.keys.get(&self.name("order")).await?;
        let text = self.keys.get(&self.name("order key")).await?;
        let (Some(url), Some(Ok(key))) = (url, text.map(key)) else { return Ok(None) };
        Ok(Some(Order { url: String::from_utf8_lossy(&url).into_owned(), key }))
    }

    /// Notes that an order is under way.
    pub(crate) async fn begin_order(&self, order: &Order) -> Result<(), Error> {
        let key = pem(&order.key)?;
        let mut batch = Batch::new();
        batch.set(&self.name("order"), order.url.as_bytes());
        batch.set(&self.name("order key"), key.as_bytes());
        Ok(self.keys.apply(batch).await?)
    }

    /// Notes that none is.
    pub(crate) async fn forget_order(&self) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete(&self.name("order")).delete(&self.name("order key"));
        Ok(self.keys.apply(batch).await?)
    }

    /// Returns what has failed of late; what cannot be read is nothing.
    pub(crate) async fn failures(&self) -> Result<Failures, Error> {
        let text = self.keys.get(&self.name("failures")).await?;
        Ok(text.and_then(|text| json::parse(&text).ok()).unwrap_or_default())
    }

    /// Notes what has failed.
    pub(crate) async fn failed(&self, failures: &Failures) -> Result<(), Error> {
        let text = json::text(failures).map_err(|_| Error::Memory)?;
        Ok(self.keys.set(&self.name("failures"), text.as_bytes()).await?)
    }
}

/// Reads a key, and overwrites what it was read from.
fn key(text: Vec<u8>) -> Result<SecretKey, Error> {
    let text = Zeroizing::new(text);
    let text = core::str::from_utf8(&text).map_err(|_| Error::Key)?;
    SecretKey::from_pkcs8_pem(text).map_err(|_| Error::Key)
}

/// Writes a key as others read it, so that one may take it along.
fn pem(key: &SecretKey) -> Result<Zeroizing<String>, Error> {
    key.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::Key)
}
