//! Stores values by key on a block device.
//!
//! A change that a [`Store`] has acknowledged survives a loss of power at any moment. [`keys`]
//! is the store on a disk of its own.

pub mod keys;

pub use crate::error::Error;

use crate::sectors;
use alloc::vec::Vec;

/// Stores values by key. A change is durable when its future is ready.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
///
/// use xenith::block::memory::Memory;
/// use xenith::kv::keys::Keys;
/// use xenith::kv::{Error, Store};
/// use xenith::task::block_on;
///
/// /// Adds a visit of `user`, and returns how many there were.
/// async fn visit<S: Store>(store: &S, user: &str) -> Result<u64, Error> {
///     let key = format!("visits/{user}");
///     let before = store.get(key.as_bytes()).await?;
///     let before = before.and_then(|value| Some(u64::from_le_bytes(*value.first_chunk()?)));
///     let visits = before.unwrap_or(0) + 1;
///     store.set(key.as_bytes(), &visits.to_le_bytes()).await?;
///     Ok(visits)
/// }
///
/// block_on(async {
///     let store = Keys::open_or_format(Memory::new(512, 2048)).await?;
///     assert_eq!(visit(&store, "ada").await?, 1);
///     assert_eq!(visit(&store, "ada").await?, 2);
///     assert_eq!(visit(&store, "alan").await?, 1);
///     let mut users = Vec::new();
///     store.list(b"visits/", &mut |key, _| users.push(key.to_vec())).await?;
///     assert_eq!(users, [&b"visits/ada"[..], b"visits/alan"]);
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
pub trait Store {
    /// Returns the value of `key`, or `None` if there is no such key.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its checksum is wrong, and the disk's.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Vec<u8>>, Error>>;

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Full`], [`Error::TooManyKeys`], [`Error::NoMemory`],
    /// [`Error::ReadOnly`], and the disk's. After an error of the disk's, the change may turn out to have been made when the
    /// store is opened again.
    fn set(&self, key: &[u8], value: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Removes `key`, if there is such a key.
    ///
    /// # Errors
    /// As of [`Store::set`].
    fn delete(&self, key: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Moves the value of `from` to `to` and removes `from`, atomically.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such key, and as of [`Store::set`].
    fn rename(&self, from: &[u8], to: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Calls `each` for the keys with this prefix, sorted by bytes, with the lengths of their
    /// values. `each` must not use the store.
    ///
    /// # Errors
    /// The disk's.
    fn list(
        &self,
        prefix: &[u8],
        each: &mut dyn FnMut(&[u8], u64),
    ) -> impl Future<Output = Result<(), Error>>;
}
