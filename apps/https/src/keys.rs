//! The disk with the certificate and its key.

use crate::Error;
use alloc::rc::Rc;
use alloc::vec::Vec;
use xenith::block::Block;
use xenith::fs::tar::Tar;
use xenith::fs::{self, Tree};
use xenith::tls::{Identity, ServerConfig, ServerOptions};

/// The certificates, the own one first.
const CERTIFICATE: &str = "cert.pem";

/// The private key.
const KEY: &str = "key.pem";

/// Bytes that a file may have.
const LONGEST: u64 = 64 << 10;

/// The disk, and what was read of it.
pub(crate) struct Keys<K> {
    disk: Rc<K>,
    certificate: Text,
}

/// The content of a file, which is not to be found in what the heap gives out next.
#[derive(Default, PartialEq)]
struct Text(Vec<u8>);

impl Drop for Text {
    fn drop(&mut self) {
        self.0.fill(0);
        core::hint::black_box(&self.0);
    }
}

impl<K: Block + 'static> Keys<K> {
    pub(crate) fn new(disk: K) -> Self {
        Self { disk: Rc::new(disk), certificate: Text::default() }
    }

    /// Reads both files.
    pub(crate) async fn read(&mut self, tls12: bool) -> Result<ServerConfig, Error> {
        let archive = self.archive().await?;
        let certificate = file(&archive, CERTIFICATE).await?;
        let key = file(&archive, KEY).await?;
        let identity = Identity::from_pem(&certificate.0, &key.0);
        drop(key);
        let mut options =
            ServerOptions::new(identity.map_err(Error::Tls)?).protocols(&["h2", "http/1.1"]);
        if tls12 {
            options = options.tls12();
        }
        let config = options.build().map_err(Error::Tls)?;
        self.certificate = certificate;
        Ok(config)
    }

    /// Reads both if the certificate is another one.
    pub(crate) async fn changed(&mut self, tls12: bool) -> Result<Option<ServerConfig>, Error> {
        let certificate = file(&self.archive().await?, CERTIFICATE).await?;
        match certificate == self.certificate {
            true => Ok(None),
            false => self.read(tls12).await.map(Some),
        }
    }

    async fn archive(&self) -> Result<Tar<Rc<K>>, Error> {
        Tar::open(Rc::clone(&self.disk)).await.map_err(|error| Error::Keys("a tar archive", error))
    }
}

/// The content of a file.
async fn file<T: Tree>(tree: &T, name: &'static str) -> Result<Text, Error> {
    let failed = |error| Error::Keys(name, error);
    let node = tree.lookup(name.as_bytes()).await.map_err(failed)?;
    let size = tree.metadata(&node).size;
    if size > LONGEST {
        return Err(failed(fs::Error::TooLong));
    }
    let mut text = Text::default();
    let content = &mut text.0;
    content.try_reserve_exact(size as usize).map_err(|_| failed(fs::Error::NoMemory))?;
    content.resize(size as usize, 0);
    let mut read = 0;
    while read < content.len() {
        match tree.read(&node, read as u64, &mut content[read..]).await.map_err(failed)? {
            0 => break,
            more => read += more,
        }
    }
    content.truncate(read);
    Ok(text)
}
