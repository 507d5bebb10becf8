//! What a program may ask for, and who can give it.
//!
//! A device class is a module: its `mod.rs` holds the trait and picks what the
//! target offers, one file a driver. An app names types of this crate in its
//! manifest and takes `impl Trait` in its `start`.
//!
//! * [`console`]: the byte streams of the console

#![no_std]
#![forbid(unsafe_code)]

pub mod console;

pub use console::Console;
