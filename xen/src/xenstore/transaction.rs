//! Transactions: changes of several nodes at once.

use super::error::Error;
use super::request::{Done, Reply, about, request};
use super::wire;
use crate::Errno;
use crate::public::io::xs_wire::Kind;

/// The number of tries of a transaction that collides (rule X11).
const TRIES: u32 = 16;

/// Reads and writes nodes within a [`transaction()`].
#[derive(Debug)]
pub struct Transaction {
    id: u32,
}

impl Transaction {
    /// Reads a value as [`xenstore::read`](super::read) does.
    ///
    /// # Errors
    /// Those of `xenstore::read`.
    pub fn read(&self, path: &str) -> Reply {
        about(path, Kind::Read, self.id, b"")
    }

    /// Sets a value as [`xenstore::write`](super::write) does.
    ///
    /// # Errors
    /// Those of `xenstore::write`.
    pub fn write(&self, path: &str, value: &[u8]) -> Done {
        Done(about(path, Kind::Write, self.id, value))
    }

    /// Removes a node as [`xenstore::remove`](super::remove) does.
    ///
    /// # Errors
    /// Those of `xenstore::remove`.
    pub fn remove(&self, path: &str) -> Done {
        Done(about(path, Kind::Rm, self.id, b""))
    }

    fn commit(mut self) -> Done {
        let id = core::mem::take(&mut self.id);
        Done(request(Kind::TransactionEnd, id, &[b"T\0"]))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.id != 0 {
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
        let id = request(Kind::TransactionStart, 0, &[b"\0"]).await?;
        let transaction = Transaction { id: wire::transaction(&id).ok_or(Error::BadReply)? };
        let result = work(&transaction).await?;
        match transaction.commit().await {
            Ok(()) => return Ok(result),
            Err(Error::Refused(Errno::EAGAIN)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Collision)
}
