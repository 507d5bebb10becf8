//! Transactions: changes of several nodes at once.

use super::error::Error;
use super::request::{Done, Reply, about, request};
use super::wire;
use crate::Errno;
use crate::generation::Generation;
use crate::public::io::xs_wire::Kind;

/// The number of tries of a transaction that collides (rule X11).
const TRIES: u32 = 16;

/// The answer to a commit that collides.
const COLLIDED: Error = Error::Refused(Errno::EAGAIN);

/// Reads and writes nodes within a [`transaction()`].
#[derive(Debug)]
pub struct Transaction {
    id: u32,
    generation: Generation,
}

impl Transaction {
    /// Reads a value as [`xenstore::read`](super::read) does.
    ///
    /// # Errors
    /// Those of `xenstore::read`.
    pub fn read(&self, path: &str) -> Reply {
        self.about(path, Kind::Read, b"")
    }

    /// Sets a value as [`xenstore::write`](super::write) does.
    ///
    /// # Errors
    /// Those of `xenstore::write`.
    pub fn write(&self, path: &str, value: &[u8]) -> Done {
        Done(self.about(path, Kind::Write, value))
    }

    /// Removes a node as [`xenstore::remove`](super::remove) does.
    ///
    /// # Errors
    /// Those of `xenstore::remove`.
    pub fn remove(&self, path: &str) -> Done {
        Done(self.about(path, Kind::Rm, b""))
    }

    /// Queues a request. One for a former domain's transaction fails as if that had collided.
    fn about(&self, path: &str, kind: Kind, value: &[u8]) -> Reply {
        match self.generation.is_current() {
            true => about(path, kind, self.id, value),
            false => Reply::failed(COLLIDED),
        }
    }

    fn commit(mut self) -> Done {
        let id = core::mem::take(&mut self.id);
        Done(match self.generation.is_current() {
            true => request(Kind::TransactionEnd, id, &[b"T\0"]),
            false => Reply::failed(COLLIDED),
        })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.id != 0 && self.generation.is_current() {
            crate::domain().store.lock().tell(Kind::TransactionEnd, self.id, &[b"F\0"]);
        }
    }
}

/// Runs `work` in a transaction (`XS_TRANSACTION_START`, `XS_TRANSACTION_END`): others see all of
/// its changes at once, or none. If others changed the same nodes meanwhile, xenstored rejects the
/// commit and `work` is called again, at most 16 times.
///
/// # Errors
/// Those of `work`, which abort the transaction; [`Error::Collision`] if each try was rejected.
pub async fn transaction<T>(
    mut work: impl AsyncFnMut(&Transaction) -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 0..TRIES {
        // Before the reply, which may be that of a domain that was suspended since.
        let generation = Generation::current();
        let id = match request(Kind::TransactionStart, 0, &[b"\0"]).await {
            // The domain was suspended before xenstored answered.
            Err(COLLIDED) => continue,
            id => id?,
        };
        let id = wire::transaction(&id).ok_or(Error::BadReply)?;
        let transaction = Transaction { id, generation };
        let result = match work(&transaction).await {
            Ok(result) => transaction.commit().await.map(|()| result),
            Err(error) => Err(error),
        };
        match result {
            Err(COLLIDED) => {}
            result => return result,
        }
    }
    Err(Error::Collision)
}
