//! Values by key on a block device.
//!
//! [`Store`] holds values by key, and what it acknowledges survives a loss of power at any
//! moment. [`keys`] is the one on a disk of its own.

pub mod keys;

pub use crate::error::Error;

use crate::sectors;
use alloc::vec::Vec;

/// Values by key. What a call did is on the disk when its future is ready.
pub trait Store {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not what it was, and the disk's.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Vec<u8>>, Error>>;

    /// Lets `key` have this value.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Full`], [`Error::NoMemory`], [`Error::ReadOnly`], and
    /// the disk's: then it may be done after the next start.
    fn set(&self, key: &[u8], value: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Removes `key`, if there is such a key.
    ///
    /// # Errors
    /// As of [`Store::set`].
    fn delete(&self, key: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Gives the value of `from` to `to` and removes `from`, both or neither.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such key, and as of [`Store::set`].
    fn rename(&self, from: &[u8], to: &[u8]) -> impl Future<Output = Result<(), Error>>;

    /// Calls `each` for the keys that begin with `prefix`, in their order, with the
    /// lengths of their values. It must not use the store.
    ///
    /// # Errors
    /// The disk's.
    fn list(
        &self,
        prefix: &[u8],
        each: &mut dyn FnMut(&[u8], u64),
    ) -> impl Future<Output = Result<(), Error>>;
}
