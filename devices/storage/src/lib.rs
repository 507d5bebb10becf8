//! Stores files and keys on a block device.
//!
//! * [`fs`]: folders and files: tar, EROFS, ext4, FAT, and files that are built into the image
//! * [`kv`]: values by key, in a log that survives a loss of power at any moment

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod error;
pub mod fs;
pub mod kv;
mod sectors;

pub use error::Error;

#[cfg(test)]
mod tests;
